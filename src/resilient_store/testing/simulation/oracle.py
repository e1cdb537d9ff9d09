"""Judges a history by the promises; shares no code with what it judges.

It knows what lay on every disk at every moment and what each disk was asked, so it can say
whether an answer was *true*, not only whether it looks well.
"""

from __future__ import annotations

from collections.abc import Iterator

import resilient_store as rs
from resilient_store.testing.simulation.truth import Truth
from resilient_store.testing.simulation.workload import READERS, Call, History

READS = ("read", "original", "cat", "range", "stream")
WRITES = ("write", "stream-write", "create")


def judge(history: History) -> list[str]:
    """Return every breach of a promise, each with the call that shows it."""
    truth = Truth(history)
    found: list[str] = []
    for call in history.calls:
        what = f"{call.name} ({call.kind} {call.path})"
        found += [f"{what}: {breach}" for breach in _judge_call(truth, call)]
    return [*found, *_judge_end(history)]


def _judge_call(truth: Truth, call: Call) -> Iterator[str]:
    yield from _bounded(truth, call)
    if call.kind in READS:
        yield from _judge_read(truth, call)
        yield from _left_alone(truth, call)
    elif call.kind in WRITES:
        yield from _judge_write(truth, call)
        yield from _nothing_staged(truth, call)
    elif call.kind == "delete":
        yield from _judge_delete(truth, call)
    elif call.kind == "find":
        yield from _judge_listing(truth, call)
    else:
        yield from _judge_look(truth, call)
        yield from _left_alone(truth, call)


# --- P6: every call ends in time, and a backend that is left alone is left alone -------------


def _bounded(truth: Truth, call: Call) -> Iterator[str]:
    took_s = call.ended_s - call.started_s
    limit_s = truth.bound_s(call)
    if took_s > limit_s:
        yield f"P6: took {took_s:.1f} s, allowed are {limit_s:.1f} s"


def _left_alone(truth: Truth, call: Call) -> Iterator[str]:
    if truth.history.setup.places <= READERS:
        return  # a request that waits for a place is not seen
    requests = [r for r in truth.requests(call) if r.verb in ("info", "get")]
    for request in requests:
        if request.range == (0, 65536):
            continue  # a probe
        span = (call.started_s, request.started_s)
        if any(truth.history.is_closed(request.disk, "read", *span)):
            continue
        for name in truth.names:
            if not all(truth.history.is_closed(name, "read", *span)):
                continue
            asked = [r for r in requests if (r.disk, r.key) == (name, request.key)]
            if not any(r.started_s <= request.started_s for r in asked):
                yield f"P6: {request.disk} was asked though its breaker is open and {name} is well"


# --- P5: five ends of a read, each of them true -----------------------------------------------


def _judge_read(truth: Truth, call: Call) -> Iterator[str]:
    if call.cancelled:
        return
    if call.error is None:
        yield from _judge_bytes(truth, call)
        return
    yield from _judge_refusal(truth, call)
    alike = call.kind != "stream" or truth.is_steady(call)
    if alike and (holder := truth.intact_holder(call)):
        yield f"liveness: {holder} held it and was well, and the read ended in {call.error!r}"


def _judge_refusal(truth: Truth, call: Call) -> Iterator[str]:
    error = call.error
    if isinstance(error, FileNotFoundError):
        yield from _judge_absence(truth, call)
    elif isinstance(error, rs.OriginalMissingError):
        yield from _judge_loss(truth, call)
    elif isinstance(error, rs.ObjectChangedError):
        if call.kind != "stream" or truth.is_steady(call):
            yield f"P5: {error!r} though nothing changed"
    elif not isinstance(error, rs.BackendsUnavailableError):
        yield f"P5: a read ended in {error!r}"
    elif truth.nothing_was_wrong(call):
        yield f"P5: {error} though nothing was ever wrong"


def _judge_bytes(truth: Truth, call: Call) -> Iterator[str]:
    if isinstance(call.value, bytes):
        data, result = call.value, None
    else:
        data, result = call.value.data, call.value
    if result is not None and result.original_missing:
        yield from _judge_stand_in(truth, call)
        return
    window = slice(call.facts["start"], call.facts["end"]) if call.kind == "range" else slice(None)
    names = [result.backend] if result is not None else truth.names
    here = truth.everything(call.path, call, names)
    blank = not data and truth.may_look_blank(call.path, call)
    # Without a catalog, two backends that disagree are told apart by size only in a stream.
    told_apart = call.kind != "stream" or len({len(one) for one in here}) == len(here)
    if data not in [one[window] for one in here] and told_apart and not blank:
        yield f"P5: {data[:40]!r} was never there in that time, or is a mix"
    if not data and (whole := truth.intact_bytes(call)) and whole[window]:
        yield "P5: a blank, though a backend that was well holds bytes"
    if not data and truth.derivatives(call.path) and call.kind != "range":
        yield "P5: a blank original under a degraded rule"


def _judge_stand_in(truth: Truth, call: Call) -> Iterator[str]:
    result = call.value
    if call.kind != "read":
        yield "P5: a derivative from a call that asked for originals only"
    if result.derivative not in truth.derivatives(call.path):
        yield f"P5: {result.derivative} is no derivative"
    elif not result.data:
        yield "P5: a blank derivative"
    elif result.data not in truth.everything(result.derivative, call, [result.backend]):
        yield "P5: the derivative's bytes were never there"
    if result.reason == "lost" and not truth.is_lost(call.path, call):
        yield "P5: said to be lost, and it is not certain"
    if result.reason == "unreachable" and truth.nothing_was_wrong(call):
        yield "P5: said to be unreachable, and nothing was ever wrong"
    if result.reason not in ("lost", "unreachable"):
        yield f"P5: a derivative with the reason {result.reason!r}"
    if holder := truth.intact_holder(call):
        yield f"liveness: {holder} held the original and was well, and a derivative was returned"


def _judge_absence(truth: Truth, call: Call) -> Iterator[str]:
    if not truth.is_absent(call.path, call):
        yield "P5: FileNotFoundError, and the absence is not certain"
    for derivative in truth.derivatives(call.path):
        if not truth.is_lost(derivative, call):
            yield f"P5: FileNotFoundError, though {derivative} may exist"


def _judge_loss(truth: Truth, call: Call) -> Iterator[str]:
    derivatives = truth.derivatives(call.path)
    if not truth.is_lost(call.path, call):
        yield "P5: OriginalMissingError, and the loss is not certain"
    seen = any(truth.everything(derivative, call) for derivative in derivatives)
    if not seen and not truth.may_look_blank(call.path, call):
        yield "P5: OriginalMissingError without any evidence that it existed"


def _judge_look(truth: Truth, call: Call) -> Iterator[str]:
    if call.cancelled:
        return
    if call.error is not None:
        yield from _judge_read(truth, call)
        return
    exists = call.value if call.kind == "exists" else True
    if not exists:
        yield from _judge_absence(truth, call)
        return
    sizes = {len(data) for data in truth.everything(call.path, call)}
    blank = truth.may_look_blank(call.path, call)
    lost = truth.is_lost(call.path, call)
    if not sizes and not blank and not (truth.derivatives(call.path) and lost):
        yield "P5: said to exist, and nothing of it was ever there"
    if call.kind == "info":
        size = call.value["size"]
        if call.value["original_missing"]:
            if not lost:
                yield "P5: info says lost, and it is not certain"
        elif size not in sizes and not (size == 0 and blank):
            yield f"P5: info says {size} bytes, which it never had"
        if size == 0 and truth.intact_bytes(call):
            yield "P5: info says blank, though a backend that was well holds bytes"


def _judge_listing(truth: Truth, call: Call) -> Iterator[str]:
    if call.cancelled:
        return
    if call.error is not None:
        if not isinstance(call.error, rs.BackendsUnavailableError):
            yield f"P5: a listing ended in {call.error!r}"
        elif truth.nothing_was_wrong(call):
            yield "P5: a listing was refused though nothing was ever wrong"
        return
    if call.value.missing_backends:
        yield "P5: a short listing that nobody asked for"
    yield from _judge_listed(truth, call, list(call.value))


def _judge_listed(truth: Truth, call: Call, listed: list[str]) -> Iterator[str]:
    for path in truth.paths:
        there = truth.certainly_listed(path, call)
        if there and path not in listed:
            yield f"P5: the listing leaves out {path}"
    for path in listed:
        if path.startswith(".resilient"):
            yield f"the listing shows {path}"
        elif not truth.everything(path, call) and not truth.ever_empty(path, call):
            yield f"P5: the listing shows {path}, which was not there"


# --- P1: what is acknowledged is there; what is not is told truly -----------------------------


def _judge_write(truth: Truth, call: Call) -> Iterator[str]:
    if call.cancelled:
        return
    if call.error is None:
        yield from _judge_receipt(truth, call)
        return
    error, data = call.error, call.facts["data"]
    allowed = (rs.InsufficientCopiesError, rs.ConcurrentWriteError, FileExistsError)
    blank = isinstance(error, rs.BlankObjectError)
    if blank and (data or not truth.derivatives(call.path)):
        yield f"a write of bytes ended in {error!r}"
    if not blank and not isinstance(error, allowed):
        yield f"P1: a write ended in {error!r}"
    elif isinstance(error, FileExistsError):
        if not truth.everything(call.path, call) and not truth.ever_empty(call.path, call):
            yield "FileExistsError, and nothing was ever there"
    elif isinstance(error, rs.ObjectError):
        if truth.nothing_changed_it(call) and not blank:
            yield f"P1: a write was refused though nothing was ever wrong: {error}"
        yield from _what_was_left(truth, call, error)


def _judge_receipt(truth: Truth, call: Call) -> Iterator[str]:
    receipt, data = call.value, call.facts["data"]
    setup = truth.history.setup
    if set(receipt.copies) | set(receipt.pending) != set(truth.names):
        yield f"P1: the receipt forgets a backend: {receipt}"
    if len(receipt.copies) < (setup.copies or len(truth.names)):
        yield f"P1: acknowledged with {len(receipt.copies)} copies"
    for name in receipt.copies:
        held = truth.held(name, call.path, call.ended_s)
        if held != data and not truth.was_destroyed(name, call.path, call, data):
            yield f"P1: {name} is on the receipt and holds {held and held[:40]!r}"


def _what_was_left(truth: Truth, call: Call, error: rs.ObjectError) -> Iterator[str]:
    if not call.facts["data"]:
        return
    for name in truth.names:
        yield from _what_was_left_on(truth, call, error, name)


def _what_was_left_on(truth: Truth, call: Call, error: rs.ObjectError, name: str) -> Iterator[str]:
    data, words = call.facts["data"], error.note
    said = {reply.backend: reply.outcome.value for reply in error.replies}
    now = truth.held(name, call.path, call.ended_s)
    later = truth.appears_later(name, call)
    new = now == data and call.before.get(name) != data
    if new and name not in words and said.get(name) not in ("ok", "timed out"):
        yield f"P1: {name} was left with the new bytes, and the error is silent: {error}"
    if later and name not in words and said.get(name) != "timed out":
        yield f"P1: the bytes appear on {name} later, and the error is silent: {error}"
    gone = now != data and said.get(name) == "ok"
    if gone and not truth.was_destroyed(name, call.path, call, data):
        yield f"P1: the error says ok for {name}, which does not hold the bytes: {error}"
    changed = now != call.before.get(name)
    by_us = changed and not truth.was_destroyed(name, call.path, call, call.before.get(name))
    if by_us and "The previous version still stands everywhere" in words:
        yield f"P1: {name} changed, and the error says that nothing did: {error}"
    if (later or new) and "Nothing of it was left anywhere" in words:
        yield f"P1: {name} holds it, and the error says nobody does: {error}"


def _nothing_staged(truth: Truth, call: Call) -> Iterator[str]:
    for name, key in truth.staged_by(call):
        if truth.history.world.disks[name].is_well(call.started_s, call.ended_s):
            yield f"{name} was well and was left with {key}"


def _judge_delete(truth: Truth, call: Call) -> Iterator[str]:
    if call.cancelled:
        return
    if call.error is None:
        for name in truth.names:
            held = truth.held(name, call.path, call.ended_s)
            if held is not None and not truth.was_destroyed(name, call.path, call, None):
                yield f"a deletion was acknowledged, and {name} still holds {held[:40]!r}"
    elif isinstance(call.error, FileNotFoundError | rs.OriginalMissingError):
        if not all(None in truth.values(name, call.path, call) for name in truth.names):
            yield f"P5: a deletion ended in {call.error!r}, and somebody holds it"
    elif not isinstance(call.error, rs.BackendsUnavailableError):
        yield f"a deletion ended in {call.error!r}"
    elif truth.nothing_was_wrong(call):
        yield f"a deletion was refused though nothing was ever wrong: {call.error}"


# --- the end: all is well again ---------------------------------------------------------------


def _judge_end(history: History) -> Iterator[str]:
    if not history.recovered:
        yield "liveness: all faults are over, and no write is acknowledged"
    for call in history.calls:
        if call.facts.get("after_recovery") and history.recovered:
            gone = call.kind == "read" and call is history.calls[-1] and not history.setup.once
            if gone != isinstance(call.error, FileNotFoundError):
                yield f"liveness: when all was well, {call.kind} ended in {call.ending}"
    if history.left:
        yield f"tasks were left after close: {', '.join(history.left)}"
    for complaint in history.loop.complaints:
        yield f"asyncio complains: {complaint.get('message')} {complaint.get('exception')!r}"
