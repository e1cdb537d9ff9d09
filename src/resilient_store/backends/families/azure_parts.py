"""Blobs of unknown length: blocks that are staged, and become visible when they are committed."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

import attrs
from azure.core import MatchConditions

from resilient_store import runtime
from resilient_store.backends.contract import (
    CorruptBodyError,
    RefusedError,
    Stored,
)
from resilient_store.backends.families.azure_answers import (
    about_commit,
    about_container,
    digest_header,
)
from resilient_store.model.info import Headers
from resilient_store.threads import DaemonPool

# Source: "Scalability and performance targets for Blob storage".
MOST_BLOCKS = 50_000
# All blocks of a blob must have names of one length, also those that somebody else has staged
# there and left: as long as adlfs makes them.
_UPLOAD_DIGITS = 27
_BLOCK_DIGITS = 5


class Committer(Protocol):
    """A container that makes staged blocks visible."""

    def blob(self, key: str, *, changing: bool = False) -> Any:
        """Return the client of a blob."""

    def settings(self, headers: Headers, digest: bytes) -> dict[str, Any]:
        """Return what a write is given."""

    async def confirmed(self, key: str, answer: Any, size: int, digest: bytes) -> Stored:
        """Return what a write left, once it is known that it did."""

    async def md5(self, data: bytes) -> bytes:
        """Return the MD5 digest of bytes."""


@attrs.define
class AzureParts:
    """An upload in blocks, each checked on its way, with the digest of the whole at the end."""

    _container: Committer
    _key: str
    _headers: Headers
    _exclusive: bool
    _hashing: DaemonPool
    # Unique, so that two uploads to one key do not take each other's blocks for their own.
    _upload: str = attrs.field(factory=lambda: runtime.new_id()[:_UPLOAD_DIGITS], init=False)
    _blocks: list[str] = attrs.field(factory=list, init=False)
    _size: int = attrs.field(default=0, init=False)
    _whole: Any = attrs.field(
        factory=lambda: hashlib.md5(usedforsecurity=False), init=False, repr=False
    )

    async def send(self, data: bytes) -> None:
        """Send one block."""
        if len(self._blocks) == MOST_BLOCKS:
            raise RefusedError(f"more than {MOST_BLOCKS} blocks")
        block = f"{self._upload}{len(self._blocks):0{_BLOCK_DIGITS}}"
        digest = await self._container.md5(data)
        await self._hashing.run(lambda _: self._whole.update(data))
        try:
            answer = await self._container.blob(self._key, changing=True).stage_block(
                block, data, length=len(data), headers={"Content-MD5": digest_header(digest)}
            )
        except Exception as error:
            raise about_container(error) from None
        if answer.get("content_md5") not in (None, digest):
            raise CorruptBodyError
        self._blocks.append(block)
        self._size += len(data)

    async def finish(self, last: bytes) -> Stored:
        """Send what is left, and commit."""
        if last:
            await self.send(last)
        digest = self._whole.digest()
        condition = {"match_condition": MatchConditions.IfMissing} if self._exclusive else {}
        try:
            answer = await self._container.blob(self._key, changing=True).commit_block_list(
                self._blocks, **condition, **self._container.settings(self._headers, digest)
            )
        except Exception as error:
            raise about_commit(error, exclusive=self._exclusive) from None
        return await self._container.confirmed(self._key, answer, self._size, digest)

    async def abort(self) -> None:
        """Do nothing: Azure drops blocks that nobody commits with the next write, or in a week."""
