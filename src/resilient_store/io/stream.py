"""A file being read: pinned to what was there when it was opened, whoever hands it out."""

from __future__ import annotations

import attrs

from resilient_store.backends.client import BackendClient
from resilient_store.errors import BackendsUnavailableError, ObjectChangedError
from resilient_store.io.read import ask
from resilient_store.model.info import Body, ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.result import Reason
from resilient_store.store import Store

BLOCK_BYTES = 4 * 1024 * 1024


class PinnedReader:
    """Read blocks of one object; a backend that dies is replaced at the same offset.

    Without a catalog "the same object" means: from the backend that it was opened on, the same
    tag; from another one, the same size.

    Parameters
    ----------
    store, path
        What to read.
    backend
        Where it was found.
    info
        What was found.
    reason
        Why it stands in for an original; None where it is what was asked for.

    Notes
    -----
    Promises: P5, P6.
    """

    def __init__(
        self,
        store: Store,
        path: str,
        backend: str,
        info: ObjectInfo,
        reason: Reason | None = None,
    ) -> None:
        self._store = store
        self._path = path
        self.reason = reason
        self.derivative = path if reason is not None else None
        self._tags: dict[str, str | None] = {backend: info.tag}
        self._first = backend
        self._changed = False
        self._lacking: dict[str, None] = {}
        self.size = info.size or 0

    async def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, fewer only at the end of the object.

        Raises
        ------
        ObjectChangedError
            The object is not the one that was opened any more.
        BackendsUnavailableError
            No backend that holds it can be had now.
        """
        end = min(end, self.size)
        pieces = []
        while start < end:
            piece = await self._block(start, min(end, start + BLOCK_BYTES))
            pieces.append(piece)
            start += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _block(self, start: int, end: int) -> bytes:
        others = (name for name in self._store.clients if name != self._first)
        reading = await ask(
            self._store,
            self._path,
            lambda client: self._verified(client, start, end),
            (self._first, *others),
        )
        if self._changed:
            raise ObjectChangedError(self._path, reading.replies)
        if reading.found is not None and reading.found.value is not None:
            self._first = reading.found.backend
            return reading.found.value.data
        if reading.absent or all(self._lacks(reply) for reply in reading.replies):
            raise ObjectChangedError(self._path, reading.replies)
        raise BackendsUnavailableError(
            self._path, reading.replies, f"The file was being read at byte {start}"
        )

    async def _verified(self, client: BackendClient, start: int, end: int) -> Reply[Body]:
        """Read a block, and take only what belongs to the object that was opened."""
        if client.name not in self._tags:
            looked = await client.info(self._path)
            if looked.value is None:
                return Reply(client.name, looked.outcome, detail=looked.detail)
            if looked.value.size != self.size:
                self._lacking[client.name] = None
                return Reply(client.name, Outcome.CORRUPT, detail="another size")
            self._tags[client.name] = looked.value.tag
        reply = await client.get(self._path, start, end)
        wrong = self._wrong_with(reply, end - start)
        if wrong:
            return Reply(client.name, Outcome.CORRUPT, detail=wrong)
        return attrs.evolve(reply, blank=False)

    def _lacks(self, reply: Reply[Body]) -> bool:
        """Say whether a backend answered that it does not hold what was opened."""
        return reply.outcome is Outcome.NOT_FOUND or reply.backend in self._lacking

    def _wrong_with(self, reply: Reply[Body], wanted: int) -> str:
        body, tag = reply.value, self._tags[reply.backend]
        if reply.outcome is Outcome.NOT_FOUND:
            self._lacking[reply.backend] = None
            return "it is gone"
        if body is None:
            return ""
        if (body.size or self.size) != self.size or (body.tag or tag) != tag:
            self._changed = True
            return "changed since it was opened"
        return "" if len(body.data) == wanted else "a short body"
