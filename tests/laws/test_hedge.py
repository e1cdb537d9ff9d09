"""Extra requests are at most ten at once, and one in ten calls after that."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from resilient_store.protocol.hedge import HedgeBudget


def spend_all(budget):
    spent = 0
    while budget.spend():
        spent += 1
    return spent


@given(st.integers(0, 500))
def test_extra_requests_are_exactly_ten_and_a_tenth_of_the_calls(calls):
    budget = HedgeBudget()
    spent = spend_all(budget)
    for _ in range(calls):
        budget.earn()
        spent += spend_all(budget)
    assert spent == 10 + calls // 10


@given(st.integers(0, 500))
def test_quiet_saves_up_for_no_more_than_ten(calls):
    budget = HedgeBudget()
    budget.drain()
    for _ in range(calls):
        budget.earn()
    assert spend_all(budget) == min(10, calls // 10)


def test_throttling_stops_hedges_and_an_opened_breaker_pays_for_ten():
    budget = HedgeBudget()
    budget.drain()
    assert spend_all(budget) == 0
    budget.refill()
    assert spend_all(budget) == 10


class Budget(RuleBasedStateMachine):
    """Calls come, extra requests are paid for, throttling and breakers interfere."""

    def __init__(self) -> None:
        super().__init__()
        self.budget, self.tenths = HedgeBudget(), 100

    @rule(calls=st.integers(1, 30))
    def calls_come(self, calls):
        for _ in range(calls):
            self.budget.earn()
        self.tenths = min(100, self.tenths + calls)

    @rule()
    def asks_for_one_more(self):
        enough = self.tenths >= 10
        assert self.budget.spend() is enough
        self.tenths -= 10 if enough else 0

    @rule()
    def is_throttled(self):
        self.budget.drain()
        self.tenths = 0

    @rule()
    def breaker_opens(self):
        self.budget.refill()
        self.tenths = 100

    @invariant()
    def keeps_the_books(self):
        assert self.budget.calls == self.tenths


TestBudget = Budget.TestCase
