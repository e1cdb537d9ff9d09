"""Bytes of any length made parts of the length that platforms take."""

from __future__ import annotations

from collections.abc import Iterator

from resilient_store.model.part import Part

PART_BYTES = 8 * 1024 * 1024
# Platforms take 10,000 parts: after each thousand they get longer, up to 80 MiB and 430 GiB in all.
PARTS_OF_A_LENGTH = 1000


def part_bytes(number: int) -> int:
    """Return how long a part is, counted from 0."""
    return PART_BYTES * (1 + number // PARTS_OF_A_LENGTH)


class Buffer:
    """Collects bytes until there are more than a part holds."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._parts = 0

    def add(self, view: memoryview) -> Iterator[Part]:
        """Take bytes; hand out every part that is full, and keep at least one byte."""
        for offset in range(0, len(view), PART_BYTES):  # never a second copy of all of it
            self._bytes += view[offset : offset + PART_BYTES]
            length = part_bytes(self._parts)
            if len(self._bytes) > length:
                part, self._bytes = Part(self._bytes[:length]), self._bytes[length:]
                self._parts += 1
                yield part

    def rest(self) -> Part:
        """Return what is left for the last part."""
        return Part(self._bytes)
