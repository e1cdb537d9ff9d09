"""What a call of a fleet may end in: from the promises, by all that was true while it lasted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from resilient_store.errors import (
    BackendsUnavailableError,
    InsufficientCopiesError,
    ObjectChangedError,
    ObjectError,
    OriginalMissingError,
    StoreFrozenError,
)
from resilient_store.io.prepare import MEET_S
from resilient_store.model.path import RESERVED
from tests.model.fleet.plan import CHANGES, Step
from tests.model.fleet.world import FOREIGN, ROT, FleetModel
from tests.model.world import LEASE_S, TIMEOUT_S, between, key_of, shown

# Every lock that may be waited for, and every step of a write with its time-out.
CALL_AT_MOST_S = 2 * (LEASE_S + 10) + 20 * TIMEOUT_S
BEFORE_S = 1e-6
# Where all is well; and to read what a backend that is well holds: each request may have to wait
# for the hedge, and a file that is read in pieces makes several.
WELL_S, READS = 1.0, {"read": 1.0, "cat": 1.0, "range": 1.0, "open": 1.9}
# Where one backend hangs: a second's grace, and to move two changes of it; another second
# where a process meets its backends.
HUNG = {"hang", "late"}
ONE_HUNG_S = {"write": 1.5, "stream": 1.5, "delete": 1.5, "move": 2.5}
# By then a cancelled call has ended what it had begun: where all is well, this is long.
CLEAN_AFTER_S = 3.0


@attrs.frozen
class Holder:
    """Where an object's bytes lay, and which they were."""

    backend: str
    key: str
    data: bytes


@attrs.define
class Called:
    """One call, from its beginning to its end; all times are the world's own.

    Attributes
    ----------
    holders
        Who held the object whole when the call began.
    paths, free
        What it may touch, and on which of these nobody was at work when it began.
    was_alone
        Whether nobody else was at work on any of them meanwhile.
    is_first
        Whether its process had changed nothing before, and so had opened no backend perhaps.
    """

    step: Step
    started_s: float
    holders: frozenset[Holder]
    paths: frozenset[str]
    free: frozenset[str]
    ended_s: float = math.inf
    value: Any = None
    error: Exception | None = None
    was_stopped: bool = False
    was_alone: bool = False
    is_first: bool = False


def holders(model: FleetModel, path: str) -> frozenset[Holder]:
    """Return which backends hold a path's object whole, and are known to."""
    record = model.record(path)
    now = model.now(record)
    if now is None or record.intent is not None:
        return frozenset()
    found = set()
    for row in record.holders():
        key = key_of(row, path)
        if row.backend not in model.excused and model.held(row.backend, key) == now:
            found.add(Holder(row.backend, key, now))
    return frozenset(found)


def judge(model: FleetModel, call: Called) -> Iterator[str]:
    """Return every promise that a call's end breaks."""
    verb, path = call.step.verb, call.step.path
    took_s, at_most_s = call.ended_s - call.started_s, _at_most_s(model, call)
    if took_s > at_most_s and not call.was_stopped:
        yield f"P6: took {took_s:.2f} s, and {at_most_s:g} s are enough"
    if call.error is not None and not isinstance(call.error, (ObjectError, FileNotFoundError)):
        yield f"P5: ended in {type(call.error).__name__}: {call.error}"
        return
    truth = model.window(call.started_s - BEFORE_S, call.ended_s, path) if path else []
    yield from _JUDGES[verb](model, call, truth)
    if verb in CHANGES:
        yield from _while_frozen(model, call)


def _at_most_s(model: FleetModel, call: Called) -> float:
    """Return how long a call may take: much less where nobody else holds it up."""
    span = _span(model, call)
    if not call.was_alone or call.free != call.paths or not model.catalog_was_well(*span):
        return CALL_AT_MOST_S
    ill = model.ill(*span)
    if not ill:
        return WELL_S
    if call.step.verb in READS:
        # Who was once asked for too much may refuse a read that another is slow to answer.
        _, end_s = span
        strained = {n for n, kinds in model.ill(-math.inf, end_s).items() if "throttled" in kinds}
        is_held = any(one.backend not in {*ill, *strained} for one in call.holders)
        met_s = MEET_S if call.is_first and model.plan.added else 0.0
        is_read = is_held and call.error is None
        return READS[call.step.verb] + met_s if is_read else CALL_AT_MOST_S
    return _with_one_hung_s(model, call, ill)


def _with_one_hung_s(model: FleetModel, call: Called, ill: dict[str, set[str]]) -> float:
    """Return how long a change may take that one backend does not answer, and enough others do."""
    well = [name for name in model.names if name not in ill and name not in model.excused]
    is_enough = len(ill) == 1 and model.is_enough(well)
    if call.error is not None or not is_enough or not set().union(*ill.values()) <= HUNG:
        return CALL_AT_MOST_S
    return ONE_HUNG_S.get(call.step.verb, CALL_AT_MOST_S) + (MEET_S if call.is_first else 0.0)


def _a_read(model: FleetModel, call: Called, truth: list[bytes | None]) -> Iterator[str]:
    error = call.error
    if error is None:
        whole = [*_passing(model, call.step.path), *(one for one in truth if one is not None)]
        span = slice(*call.step.span)
        cut = [one[span] for one in whole] if call.step.verb == "range" else whole
        if call.value not in cut:
            yield f"P2 to P4: {shown(call.value)}, and the truth was {shown(truth)}"
        return
    if isinstance(error, FileNotFoundError):
        if None not in truth:
            yield f"P5: said to be absent, and the truth was {shown(truth)}"
    elif isinstance(error, OriginalMissingError):
        if truth[-1] is None or _lies_where_it_counts(model, truth[-1]):
            yield f"P5: said to be lost, and the truth was {shown(truth)}"
    elif isinstance(error, ObjectChangedError):
        if call.step.verb != "open" or len(set(truth)) == 1:
            yield f"P5: said to have changed, and the truth was {shown(truth)}"
        return
    elif not isinstance(error, BackendsUnavailableError):
        yield f"P5: a read ended in {type(error).__name__}"
    yield from _although_there(model, call, truth)


def _passing(model: FleetModel, path: str) -> list[bytes]:
    """Return others' bytes that count for a reader, and that nobody may record (R14)."""
    state, record = model.database.state(), model.record(path)
    if record.entry is not None or record.intent is None or (state and state.complete):
        return []
    return [data for name, data in model.foreign if model.held(name, path) == data]


def _although_there(model: FleetModel, call: Called, truth: list[bytes | None]) -> Iterator[str]:
    """Liveness: what a backend held, and could be asked for all along, was to be read."""
    if call.was_stopped or len(truth) > 1 or not model.catalog_was_well(*_span(model, call)):
        return
    for holder in call.holders & holders(model, call.step.path):
        if holder.backend not in model.ill(*_span(model, call)):
            yield f"liveness: {holder.backend} held it, and the read ended in {call.error!r}"


def _a_view(model: FleetModel, call: Called, truth: list[bytes | None]) -> Iterator[str]:
    """Judge a read that may have brought a derivative."""
    result = call.value
    if result is None or not result.original_missing:
        data = None if result is None else result.data
        yield from _a_read(model, attrs.evolve(call, value=data), truth)
        if result is not None and result.derivative_stale:
            yield "P5: the original itself is called stale"
        return
    yield from _a_read(model, attrs.evolve(call, value=None, error=result.refusal), truth)
    derivatives = model.window(call.started_s - BEFORE_S, call.ended_s, call.step.other)
    if result.data not in derivatives:
        yield f"P4: stood in by {shown(result.data)}, and the truth was {shown(derivatives)}"
    if model.catalog_was_well(*_span(model, call)):
        yield from _staleness(model, call, *model.origins.get(result.data, ("", None)))


def _staleness(model: FleetModel, call: Called, path: str, origin: int | None) -> Iterator[str]:
    """Judge what was said of a derivative by the versions that the original had meanwhile."""
    versions = between(model.versions[call.step.path], call.started_s - BEFORE_S, call.ended_s)
    is_other = path == call.step.path and origin is not None
    if call.value.derivative_stale and not (is_other and {*versions} - {None, origin}):
        yield f"P5: called stale: made from version {origin}, and the original was {versions}"
    if not call.value.derivative_stale and is_other and not {*versions} & {None, origin}:
        yield f"P5: not called stale: made from version {origin}, and the original was {versions}"


def _span(model: FleetModel, call: Called) -> tuple[float, float]:
    return call.started_s - model.began_s, call.ended_s - model.began_s


def left_behind(model: FleetModel, call: Called) -> Iterator[str]:
    """Return what a call that was cancelled where all was well has left behind."""
    span = call.started_s - model.began_s, model.now_s()
    if model.catalog_was_well(*span) and not model.ill(*span) and not call.was_stopped:
        for path in call.free:
            if model.record(path).intent is not None:
                yield f"P6: cancelled, and whoever changes {path} waits until its lease ends"


def is_lost(model: FleetModel, path: str) -> bool:
    """Say whether an object was destroyed wherever it lay: a promise was made of fewer places."""
    now = model.now(model.record(path))
    return now is not None and not model.is_kept(now) and not _lies_anywhere(model, now)


def is_for_people(model: FleetModel, path: str) -> bool:
    """Say whether repair leaves a path to people: it is lost, or others' bytes lie where it was."""
    theirs = any((name, model.held(name, path)) in model.foreign for name in model.names)
    return (theirs and model.now(model.record(path)) is None) or is_lost(model, path)


def _lies_anywhere(model: FleetModel, data: bytes) -> bool:
    return any(_holds(model, name, data) for name in model.names)


def _lies_where_it_counts(model: FleetModel, data: bytes) -> bool:
    """Say whether a backend holds bytes that never handed out wrong ones."""
    return any(_holds(model, name, data) for name in model.names if name not in model.spoilt)


def _holds(model: FleetModel, name: str, data: bytes) -> bool:
    return any(one.data == data for one in model.disks[name].objects.values())


def _a_write(model: FleetModel, call: Called, truth: list[bytes | None]) -> Iterator[str]:
    data = call.step.data
    if call.error is None and data not in truth:
        yield "P1: acknowledged, and not what was committed"
    refused = isinstance(call.error, (InsufficientCopiesError, StoreFrozenError))
    if refused and data in [value for _, value in model.truths[call.step.path]]:
        yield f"P1: refused with {type(call.error).__name__}, and committed"


def _a_removal(model: FleetModel, call: Called, truth: list[bytes | None]) -> Iterator[str]:
    if isinstance(call.error, FileNotFoundError) and None not in truth:
        yield f"P5: said that nothing is there, and the truth was {shown(truth)}"
    if call.error is None and None not in truth:
        yield "P3: acknowledged, and never committed"
    if call.error is None and call.step.verb == "move":
        arrived = model.window(call.started_s, call.ended_s, call.step.other)
        if not set(truth) & set(arrived) - {None}:
            yield f"P1: {shown(arrived)} arrived of {shown(truth)}"


def _a_look(_: FleetModel, call: Called, truth: list[bytes | None]) -> Iterator[str]:
    if call.value is True and set(truth) == {None}:
        yield "P3: said to exist, and it never did meanwhile"
    if call.value is False and None not in truth:
        yield f"P5: said not to exist, and the truth was {shown(truth)}"


def _a_description(model: FleetModel, call: Called, truth: list[bytes | None]) -> Iterator[str]:
    yield from _an_absence(call, truth)
    if call.error is None and call.value["original_missing"]:
        if truth[-1] is None or _lies_where_it_counts(model, truth[-1]):
            yield f"P5: said to be lost, and the truth was {shown(truth)}"
    elif call.error is None and call.value["size"] not in [len(one) for one in truth if one]:
        yield f"P2: said to be of {call.value['size']} bytes, and the truth was {shown(truth)}"


def _an_absence(call: Called, truth: list[bytes | None]) -> Iterator[str]:
    if isinstance(call.error, FileNotFoundError) and truth and None not in truth:
        yield f"P5: said not to exist, and the truth was {shown(truth)}"


def _a_listing(model: FleetModel, call: Called, truth: list[bytes | None]) -> Iterator[str]:
    yield from _an_absence(call, truth)
    if call.step.verb == "ls" and call.step.path:
        if call.error is None and call.value != [call.step.path]:
            yield f"P5: listed as {call.value}"
        if call.error is None and set(truth) == {None}:
            yield "P3: it is listed, and never was there meanwhile"
        return
    for path in () if call.error else model.paths:
        truth = model.window(call.started_s - BEFORE_S, call.ended_s, path)
        # So is what a backend held alone that was away from a restore: nobody has looked at it.
        held = {model.held(name, path) for name in model.names}
        theirs = FOREIGN in held or not held.isdisjoint(model.unheard.get(path, ()))
        if path in call.value and set(truth) == {None} and not theirs:
            yield f"P3: {path} is listed, and never was there meanwhile"
        if path not in call.value and None not in truth:
            yield f"P5: {path} is not listed, and the truth was {shown(truth)}"


def _while_frozen(model: FleetModel, call: Called) -> Iterator[str]:
    since_s = model.frozen_since_s
    if call.error is None and since_s is not None and call.started_s > since_s:
        yield "P8: acknowledged, though everything was frozen before it began"


_JUDGES: dict[str, Callable[[FleetModel, Called, list[bytes | None]], Iterator[str]]] = {
    **dict.fromkeys(("read", "cat", "open", "range"), _a_read),
    **dict.fromkeys(("write", "stream"), _a_write),
    **dict.fromkeys(("delete", "move"), _a_removal),
    "derive": _a_write,
    "view": _a_view,
    "exists": _a_look,
    "info": _a_description,
    **dict.fromkeys(("find", "ls"), _a_listing),
}


def the_end(model: FleetModel) -> Iterator[str]:
    """Return what is wrong when faults have stopped and repair has come to its end."""
    for path in model.paths:
        record = model.record(path)
        if record.intent is not None:
            yield f"P8: an intent of {path} stays for ever"
        now = model.now(record)
        for name in model.names:
            there = model.held(name, path)
            kept = now is not None and model.is_kept(now)
            if kept and there != now:
                yield f"P7: {name} holds {shown(there)} of {path}, and the object is {shown(now)}"
            theirs = (name, there) in model.foreign or name in model.gone_back or there == ROT
            if now is None and there is not None and not theirs:
                yield f"P3: {shown(there)} is left of {path} on {name} for ever"
    for name, disk in model.disks.items():
        staged = [key for key in disk.objects if key.startswith(f"{RESERVED}/staging/")]
        if staged:
            yield f"P8: {staged} stay on {name} for ever"
