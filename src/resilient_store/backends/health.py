"""What is known of one backend's health: breakers, budget, statistics. Safe in any thread."""

from __future__ import annotations

import contextvars
import logging
import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Literal

from resilient_store.model.outcome import Outcome
from resilient_store.model.result import BackendState
from resilient_store.protocol.breaker import Breaker, BreakerState
from resilient_store.protocol.hedge import HedgeBudget
from resilient_store.protocol.pace import Reads, reads_of
from resilient_store.protocol.suspicion import Lately

logger = logging.getLogger("resilient_store")

Kind = Literal["read", "write"]
_REMEMBERED = 100
_READS_REMEMBERED = 30
# Set where an operator's work is done: whoever reads there waits for nothing.
IN_NO_HURRY: contextvars.ContextVar[bool] = contextvars.ContextVar("IN_NO_HURRY", default=False)
# Set where nothing depends on an answer: so many seconds of silence are enough, beside those that
# a request's bytes take.
PATIENCE_S: contextvars.ContextVar[float] = contextvars.ContextVar("PATIENCE_S", default=math.inf)


class Health:
    """Two breakers (reading, writing), one budget for extra requests, and recent latencies.

    Parameters
    ----------
    name
        The backend's.
    on_change
        Called, outside of any lock, after each change of a breaker's state.

    Notes
    -----
    Promises: P6.
    """

    def __init__(self, name: str, on_change: Callable[[BackendState], None]) -> None:
        self._name = name
        self._on_change = on_change
        self._lock = threading.Lock()
        self._breakers: dict[Kind, Breaker] = {"read": Breaker(), "write": Breaker()}
        self._budget = HedgeBudget()
        self._outcomes: Counter[str] = Counter()
        self._latencies_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._lately = Lately()
        self._reads = 0
        self._reads_s: deque[float] = deque(maxlen=_READS_REMEMBERED)

    def is_closed(self, kind: Kind) -> bool:
        """Say whether the backend is in use for this kind of call."""
        return self._breakers[kind].state is BreakerState.CLOSED

    def reason(self, kind: Kind) -> str:
        """Say why the breaker is not closed."""
        return self._breakers[kind].reason

    def may_probe(self, kind: Kind, now_s: float) -> bool:
        """Say whether a probe is due and its place is free."""
        return self._breakers[kind].may_probe(now_s)

    def take_probe(self, kind: Kind, now_s: float, lease_s: float) -> bool:
        """Take the place of the one probe, if one is due."""
        with self._lock:
            breaker = self._breakers[kind]
            before = breaker.state
            taken = breaker.take_probe(now_s, lease_s)
        self._tell(kind, before)
        return taken

    def give_probe_back(self, kind: Kind, now_s: float) -> None:
        """End a probe that said nothing."""
        with self._lock:
            before = self._breakers[kind].state
            self._breakers[kind].give_probe_back(now_s)
        self._tell(kind, before)

    def spend(self) -> bool:
        """Take a token for one extra request."""
        with self._lock:
            return self._budget.spend()

    def earn(self) -> None:
        """Count one ordinary call towards the budget."""
        with self._lock:
            self._budget.earn()

    def record(
        self,
        kind: Kind,
        outcome: Outcome,
        now_s: float,
        *,
        key: str = "",
        slow: bool = False,
        took_s: float | None = None,
    ) -> None:
        """Count what a call came to."""
        with self._lock:
            breaker = self._breakers[kind]
            before = breaker.state
            breaker.record(outcome, now_s, key=key, slow=slow)
            if outcome is Outcome.THROTTLED:
                self._budget.drain()
            if before is BreakerState.CLOSED and breaker.state is BreakerState.OPEN:
                self._budget.refill()
            self._outcomes["slow" if slow else outcome.value] += 1
            self._lately.add(now_s)
            if took_s is not None and outcome is Outcome.OK:
                self._latencies_s.append(took_s)
        self._tell(kind, before)

    def note_read(self, took_s: float) -> None:
        """Remember how long a caller waited for bytes."""
        if not IN_NO_HURRY.get():
            with self._lock:
                self._reads += 1
                self._reads_s.append(took_s)

    @property
    def reads(self) -> Reads:
        """What callers have read, and how long the latest of it took."""
        with self._lock:
            return reads_of(self._reads, self._reads_s)

    @property
    def asked(self) -> int:
        """How many calls it has answered or failed."""
        return sum(self._outcomes.values())

    def asked_lately(self, now_s: float) -> int:
        """Return how many of them in the last ten minutes."""
        with self._lock:
            return self._lately.count(now_s)

    @property
    def throttled(self) -> int:
        """How often it said that it was asked too much."""
        return self._outcomes[Outcome.THROTTLED.value]

    @property
    def median_s(self) -> float | None:
        """The median of recent latencies in seconds; None where it has answered nothing."""
        with self._lock:
            return _median(self._latencies_s)

    def statistics(self) -> dict[str, object]:
        """Return counts by outcome, and the median and slowest of recent latencies in seconds."""
        with self._lock:
            latencies = sorted(self._latencies_s)
            return {
                "outcomes": dict(self._outcomes),
                "median_s": _median(latencies),
                "slowest_s": latencies[-1] if latencies else None,
                "read": self._breakers["read"].state.value,
                "write": self._breakers["write"].state.value,
            }

    def _tell(self, kind: Kind, before: BreakerState) -> None:
        breaker = self._breakers[kind]
        after, reason = breaker.state, breaker.reason
        if after is before:
            return
        if {before, after} != {BreakerState.OPEN, BreakerState.HALF_OPEN}:
            verb = "back in use" if after is BreakerState.CLOSED else f"left alone ({reason})"
            logger.warning("backend %s is %s for every %s", self._name, verb, kind)
        self._on_change(
            BackendState(backend=self._name, kind=kind, state=after.value, reason=reason)
        )


def _median(latencies_s: Iterable[float]) -> float | None:
    ordered = sorted(latencies_s)
    return ordered[len(ordered) // 2] if ordered else None
