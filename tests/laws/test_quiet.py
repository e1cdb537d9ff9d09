"""A key is quiet exactly when no request to it can land any more, breaks in the answers included.

The law of the whole is drawn from a backend's life: the times at which it answered, folded into
its row one by one, against what a late request can do, which is said here from those times.
"""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.state import BackendRow, Replica
from resilient_store.protocol.quiet import answered, is_quiet

Z_S = 16.0
NOTED_S, BREAK_S = 2.0, 8.0  # an eighth and a half of Z
STEADY_S = BREAK_S - NOTED_S  # gaps below it can never be taken for a break

gaps = st.lists(st.sampled_from([0.5, 1.0, 1.5, 2.0, 5.0, 7.5, 8.0, 9.0, 16.0, 17.0, 40.0]))
moments_after = st.sampled_from([0.0, 0.5, 7.5, 8.0, 15.5, 16.0, 40.0])


def row(busy_until_s):
    return Replica(backend="aws", busy_until_s=busy_until_s)


def life(start_s, gaps):
    """Return the times of the answers, and the row that is kept of them."""
    backend, times = BackendRow(name="aws"), [start_s]
    for gap_s in gaps:
        times.append(times[-1] + gap_s)
    for at_s in times:
        backend = answered(backend, at_s, Z_S)
    return times, backend


def noted(times):
    """Return the answers that are written down: the first, then one for each eighth of Z."""
    kept = times[:1]
    for at_s in times[1:]:
        if at_s - kept[-1] >= NOTED_S:
            kept.append(at_s)
    return kept


def quiet_from(busy_until_s, answers, now_s):
    """Return when what was sent up to Z before is dead: each break that it meets prolongs it."""
    landed_s = busy_until_s
    for away_s, back_s in zip(answers, [*answers[1:], None], strict=True):
        ends_s = now_s if back_s is None else back_s  # the silence now ends now at the earliest
        meets = away_s <= busy_until_s or away_s < landed_s
        if ends_s - away_s >= BREAK_S and meets:
            landed_s = max(landed_s, ends_s + Z_S)
    return landed_s


# --- when a key is quiet ------------------------------------------------------------------


@given(gaps, st.integers(1, 130), moments_after)
def test_r2_quiet_exactly_when_z_has_passed_since_the_last_break_that_it_met(gaps, busy, after_s):
    times, backend = life(1.0, gaps)
    now_s = times[-1] + after_s
    expected = now_s >= quiet_from(float(busy), noted(times), now_s)
    assert is_quiet(row(float(busy)), backend, now_s, Z_S) is expected


@given(gaps, st.integers(0, 100), moments_after)
def test_r2_what_a_hung_server_may_still_carry_out_keeps_its_key_busy(gaps, sent_after_s, after_s):
    """By the answers themselves, not by those that were written down."""
    times, backend = life(1.0, gaps)
    now_s, sent_s = times[-1] + after_s, 1.0 + sent_after_s
    lands_until_s = sent_s + Z_S
    for away_s, back_s in zip(times, [*times[1:], now_s], strict=True):
        if back_s - away_s >= BREAK_S and away_s < lands_until_s:
            lands_until_s = max(lands_until_s, back_s + Z_S)
    if now_s < lands_until_s:
        assert not is_quiet(row(sent_s + Z_S), backend, now_s, Z_S)


@given(
    st.lists(st.sampled_from([0.5, 2.0, 5.0, STEADY_S - 0.5]), min_size=1),
    st.integers(1, 130),
    moments_after.filter(lambda after_s: after_s < STEADY_S),
)
def test_r2_while_the_backend_answers_a_key_is_quiet_as_soon_as_its_mark_is_over(
    gaps, busy, after_s
):
    times, backend = life(1.0, gaps)
    now_s = times[-1] + after_s
    assert is_quiet(row(float(busy)), backend, now_s, Z_S) is (now_s >= busy)


@given(gaps, moments_after)
def test_a_key_to_which_nothing_was_ever_sent_is_quiet_whatever_its_backend_does(gaps, after_s):
    times, backend = life(1.0, gaps)
    assert is_quiet(row(0.0), backend, times[-1] + after_s, Z_S)
    assert is_quiet(row(0.0), BackendRow(name="aws", away_from_s=1.0), after_s, Z_S)


@given(gaps, gaps, st.integers(1, 130), moments_after)
def test_r13_what_is_learnt_later_makes_no_key_quiet_that_was_not_when_a_look_began(
    gaps, more_gaps, busy, after_s
):
    """A purge judges a look of the past by the row of today, which knows one break only."""
    times, backend = life(1.0, gaps)
    began_s = times[-1] + after_s
    _, later = life(1.0, [*gaps, after_s, *more_gaps])
    if is_quiet(row(float(busy)), later, began_s, Z_S):
        assert is_quiet(row(float(busy)), backend, began_s, Z_S)


def test_r13_a_look_before_the_last_break_proves_nothing():
    """It may have begun on a key that an earlier break, forgotten since, had kept busy."""
    backend = BackendRow(name="aws", answered_s=200.0, away_from_s=100.0, back_s=200.0)
    assert not is_quiet(row(10.0), backend, 50.0, Z_S)
    assert is_quiet(row(10.0), backend, 200.0, Z_S)


@pytest.mark.parametrize(
    ("now_s", "answered_s", "quiet"),
    [(99.0, 99.0, False), (100.0, 99.0, True), (107.5, 99.5, False), (107.5, 100.0, True)],
    ids=["marked", "over", "silent for half of Z", "silent for less"],
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


def test_r2_a_server_that_woke_and_hung_again_may_still_carry_out_what_it_had_queued():
    """It answered for a moment between two silences: its queue had no Z to empty itself in."""
    backend = BackendRow(name="aws", answered_s=215.5, away_from_s=100.0, back_s=200.0)
    assert not is_quiet(row(150.0), backend, 1000.0, Z_S)
    assert is_quiet(row(150.0), attrs.evolve(backend, answered_s=216.0), 1000.0, Z_S)
    woken = answered(backend, 1000.0, Z_S)
    assert not is_quiet(row(150.0), woken, 1015.5, Z_S)
    assert is_quiet(row(150.0), attrs.evolve(woken, answered_s=1016.0), 1016.0, Z_S)


# --- what is written down of a backend's answers ------------------------------------------


@given(gaps)
def test_an_answer_is_written_down_for_each_eighth_of_z_and_no_oftener(gaps):
    """A store that is read a thousand times a second does not write a thousand times."""
    times, backend = life(1.0, gaps)
    assert backend.answered_s == noted(times)[-1]
    before = backend.answered_s
    assert answered(backend, before + NOTED_S - 0.5, Z_S) is backend
    assert answered(backend, before + NOTED_S, Z_S).answered_s == before + NOTED_S


@given(gaps)
def test_the_last_break_is_kept_with_the_earlier_ones_that_still_matter_at_its_beginning(gaps):
    times, backend = life(1.0, gaps)
    away_from_s = back_s = 0.0
    for one, other in zip(noted(times), noted(times)[1:], strict=False):
        if other - one >= BREAK_S:
            away_from_s = away_from_s if back_s > 0 and one < back_s + Z_S else one
            back_s = other
    assert (backend.away_from_s, backend.back_s) == (away_from_s, back_s)


def test_a_first_answer_ends_no_break():
    first = answered(BackendRow(name="aws", met=True, epoch=3), 1000.0, Z_S)
    assert first == BackendRow(name="aws", met=True, epoch=3, answered_s=1000.0)


def test_a_break_changes_nothing_else_of_a_backends_row():
    backend = BackendRow(name="aws", domain="aws", met=True, drained=True, epoch=3, answered_s=10.0)
    expected = attrs.evolve(backend, answered_s=18.0, away_from_s=10.0, back_s=18.0)
    assert answered(backend, 18.0, Z_S) == expected
    assert answered(backend, 17.5, Z_S) == attrs.evolve(backend, answered_s=17.5)


def test_a_clock_that_was_put_back_takes_no_answer_away():
    backend = BackendRow(name="aws", answered_s=100.0)
    assert answered(backend, 50.0, Z_S) is backend
