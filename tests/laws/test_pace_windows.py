"""What a pace learns from one window to the next, number by number."""

from __future__ import annotations

import math

import pytest

from resilient_store.protocol.pace import Heard, Pace, Reads, reads_of


def paced(pieces=0, *, most=math.inf, before=None, at_s=0.0):
    """Return a pace that began so many pieces of work since it first listened."""
    pace = Pace(most)
    pace.hear(at_s, before or Heard())
    for _ in range(pieces):
        pace.begin(at_s, 0)
    return pace


def read_of(**medians_s):
    """Return what was heard of reads: a hundred from each backend, of such a median."""
    return {name: Reads(100, median_s) for name, median_s in medians_s.items()}


def slowed(before, now, *, asked=100):
    """Return to which part a pace falls by what callers' reads took before and take now."""
    pace = paced(before=Heard(reads=before))
    rate = pace.rate
    pace.hear(1.0, Heard(asked, reads=now))
    return pace.rate / rate


# --- what callers have read ---------------------------------------------------------------


def test_the_noise_is_told_from_the_quartiles():
    latest_s = [4.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 5.0]
    assert reads_of(9, latest_s) == Reads(9, 5.0, (7 / 3) ** (4 / math.sqrt(8)))


def test_reads_that_took_no_time_have_no_noise():
    assert reads_of(4, [0.0, 0.0, 0.0, 1.0]) == Reads(4, 0.0, 1.0)


# --- the next piece -----------------------------------------------------------------------


def test_a_piece_of_many_bytes_takes_as_long_as_they_do():
    pace = Pace(1000.0, 100.0)
    assert pace.begin(10.0, 200) == 10.0
    assert pace.begin(10.0, 0) == 10.0 - 0.5 + 2.0


# --- what a piece costs -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "took_s", "cost"),
    [
        (9, 0.25, 1.0),  # too few answers, too soon
        (10, 0.25, 2.0),
        (10, 0.24, 1.0),
        (9, 0.99, 1.0),
        (9, 1.0, 1.8),  # few, but for long enough
        (40, 0.25, 8.0),
    ],
)
def test_what_a_piece_costs_is_taken_from_the_first_window_that_says_it(asked, took_s, cost):
    pace = paced(pieces=5)
    pace.hear(took_s, Heard(asked))
    assert pace.cost == pytest.approx(cost)


@pytest.mark.parametrize(
    ("asked", "took_s", "cost"),
    [(49, 0.25, 2.0), (50, 0.25, 2.0 + 0.2 * 8), (50, 0.24, 2.0), (5, 1.0, 2.0 - 0.2)],
)
def test_later_windows_change_it_by_a_fifth_and_take_more_answers(asked, took_s, cost):
    pace = paced(pieces=5)
    pace.hear(1.0, Heard(10))
    assert pace.cost == 2.0
    for _ in range(5):
        pace.begin(1.0, 0)
    pace.hear(1.0 + took_s, Heard(10 + asked))
    assert pace.cost == pytest.approx(cost)


# --- up and down --------------------------------------------------------------------------


@pytest.mark.parametrize(("pieces", "rate"), [(69, 100.0), (70, 200.0)])
def test_who_uses_seven_tenths_of_its_rate_gets_twice_as_much(pieces, rate):
    pace = paced(pieces)
    pace.hear(1.0, Heard(pieces))
    assert pace.rate == rate


def test_after_a_complaint_it_rises_by_a_twentieth_and_one():
    pace = paced(100)
    pace.hear(1.0, Heard(100, throttled=50))
    assert pace.rate == 50.0
    for _ in range(50):
        pace.begin(1.0, 0)
    pace.hear(2.0, Heard(150, throttled=50))
    assert pace.rate == pytest.approx(50.0 + 2.5 + 1.0)


@pytest.mark.parametrize(
    ("refused", "rate"),
    [(1, 100.0), (2, 70.0), (10, 70.0), (20, 60.0), (30, 40.0), (45, 25.0), (50, 25.0)],
)
def test_it_falls_by_what_was_refused_and_two_in_a_hundred_are_chance(refused, rate):
    pace = paced(10)
    pace.hear(1.0, Heard(50, throttled=refused))
    assert pace.rate == pytest.approx(rate)


def test_where_nothing_was_asked_nothing_was_refused():
    pace = paced()
    pace.hear(1.0, Heard())
    assert pace.rate == 100.0


@pytest.mark.parametrize(("median_s", "rate"), [(0.4, 100.0), (0.41, 70.0)])
@pytest.mark.parametrize("asked", [0, 50])
def test_more_than_twice_as_slow_as_ever_is_too_slow(median_s, rate, asked):
    pace = paced()
    pace.hear(1.0, Heard(median_s=0.2))
    pace.hear(2.0, Heard(asked, median_s=median_s))
    assert pace.rate == pytest.approx(rate)


# --- callers' reads -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("median_s", "part"), [(1.0, 1.0), (1.2, 1.0), (1.25, 0.7), (2.0, 0.5), (10.0, 0.25)]
)
@pytest.mark.parametrize("asked", [0, 100])
def test_it_falls_as_much_as_reads_became_slower(median_s, part, asked):
    now = {"first": Reads(200, median_s)}
    assert slowed(read_of(first=1.0), now, asked=asked) == pytest.approx(part)


@pytest.mark.parametrize(("more", "part"), [(9, 1.0), (10, 0.5)])
def test_ten_reads_in_a_window_say_something_and_fewer_nothing(more, part):
    assert slowed(read_of(first=1.0), {"first": Reads(100 + more, 2.0)}) == part


def test_the_worst_backend_counts_and_one_that_says_nothing_hides_none():
    before = read_of(first=1.0, second=1.0, third=1.0)
    now = {"first": Reads(101, 9.0), "second": Reads(200, 2.0), "third": Reads(200, 1.25)}
    assert slowed(before, now) == 0.5


def test_a_backend_that_was_not_read_from_before_is_as_it_is():
    assert slowed({}, {"new": Reads(200, 9.0)}) == 1.0


def test_reads_that_took_no_time_are_not_disturbed():
    assert slowed(read_of(first=0.0), {"first": Reads(200, 0.0)}) == 1.0


def test_at_the_lowest_rate_it_gets_used_to_slower_reads_by_a_tenth_in_each_window():
    """1.1 ** 5 is 1.61: from then on 1.9 times as long is no more than a fifth too long."""
    pace = paced(before=Heard(reads=read_of(first=1.0)))
    pace.hear(1.0, Heard(100, reads={"first": Reads(200, 9.0)}))
    assert pace.rate == 4.0
    windows = 0
    while pace.rate == 4.0 and windows < 100:
        windows += 1
        pace.begin(float(windows), 0)
        heard = Heard(100 + 100 * windows, reads={"first": Reads(200 + 100 * windows, 1.9)})
        pace.hear(1.0 + windows, heard)
    assert windows == 6
