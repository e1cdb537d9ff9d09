"""A round that many machines share: each part is done, by one of them, and the dead cost little."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.key_range import EVERYTHING, KeyRange
from resilient_store.model.round import Lease, Round
from resilient_store.protocol.rounds import (
    LONGEST_S,
    current,
    done,
    free_at_s,
    opening,
    renewed,
    taken,
)

LEASE_S = 10.0
FRESH = Round(began_s=100.0)
A = Lease(KeyRange("", "m"), "a", 110.0)
B = Lease(KeyRange("m", None), "b", 112.0)


def now(before, *, asked_s=200.0, every_s=0.0, now_s=201.0):
    return current(before, asked_s=asked_s, every_s=every_s, now_s=now_s)


# --- which round --------------------------------------------------------------------------


def test_the_first_round_begins_at_once():
    assert now(None) == Round(began_s=201.0)


def test_a_round_under_way_is_joined_whenever_it_began():
    assert now(FRESH, every_s=1e6) is FRESH
    assert now(FRESH, asked_s=-math.inf) is FRESH


@pytest.mark.parametrize(
    ("began_s", "every_s", "is_due"),
    [
        (199.0, 0.0, True),
        (200.0, 0.0, True),  # what began before the call is another round
        (200.5, 0.0, False),  # what began after it was this call's
        (100.0, 100.0, True),
        (100.1, 100.0, False),
        (201.0, 0.0, False),
        (202.0, 0.0, True),  # in the future: the clock was put back
        (202.0, 1e6, True),
    ],
)
def test_a_round_is_due_when_the_last_one_began_long_ago(began_s, every_s, is_due):
    ended = Round(began_s=began_s, at=None, ended_s=201.0)
    assert now(ended, every_s=every_s) == (Round(began_s=201.0) if is_due else None)


def test_who_had_its_round_begins_no_other():
    assert now(attrs.evolve(FRESH, at=None, ended_s=150.0), asked_s=-math.inf) is None


# --- who has what -------------------------------------------------------------------------


def test_a_part_is_cut_off_where_nobody_has_taken():
    assert opening(FRESH, 100.0) == EVERYTHING
    one = taken(FRESH, A, 100.0)
    assert one == attrs.evolve(FRESH, at="m", leases=(A,))
    assert opening(one, 100.0) == KeyRange("m")
    both = taken(one, B, 100.0)
    assert both == attrs.evolve(FRESH, at=None, leases=(A, B))
    assert opening(both, 100.0) is None
    assert free_at_s(both) == 110.0


def test_who_is_too_late_takes_nothing():
    one = taken(FRESH, A, 100.0)
    assert taken(one, attrs.evolve(A, owner="b"), 100.0) is None
    assert taken(one, Lease(KeyRange("", "x"), "b"), 100.0) is None
    assert taken(attrs.evolve(one, at=None), B, 100.0) is None
    assert taken(attrs.evolve(FRESH, at=None), Lease(KeyRange(""), "b"), 100.0) is None


@pytest.mark.parametrize(
    ("now_s", "is_dead"),
    [
        (109.9, False),
        (110.0, True),
        (109.0 - LONGEST_S, False),  # the clock was put back a little since it was given
        (110.0 - 2 * LONGEST_S, False),
        (109.9 - 2 * LONGEST_S, True),  # or by a year: nobody can have given it now
    ],
)
def test_a_dead_workers_part_is_taken_first_when_its_lease_has_ended(now_s, is_dead):
    one = attrs.evolve(FRESH, at="m", leases=(A,))
    heir = attrs.evolve(A, owner="b", until_s=now_s + LEASE_S)
    assert (opening(one, now_s) == A.part) is is_dead
    after = taken(one, heir, now_s)
    assert after == (attrs.evolve(one, leases=(heir,)) if is_dead else None)
    if after is not None:
        assert renewed(after, A, 1e6) is None
        assert done(after, A, now_s) is None


def test_a_lease_is_renewed_by_its_owner_only():
    both = attrs.evolve(FRESH, at=None, leases=(A, B))
    after = renewed(both, attrs.evolve(A, until_s=0.0), 120.0)
    assert after == attrs.evolve(both, leases=(B, attrs.evolve(A, until_s=120.0)))
    assert renewed(both, attrs.evolve(A, owner="b"), 120.0) is None


def test_a_round_ends_with_its_last_part():
    one = attrs.evolve(FRESH, at="m", leases=(A,))
    assert done(one, A, 105.0) == attrs.evolve(FRESH, at="m")
    both = attrs.evolve(FRESH, at=None, leases=(A, B))
    left = done(both, A, 105.0)
    assert left == attrs.evolve(both, leases=(B,))
    assert done(left, B, 106.0) == attrs.evolve(FRESH, at=None, ended_s=106.0)


# --- many machines ------------------------------------------------------------------------

PATHS = "abcdefghijkl"
STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["take", "renew", "done", "die", "tick"])),
    max_size=60,
)


def covered(part: KeyRange) -> set[str]:
    return {p for p in PATHS if p > part.after and (part.until is None or p <= part.until)}


class Play:
    """Three machines that share a round, and what each path has met."""

    def __init__(self) -> None:
        self.round, self.now_s = FRESH, 100.0
        self.held: dict[int, Lease] = {}
        self.finished: list[str] = []

    def take(self, who: int) -> None:
        part = opening(self.round, self.now_s)
        if who in self.held or part is None:
            return
        if part.after == self.round.at:
            following = [path for path in PATHS if path > part.after][:2]
            part = KeyRange(part.after, following[-1] if following else None)
        lease = Lease(part, str(who), self.now_s + LEASE_S)
        after = taken(self.round, lease, self.now_s)
        assert after is not None, "nobody else was meanwhile"
        self.round, self.held[who] = after, lease

    def renew(self, who: int) -> None:
        if who in self.held:
            after = renewed(self.round, self.held[who], self.now_s + LEASE_S)
            if after is None:
                del self.held[who]
            else:
                self.round = after

    def done(self, who: int) -> None:
        if who in self.held:
            lease = self.held.pop(who)
            after = done(self.round, lease, self.now_s)
            if after is not None:
                self.round = after
                self.finished += covered(lease.part)

    def die(self, who: int) -> None:
        self.held.pop(who, None)

    def tick(self, who: int) -> None:
        self.now_s += LEASE_S * (who + 1) / 3

    def check(self) -> None:
        rest = set() if self.round.at is None else covered(KeyRange(self.round.at))
        leased = [path for lease in self.round.leases for path in covered(lease.part)]
        everything = [*self.finished, *leased, *rest]
        assert sorted(everything) == sorted(PATHS), "each path once: done, at work or left"
        is_over = self.round.at is None and not self.round.leases
        assert bool(self.round.ended_s) is is_over


@given(STEPS)
def test_each_path_is_done_once_whoever_dies_and_the_round_ends(steps):
    play = Play()
    for who, step in steps:
        if not play.round.ended_s:
            getattr(play, step)(who)
            play.check()
    play.held.clear()  # all die, and one machine comes
    while not play.round.ended_s:
        play.take(0)
        if 0 not in play.held:
            play.now_s = free_at_s(play.round)
        play.done(0)
        play.check()
    assert sorted(play.finished) == sorted(PATHS)
