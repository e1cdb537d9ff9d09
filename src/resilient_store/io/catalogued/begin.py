"""Begin a change: get the intents of its paths, one or several, in one transaction (R21)."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import (
    CatalogUnavailableError,
    ConcurrentWriteError,
    StoreFrozenError,
)
from resilient_store.io.catalogued.holder import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    Holder,
    unavailable,
)
from resilient_store.io.drive import protected
from resilient_store.model.state import Frozen, Record
from resilient_store.model.step import Step
from resilient_store.protocol import transactions
from resilient_store.protocol.moment import (
    Beginning,
    Begun,
    Busy,
    Exists,
    Moment,
    StoreIsFrozen,
    TakenOver,
    Wish,
)
from resilient_store.store import Store

Records = tuple[Record, ...]
Settle = Callable[[Holder], Coroutine[Any, Any, None]]


async def begin(
    store: Store, path: str, wish: Wish, settle: Settle, *, wait_s: float | None = None
) -> Holder:
    """Begin a change of one path, as `begin_all` does."""
    (held,) = await begin_all(store, {path: wish}, settle, wait_s=wait_s)
    return held


async def begin_all(
    store: Store, wishes: Mapping[str, Wish], settle: Settle, *, wait_s: float | None = None
) -> tuple[Holder, ...]:
    """Begin changes of paths in one transaction, or none of them.

    Waits for who is at work there, and settles what the dead left.

    Raises
    ------
    ConcurrentWriteError
        Somebody else was at work for all of ``lock_timeout``.
    StoreFrozenError, FileExistsError, CatalogUnavailableError
        As they say.
    """
    patience_s = store.configuration.lock_timeout if wait_s is None else wait_s
    until_s = runtime.now_s() + patience_s
    wait_s = FIRST_WAIT_S
    while True:
        asked_s = runtime.now_s()
        answers = await _answers(store, wishes, asked_s)
        if holders := _holders(store, wishes, answers, asked_s):
            return holders
        busy: dict[str, Busy] = {}
        for (path, wish), answer in zip(wishes.items(), answers, strict=True):
            match answer:
                case TakenOver(intent=intent, record=record):
                    runtime.reach(Step.SETTLE_BEGUN)
                    lease_s = wish.lease_s
                    await settle(Holder(store, record, intent, asked_s=asked_s, lease_s=lease_s))
                case Exists():
                    raise FileExistsError(17, "the path exists", path)
                case StoreIsFrozen(frozen=frozen):
                    raise StoreFrozenError(path, note=_words(frozen))
                case Busy():
                    busy[path] = answer
                case Begun():
                    pass  # not committed, for the others are not
        if busy:
            await _wait(busy, wait_s, until_s)
            wait_s = min(LONGEST_WAIT_S, 2 * wait_s)


def _words(frozen: Frozen) -> str:
    since = dt.datetime.fromtimestamp(frozen.since_s, dt.UTC)
    return f"by {frozen.who}, since {since:%Y-%m-%d %H:%M:%S} UTC: {frozen.why}"


async def _wait(busy: Mapping[str, Busy], wait_s: float, until_s: float) -> None:
    """Wait a while for those at work, at the longest until the last lease ends."""
    if runtime.now_s() >= until_s:
        path, by = next(iter(busy.items()))
        raise ConcurrentWriteError(path, note=f"{by.intent.owner} is at work on it")
    left_s = max(by.left_s for by in busy.values()) + runtime.uniform(0.0, FIRST_WAIT_S)
    left_s = min(left_s, until_s - runtime.now_s())
    await runtime.pause(max(0.0, min(wait_s * runtime.uniform(0.5, 1.5), left_s)))


async def _answers(
    store: Store, wishes: Mapping[str, Wish], asked_s: float
) -> tuple[Beginning, ...]:
    """Ask the catalog; who is cancelled before its answer comes leaves no intent behind."""
    heard: tuple[Beginning, ...] = ()

    def change(records: Records, moment: Moment) -> tuple[Records, tuple[Beginning, ...]]:
        nonlocal heard
        after, heard = begin_each(records, moment, tuple(wishes.values()))
        return after, heard

    try:
        return await store.known.change(tuple(wishes), change)
    except CatalogDownError as error:
        raise unavailable(next(iter(wishes)), error) from None
    except asyncio.CancelledError:
        for held in _holders(store, wishes, heard, asked_s):
            with contextlib.suppress(CatalogUnavailableError):  # its lease ends by itself
                await protected(held.finish())
        raise


def _holders(
    store: Store, wishes: Mapping[str, Wish], answers: tuple[Beginning, ...], asked_s: float
) -> tuple[Holder, ...]:
    """Return the holders of what was begun: all of it, or nothing."""
    begun = [answer for answer in answers if isinstance(answer, Begun)]
    if len(begun) < len(wishes):
        return ()
    return tuple(
        Holder(store, one.record, one.intent, asked_s=asked_s, lease_s=wish.lease_s, begun=one)
        for one, wish in zip(begun, wishes.values(), strict=True)
    )


def begin_each(
    records: Records, moment: Moment, wishes: tuple[Wish, ...]
) -> tuple[Records, tuple[Beginning, ...]]:
    """Begin changes in one transaction; where one cannot begin, none does.

    A dead holder's intent is taken over all the same: that is progress.
    """
    began = [
        transactions.begin(record, moment, wish)
        for record, wish in zip(records, wishes, strict=True)
    ]
    answers = tuple(answer for _, answer in began)
    kept = Begun if all(isinstance(answer, Begun) for answer in answers) else TakenOver
    after = tuple(
        changed if isinstance(answer, kept) else record
        for record, (changed, answer) in zip(records, began, strict=True)
    )
    return after, answers
