"""Resumable uploads to Google Cloud Storage: never a byte twice, never one off.

The server says after each chunk how much it keeps. It may be less than was sent: what follows
its last byte is sent again, and nothing else ever is.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import attrs

from resilient_store.backends.contract import Stored, StrangerError, UnknownOutcomeError
from resilient_store.backends.families.gcs_answers import (
    RESUME_INCOMPLETE,
    Answer,
    Checksum,
    GcsError,
    error_in,
)
from resilient_store.backends.families.gcs_requests import GcsRequests
from resilient_store.backends.families.sessions import Pieces

# All chunks but the last one. Source: "Resumable uploads", "Chunk size".
GRAIN_BYTES = 256 * 1024
# How often the rest of one chunk is sent again. Each time the server must have kept some of it.
MOST_RESTS = 16

_KEPT = re.compile(r"bytes[= ]0-(\d+)")
_GONE = (404, 410)
_ABORTED = (200, 204, 499, *_GONE)


class Confirmer(Protocol):
    """A bucket that knows what an answer to a write must say."""

    async def confirmed(
        self, key: str, found: Mapping[str, Any], size: int, digests: Mapping[str, str]
    ) -> Stored:
        """Return what a write left, once it is known that it did."""


@attrs.define
class GcsParts:
    """A session of an upload; whoever knows its address may write, so nothing shows it."""

    _bucket: Confirmer
    _requests: GcsRequests
    _key: str
    _address: str = attrs.field(repr=False)
    _content_type: str
    _hash: Callable[[Checksum, bytes], Awaitable[None]]
    _kept: int = attrs.field(default=0, init=False)
    _whole: Checksum = attrs.field(factory=Checksum, init=False, repr=False)

    async def send(self, data: bytes) -> None:
        """Send one chunk."""
        await self._hash(self._whole, data)
        answer = await self._put(data, is_last=False)
        if answer is not None:
            raise StrangerError("an upload that ended too early")

    async def finish(self, last: bytes) -> Stored:
        """Send the last bytes, perhaps none, and make the object visible."""
        await self._hash(self._whole, last)
        answer = await self._put(last, is_last=True)
        if answer is None:
            raise UnknownOutcomeError
        digests = {self._whole.field: self._whole.text}
        return await self._bucket.confirmed(self._key, answer.json(), self._kept, digests)

    async def abort(self) -> None:
        """Give up what was sent."""
        answer = await self._requests.exchange("DELETE", self._address, is_signed=False)
        if answer.status not in _ABORTED:
            raise error_in(answer, "create")

    async def _put(self, data: bytes, *, is_last: bool) -> Answer | None:
        """Send until the server keeps all; return its answer if that ended the upload."""
        first, end = self._kept, self._kept + len(data)
        for _ in range(1 + MOST_RESTS):
            answer = await self._put_rest(data[self._kept - first :], end, is_last=is_last)
            if answer.status != RESUME_INCOMPLETE:
                self._require_done(answer, is_last=is_last)
                self._kept = end
                return answer
            before, self._kept = self._kept, _kept_by(answer)
            if self._kept == end and not is_last:
                return None
            if not before < self._kept < end:
                raise StrangerError("a server that keeps other bytes than it was sent")
        raise UnknownOutcomeError

    async def _put_rest(self, rest: bytes, end: int, *, is_last: bool) -> Answer:
        span = f"{self._kept}-{end - 1}" if rest else "*"
        headers = {
            "Content-Range": f"bytes {span}/{end if is_last else '*'}",
            "Content-Type": self._content_type,
        }
        if is_last:  # the server compares, before anybody sees the object
            headers["X-Goog-Hash"] = f"{self._whole.name}={self._whole.text}"
        return await self._requests.exchange(
            "PUT", self._address, headers=headers, data=Pieces.of(rest), is_signed=False
        )

    def _require_done(self, answer: Answer, *, is_last: bool) -> None:
        if answer.ok:
            return
        error = error_in(answer, "create")
        is_gone = isinstance(error, GcsError) and error.status in _GONE
        raise UnknownOutcomeError if is_gone and is_last else error


def _kept_by(answer: Answer) -> int:
    """Return how many bytes the server keeps: it says which is the last, and none if it has none.

    Raises
    ------
    StrangerError
        It says something else.
    """
    said = answer.headers.get("Range")
    if said is None:
        return 0
    kept = _KEPT.fullmatch(said.strip())
    if kept is None:
        raise StrangerError("not Google's answer")
    return int(kept[1]) + 1
