"""What a damage report says of one object, and how that is kept as a line of JSON."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, Literal, get_args

import attrs

Kind = Literal["lost", "unreachable", "at_risk", "foreign", "conflict"]
KINDS: tuple[Kind, ...] = get_args(Kind)  # in the order in which a report tells them


@attrs.frozen(kw_only=True)
class ReplicaCondition:
    """What the catalog knows of one backend's replica of a damaged object.

    Attributes
    ----------
    backend
        The backend's name.
    state
        ``"good"``, ``"stale"``, ``"missing"``, ``"corrupt"``, ``"foreign"``, ``"unknown"``,
        ``"gone"``, or ``"absent"`` where it was never sent to this backend.
    away
        Whether the backend could not be asked when the report was made, or was drained, or is no
        backend of this store any more.
    error
        What the backend last answered that was no success; empty where there was nothing.
    verified_at
        When its bytes were last held against the checksum; None where they never were.
    """

    backend: str
    state: str
    away: bool = False
    error: str = ""
    verified_at: dt.datetime | None = None


@attrs.frozen(kw_only=True)
class DamagedObject:
    """One object of a damage report.

    Attributes
    ----------
    path
        The object.
    kind
        ``"lost"``, ``"unreachable"``, ``"at_risk"``, ``"foreign"`` or ``"conflict"``; what they
        mean stands at `DamageReport`.
    group
        The part of the path that `group_by` asked for; empty where its pattern does not match.
    since
        The latest moment at which it is known not to have been so yet, or None. A catalog keeps
        no moment of loss: this is when the last backend that may hold it was seen not to answer,
        else when the bytes that are gone were last verified, else when they were written.
    derivative
        The best preview or thumbnail that stands in for the original in a degraded read, as far
        as the catalog knows; None where none is left, or where the original can be read.
    derivatives
        All that are left, the largest first.
    derived_from
        The path of the original that it was made from, where it is a derivative and the writer
        said so.
    size
        Bytes; None of a deleted object.
    platforms
        Those on which an intact copy can be had now.
    replicas
        What each backend holds, by name.
    """

    path: str
    kind: Kind
    group: str = ""
    since: dt.datetime | None = None
    derivatives: tuple[str, ...] = ()
    derived_from: str | None = None
    size: int | None = None
    platforms: tuple[str, ...] = ()
    replicas: tuple[ReplicaCondition, ...] = ()

    @property
    def derivative(self) -> str | None:
        """The best of `derivatives`, or None."""
        return next(iter(self.derivatives), None)


@attrs.frozen(kw_only=True)
class QuarantinedFile:
    """Bytes that this store never wrote, and that were kept aside for a person to look at.

    Attributes
    ----------
    path
        Of the object in whose place they lay.
    key
        Where they lie now, on this backend.
    kept_at
        When they were put there, as the backend says; None where it does not say.
    """

    backend: str
    path: str
    key: str
    size: int | None = None
    kept_at: dt.datetime | None = None


@attrs.frozen(kw_only=True)
class Quarantine:
    """What lies in the quarantine of all backends.

    Attributes
    ----------
    files
        By path and backend; the first 10,000 of them.
    unnamed
        How many more there are.
    unlisted
        Backends that did not say what lies there.
    """

    files: tuple[QuarantinedFile, ...] = ()
    unnamed: int = 0
    unlisted: tuple[str, ...] = ()


def moment(seconds: float | None) -> dt.datetime | None:
    """Return a time on the catalog's clock in UTC; None where there is none."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC) if seconds else None


def as_text(at: dt.datetime | None) -> str | None:
    """Write a time down for a program to read."""
    return None if at is None else at.isoformat()


def as_moment(text: str | None) -> dt.datetime | None:
    """Read a time that `as_text` wrote."""
    return None if text is None else dt.datetime.fromisoformat(text)


_FIELDS = tuple(field.name for field in attrs.fields(DamagedObject))
_CONDITION = tuple(field.name for field in attrs.fields(ReplicaCondition))


def as_line(item: DamagedObject) -> str:
    """Return the object as one line of JSON, of ASCII whatever its path holds."""
    plain = {name: getattr(item, name) for name in _FIELDS}
    plain["since"] = as_text(item.since)
    plain["replicas"] = [
        {name: getattr(one, name) for name in _CONDITION}
        | {"verified_at": as_text(one.verified_at)}
        for one in item.replicas
    ]
    return json.dumps(plain)


def from_line(line: str | bytes) -> DamagedObject:
    """Read an object that `as_line` wrote; raises as `from_plain` does."""
    return from_plain(json.loads(line))


def from_plain(plain: dict[str, Any]) -> DamagedObject:
    """Build an object from what its JSON holds; what later releases added is left out.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is no such object.
    """
    known = {name: plain[name] for name in _FIELDS}
    if known["kind"] not in KINDS:
        raise ValueError(f"a damage report has no kind {known['kind']!r}")
    known["since"] = as_moment(known["since"])
    known["derivatives"] = tuple(known["derivatives"])
    known["platforms"] = tuple(known["platforms"])
    known["replicas"] = tuple(_condition(one) for one in known["replicas"])
    return DamagedObject(**known)


def _condition(plain: dict[str, Any]) -> ReplicaCondition:
    known = {name: plain[name] for name in _CONDITION}
    known["verified_at"] = as_moment(known["verified_at"])
    return ReplicaCondition(**known)
