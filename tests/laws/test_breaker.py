"""A breaker opens exactly when a backend is ill, and no probe can keep it half-open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from resilient_store.model.outcome import Outcome
from resilient_store.protocol.breaker import WINDOW, Breaker, BreakerState

CLOSED, OPEN, HALF_OPEN = BreakerState
WELL = {Outcome.OK, Outcome.NOT_FOUND, Outcome.EXISTS, Outcome.REFUSED}
ILL = set(Outcome) - WELL - {Outcome.DENIED, Outcome.CORRUPT}  # those look at the key
LEASE_S = 10.0


def by_name(outcomes):
    return sorted(outcomes, key=lambda outcome: outcome.name)


def opened(now_s=0.0, outcome=Outcome.UNAVAILABLE):
    breaker = Breaker()
    for _ in range(5):
        breaker.record(outcome, now_s)
    assert breaker.state is OPEN
    return breaker


# --- when it opens ------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", by_name(ILL))
def test_five_failures_in_a_row_open_it_and_four_do_not(outcome):
    breaker = Breaker()
    for count in range(1, 6):
        breaker.record(outcome, 0.0)
        assert (breaker.state is OPEN) is (count == 5)
    assert breaker.reason == outcome.value


@pytest.mark.parametrize("outcome", by_name(WELL))
def test_what_is_well_and_quick_never_opens_it_and_breaks_a_row(outcome):
    breaker = Breaker()
    for outcome_now in [Outcome.THROTTLED] * 4 + [outcome] + [Outcome.THROTTLED] * 4:
        breaker.record(outcome_now, 0.0)
    assert breaker.state is CLOSED


@pytest.mark.parametrize("outcome", by_name(WELL))
def test_slow_is_a_failure_whatever_came_of_it(outcome):
    breaker = Breaker()
    for _ in range(5):
        breaker.record(outcome, 0.0, slow=True)
    assert (breaker.state, breaker.reason) == (OPEN, "slow")


def test_404_opens_the_breaker():
    """Ten thousand absent keys are ten thousand healthy answers."""
    breaker = Breaker()
    for index in range(10_000):
        breaker.record(Outcome.NOT_FOUND, float(index), key=str(index))
    assert breaker.state is CLOSED


def test_404_hides_failures():
    """Half of the last twenty is enough, however regularly a "not found" comes between."""
    breaker = Breaker()
    for index in range(20):
        assert breaker.state is CLOSED
        breaker.record((Outcome.NOT_FOUND, Outcome.UNAVAILABLE)[index % 2], 0.0)
    assert breaker.state is OPEN


def test_fewer_than_half_of_the_last_twenty_do_not_open_it():
    breaker = Breaker()
    for index in range(600):
        breaker.record(Outcome.UNAVAILABLE if index % 20 in range(0, 18, 2) else Outcome.OK, 0.0)
    assert breaker.state is CLOSED


def test_an_answer_whose_body_dies_is_taken_for_a_success():
    breaker = Breaker()
    for index in range(5):
        assert breaker.state is CLOSED
        breaker.record(Outcome.CORRUPT, 0.0, key=str(index))
    assert breaker.state is OPEN


def test_one_damaged_object_takes_its_whole_backend_out():
    breaker = Breaker()
    for _ in range(100):
        breaker.record(Outcome.CORRUPT, 0.0, key="damaged")
    assert breaker.state is CLOSED
    for index in range(WINDOW + 5):
        breaker.record(Outcome.CORRUPT, 0.0, key=str(index))
    assert breaker.state is OPEN
    breaker.record(Outcome.OK, 5.0)
    for _ in range(100):
        breaker.record(Outcome.CORRUPT, 6.0, key="damaged")
    assert breaker.state is CLOSED


def test_wrong_bodies_are_remembered_for_twenty_keys_and_then_anew():
    breaker = Breaker()
    for index in range(WINDOW + 1):
        breaker.record(Outcome.CORRUPT, 0.0, key=str(index))
        breaker.record(Outcome.OK, 0.0)
        breaker.record(Outcome.OK, 0.0)
    assert breaker.state is CLOSED
    for index in range(5):
        breaker.record(Outcome.CORRUPT, 0.0, key=str(index))
    assert breaker.state is OPEN


# --- credentials --------------------------------------------------------------------------


@given(st.lists(st.sampled_from("abcdefg"), max_size=30))
def test_five_different_keys_denied_in_a_row_and_nothing_less_mean_credentials(keys):
    breaker = Breaker()
    for count, key in enumerate(keys, start=1):
        breaker.record(Outcome.DENIED, 0.0, key=key)
        everything = len(set(keys[:count])) >= 5
        assert (breaker.state is OPEN) is everything
        assert breaker.reason == ("credentials" if everything else "")


def test_one_key_denied_for_ever_is_one_key():
    breaker = Breaker()
    for _ in range(10_000):
        breaker.record(Outcome.DENIED, 0.0, key="private.jpg")
    assert breaker.state is CLOSED


@pytest.mark.parametrize("outcome", by_name(WELL | ILL))
def test_any_other_answer_shows_that_not_everything_is_denied(outcome):
    breaker = Breaker()
    for key in ["a", "b", "c", "d", None, "e"]:
        breaker.record(Outcome.DENIED if key else outcome, 0.0, key=key or "x")
    assert breaker.state is CLOSED


def test_denied_keys_do_not_fill_the_memory():
    breaker = Breaker()
    for index in range(10_000):
        breaker.record(Outcome.DENIED, float(index), key=f"key-{index}")
    assert breaker.reason == "credentials"
    assert len(breaker._denied) <= 5


def test_a_probe_that_is_denied_closes_it_unless_everything_was():
    breaker = opened()
    assert breaker.take_probe(5.0, LEASE_S)
    breaker.record(Outcome.DENIED, 5.0, key="private.jpg")
    assert (breaker.state, breaker.reason) == (CLOSED, "")

    breaker = Breaker()
    for key in "abcde":
        breaker.record(Outcome.DENIED, 0.0, key=key)
    assert breaker.take_probe(5.0, LEASE_S)
    breaker.record(Outcome.DENIED, 5.0, key="a")
    assert (breaker.state, breaker.reason) == (OPEN, "credentials")
    assert not breaker.may_probe(14.9)
    assert breaker.may_probe(15.0)


def test_it_stays_a_matter_of_credentials_until_a_probe_says_otherwise():
    """A straggler of another kind comes in between; one key denied again is enough."""
    breaker = Breaker()
    for key in "abcde":
        breaker.record(Outcome.DENIED, 0.0, key=key)
    breaker.record(Outcome.TIMED_OUT, 1.0)
    assert breaker.reason == "credentials"
    assert breaker.take_probe(5.0, LEASE_S)
    breaker.record(Outcome.DENIED, 5.0, key="a")
    assert (breaker.state, breaker.reason) == (OPEN, "credentials")


def test_one_failure_is_enough_for_a_probe_however_it_was_opened():
    breaker = Breaker()
    for key in "abcde":
        breaker.record(Outcome.DENIED, 0.0, key=key)
    assert breaker.take_probe(5.0, LEASE_S)
    breaker.record(Outcome.UNAVAILABLE, 5.0)
    assert (breaker.state, breaker.reason) == (OPEN, "unavailable")
    assert not breaker.may_probe(14.9)


# --- probes -------------------------------------------------------------------------------


def test_the_first_probe_is_due_after_five_seconds_and_then_ever_later_up_to_sixty():
    breaker, now_s, waits = opened(), 0.0, []
    for _ in range(7):
        wait_s = next(s for s in range(1, 100) if breaker.may_probe(now_s + s))
        waits.append(wait_s)
        now_s += wait_s
        assert breaker.take_probe(now_s, LEASE_S)
        breaker.record(Outcome.UNAVAILABLE, now_s)
        assert breaker.state is OPEN
    assert waits == [5, 10, 20, 40, 60, 60, 60]


def test_a_success_makes_the_next_first_probe_early_again():
    breaker = opened()
    breaker.record(Outcome.TIMED_OUT, 5.0)
    breaker.record(Outcome.OK, 6.0)
    for _ in range(5):
        assert breaker.state is CLOSED
        breaker.record(Outcome.TIMED_OUT, 100.0)
    assert not breaker.may_probe(104.9)
    assert breaker.may_probe(105.0)


def test_calls_that_began_before_it_opened_do_not_put_the_probe_off():
    breaker = opened()
    for at_s in (1.0, 4.0):
        breaker.record(Outcome.TIMED_OUT, at_s)
    assert breaker.reason == "unavailable"
    assert breaker.may_probe(5.0)


def test_half_open_lets_the_crowd_in():
    """Five hundred callers at the moment of half-open: one of them is the probe."""
    breaker = opened()
    assert sum(breaker.take_probe(5.0, LEASE_S) for _ in range(500)) == 1
    assert breaker.state is HALF_OPEN


def test_a_closed_breaker_needs_no_probe():
    breaker = Breaker()
    assert not breaker.may_probe(1e9)
    assert not breaker.take_probe(1e9, LEASE_S)
    assert breaker.state is CLOSED


@pytest.mark.parametrize("end", [*by_name(Outcome), "slow", "cancelled", "never"])
def test_the_probe_slot_leaks_and_the_breaker_never_closes(end):
    """However a probe ends, another may be taken within a minute, and one success closes it."""
    breaker = opened()
    assert breaker.take_probe(5.0, LEASE_S)
    if end == "cancelled":
        breaker.give_probe_back(6.0)
        assert breaker.state is OPEN
        assert breaker.may_probe(6.0)
    elif end == "slow":
        breaker.record(Outcome.OK, 6.0, slow=True)
    elif end != "never":
        breaker.record(end, 6.0)
    free = [s for s in range(6, 66) if breaker.state is CLOSED or breaker.may_probe(float(s))]
    assert free
    if breaker.state is not CLOSED:
        assert breaker.take_probe(float(free[0]), LEASE_S)
        breaker.record(Outcome.OK, float(free[0]))
    assert breaker.state is CLOSED


def test_a_probe_holds_its_place_for_its_lease_and_not_longer():
    breaker = opened()
    assert breaker.take_probe(5.0, LEASE_S)
    assert not breaker.take_probe(14.9, LEASE_S)
    assert breaker.take_probe(15.0, LEASE_S)
    assert breaker.state is HALF_OPEN


@pytest.mark.parametrize("breaker", [Breaker(), opened()], ids=["closed", "open"])
def test_a_probe_given_back_late_changes_nothing(breaker):
    state, due = breaker.state, breaker.may_probe(4.0)
    breaker.give_probe_back(4.0)
    assert (breaker.state, breaker.may_probe(4.0)) == (state, due)


@pytest.mark.parametrize("outcome", by_name(WELL))
def test_a_healthy_answer_closes_it_and_forgets_what_was(outcome):
    breaker = opened()
    assert breaker.take_probe(5.0, LEASE_S)
    breaker.record(outcome, 5.0)
    assert (breaker.state, breaker.reason) == (CLOSED, "")
    for _ in range(4):
        breaker.record(Outcome.UNAVAILABLE, 6.0)
    assert breaker.state is CLOSED


# --- against a naive model ----------------------------------------------------------------


class Ward(RuleBasedStateMachine):
    """A backend falls ill and recovers; the model keeps every answer and counts anew each time."""

    @initialize()
    def is_admitted(self):
        self.now_s = 0.0
        self.breaker = Breaker()
        self.answers: list[bool] = []  # True: a failure; since it was last closed
        self.denied: list[str] = []  # since anything else was said
        self.state, self.reason, self.due_s, self.times_open = CLOSED, "", 0.0, 0

    def opens(self, reason):
        if self.state is OPEN and self.now_s < self.due_s:
            return
        self.times_open = 1 if self.state is CLOSED else self.times_open + 1
        self.state, self.reason = OPEN, reason
        self.due_s = self.now_s + self.interval_s()

    def interval_s(self):
        return min(60.0, 5.0 * 2 ** (self.times_open - 1))

    def closes(self):
        self.state, self.reason, self.answers = CLOSED, "", []

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 9.5, 10.0, 30.0, 60.0]))
    def time_passes(self, seconds):
        self.now_s += seconds

    @rule(
        outcome=st.sampled_from(by_name(WELL | ILL)),
        slow=st.booleans(),
        times=st.sampled_from([1, 2, 4, 5]),
    )
    def answers_come(self, outcome, slow, times):
        for _ in range(times):
            self.breaker.record(outcome, self.now_s, key="k", slow=slow)
            self.denied = []
            failed = slow or outcome in ILL
            self.answers.append(failed)
            row = self.answers[-5:]
            window = self.answers[-20:]
            too_much = row == [True] * 5 or (len(window) == 20 and window.count(True) >= 10)
            if failed and (self.state is not CLOSED or too_much):
                self.opens("slow" if slow else outcome.value)
            elif not failed and self.state is not CLOSED:
                self.closes()

    @rule(times=st.integers(1, 12))
    def ill_and_well_by_turns(self, times):
        for _ in range(times):
            self.answers_come(Outcome.NOT_FOUND, slow=False, times=1)
            self.answers_come(Outcome.UNAVAILABLE, slow=False, times=1)

    @rule(keys=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6))
    def is_denied(self, keys):
        for key in keys:
            self.breaker.record(Outcome.DENIED, self.now_s, key=key)
            self.denied.append(key)
            if len(set(self.denied)) >= 5 or self.reason == "credentials":
                self.opens("credentials")
            elif self.state is not CLOSED:
                self.closes()

    @rule(lease_s=st.sampled_from([1.0, 10.0]))
    def is_probed(self, lease_s):
        free = self.state is not CLOSED and self.now_s >= self.due_s
        assert self.breaker.take_probe(self.now_s, lease_s) is free
        if free:
            self.state, self.due_s = HALF_OPEN, self.now_s + lease_s

    @rule()
    def probe_is_cancelled(self):
        self.breaker.give_probe_back(self.now_s)
        if self.state is HALF_OPEN:
            self.state, self.due_s = OPEN, self.now_s

    @invariant()
    def both_say_the_same(self):
        assert (self.breaker.state, self.breaker.reason) == (self.state, self.reason)
        for ahead_s in (0.0, 4.5, 5.0, 60.0):
            due = self.state is not CLOSED and self.now_s + ahead_s >= self.due_s
            assert self.breaker.may_probe(self.now_s + ahead_s) is due


TestWard = Ward.TestCase
