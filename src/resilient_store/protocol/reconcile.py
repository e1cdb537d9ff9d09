"""After a restore: what lies in the backends, held against a catalog that is older than they.

Only numbers decide, never times. A version that was drawn after the snapshot, or by an intent that
was open in it, may be newer than what the snapshot knows; any other that it does not know had come
to its end before (R7). A version counts that enough backends hold for it to have been acknowledged,
or that lies where only a committed one can: at the own key of a path that was known, or where
repair has staged it. Another counts only where nothing else is left of the path, since it may be
all that is left of an acknowledged one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from resilient_store.model.info import Headers
from resilient_store.model.state import (
    OWN,
    PAST_KEPT,
    Content,
    Entry,
    Phase,
    Record,
    Replica,
    State,
    Void,
)
from resilient_store.protocol.moment import Moment
from resilient_store.protocol.transactions import everywhere, remembered


@attrs.frozen(kw_only=True)
class Lying:
    """A whole object that lies at a path's own key, or in its staging.

    Attributes
    ----------
    place
        ``"own"``, or the token of its staging key.
    version, checksum
        As its label says; 0 and empty where it has none.
    size
        In bytes.
    known
        Whether it is what the catalog's row remembers there, by its tag.
    """

    backend: str
    place: str
    version: int = 0
    checksum: str = ""
    tag: str | None = None
    size: int = 0
    known: bool = False


@attrs.frozen(kw_only=True)
class Looked:
    """What a look at all backends showed of one path.

    Attributes
    ----------
    by
        The record that was looked up before.
    lying
        What lies there.
    answered
        The backends that could be asked.
    number
        The snapshot's.
    """

    by: Record
    lying: tuple[Lying, ...]
    answered: frozenset[str]
    number: int

    def at(self, backend: str, place: str | None = OWN) -> Lying | None:
        """Return what lies at one place; nothing does where there is none."""
        found = (one for one in self.lying if (one.backend, one.place) == (backend, place))
        return next(found, None)

    @property
    def current(self) -> tuple[str, ...]:
        """Backends where the version lies that the catalog knows."""
        version = 0 if self.by.present is None else self.by.present.version
        return tuple(
            dict.fromkeys(
                one.backend
                for one in self.lying
                if version and (one.known or one.version == version)
            )
        )

    @property
    def newer(self) -> dict[int, frozenset[str]]:
        """Versions that may be newer than what the catalog knows, and who holds them."""
        current = 0 if self.by.entry is None else self.by.entry.version
        begun = 0 if self.by.intent is None else self.by.intent.version
        found: dict[int, frozenset[str]] = {}
        for one in self.lying:
            after = one.version > self.number or one.version == begun
            if not one.known and after and one.version > current:
                found[one.version] = found.get(one.version, frozenset()) | {one.backend}
        return found

    def is_committed(self, version: int) -> bool:
        """Say whether it lies where nothing lies before its commit: then it was decided."""
        return any(
            self.by.entry is not None
            if one.place == OWN
            else not one.place.startswith(f"{version}-")
            for one in self.lying
            if one.version == version
        )


def newest(looked: Looked, enough: Callable[[frozenset[str]], bool]) -> int:
    """Return the newer version that is the path's, or may be; 0 where what is known stands.

    Parameters
    ----------
    enough
        Whether a write would have been acknowledged if these backends held it, and those that
        could not be asked.
    """
    latest_first = sorted(looked.newer.items(), reverse=True)
    acknowledged = tuple(
        version for version, names in latest_first if enough(names) or looked.is_committed(version)
    )
    others = () if looked.current else tuple(version for version, _ in latest_first)
    return next(iter((*acknowledged, *others)), 0)


@attrs.frozen(kw_only=True)
class Newer:
    """A newer version, its bytes read.

    Attributes
    ----------
    rows
        What each of its holders holds, by what was read there.
    """

    version: int
    content: Content
    headers: Headers
    modified_s: float
    rows: Mapping[str, Replica]


def advance(
    record: Record, _: Moment, looked: Looked, newer: Newer, placed: Sequence[str]
) -> tuple[Record, bool]:
    """Make a newer version the current one, unless the path has changed since the look."""
    if record != looked.by:
        return record, False
    before = record.entry
    older = (one.checksum for one in looked.lying if one.checksum and one.version < newer.version)
    past = tuple(dict.fromkeys((*remembered(record), *older)))
    entry = Entry(
        path=record.path,
        version=newer.version,
        content=newer.content,
        headers=newer.headers,
        created_s=before.created_s if before and not before.deleted else newer.modified_s,
        modified_s=newer.modified_s,
        past=past[-PAST_KEPT:],
    )
    names = dict.fromkeys((*placed, *record.replicas, *(one.backend for one in looked.lying)))
    rows = [newer.rows.get(name) or _missed(record.replica(name), looked) for name in names]
    return Record(path=record.path, entry=entry, purges=record.purges).with_replicas(*rows), True


def _missed(row: Replica, looked: Looked) -> Replica:
    """Return the row of a backend that does not hold the current version, as far as was seen."""
    row = attrs.evolve(row, place=None, looked=False, tag=None)
    if row.backend not in looked.answered:
        return attrs.evolve(row, state=State.UNKNOWN)
    if looked.at(row.backend) is None:
        return attrs.evolve(row, state=State.MISSING, looked=True)
    return attrs.evolve(row, state=State.STALE)


def stand(record: Record, moment: Moment, looked: Looked) -> tuple[Record, bool]:
    """Let the catalog's version stand, of which rows say what was seen; intents end (R10)."""
    if record != looked.by:
        return record, False
    rows: tuple[Replica, ...] = ()
    if record.present is not None:
        names = dict.fromkeys((*record.replicas, *(one.backend for one in looked.lying)))
        rows = tuple(_stands(record, record.replica(name), looked) for name in names)
    elif record.entry is not None:
        names = dict.fromkeys((*everywhere(record, moment),))
        found = (record.replica(name) for name in names if looked.at(name) is not None)
        rows = tuple(attrs.evolve(row, state=State.STALE, looked=False, tag=None) for row in found)
    return _unheld(record).with_replicas(*rows), True


def _stands(record: Record, row: Replica, looked: Looked) -> Replica:
    if row.backend not in looked.answered:
        place = None if row.place == OWN else row.place  # staged there, it may be the last copy
        return attrs.evolve(row, state=State.UNKNOWN, place=place, looked=False, tag=None)
    counted = looked.at(row.backend, row.place)
    if row.state is State.GOOD and counted is not None and counted.known:
        return row
    assert record.present is not None, "only an object's rows are held against it"
    version = record.present.version
    at = looked.at(row.backend)
    if at is None or at.version not in (0, version):
        staged = (o.place for o in looked.lying if (o.backend, o.version) == (row.backend, version))
        place = next(staged, None)
        if place is not None:  # nobody remembered it
            return attrs.evolve(row, state=State.UNKNOWN, place=place, looked=False, tag=None)
    nothing_left = not looked.current
    if at is None:
        if row.state is State.GONE:
            return row
        state = State.UNKNOWN if nothing_left else State.MISSING
        return attrs.evolve(row, state=state, place=None, looked=not nothing_left, tag=None)
    state = State.UNKNOWN if at.version in (0, version) else State.STALE
    return attrs.evolve(row, state=state, place=None, looked=False, tag=None)


def _unheld(record: Record) -> Record:
    """End an intent whose holder lost its catalog; what it may have written is remembered (R12)."""
    intent = record.intent
    if intent is None:
        return record
    voids = record.voids
    if intent.kind == "write" and intent.direct and intent.phase is not Phase.COMMITTED:
        void = Void(id=intent.id, checksum=intent.checksum, backends=intent.direct)
        voids = (*voids, void)[-PAST_KEPT:]
    return attrs.evolve(record, intent=None, voids=voids)
