"""A backend on which so much is missing that its word is not taken for it any more."""

from __future__ import annotations

import pytest
from fsspec.asyn import sync

import resilient_store as rs
from resilient_store import runtime
from resilient_store.io.catalogued.answers import missed
from resilient_store.model.outcome import Outcome
from resilient_store.protocol.suspicion import LOSSES
from tests.catalogued.stage import CAT, ONE, converge, record, states, store_state, told, well_again


def test_more_than_a_hundred_missing_make_a_backend_suspect(fs, shop):
    so_much_is_missing(fs, shop, LOSSES)


def so_much_is_missing(fs, shop, allowed):
    """Lose one object more than a backend may miss, and see that its word counts no more."""
    paths = [f"many/{number}" for number in range(allowed + 6)]
    for path in paths:
        fs.write(path, ONE)
    for path in paths:
        shop.remove_behind("aws", path)
    known, doubted = paths[: allowed + 1], paths[allowed + 1 :]
    for path in known:
        assert fs.read(path).backend != "aws"
        told(fs)
    assert store_state(fs).backend("aws").suspect
    missing = [p for p in paths if record(fs, p).replica("aws").state.value == "missing"]
    assert missing == known
    for path in doubted:  # its word is not taken for it any more
        assert fs.cat(path) == ONE
        assert states(fs, path)["aws"] == "good"
    shop.lose("gcp", "azure")
    with pytest.raises(rs.BackendsUnavailableError, match="suspect"):
        fs.cat(doubted[0])
    shop.bring_back()
    well_again(fs)
    assert rs.rejoin(fs, "aws") == 5  # of the others it is known
    assert not store_state(fs).backend("aws").suspect
    converge(fs)
    assert len(shop.objects("aws")) == len(paths)


def test_so_much_is_as_much_more_as_more_was_asked(fs):
    """A backend of which very much is asked every minute is found out as well."""
    fs.write(CAT, ONE)

    async def miss(count):
        for _ in range(count):
            await missed(fs.store, "aws")

    async def answer(count):
        for _ in range(count):
            fs.store.clients["aws"].health.record("read", Outcome.OK, runtime.now_s())

    sync(fs.loop, answer, 4_000)
    sync(fs.loop, miss, 200)  # 5 % of what it answered, and of the little that was asked before
    assert not store_state(fs).backend("aws").suspect
    sync(fs.loop, miss, 10)
    assert store_state(fs).backend("aws").suspect
