"""Platforms that are asked too much: which requests `proxy.FaultProxy` answers with "slow down"."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable

# Asked once for each request, in the proxy's thread: whether this one is too many.
Overload = Callable[[], bool]


def every(number: int) -> Overload:
    """Refuse one request of so many, in turn."""
    count = itertools.count(1)
    return lambda: next(count) % number == 0


def some(share: float, seed: int) -> Overload:
    """Refuse a share of all requests, whatever is asked how often."""
    chance = random.Random(seed)
    return lambda: chance.random() < share


class TokenBucket:
    """A platform that takes so many requests a second and no more.

    Attributes
    ----------
    taken, refused
        How many requests were in each second since the first.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic):
        self.rate, self.burst = rate, burst
        self.taken: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self._clock = clock
        self._began_s: float | None = None
        self._seen_s = 0.0
        self._tokens = burst

    def __call__(self) -> bool:
        """Count a request; say whether it is refused."""
        now_s = self._clock()
        if self._began_s is None:
            self._began_s = self._seen_s = now_s
        self._tokens = min(self.burst, self._tokens + (now_s - self._seen_s) * self.rate)
        self._seen_s = now_s
        refused = self._tokens < 1
        if not refused:
            self._tokens -= 1
        (self.refused if refused else self.taken)[int(now_s - self._began_s)] += 1
        return refused
