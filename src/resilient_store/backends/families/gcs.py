"""Google Cloud Storage: one request a call, to its JSON API.

gcsfs opens it (credentials, address, project) and is asked nothing else: its own calls retry,
hang without end, and hand out whatever page came as the object's bytes.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gcsfs import core
from google.auth.credentials import Signing

from resilient_store.backends.contract import (
    CorruptBodyError,
    Moves,
    Origin,
    RefusedError,
    Stored,
    StrangerError,
    Traits,
    UnknownOutcomeError,
)
from resilient_store.backends.families.bodies import (
    BeyondTheEndError,
    Span,
    gather_body,
    range_header,
    whole_size,
)
from resilient_store.backends.families.fields import type_or_none
from resilient_store.backends.families.flat import SPARE_CONNECTIONS, FlatFamily, Page, Place
from resilient_store.backends.families.gcs_answers import (
    BEYOND_THE_END,
    INFO,
    LISTING,
    NOT_FOUND,
    OBJECT,
    PAGE,
    REWRITTEN,
    WRITTEN,
    Answer,
    Checksum,
    GcsError,
    Options,
    about_bucket,
    about_key,
    brief_of,
    encoded,
    error_in,
    info_of,
    is_clear,
    is_not_met,
    is_of,
    resource_of,
    stated_in,
    tag_of,
)
from resilient_store.backends.families.gcs_copies import proves, rewritten
from resilient_store.backends.families.gcs_parts import GRAIN_BYTES, GcsParts
from resilient_store.backends.families.gcs_requests import (
    JSON,
    GcsRequests,
    multipart,
    read,
)
from resilient_store.backends.families.realm import about_copy, realm_of
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.policies import Backend

# Source: "V4 signing process".
LONGEST_SIGNATURE_S = 7 * 24 * 3600


def open_family(
    cls: Any,
    arguments: Sequence[Any],
    options: Mapping[str, Any],
    *,
    root: str,
    backend: Backend,
    name: str,
) -> GcsFamily:
    """Open a bucket as a filesystem's options say."""
    # What gcsfs gives by default brings threads, and asks over gRPC what kind of bucket it is.
    if (cls.__module__, cls.__name__) == ("gcsfs.extended_gcsfs", "ExtendedGcsFileSystem"):
        cls = core.GCSFileSystem
    try:
        filesystem = cls(*arguments, **{**options, "asynchronous": True})
    except ValueError:  # a token that is none, or has ended; the text may show it
        raise GcsError(401, "authError", "") from None
    bucket, _, prefix = root.strip("/").partition("/")
    place = Place.of(backend, name, bucket, prefix)
    requests = GcsRequests(filesystem, place, backend.max_concurrency + SPARE_CONNECTIONS)
    return GcsFamily(requests, place, backend.write_options, realm_of(cls, arguments, options))


class GcsFamily(FlatFamily):
    """A bucket of Google Cloud Storage. Its tags are generations: no two writes have the same."""

    traits = Traits(exclusive_create=None, conditional_delete=True, directories=False)
    names_what_is_absent = False
    least_part_bytes = GRAIN_BYTES
    part_grain_bytes = GRAIN_BYTES

    def __init__(
        self,
        requests: GcsRequests,
        place: Place,
        write_options: Mapping[str, Any],
        realm: str = "",
    ) -> None:
        super().__init__(place, write_options, realm)
        self._requests = requests

    # Reading

    async def _head(self, key: str) -> ObjectInfo:
        try:
            return info_of(key, await self._look(key, INFO))
        except GcsError as error:
            raise about_key(error, key) from None

    async def _look(self, key: str, fields: str) -> Mapping[str, Any]:
        address = self._requests.address("o", self.at(key))
        return await self._requests.ask(
            "get", "GET", address, kind=OBJECT, params={"fields": fields}
        )

    async def _fetch(self, key: str, span: Span, moves: Moves, *, check: bool) -> Body:
        # Whoever seems to understand it gets what was stored compressed as it was stored.
        headers = {"Accept-Encoding": "gzip"}
        if span is not None:
            headers["Range"] = range_header(span)
        address = self._requests.address("o", self.at(key), service="download/")
        async with self._requests.send(
            "GET", address, params={"alt": "media"}, headers=headers
        ) as answer:
            said = answer.headers
            if answer.status not in (200, 206):
                raise await self._why_not(key, await read(answer))
            if "X-Goog-Generation" not in said:
                raise StrangerError("not Google's answer")
            length = answer.content_length
            size = whole_size(said.get("Content-Range"), span, length)
            moves(length or 0)
            data = await gather_body(answer.content.readany, length, self.place.stall_s)
        checksum, stated = Checksum(), stated_in(said)
        if check and span is None and checksum.name in stated:
            await self._sum_up(checksum, data)
            if checksum.text != stated[checksum.name]:
                raise CorruptBodyError
        return Body(
            data=data,
            size=size,
            tag=said["X-Goog-Generation"],
            content_type=type_or_none(said.get("Content-Type")),
        )

    async def _why_not(self, key: str, refusal: Answer) -> Exception:
        """Return what it means that no bytes were handed out."""
        if refusal.status == BEYOND_THE_END:
            return BeyondTheEndError()
        if refusal.status != NOT_FOUND:
            return error_in(refusal, "get")
        # Google says it in plain words, and calls them HTML. Of others the metadata tells.
        words = f"No such object: {self.place.bucket}/{self.at(key)}"
        if refusal.body.strip() != words.encode():
            await self._head(key)
            return StrangerError("metadata and no bytes")
        return FileNotFoundError(2, "no such object", key)

    async def _require_bucket(self) -> None:
        """Ask each time: Google says "no such object" also where the bucket is gone."""
        await self._page(self._below, limit=1)

    async def _page(
        self,
        prefix: str,
        *,
        delimiter: str = "",
        token: str | None = None,
        after: str = "",
        limit: int,
    ) -> Page:
        params = {"prefix": prefix, "delimiter": delimiter, "pageToken": token or ""}
        params["startOffset"] = after
        given = {name: value for name, value in params.items() if value}
        given |= {"maxResults": str(limit), "fields": PAGE}
        try:
            found = await self._requests.ask(
                "list", "GET", self._requests.address("o"), kind=LISTING, params=given
            )
        except GcsError as error:
            raise about_bucket(error) from None
        objects = tuple(brief_of(one["name"], one) for one in found.get("items", ()))
        return Page(objects, tuple(found.get("prefixes", ())), found.get("nextPageToken") or None)

    async def _sum_up(self, checksum: Checksum, data: bytes) -> None:
        if len(data) <= checksum.inline_bytes:
            checksum.update(data)
        else:
            await self._hashing.run(lambda _: checksum.update(data))

    # Writing

    async def put(self, key: str, data: bytes, *, exclusive: bool, headers: Headers) -> Stored:
        """Store an object in one request; the service compares the bytes with their digest."""
        digests = {"md5Hash": encoded(await self.md5(data))}
        options = Options.of(self.write_options)
        resource = {"name": self.at(key), **resource_of(headers), **options.fields, **digests}
        content_type, body = multipart(resource, data)
        try:
            found = await self._requests.ask(
                "create",
                "POST",
                self._requests.address("o", service="upload/"),
                kind=OBJECT,
                params={
                    "uploadType": "multipart",
                    "fields": WRITTEN,
                    **_only_if_absent(exclusive=exclusive),
                    **options.query,
                },
                headers={"Content-Type": content_type},
                data=body,
            )
        except GcsError as error:
            raise about_bucket(error) from None
        except StrangerError:
            found = {}
        return await self.confirmed(key, found, len(data), digests)

    async def confirmed(
        self, key: str, found: Mapping[str, Any], size: int, digests: Mapping[str, str]
    ) -> Stored:
        """Return what a write left; look, where the answer does not carry what it must."""
        if is_clear(found, digests):
            if not is_of(found, size, digests):
                raise CorruptBodyError
            return Stored(tag_of(found), headers_kept=True)
        try:
            found = await self._look(key, WRITTEN)
        except Exception:
            raise UnknownOutcomeError from None
        if not (is_clear(found, digests) and is_of(found, size, digests)):
            raise UnknownOutcomeError
        return Stored(tag_of(found), headers_kept=True)

    async def _begin(self, key: str, *, exclusive: bool, headers: Headers) -> GcsParts:
        options = Options.of(self.write_options)
        resource = {"name": self.at(key), **resource_of(headers), **options.fields}
        content_type = resource["contentType"]
        answer = await self._requests.exchange(
            "POST",
            self._requests.address("o", service="upload/"),
            params={
                "uploadType": "resumable",
                **_only_if_absent(exclusive=exclusive),
                **options.query,
            },
            headers={"Content-Type": JSON, "X-Upload-Content-Type": content_type},
            data=json.dumps(resource).encode(),
        )
        if not answer.ok:
            raise about_bucket(error_in(answer, "create"))
        address = answer.headers.get("Location", "")
        if "upload_id=" not in address:
            raise StrangerError("no upload")
        return GcsParts(self, self._requests, key, address, content_type, self._sum_up)

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
        """Copy a staged object to its own key, and delete it."""
        options = Options.of(self.write_options)
        resource: dict[str, Any] = {}  # as it is
        if options.fields:
            headers = (await self._head(staged)).headers or Headers()
            resource = {**resource_of(headers), **options.fields}
        params = {
            "ifGenerationMatch": expected or "0",
            "fields": REWRITTEN,
            **options.for_rewrite(),
        }
        copy = await self._rewrite(self, staged, key, params, resource)
        tag = tag_of(copy)
        if tag is None:
            raise UnknownOutcomeError
        if size is not None and copy.get("size") != str(size):
            raise CorruptBodyError
        if not keep:
            await self._discard(staged)
        return Stored(tag, headers_kept=True)

    async def _rewrite(
        self, source: GcsFamily, named: str, key: str, params: Mapping[str, str], resource: Any
    ) -> Mapping[str, Any]:
        """Copy an object of this bucket, or another; return the copy's resource."""
        target = ("rewriteTo", "b", self.place.bucket, "o", self.at(key))
        address = source._requests.address("o", source.at(named), *target)
        try:
            return await rewritten(self._requests, address, params, resource)
        except GcsError as error:
            if error.status == NOT_FOUND:
                await self._require_bucket()
            raise about_key(error, named) from None

    async def copy_from(
        self, origin: Origin, key: str, *, exclusive: bool, headers: Headers
    ) -> Stored | None:
        """Copy one generation of an object of another bucket, and compare the checksums."""
        options = Options.of(self.write_options)
        params = {
            "ifSourceGenerationMatch": origin.tag,
            "fields": REWRITTEN,
            **_only_if_absent(exclusive=exclusive),
            **options.for_rewrite(),
        }
        resource = {**resource_of(headers), **options.fields}
        source: GcsFamily = origin.family
        try:
            there = await source.still(origin)
            if there is None:
                return None
            copy = await self._rewrite(source, origin.key, key, params, resource)
        except Exception as error:
            raise about_copy(error) from None
        return Stored(tag_of(copy), headers_kept=True, proven=proves(copy, there))

    async def _remove(self, key: str) -> None:
        await self.delete(key)

    async def delete(self, key: str, *, expected: str | None = None, looked: bool = False) -> None:
        """Delete an object, with a tag only the one that has it."""
        answer = await self._requests.exchange(
            "DELETE",
            self._requests.address("o", self.at(key)),
            params={} if expected is None else {"ifGenerationMatch": expected},
        )
        if answer.ok:
            if answer.body.strip() not in (b"", b"null"):
                raise UnknownOutcomeError
            return
        error = about_key(error_in(answer, "delete"), key)
        if is_not_met(error):
            error = await self._absent_or_changed(key)
        if isinstance(error, FileNotFoundError):
            await self._require_bucket()
        raise error

    async def sign(self, key: str, expiration: int) -> str:
        """Make a URL that reads the object for so many seconds."""
        if not isinstance(self._requests.credentials, Signing):
            raise RefusedError(
                "only the key of a service account signs a URL; give its file as token"
            )
        if expiration > LONGEST_SIGNATURE_S:
            raise RefusedError("a signed URL lasts seven days at most; give a shorter expiration")
        return await self._requests.in_thread(
            lambda: self._requests.signed(self.at(key), expiration)
        )

    async def abandon_uploads(self, before: dt.datetime, *, dry_run: bool = False) -> Sequence[str]:
        """Do nothing: an upload that nobody finishes ends by itself, after a week."""
        return []

    async def close(self) -> None:
        """Close the connections."""
        self.close_threads()
        await self._requests.close()

    def drop(self) -> None:
        """Close the sockets where no loop can any more."""
        self.close_threads()
        self._requests.drop()


def _only_if_absent(*, exclusive: bool) -> dict[str, str]:
    return {"ifGenerationMatch": "0"} if exclusive else {}
