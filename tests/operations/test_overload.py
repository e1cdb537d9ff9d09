"""Repair between two S3 servers of which one says "slow down": how much it takes, how much is lost.

The laws of the pace are in `tests/laws/test_pace.py`; here the requests are counted.
"""

from __future__ import annotations

import time

import pytest
from fsspec.callbacks import Callback

import resilient_store as rs
from tests.catalogued.servers import ServerShop
from tests.catalogued.stage import converge
from tests.servers import processes
from tests.servers.overload import TokenBucket, some
from tests.servers.platforms import Platform

RATE = 40  # requests a second: few enough for a server in Python that shares two cores
SETTLES_WITHIN_S, WATCHED_S = 30, 30
ONE_COPY = rs.WriteToAll(min_copies=1)


@pytest.fixture(scope="module")
def second_s3():
    with Platform("s3", processes.moto()) as platform:
        yield platform


@pytest.fixture
def two_of_s3(tmp_path, s3, second_s3):
    shop = ServerShop(tmp_path, {"first": s3, "second": second_s3})
    yield shop
    shop.close()
    second_s3.heal()


def missed_by_the_second(shop, count):
    """Open a store whose second backend was away while so many objects were written."""
    shop.open().exists("anything")  # both are met
    shop.lose("second")
    fs = shop.open(write=ONE_COPY)
    for number in range(count):
        fs.pipe_file(f"photos/{number:04}", b"a photograph")
    shop.leave(fs)
    shop.bring_back("second")
    return shop.open(write=ONE_COPY)


class Until(Callback):
    """Ends a repair that was watched for long enough."""

    class ReachedError(Exception):
        pass

    def __init__(self, seconds):
        super().__init__()
        self.ends_s = time.monotonic() + seconds

    def relative_update(self, inc=1):
        if time.monotonic() > self.ends_s:
            raise self.ReachedError


@pytest.mark.matrix
@pytest.mark.timeout(600)
def test_after_half_a_minute_most_of_what_a_platform_takes_is_used_and_little_refused(two_of_s3):
    ends_s = SETTLES_WITHIN_S + WATCHED_S
    fs = missed_by_the_second(two_of_s3, RATE * (ends_s + 5))  # one request each
    bucket = TokenBucket(RATE, burst=RATE)
    with two_of_s3.overloaded("second", bucket), pytest.raises(Until.ReachedError):
        rs.repair(fs, callback=Until(ends_s + 1))
    watched = range(SETTLES_WITHIN_S, ends_s)
    taken = sum(bucket.taken[second] for second in watched)
    refused = sum(bucket.refused[second] for second in watched)
    print(f"refused {refused / (taken + refused):.1%}, used {taken / (RATE * WATCHED_S):.1%}")
    assert refused <= 0.1 * (taken + refused), sorted(bucket.refused.items())
    assert taken >= 0.7 * RATE * WATCHED_S, sorted(bucket.taken.items())


def test_a_platform_that_refuses_a_third_of_everything_is_caught_up_all_the_same(two_of_s3):
    fs = missed_by_the_second(two_of_s3, 4)
    with two_of_s3.overloaded("second", some(1 / 3, seed=1)):
        assert converge(fs).copied >= 4
    assert [two_of_s3.held(f"photos/{n:04}") for n in range(4)] == [
        {"first": b"a photograph", "second": b"a photograph"}
    ] * 4
