"""Azure Blob Storage: one request a call, through the client of azure-storage-blob.

adlfs says which account and credential, and is asked nothing else: its own calls retry, leave
connections open when they are cancelled, and take a stranger's page for an answer.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from azure.core import MatchConditions
from azure.storage.blob.aio import BlobPrefix, BlobServiceClient

from resilient_store import runtime
from resilient_store.backends.contract import (
    CorruptBodyError,
    Moves,
    Origin,
    RefusedError,
    Stored,
    Traits,
    UnknownOutcomeError,
)
from resilient_store.backends.families.azure_account import Account
from resilient_store.backends.families.azure_answers import (
    FOLDER,
    NOT_MET,
    about_commit,
    about_container,
    about_key,
    about_range,
    about_source,
    checked_options,
    code_of,
    digest_header,
    info_of,
    md5_of,
    require_copied,
    same_fields,
    settings_for,
    tag_of,
)
from resilient_store.backends.families.azure_parts import AzureParts
from resilient_store.backends.families.azure_transport import AzureTransport
from resilient_store.backends.families.bodies import Span, gather_body, range_header, whole_size
from resilient_store.backends.families.fields import type_or_none
from resilient_store.backends.families.flat import (
    LONGEST_SILENCE_S,
    SPARE_CONNECTIONS,
    FlatFamily,
    Page,
    Place,
)
from resilient_store.backends.families.realm import about_copy, realm_of
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.policies import Backend

# Source: "Get Blob", the header x-ms-range-get-content-md5.
LARGEST_CHECKED_RANGE_BYTES = 4 * 1024**2

# Source: "Copy Blob From URL".
LARGEST_COPY_BYTES = 256 * 1024**2

LAST_OF_ONE_UNIT = "\uffff"  # of UTF-16

FIRST_LOOK_S, LONGEST_PAUSE_S = 0.05, 1.0  # between two looks at a copy


def open_family(
    cls: Any,
    arguments: Sequence[Any],
    options: Mapping[str, Any],
    *,
    root: str,
    backend: Backend,
    name: str,
) -> AzureFamily:
    """Open a container as a filesystem's options say."""
    account = Account.of(cls(*arguments, **options))
    container, _, prefix = root.strip("/").partition("/")
    return AzureFamily(
        account,
        Place.of(backend, name, container, prefix),
        backend.write_options,
        backend.max_concurrency + SPARE_CONNECTIONS,
        realm_of(cls, arguments, options),
    )


class AzureFamily(FlatFamily):
    """A container of an Azure storage account."""

    traits = Traits(
        exclusive_create=None, conditional_delete=True, directories=False, begins_anywhere=False
    )
    takes_suffixes = False
    least_part_bytes = 4 * 1024**2

    def __init__(
        self,
        account: Account,
        place: Place,
        write_options: Mapping[str, Any],
        connections: int,
        realm: str = "",
    ) -> None:
        super().__init__(place, write_options, realm)
        self._account = account
        self._connections = connections
        self._transport: AzureTransport | None = None
        self._client: Any = None
        self._has_folders = False

    def _container(self) -> Any:
        if self._client is None:
            self._transport = AzureTransport(
                self._account.url,
                connections=self._connections,
                connect_s=self.place.timeout_s,
                silence_s=self.place.timeout_s + LONGEST_SILENCE_S,
            )
            service = BlobServiceClient(
                self._account.url,
                credential=self._account.credential,
                transport=self._transport,
                retry_total=0,
                permit_redirects=False,
                max_single_put_size=sys.maxsize,
            )
            self._client = service.get_container_client(self.place.bucket)
        return self._client

    def blob(self, key: str, *, changing: bool = False) -> Any:
        """Return the client of a blob.

        Raises
        ------
        RefusedError, FileNotFoundError
            Azure drops a dot at the end of a name's part, so this would be another object.
        """
        name = self.at(key)
        if any(part.endswith(".") for part in name.split("/")):
            if changing:
                raise RefusedError("a part of the name ends with a dot, which Azure drops")
            raise FileNotFoundError(2, "no such object", key)
        return self._container().get_blob_client(name)

    # Reading

    async def _head(self, key: str) -> ObjectInfo:
        try:
            found = await self.blob(key).get_blob_properties()
        except Exception as error:
            raise about_key(error, key) from None
        require_copied(found.copy.status)
        info = info_of(key, found)
        self._has_folders |= info.directory
        return info

    async def _fetch(self, key: str, span: Span, moves: Moves, *, check: bool) -> Body:
        is_checked = check and (
            span is None
            or (span[1] is not None and span[1] - span[0] <= LARGEST_CHECKED_RANGE_BYTES)
        )
        try:
            # The one call below the public ones: those retry a broken body by themselves.
            answer = await self.blob(key)._client.blob.download(
                range=None if span is None else range_header(span),
                range_get_content_md5=(span is not None and is_checked) or None,
                cls=lambda response, *_: response.http_response.internal_response,
            )
        except Exception as error:
            raise (about_key if span is None else about_range)(error, key) from None
        said = answer.headers
        try:
            if said.get(f"x-ms-meta-{FOLDER}", "").lower() == "true":
                raise FileNotFoundError(2, "a directory", key)
            require_copied(said.get("x-ms-copy-status"))
            length = answer.content_length
            size = whole_size(said.get("Content-Range"), span, length)
            moves(length or 0)
            data = await gather_body(answer.content.readany, length, self.place.stall_s)
        finally:
            answer.close()  # given back already where it was read to its end
        digest = said.get("Content-MD5")
        if is_checked and digest and digest_header(await self.md5(data)) != digest.strip():
            raise CorruptBodyError
        return Body(
            data=data,
            size=size,
            tag=tag_of(said.get("ETag")),
            content_type=type_or_none(said.get("Content-Type")),
        )

    async def _page(
        self,
        prefix: str,
        *,
        delimiter: str = "",
        token: str | None = None,
        after: str = "",
        limit: int,
    ) -> Page:
        # Metadata tells a directory of a hierarchical account from an empty object.
        wanted: dict[str, Any] = {"name_starts_with": prefix or None, "include": ["metadata"]}
        wanted["results_per_page"] = limit
        container = self._container()
        if delimiter:
            pages = container.walk_blobs(delimiter=delimiter, **wanted).by_page(token)
        else:
            pages = container.list_blobs(**wanted).by_page(token)
        try:
            found = [one async for one in await anext(pages)]
        except Exception as error:
            raise about_container(error) from None
        prefixes = tuple(one.name for one in found if isinstance(one, BlobPrefix))
        objects = tuple(info_of(o.name, o) for o in found if not isinstance(o, BlobPrefix))
        self._has_folders |= any(info.directory for info in objects)
        return Page(objects, prefixes, pages.continuation_token or None)

    def _warns_of_disorder(self, info: ObjectInfo) -> bool:
        """Say so of a hierarchical account's folder, and of what UTF-16 sorts in its own way."""
        return info.directory or max(info.key) > LAST_OF_ONE_UNIT

    # Writing

    async def put(self, key: str, data: bytes, *, exclusive: bool, headers: Headers) -> Stored:
        """Store an object in one request."""
        digest = await self.md5(data)
        try:
            answer = await self.blob(key, changing=True).upload_blob(
                data,
                length=len(data),
                overwrite=not exclusive,
                headers={"Content-MD5": digest_header(digest)},
                **self.settings(headers, digest),
            )
        except Exception as error:
            raise about_commit(error, exclusive=exclusive) from None
        if answer.get("content_md5") not in (None, digest):
            raise CorruptBodyError
        return await self.confirmed(key, answer, len(data), digest)

    def settings(self, headers: Headers, digest: bytes) -> dict[str, Any]:
        """Return what a write is given."""
        return {**settings_for(headers, digest), **checked_options(self.write_options)}

    async def confirmed(self, key: str, answer: Any, size: int, digest: bytes) -> Stored:
        """Return what a write left; look, where the answer does not carry what it must."""
        tag = tag_of(answer.get("etag"))
        if tag is None:
            try:
                found = await self.blob(key).get_blob_properties()
            except Exception:
                raise UnknownOutcomeError from None
            tag = tag_of(found.etag)
            if (found.size, found.content_settings.content_md5) != (size, digest) or not tag:
                raise UnknownOutcomeError
        return Stored(tag, headers_kept=True)

    async def _begin(self, key: str, *, exclusive: bool, headers: Headers) -> AzureParts:
        return AzureParts(self, key, headers, exclusive, self._hashing)

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
        """Copy a staged object to its own key on a condition, and delete it."""
        target = self.blob(key, changing=True)
        try:
            answer = await target.start_copy_from_url(
                self._account.source(self.blob(staged)),
                **_only_if(expected),
                **checked_options(self.write_options),
            )
        except Exception as error:
            raise about_container(error) from None
        status, tag = answer.get("copy_status"), answer.get("etag")
        pause_s = FIRST_LOOK_S
        while status == "pending":
            await runtime.pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            try:
                found = await target.get_blob_properties()
            except Exception:
                raise UnknownOutcomeError from None
            if found.copy.id != answer.get("copy_id"):
                raise UnknownOutcomeError
            status, tag = found.copy.status, found.etag
        if status != "success" or not tag:
            raise UnknownOutcomeError
        if not keep:
            await self._discard(staged)
        return Stored(tag_of(tag), headers_kept=True)

    async def copy_from(
        self, origin: Origin, key: str, *, exclusive: bool, headers: Headers
    ) -> Stored | None:
        """Copy an object of another container; Azure compares the bytes with their digest."""
        if origin.size > LARGEST_COPY_BYTES:
            return None
        source: AzureFamily = origin.family
        try:
            there = await source.still(origin)
            digest = None if there is None else md5_of(there)
            if there is None or digest is None or not same_fields(there, headers):
                return None
            settings = settings_for(headers, digest)
            answers: list[Any] = []
            answer = await self.blob(key, changing=True).start_copy_from_url(
                self._account.lent(source.blob(origin.key)),
                metadata=settings["metadata"] or None,
                requires_sync=True,
                source_etag=f'"{origin.tag}"',
                source_match_condition=MatchConditions.IfNotModified,
                headers={"x-ms-source-content-md5": digest_header(digest)},
                raw_response_hook=answers.append,
                **(_only_if(None) if exclusive else {}),
                **checked_options(self.write_options),
            )
        except Exception as error:
            raise about_copy(about_source(error, origin.key)) from None
        said = answers[-1].http_response.headers.get("Content-MD5")
        is_proven = answer.get("copy_status") == "success" and said == digest_header(digest)
        return Stored(tag_of(answer.get("etag")), headers_kept=True, proven=is_proven)

    async def _remove(self, key: str) -> None:
        await self.blob(key).delete_blob()

    async def delete(self, key: str, *, expected: str | None = None, looked: bool = False) -> None:
        """Delete an object, with a tag only the one that has it."""
        condition = {} if expected is None else _only_if(expected)
        try:
            await self.blob(key).delete_blob(**condition)
        except Exception as error:
            said = about_key(error, key)
            if code_of(error) in NOT_MET:
                said = await self._absent_or_changed(key)
            if isinstance(said, FileNotFoundError):
                await self._require_bucket()
            raise said from None

    async def rmdir(self, key: str) -> None:
        """Remove an empty directory, where a hierarchical account has any."""
        if not self._has_folders:
            return
        try:
            is_folder = (await self._head(key)).directory
        except FileNotFoundError:
            return
        if is_folder:
            await self._remove(key)

    async def sign(self, key: str, expiration: int) -> str:
        """Make a URL that reads the object for so many seconds."""
        return self._account.sign(self.blob(key), expiration)

    async def abandon_uploads(self, before: dt.datetime, *, dry_run: bool = False) -> Sequence[str]:
        """Do nothing: blocks that nobody commits vanish by themselves, after a week."""
        return []

    async def close(self) -> None:
        """Close the connections, and the credentials that were made for them."""
        self.close_threads()
        if self._transport is not None:
            await self._transport.close()
        await self._account.close()

    def drop(self) -> None:
        """Close the sockets where no loop can any more."""
        self.close_threads()
        if self._transport is not None:
            self._transport.drop()


def _only_if(expected: str | None) -> dict[str, Any]:
    """Return the condition that nothing but what is expected lies at a key."""
    if expected is None:
        return {"match_condition": MatchConditions.IfMissing}
    return {"match_condition": MatchConditions.IfNotModified, "etag": f'"{expected}"'}
