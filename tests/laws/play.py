"""Drives a machine without a loop: a clock that jumps, and a heap of replies on their way."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from resilient_store.model.outcome import Outcome, Reply
from resilient_store.protocol.machine import Ask, Done
from resilient_store.protocol.read import Candidate, ReadMachine

# More steps than any machine may need for the few backends of a law.
STEPS_AT_MOST = 60


@attrs.frozen
class Answer:
    """What a backend says when it is asked, and after how long."""

    outcome: Outcome
    after_s: float = 0.0
    blank: bool = False


@attrs.define
class Played:
    """What a driver saw: who was asked when, who said what when, and how it ended."""

    asks: list[tuple[float, str]] = attrs.field(factory=list)
    heard: list[tuple[float, Reply[str]]] = attrs.field(factory=list)
    value: Any = None
    ended_s: float = math.inf

    @property
    def asked(self) -> list[str]:
        return [name for _, name in self.asks]

    def asked_at_s(self, name: str) -> float:
        """Return when a backend was asked first."""
        return next(at_s for at_s, who in self.asks if who == name)


def play(
    machine: Any,
    script: Mapping[str, Sequence[Answer]],
    *,
    start_s: float = 0.0,
    wakes_s: Sequence[float] = (),
    at: Callable[[float], None] = lambda now_s: None,
) -> Played:
    """Carry out what a machine decides until it is done.

    Parameters
    ----------
    machine
        Decides.
    script
        Each backend's answers, one for each time it is asked; the last one is repeated.
    start_s
        What the clock shows at the beginning.
    wakes_s
        When a backend's state changes, for a machine that waits for it.
    at
        Told the time before every decision: a law may change the world there.
    """
    played, now_s = Played(), start_s
    under_way: list[tuple[float, int, Reply[str]]] = []
    for step_number in range(STEPS_AT_MOST):
        at(now_s)
        step = machine.decide(now_s)
        if isinstance(step, Done):
            played.value, played.ended_s = step.value, now_s
            return played
        if isinstance(step, Ask):
            answers = script[step.backend]
            answer = answers[min(played.asked.count(step.backend), len(answers) - 1)]
            played.asks.append((now_s, step.backend))
            reply = _reply(step.backend, answer)
            heapq.heappush(under_way, (now_s + answer.after_s, step_number, reply))
            continue
        assert step.until_s > now_s, "a wait that is over would spin"
        assert under_way or step.until_s < math.inf, "nothing could ever end this wait"
        woken_s = (
            min((w for w in wakes_s if w > now_s), default=math.inf) if step.wake else math.inf
        )
        now_s = min(step.until_s, woken_s, under_way[0][0] if under_way else math.inf)
        assert now_s < math.inf, "it waits for ever"
        while under_way and under_way[0][0] <= now_s:
            played.heard.append((now_s, heapq.heappop(under_way)[2]))
            machine.observe(played.heard[-1][1], now_s)
    raise AssertionError(f"not done after {STEPS_AT_MOST} steps: {played}")


def _reply(name: str, answer: Answer) -> Reply[str]:
    value = f"bytes from {name}" if answer.outcome is Outcome.OK else None
    return Reply(name, answer.outcome, value, "", answer.blank)


def reader(
    names: Sequence[str],
    *,
    hedge_after_s: float = 0.25,
    unhealthy: Sequence[str] = (),
    holds_all: Sequence[str] = (),
    may_hedge: Callable[[str], bool] = lambda name: True,
    is_healthy: Callable[[str], bool] | None = None,
) -> ReadMachine[str]:
    """Make a read over these backends, in this order."""
    candidates = tuple(Candidate(n, n not in unhealthy, n in holds_all) for n in names)
    healthy = is_healthy or (lambda name: name not in unhealthy)
    return ReadMachine(candidates, hedge_after_s, may_hedge, healthy)
