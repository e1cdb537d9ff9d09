"""A file being read with a catalog: one version, every block verified, whoever hands it out."""

from __future__ import annotations

import asyncio

from resilient_store.errors import BackendsUnavailableError, ObjectChangedError
from resilient_store.io.catalogued import read as versions
from resilient_store.io.catalogued.holder import find
from resilient_store.io.drive import leave_to_finish
from resilient_store.io.stream import BLOCK_BYTES
from resilient_store.model.result import Reason
from resilient_store.model.state import Record
from resilient_store.protocol import findings
from resilient_store.store import Store


class VersionReader:
    """Read blocks of one version of an object, and one block ahead.

    Parameters
    ----------
    store
        Where.
    record
        As it was when the file was opened; its version is the one that is read.
    reason
        Why it stands in for an original; None where it is what was asked for.

    Notes
    -----
    Promises: P4, P5. Source: design, section 6, "Open for reading".
    """

    def __init__(self, store: Store, record: Record, reason: Reason | None = None) -> None:
        assert record.present is not None
        assert record.present.content is not None
        self._store = store
        self._record = record
        self._version = record.present.version
        self.size = record.present.content.size
        self.reason = reason
        self.derivative = record.path if reason is not None else None
        self._ahead: tuple[int, int, asyncio.Future[bytes | None]] | None = None

    async def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, fewer only at the end of the object.

        Raises
        ------
        ObjectChangedError
            The object has another version by now, and this one cannot be had any more.
        OriginalMissingError
            Every replica is known lost.
        BackendsUnavailableError
            No replica can be had now.
        """
        end = min(end, self.size)
        pieces = []
        while start < end:
            stop = min(end, (start // BLOCK_BYTES + 1) * BLOCK_BYTES)
            piece = await self._taken_ahead(start, stop)
            pieces.append(piece if piece is not None else await self._block(start, stop))
            start = stop
            self._read_ahead(start)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _taken_ahead(self, start: int, stop: int) -> bytes | None:
        if self._ahead is None:
            return None
        begin, end, block = self._ahead
        if not begin <= start < stop <= end or block.get_loop() is not asyncio.get_running_loop():
            return None
        data = await asyncio.shield(block)
        return None if data is None else data[start - begin : stop - begin]

    def _read_ahead(self, start: int) -> None:
        """Begin with the block that a reader in order asks for next; it is bounded by its calls."""
        stop = min(self.size, (start // BLOCK_BYTES + 1) * BLOCK_BYTES)
        if start >= stop or (self._ahead is not None and self._ahead[0] <= start < self._ahead[1]):
            return
        block = asyncio.get_running_loop().create_future()
        self._ahead = (start, stop, block)

        async def fetch() -> None:
            had, _ = await versions.read_version(self._store, self._record, start, stop)
            block.set_result(None if had is None else had.data)

        def ended(_: object) -> None:
            if not block.done():  # it failed, or the store was closed before it began
                block.set_result(None)

        leave_to_finish(self._store.tails, fetch()).add_done_callback(ended)

    async def _block(self, start: int, end: int) -> bytes:
        for _ in range(versions.STARTED_OVER):
            had, replies = await versions.read_version(self._store, self._record, start, end)
            if had is not None:
                return had.data
            again, _ = await find(self._store, self._record.path)
            if self._version == findings.UNRECORDED and again.entry is None:
                raise versions.refusal(self._store, self._record, replies)
            if again.present is None or again.present.version != self._version:
                raise ObjectChangedError(self._record.path, replies)
            before, self._record = self._record, again
            if again.replicas == before.replicas:
                raise versions.refusal(self._store, again, replies)
        raise BackendsUnavailableError(
            self._record.path, note=f"the file was being read at byte {start}"
        )
