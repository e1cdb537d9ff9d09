"""A listing asks everybody it needs, waits for nobody it does not, and says whom it left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.outcome import Outcome
from resilient_store.protocol.listing import ListMachine
from resilient_store.protocol.read import Candidate
from tests.laws.play import Answer, play

HEDGE_S = 0.25
NAMES = ("a", "b", "c")
OK = Answer(Outcome.OK)
DOWN = Answer(Outcome.UNAVAILABLE)
HUNG = Answer(Outcome.TIMED_OUT, 10.0)
ANSWERS = {Outcome.OK, Outcome.NOT_FOUND}


def machine(names, *, unhealthy=(), holds_all=(), partial=False):
    candidates = tuple(Candidate(n, n not in unhealthy, n in holds_all) for n in names)
    return ListMachine(candidates, HEDGE_S, partial)


@st.composite
def scenes(draw):
    names = NAMES[: draw(st.integers(1, 3))]

    def answer():
        outcome = draw(st.sampled_from(Outcome))
        eighths = draw(st.integers(0, 4))
        return HUNG if outcome is Outcome.TIMED_OUT else Answer(outcome, eighths / 8)

    some = st.lists(st.sampled_from(names), unique=True)
    script = {name: [answer()] for name in names}
    options = {"unhealthy": draw(some), "holds_all": draw(some), "partial": draw(st.booleans())}
    return names, script, options


def answered(script, names):
    return [name for name in names if script[name][0].outcome in ANSWERS]


@given(scenes(), st.integers(0, 3))
def test_the_healthy_are_asked_at_once_and_the_others_exactly_when_they_are_needed(scene, start):
    names, script, options = scene
    played = play(machine(names, **options), script, start_s=float(start))
    healthy = [name for name in names if name not in options["unhealthy"]]
    assert played.asks[: len(healthy)] == [(start, name) for name in healthy]
    late = played.asks[len(healthy) :]
    heard = answered(script, healthy)
    whole = bool(set(heard) & set(options["holds_all"]))
    needed = not whole and (not options["partial"] or not heard)
    assert [name for _, name in late] == [n for n in names if n not in healthy and needed]
    if late:
        everybody_s = start + max((script[name][0].after_s for name in healthy), default=0.0)
        assert {at_s for at_s, _ in late} == {everybody_s}


@given(scenes(), st.integers(0, 3))
def test_p6_it_ends_with_the_last_answer_or_by_the_hedge_delay_once_it_is_whole(scene, start):
    names, script, options = scene
    subject = machine(names, **options)
    played = play(subject, script, start_s=float(start))
    said_s = {name: at_s + script[name][0].after_s for at_s, name in played.asks}
    last_s = max(said_s.values())
    sure = set(answered(script, said_s)) & set(options["holds_all"])
    whole_s = min((said_s[name] for name in sure), default=last_s)
    assert played.ended_s == min(last_s, max(whole_s, start + HEDGE_S))
    assert set(played.value) == {name for name in said_s if said_s[name] <= played.ended_s}
    given_up = [name for _, name in played.asks if name not in played.value]
    assert list(subject.given_up(played.value)) == given_up


def test_p6_several_that_are_left_alone_cost_one_time_out_together():
    for partial in (True, False):
        subject = machine(NAMES, unhealthy=NAMES, partial=partial)
        assert play(subject, {name: [HUNG] for name in NAMES}).ended_s == 10.0


@pytest.mark.parametrize("partial", [True, False])
def test_a_hung_one_is_waited_for_unless_another_holds_everything(partial):
    script = {"a": [OK], "b": [HUNG]}
    assert play(machine("ab", partial=partial), script).ended_s == 10.0
    sure = machine("ab", holds_all="a", partial=partial)
    assert play(sure, script).ended_s == HEDGE_S
    assert sure.given_up(["a"]) == ("b",)


def test_a_whole_listing_leaves_alone_whom_it_does_not_need():
    script = {"a": [OK], "b": [OK], "c": [DOWN]}
    assert play(machine("abc", unhealthy="b", holds_all="a"), script).asked == ["a", "c"]
    assert play(machine("abc", unhealthy="b", partial=True), script).asked == ["a", "c"]
    assert play(machine("abc", unhealthy="b"), script).asked == ["a", "c", "b"]
