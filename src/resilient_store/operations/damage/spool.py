"""A sequence of damaged objects that keeps its items on the disk, and so has no limit."""

from __future__ import annotations

import heapq
import itertools
import tempfile
import threading
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

from resilient_store.model.damage import DamagedObject, as_line, from_line

T = TypeVar("T")

BLOCK = 64  # items that are read at once, and for which one place is remembered
IN_MEMORY_BYTES = 1 << 18
RUN = 5000  # items that are sorted at once


class Spool(Sequence[DamagedObject]):
    """Damaged objects in the order in which they were added; a temporary file holds them.

    It is removed when the spool is closed or forgotten. May be read from several threads.
    """

    def __init__(self, items: Iterable[DamagedObject] = ()) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115
        self._lock = threading.Lock()
        self._begins = array("Q")
        self._end = 0
        self._count = 0
        # Closed before the interpreter could warn of a file that nobody closed.
        self.close = weakref.finalize(self, self._file.close)
        for item in items:
            self.add(item)

    def add(self, item: DamagedObject) -> None:
        """Append an item."""
        self._add(as_line(item).encode("ascii"))

    def add_lines(self, lines: Iterable[bytes]) -> None:
        """Append items as `lines` of another spool yields them."""
        for line in lines:
            self._add(line)

    def _add(self, line: bytes) -> None:
        line += b"\n"
        with self._lock:
            if self._count % BLOCK == 0:
                self._begins.append(self._end)
            self._file.seek(self._end)
            self._file.write(line)
            self._end += len(line)
            self._count += 1

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> DamagedObject: ...

    @overload
    def __getitem__(self, index: slice) -> list[DamagedObject]: ...

    def __getitem__(self, index: int | slice) -> DamagedObject | list[DamagedObject]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        number = range(self._count)[index]
        block, within = divmod(number, BLOCK)
        return from_line(self._lines(block)[within])

    def __iter__(self) -> Iterator[DamagedObject]:
        return map(from_line, self.lines())

    def lines(self) -> Iterator[bytes]:
        """Yield the items as they lie in the file, each a line of JSON."""
        for block in itertools.count():
            if block >= len(self._begins):
                return
            yield from self._lines(block)

    def __repr__(self) -> str:
        return f"<{self._count} damaged objects>"

    def _lines(self, block: int) -> list[bytes]:
        with self._lock:
            begin = self._begins[block]
            end = self._begins[block + 1] if block + 1 < len(self._begins) else self._end
            self._file.seek(begin)
            return self._file.read(end - begin).splitlines()


def in_order(
    items: Iterable[DamagedObject], key: Callable[[DamagedObject], Any]
) -> Iterator[DamagedObject]:
    """Yield any number of items in order; sorted runs of them wait on the disk."""
    runs = [Spool(sorted(run, key=key)) for run in in_batches(items, RUN)]
    return heapq.merge(*runs, key=key)


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of so many items, the last one shorter."""
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch
