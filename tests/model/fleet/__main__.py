"""Look for days that break a promise: `python -m tests.model.fleet --seconds 60`.

A seed decides what several processes do, what goes wrong meanwhile, and in which order all of it
happens. A run that breaks a promise is made as small as it can be, and told line by line; with
`--seed` it is played again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs
import coverage

from tests.model.fleet.play import FleetPlay, play, smallest

SEEDS_BELOW = 10**9
SHOWN_LINES = 80
MEASURED_RUNS = 60  # measured, a run takes three times as long
PARTS = ["*/resilient_store/protocol/*", "*/resilient_store/io/catalogued/*"]


@attrs.define
class Tally:
    """What was played."""

    runs: int = 0
    broken: int = 0
    calls: int = 0
    simulated_s: float = 0.0
    met: Counter[str] = attrs.field(factory=Counter)
    workloads: Counter[str] = attrs.field(factory=Counter)

    def add(self, play: FleetPlay) -> None:
        """Count one run."""
        self.runs += 1
        self.broken += bool(play.model.broken)
        self.calls += play.calls
        self.simulated_s += play.model.loop.true_s()
        self.met.update(play.model.met)
        self.workloads[play.plan.workload] += play.calls

    def a_minute(self, cpu_s: float) -> float:
        """Return how many calls were made a minute of CPU."""
        return self.calls * 60 / max(cpu_s, 1e-9)

    def words(self, cpu_s: float) -> str:
        """Say it."""
        met = ", ".join(f"{kind} {count}" for kind, count in sorted(self.met.items()))
        loads = ", ".join(f"{name} {count}" for name, count in sorted(self.workloads.items()))
        return (
            f"{self.runs} runs, {self.broken} broke a promise; {self.calls} calls in "
            f"{cpu_s:.0f} s of CPU ({self.a_minute(cpu_s):.0f} a minute); "
            f"{self.simulated_s / 3600:.0f} simulated hours\n"
            f"calls: {loads}\nfaults met: {met or 'none'}"
        )


def story(play: FleetPlay) -> str:
    """Tell a run up to the promise that it broke, or to its end."""
    trace = play.model.trace
    last = next((n for n, line in enumerate(trace) if "VIOLATION" in line), len(trace))
    lines = [*play.plan.lines(), *trace[: last + 1][-SHOWN_LINES:], *play.model.broken]
    return "\n".join(lines)


def search(seeds: Iterable[int], until_s: float) -> Tally:
    """Play seeds until a time on the real clock; tell of each that breaks a promise."""
    tally = Tally()
    for seed in seeds:
        if time.monotonic() >= until_s:
            break
        one = play(seed)
        tally.add(one)
        if one.model.broken:
            print(f"seed {seed} broke a promise: {one.model.broken}. At its smallest:")
            print(story(smallest(one.plan, one.model.broken[0])))
            print(f"again: python -m tests.model.fleet --seed {seed}", flush=True)
    return tally


def taken(seeds: Sequence[int]) -> str:
    """Play seeds, and say how many branches of the protocol they take."""
    measured = coverage.Coverage(data_file=None, config_file=False, branch=True, include=PARTS)
    with measured.collect():
        for seed in seeds:
            play(seed)
    said = []
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder) / "taken.json"
        for part in PARTS:
            measured.json_report(outfile=str(to), include=[part])
            totals = json.loads(to.read_text())["totals"]
            said.append(f"{totals['covered_branches']} of {totals['num_branches']} of {part}")
    return f"branches taken by {len(seeds)} runs: {', '.join(said)}"


def fresh() -> Iterator[int]:
    """Draw seeds that nobody knows."""
    chance = random.SystemRandom()
    while True:
        yield chance.randrange(SEEDS_BELOW)


def main(arguments: list[str] | None = None) -> int:
    """Search, or play one seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.fleet", description=__doc__)
    parser.add_argument("--seed", type=int, help="play one seed and print what happened")
    parser.add_argument("--first", type=int, help="play seeds from this one on, not fresh ones")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to search")
    parser.add_argument(
        "--measured", type=int, default=MEASURED_RUNS, help="of how many to measure the branches"
    )
    parser.add_argument(
        "--at-least", type=int, default=0, help="fail where fewer calls a minute were made"
    )
    given = parser.parse_args(arguments)
    if given.seed is not None:
        one = play(given.seed)
        print(story(smallest(one.plan, one.model.broken[0]) if one.model.broken else one))
        return int(bool(one.model.broken))
    seeds = fresh() if given.first is None else itertools.count(given.first)
    print(taken(list(itertools.islice(seeds, given.measured))))
    began_s = time.process_time()
    tally = search(seeds, time.monotonic() + given.seconds)
    cpu_s = time.process_time() - began_s
    print(tally.words(cpu_s))
    is_slow = tally.a_minute(cpu_s) < given.at_least
    if is_slow:
        print(f"fewer than {given.at_least} calls a minute")
    return int(tally.broken > 0 or is_slow)


if __name__ == "__main__":
    logging.getLogger("resilient_store").setLevel(logging.CRITICAL)  # a run meets every warning
    sys.exit(main())
