"""A backend is suspect when more than 100 objects and more than 5 % are missing, within minutes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.protocol.suspicion import (
    LOSSES,
    LOSSES_SHARE,
    LOSSES_WITHIN_S,
    STEPS,
    Lately,
    is_suspect,
)

STEP_S = LOSSES_WITHIN_S / STEPS
moments = st.lists(st.floats(0, 3 * LOSSES_WITHIN_S), max_size=50).map(sorted)


@pytest.mark.parametrize(
    ("missing", "asked", "suspect"),
    [
        (100, 100, False),  # all of it, and no more than a hundred
        (101, 101, True),
        (101, 2019, True),
        (101, 2020, False),  # 5 % exactly
        (5_000, 100_000, False),
        (5_001, 100_000, True),  # of a backend that very much is asked of
        (0, 0, False),
    ],
)
def test_both_bounds_must_be_passed(missing, asked, suspect):
    assert is_suspect(missing, asked) == suspect


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6))
def test_more_missing_makes_nobody_less_suspect_and_more_asked_nobody_more(missing, asked, more):
    if is_suspect(missing, asked):
        assert missing > LOSSES
        assert missing > LOSSES_SHARE * asked
        assert is_suspect(missing + more, asked)
    else:
        assert not is_suspect(missing, asked + more)


def counted(moments):
    """Count what happened at each of them; return the most that there was lately."""
    lately, most = Lately(), 0
    for now_s in moments:
        lately.add(now_s)
        most = max(most, lately.count(now_s))
    return most


@pytest.mark.parametrize("count", [101, 5_001, 20_000])
def test_as_many_are_counted_as_there_were(count):
    assert counted(itertools.repeat(7.0, count)) == count
    assert counted(n * (LOSSES_WITHIN_S - STEP_S) / count for n in range(count)) == count


def test_what_is_spread_over_more_than_ten_minutes_is_never_so_much():
    apart_s = LOSSES_WITHIN_S / LOSSES
    assert counted(n * apart_s for n in range(10 * LOSSES)) <= LOSSES
    assert counted(n * 0.9 * apart_s for n in range(10 * LOSSES)) > LOSSES


@given(moments)
def test_what_is_forgotten_is_ten_minutes_old_to_a_sixtieth_of_it(moments):
    lately = Lately()
    for now_s in moments:
        lately.add(now_s)
    now_s = moments[-1] if moments else 0.0
    ages_s = [now_s - at_s for at_s in moments]
    surely = sum(age_s <= LOSSES_WITHIN_S - STEP_S for age_s in ages_s)
    perhaps = sum(age_s < LOSSES_WITHIN_S for age_s in ages_s)
    assert surely <= lately.count(now_s) <= perhaps
    assert lately.count(now_s + LOSSES_WITHIN_S) == 0
    assert len(lately._steps) <= STEPS + 1


def test_it_begins_anew_when_somebody_was_told():
    lately = Lately()
    lately.add(1.0)
    lately.clear()
    assert lately.count(1.0) == 0


def test_one_in_each_sixtieth_of_the_time_is_one_in_each_and_no_more_are_kept():
    lately = Lately()
    for step in range(10 * STEPS):
        lately.add(step * STEP_S)
    assert lately.count((10 * STEPS - 1) * STEP_S) == STEPS
    assert len(lately._steps) <= STEPS + 1


def test_what_happened_long_ago_is_forgotten_however_often_it_happened():
    lately = Lately()
    for _ in range(2 * STEPS):
        lately.add(0.0)
    lately.add(LOSSES_WITHIN_S)
    assert lately.count(LOSSES_WITHIN_S) == 1
