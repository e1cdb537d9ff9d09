"""Connections that are lent: each to one at a time, and no more than there may be."""

from __future__ import annotations

import pytest

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.catalog.pool import Pool


def test_who_finds_all_connections_lent_is_told_in_time():
    pool = Pool(lambda _: object(), lambda _: None, 1)
    with pool.lend(runtime.steady_s() + 5) as lent:
        with (
            pytest.raises(CatalogDownError, match="are in use"),
            pool.lend(runtime.steady_s() + 0.05),
        ):
            pass
        assert pool.lent == 1
    with pool.lend(runtime.steady_s() + 5) as again:
        assert again is lent


def test_what_could_not_be_opened_takes_no_place():
    def refuse(_):
        raise CatalogDownError

    pool = Pool(refuse, lambda _: None, 1)
    for _ in range(2):
        with pytest.raises(CatalogDownError), pool.lend(runtime.steady_s() + 5):
            pass
    assert pool.lent == 0


def test_what_was_dropped_is_closed_and_takes_no_place():
    closed = []
    pool = Pool(lambda _: object(), closed.append, 1)
    for _ in range(2):
        with pool.lend(runtime.steady_s() + 5) as connection:
            pool.drop(connection)
        assert closed[-1] is connection
        assert pool.lent == 0
    assert closed[0] is not closed[1]
