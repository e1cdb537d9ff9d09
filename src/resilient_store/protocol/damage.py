"""What has become of an object, judged by what the catalog knows and by who can be asked now."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from resilient_store.model.damage import DamagedObject, Kind, ReplicaCondition, moment
from resilient_store.model.domain import platforms
from resilient_store.model.state import Record, Replica, State

_MAY_HOLD = (State.GOOD, State.UNKNOWN)
_AT_LEAST = 2  # one copy, or one platform, is one mishap away from none


@attrs.frozen(kw_only=True)
class Circumstances:
    """What else than its record decides what has become of an object.

    Attributes
    ----------
    domains
        The failure domain of every backend that is configured.
    min_domains
        On how many platforms the write policy wants each object.
    away
        Backends that cannot be asked now, or whose "not found" says nothing, and since when on
        the catalog's clock; 0 where nobody knows.
    drained
        Backends that nothing is read from until they rejoin, so that what they hold is no safety.
    """

    domains: Mapping[str, str]
    min_domains: int = 1
    away: Mapping[str, float] = attrs.field(factory=dict)
    drained: frozenset[str] = frozenset()

    def reaches(self, backend: str) -> bool:
        """Say whether a backend can be asked now."""
        return backend in self.domains and backend not in self.away

    def at_hand(self, record: Record) -> tuple[str, ...]:
        """Return the backends from which the current version can be had now."""
        held = (row.backend for row in record.holders() if self.reaches(row.backend))
        return tuple(name for name in held if name not in self.drained)

    def wanted_on(self, placed: tuple[str, ...]) -> int:
        """Return on how many platforms an object that is placed there has to be."""
        return max(self.min_domains, min(_AT_LEAST, len(platforms(placed, self.domains))))


def is_lost(record: Record, now: Circumstances) -> bool:
    """Say whether a read of a present object would say that it is lost (P5).

    It does not while a backend that has a row of it cannot be asked, whatever the row says:
    what is gone from everywhere else may lie there after all.
    """
    rows = record.replicas.values()
    return record.intent is None and not any(
        row.state in _MAY_HOLD or not now.reaches(row.backend) for row in rows
    )


def kinds_of(record: Record, placed: tuple[str, ...], now: Circumstances) -> tuple[Kind, ...]:
    """Say what has become of an object; nothing where all is well, and at most two things.

    Notes
    -----
    Promises: P5.
    """
    kinds: list[Kind] = []
    at_hand = now.at_hand(record)
    if record.present is not None:
        if not at_hand:
            kinds.append("lost" if is_lost(record, now) else "unreachable")
        elif len(at_hand) < min(_AT_LEAST, len(placed)) or (
            len(platforms(at_hand, now.domains)) < now.wanted_on(placed)
        ):
            kinds.append("at_risk")
    if any(row.state is State.FOREIGN for row in record.replicas.values()):
        # Repair keeps theirs aside and puts ours in their place, where there are any of ours.
        kinds.append("foreign" if at_hand else "conflict")
    return tuple(kinds)


def stands_in(record: Record, now: Circumstances) -> bool:
    """Say whether a derivative can stand in for its original: an empty one cannot."""
    entry = record.present
    return (
        entry is not None
        and entry.content is not None
        and (entry.content.size > 0 and bool(now.at_hand(record)))
    )


def since_s(record: Record, kind: Kind, placed: tuple[str, ...], now: Circumstances) -> float:
    """Return the latest moment at which it is known not to have been so yet; 0 if none is."""
    if kind in ("foreign", "conflict"):
        rows = [row for row in record.replicas.values() if row.state is State.FOREIGN]
    else:
        at_hand = now.at_hand(record)
        names = [n for n in dict.fromkeys((*placed, *record.replicas)) if n not in at_hand]
        rows = [record.replica(name) for name in names]
        rows = [row for row in rows if row.state is not State.GONE]
    return max((_well_until_s(record, row, now) for row in rows), default=0.0)


def _well_until_s(record: Record, row: Replica, now: Circumstances) -> float:
    if row.state in _MAY_HOLD and row.backend in record.replicas and not now.reaches(row.backend):
        return now.away.get(row.backend, 0.0)
    written_s = 0.0 if record.entry is None else record.entry.modified_s
    return max(written_s, row.verified_at_s or 0.0)


def described(
    record: Record,
    kind: Kind,
    placed: tuple[str, ...],
    now: Circumstances,
    *,
    group: str = "",
    derivatives: tuple[str, ...] = (),
) -> DamagedObject:
    """Return what a damage report says of an object."""
    entry = record.entry
    content = None if entry is None else entry.content
    return DamagedObject(
        path=record.path,
        kind=kind,
        group=group,
        since=moment(since_s(record, kind, placed, now)),
        derivatives=derivatives,
        derived_from=None if entry is None or not entry.derived_from else entry.derived_from[0],
        size=None if content is None else content.size,
        platforms=platforms(now.at_hand(record), now.domains),
        replicas=tuple(
            _condition(record, name, now) for name in sorted({*placed, *record.replicas})
        ),
    )


def _condition(record: Record, name: str, now: Circumstances) -> ReplicaCondition:
    row = record.replica(name)
    return ReplicaCondition(
        backend=name,
        state=row.state.value if name in record.replicas else "absent",
        away=name in now.drained or not now.reaches(name),
        error=row.error,
        verified_at=moment(row.verified_at_s),
    )
