"""The budget for extra requests: hedges and retries, so that trouble is not answered with load."""

from __future__ import annotations

import attrs

AT_ONCE = 10  # as many as can be needed to open a breaker: half of its window
CALLS_PER_EXTRA = 10
_FULL = AT_ONCE * CALLS_PER_EXTRA


@attrs.define
class HedgeBudget:
    """A token bucket, filled by calls and emptied by extra requests.

    It pays for at most `AT_ONCE` extra requests; `CALLS_PER_EXTRA` calls bring one more. A
    throttling answer drains it, for the next extra request would only make things worse; an
    opened breaker fills it again, for the hedges that led to it have done their work.

    Attributes
    ----------
    calls
        What is left, counted in ordinary calls: whole numbers, so that nothing is lost.

    Notes
    -----
    Promises: P6. Source: design, section 7; J. Dean and L. Barroso, "The Tail at Scale",
    CACM 56(2), 2013; gRPC proposal A6 (retry throttling).
    """

    calls: int = _FULL

    def earn(self) -> None:
        """Count one ordinary call."""
        self.calls = min(_FULL, self.calls + 1)

    def spend(self) -> bool:
        """Pay for one extra request; False if there is not enough."""
        if self.calls < CALLS_PER_EXTRA:
            return False
        self.calls -= CALLS_PER_EXTRA
        return True

    def drain(self) -> None:
        """Forbid extra requests for now: the backend asked for less."""
        self.calls = 0

    def refill(self) -> None:
        """Allow as many as can be needed to open a breaker again."""
        self.calls = _FULL
