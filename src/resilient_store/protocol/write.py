"""One change on many backends: wait, acknowledge, or give up (P1)."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import Generic, TypeVar

import attrs

from resilient_store.model.domain import platforms
from resilient_store.model.outcome import Reply
from resilient_store.protocol.machine import Ask, Done, Wait

V = TypeVar("V")

GRACE_AT_LEAST_S = 1.0
GRACE_TIMES_SLOWEST = 3.0


class Verdict(enum.Enum):
    """Whether a write may be acknowledged."""

    WAIT = "wait"
    ACKNOWLEDGE = "acknowledge"
    GIVE_UP = "give up"


@attrs.frozen
class Demand:
    """What must hold a write before it is acknowledged.

    Attributes
    ----------
    copies
        Backends.
    platforms
        Platforms that they lie on.
    """

    copies: int
    platforms: int = 1

    def is_met(self, names: set[str], domains: Mapping[str, str]) -> bool:
        """Say whether these backends are enough."""
        return (
            len(names) >= self.copies and len(platforms(sorted(names), domains)) >= self.platforms
        )


def judge(demand: Demand, domains: Mapping[str, str], answers: Mapping[str, bool]) -> Verdict:
    """Say whether a write may be acknowledged, can still become so, or is lost.

    Only an ``OK`` counts as a copy. ``TIMED_OUT`` counts for nothing: the bytes may be
    there, but nobody has seen them.

    Parameters
    ----------
    demand
        How many copies, on how many platforms.
    domains
        The backends that take part, each with its failure domain.
    answers
        Who answered so far, and whether it holds the bytes.

    Returns
    -------
    Verdict
        Never ``WAIT`` once every backend has answered.

    Notes
    -----
    Promises: P1. Source: design, section 6, "Write".
    """
    good = {name for name, ok in answers.items() if ok}
    pending = domains.keys() - answers.keys()
    if demand.is_met(good, domains):
        return Verdict.ACKNOWLEDGE
    return Verdict.WAIT if demand.is_met(good | pending, domains) and pending else Verdict.GIVE_UP


def grace_s(slowest_s: float) -> float:
    """Return how long nobody waits in vain, by how long the slowest success took."""
    return max(GRACE_AT_LEAST_S, GRACE_TIMES_SLOWEST * slowest_s)


@attrs.define
class FanOutMachine(Generic[V]):
    """Ask all backends the same at once; stop when everybody answered or has had its time.

    Once the demand is met, those still silent get the larger of 1 s and three times the
    slowest success. While it is not met, everybody is waited for, for what became of a
    change must be known before it is undone.

    Notes
    -----
    Promises: P1, P6. Source: design, section 7, "Defaults".
    """

    demand: Demand
    domains: Mapping[str, str]
    _started_s: float | None = attrs.field(default=None, init=False)
    _asked: list[str] = attrs.field(factory=list, init=False)
    _replies: dict[str, Reply[V]] = attrs.field(factory=dict, init=False)
    _slowest_s: float = attrs.field(default=0.0, init=False)
    _met_at_s: float | None = attrs.field(default=None, init=False)

    def observe(self, reply: Reply[V], now_s: float) -> None:
        """Take note of one reply."""
        self._replies[reply.backend] = reply
        if reply.ok:
            self._slowest_s = max(self._slowest_s, now_s - (self._started_s or 0.0))
        answers = {name: reply.ok for name, reply in self._replies.items()}
        verdict = judge(self.demand, self.domains, answers)
        if verdict is Verdict.ACKNOWLEDGE and self._met_at_s is None:
            self._met_at_s = now_s

    def decide(self, now_s: float) -> Ask | Wait | Done[dict[str, Reply[V]]]:
        """Say what to do now."""
        if self._started_s is None:
            self._started_s = now_s
        for name in self.domains:
            if name not in self._asked:
                self._asked.append(name)
                return Ask(name)
        if len(self._replies) == len(self.domains):
            return Done(self._replies)
        until_s = math.inf
        if self._met_at_s is not None:
            until_s = self._met_at_s + grace_s(self._slowest_s)
        return Done(self._replies) if now_s >= until_s else Wait(until_s)
