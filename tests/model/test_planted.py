"""Each rule of the protocol is needed: left out of the real code, it is missed."""

from __future__ import annotations

import pytest

from tests.model.planted import RULES, without
from tests.model.run import play
from tests.model.scenarios import SCENARIOS

# Where each rule was missed first; a change of the code may move that by a few seeds.
FIRST_MISSED = {
    ("overwrite-crash", "fence"): 172,
    ("create-crash-same", "takeover"): 89,
    ("replay-create", "lock"): 131,
    ("delete-create", "leasecheck"): 361,
    ("create-zombie", "quiet"): 3,
    ("create-zombie", "void"): 2,
    ("purge-adopt", "relook"): 6,
    ("foreign", "account"): 0,
    ("dirty-read", "discover"): 0,
    ("undiscovered", "lookup"): 2,
    ("version-reuse", "counter"): 1508,
    ("commit-unknown", "commitcheck"): 3,
    ("read-window", "reread"): 33,
    ("read-window", "cas"): 33,
    ("repair-write", "sweep"): 29,
    ("back-in-time", "epoch"): 1,
    ("purge-slow", "lookorder"): 3,
}
MOVED_BY = 25
SEEDS_IN_MATRIX = 5000


def first_missed(scenario: str, rule: str, seeds: range) -> int | None:
    """Return the first seed by which a promise is broken without the rule."""
    with without(rule):
        return next((seed for seed in seeds if play(scenario, seed).broken), None)


def test_every_rule_has_a_scenario():
    assert {rule for _, rule in FIRST_MISSED} == set(RULES)


@pytest.mark.parametrize(
    ("scenario", "rule"), FIRST_MISSED, ids=["-".join(pair) for pair in FIRST_MISSED]
)
def test_a_rule_that_is_left_out_is_missed(scenario, rule):
    first = FIRST_MISSED[scenario, rule]
    assert first_missed(scenario, rule, range(first, first + MOVED_BY)) is not None


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("scenario", "rule"),
    [(name, rule) for name, scenario in SCENARIOS.items() for rule in scenario.shows],
)
def test_a_rule_is_missed_in_every_scenario_that_shows_it(scenario, rule):
    assert first_missed(scenario, rule, range(SEEDS_IN_MATRIX)) is not None
