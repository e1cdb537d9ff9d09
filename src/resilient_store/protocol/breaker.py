"""Circuit breaker: when to leave a backend alone, and when to try it again.

    closed --failures--> open --time--> half-open --success--> closed
                          ^                 |
                          +-----failure-----+   (each time twice as long, up to a bound)

The probe's place is a lease with an end, not a flag: a probe that is cancelled, hangs or
is forgotten can never keep a breaker half-open (a flag did exactly that elsewhere, for days).
"""

from __future__ import annotations

import enum
from collections import deque

import attrs

from resilient_store.model.outcome import Outcome

IN_A_ROW = 5
WINDOW = 20
PROBE_AFTER_S = 5.0
PROBE_AT_MOST_S = 60.0

_WELL = frozenset({Outcome.OK, Outcome.NOT_FOUND, Outcome.EXISTS, Outcome.REFUSED})


class BreakerState(enum.Enum):
    """What a breaker lets through: everything, nothing, or one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@attrs.define
class Breaker:
    """The state of one backend for one kind of call (reading or writing).

    Notes
    -----
    Promises: P6. Source: design, section 7; M. Nygard, "Release It!", the circuit breaker.
    """

    state: BreakerState = BreakerState.CLOSED
    reason: str = ""
    _row: int = 0
    _recent: deque[bool] = attrs.field(factory=lambda: deque(maxlen=WINDOW))
    _denied: set[str] = attrs.field(factory=set)
    _corrupt: set[str] = attrs.field(factory=set)
    _interval_s: float = PROBE_AFTER_S
    _probe_at_s: float = 0.0

    def may_probe(self, now_s: float) -> bool:
        """Say whether a probe is due and its place is free."""
        return self.state is not BreakerState.CLOSED and now_s >= self._probe_at_s

    def take_probe(self, now_s: float, lease_s: float) -> bool:
        """Take the probe's place for at most `lease_s` seconds; False if it is not free."""
        if not self.may_probe(now_s):
            return False
        self.state = BreakerState.HALF_OPEN
        self._probe_at_s = now_s + lease_s
        return True

    def give_probe_back(self, now_s: float) -> None:
        """End a probe that said nothing (it was cancelled): the next call may be one."""
        if self.state is BreakerState.HALF_OPEN:
            self.state = BreakerState.OPEN
            self._probe_at_s = now_s

    def record(self, outcome: Outcome, now_s: float, *, key: str = "", slow: bool = False) -> None:
        """Count one call.

        Parameters
        ----------
        outcome
            What it came to.
        now_s
            The loop's clock.
        key
            What was asked for; five keys denied in a row, and nothing else, mean that the
            credentials are at fault and not the keys. Wrong bodies at one key count once.
        slow
            Whether it took so long that the caller had better asked elsewhere.
        """
        if outcome is Outcome.DENIED:
            if len(self._denied) < IN_A_ROW:  # more would say nothing new, and fill the memory
                self._denied.add(key)
            if len(self._denied) >= IN_A_ROW or self.reason == "credentials":
                self._open("credentials", now_s)
            elif self.state is not BreakerState.CLOSED:
                self._close()  # it answers again, though not for this key
            return
        self._denied.clear()
        if outcome is Outcome.CORRUPT and not self._is_news(key):
            return
        failed = slow or outcome not in _WELL
        self._recent.append(failed)
        self._row = self._row + 1 if failed else 0
        if not failed and self.state is not BreakerState.CLOSED:
            self._close()
        elif failed and (self.state is not BreakerState.CLOSED or self._is_too_much()):
            self._open("slow" if slow else outcome.value, now_s)

    def _is_news(self, key: str) -> bool:
        """Whether this is the first wrong body at this key: one damaged object is no outage."""
        if key in self._corrupt:
            return False
        if len(self._corrupt) >= WINDOW:
            self._corrupt.clear()
        self._corrupt.add(key)
        return True

    def _is_too_much(self) -> bool:
        half = len(self._recent) == WINDOW and sum(self._recent) * 2 >= WINDOW
        return self._row >= IN_A_ROW or half

    def _open(self, reason: str, now_s: float) -> None:
        if self.state is BreakerState.OPEN and now_s < self._probe_at_s:
            return  # calls that began before it opened say nothing new
        again = self.state is not BreakerState.CLOSED
        self._interval_s = min(PROBE_AT_MOST_S, self._interval_s * 2) if again else PROBE_AFTER_S
        self.state, self.reason = BreakerState.OPEN, reason
        self._probe_at_s = now_s + self._interval_s

    def _close(self) -> None:
        self.state, self.reason = BreakerState.CLOSED, ""
        self._row = 0
        self._recent.clear()
        self._corrupt.clear()
