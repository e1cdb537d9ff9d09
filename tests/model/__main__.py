"""Look for three calls and one fault that break a promise: `python -m tests.model --seconds 60`.

A seed decides the calls, the fault and where it happens; with `--seed` one is played again.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import time

from tests.model.singles import BEGINNINGS, CALLS, Place, SinglesPlay, Workload, faults, shown

CALLS_OF_A_RUN = 3
SEEDS_BELOW = 10**9
COLLECT_EVERY = 50


def drawn(seed: int) -> tuple[Workload, Place, str]:
    """Return what a seed stands for."""
    chance = random.Random(f"three calls {seed}")
    calls = tuple(chance.choice(CALLS) for _ in range(CALLS_OF_A_RUN))
    workload = Workload(chance.choice(list(BEGINNINGS)), calls, together=chance.random() < 0.5)
    place, kind = chance.choice(list(faults(workload)))
    return workload, place, kind


def play(seed: int, *, whole: bool = False) -> bool:
    """Play a seed, and print it if a promise is broken; say whether one is."""
    workload, place, kind = drawn(seed)
    model = SinglesPlay(workload, place.number, kind).run()
    if model.broken or whole:
        print(f"seed {seed}: {shown(workload, place, kind, model)}")
    return bool(model.broken)


def main() -> int:
    """Search, or play one seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--seed", type=int, help="play one seed and print what happened")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to search")
    given = parser.parse_args()
    if given.seed is not None:
        return int(play(given.seed, whole=True))
    fresh, until_s = random.SystemRandom(), time.monotonic() + given.seconds
    runs = broken = 0
    while time.monotonic() < until_s:
        broken += play(fresh.randrange(SEEDS_BELOW))
        runs += 1
        if runs % COLLECT_EVERY == 0:
            gc.collect()
    print(f"{runs} runs of three calls with one fault each; {broken} broke a promise")
    return int(broken > 0)


if __name__ == "__main__":
    logging.getLogger("resilient_store").setLevel(logging.CRITICAL)  # a run meets every warning
    sys.exit(main())
