"""How a store is, on one screen: what each part says, what it comes to, and what to do."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import attrs

from resilient_store.model.amount import Amount, in_bytes, in_columns, in_time, many
from resilient_store.model.state import BackendRow, Frozen, Scan

Overall = Literal["ONLINE", "DEGRADED", "FROZEN", "UNAVAILABLE"]
Use = Literal["online", "away", "drained", "suspect", "came back", "never met"]

A_DAY_S = 86_400.0
GOOD = "good"
WELL = "All is well."
NO_CATALOG = "Every backend is in use by this process; without a catalog no more is known."
NOT_COUNTED = "Nothing is known to be wrong; not all objects were counted."

NO_ROW = "not copied"  # no copy was ever sent there
# What a backend holds beside good copies, and a person should know of.
BEHIND = ("stale", "missing", "corrupt", "foreign", "unknown", NO_ROW)


def _unchanging(value: Mapping[str, Amount] | None) -> Mapping[str, Amount] | None:
    return None if value is None else MappingProxyType(dict(value))


@attrs.frozen(kw_only=True)
class BackendStatus:
    """One backend.

    Attributes
    ----------
    name
        As configured.
    domain
        The failure domain.
    state
        ``"online"``; ``"away"`` (it does not answer: as seen by this process, or by the one that
        wrote it down); ``"drained"``; ``"suspect"`` or ``"came back"`` (its word is not taken
        until `rejoin`, or `adopt`); ``"never met"`` (the store's identity was not written there).
    reading
        Whether this process reads there: ``"closed"`` (it does), ``"open"`` or ``"half-open"``, and
        why not.
    writing
        The same for writes; or ``"read-only"``.
    since
        Since when it is away.
    epoch
        What its identity must carry at least.
    copies
        By state, what it holds of the current version of each object; ``"not copied"`` where an
        object is placed there and was never sent. None where nobody counted.
    complete_up_to
        The greatest version such that it holds, good, all objects placed there of a version up to
        it; None where nobody counted, or not to the end.
    """

    name: str
    domain: str
    state: Use = "online"
    reading: str = "closed"
    writing: str = "closed"
    since: dt.datetime | None = None
    epoch: int = 0
    copies: Mapping[str, Amount] | None = attrs.field(default=None, converter=_unchanging)
    complete_up_to: int | None = None

    @property
    def behind(self) -> int:
        """How many copies it lacks, or holds and should not be believed."""
        copies = self.copies or {}
        return sum(copies[state].count for state in BEHIND if state in copies)


def use_of(row: BackendRow | None, reading: str) -> Use:
    """Say what a backend is used for, from what the catalog and this process know of it."""
    if row is not None:
        if row.suspect:
            return "suspect"
        if row.came_back:
            return "came back"
        if row.drained:
            return "drained"
        if not row.met:
            return "never met"
        if row.failed_s > row.answered_s:
            return "away"
    return "online" if reading == "closed" else "away"


@attrs.frozen(kw_only=True)
class StoreStatus:
    """How a store is. ``str(status)`` is the screen, and `to_json` the same for programs.

    Attributes
    ----------
    state
        ``"ONLINE"``; ``"DEGRADED"`` (it works, and is not as it should be); ``"FROZEN"`` (reads
        only); ``"UNAVAILABLE"`` (the catalog cannot be had, is empty or is being restored, or no
        backend answers).
    happened
        What is the matter, in a sentence.
    to_do
        What to do, in a sentence.
    scan
        How far the last scrub is; ``"never"`` where none was recorded.
    maintained
        When a repair last went through the whole queue; None for never, or nobody knows.
    errors
        ``"no known data errors"``, how many objects are lost, or why nobody knows.
    objects
        How many there are, and their bytes, one copy of each; None where nobody counted.
    newest
        The greatest version of an object.
    lost
        Objects of which no replica may still hold the current version; None where nobody counted.
    counted
        Whether all objects were counted: else `objects`, `lost` and all copies are of the first
        so many only.
    warnings
        What else to look at.
    backends
        Each, in the order of preference.
    """

    state: Overall
    happened: str
    to_do: str
    scan: str = "never"
    maintained: dt.datetime | None = None
    errors: str
    objects: Amount | None = None
    newest: int | None = None
    lost: int | None = None
    counted: bool = False
    warnings: tuple[str, ...] = ()
    backends: tuple[BackendStatus, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values: text, numbers, lists and mappings; times in ISO 8601."""

        def plain(_: object, __: object, value: Any) -> Any:
            if isinstance(value, dt.datetime):
                return value.isoformat()
            if isinstance(value, MappingProxyType):
                return {name: attrs.asdict(amount) for name, amount in value.items()}
            return list(value) if isinstance(value, tuple) else value

        return attrs.asdict(self, value_serializer=plain)

    def to_json(self) -> str:
        """Return `as_dict` as JSON."""
        return json.dumps(self.as_dict(), indent=2)

    def __str__(self) -> str:
        lines = [
            ["state", self.state],
            ["status", self.happened],
            ["action", self.to_do],
            ["scan", self.scan],
        ]
        said = [f"{f'{name}:':>8} {text}" for name, text in lines]
        said += [f"warning: {text}" for text in self.warnings]
        said += [
            "",
            in_columns([["backend", "state", "complete up to", "copies", ""], *self._rows()]),
        ]
        return "\n".join([*said, "", f"errors: {self.errors}"])

    def _rows(self) -> list[list[str]]:
        return [
            [
                one.name,
                _words(one),
                "" if one.complete_up_to is None else f"version {one.complete_up_to}",
                *_copies(one.copies),
            ]
            for one in self.backends
        ]


def _words(one: BackendStatus) -> str:
    words = one.state if one.since is None else f"{one.state} since {one.since:%Y-%m-%d %H:%M}"
    closed = [
        f"no {kind}: {said}"
        for kind, said in (("reads", one.reading), ("writes", one.writing))
        if said != "closed"
    ]
    return f"{words} ({', '.join(closed)})" if closed else words


def _copies(copies: Mapping[str, Amount] | None) -> list[str]:
    if copies is None:
        return ["", ""]
    good = copies.get(GOOD, Amount())
    behind = [f"{copies[state].count:,} {state}" for state in BEHIND if state in copies]
    return [f"{good.count:,} good, {in_bytes(good.size)}", ", ".join(behind)]


# --- what it comes to ---------------------------------------------------------------------


def errors_of(lost: int | None, objects: Amount | None, *, counted: bool) -> str:
    """Return the line that everybody looks for."""
    if lost is None or objects is None:
        return "not known: nothing was counted"
    if lost:
        more = "" if counted else " at least"
        return f"{many(lost, 'object', 'objects')}{more} lost: no replica may still be good"
    if counted:
        return "no known data errors"
    return f"no known data errors among the first {objects.count:,} counted"


@attrs.frozen(kw_only=True)
class Verdict:
    """What a store's parts come to."""

    state: Overall
    happened: str
    to_do: str


def judge(
    backends: tuple[BackendStatus, ...],
    *,
    frozen: Frozen | None,
    refused: Sequence[str],
    lost: int,
    well: str,
) -> Verdict:
    """Say what a store's parts come to: the worst of it, else what `well` says.

    Parameters
    ----------
    refused
        The patterns of paths for whose writes too few backends are in use.
    """
    return next(_verdicts(backends, frozen, refused, lost, well))


def _verdicts(
    backends: tuple[BackendStatus, ...],
    frozen: Frozen | None,
    refused: Sequence[str],
    lost: int,
    well: str,
) -> Iterator[Verdict]:
    """Say all that is to be said, the worst first."""
    names = {
        use: ", ".join(some)
        for use in ("away", "suspect", "came back", "never met", "drained")
        if (some := [one.name for one in backends if one.state == use])
    }
    yield from _of_use(backends, names, frozen, refused)
    yield from _of_data(backends, names, lost)
    if "drained" in names:
        happened = f"Drained: {names['drained']}. {well}"
        yield Verdict(state="ONLINE", happened=happened, to_do="Call rejoin to take it back.")
    yield Verdict(state="ONLINE", happened=well, to_do="Nothing.")


def _of_use(
    backends: tuple[BackendStatus, ...],
    names: Mapping[str, str],
    frozen: Frozen | None,
    refused: Sequence[str],
) -> Iterator[Verdict]:
    """Say what cannot be called."""
    if all(one.state == "away" for one in backends):
        yield Verdict(
            state="UNAVAILABLE",
            happened="No backend answers.",
            to_do="Look at the network and the credentials; nothing says that data is gone.",
        )
    elif all(one.state in ("away", "drained") for one in backends):
        yield Verdict(
            state="UNAVAILABLE",
            happened=f"No backend is in use. Drained: {names['drained']}; no other answers.",
            to_do="Call rejoin for one that is well; nothing says that data is gone.",
        )
    if frozen is not None:
        why = " ".join(frozen.why.split())  # on one line
        yield Verdict(
            state="FROZEN",
            happened=f"{frozen.who} has frozen the store: {why}. Every change is refused.",
            to_do="When the reason has gone, call thaw.",
        )
    if refused:
        yield Verdict(
            state="DEGRADED",
            happened=f"Writes to {', '.join(refused)} are refused: too few backends are in use.",
            to_do="Bring back those that are away, or call rejoin for those that are drained.",
        )


def _of_data(
    backends: tuple[BackendStatus, ...], names: Mapping[str, str], lost: int
) -> Iterator[Verdict]:
    """Say what is lost, or not as it should be."""
    behind = sum(one.behind for one in backends if one.state != "drained")
    lacking = sum(one.behind for one in backends if one.state == "drained")
    if lost:
        yield Verdict(
            state="DEGRADED",
            happened=f"Lost: {many(lost, 'object', 'objects')}.",
            to_do="Bring back a backend that may hold them, or write them anew: see damage_report.",
        )
    for use, (happened, to_do) in _OF_A_BACKEND.items():
        if use in names:
            yield Verdict(state="DEGRADED", happened=happened.format(names[use]), to_do=to_do)
    if behind:
        yield Verdict(
            state="DEGRADED",
            happened=f"Missing or not to be believed: {many(behind, 'copy', 'copies')}.",
            to_do="Run repair; it brings them, and may have to come again after the late window.",
        )
    if lacking:
        yield Verdict(
            state="DEGRADED",
            happened=f"Drained: {names['drained']}; lacking {many(lacking, 'copy', 'copies')}.",
            to_do="Call rejoin to take it back, then run repair: nothing is copied there before.",
        )


_OF_A_BACKEND = {
    "suspect": (
        "So much was missing that no word is taken for it: {}.",
        "Look at the backend, then call rejoin.",
    ),
    "away": (
        "No answer from {}; the store goes on without, as far as its policy allows.",
        "Bring it back and run repair; if it is there, call rejoin. If gone for good, see what_if.",
    ),
    "came back": (
        "Back from an earlier state: {}.",
        "Run repair; call adopt when you have looked at what lies there.",
    ),
    "never met": (
        "The store's identity was never written to {}.",
        "Make it answer; the next call that needs it writes the identity.",
    ),
}


def scan_of(scan: Scan | None) -> str:
    """Say how far the last scrub has come."""
    if scan is None:
        return "never"
    seen = f"{many(scan.checked, 'copy', 'copies')} verified, {scan.bad:,} bad"
    if scan.ended_s:
        return f"ended {_at(scan.ended_s)}: {seen}"
    return f"under way since {_at(scan.began_s)}, at {scan.at!r}: {seen}"


def _at(at_s: float) -> str:
    return f"{dt.datetime.fromtimestamp(at_s, dt.UTC):%Y-%m-%d %H:%M} UTC"


def warnings_of(maintained_s: float, now_s: float) -> tuple[str, ...]:
    """Warn where nobody has repaired for a day."""
    if maintained_s <= 0:
        return ("repair has never run to its end: run it every few minutes",)
    if now_s - maintained_s > A_DAY_S:
        return (f"repair last ran to its end {in_time(now_s - maintained_s)} ago: is it running?",)
    return ()
