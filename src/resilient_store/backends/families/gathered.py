"""Uploads of unknown length to platforms that take parts of a certain size."""

from __future__ import annotations

from typing import Protocol

import attrs

from resilient_store.backends.contract import Stored
from resilient_store.model.info import Headers


class Parts(Protocol):
    """An upload that a platform has begun."""

    async def send(self, data: bytes) -> None:
        """Send the next bytes."""

    async def finish(self, last: bytes) -> Stored:
        """Send the last bytes, perhaps none, and make the object visible."""

    async def abort(self) -> None:
        """Give up what was sent."""


class Beginner(Protocol):
    """A family that uploads in parts."""

    least_part_bytes: int
    part_grain_bytes: int

    async def _begin(self, key: str, *, exclusive: bool, headers: Headers) -> Parts:
        """Begin an upload in parts."""

    async def put(self, key: str, data: bytes, *, exclusive: bool, headers: Headers) -> Stored:
        """Store an object so that it appears whole."""


LONGER_AFTER = 1000  # parts: platforms take 10,000 of them, or 50,000


@attrs.define
class GatheredUpload:
    """Gathers bytes into parts as the platform wants them; begins when the first one is full.

    After each thousand the parts get longer, so that no object has too many.
    """

    _family: Beginner
    _key: str
    _exclusive: bool = attrs.field(kw_only=True)
    _headers: Headers = attrs.field(kw_only=True)
    _parts: Parts | None = attrs.field(default=None, init=False)
    _gathered: bytearray = attrs.field(factory=bytearray, init=False)
    _sent: int = attrs.field(default=0, init=False)

    async def write(self, part: bytes) -> None:
        """Take the next bytes."""
        grain = self._family.part_grain_bytes
        least = self._family.least_part_bytes * (1 + self._sent // LONGER_AFTER)
        if not self._gathered and len(part) >= least and len(part) % grain == 0:
            await self._send(part)
            return
        self._gathered += part
        full = len(self._gathered) // grain * grain
        if full >= least:
            data = bytes(self._gathered[:full])
            del self._gathered[:full]
            await self._send(data)

    async def _send(self, data: bytes) -> None:
        if self._parts is None:
            self._parts = await self._family._begin(
                self._key, exclusive=self._exclusive, headers=self._headers
            )
        await self._parts.send(data)
        self._sent += 1

    async def finish(self) -> Stored:
        """Make the object visible, whole."""
        last = bytes(self._gathered)
        if self._parts is None:
            return await self._family.put(
                self._key, last, exclusive=self._exclusive, headers=self._headers
            )
        stored = await self._parts.finish(last)
        self._parts = None
        return stored

    async def abort(self) -> None:
        """Leave nothing behind."""
        self._gathered.clear()
        if self._parts is not None:
            await self._parts.abort()
            self._parts = None
