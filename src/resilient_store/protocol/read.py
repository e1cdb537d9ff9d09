"""One read: whom to ask, when to ask a second one, when to stop, what may be concluded."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from resilient_store.model.outcome import Outcome, Reply
from resilient_store.protocol.machine import Ask, Done, Wait

V = TypeVar("V")

RETRY_AFTER_S = 0.1
# A time-out has had its time; a refusal will be repeated; throttled means "not now". Bytes that
# were spoilt on their way, and not where they lie, come whole the next time.
_WORTH_A_RETRY = frozenset({Outcome.UNAVAILABLE, Outcome.CORRUPT})


@attrs.frozen
class Candidate:
    """A backend that a read may ask.

    Attributes
    ----------
    name
        The backend's name.
    healthy
        Whether its breaker is closed. One that is not is asked only when nobody healthy is
        left who could answer.
    holds_all
        Whether its "not found" is certain for all.
    """

    name: str
    healthy: bool = True
    holds_all: bool = False


@attrs.frozen
class Reading(Generic[V]):
    """What a read came to.

    Attributes
    ----------
    found
        The reply that brought the object; None if nobody did.
    blank
        A reply that brought an empty body, where nobody brought anything else.
    absent
        Whether it is certain that there is no such object.
    replies
        What everybody said, in the order they said it.
    slow
        Backends that had not answered, though they were asked the hedge delay before the one
        that won.
    """

    found: Reply[V] | None
    blank: Reply[V] | None
    absent: bool
    replies: tuple[Reply[V], ...]
    slow: tuple[str, ...]


@attrs.define
class ReadMachine(Generic[V]):
    """Ask in order, hedge when slow, stop at the first answer that decides (P5, P6).

    - The first healthy candidate is asked alone. After the hedge delay the next one is asked
      too, as far as the budget allows; where the silent one's breaker has opened meanwhile,
      asking the next is no hedge any more and costs no budget.
    - A failure passes the question on to the next one.
    - "Not found", or an empty body, can only be believed when everybody has been asked: then
      all others are asked at once. One backend that holds everything is enough.
    - Candidates with an open breaker come last, when nobody else is left to ask: all at once
      when everybody else has answered, by the hedge delay when somebody else is silent.
    - Then who was merely unavailable, or sent spoilt bytes, is asked once more: by the hedge
      delay when somebody is silent, so that a backend that hangs does not keep the read from
      one that came back.

    Parameters
    ----------
    candidates
        In the order of preference.
    hedge_after_s
        Seconds after which a second backend is asked too.
    may_hedge
        Takes a token of the silent backend's budget, or says no.
    is_healthy
        Whether a backend's breaker is closed now.

    Notes
    -----
    Promises: P5, P6. Source: design, sections 4 and 6, "Read"; hedged requests after
    Dean and Barroso, CACM 56(2), 2013.
    """

    candidates: tuple[Candidate, ...]
    hedge_after_s: float
    may_hedge: Callable[[str], bool]
    is_healthy: Callable[[str], bool]
    _asked_at_s: dict[str, float] = attrs.field(factory=dict, init=False)
    _running: list[str] = attrs.field(factory=list, init=False)
    _replies: list[Reply[V]] = attrs.field(factory=list, init=False)
    _retry_at_s: dict[str, float] = attrs.field(factory=dict, init=False)
    _retried: set[str] = attrs.field(factory=set, init=False)
    _last: str = attrs.field(default="", init=False)
    _hedge_at_s: float = attrs.field(default=math.inf, init=False)
    _everybody: bool = attrs.field(default=False, init=False)

    def observe(self, reply: Reply[V], now_s: float) -> None:
        """Take note of one reply."""
        self._running.remove(reply.backend)
        self._replies.append(reply)
        if reply.blank or reply.outcome is Outcome.NOT_FOUND:
            self._everybody = True
        if reply.outcome in _WORTH_A_RETRY and reply.backend not in self._retried:
            self._retry_at_s[reply.backend] = now_s + RETRY_AFTER_S

    def decide(self, now_s: float) -> Ask | Wait | Done[Reading[V]]:
        """Say what to do now."""
        if self._is_decided():
            return Done(self._reading())
        left = [c for c in self.candidates if c.name not in self._asked_at_s]
        fresh = sorted(left, key=lambda candidate: not candidate.healthy)
        if fresh:
            if self._is_due(fresh[0]) or self._may_hedge_now(now_s):
                return self._ask(fresh[0].name, now_s)
            late = now_s >= self._hedge_at_s  # and the budget said no
            return Wait(wake=True) if late else Wait(self._hedge_at_s)
        return self._retry(now_s)

    def _is_due(self, candidate: Candidate) -> bool:
        """Whether it is this one's turn, whatever the clock says."""
        if candidate.healthy:
            return self._everybody or self._last not in self._running
        unhealthy = {c.name for c in self.candidates if not c.healthy}
        return all(name in unhealthy for name in self._running)

    def _may_hedge_now(self, now_s: float) -> bool:
        if now_s < self._hedge_at_s:
            return False
        silent = self._running[-1]
        return not self.is_healthy(silent) or self.may_hedge(silent)

    def _ask(self, name: str, now_s: float) -> Ask:
        self._asked_at_s[name] = now_s
        self._last = name
        self._running.append(name)
        self._hedge_at_s = now_s + self.hedge_after_s
        return Ask(name)

    def _retry(self, now_s: float) -> Ask | Wait | Done[Reading[V]]:
        some_answer = any(reply.blank for reply in self._replies)  # empty, but an answer
        for name, at_s in list(self._retry_at_s.items()):
            if some_answer or name in self._retried:
                continue
            due_s = max(at_s, self._hedge_at_s) if self._running else at_s
            if now_s < due_s:
                return Wait(due_s)
            self._retried.add(name)
            # What is lost is said after a second look, whatever the budget.
            spoilt = any(r.backend == name and r.outcome is Outcome.CORRUPT for r in self._replies)
            if self.is_healthy(name) and (spoilt or self.may_hedge(name)):
                self._replies = [r for r in self._replies if r.backend != name]
                return self._ask(name, now_s)
        return Wait() if self._running else Done(self._reading())

    def _is_decided(self) -> bool:
        sure = {c.name for c in self.candidates if c.holds_all}
        return any(
            (reply.ok and not reply.blank)
            or (reply.outcome is Outcome.NOT_FOUND and reply.backend in sure)
            for reply in self._replies
        )

    def _reading(self) -> Reading[V]:
        found = next((r for r in self._replies if r.ok and not r.blank), None)
        blank = next((r for r in self._replies if r.blank), None)
        nowhere = {r.backend for r in self._replies if r.outcome is Outcome.NOT_FOUND}
        sure = any(c.holds_all and c.name in nowhere for c in self.candidates)
        absent = found is None and (sure or nowhere == {c.name for c in self.candidates})
        won_at_s = self._asked_at_s[found.backend] if found else -math.inf
        # Only who was silent for the whole delay: others may have been asked a moment apart.
        slow = tuple(
            name
            for name in self._running
            if self._asked_at_s[name] + self.hedge_after_s <= won_at_s
        )
        return Reading(found, blank, absent, tuple(self._replies), slow)
