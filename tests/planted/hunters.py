"""The project's simulations as hunters: each plays one seed, and says what it broke."""

from __future__ import annotations

import gc
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

import resilient_store as rs
from resilient_store.testing import PromiseBrokenError, ResilienceStateMachine
from resilient_store.testing.simulation.__main__ import run_seed
from tests.model import run
from tests.model.__main__ import drawn
from tests.model.fleet.play import play
from tests.model.singles import SinglesPlay

COLLECT_EVERY = 50
STEPS = 15
HIGHEST_SEED = 2**32

Tries = Iterator[str]  # what each try broke, one after another; empty: nothing
Hunt = Callable[[int], Tries]

DEGRADED = rs.DegradedRead({"originals/{name}": ["previews/{name}"]})
APART = ("aws/us-east-1", "gcp/europe-west1", "azure/westeurope")
CATALOG = {"catalog": "sqlite:///photos.db", "degraded": DEGRADED}
MACHINES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "stateless": (APART, {"degraded": DEGRADED}),
    "catalog": (APART, {**CATALOG, "write": rs.WriteToAll(min_copies=2, min_domains=2)}),
    "placed": (
        APART,
        {
            **CATALOG,
            "write": rs.WriteToAll(min_copies=1),
            "placements": [rs.Placement("originals/{name}", backends=["b0"])],
        },
    ),
    "together": (  # two backends share a platform: copies are more than platforms
        ("aws/us-east-1", "aws/eu-west-1", "gcp/europe-west1"),
        {**CATALOG, "write": rs.WriteToAll(min_copies=2, min_domains=2)},
    ),
}


def scenario(name: str, start: int) -> Tries:
    """Play one of the model's scenarios, seed by seed."""
    for number in itertools.count(start):
        yield _ending(lambda number=number: run.play(name, number).broken)


def calls(start: int) -> Tries:
    """Play three calls with one fault, seed by seed; without a fault nothing breaks either."""
    for number in itertools.count(start):
        yield _ending(lambda number=number: _three_calls(number))


def fleet(start: int) -> Tries:
    """Play whole days of several processes, seed by seed."""
    for number in itertools.count(start):
        yield _ending(lambda number=number: play(number).model.broken)


def _three_calls(number: int) -> list[str]:
    workload, place, kind = drawn(number)
    return SinglesPlay(workload, place.number, kind).run().broken


def _ending(play: Callable[[], list[str]]) -> str:
    try:
        return "; ".join(play())
    except Exception as error:  # noqa: BLE001 - a run that ends so is broken too
        return f"the run itself ended in {type(error).__name__}: {error}"


def stateless(start: int) -> Tries:
    """Play whole stores without a catalog, seed by seed."""
    for number in itertools.count(start):
        yield "; ".join(run_seed(number)[1])


def machine(kind: str, start: int) -> Tries:
    """Let the state machine try a store, example by example, all drawn from one seed."""
    domains, options = MACHINES[kind]
    examples = itertools.count()

    class Machine(ResilienceStateMachine):
        def __init__(self) -> None:
            super().__init__()
            next(examples)

        def build(self) -> rs.ResilientFileSystem:
            backends = [
                rs.Backend(f"memory://b{number}", name=f"b{number}", domain=domain)
                for number, domain in enumerate(domains)
            ]
            return rs.ResilientFileSystem(backends, **options)

    # All examples are one run of Hypothesis: in steps that grow, so that few are enough for most.
    for number, most in enumerate((20, 80, 320, 1280)):
        before = next(examples)
        broken = _examples(Machine, start + number, most)
        yield from itertools.repeat("", next(examples) - before - 2)
        yield broken


def _examples(cls: type[ResilienceStateMachine], number: int, most: int) -> str:
    cls = seed(number % HIGHEST_SEED)(cls)
    try:
        run_state_machine_as_test(
            cls,
            settings=settings(
                max_examples=most,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                report_multiple_bugs=False,
            ),
        )
    except PromiseBrokenError as error:
        return re.split(r"\.\n", str(error))[0]
    except Exception as error:  # noqa: BLE001 - a run that ends so is broken too
        return f"the run itself ended in {type(error).__name__}: {error}"
    return ""


def hunter_of(words: str) -> Hunt:
    """Return a hunter by its name, such as ``scenario:mix`` or ``calls``."""
    kind, _, name = words.partition(":")
    known: dict[str, Hunt] = {
        "scenario": lambda start: scenario(name, start),
        "calls": calls,
        "fleet": fleet,
        "stateless": stateless,
        "machine": lambda start: machine(name, start),
    }
    return known[kind]


def search(words: str, start: int, within: int) -> tuple[int, str]:
    """Try so often at most; return the tries that it took, and what was broken: empty, nothing."""
    tries = hunter_of(words)(start)
    for number, broken in enumerate(itertools.islice(tries, within), start=1):
        if broken:
            return number, broken
        if number % COLLECT_EVERY == 0:
            gc.collect()
    return within, ""
