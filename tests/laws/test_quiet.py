"""A key is quiet exactly when no request to it can land any more, breaks in the answers included.

The law of the whole is drawn from a backend's life: when it answered and when it was seen not
to, folded into its row one by one, against what a late request can do, which is said here from
those times.
"""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.state import BackendRow, Replica, StoreState
from resilient_store.protocol.moment import Moment
from resilient_store.protocol.quiet import answered, failed, is_quiet, was_put_back

Z_S = 16.0
NOTED_S, BREAK_S = 2.0, 16.0  # an eighth of Z, and all of it
STEADY_S = BREAK_S - NOTED_S  # gaps below it can never be taken for a break

pauses = st.sampled_from([0.5, 1.0, 1.5, 2.0, 5.0, 7.5, 8.0, 9.0, 16.0, 17.0, 40.0])
lives = st.lists(st.tuples(pauses, st.sampled_from(["answers", "answers", "fails"])))
moments_after = st.sampled_from([0.0, 0.5, 7.5, 8.0, 15.5, 16.0, 40.0])


def row(busy_until_s):
    return Replica(backend="aws", busy_until_s=busy_until_s)


def events(life):
    """Return what happened when; it begins with an answer at second one."""
    history = [(1.0, "answers")]
    for pause_s, what in life:
        history.append((history[-1][0] + pause_s, what))
    return history


def kept(history):
    """Return the row that is kept of what happened."""
    backend = BackendRow(name="aws")
    for at_s, what in history:
        backend = answered(backend, at_s, Z_S) if what == "answers" else failed(backend, at_s)
    return backend


def answers_of(history):
    return [at_s for at_s, what in history if what == "answers"]


def noted(history):
    """Return the answers that are written down: the first, then one for each eighth of Z."""
    answers = answers_of(history)
    kept_of_them = answers[:1]
    for at_s in answers[1:]:
        if at_s - kept_of_them[-1] >= NOTED_S:
            kept_of_them.append(at_s)
    return kept_of_them


def quiet_from(busy_until_s, answers, history, now_s):
    """Return when what was sent up to Z before its mark's end is dead.

    A break that it met prolongs it until Z after the break's end, and so does the next break
    that begins before then; if nobody saw it fail in there, it has to end before then, too.
    """
    over_s = -math.inf
    for away_s, back_s in zip(answers, [*answers[1:], math.inf], strict=True):
        ends_s = min(back_s, now_s)  # the silence now ends now at the earliest
        seen = any(what == "fails" and away_s < at_s < back_s for at_s, what in history)
        prolongs = (away_s if seen else ends_s) < over_s
        if ends_s - away_s >= BREAK_S and (away_s <= busy_until_s or prolongs):
            over_s = ends_s + Z_S
        elif back_s == math.inf and seen and prolongs:
            return math.inf  # it hangs again, for how long nobody knows yet
    return max(busy_until_s, over_s)


# --- when a key is quiet ------------------------------------------------------------------


@given(lives, st.integers(1, 130), moments_after)
def test_r2_quiet_exactly_when_z_has_passed_since_the_last_break_that_it_met(life, busy, after_s):
    history = events(life)
    now_s = history[-1][0] + after_s
    expected = now_s >= quiet_from(float(busy), noted(history), history, now_s)
    assert is_quiet(row(float(busy)), kept(history), now_s, Z_S) is expected


@given(lives, st.integers(1, 130), moments_after)
def test_r2_what_a_hung_server_may_still_carry_out_keeps_its_key_busy(life, busy, after_s):
    """By the answers themselves, not by those that were written down."""
    history = events(life)
    now_s = history[-1][0] + after_s
    if is_quiet(row(float(busy)), kept(history), now_s, Z_S):
        assert now_s >= quiet_from(float(busy), answers_of(history), history, now_s)


@given(lives, lives, st.integers(1, 130), moments_after)
def test_r13_a_look_of_the_past_is_judged_no_milder_by_what_is_known_today(
    life, more, busy, after_s
):
    """A purge judges it by the row of today, which knows of one break only."""
    began_s = events(life)[-1][0] + after_s
    history = events([*life, (after_s, "answers"), *more])
    if is_quiet(row(float(busy)), kept(history), began_s, Z_S):
        then = [(at_s, what) for at_s, what in history if at_s <= began_s]
        back_s = next((at_s for at_s in answers_of(history) if at_s > began_s), began_s)
        assert began_s >= quiet_from(float(busy), [*answers_of(then), back_s], history, began_s)


@given(
    st.integers(2, 12),
    st.sampled_from([17.0, 40.0, 3600.0]),
    st.integers(1, 17),
)
def test_p7_a_repair_that_is_run_now_and_then_does_see_quiet_keys(runs, pause_s, busy):
    """Nobody asks in between, and nobody saw it fail: its first answer after Z is enough."""
    history = events([(pause_s, "answers")] * runs)
    assert is_quiet(row(float(busy)), kept(history), history[-1][0], Z_S)


@given(
    st.lists(st.sampled_from([0.5, 2.0, 5.0, STEADY_S - 0.5]), min_size=1),
    st.integers(1, 130),
    moments_after.filter(lambda after_s: after_s < STEADY_S),
)
def test_r2_while_the_backend_answers_a_key_is_quiet_as_soon_as_its_mark_is_over(
    gaps, busy, after_s
):
    history = events([(gap_s, "answers") for gap_s in gaps])
    now_s = history[-1][0] + after_s
    assert is_quiet(row(float(busy)), kept(history), now_s, Z_S) is (now_s >= busy)


@given(lives, moments_after)
def test_a_key_to_which_nothing_was_ever_sent_is_quiet_whatever_its_backend_does(life, after_s):
    history = events(life)
    assert is_quiet(row(0.0), kept(history), history[-1][0] + after_s, Z_S)
    assert is_quiet(row(0.0), BackendRow(name="aws", away_from_s=1.0), after_s, Z_S)


def test_r13_a_look_before_the_last_break_proves_nothing():
    """It may have begun on a key that an earlier break, forgotten since, had kept busy."""
    backend = BackendRow(name="aws", answered_s=200.0, away_from_s=100.0, back_s=200.0)
    assert not is_quiet(row(10.0), backend, 50.0, Z_S)
    assert is_quiet(row(10.0), backend, 200.0, Z_S)


@pytest.mark.parametrize(
    ("now_s", "answered_s", "quiet"),
    [(99.0, 99.0, False), (100.0, 99.0, True), (115.5, 99.5, False), (115.5, 100.0, True)],
    ids=["marked", "over", "silent for Z", "silent for less"],
)
def test_r2_silence_now_says_nothing_of_what_was_sent_before_it(now_s, answered_s, quiet):
    backend = BackendRow(name="aws", answered_s=answered_s)
    assert is_quiet(row(100.0), backend, now_s, Z_S) is quiet


def test_r2_silence_now_does_not_matter_to_what_was_dead_before_it():
    backend = BackendRow(name="aws", answered_s=100.0)
    assert is_quiet(row(99.5), backend, 1000.0, Z_S)
    assert not is_quiet(row(100.0), backend, 1000.0, Z_S)


@pytest.mark.parametrize(
    ("busy_until_s", "now_s", "quiet"),
    [(99.5, 200.0, True), (100.0, 215.5, False), (100.0, 216.0, True), (150.0, 215.5, False)],
)
def test_r2_what_was_sent_within_z_of_a_break_is_busy_until_z_after_its_end(
    busy_until_s, now_s, quiet
):
    backend = BackendRow(name="aws", answered_s=now_s, away_from_s=100.0, back_s=200.0)
    assert is_quiet(row(busy_until_s), backend, now_s, Z_S) is quiet


def test_r2_a_backend_that_is_away_has_no_quiet_key_but_those_that_were_quiet_before():
    backend = BackendRow(name="aws", answered_s=1000.0, away_from_s=100.0)
    assert not is_quiet(row(100.0), backend, 1000.0, Z_S)
    assert is_quiet(row(99.5), backend, 1000.0, Z_S)


def test_r2_a_server_that_woke_and_was_seen_to_hang_again_may_still_carry_out_its_queue():
    """It answered for a moment between two silences: its queue had no Z to empty itself in."""
    backend = BackendRow(name="aws", answered_s=215.5, away_from_s=100.0, back_s=200.0)
    hangs = failed(backend, 230.0)
    assert not is_quiet(row(150.0), hangs, 1000.0, Z_S)
    assert is_quiet(row(150.0), attrs.evolve(hangs, answered_s=216.0), 1000.0, Z_S)
    woken = answered(hangs, 1000.0, Z_S)
    assert not is_quiet(row(150.0), woken, 1015.5, Z_S)
    assert is_quiet(row(150.0), attrs.evolve(woken, answered_s=1016.0), 1016.0, Z_S)


def test_r2_a_server_that_nobody_asked_again_had_its_time():
    backend = BackendRow(name="aws", answered_s=215.5, away_from_s=100.0, back_s=200.0)
    assert is_quiet(row(150.0), backend, 216.0, Z_S)
    assert is_quiet(row(150.0), answered(backend, 1000.0, Z_S), 1000.0, Z_S)


@given(st.floats(0.5, 100.0))
def test_p7_who_asks_every_so_often_finds_a_quiet_key_in_the_end(every_s):
    """However often a repair is run: no cadence may prolong a break for ever."""
    backend, now_s = BackendRow(name="aws", answered_s=100.0), 100.0
    sent = row(100.0 + Z_S)
    while now_s < 100.0 + 3 * Z_S + 3 * every_s:
        now_s += every_s
        backend = answered(backend, now_s, Z_S)
    assert is_quiet(sent, backend, now_s, Z_S)


# --- what is written down of a backend's answers ------------------------------------------


@given(lives)
def test_an_answer_is_written_down_for_each_eighth_of_z_and_no_oftener(life):
    """A store that is read a thousand times a second does not write a thousand times."""
    history = events(life)
    backend = kept(history)
    before = noted(history)[-1]
    assert backend.answered_s == before
    assert answered(backend, before + NOTED_S - 0.5, Z_S) is backend
    assert answered(backend, before + NOTED_S, Z_S).answered_s == before + NOTED_S


@given(lives)
def test_the_last_break_is_kept_with_the_earlier_ones_that_still_matter(life):
    history = events(life)
    backend = kept(history)
    away_from_s = back_s = 0.0
    for one, other in zip(noted(history), noted(history)[1:], strict=False):
        if other - one >= BREAK_S:
            seen = any(what == "fails" and one < at_s < other for at_s, what in history)
            matters = back_s > 0 and (one if seen else other) < back_s + Z_S
            away_from_s = away_from_s if matters else one
            back_s = other
    assert (backend.away_from_s, backend.back_s) == (away_from_s, back_s)


@given(lives)
def test_the_first_failure_since_the_last_answer_is_kept(life):
    history, since, first = events(life), 0.0, 0.0
    for at_s, what in history:
        if what == "answers" and at_s in noted(history):
            since = at_s
        elif what == "fails" and first <= since:
            first = at_s
    backend = kept(history)
    assert (backend.answered_s, backend.failed_s) == (since, first)
    assert failed(backend, 1000.0).failed_s == (first if first > since else 1000.0)


def test_a_failure_changes_nothing_else_and_is_written_down_once():
    backend = BackendRow(name="aws", domain="aws", met=True, answered_s=10.0, failed_s=10.0)
    once = failed(backend, 11.0)
    assert once == attrs.evolve(backend, failed_s=11.0)
    assert failed(once, 12.0) is once


def test_a_first_answer_ends_no_break():
    first = answered(BackendRow(name="aws", met=True, epoch=3), 1000.0, Z_S)
    assert first == BackendRow(name="aws", met=True, epoch=3, answered_s=1000.0)


def test_a_break_changes_nothing_else_of_a_backends_row():
    backend = BackendRow(name="aws", domain="aws", met=True, drained=True, epoch=3, answered_s=10.0)
    expected = attrs.evolve(backend, answered_s=26.0, away_from_s=10.0, back_s=26.0)
    assert answered(backend, 26.0, Z_S) == expected
    assert answered(backend, 25.5, Z_S) == attrs.evolve(backend, answered_s=25.5)


def test_a_clock_that_was_put_back_a_little_takes_no_answer_away():
    backend = BackendRow(name="aws", answered_s=100.0)
    assert answered(backend, 50.0, Z_S) is backend


def test_r2_after_a_clock_was_put_back_silence_is_noticed_as_before():
    """A year of silence would else be taken for answers, from a time that has not come."""
    sent, ahead_s = row(66.0), 3600.0
    backend = BackendRow(name="aws", answered_s=ahead_s)
    assert not is_quiet(sent, backend, 67.0, Z_S), "nobody knows since when it is silent"
    assert not is_quiet(sent, failed(backend, 50.0), 67.0, Z_S)
    again = answered(backend, 60.0, Z_S)
    assert again == attrs.evolve(backend, answered_s=60.0)
    assert is_quiet(sent, again, 67.0, Z_S)
    assert not is_quiet(sent, again, 60.0 + Z_S, Z_S)


def test_r2_a_break_before_the_clock_was_put_back_ended_when_it_answered_at_the_latest():
    backend = BackendRow(
        name="aws", answered_s=3600.0, failed_s=3601.0, away_from_s=40.0, back_s=3600.0
    )
    again = answered(backend, 60.0, Z_S)
    assert again == attrs.evolve(backend, answered_s=60.0, failed_s=60.0, back_s=60.0)
    assert is_quiet(row(50.0), again, 60.0 + Z_S, Z_S), "nobody saw it fail since"
    assert answered(again, 1000.0, Z_S).away_from_s == 60.0
    later = answered(again, 60.0 + Z_S - 1, Z_S)
    assert not is_quiet(row(50.0), later, 60.0 + Z_S - 1, Z_S)
    assert is_quiet(row(50.0), answered(later, 60.0 + Z_S, Z_S), 60.0 + Z_S, Z_S)


def test_r2_a_break_of_a_future_that_the_clock_has_left_began_when_it_answered_at_the_latest():
    backend = BackendRow(name="aws", answered_s=3600.0, away_from_s=3500.0, back_s=3600.0)
    expected = attrs.evolve(backend, answered_s=60.0, away_from_s=60.0, back_s=60.0)
    assert answered(backend, 60.0, Z_S) == expected


@pytest.mark.parametrize("late_window_s", [Z_S, 900.0])
def test_a_clock_was_put_back_by_more_than_ten_minutes_and_more_than_z(late_window_s):
    ahead_s = max(600.0, late_window_s)
    assert not was_put_back(60.0 + ahead_s, 60.0, late_window_s)
    assert was_put_back(60.5 + ahead_s, 60.0, late_window_s)


def test_r2_a_break_counts_from_the_first_second_of_a_clock_on():
    backend = BackendRow(name="aws", answered_s=0.75, failed_s=0.875, away_from_s=0.25, back_s=0.5)
    assert answered(backend, 20.0, Z_S).away_from_s == 0.25, "it hung again before Z was over"
    well = BackendRow(name="aws", answered_s=100.0, away_from_s=0.25, back_s=0.5)
    assert is_quiet(row(0.25), well, 100.0, Z_S)


@given(st.floats(0, 100), st.floats(1, 100))
def test_r18_no_key_is_quiet_within_z_of_a_restore(busy, restored_s):
    for after_s in (0.0, Z_S / 2, Z_S):
        now_s = restored_s + after_s
        well = {"aws": BackendRow(name="aws", answered_s=now_s)}
        store = StoreState(identity="x", restored_s=restored_s, backends=well)
        moment = Moment(now_s=now_s, late_window_s=Z_S, store=store, new_id=lambda: 1)
        assert moment.is_quiet(row(busy)) == (max(busy, restored_s + Z_S) <= now_s)
