"""Play whole stores through faults: ``python -m resilient_store.testing.simulation``.

Without arguments it runs the fixed seeds; a seed that fails is printed with what replays it.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator

import attrs

from resilient_store.testing.simulation.loop import SimulationError
from resilient_store.testing.simulation.oracle import judge
from resilient_store.testing.simulation.workload import Call, History, play
from resilient_store.testing.simulation.world import Request

FIXED_SEEDS = 200
SEARCHED_BELOW = 10**9
SHOWN_BREACHES = 10
SHOWN_LINES = 60
BEFORE_S = 3.0
CLEARED_UP_AFTER_RUNS = 20


@attrs.define
class Tally:
    """What was run."""

    runs: int = 0
    failed: int = 0
    calls: int = 0
    requests: int = 0
    simulated_s: float = 0.0
    faults: Counter[str] = attrs.field(factory=Counter)

    def add(self, history: History) -> None:
        """Count one run."""
        self.runs += 1
        self.calls += len(history.calls)
        self.requests += len(history.world.requests)
        self.simulated_s += history.loop.time()
        self.faults.update(history.world.injected)
        if self.runs % CLEARED_UP_AFTER_RUNS == 0:
            gc.collect()  # else a thousand runs are gigabytes: each is garbage in circles

    def words(self, took_s: float) -> str:
        """Say it."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        return (
            f"{self.runs} runs in {took_s:.1f} s ({self.runs / max(took_s, 1e-9):.1f} a second), "
            f"{self.failed} failed; {self.simulated_s / 3600:.1f} simulated hours, "
            f"{self.calls} calls, {self.requests} requests; faults met: {kinds or 'none'}"
        )


def run_seed(seed: int) -> tuple[History | None, list[str]]:
    """Play one seed; return its history and what is wrong with it."""
    gc.disable()  # so that what is dropped is dropped at the same step in every process
    try:
        history = play(seed)
    except SimulationError as error:
        return None, [f"{type(error).__name__}: {error}"]
    except Exception as error:
        return None, [f"the run itself ended in {type(error).__name__}: {error}"]
    finally:
        gc.collect(0)
        gc.enable()
    return history, judge(history)


def timeline(history: History, call: Call | None = None) -> Iterator[str]:
    """Write down what happened, line by line: everything, or what surrounds one call."""
    start_s = 0.0 if call is None else call.started_s - BEFORE_S
    end_s = history.loop.time() if call is None else call.ended_s
    lines: list[tuple[float, str]] = []
    for one in history.calls:
        lines.append((one.started_s, f"{one.name} {one.kind} {one.path} begins"))
        lines.append((one.ended_s, f"{one.name} {one.kind} {one.path}: {one.ending}"))
    lines += [(request.started_s, _words(request)) for request in history.world.requests]
    for at_s, backend, kind, state in history.states:
        lines.append((at_s, f"    {backend}: {kind} breaker {state}"))
    for disk in history.world.disks.values():
        for fault in disk.faults:
            what = f"{fault.kind} {fault.key or ''}".strip()
            lines.append((fault.start_s, f"  ! {disk.name}: {what} begins"))
            lines.append((fault.end_s, f"  ! {disk.name}: {what} ends"))
    for at_s, text in sorted(lines, key=lambda line: line[0]):
        if start_s <= at_s <= end_s:
            yield f"{at_s:10.4f}  {text}"


def _words(request: Request) -> str:
    took = "" if request.ended_s is None else f" after {request.ended_s - request.started_s:.4f} s"
    fault = f" [{request.fault}]" if request.fault else ""
    asked = f"{request.disk}.{request.verb}({request.key})"
    return f"    {request.call or '-'} {asked}: {request.outcome}{took}{fault}"


def report(seed: int, history: History | None, breaches: list[str]) -> None:
    """Print what went wrong, what surrounds it, and what replays it."""
    print(f"seed {seed} FAILED:")
    for breach in breaches[:SHOWN_BREACHES]:
        print(f"  {breach}")
    if len(breaches) > SHOWN_BREACHES:
        print(f"  and {len(breaches) - SHOWN_BREACHES} more")
    if history is not None:
        name = breaches[0].partition(" ")[0]
        call = next((call for call in history.calls if call.name == name), None)
        print(f"  the store: {history.setup}")
        for line in list(timeline(history, call))[-SHOWN_LINES:]:
            print(f"  {line}")
    print(f"replay: python -m resilient_store.testing.simulation --seed {seed}")


def run_all(seeds: Iterable[int], until: float | None = None) -> Tally:
    """Run seeds, until a time on the real clock if one is given."""
    tally = Tally()
    for seed in seeds:
        if until is not None and time.monotonic() >= until:
            break
        history, breaches = run_seed(seed)
        if history is not None:
            tally.add(history)
        else:
            tally.runs += 1
        if breaches:
            tally.failed += 1
            report(seed, history, breaches)
    return tally


def fresh_seeds() -> Iterator[int]:
    """Draw seeds that nobody knows."""
    chance = random.SystemRandom()
    while True:
        yield chance.randrange(FIXED_SEEDS, SEARCHED_BELOW)


def replay(seed: int, *, trace: bool) -> int:
    """Play one seed and print all that happened, or its trace."""
    history, breaches = run_seed(seed)
    if trace:
        print(history.loop.trace if history is not None else breaches[0])
        return int(bool(breaches))
    if history is not None:
        print(f"seed {seed}: {history.setup}")
        for line in timeline(history):
            print(line)
    if breaches:
        report(seed, history, breaches)
    else:
        print(f"seed {seed}: no promise was broken")
    return int(bool(breaches))


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m resilient_store.testing.simulation", description=__doc__
    )
    parser.add_argument("--seeds", type=int, default=FIXED_SEEDS, help="run the first N seeds")
    parser.add_argument("--seed", type=int, help="replay one seed and print what happened")
    parser.add_argument("--trace", action="store_true", help="with --seed: print its trace only")
    parser.add_argument("--search", action="store_true", help="run fresh seeds")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to search")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return replay(options.seed, trace=options.trace)
    started = time.monotonic()
    if options.search:
        tally = run_all(fresh_seeds(), started + options.seconds)
    else:
        tally = run_all(range(options.seeds))
    print(tally.words(time.monotonic() - started))
    return int(tally.failed > 0)


if __name__ == "__main__":
    logging.getLogger("resilient_store").setLevel(logging.CRITICAL)  # a run meets every warning
    sys.exit(main())
