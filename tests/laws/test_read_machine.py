"""A read asks in order, hedges when slow, asks everybody when absence is to be believed."""

from __future__ import annotations

import itertools

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.outcome import Outcome
from resilient_store.protocol.machine import Ask, Wait
from resilient_store.protocol.read import RETRY_AFTER_S, Candidate
from tests.laws.play import Answer, play, reader

HEDGE_S = 0.25
HANG_S = 10.0
NAMES = ("a", "b", "c", "d")

OK = Answer(Outcome.OK)
BLANK = Answer(Outcome.OK, blank=True)
ABSENT = Answer(Outcome.NOT_FOUND)
DOWN = Answer(Outcome.UNAVAILABLE)
HUNG = Answer(Outcome.TIMED_OUT, HANG_S)
FAILURES = [outcome for outcome in Outcome if outcome not in (Outcome.OK, Outcome.NOT_FOUND)]

counts = st.integers(1, 4)
# Eighths of a second, so that equal times are equal.
latencies = st.integers(0, 12).map(lambda eighths: eighths / 8)
outcomes = st.sampled_from(Outcome)


@st.composite
def answers(draw):
    outcome = draw(outcomes)
    if outcome is Outcome.TIMED_OUT:
        return HUNG
    return Answer(outcome, draw(latencies), outcome is Outcome.OK and draw(st.booleans()))


@attrs.frozen
class Scene:
    """A read's surroundings: backends with their health, word and answers; chance of a hedge."""

    names: tuple[str, ...]
    script: dict[str, list[Answer]]
    unhealthy: tuple[str, ...]
    holds_all: tuple[str, ...]
    hedges: list[bool]

    def play(self):
        granted = itertools.chain(self.hedges, itertools.repeat(False))
        machine = reader(
            self.names,
            unhealthy=self.unhealthy,
            holds_all=self.holds_all,
            may_hedge=lambda name: next(granted),
        )
        return play(machine, self.script, start_s=100.0)


@st.composite
def scenes(draw):
    names = NAMES[: draw(counts)]
    some = st.lists(st.sampled_from(names), unique=True)
    return Scene(
        names,
        {name: draw(st.lists(answers(), min_size=1, max_size=2)) for name in names},
        tuple(draw(some)),
        tuple(draw(some)),
        draw(st.lists(st.booleans(), max_size=8)),
    )


def test_a_candidate_is_healthy_and_holds_not_everything_until_somebody_says_otherwise():
    assert Candidate("a") == Candidate("a", healthy=True, holds_all=False)


# --- the normal case ----------------------------------------------------------------------


@given(counts, latencies.filter(lambda s: s <= HEDGE_S))
def test_what_is_found_in_time_costs_one_request(count, latency_s):
    names = NAMES[:count]
    played = play(reader(names), {name: [Answer(Outcome.OK, latency_s)] for name in names})
    assert played.asks == [(0.0, "a")]
    assert played.value.found.backend == "a"
    assert (played.ended_s, played.value.slow) == (latency_s, ())


@given(counts, latencies)
def test_what_is_absent_costs_one_request_each_and_the_others_at_once(count, latency_s):
    names = NAMES[:count]
    script = {name: [Answer(Outcome.NOT_FOUND, latency_s)] for name in names}
    played = play(reader(names, hedge_after_s=5.0), script)
    assert played.asked == list(names)
    assert [at_s for at_s, _ in played.asks] == [0.0] + [latency_s] * (count - 1)
    assert played.value.absent


@pytest.mark.parametrize("doubt", [ABSENT, BLANK], ids=["not found", "blank"])
def test_doubt_asks_all_the_healthy_at_once_and_a_failure_only_the_next(doubt):
    script = {"a": [doubt], "b": [HUNG], "c": [HUNG], "d": [OK]}
    assert [at_s for at_s, _ in play(reader(NAMES), script).asks] == [0.0] * 4
    script["a"] = [Answer(Outcome.THROTTLED)]
    assert [at_s for at_s, _ in play(reader(NAMES), script).asks] == [0.0, 0.0, 0.25, 0.5]


@pytest.mark.parametrize("outcome", FAILURES)
def test_a_failure_passes_the_question_on_at_once(outcome):
    played = play(reader(NAMES[:2]), {"a": [Answer(outcome, 0.125)], "b": [OK]})
    assert played.asks == [(0.0, "a"), (0.125, "b")]
    assert played.value.found.backend == "b"
    assert [reply.outcome for reply in played.value.replies] == [outcome, Outcome.OK]


def test_a_failure_of_an_earlier_one_does_not_overtake_the_hedge_that_still_runs():
    script = {"a": [Answer(Outcome.DENIED, 0.375)], "b": [HUNG], "c": [OK]}
    played = play(reader(NAMES[:3]), script)
    assert played.asks == [(0.0, "a"), (0.25, "b"), (0.5, "c")]


def test_a_failure_of_the_one_asked_last_passes_on_though_an_earlier_one_still_runs():
    script = {"a": [HUNG], "b": [Answer(Outcome.DENIED, 0.125)], "c": [OK]}
    played = play(reader(NAMES[:3]), script)
    assert played.asks == [(0.0, "a"), (0.25, "b"), (0.375, "c")]
    assert played.value.slow == ("a",)


# --- everything, in every order -----------------------------------------------------------


@given(scenes())
def test_it_always_ends_and_asks_nobody_twice_but_for_one_retry(scene):
    played = scene.play()  # which fails where it waits for nothing, or goes on for ever
    for name in scene.names:
        assert played.asked.count(name) <= 2
        if played.asked.count(name) == 2:
            assert scene.script[name][0].outcome in (Outcome.UNAVAILABLE, Outcome.CORRUPT)
            assert name not in scene.unhealthy
            first, again = [at_s for at_s, who in played.asks if who == name]
            assert again >= first + scene.script[name][0].after_s + RETRY_AFTER_S


@given(scenes())
def test_it_stops_exactly_at_the_first_answer_that_decides(scene):
    played = scene.play()
    decided_s = [
        at_s
        for at_s, reply in played.heard
        if (reply.ok and not reply.blank)
        or (reply.outcome is Outcome.NOT_FOUND and reply.backend in scene.holds_all)
    ]
    if decided_s:
        assert set(decided_s) == {played.ended_s}
    else:
        assert {reply.backend for reply in played.value.replies} == set(scene.names)
        assert len(played.heard) == len(played.asks)


@given(scenes())
def test_what_it_concludes_is_what_was_said(scene):
    reading = scene.play().value
    said = {reply.backend: reply for reply in reading.replies}
    brought = [r for r in reading.replies if r.ok and not r.blank]
    assert reading.found is (brought[0] if brought else None)
    assert (reading.found is not None) is bool(brought)
    blanks = [r for r in reading.replies if r.blank]
    assert reading.blank is (blanks[0] if blanks else None)
    nowhere = [n for n, reply in said.items() if reply.outcome is Outcome.NOT_FOUND]
    certain = any(n in scene.holds_all for n in nowhere) or len(nowhere) == len(scene.names)
    assert reading.absent is (certain and not brought)


@given(scenes())
def test_the_slow_are_those_silent_for_a_whole_delay_before_the_winner_was_asked(scene):
    played = scene.play()
    reading = played.value
    answered = {reply.backend for reply in reading.replies}
    last_asked = {name: at_s for at_s, name in played.asks}
    silent = [name for name in dict.fromkeys(played.asked) if name not in answered]
    if reading.found is None:
        assert reading.slow == ()
    else:
        won_at_s = last_asked[reading.found.backend]
        assert sorted(reading.slow) == sorted(
            n for n in silent if last_asked[n] + HEDGE_S <= won_at_s
        )


@given(scenes())
def test_nobody_unhealthy_is_asked_while_somebody_healthy_is_left(scene):
    played = scene.play()
    for index, name in enumerate(played.asked):
        if name in scene.unhealthy:
            left = set(scene.names) - set(scene.unhealthy) - set(played.asked[:index])
            assert not left, f"{name} was asked before {left}"


@given(scenes())
def test_the_order_of_preference_is_kept_among_equals(scene):
    first_asks = list(dict.fromkeys(scene.play().asked))
    wanted = sorted(scene.names, key=lambda name: name in scene.unhealthy)
    assert first_asks == wanted[: len(first_asks)]


# --- hedges -------------------------------------------------------------------------------


@given(st.integers(1, 16).map(lambda n: n / 8), st.integers(0, 8))
def test_p6_a_first_backend_that_hangs_costs_exactly_the_hedge_delay(hedge_s, start):
    machine = reader(NAMES[:2], hedge_after_s=hedge_s)
    played = play(machine, {"a": [HUNG], "b": [OK]}, start_s=float(start))
    assert played.asks == [(start, "a"), (start + hedge_s, "b")]
    assert played.ended_s == start + hedge_s
    assert played.value.slow == ("a",)


@given(st.integers(0, 3), latencies.filter(lambda s: s < HEDGE_S))
def test_p6_a_good_backend_behind_others_that_hang_costs_a_delay_for_each(place, latency_s):
    script = {name: [HUNG] for name in NAMES} | {NAMES[place]: [Answer(Outcome.OK, latency_s)]}
    played = play(reader(NAMES), script)
    assert played.ended_s == place * HEDGE_S + latency_s
    assert played.asked == list(NAMES[: place + 1])


def test_the_budget_asked_is_the_silent_ones():
    spent = []
    play(
        reader(NAMES[:3], may_hedge=lambda name: spent.append(name) or True),
        {"a": [HUNG], "b": [HUNG], "c": [OK]},
    )
    assert spent == ["a", "b"]


def test_a_denied_hedge_waits_for_a_reply_or_a_change_of_health():
    machine = reader(NAMES[:2], may_hedge=lambda name: False)
    assert machine.decide(0.0) == Ask("a")
    assert machine.decide(0.0) == Wait(HEDGE_S)
    assert machine.decide(HEDGE_S) == Wait(wake=True)
    played = play(reader(NAMES[:2], may_hedge=lambda name: False), {"a": [HUNG], "b": [OK]})
    assert played.asks == [(0.0, "a"), (HANG_S, "b")]


@pytest.mark.parametrize("woken_s", [0.5, 3.0])
def test_a_denied_hedge_asks_at_once_when_the_silent_ones_breaker_opens(woken_s):
    opened: set[str] = set()

    def world(now_s):
        if now_s >= woken_s:
            opened.add("a")

    machine = reader(
        NAMES[:2], may_hedge=lambda name: False, is_healthy=lambda name: name not in opened
    )
    played = play(machine, {"a": [HUNG], "b": [OK]}, wakes_s=[0.375, woken_s], at=world)
    assert played.asks == [(0.0, "a"), (woken_s, "b")]


def test_a_breaker_that_opens_makes_nobody_hasty():
    played = play(
        reader(NAMES[:2], may_hedge=lambda name: False, is_healthy=lambda name: False),
        {"a": [Answer(Outcome.OK, 0.125)], "b": [OK]},
    )
    assert played.asked == ["a"]


def test_hedges_double_the_load_exactly_when_there_is_none_to_spare():
    """One silent backend and no budget: the second is not asked until the first has spoken."""
    slow = {"a": [Answer(Outcome.OK, 1.0)], "b": [OK]}
    asked = [
        play(reader(NAMES[:2], may_hedge=lambda _, left=left: left), slow).asked
        for left in (True, False)
    ]
    assert asked == [["a", "b"], ["a"]]


def test_a_loser_that_is_not_cancelled():
    """The decision comes while a loser runs: it is left behind, named, never waited for."""
    played = play(reader(NAMES[:2]), {"a": [HUNG], "b": [OK]})
    assert played.ended_s == HEDGE_S
    assert played.value.slow == ("a",)


def test_who_was_asked_a_moment_before_the_winner_is_not_called_slow():
    script = {"a": [Answer(Outcome.NOT_FOUND, 0.375)], "b": [HUNG], "c": [OK]}
    played = play(reader(NAMES[:3]), script)
    assert played.asks == [(0.0, "a"), (0.25, "b"), (0.375, "c")]
    assert played.value.slow == ()


# --- breakers -----------------------------------------------------------------------------


def test_the_last_candidates_are_asked_breaker_or_not():
    played = play(reader(NAMES[:2], unhealthy=NAMES[:2]), {"a": [HUNG], "b": [OK]})
    assert played.asks == [(0.0, "a"), (0.0, "b")]


def test_the_unhealthy_wait_for_the_healthy_to_fail_or_to_be_silent():
    script = {"a": [OK], "b": [OK], "c": [Answer(Outcome.THROTTLED, 0.125)]}
    machine = reader(NAMES[:3], unhealthy=("a", "b"))
    assert play(machine, script).asks == [(0.0, "c"), (0.125, "a"), (0.125, "b")]
    script["c"] = [HUNG]
    machine = reader(NAMES[:3], unhealthy=("a", "b"))
    assert play(machine, script).asks == [(0.0, "c"), (0.25, "a")]


def test_absence_among_the_healthy_does_not_hurry_the_unhealthy_past_a_silent_one():
    script = {"a": [ABSENT], "b": [HUNG], "c": [OK]}
    played = play(reader(NAMES[:3], unhealthy=("c",)), script)
    assert played.asks == [(0.0, "a"), (0.0, "b"), (HEDGE_S, "c")]


# --- the one retry ------------------------------------------------------------------------


@given(outcomes)
def test_exactly_what_was_unavailable_or_spoilt_is_asked_once_more(outcome):
    first = Answer(outcome, blank=outcome is Outcome.OK)
    played = play(reader(["a"]), {"a": [first, OK]})
    if outcome in (Outcome.UNAVAILABLE, Outcome.CORRUPT):
        assert played.asks == [(0.0, "a"), (RETRY_AFTER_S, "a")]
        assert played.value.found is not None
        assert [reply.outcome for reply in played.value.replies] == [Outcome.OK]
    else:
        assert played.asked == ["a"]


@pytest.mark.parametrize(("healthy", "budget"), list(itertools.product([True, False], repeat=2)))
def test_a_retry_needs_a_closed_breaker_and_a_token_of_its_own_backend(healthy, budget):
    spent = []
    machine = reader(
        ["a"],
        may_hedge=lambda name: spent.append(name) or budget,
        is_healthy=lambda name: healthy,
    )
    played = play(machine, {"a": [DOWN, OK]})
    assert played.asked == (["a", "a"] if healthy and budget else ["a"])
    assert spent == (["a"] if healthy else [])


def test_p5_spoilt_bytes_are_asked_for_again_whatever_the_budget():
    machine = reader(["a"], may_hedge=lambda name: False)
    assert play(machine, {"a": [Answer(Outcome.CORRUPT), OK]}).value.found is not None


def test_a_retry_that_is_denied_leaves_the_others_theirs():
    machine = reader(NAMES[:2], may_hedge=lambda name: name == "b")
    assert play(machine, {"a": [DOWN, OK], "b": [DOWN, OK]}).asked == ["a", "b", "b"]


@pytest.mark.parametrize("blank_first", [True, False])
def test_nobody_is_asked_again_once_somebody_said_that_it_is_empty(blank_first):
    script = {"a": [BLANK], "b": [DOWN, OK]} if blank_first else {"a": [DOWN, OK], "b": [BLANK]}
    played = play(reader(NAMES[:2]), script)
    assert played.asked == ["a", "b"]
    assert played.value.blank is not None


def test_a_retry_comes_after_everybody_else():
    played = play(reader(NAMES[:2]), {"a": [DOWN, OK], "b": [Answer(Outcome.NOT_FOUND, 0.125)]})
    assert played.asks == [(0.0, "a"), (0.0, "b"), (0.125, "a")]
    assert [reply.outcome for reply in played.value.replies] == [Outcome.NOT_FOUND, Outcome.OK]


def test_a_retry_that_finds_nothing_more_can_make_absence_certain():
    played = play(reader(NAMES[:2]), {"a": [DOWN, ABSENT], "b": [ABSENT]})
    assert played.value.absent


@pytest.mark.parametrize("hangs", ["b", "retry"])
def test_p6_a_backend_that_hangs_does_not_keep_a_read_from_one_that_came_back(hangs):
    """One failed for a moment, another hangs: the first is asked again by the hedge delay."""
    if hangs == "b":
        script = {"a": [DOWN, OK], "b": [HUNG]}
        last_ask_s = 0.0
    else:
        script = {"a": [DOWN, HUNG], "b": [DOWN, OK]}
        last_ask_s = RETRY_AFTER_S
    played = play(reader(NAMES[:2]), script)
    assert played.ended_s == last_ask_s + HEDGE_S
    assert played.value.found is not None
    assert len(played.value.slow) == 1


def test_a_retry_beside_a_silent_one_is_no_quicker_than_a_retry():
    machine = reader(NAMES[:2], hedge_after_s=0.01)
    played = play(machine, {"a": [DOWN, OK], "b": [HUNG]})
    assert played.asks[-1] == (RETRY_AFTER_S, "a")


# --- somebody holds everything ------------------------------------------------------------


def test_one_that_holds_everything_is_enough_to_know():
    played = play(reader(NAMES[:2], holds_all=("a",)), {"a": [ABSENT], "b": [OK]})
    assert played.asked == ["a"]
    assert played.value.absent


def test_what_it_cannot_say_is_not_known():
    played = play(reader(NAMES[:2], holds_all=("a",)), {"a": [DOWN], "b": [ABSENT]})
    assert not played.value.absent


def test_what_somebody_brought_in_the_same_instant_is_not_absent():
    late = {"a": [Answer(Outcome.NOT_FOUND, 0.5)], "b": [Answer(Outcome.OK, 0.25)]}
    played = play(reader(NAMES[:2], holds_all=("a",)), late)
    assert played.value.found is not None
    assert not played.value.absent
