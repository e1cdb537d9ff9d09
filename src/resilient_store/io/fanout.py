"""One request to many backends at once, and who may be asked to change anything."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.io.drive import drive
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.protocol.write import Demand, FanOutMachine
from resilient_store.store import Store

T = TypeVar("T")


async def fan_out(
    store: Store,
    names: Iterable[str],
    call: Callable[[BackendClient], Coroutine[Any, Any, Reply[T]]],
    demand: Demand | None = None,
) -> dict[str, Reply[T]]:
    """Ask these backends the same at once; without a demand, wait for each of them."""
    domains = {name: store.domains[name] for name in names}
    machine: FanOutMachine[T] = FanOutMachine(demand or Demand(len(domains) + 1), domains)
    replies = await drive(machine, lambda name: call(store.clients[name]))
    silent = {
        name: Reply[T](name, Outcome.TIMED_OUT, detail="not waited for")
        for name in domains
        if name not in replies
    }
    for name in silent:  # given up: without this a backend that hangs would never be left alone
        store.clients[name].health.record("write", Outcome.TIMED_OUT, runtime.now_s(), slow=True)
    return {name: (replies | silent)[name] for name in domains}


def left_alone(store: Store) -> dict[str, Reply[Any]]:
    """Return a reply for every backend that nobody may write to now, not even as a probe.

    Nobody's place is taken: a change that another backend prevents must not use up this one's
    probe, or two backends whose probes fall due in turn would keep every change waiting.
    """
    now_s = runtime.now_s()
    return {
        name: _away(store, name)
        for name in store.writable
        if not store.clients[name].health.is_closed("write")
        and not store.clients[name].health.may_probe("write", now_s)
    }


def take_probes(store: Store) -> dict[str, Reply[Any]]:
    """Take the place of every due probe; return a reply where another call was quicker."""
    now_s = runtime.now_s()
    return {
        name: _away(store, name)
        for name in store.writable
        if not store.clients[name].health.is_closed("write")
        and not store.clients[name].health.take_probe(
            "write", now_s, store.clients[name].backend.timeout
        )
    }


def away_to_write(store: Store, names: Iterable[str]) -> dict[str, Reply[Any]]:
    """Return a reply for those of these backends that are left alone; take the due probes.

    Where a catalog remembers who missed what, a change does not need everybody.
    """
    now_s = runtime.now_s()
    away: dict[str, Reply[Any]] = {}
    for name in names:
        client = store.clients[name]
        if store.is_drained(name):
            away[name] = Reply(name, Outcome.UNAVAILABLE, detail="drained")
            continue
        if client.health.is_closed("write"):
            continue
        if not client.health.take_probe("write", now_s, client.backend.timeout):
            away[name] = _away(store, name)
    return away


def _away(store: Store, name: str) -> Reply[Any]:
    detail = f"left alone: {store.clients[name].health.reason('write')}"
    return Reply(name, Outcome.UNAVAILABLE, detail=detail)
