"""Reading: one of five ends, and no other (P5)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.errors import BackendsUnavailableError, OriginalMissingError
from resilient_store.io.drive import all_of, drive, leave_to_finish
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.result import DegradedEvent, ReadResult, Reason
from resilient_store.policies import DegradedRead
from resilient_store.protocol.degrade import End, end_after_derivatives, end_of_original
from resilient_store.protocol.read import Candidate, Reading, ReadMachine
from resilient_store.store import Store

V = TypeVar("V")

logger = logging.getLogger("resilient_store")

Perform = Callable[[BackendClient], Coroutine[Any, Any, Reply[V]]]


def candidates(
    store: Store,
    key: str,
    order: Iterable[str] | None = None,
    places: Mapping[str, str] | None = None,
) -> tuple[Candidate, ...]:
    """Return whom a read may ask; a probe that is due is sent beside it, and costs it nothing."""
    now_s = runtime.now_s()
    found = []
    for name in order or places or store.clients:
        client = store.clients[name]
        healthy = client.health.is_closed("read")
        if not healthy and client.health.may_probe("read", now_s):
            leave_to_finish(store.tails, client.probe(key if places is None else places[name]))
        found.append(Candidate(name, healthy, client.backend.holds_all and places is None))
    return tuple(found)


async def ask(
    store: Store,
    key: str,
    perform: Perform[V],
    order: Iterable[str] | None = None,
    places: Mapping[str, str] | None = None,
) -> Reading[V]:
    """Ask backends, as the read policy says, until one answer decides.

    Parameters
    ----------
    store
        Whom to ask.
    key
        For the probe of a backend that is left alone.
    perform
        The request.
    order
        Another order than the configured one.
    places
        The replicas' keys by backend, in order, where a catalog says who should hold the object:
        then nobody's "not found" stands for the others'.

    Notes
    -----
    Promises: P5, P6.
    """
    machine: ReadMachine[V] = ReadMachine(
        candidates(store, key, order, places),
        store.configuration.read.hedge_after,
        may_hedge=lambda name: store.clients[name].health.spend(),
        is_healthy=lambda name: store.clients[name].health.is_closed("read"),
    )
    reading = await drive(machine, lambda name: perform(store.clients[name]), store.signal)
    for name in reading.slow:
        store.clients[name].health.record(
            "read", Outcome.TIMED_OUT, runtime.now_s(), key=key, slow=True
        )
    return reading


async def read_original(
    store: Store, path: str, start: int | None = None, end: int | None = None
) -> Reply[Body]:
    """Return the original's bytes, or a range of them.

    Raises
    ------
    FileNotFoundError
        It is certain that there is no such object.
    OriginalMissingError
        It existed, and is lost.
    BackendsUnavailableError
        It cannot be had or known now.
    """
    reading = await ask(store, path, lambda client: client.get(path, start, end))
    return reading.found or await without_original(store, path, reading)


async def look(store: Store, path: str) -> Reply[ObjectInfo]:
    """Return what is known of a path; raises as `read_original`."""
    reading = await ask(store, path, lambda client: client.info(path))
    if reading.found is not None and is_directory(reading.found):
        return await _object_of_that_name(store, path, reading.found) or reading.found
    return reading.found or await without_original(store, path, reading)


def is_directory(reply: Reply[ObjectInfo]) -> bool:
    """Say whether a directory was found."""
    return reply.value is not None and reply.value.directory


async def _object_of_that_name(
    store: Store, path: str, found: Reply[ObjectInfo]
) -> Reply[ObjectInfo] | None:
    """Look for the object that whoever shows a directory of its name may have lost.

    Others are given no longer than a read gives who is slow.
    """
    look_for, within_s = looker(path), store.configuration.read.hedge_after

    async def look_at(client: BackendClient) -> Reply[ObjectInfo] | None:
        try:
            return await runtime.within(look_for(client), runtime.Deadline(within_s))
        except runtime.OutOfTimeError:
            now_s = runtime.now_s()
            client.health.record("read", Outcome.TIMED_OUT, now_s, key=path, slow=True)
            return None

    others = [
        client
        for name, client in store.clients.items()
        if name != found.backend and client.health.is_closed("read")
    ]
    replies = await all_of([look_at(client) for client in others])
    return next((reply for reply in replies if reply is not None and reply.ok), None)


async def without_original(store: Store, path: str, reading: Reading[V]) -> Reply[V]:
    """End a read that found nothing: an empty object everybody agrees on, or the right error."""
    derivatives = store.derivatives(path)
    end = end_of_original(reading, has_rule=bool(derivatives))
    if end is End.EMPTY and reading.blank is not None:
        return reading.blank
    if end is not End.ABSENT or not derivatives:
        raise refusal(path, end, reading) from None
    looked: list[Reading[ObjectInfo]] = []
    for derivative in derivatives:
        looked.append(await ask(store, derivative, looker(derivative)))
        if looked[-1].found is not None:
            break
    after = end_after_derivatives(end, looked)
    raise refusal(path, after, reading, *looked) from None


def looker(key: str) -> Perform[ObjectInfo]:
    """Make the request that looks for an object; a directory is none."""

    async def look_for(client: BackendClient) -> Reply[ObjectInfo]:
        reply = await client.info(key)
        return Reply(client.name, Outcome.NOT_FOUND) if is_directory(reply) else reply

    return look_for


def _reader(key: str) -> Perform[Body]:
    return lambda client: client.get(key)


def refusal(path: str, end: End, *readings: Reading[Any]) -> Exception:
    """Make the error for an end without bytes."""
    replies = readings[0].replies
    if end is End.ABSENT:
        return FileNotFoundError(2, "no such object", path)
    if end is End.LOST:
        return OriginalMissingError(path, replies)
    note = ""
    if all(reply.outcome is Outcome.NOT_FOUND for reply in replies):
        replies = next((r.replies for r in readings[1:] if not r.absent), replies)
        note = "Its derivatives cannot all be asked for, so it may have existed"
    if any(reply.outcome is Outcome.DENIED for reply in replies):
        note = "A backend denies the read: give its credentials the right to get and to list"
    return BackendsUnavailableError(path, replies, note)


async def read(
    store: Store, path: str, *, degraded: bool | DegradedRead | None = None
) -> ReadResult:
    """Return the original, or a derivative with the flag; raises as `read_original` otherwise.

    Parameters
    ----------
    store, path
        What to read.
    degraded
        False: originals only. A policy: instead of the store's. None or True: the store's.

    Notes
    -----
    Promises: P5.
    """
    reading = await ask(store, path, _reader(path))
    if reading.found is not None:
        return _result(path, path, reading.found)
    policy = degraded if isinstance(degraded, DegradedRead) else None
    derivatives = policy.derivatives(path) if policy else store.derivatives(path)
    end = end_of_original(reading, has_rule=bool(derivatives))
    if degraded is False or not derivatives or end is End.EMPTY:
        return _result(path, path, await without_original(store, path, reading))
    tried: list[Reading[Body]] = []
    for derivative in derivatives:
        tried.append(await ask(store, derivative, _reader(derivative)))
        found = tried[-1].found
        if found is not None:
            after = end_after_derivatives(end, tried)
            reason: Reason = "lost" if after is End.LOST else "unreachable"
            error = refusal(path, after, reading)
            tell(store, path, derivative, reason, found.backend)
            return _result(path, derivative, found, reason=reason, refusal=error)
    raise refusal(path, end_after_derivatives(end, tried), reading, *tried) from None


def _result(
    path: str,
    found_at: str,
    reply: Reply[Body],
    *,
    reason: Reason | None = None,
    refusal: Exception | None = None,
) -> ReadResult:
    body = reply.value
    assert body is not None, "only an OK is made a result"
    return ReadResult(
        data=body.data,
        path=path,
        original_missing=reason is not None,
        reason=reason,
        derivative=found_at if reason is not None else None,
        backend=reply.backend,
        content_type=body.content_type or Headers().over(None, found_at).content_type,
        refusal=refusal,
    )


def tell(store: Store, path: str, derivative: str, reason: Reason, backend: str) -> None:
    """Call the ``on_degraded`` hook; what it raises is its own affair."""
    hook = store.configuration.on_degraded
    if hook is not None:
        try:
            hook(DegradedEvent(path=path, derivative=derivative, reason=reason, backend=backend))
        except Exception:
            logger.exception("the on_degraded hook failed")


async def headers_anywhere(store: Store, path: str) -> Headers | None:
    """Return an object's headers from a backend that keeps any; None where none does."""
    silent = []
    for client in store.clients.values():
        if client.traits is None or client.traits.keeps_headers:
            reply = await client.info(path)
            if reply.value is not None and reply.value.headers is not None:
                return reply.value.headers
            if not reply.outcome.answers:
                silent.append(client.name)
    if silent:
        text = "%s is copied without what %s may keep of its headers: no answer"
        logger.warning(text, path, ", ".join(silent))
    return None


def headers_of(info: ObjectInfo) -> Headers:
    """Return an object's headers, guessed from its name where the backend holds none."""
    return (info.headers or Headers()).over(None, info.key)
