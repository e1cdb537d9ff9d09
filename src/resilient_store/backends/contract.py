"""What a family of backends must be able to do, and the few errors that it may raise.

A family is the code for one kind of storage (disk, memory, S3, any other fsspec filesystem).
It raises whatever its storage raises; `client` turns that into one of the ten outcomes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from resilient_store.model.info import Body, Headers, ObjectInfo


class RootMissingError(Exception):
    """The root is not there (an unmounted disk, a deleted bucket): unavailable, never "absent".

    A text is of our own making: it says so of a root that is there, and is not what it was.
    """


class CorruptBodyError(Exception):
    """The bytes are not what the answer says of itself."""


class ChangedError(Exception):
    """What lies at the key is not what was looked at, so it was left alone."""


class RefusedError(Exception):
    """The backend is well and will never do this; the text is of our own making."""


class WrongOptionError(RefusedError):
    """An option of the backend's own that no write can go with."""


class UnknownOutcomeError(Exception):
    """A change may or may not have happened."""


class StrangerError(Exception):
    """Somebody else answered: a captive portal, a proxy's page. It says nothing of the object."""


@attrs.frozen(kw_only=True)
class Traits:
    """What a family can do.

    Attributes
    ----------
    exclusive_create
        Whether two creations of one key can never both succeed. None: it must be tried out.
    conditional_delete
        Whether tags are unique per write, so that a deletion can be bound to our own bytes.
    directories
        Whether directories exist by themselves, and a file and something below it cannot both.
    creates_whole
        Whether an exclusive creation appears whole, so that it is the way for every new path.
    begins_anywhere
        Whether a listing that begins in the middle spares what comes before.
    keeps_headers
        Whether an object's headers are kept with it.
    realm
        Where the platform copies by itself, the same for backends that one account of it may read
        and write; such a family is a `Copier`. Empty: it does not.
    """

    exclusive_create: bool | None
    conditional_delete: bool
    directories: bool
    creates_whole: bool = True
    begins_anywhere: bool = True
    keeps_headers: bool = True
    realm: str = ""


@attrs.frozen
class Stored:
    """What a write left: the backend's tag for these bytes, and whether it keeps headers.

    A copy is `proven` where the platform's own checksum says that it has its source's bytes.
    """

    tag: str | None = None
    headers_kept: bool = False
    proven: bool = False


@attrs.frozen
class Listed:
    """The next objects of a listing, in the order of their keys.

    Attributes
    ----------
    infos
        Perhaps none, though others follow.
    cursor
        What asks for those that follow, once; None: there are none.
    """

    infos: Sequence[ObjectInfo]
    cursor: Any = None


# Told that a long call moves on, and how many bytes it has still to bring, so that its
# deadline starts anew from there. May be called from any thread.
Moves = Callable[[int], None]


class Upload(Protocol):
    """An object under way: nothing is visible at its key until `finish`."""

    async def write(self, part: bytes) -> None:
        """Take the next bytes."""

    async def finish(self) -> Stored:
        """Make the object visible, whole."""

    async def abort(self) -> None:
        """Leave nothing behind."""


class Family(Protocol):
    """One kind of storage, opened at one root. Keys are relative to it; the root is ``""``."""

    traits: Traits

    async def info(self, key: str) -> ObjectInfo:
        """Say what lies at the key."""

    async def get(
        self, key: str, start: int | None, end: int | None, moves: Moves, *, check: bool = True
    ) -> Body:
        """Read an object, or a range of it as Python slices it. One request where it can be.

        Without `check` a family need not compare the bytes with what the platform states of
        them: the caller has a checksum of its own.
        """

    async def put(self, key: str, data: bytes, *, exclusive: bool, headers: Headers) -> Stored:
        """Store an object so that it appears whole."""

    async def upload(self, key: str, *, exclusive: bool, headers: Headers) -> Upload:
        """Begin to store an object of unknown length."""

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
        """Bring staged bytes, `size` of them, to a key where nothing but `expected` lies.

        Whoever has just `looked` may spare a platform that has conditions another look. With
        `keep` the staged object stays where it is, which a family may refuse.
        """

    async def delete(self, key: str, *, expected: str | None = None, looked: bool = False) -> None:
        """Delete an object; with a tag, only if the object still has it.

        Whoever has just `looked`, or has put it there, spares a platform another look that says
        "done" of what is absent.
        """

    async def list(self, key: str, *, recursive: bool, moves: Moves) -> list[ObjectInfo]:
        """List what lies under the key: one level, or everything, directories included."""

    async def page(self, after: str, cursor: Any, limit: int, moves: Moves) -> Listed:
        """List the next objects after a key, about so many; directories are none.

        All families have one order of keys: that of Python's strings, and of UTF-8's bytes. With
        a cursor the listing that handed it out goes on; after a failure another one is begun.
        """

    async def mkdir(self, key: str) -> None:
        """Make a directory, and those above it, where directories exist by themselves."""

    async def rmdir(self, key: str) -> None:
        """Remove an empty directory, where directories exist by themselves."""

    async def sign(self, key: str, expiration: int) -> str:
        """Return a URL that lets anybody read the object for `expiration` seconds."""

    async def abandon_uploads(self, before: dt.datetime, *, dry_run: bool = False) -> Sequence[str]:
        """Abort uploads that began before then and were never finished; return their keys.

        In a dry run abort nothing.
        """

    async def close(self) -> None:
        """Give back threads and connections."""

    def drop(self) -> None:
        """Give back connections without waiting, where no loop runs any more."""


@attrs.frozen(kw_only=True)
class Origin:
    """What is to be copied: an object of another family of the realm, while it has this tag."""

    family: Any
    key: str
    tag: str
    size: int


class Copier(Protocol):
    """A family whose platform copies between buckets by itself: its traits name a realm."""

    async def copy_from(
        self, origin: Origin, key: str, *, exclusive: bool, headers: Headers
    ) -> Stored | None:
        """Copy an object that still has the tag; None where this one has to be sent instead.

        Raises
        ------
        RefusedError
            Nothing is copied from there, whatever it is.
        """
