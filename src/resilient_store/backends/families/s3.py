"""Amazon S3, and what speaks like it: one request a call, through aiobotocore's client.

s3fs opens it (credentials, endpoint, session) and is asked nothing else: its own calls retry,
cache listings, look before they read, and hand out zeros for bytes that were cut off.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from resilient_store.backends.contract import (
    ChangedError,
    CorruptBodyError,
    Moves,
    Origin,
    RefusedError,
    Stored,
    StrangerError,
    Traits,
    UnknownOutcomeError,
    WrongOptionError,
)
from resilient_store.backends.families.bodies import Span, gather_body, range_header, whole_size
from resilient_store.backends.families.fields import NO_TYPE, pack, require_plain_fields
from resilient_store.backends.families.flat import (
    LONGEST_SILENCE_S,
    SPARE_CONNECTIONS,
    FlatFamily,
    Page,
    Place,
)
from resilient_store.backends.families.realm import about_copy, realm_of
from resilient_store.backends.families.s3_answers import (
    FIELDS,
    about_bucket,
    about_key,
    answer_of,
    code_of,
    headers_of,
    is_md5,
    is_s3s,
    require_s3s,
    status_of,
    tag_for,
    tag_of,
)
from resilient_store.backends.families.s3_copies import (
    copied,
    copied_in_parts,
    part_bytes_of,
)
from resilient_store.backends.families.s3_parts import S3Parts, body_of
from resilient_store.backends.families.s3_session import OneTrySession
from resilient_store.backends.families.sessions import drop_session
from resilient_store.model.info import MD5, Body, Headers, ObjectInfo
from resilient_store.policies import Backend

_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def open_family(
    cls: Any,
    arguments: Sequence[Any],
    options: Mapping[str, Any],
    *,
    root: str,
    backend: Backend,
    name: str,
) -> S3Family:
    """Open a bucket as a filesystem's options say, with this library's limits and no retries."""
    config = {
        # Most stores that speak like S3 do not know the checksums that botocore adds.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        # Its own name is put together anew for every request, of 32 parts.
        "user_agent": "resilient_store",
        **(options.get("config_kwargs") or {}),
        "retries": {"total_max_attempts": 1, "mode": "standard"},
        "connect_timeout": backend.timeout,
        "read_timeout": backend.timeout + LONGEST_SILENCE_S,
        "http_session_cls": OneTrySession,
        "max_pool_connections": backend.max_concurrency + SPARE_CONNECTIONS,
    }
    filesystem = cls(*arguments, **{**options, "config_kwargs": config, "asynchronous": True})
    bucket, prefix, _ = filesystem.split_path(root)
    place = Place.of(backend, name, bucket, prefix)
    return S3Family(filesystem, place, backend.write_options, realm_of(cls, arguments, options))


class S3Family(FlatFamily):
    """A bucket of S3.

    Its tags are digests of the bytes, the same for the same bytes, so no deletion can be bound
    to one write: a late one would hit the same bytes written again.
    """

    traits = Traits(exclusive_create=None, conditional_delete=False, directories=False)
    least_part_bytes = 5 * 1024**2

    def __init__(
        self, filesystem: Any, place: Place, write_options: Mapping[str, Any], realm: str = ""
    ) -> None:
        super().__init__(place, write_options, realm)
        self._fs = filesystem
        self._client: Any = None

    async def _connected(self) -> Any:
        if self._client is None:
            await self._fs.set_session()
            self._client = await self._fs.get_s3(self.place.bucket)
        return self._client

    async def ask(self, operation: str, **given: Any) -> Any:
        """Send one request with what the filesystem adds to it, such as a customer's key."""
        call = getattr(await self._connected(), operation)
        return await call(**self._fs._get_s3_method_kwargs(call, Bucket=self.place.bucket, **given))

    # Reading

    async def _head(self, key: str) -> ObjectInfo:
        try:
            found = await self.ask("head_object", Key=self.at(key))
        except Exception as error:
            status = status_of(answer_of(error))
            if status == HTTPStatus.BAD_REQUEST:  # a HEAD says no code: a GET does
                await self._fetch(key, (0, 1), lambda _: None, check=False)
            if status != HTTPStatus.NOT_FOUND:
                raise
            if not is_s3s(answer_of(error)):
                # A HEAD has no body, and so no code: where its headers are nobody's, a GET says.
                await self._fetch(key, (0, 1), lambda _: None, check=False)
                raise StrangerError("a HEAD and a GET that differ") from None
            raise FileNotFoundError(2, "no such object", key) from None
        require_s3s(found)
        tag = tag_of(found)
        return ObjectInfo(
            key=key,
            size=found["ContentLength"],
            tag=tag,
            native=(f"{MD5}{tag}",) if is_md5(found, tag) else (),
            modified=found.get("LastModified"),
            headers=headers_of(found),
        )

    async def _fetch(self, key: str, span: Span, moves: Moves, *, check: bool) -> Body:
        wanted = {} if span is None else {"Range": range_header(span)}
        try:
            found = await self.ask("get_object", Key=self.at(key), **wanted)
        except Exception as error:
            raise about_key(error, key) from None
        stream = found["Body"]
        try:
            require_s3s(found)
            length = found.get("ContentLength")
            size = whole_size(found.get("ContentRange"), span, length)
            moves(length or 0)
            data = await gather_body(stream.raw_stream.content.readany, length, self.place.stall_s)
        finally:
            stream.close()
        tag = tag_of(found)
        is_checked = check and span is None and is_md5(found, tag)
        if is_checked and (await self.md5(data)).hex() != tag:
            raise CorruptBodyError
        return Body(data=data, size=size, tag=tag, content_type=headers_of(found).content_type)

    async def _page(
        self,
        prefix: str,
        *,
        delimiter: str = "",
        token: str | None = None,
        after: str = "",
        limit: int,
    ) -> Page:
        more = {"StartAfter": after} if after else {}
        more |= {"ContinuationToken": token} if token else {}
        more |= {"Delimiter": delimiter} if delimiter else {}
        try:
            found = await self.ask("list_objects_v2", Prefix=prefix, MaxKeys=limit, **more)
        except Exception as error:
            raise about_bucket(error) from None
        if "KeyCount" not in found and "Name" not in found:
            raise StrangerError("no listing")
        objects = tuple(
            ObjectInfo(
                key=one["Key"], size=one["Size"], tag=tag_of(one), modified=one.get("LastModified")
            )
            for one in found.get("Contents", ())
        )
        prefixes = tuple(one["Prefix"] for one in found.get("CommonPrefixes", ()))
        token = found.get("NextContinuationToken") or None
        if found.get("IsTruncated") and token is None:
            raise StrangerError("a listing without its continuation")
        return Page(objects, prefixes, token)

    # Writing

    async def put(self, key: str, data: bytes, *, exclusive: bool, headers: Headers) -> Stored:
        """Store an object in one request."""
        digest = await self.md5(data)
        answer = await self.ask(
            "put_object",
            Key=self.at(key),
            Body=body_of(data),
            ContentMD5=base64.b64encode(digest).decode(),
            **await self._params("PutObject", headers),
            **({"IfNoneMatch": "*"} if exclusive else {}),
        )
        tag = tag_for(digest, answer)
        if tag is None:
            tag = digest.hex()
            await self._require_landed(key, len(data), tag)
        return Stored(tag, headers_kept=True)

    async def _require_landed(self, key: str, size: int, tag: str) -> None:
        """Look, where the answer to a write does not carry what it must."""
        try:
            found = await self._head(key)
        except FileNotFoundError:
            raise UnknownOutcomeError from None
        if (found.size, found.tag) != (size, tag):
            raise UnknownOutcomeError

    async def _begin(self, key: str, *, exclusive: bool, headers: Headers) -> S3Parts:
        begun = await self.ask(
            "create_multipart_upload",
            Key=self.at(key),
            **await self._params("CreateMultipartUpload", headers),
        )
        if not begun.get("UploadId"):
            raise StrangerError("no upload")
        return S3Parts(self, self.at(key), begun["UploadId"], exclusive)

    async def publish(
        self,
        staged: str,
        key: str,
        *,
        expected: str | None,
        size: int | None = None,
        looked: bool = False,
        keep: bool = False,
    ) -> Stored:
        """Copy a staged object to its own key, in parts where it is large, and delete it."""
        if not looked:  # not every server that speaks like S3 knows conditions
            await self._expect(key, expected)
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": f'"{expected}"'}
        if size is None:
            size = (await self._head(staged)).size or 0
        try:
            tag = await copied(self, staged, key, size, condition)
        except Exception as error:
            # Of a bucket that is gone nobody may say that a copy in it is.
            if expected is not None and code_of(error) == "NoSuchKey":
                await self._head(staged)  # it is there: what was to be replaced is not
                raise ChangedError from None
            raise
        if tag is None:
            raise UnknownOutcomeError
        if not keep:
            await self._discard(staged)
        return Stored(tag, headers_kept=True)

    async def _expect(self, key: str, expected: str | None) -> None:
        try:
            lies_there: str | None = (await self._head(key)).tag
        except FileNotFoundError:
            lies_there = None
        if lies_there != expected:
            raise ChangedError

    def source(self, key: str) -> dict[str, Any]:
        """Name an object as the source of a copy."""
        return {"CopySource": {"Bucket": self.place.bucket, "Key": self.at(key)}}

    async def copy_from(
        self, origin: Origin, key: str, *, exclusive: bool, headers: Headers
    ) -> Stored | None:
        """Copy an object of another bucket so that its tag must come out the same."""
        part_bytes = part_bytes_of(origin.tag, origin.size)
        if part_bytes is None:
            return None
        if exclusive:  # not every server that speaks like S3 knows conditions
            await self._expect(key, None)
        source = {**origin.family.source(origin.key), "CopySourceIfMatch": f'"{origin.tag}"'}
        # Tags would come along, and are each backend's own.
        has_tags = "Tagging" in {*self.write_options, *origin.family.write_options}
        more = {"TaggingDirective": "REPLACE"} if has_tags else {}
        condition = {"IfNoneMatch": "*"} if exclusive else {}
        try:
            if part_bytes:
                parts = await self._begin(key, exclusive=False, headers=headers)
                size = (origin.size, part_bytes)
                tag = await copied_in_parts(parts, source, size, condition, self.place.name)
                is_proof = True
            else:
                answer = await self.ask(
                    "copy_object",
                    Key=self.at(key),
                    MetadataDirective="REPLACE",
                    **{**source, **more},
                    **await self._params("CopyObject", headers),
                    **condition,
                )
                tag = tag_of(answer.get("CopyObjectResult", {}))
                is_proof = is_md5(answer, tag)
        except StrangerError:  # it took the request for a part of nothing
            raise RefusedError("it copies no parts") from None
        except Exception as error:
            raise about_copy(about_key(error, origin.key)) from None
        return Stored(tag, headers_kept=True, proven=is_proof and tag == origin.tag)

    async def _remove(self, key: str) -> None:
        answer = await self.ask("delete_object", Key=self.at(key))
        if not is_s3s(answer) and status_of(answer) != 204:  # noqa: PLR2004 - "No Content"
            raise UnknownOutcomeError

    async def delete(self, key: str, *, expected: str | None = None, looked: bool = False) -> None:
        """Delete an object; never on a condition. S3 says "done" of an absent key, so look."""
        if expected is not None:
            raise RefusedError("its tags are the same for the same bytes")
        if not looked:
            try:
                await self._head(key)
            except FileNotFoundError:
                await self._page(self._below, limit=1)  # a HEAD does not tell key from bucket
                raise
        await self._remove(key)

    async def sign(self, key: str, expiration: int) -> str:
        """Make a URL that reads the object for so many seconds."""
        client = await self._connected()
        url: str = await client.generate_presigned_url(
            "get_object",
            Params={"Bucket": self.place.bucket, "Key": self.at(key)},
            ExpiresIn=expiration,
        )
        return url

    async def abandon_uploads(self, before: dt.datetime, *, dry_run: bool = False) -> Sequence[str]:
        """Abort multipart uploads below the prefix that began before then."""
        keys: list[str] = []
        marker: dict[str, Any] = {}
        while True:
            found = await self.ask("list_multipart_uploads", Prefix=self._below, **marker)
            for one in found.get("Uploads", ()):
                if one["Initiated"] < before:
                    if not dry_run:
                        await self._abandon(one["Key"], one["UploadId"])
                    keys.append(one["Key"].removeprefix(self._below))
            following = {
                "KeyMarker": found.get("NextKeyMarker"),
                "UploadIdMarker": found.get("NextUploadIdMarker"),
            }
            if not found.get("IsTruncated") or following == marker:
                return keys
            marker = following

    async def _abandon(self, name: str, upload: str) -> None:
        try:
            await S3Parts(self, name, upload).abort()
        except Exception as error:
            if code_of(error) != "NoSuchUpload":  # else it has ended meanwhile
                raise

    async def close(self) -> None:
        """Close the connections."""
        self.close_threads()
        if self._fs._s3 is not None:
            await self._fs._s3.close()

    def drop(self) -> None:
        """Close the sockets where no loop can any more."""
        self.close_threads()
        sessions = getattr(getattr(self._fs._s3, "_endpoint", None), "http_session", None)
        for session in (getattr(sessions, "_sessions", None) or {}).values():
            drop_session(session)

    async def _params(self, operation: str, headers: Headers | None = None) -> dict[str, Any]:
        """Return what a write is given: its headers, and the backend's own options."""
        client = await self._connected()
        known = client.meta.service_model.operation_model(operation).input_shape.members
        if headers is None:  # a copy brings its headers along
            return {name: v for name, v in self.write_options.items() if name in known}
        require_plain_fields(headers)
        for name in self.write_options:
            if name not in known:
                raise WrongOptionError(f"write_options: S3's {operation} takes no {name}")
        params = {n: getattr(headers, field) for n, field in FIELDS.items()}
        params["ContentType"] = params["ContentType"] or NO_TYPE
        given = {name: value for name, value in params.items() if value is not None}
        return {**given, "Metadata": pack(headers.metadata, _PLAIN_NAME), **self.write_options}
