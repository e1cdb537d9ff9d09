"""An upload in parts behind its backend's deadlines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import attrs

from resilient_store.backends.contract import Stored, Upload
from resilient_store.model.outcome import Reply
from resilient_store.policies import Backend

RATE_BYTES_PER_S = 1_000_000


def seconds_for(size: int) -> float:
    """Return how much longer a call may take that sends or receives so many bytes."""
    return size / RATE_BYTES_PER_S


class Steps(Protocol):
    """What an upload needs of its backend's client."""

    backend: Backend

    async def step(
        self, key: str, run: Callable[[], Awaitable[Any]], *, deadline_s: float, size: int = 0
    ) -> Reply[Any]:
        """Take one step of an upload, which gets more time for its bytes."""


@attrs.define
class UploadClient:
    """An upload behind its backend's deadlines: each part has the stall limit, the end its own."""

    _client: Steps
    _key: str
    _upload: Upload
    _size: int = 0

    async def write(self, part: bytes) -> Reply[None]:
        """Send the next bytes."""
        self._size += len(part)
        return await self._client.step(
            self._key,
            lambda: self._upload.write(part),
            deadline_s=self._client.backend.stall_timeout,
            size=len(part),
        )

    async def finish(self) -> Reply[Stored]:
        """Make the object visible."""
        return await self._client.step(
            self._key,
            self._upload.finish,
            deadline_s=self._client.backend.timeout,
            size=self._size,
        )

    async def abort(self) -> Reply[None]:
        """Leave nothing behind."""
        return await self._client.step(
            self._key, self._upload.abort, deadline_s=self._client.backend.timeout
        )
