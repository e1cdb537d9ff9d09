"""Every scenario of the protocol's model, played on the real code: no promise is broken.

Each seed is another order of events, another choice of faults and of the moments when requests
land that nobody waits for any more.
"""

from __future__ import annotations

import pytest

from tests.model.run import play
from tests.model.scenarios import SCENARIOS

SEEDS = 4
SEEDS_IN_MATRIX = 1000
SHOWN_LINES = 60


def unbroken(name: str, seed: int) -> str:
    """Play a seed; return its timeline if a promise is broken."""
    model = play(name, seed)
    if not model.broken:
        return ""
    lines = "\n".join(model.trace[-SHOWN_LINES:])
    return f"{name}, seed {seed}: {model.broken}\n{lines}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_promise_is_broken(name):
    for seed in range(SEEDS):
        assert unbroken(name, seed) == ""


@pytest.mark.matrix
@pytest.mark.parametrize("name", SCENARIOS)
def test_no_promise_is_broken_by_many_seeds(name):
    for seed in range(SEEDS, SEEDS_IN_MATRIX):
        assert unbroken(name, seed) == ""


@pytest.mark.parametrize("name", ["mix", "create-crash-same"])
def test_a_seed_replays_a_run(name):
    one, two = play(name, 3), play(name, 3)
    assert one.trace == two.trace
    assert one.loop.trace == two.loop.trace


# Runs that once failed

ONCE_FAILED = {
    ("mix-create", 137): "who was stopped after a publish, and whose intent was settled meanwhile, "
    "removed the staged copy that still counted; and repair published from there for ever",
}


@pytest.mark.parametrize(("name", "seed"), ONCE_FAILED, ids=str)
def test_a_run_that_once_failed(name, seed):
    assert unbroken(name, seed) == "", ONCE_FAILED[name, seed]
