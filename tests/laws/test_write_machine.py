"""A write is acknowledged exactly when enough hold it, and nobody waits without hope (P1)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.outcome import Outcome, Reply
from resilient_store.protocol.machine import Ask, Done, Wait
from resilient_store.protocol.write import Demand, FanOutMachine, Verdict, judge
from tests.laws.play import Answer, play

DOMAINS = {
    "aws-1": "aws/us-east-1",
    "aws-2": "aws/eu-west-1",
    "gcp": "gcp",
    "disk": "file",
    "rack": "s3://host:9000/rack",
}
PLATFORM = {"aws-1": "A", "aws-2": "A", "gcp": "G", "disk": "D", "rack": "R"}
demands = st.builds(Demand, st.integers(1, 5), st.integers(1, 4))
answers = st.dictionaries(st.sampled_from(sorted(DOMAINS)), st.booleans())
complete = st.fixed_dictionaries(dict.fromkeys(DOMAINS, st.booleans()))
latencies = st.integers(0, 40).map(lambda eighths: eighths / 8)
OK = Answer(Outcome.OK)
HUNG = Answer(Outcome.TIMED_OUT, 10.0)


def enough(demand, names):
    clouds = {PLATFORM[name] for name in names}
    return len(names) >= demand.copies and len(clouds) >= demand.platforms


# --- judge --------------------------------------------------------------------------------


@given(demands, complete)
def test_p1_acknowledged_exactly_when_enough_hold_it(demand, answered):
    held = [name for name, ok in answered.items() if ok]
    expected = Verdict.ACKNOWLEDGE if enough(demand, held) else Verdict.GIVE_UP
    assert judge(demand, DOMAINS, answered) is expected


@given(demands, answers)
def test_waits_exactly_while_somebody_working_could_still_help(demand, answered):
    now = enough(demand, [name for name, ok in answered.items() if ok])
    could = enough(demand, [name for name in DOMAINS if answered.get(name, True)])
    verdict = judge(demand, DOMAINS, answered)
    assert (verdict is Verdict.ACKNOWLEDGE) is now
    assert (verdict is Verdict.WAIT) is (could and not now)


@given(demands, answers, st.sampled_from(sorted(DOMAINS)), st.booleans())
def test_a_verdict_once_given_stands(demand, answered, name, ok):
    verdict = judge(demand, DOMAINS, answered)
    if verdict is not Verdict.WAIT and name not in answered:
        assert judge(demand, DOMAINS, answered | {name: ok}) is verdict


def test_two_regions_of_one_cloud_are_one_platform():
    two = {"aws-1": True, "aws-2": True, "gcp": False, "disk": False, "rack": False}
    assert judge(Demand(2, 1), DOMAINS, two) is Verdict.ACKNOWLEDGE
    assert judge(Demand(2, 2), DOMAINS, two) is Verdict.GIVE_UP


# --- asking all at once -------------------------------------------------------------------


@st.composite
def scripts(draw):
    def answer():
        outcome = draw(st.sampled_from(Outcome))
        return HUNG if outcome is Outcome.TIMED_OUT else Answer(outcome, draw(latencies))

    return {name: [answer()] for name in DOMAINS}


@given(demands, scripts(), st.integers(0, 3))
def test_everybody_is_asked_once_at_the_same_instant_in_order(demand, script, start):
    played = play(FanOutMachine(demand, DOMAINS), script, start_s=float(start))
    assert played.asks == [(start, name) for name in DOMAINS]


@given(demands, scripts(), st.integers(0, 3))
def test_p6_it_ends_with_the_last_answer_or_when_the_grace_is_over(demand, script, start):
    """Grace: the larger of 1 s and three times the slowest success, once enough hold it."""
    played = play(FanOutMachine(demand, DOMAINS), script, start_s=float(start))
    took_s = {name: given[0].after_s for name, given in script.items()}
    wins = sorted((took_s[n], n) for n in DOMAINS if script[n][0].outcome is Outcome.OK)
    met_s = next(
        (at for at, _ in wins if enough(demand, [n for t, n in wins if t <= at])), math.inf
    )
    slowest_s = max((at for at, _ in wins if at <= met_s), default=0.0)
    for at_s, _ in wins:  # a success within the grace may lengthen it
        if met_s < at_s <= met_s + max(1.0, 3 * slowest_s):
            slowest_s = at_s
    expected_s = min(max(took_s.values()), met_s + max(1.0, 3 * slowest_s))
    assert played.ended_s == start + expected_s
    assert set(played.value) == {name for name in DOMAINS if took_s[name] <= expected_s}
    assert {n for n, reply in played.value.items() if reply.ok} == {
        n for at, n in wins if at <= expected_s
    }


def test_p6_a_hung_backend_costs_a_met_write_its_grace_and_an_unmet_one_the_whole_time():
    script = {"aws-1": [OK], "gcp": [HUNG]}
    domains = {name: DOMAINS[name] for name in script}
    assert play(FanOutMachine(Demand(1), domains), script).ended_s == 1.0
    assert play(FanOutMachine(Demand(2), domains), script).ended_s == 10.0
    script["aws-1"] = [Answer(Outcome.OK, 0.5)]
    assert play(FanOutMachine(Demand(1), domains), script).ended_s == 2.0


def test_the_grace_counts_from_the_moment_it_was_met_and_by_successes_only():
    script = {
        "aws-1": [OK],
        "gcp": [Answer(Outcome.UNAVAILABLE, 0.875)],
        "disk": [HUNG],
    }
    domains = {name: DOMAINS[name] for name in script}
    assert play(FanOutMachine(Demand(1), domains), script, start_s=7.0).ended_s == 8.0


def test_a_met_demand_is_not_met_again_later():
    machine = FanOutMachine(Demand(1), {name: DOMAINS[name] for name in ("aws-1", "gcp", "disk")})
    assert [machine.decide(5.0) for _ in range(3)] == [Ask("aws-1"), Ask("gcp"), Ask("disk")]
    assert machine.decide(5.0) == Wait()
    machine.observe(Reply("aws-1", Outcome.OK), 5.25)
    assert machine.decide(5.25) == Wait(6.25)
    machine.observe(Reply("gcp", Outcome.OK), 5.5)
    assert machine.decide(5.5) == Wait(6.75)
    replies = {name: Reply(name, Outcome.OK) for name in ("aws-1", "gcp")}
    assert machine.decide(6.75) == Done(replies)


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.OK])
def test_only_ok_counts_as_a_copy(outcome):
    script = {"aws-1": [Answer(outcome)], "gcp": [Answer(Outcome.OK, 3.0)]}
    domains = {name: DOMAINS[name] for name in script}
    assert play(FanOutMachine(Demand(1), domains), script).ended_s == 3.0


def test_nobody_to_ask_is_done_at_once():
    assert FanOutMachine(Demand(1), {}).decide(0.0) == Done({})
