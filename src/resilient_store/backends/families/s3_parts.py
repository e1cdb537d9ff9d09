"""Multipart uploads to S3, and bodies as they are sent."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from resilient_store.backends.contract import (
    CorruptBodyError,
    RefusedError,
    Stored,
    StrangerError,
    UnknownOutcomeError,
)
from resilient_store.backends.families.s3_answers import is_md5, tag_for, tag_of
from resilient_store.model.part import md5_of

# Source: Amazon S3 user guide, "Multipart upload limits".
MOST_PARTS = 10_000
_OF_PARTS = re.compile(r"[0-9a-f]{32}-\d+")


class Asked(Protocol):
    """A bucket that can be asked."""

    async def ask(self, operation: str, **given: Any) -> Any:
        """Send one request."""

    async def md5(self, data: bytes) -> bytes:
        """Return the MD5 digest of bytes."""


@attrs.define
class S3Parts:
    """A multipart upload: every part is recognised by its tag before the whole is completed."""

    _bucket: Asked
    _name: str
    _upload: str
    _exclusive: bool = False
    _parts: list[dict[str, Any]] = attrs.field(factory=list, init=False)
    _digests: list[bytes] = attrs.field(factory=list, init=False)

    async def _ask(self, operation: str, **given: Any) -> Any:
        return await self._bucket.ask(operation, Key=self._name, UploadId=self._upload, **given)

    async def send(self, data: bytes) -> None:
        """Send one part."""
        digest = await self._bucket.md5(data)
        answer = await self._ask(
            "upload_part",
            PartNumber=self._next(),
            Body=body_of(data),
            ContentMD5=base64.b64encode(digest).decode(),
        )
        tag = tag_for(digest, answer)
        if tag is None:
            raise StrangerError("no part")
        self._keep(tag)
        if is_md5(answer, tag):
            self._digests.append(digest)

    async def copy(self, source: Mapping[str, Any], first: int, last: int) -> None:
        """Take one part from an object that is there, and what it must be."""
        answer = await self._ask(
            "upload_part_copy",
            PartNumber=self._next(),
            **source,
            CopySourceRange=f"bytes={first}-{last - 1}",
        )
        tag = tag_of(answer.get("CopyPartResult", {}))
        if tag is None:
            raise StrangerError("no part")
        self._keep(tag)

    def _next(self) -> int:
        if len(self._parts) == MOST_PARTS:
            raise RefusedError(f"more than {MOST_PARTS} parts")
        return len(self._parts) + 1

    def _keep(self, tag: str) -> None:
        self._parts.append({"PartNumber": len(self._parts) + 1, "ETag": f'"{tag}"'})

    async def finish(self, last: bytes) -> Stored:
        """Send what is left, and complete."""
        if last:
            await self.send(last)
        tag = await self.complete({"IfNoneMatch": "*"} if self._exclusive else {})
        if tag is None:
            raise UnknownOutcomeError
        if self._lacks_parts(tag):
            raise CorruptBodyError
        return Stored(tag, headers_kept=True)

    def _lacks_parts(self, tag: str) -> bool:
        """Whether a tag made of the parts' digests says that they are not all in the object."""
        if len(self._digests) != len(self._parts) or not _OF_PARTS.fullmatch(tag):
            return False  # another kind of tag, such as where a key service encrypts
        digest = md5_of(b"".join(self._digests)).hex()
        return tag != f"{digest}-{len(self._parts)}"

    async def complete(self, condition: Mapping[str, str]) -> str | None:
        """Make the object visible; return its tag."""
        answer = await self._ask(
            "complete_multipart_upload", MultipartUpload={"Parts": self._parts}, **condition
        )
        return tag_of(answer)

    async def abort(self) -> None:
        """Give up the parts, which would be billed for ever."""
        await self._ask("abort_multipart_upload")


def body_of(data: bytes) -> io.BytesIO | bytes:
    """Let aiohttp send large bodies in pieces: cancelled, it would send a whole one to its end."""
    return io.BytesIO(data) if data else b""
