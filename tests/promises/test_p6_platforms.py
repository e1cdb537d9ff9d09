"""P6 on real platforms: what one that is away costs the others' readers and writers."""

from __future__ import annotations

import time

import pytest

import resilient_store as rs
from tests.servers.subjects import backend
from tests.servers.waiting import warm_up

HEDGE_S = 0.25
SOME_S = 0.5  # for machines that do other things besides
DATA = bytes(range(256)) * 400
TRUSTED_READS = 5  # after so many failures in a row a breaker opens


@pytest.fixture
def backends(s3, gcs, azure):
    return [
        backend(platform, platform.new_bucket(), name=platform.family, domain=platform.family)
        for platform in (s3, gcs, azure)
    ]


def taken_s(call):
    began_s = time.monotonic()
    call()
    return time.monotonic() - began_s


@pytest.mark.parametrize("away", ["hung", "refusing", "swallowing"])
def test_p6_a_platform_that_is_away_costs_a_read_the_hedge_delay_and_soon_nothing(
    s3, backends, away
):
    with rs.ResilientFileSystem(backends) as fs:
        fs.write("photo", DATA)
        for client in ("s3", "gcs", "azure"):
            assert fs.store.clients[client].health.is_closed("read")
        if away == "hung":
            s3.server.pause()
        else:
            s3.proxy.set({"refusing": "refuse", "swallowing": "swallow"}[away])

        def read():
            result = fs.read("photo")
            assert (result.data, result.backend) == (DATA, "gcs")

        first = [taken_s(read) for _ in range(TRUSTED_READS)]
        later = [taken_s(read) for _ in range(20)]
        assert max(first) < HEDGE_S + SOME_S
        assert sum(took_s > HEDGE_S for took_s in later) <= 1, "one may meet a slow moment"
        assert not fs.store.clients["s3"].health.is_closed("read")


def test_p6_a_hung_platform_costs_a_write_its_timeout_until_it_is_left_alone(s3, backends):
    limited = [
        rs.Backend(
            one.target,
            name=one.name,
            domain=one.domain,
            storage_options=one.storage_options,
            timeout=1.0,
        )
        for one in backends
    ]
    with rs.ResilientFileSystem(limited) as fs:
        warm_up(fs)
        fs.write("photo", DATA)
        s3.server.pause()
        for _ in range(TRUSTED_READS):
            with pytest.raises(rs.InsufficientCopiesError, match="s3: timed out"):
                fs.write("new", DATA)
        began_s = time.monotonic()
        with pytest.raises(rs.InsufficientCopiesError, match=r"left alone.*Nothing was written"):
            fs.write("new", DATA)
        assert time.monotonic() - began_s < SOME_S
