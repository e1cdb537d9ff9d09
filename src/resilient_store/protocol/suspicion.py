"""When so much is missing on a backend that its word is not taken for it any more."""

from __future__ import annotations

import collections

LOSSES = 100
LOSSES_WITHIN_S = 600.0
LOSSES_SHARE = 0.05
STEPS = 60  # what happened in the same sixtieth of the time is forgotten together


def is_suspect(missing: int, asked: int) -> bool:
    """Say whether it must have been emptied: that is no loss of every object.

    Parameters
    ----------
    missing
        How many replicas were found missing lately.
    asked
        How much was asked of the backend in the same time.

    Notes
    -----
    Source: design, section 5, "Identity".
    """
    return missing > LOSSES and missing > LOSSES_SHARE * asked


class Lately:
    """How often something happened in the last ten minutes, whatever that comes to."""

    def __init__(self) -> None:
        self._steps: collections.deque[tuple[int, int]] = collections.deque(maxlen=STEPS + 1)

    def add(self, now_s: float) -> None:
        """Count it once; moments come in their order, or nearly so from several threads."""
        step = _step(now_s)
        if self._steps and self._steps[-1][0] >= step:
            last, times = self._steps[-1]
            self._steps[-1] = (last, times + 1)
        else:
            self._steps.append((step, 1))

    def count(self, now_s: float) -> int:
        """Return how often it happened, to a sixtieth of the time."""
        first = _step(now_s) - STEPS
        return sum(times for step, times in tuple(self._steps) if step > first)

    def clear(self) -> None:
        """Begin anew."""
        self._steps.clear()


def _step(now_s: float) -> int:
    return int(now_s // (LOSSES_WITHIN_S / STEPS))
