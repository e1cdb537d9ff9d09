"""Work goes as fast as a platform takes it, and no faster."""

from __future__ import annotations

import math
import random
from collections import deque

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resilient_store.protocol.pace import (
    BURST_S,
    FEW_READS,
    LEAST,
    Heard,
    Pace,
    Reads,
    reads_of,
)


class Platform:
    """Accepts so many requests a second, up to a second's worth at once."""

    def __init__(self, rate, refuses=lambda: False):
        self.rate, self.refuses = rate, refuses
        self.tokens, self.at_s = rate, 0.0
        self.asked = self.throttled = 0

    def ask(self, now_s):
        self.tokens = min(self.rate, self.tokens + (now_s - self.at_s) * self.rate)
        self.at_s = now_s
        self.asked += 1
        if self.tokens < 1 or self.refuses():
            self.throttled += 1
        else:
            self.tokens -= 1


def work(pace, platform, seconds, requests, *, since_s=0.0, median_s=None):
    """Do pieces of so many requests, one after the other, as the pace allows."""
    now_s = since_s
    while now_s < since_s + seconds:
        pace.hear(now_s, Heard(platform.asked, platform.throttled, median_s))
        for _ in range(requests):
            platform.ask(now_s)
        now_s = max(now_s + 0.0001, pace.begin(now_s, 0))
    return now_s


@settings(max_examples=20)
@given(st.floats(20, 500), st.integers(1, 12))
@example(20.0, 12)
@example(500.0, 1)
def test_after_half_a_minute_most_of_what_a_platform_takes_is_used_and_little_refused(rate, cost):
    platform, pace = Platform(rate), Pace()
    now_s = work(pace, platform, 30, cost)
    asked, throttled = platform.asked, platform.throttled
    then_s = work(pace, platform, 30, cost, since_s=now_s)
    asked, throttled = platform.asked - asked, platform.throttled - throttled
    assert throttled <= 0.1 * asked
    assert asked - throttled >= 0.7 * rate * (then_s - now_s)


@given(st.integers(0, 1000))
def test_one_that_refuses_a_third_whatever_is_asked_is_still_asked(seed):
    chance = random.Random(seed)
    platform, pace = Platform(1e9, lambda: chance.random() < 1 / 3), Pace()
    work(pace, platform, 60, 4)
    assert platform.asked >= 60 * LEAST


@given(st.floats(1, 500), st.floats(1e3, 1e9), st.integers(0, 10**7))
def test_what_was_set_is_never_exceeded(most, bytes_per_s, size):
    pace, platform = Pace(most, bytes_per_s), Platform(1e9)
    begun = []
    now_s = 0.0
    for _ in range(200):
        pace.hear(now_s, Heard(platform.asked, 0))
        begun.append(pace.begin(now_s, size))
        now_s = begun[-1]
        for _ in range(4):
            platform.ask(now_s)
    took_s = begun[-1] - begun[0] + BURST_S
    assert 199 * size <= bytes_per_s * took_s * 1.001 + size
    assert most * took_s * 1.5 + 8 >= 199 * 4  # the cost of a piece is learnt on the way


def test_it_gives_way_where_answers_become_slow():
    platform, pace = Platform(1e9), Pace()
    now_s = work(pace, platform, 5, 1, median_s=0.03)
    fast = pace.rate
    now_s = work(pace, platform, 5, 1, since_s=now_s, median_s=0.3)
    assert pace.rate < fast / 4
    slow = pace.rate
    work(pace, platform, 5, 1, since_s=now_s, median_s=0.03)
    assert pace.rate > slow


def test_prompt_answers_are_no_complaint_however_much_slower_they_are():
    platform, pace = Platform(1e9), Pace()
    now_s = work(pace, platform, 1, 1, median_s=0.001)
    fast = pace.rate
    work(pace, platform, 1, 1, since_s=now_s, median_s=0.1)
    assert pace.rate > fast


def test_who_asks_little_learns_nothing_of_what_more_would_do():
    pace = Pace()
    before = pace.rate
    for second in range(10):
        pace.begin(float(second), 0)
        pace.hear(float(second), Heard(asked=second))
    assert pace.rate == before


@pytest.mark.parametrize("most", [0.5, math.inf])
def test_it_begins_no_faster_than_was_set(most):
    assert Pace(most).rate == min(most, 100.0)


@pytest.mark.parametrize(("after_s", "listens"), [(0.0, False), (0.2, False), (0.25, True)])
def test_it_listens_at_first_and_then_four_times_a_second_at_most(after_s, listens):
    pace = Pace()
    assert pace.listens(5.0)
    pace.hear(5.0, Heard())
    assert pace.listens(5.0 + after_s) is listens


@pytest.mark.parametrize(("most", "cost"), [(math.inf, 1.0), (100.0, 4.0)])
def test_where_a_limit_was_set_a_piece_is_taken_to_be_costly_until_it_is_known(most, cost):
    assert Pace(most).cost == cost


def test_what_a_piece_costs_is_known_after_a_quarter_of_a_second():
    pace, platform = Pace(), Platform(1e9)
    work(pace, platform, 0.3, 1)
    assert pace.cost < 1.2


def test_while_nobody_works_nothing_is_learnt_of_the_cost_of_work():
    pace = Pace()
    cost, rate = pace.cost, pace.rate
    for second in range(3):
        pace.hear(float(second), Heard(asked=100 * second))
    assert (pace.cost, pace.rate) == (cost, rate)


# Where callers read in the same process


def work_beside_reads(pace, platform, seconds, waits, *, since_s=0.0, reads=0, cost=4):
    """Do work while somebody reads a hundred times a second, and waits as long as `waits` says.

    `waits` gets the requests that the work makes in a second.
    """
    now_s, waited_s = since_s, []
    while now_s < since_s + seconds:
        took_s = waits(pace.rate)
        waited_s.append((now_s, took_s))
        seen = {"first": Reads(reads + int(100 * (now_s - since_s)), took_s)}
        pace.hear(now_s, Heard(platform.asked, platform.throttled, None, seen))
        for _ in range(cost):
            platform.ask(now_s)
        now_s = max(now_s + 0.0001, pace.begin(now_s, 0))
    return now_s, waited_s


@settings(max_examples=30)
@given(usual_s=st.floats(0.001, 0.5), bearable=st.floats(30, 300))
def test_reads_take_no_longer_than_they_may_once_it_has_given_way(usual_s, bearable):
    """Each request more than can be borne makes a read longer, as a queue does."""
    pace, platform = Pace(), Platform(1e9)

    def waits(rate):
        return usual_s * (1 + 0.2 * rate / bearable)

    pace.hear(0.0, Heard(reads={"first": Reads(FEW_READS, usual_s)}))
    now_s, _ = work_beside_reads(pace, platform, 20, waits, since_s=0.01, reads=FEW_READS)
    _, waited_s = work_beside_reads(pace, platform, 40, waits, since_s=now_s, reads=10**4)
    took_s = sorted(took_s for _, took_s in waited_s)
    assert took_s[len(took_s) // 2] <= 1.3 * usual_s
    assert platform.asked >= 0.6 * bearable * 60


@given(usual_s=st.floats(0.001, 0.5), slower=st.floats(1.5, 10))
def test_reads_that_became_slow_by_themselves_hold_nothing_up_for_ever(usual_s, slower):
    pace, platform = Pace(100.0), Platform(1e9)
    pace.hear(0.0, Heard(reads={"first": Reads(FEW_READS, usual_s)}))
    now_s, _ = work_beside_reads(pace, platform, 10, lambda _: usual_s, since_s=0.01, reads=50)
    work_beside_reads(pace, platform, 90, lambda _: slower * usual_s, since_s=now_s, reads=10**4)
    assert pace.rate == 100.0


def test_it_begins_gently_where_somebody_reads_and_only_there():
    alone, beside = Pace(), Pace()
    alone.hear(0.0, Heard(reads={"first": Reads(FEW_READS - 1, 0.01)}))
    beside.hear(0.0, Heard(reads={"first": Reads(FEW_READS, 0.01)}))
    assert beside.rate < alone.rate == Pace().rate


def test_a_few_reads_say_nothing():
    pace = Pace()
    pace.hear(0.0, Heard(reads={"first": Reads(1, 0.01)}))
    for second in range(1, 20):
        pace.begin(float(second), 0)
        pace.hear(float(second), Heard(second, reads={"first": Reads(1 + 2 * second, 5.0)}))
    assert pace.rate == Pace().rate


# --- callers' reads are never all alike ----------------------------------------------------


def paced_beside_reads(slower, seconds=120.0):
    """Return how many pieces a second are begun beside fifty reads a second that vary.

    Parameters
    ----------
    slower
        How many times as long reads take at a rate.
    """
    chance, pace, now_s, pieces = random.Random(5), Pace(), 0.0, 0
    latest_s = deque((0.02 * chance.lognormvariate(0.0, 0.5) for _ in range(30)), maxlen=30)
    count = 30
    while now_s < seconds:
        reads = {"a": reads_of(count, latest_s)}
        pace.hear(now_s, Heard(asked=2 * pieces, median_s=0.02, reads=reads))
        now_s = max(pace.begin(now_s, 0), now_s + 0.005)
        pieces += 1
        while count < 30 + 50 * now_s:
            count += 1
            latest_s.append(0.02 * slower(pace.rate) * chance.lognormvariate(0.0, 0.5))
    return pieces / seconds


def test_p7_reads_that_vary_by_themselves_keep_nobody_from_work():
    assert paced_beside_reads(lambda _: 1.0) > 150


def test_p6_reads_that_vary_say_all_the_same_that_they_wait_because_of_us():
    assert paced_beside_reads(lambda rate: 4.0 if rate > 40 else 1.0) < 40


@given(st.lists(st.floats(0.001, 10.0), min_size=1, max_size=30))
def test_the_noise_of_a_median_is_at_least_nothing_and_none_where_all_are_alike(latest_s):
    said = reads_of(len(latest_s), latest_s)
    assert said.noise >= 1.0
    assert min(latest_s) <= said.median_s <= max(latest_s)
    assert reads_of(1, [latest_s[0]] * 30).noise == 1.0


def test_before_the_first_read_nothing_is_known_of_reads():
    assert reads_of(0, []) == Reads()
