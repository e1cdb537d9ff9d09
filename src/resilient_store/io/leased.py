"""Share a round of a job with other machines: each part is worked on by one that has its lease."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn

import attrs

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.io.drive import alongside, protected
from resilient_store.model.key_range import KeyRange
from resilient_store.model.round import Lease, Round
from resilient_store.model.state import StoreState
from resilient_store.protocol import rounds
from resilient_store.store import Store

PAGE = 1000
RENEWALS = 3  # of a lease, while it lasts: one or two may be lost
OUTRUN = 100  # so often others may be faster, before what they do is waited for
SOON_S, LATEST_S = 0.01, 1.0  # how long others' parts are waited for, before a look

Note = Callable[[StoreState, Round, float], StoreState]

logger = logging.getLogger("resilient_store")


class _TakenError(Exception):
    """Somebody else has the part now."""


def note_nothing(state: StoreState, _: Round, __: float) -> StoreState:
    """Leave the store's state as it is."""
    return state


@attrs.define
class Shares:
    """One process's share in rounds.

    Parameters
    ----------
    long
        The job during whose round the others fall due again.
    asked_s
        When it was begun, on the catalog's clock.
    every_s
        From the beginning of one round to that of the next.
    lease_s
        After so many seconds of silence a process counts as dead.
    objects
        How many a part holds at most.
    """

    store: Store
    jobs: Sequence[str]
    long: str
    asked_s: float
    every_s: float
    lease_s: float
    objects: int
    owner: str = attrs.field(factory=lambda: f"{runtime.who()} {runtime.new_id()}")
    began_s: dict[str, float] = attrs.field(factory=dict)  # of a job's round, when it had a part
    _joined: set[str] = attrs.field(factory=set)  # jobs of which it has had its round
    _aside_until_s: dict[str, float] = attrs.field(factory=dict)  # jobs that failed
    _begun: set[str] = attrs.field(factory=set)  # new rounds since the long job was last looked at

    @property
    def at_hand(self) -> tuple[str, ...]:
        """The jobs that were not set aside."""
        now_s = runtime.now_s()
        return tuple(job for job in self.jobs if now_s >= self._aside_until_s.get(job, -math.inf))

    def set_aside(self, job: str) -> None:
        """Leave a job that failed until its next round would be due; without one, for good."""
        self._aside_until_s[job] = runtime.now_s() + (self.every_s or math.inf)

    async def take(self, job: str, *, whole: bool = False) -> Lease | None:
        """Take a part of a job that is due; None: nothing of it can be had now.

        Parameters
        ----------
        whole
            The job is one piece, which one machine does.
        """
        if job == self.long:
            self._begun.clear()
        for _ in range(OUTRUN):
            state, now_s = await self._state(), await self.store.known.now_s()
            of = self._current(state, job, now_s)
            part = None if of is None else rounds.opening(of, now_s)
            if of is not None and of is state.rounds.get(job):
                self._joined.add(job)
            if of is None or part is None:
                return None
            if part.after == of.at and not whole:
                part = KeyRange(part.after, await self._border(part.after))
            lease = Lease(part, self.owner)
            note = functools.partial(self._had, job)
            if await self._change(job, functools.partial(self._taken, lease), note):
                self._joined.add(job)
                return lease
        return None

    def _had(self, job: str, state: StoreState, of: Round, _: float) -> StoreState:
        if of.began_s != self.began_s.get(job):
            self._begun.add(job)
        self.began_s[job] = of.began_s
        return state

    async def work(self, job: str, lease: Lease, call: Coroutine[Any, Any, Note]) -> bool:
        """Work on a part while its lease is renewed, then note that it is done.

        Parameters
        ----------
        call
            Returns what is to be noted in the same transaction.

        Returns
        -------
        bool
            False: this process was stopped for longer than its lease, and another has the part.
        """
        try:
            note = await alongside(call, self._renew(job, lease))
        except _TakenError:
            return False
        except BaseException:
            await protected(self._give_back(job, lease))
            raise
        return await self._change(job, lambda of, now_s: rounds.done(of, lease, now_s), note)

    async def wait_s(self) -> float | None:
        """Return how long to wait for others' parts; None: the round has ended."""
        state, now_s = await self._state(), await self.store.known.now_s()
        under_way = [
            of for job in self.at_hand if (of := self._current(state, job, now_s)) is not None
        ]
        if not under_way:
            return None
        free = [now_s if rounds.opening(of, now_s) else rounds.free_at_s(of) for of in under_way]
        return min(max(min(free) - now_s, SOON_S), LATEST_S)

    async def due_in_s(self) -> float:
        """Return in how many seconds the next round of one of the jobs is due."""
        state, now_s = await self._state(), await self.store.known.now_s()
        began = [state.rounds[job].began_s for job in self.at_hand if job in state.rounds]
        return max(0.0, min(began, default=now_s) + self.every_s - now_s)

    # --- in the catalog -------------------------------------------------------------------

    async def _state(self) -> StoreState:
        state = await self.store.known.state()
        assert state is not None, "a store that was prepared has an identity"
        return state

    def _current(self, state: StoreState, job: str, now_s: float) -> Round | None:
        asked_s, before = self.asked_s, state.rounds.get(job)
        if self._falls_due_again(state, job, now_s):
            asked_s = now_s
        elif job in self._joined:
            asked_s = -math.inf
        return rounds.current(before, asked_s=asked_s, every_s=self.every_s, now_s=now_s)

    def _falls_due_again(self, state: StoreState, job: str, now_s: float) -> bool:
        """Say whether it is done again beside the long job, of which a part comes in between."""
        long, before = state.rounds.get(self.long), state.rounds.get(job)
        is_under_way = long is not None and not long.ended_s
        has_rested = before is None or not 0 <= now_s - before.ended_s < self.every_s
        is_its_turn = job != self.long and job not in self._begun
        return self.every_s > 0 and is_its_turn and is_under_way and has_rested

    def _taken(self, lease: Lease, of: Round, now_s: float) -> Round | None:
        return rounds.taken(of, attrs.evolve(lease, until_s=now_s + self.lease_s), now_s)

    async def _change(
        self,
        job: str,
        change: Callable[[Round, float], Round | None],
        note: Note = note_nothing,
    ) -> bool:
        changed = False

        def change_state(state: StoreState | None, now_s: float) -> StoreState:
            nonlocal changed
            assert state is not None, "a store that was prepared has an identity"
            before = self._current(state, job, now_s)
            after = None if before is None else change(before, now_s)
            changed = after is not None
            if after is None:
                return state
            return note(attrs.evolve(state, rounds={**state.rounds, job: after}), after, now_s)

        await self.store.known.change_state(change_state)
        return changed

    async def _border(self, after: str) -> str | None:
        """Return the path at which the part that begins here ends; None: at the last."""
        left = self.objects
        while left > 0:
            page = await self.store.known.names("", after, runtime.page(min(PAGE, left)))
            if not page:
                return None
            after, left = page[-1], left - len(page)
        return after

    async def _renew(self, job: str, lease: Lease) -> NoReturn:
        while True:
            await runtime.pause(self.lease_s / RENEWALS)
            try:
                kept = await self._change(
                    job, lambda of, now_s: rounds.renewed(of, lease, now_s + self.lease_s)
                )
            except CatalogDownError as error:
                logger.warning("a lease of maintenance could not be renewed: %s", error)
                continue
            if not kept:
                raise _TakenError

    async def _give_back(self, job: str, lease: Lease) -> None:
        """Let others have the part at once; where that fails, when the lease has ended."""
        try:
            await self._change(job, lambda of, now_s: rounds.renewed(of, lease, now_s))
        except CatalogDownError as error:
            logger.warning("a lease of maintenance could not be given back: %s", error)
