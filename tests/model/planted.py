"""Each rule of the protocol left out, as a bug planted in the real code for as long as a run."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import types
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import attrs

from resilient_store.catalog.contract import CatalogDownError, CommitUnknownError
from resilient_store.io import identity
from resilient_store.io.catalogued import (
    discover,
    holder,
    own_key,
    read,
    repair,
    settle,
    write,
)
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import Phase, Record, State
from resilient_store.operations import sweep
from resilient_store.protocol import findings, transactions
from resilient_store.protocol.account import Verdict
from tests.model.world import LATE_WINDOW_S

Patch = tuple[Any, str, Any]


def _fence() -> list[Patch]:
    # Whoever meets a dead holder's intent settles it without taking it over.

    def take_over(record: Record, moment: Any, wish: Any) -> Record:
        later = moment.now_s + wish.lease_s
        return attrs.evolve(record, intent=attrs.evolve(record.intent, expires_s=later))

    async def settle_open(held: Any) -> None:
        if held.intent.phase is Phase.OPEN and held.intent.kind == "write":
            await settle.undo(held)
        else:
            await held.finish()

    return [
        (transactions, "take_over", take_over),
        *((module, "settle", settle_open) for module in (write, repair)),
        (_module("delete"), "settle", settle_open),
    ]


def _module(name: str) -> Any:
    return importlib.import_module(f"resilient_store.io.catalogued.{name}")


def _takeover() -> list[Patch]:
    # Taking an intent over does not mark its keys again.
    real = transactions.take_over

    def take_over(record: Record, moment: Any, wish: Any) -> Record:
        after = real(record, moment, wish)
        return attrs.evolve(after, replicas=record.replicas)

    return [(transactions, "take_over", take_over)]


def _lock() -> list[Patch]:
    # Repair works without the path's intent.
    real = transactions.begin

    def begin(record: Record, moment: Any, wish: Any) -> Any:
        if wish.kind != "repair":
            return real(record, moment, wish)
        _, answer = real(attrs.evolve(record, intent=None), moment, wish)
        return record, answer

    def finish(record: Record, moment: Any, intent_id: int, *_: Any, **__: Any) -> Any:
        if record.intent is not None and record.intent.id == intent_id:
            return real_finish(record, moment, intent_id, *_, **__)
        return record, True

    def purge(record: Record, moment: Any, intent_id: int, **looked: Any) -> Any:
        if record.intent is not None:
            return record, False
        mine: Any = types.SimpleNamespace(id=intent_id)
        after, done = real_purge(attrs.evolve(record, intent=mine), moment, intent_id, **looked)
        return attrs.evolve(after, intent=None), done

    async def ready_for(self: Any, seconds: float, checksum: str = "") -> None:
        if self.intent.kind != "repair":
            await real_ready_for(self, seconds, checksum)

    real_finish, real_purge = transactions.finish, findings.purge
    real_ready_for = holder.Holder.ready_for
    return [
        (transactions, "begin", begin),
        (transactions, "_is_mine", lambda record, intent_id: True),
        (transactions, "finish", finish),
        (transactions, "touch", _touch_anyway),
        (findings, "purge", purge),
        (holder.Holder, "ready_for", ready_for),
    ]


def _touch_anyway(record: Record, moment: Any, intent_id: int, backend: str) -> Any:
    row = record.replica(backend)
    if not moment.is_quiet(row):
        return record, False
    busy = attrs.evolve(row, busy_until_s=moment.now_s + moment.late_window_s)
    return record.with_replicas(busy), True


def _leasecheck() -> list[Patch]:
    # An own-key request is sent whether the lease lasts or not.

    async def ready_for(self: Any, seconds: float, checksum: str = "") -> None:
        if checksum and checksum != self.intent.checksum:
            with contextlib.suppress(Exception):
                await self._renew(seconds, checksum)
            self.lost = False

    return [(holder.Holder, "ready_for", ready_for)]


def _quiet() -> list[Patch]:
    # Every key counts as quiet.
    return [(transactions.Moment, "is_quiet", lambda self, row: True)]


def _void() -> list[Patch]:
    # A creation that failed leaves no void.
    real = transactions.finish

    def finish(*args: Any, void: bool = False, **more: Any) -> Any:
        return real(*args, void=False, **more)

    return [(transactions, "finish", finish)]


def _relook() -> list[Patch]:
    # A row that was once seen to be gone is not looked at again before the purge.
    real = own_key.look

    async def look(held: Any, client: Any) -> Any:
        row = held.record.replica(client.name)
        if held.intent.kind == "repair" and row.state is State.GONE:
            return own_key.Look(Verdict.EMPTY, None, Reply(client.name, Outcome.OK))
        return await real(held, client)

    return [(own_key, "look", look)]


def _lookorder() -> list[Patch]:
    # A look that only ended after the quiet time counts for the purge.
    real = findings.purge

    def purge(record: Record, moment: Any, intent_id: int, looked: Any, began_s: float) -> Any:
        return real(record, moment, intent_id, looked, moment.now_s)

    async def slowly(held: Any, looked: Any, report: Any) -> None:
        await asyncio.sleep(LATE_WINDOW_S + 5)
        await forget(held, looked, report)

    forget = repair._purge
    return [(findings, "purge", purge), (repair, "_purge", slowly)]


def _account() -> list[Patch]:
    # What lies at an own key is replaced or deleted whoever put it there.
    real = own_key.look

    async def look(held: Any, client: Any) -> Any:
        found = await real(held, client)
        if found.verdict in (Verdict.FOREIGN, Verdict.UNSURE):
            return attrs.evolve(found, verdict=Verdict.OURS)
        return found

    return [(own_key, "look", look)]


def _discover() -> list[Patch]:
    # What is found is recorded whatever happened meanwhile, and whoever is at work on it.
    real = findings.discover

    def record_it(record: Record, moment: Any, found: Any) -> Any:
        if record.entry is not None:
            return record, False
        bare = Record(path=record.path, replicas=record.replicas)
        after, done = real(bare, moment, attrs.evolve(found, by=bare))
        return attrs.evolve(after, intent=record.intent, voids=record.voids), done

    async def unexplained(record: Record, client: Any, *, came_back: bool = False) -> Any:
        return await client.info(record.path)

    return [(findings, "discover", record_it), (discover, "unexplained", unexplained)]


def _lookup() -> list[Patch]:
    # A backend that could not be looked at is written to at the own key.
    real = transactions.place

    def place(record: Record, intent_id: int, direct: Any, looked: Any) -> Any:
        return real(record, intent_id, ("a", "b"), looked)

    real_look = write.CataloguedWrite._look_first

    async def look_first(self: Any, held: Any) -> Any:
        headers = await real_look(self, held)
        self._direct = tuple(name for name in self._live if name in held.quiet)
        return headers

    return [(transactions, "place", place), (write.CataloguedWrite, "_look_first", look_first)]


def _counter() -> list[Patch]:
    # Versions are counted per path, and begin anew after a purge.
    real = transactions.begin

    def begin(record: Record, moment: Any, wish: Any) -> Any:
        after, answer = real(record, moment, wish)
        if isinstance(answer, transactions.Begun):
            version = 1 if record.entry is None else record.entry.version + 1
            intent = attrs.evolve(answer.intent, version=version)
            return attrs.evolve(after, intent=intent), attrs.evolve(answer, intent=intent)
        return after, answer

    return [(transactions, "begin", begin)]


def _commitcheck() -> list[Patch]:
    # A commit whose answer was lost is taken for one that failed, and rolled back.

    async def certainly(held: Any, attempt: Callable[[], Any]) -> bool:
        try:
            return await attempt()
        except CommitUnknownError:
            held.touched = held.store.writable
            await settle.undo(held)
            return False

    return [(holder, "certainly", certainly)]


def _reread() -> list[Patch]:
    # Lost is said without looking the entry up again.
    real = read.refusal

    def refusal(store: Any, record: Record, replies: Any) -> Any:
        return real(store, attrs.evolve(record, intent=None), replies)

    return [(read, "_changed", lambda before, after: False), (read, "refusal", refusal)]


def _cas() -> list[Patch]:
    # What a reader saw is recorded, whatever the row says by now.

    def observe(record: Record, moment: Any, seen: Any) -> Any:
        row = record.replica(seen.by.backend)
        if record.present is None:
            return record, False
        return record.with_replicas(attrs.evolve(row, state=seen.state)), True

    return [(findings, "observe", observe)]


def _sweep() -> list[Patch]:
    # The catalog is asked for living tokens before staging is listed.
    real = sweep._Sweep.run

    async def run(one: Any) -> None:
        alive.clear()
        with contextlib.suppress(CatalogDownError):
            record, _ = await one._store.known.find("o")
            alive.update(row.place for row in record.replicas.values())
            alive.add(None if record.intent is None else record.intent.token)
        await asyncio.sleep(0.3)
        await real(one)

    async def dead(store: Any, left: Any) -> Any:
        return [info for info in left if alive and info.key.split("/")[2] not in alive]

    alive: set[Any] = set()

    def left_over(info: Any, before: Any) -> bool:
        return bool(info.key.startswith(sweep.STAGING))  # a backend's clock proves nothing

    return [
        (sweep._Sweep, "run", run),
        (sweep, "_dead", dead),
        (sweep, "_is_left_over", left_over),
    ]


def _epoch() -> list[Patch]:
    # A backend that went back in time is not recognised.
    real = identity.Identity.decode

    def decode(data: bytes) -> Any:
        return attrs.evolve(real(data), epoch=10**9)

    return [(identity.Identity, "decode", staticmethod(decode))]


RULES: dict[str, Callable[[], list[Patch]]] = {
    "fence": _fence,
    "takeover": _takeover,
    "lock": _lock,
    "leasecheck": _leasecheck,
    "quiet": _quiet,
    "void": _void,
    "relook": _relook,
    "lookorder": _lookorder,
    "account": _account,
    "discover": _discover,
    "lookup": _lookup,
    "counter": _counter,
    "commitcheck": _commitcheck,
    "reread": _reread,
    "cas": _cas,
    "sweep": _sweep,
    "epoch": _epoch,
}


@contextlib.contextmanager
def without(rule: str) -> Iterator[None]:
    """Leave a rule out of the real code."""
    with contextlib.ExitStack() as stack:
        for target, name, value in RULES[rule]():
            stack.enter_context(mock.patch.object(target, name, value))
        yield
