"""Object stores: keys that are only names, in a bucket that may be gone.

What S3, Google Cloud Storage and Azure have in common is here: when "not found" counts, what
is a directory, ranges, uploads in parts, listings page by page. Each platform adds the requests.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

import attrs

from resilient_store.backends.classify import classify
from resilient_store.backends.contract import (
    ChangedError,
    CorruptBodyError,
    Listed,
    Moves,
    Origin,
    RefusedError,
    Stored,
    StrangerError,
    Traits,
    Upload,
)
from resilient_store.backends.families.bodies import BeyondTheEndError, Span
from resilient_store.backends.families.gathered import GatheredUpload, Parts
from resilient_store.backends.families.whole import Whole
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.model.outcome import Outcome
from resilient_store.model.part import md5_of
from resilient_store.model.path import above, join
from resilient_store.policies import Backend
from resilient_store.threads import DaemonPool

logger = logging.getLogger("resilient_store")

PAGE_KEYS = 1000
# Before an answer's first byte: a large copy may take that long. The outer deadline rules.
LONGEST_SILENCE_S = 60.0
SPARE_CONNECTIONS = 8  # for probes and clean-ups beside the calls
# After so many absent keys the bucket itself is looked at again.
CHECK_AGAIN_AFTER = 20
# Hashing more than this (1 ms) would hold up the loop, so a thread does it.
_HASH_INLINE_BYTES = 512 * 1024
_HASH_THREADS = 2


@attrs.frozen
class Page:
    """One page of a listing.

    Attributes
    ----------
    objects
        What lies there; their keys are whole names in the bucket.
    prefixes
        Names up to the delimiter, with it.
    token
        What asks for the next page; None at the end.
    """

    objects: tuple[ObjectInfo, ...]
    prefixes: tuple[str, ...] = ()
    token: str | None = None


@attrs.frozen(kw_only=True)
class Place:
    """Where in a platform the objects lie, and how long its calls may take.

    Attributes
    ----------
    bucket
        Or container.
    prefix
        Of every name in it, without slashes around it.
    name
        The backend's name.
    timeout_s, stall_s
        For a call without a body, and between two pieces of a body.
    """

    bucket: str
    prefix: str
    name: str
    timeout_s: float
    stall_s: float

    @classmethod
    def of(cls, backend: Backend, name: str, bucket: str, prefix: str) -> Place:
        """Take the limits from a backend's configuration."""
        return cls(
            bucket=bucket,
            prefix=prefix.strip("/"),
            name=name,
            timeout_s=backend.timeout,
            stall_s=backend.stall_timeout,
        )


class FlatFamily(ABC):
    """A bucket of an object store.

    Parameters
    ----------
    place
        The bucket and its limits.
    write_options
        Given to every write.
    realm
        As in its traits.

    Notes
    -----
    Promises: P4, P5, P6. Source: design, section 4, "Certain absence" and "Never blank".
    """

    traits = Traits(exclusive_create=None, conditional_delete=True, directories=False)
    # Whether an absent key's own answer tells it from an absent bucket.
    names_what_is_absent: ClassVar[bool] = True
    takes_suffixes: ClassVar[bool] = True
    # Parts of an upload: all but the last have at least this, and are multiples of the grain.
    least_part_bytes = 1
    part_grain_bytes = 1

    def __init__(self, place: Place, write_options: Mapping[str, Any], realm: str = "") -> None:
        self.traits = attrs.evolve(self.traits, realm=realm)
        self.place = place
        self.write_options = dict(write_options)
        self._below = f"{place.prefix}/" if place.prefix else ""
        self._is_there = False
        self._lists_in_order = True
        self._absent = 0
        self._hashing = DaemonPool(f"{place.name}-hash", _HASH_THREADS)

    # What each platform adds

    @abstractmethod
    async def _head(self, key: str) -> ObjectInfo:
        """Look at an object; FileNotFoundError only on the platform's own word."""

    @abstractmethod
    async def _fetch(self, key: str, span: Span, moves: Moves, *, check: bool) -> Body:
        """Read an object or a range; FileNotFoundError only on the platform's own word."""

    @abstractmethod
    async def _page(
        self,
        prefix: str,
        *,
        delimiter: str = "",
        token: str | None = None,
        after: str = "",
        limit: int,
    ) -> Page:
        """List names that begin so; RootMissingError where the bucket is not there.

        Those that do not come after `after` may be left out, where the platform can.
        """

    def _warns_of_disorder(self, info: ObjectInfo) -> bool:
        """Say whether what follows in a listing may be out of order, though nothing has been."""
        return False

    @abstractmethod
    async def _begin(self, key: str, *, exclusive: bool, headers: Headers) -> Parts:
        """Begin an upload in parts."""

    @abstractmethod
    async def _remove(self, key: str) -> None:
        """Delete an object without looking at it."""

    @abstractmethod
    async def put(self, key: str, data: bytes, *, exclusive: bool, headers: Headers) -> Stored:
        """Store an object so that it appears whole."""

    # What they share

    def at(self, key: str) -> str:
        """Return a key's whole name in the bucket."""
        return join(self.place.prefix, key)

    async def info(self, key: str) -> ObjectInfo:
        """Say what lies at the key: an object, or a directory if names go on below it."""
        if not key:
            await self._page(self._below, limit=1)
            return ObjectInfo(key="", directory=True)
        try:
            return await self._head(key)
        except FileNotFoundError:
            pass
        try:
            page = await self._first(f"{self.at(key)}/")
        except Exception as error:
            if not _is_denied(error):
                raise
            # No listing, so no directories; whether the key is absent, a read may tell.
            await self.get(key, 0, 1, lambda _: None)
            raise
        self._is_there = True
        if page.objects or page.prefixes:
            return ObjectInfo(key=key, directory=True)
        raise FileNotFoundError(2, "no such object", key)

    async def _first(self, prefix: str) -> Page:
        """List the first name that begins so; a page may be empty, and others follow."""
        page = await self._page(prefix, limit=1)
        while page.token is not None and not (page.objects or page.prefixes):
            token = page.token
            page = await self._page(prefix, token=token, limit=1)
            if page.token == token:
                raise StrangerError("a listing that never ends")
        return page

    async def get(
        self, key: str, start: int | None, end: int | None, moves: Moves, *, check: bool = True
    ) -> Body:
        """Read an object, or a range of it as Python slices it."""
        try:
            if self._takes_a_look(start, end):
                return await self._fetch_slice(key, start, end, moves, check=check)
            whole = end is None and not start
            try:
                span = None if whole else (start or 0, end)
                return await self._fetch(key, span, moves, check=check)
            except BeyondTheEndError:
                # There is nothing, or it is a server that knows no more last bytes than all.
                return await self._fetch_slice(key, start, end, moves, check=check)
        except BeyondTheEndError:
            raise CorruptBodyError from None
        except FileNotFoundError:
            await self._require_bucket()
            raise

    async def _fetch_slice(
        self, key: str, start: int | None, end: int | None, moves: Moves, *, check: bool
    ) -> Body:
        """Read what a slice means, now that the object's size is looked up."""
        info = await self._head(key)
        if info.directory:
            raise FileNotFoundError(2, "a directory", key)
        first, last, _ = slice(start, end).indices(info.size or 0)
        if first < last:
            return await self._fetch(key, (first, last), moves, check=check)
        content_type = info.headers.content_type if info.headers else None
        return Body(data=b"", size=info.size, tag=info.tag, content_type=content_type)

    def _takes_a_look(self, start: int | None, end: int | None) -> bool:
        """Whether it takes the object's size to say which bytes a slice means."""
        first = start or 0
        if end is None:
            return first < 0 and not self.takes_suffixes
        return not end > first >= 0

    async def upload(self, key: str, *, exclusive: bool, headers: Headers) -> Upload:
        """Begin an object of unknown length; a short one is sent as a whole in the end."""
        return GatheredUpload(self, key, exclusive=exclusive, headers=headers)

    async def list(self, key: str, *, recursive: bool, moves: Moves) -> list[ObjectInfo]:
        """List one level, or everything below, page by page."""
        prefix = f"{self.at(key)}/" if self.at(key) else ""
        found: dict[str, ObjectInfo] = {}
        folders: dict[str, ObjectInfo] = {}  # an object may bear the name of one
        is_there, token = not key, None
        while True:
            page = await self._page(
                prefix, delimiter="" if recursive else "/", token=token, limit=PAGE_KEYS
            )
            moves(0)
            is_there = is_there or bool(page.objects or page.prefixes)
            for info in page.objects:
                self._add(found, key, info)
            for name in page.prefixes:
                self._add_directories(folders, key, f"{name}.")
            if page.token is None:
                break
            if page.token == token:
                raise StrangerError("a listing that never ends")
            token = page.token
        self._is_there = True
        if is_there:
            return [*found.values(), *folders.values()]
        info = await self._head(key)
        return [] if info.directory else [info]

    async def page(self, after: str, cursor: Any, limit: int, moves: Moves) -> Listed:
        """List a page as the platform does, where that is in order; else all of it at once."""
        if isinstance(cursor, Whole):
            return cursor.page(limit)
        if cursor is None and not self._lists_in_order:
            return (await self._whole(after, moves)).page(limit)
        since, token, last = cursor or (after, None, None)
        start = self.at(since) if since else ""
        limit = PAGE_KEYS if since and not self.traits.begins_anywhere else limit
        page = await self._page(self._below, token=token, after=start, limit=limit)
        keys = [info.key.removeprefix(self._below) for info in page.objects]
        is_warned = any(map(self._warns_of_disorder, page.objects))
        told = keys if last is None else [last, *keys]  # the root's own marker has an empty key
        if is_warned or any(one >= two for one, two in pairwise(told)):
            self._lists_in_order = False
            if cursor is not None and not is_warned:
                raise RefusedError("its keys come in an order of its own; call again")
            return (await self._whole(max(after, last or ""), moves)).page(limit)
        if page.token is not None and page.token == token:
            raise StrangerError("a listing that never ends")
        infos = [
            attrs.evolve(info, key=key)
            for info, key in zip(page.objects, keys, strict=True)
            if key > after and not key.endswith("/")
        ]
        following = None if page.token is None else (since, page.token, keys[-1] if keys else last)
        return Listed(infos, following)

    async def _whole(self, after: str, moves: Moves) -> Whole:
        return Whole.of(await self.list("", recursive=True, moves=moves), after)

    async def mkdir(self, key: str) -> None:  # noqa: B027 - there is nothing to add
        """Do nothing: directories do not exist by themselves."""

    async def rmdir(self, key: str) -> None:  # noqa: B027 - there is nothing to add
        """Do nothing: directories do not exist by themselves."""

    async def md5(self, data: bytes) -> bytes:
        """Return the MD5 digest by which platforms recognise bytes."""
        if len(data) <= _HASH_INLINE_BYTES:
            return md5_of(data)
        return await self._hashing.run(lambda _: md5_of(data))

    def close_threads(self) -> None:
        """Let the threads end."""
        self._hashing.close()

    async def _discard(self, staged: str) -> None:
        """Remove what was published; what cannot be is swept later, and is no reason to fail."""
        try:
            await self._remove(staged)
        except Exception as error:
            logger.warning(
                "backend %s: a staged object stays until a sweep (%s)",
                self.place.name,
                type(error).__name__,
            )

    async def still(self, origin: Origin) -> ObjectInfo | None:
        """Look at what is to be copied from here; None where it is not what it was."""
        try:
            info = await self._head(origin.key)
        except FileNotFoundError:
            await self._require_bucket()
            return None
        except CorruptBodyError:
            return None
        return info if info.tag == origin.tag else None

    async def _absent_or_changed(self, key: str) -> Exception:
        """Tell the two apart where a condition was not met, which platforms say of both."""
        try:
            await self._head(key)
        except FileNotFoundError as absent:
            return absent
        except Exception:
            logger.debug("backend %s: what was not deleted cannot be looked at", self.place.name)
        return ChangedError()

    async def _require_bucket(self) -> None:
        """Let "not found" count only while the bucket is known to be there."""
        self._absent += 1
        if self._is_there and self._absent <= CHECK_AGAIN_AFTER:
            return
        try:
            await self._page(self._below, limit=1)
        except Exception as error:
            # Who may only read has the platform's word on the key, or nobody's.
            if not (self.names_what_is_absent and _is_denied(error)):
                raise
        self._is_there, self._absent = True, 0

    def _add(self, found: dict[str, ObjectInfo], listed: str, info: ObjectInfo) -> None:
        key = info.key.removeprefix(self._below)
        self._add_directories(found, listed, info.key)
        if key and not key.endswith("/"):  # else the marker of a directory, which some tools leave
            found[key] = attrs.evolve(info, key=key)

    def _add_directories(self, found: dict[str, ObjectInfo], listed: str, name: str) -> None:
        for directory in above(name.removeprefix(self._below)):
            if directory in found or len(directory) <= len(listed):
                return
            found[directory] = ObjectInfo(key=directory, directory=True)


def _is_denied(error: Exception) -> bool:
    return classify(error, changing=False)[0] is Outcome.DENIED
