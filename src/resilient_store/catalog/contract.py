"""What a catalog's database must be able to do, and how it fails.

The rules are pure functions from records to records (`protocol.transactions`). A database
loads the records of the paths concerned, lets one such function decide, and stores what has
changed, all in one transaction: that is all it knows of them. Its calls block; `Catalog` runs
them in threads of their own, and bounds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, NamedTuple, Protocol, TypeVar

import attrs

from resilient_store.model.amount import Amount
from resilient_store.model.state import Record, State, StoreState
from resilient_store.protocol.moment import Moment

A = TypeVar("A")

Change = Callable[[tuple[Record, ...], Moment], tuple[tuple[Record, ...], A]]


class CatalogDownError(Exception):
    """The database could not be asked; the text is our own. Nothing was changed."""


class CommitUnknownError(CatalogDownError):
    """The answer to a commit was lost: it was carried out, or it was not (R6)."""


class Summary(NamedTuple):
    """One object, as a listing shows it; a tuple, for there may be a million of them."""

    path: str
    version: int
    size: int
    checksum: str
    content_type: str | None
    created_s: float
    modified_s: float


class Holding(NamedTuple):
    """One object, and which backends hold its current version, good.

    A path that is no object (its deletion is not carried out everywhere) has no size.
    """

    path: str
    size: int | None
    backends: tuple[str, ...]


@attrs.frozen
class Alike:
    """How many objects a backend holds in one state, and the least version of them.

    A good replica of an older version is stale; of objects without any replica row the backend is
    empty, and the state missing.
    """

    backend: str
    state: State
    amount: Amount
    least: int


@attrs.frozen
class Stretch:
    """What the next objects add up to, in the order of their paths.

    Attributes
    ----------
    after
        The path to go on after; empty at the end.
    newest
        Their greatest version.
    lost
        How many of them no replica may still hold.
    """

    after: str
    objects: Amount
    newest: int
    lost: int
    copies: tuple[Alike, ...]


class Dumped(NamedTuple):
    """How much a dump holds: rows of all tables, and objects among them."""

    rows: int
    objects: int


class Database(Protocol):
    """One catalog's tables. Every call may be made from any thread, and after a fork."""

    def prepare(self) -> None:
        """Make the tables where there are none; refuse a schema that this release cannot use."""

    def find(self, path: str) -> tuple[Record, StoreState | None]:
        """Load what is known of a path, and of the store where the path has no entry."""

    def state(self) -> StoreState | None:
        """Load what is known of the store; None where it has no identity yet."""

    def change(self, paths: Sequence[str], late_window_s: float, change: Change[A]) -> A:
        """Let a function change the records of some paths, in one transaction, or none of it."""

    def change_state(self, change: Callable[[StoreState | None, float], StoreState]) -> StoreState:
        """Let a function change what is known of the store, given the catalog's clock."""

    def page(self, prefix: str, after: str, limit: int) -> list[Summary]:
        """List objects whose path begins with `prefix` and comes after `after`, in order."""

    def names(self, prefix: str, after: str, limit: int) -> list[str]:
        """List the paths of the same objects, and nothing else of them."""

    def has_below(self, folder: str) -> bool:
        """Say whether an object lies below a folder."""

    def present(self, paths: Sequence[str]) -> list[str]:
        """Return those of these paths that are objects."""

    def folded(self, path: str) -> list[str]:
        """Return objects whose path differs from this one only in case or Unicode form."""

    def owed(self, after: str, limit: int) -> list[str]:
        """List paths of which something is not as it should be, or is at work, in order."""

    def queue(self, after: str, limit: int) -> list[Holding]:
        """List the same paths as `owed`, with who holds what."""

    def hidden(self, prefix: str, after: str, limit: int) -> list[str]:
        """List paths within a prefix that have a tombstone, void or intent, in order."""

    def working(self, now_s: float, limit: int) -> list[str]:
        """List paths that somebody alive is changing, in order; repair changes no object."""

    def without(self, backend: str, after: str, limit: int) -> tuple[list[str], str]:
        """List objects of which a backend has no replica row, in order, and how far that goes.

        In a large store most objects may have one, so that one call looks at so many only; it
        goes on after the path that is returned, and has come to the end where that is empty.
        """

    def held_by(self, backend: str, after: str, limit: int) -> list[str]:
        """List paths of which a backend has a replica row, in order."""

    def records(self, paths: Sequence[str]) -> list[Record]:
        """Load what is known of some paths, each as it is at a moment of its own."""

    def holdings(self, prefix: str, after: str, limit: int) -> list[Holding]:
        """List objects whose path begins with `prefix` and comes after `after`, in order."""

    def stretch(self, after: str) -> Stretch:
        """Add up the next objects after a path: so many that the answer comes at once.

        Goes on after the path that is returned, and has come to the end where that is empty.
        """

    def tokens(self, tokens: Sequence[str]) -> set[str]:
        """Return those of these staging tokens that an intent or a replica names (R18)."""

    def raise_counter(self, least: int) -> None:
        """Let the store's counter go on from `least` at least (R7)."""

    def dump(self, file: BinaryIO, number: int, check: Callable[[], None]) -> Dumped:
        """Write all that is known at one moment into a local file; see `dump.Head`.

        It takes its time; `check` is called now and then, and what it raises ends it.
        """

    def wipe(self) -> None:
        """Forget all but who the store is, and that nobody may use it now."""

    def load(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Store some rows of a dump, in one transaction."""

    def close(self) -> None:
        """Give connections back."""

    def now_s(self) -> float:
        """Return the catalog's clock: the database's, where it has one."""


def single(change: Callable[[Record, Moment], tuple[Record, A]]) -> Change[A]:
    """Make a function on one record a function on a tuple of one."""

    def apply(records: tuple[Record, ...], moment: Moment) -> tuple[tuple[Record, ...], A]:
        (record,) = records
        after, answer = change(record, moment)
        return (after,), answer

    return apply
