"""A commit whose answer is lost: asked for again, and undone by nobody who does not know (R6)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import attrs
import pytest
from fsspec.asyn import sync

import resilient_store as rs
from resilient_store import runtime
from resilient_store.catalog.catalog import WITHIN_S
from resilient_store.catalog.contract import CatalogDownError, CommitUnknownError
from resilient_store.io.catalogued import holder
from resilient_store.protocol import transactions
from resilient_store.testing.simulation.loop import SimulatedLoop
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, TWO, converge, record

UNKNOWN = "answer to a commit was lost"

CHANGES = {
    "overwrite": lambda fs: fs.write(CAT, TWO),
    "create": lambda fs: fs.write(DOG, TWO),
    "delete": lambda fs: fs.rm_file(CAT),
    "move": lambda fs: fs.mv(CAT, DOG),
}
AFTERWARDS = {
    "overwrite": {CAT: TWO},
    "create": {CAT: ONE, DOG: TWO},
    "delete": {},
    "move": {DOG: ONE},
}


class Catalog:
    """Loses answers to what decides a change, which is the second transaction of each."""

    def __init__(self, fs, monkeypatch):
        self.known = fs.store.known
        self.fs = fs
        self.commits = 0
        self.late = None
        self._asked = 0
        self._change = self.known.change
        self._patch = monkeypatch
        self._patch.setattr("resilient_store.io.catalogued.holder.FIRST_WAIT_S", 0.001)

    def lose(self, answer):
        """Let `answer` say what becomes of each attempt to commit, given the real transaction."""

        async def change(paths, change):
            self._asked += 1
            if self._asked == 1:
                return await self._change(paths, change)
            self.commits += 1
            return await answer(lambda: self._change(paths, change))

        self._patch.setattr(self.known, "change", change)

    def go_away(self):
        async def away(*_):
            raise CatalogDownError("away")

        for name in ("change", "find"):
            self._patch.setattr(self.known, name, away)

    def come_back(self):
        self._patch.undo()


@pytest.fixture
def catalog(fs, monkeypatch):
    fs.write(CAT, ONE)
    return Catalog(fs, monkeypatch)


@pytest.mark.parametrize("change", CHANGES)
def test_p1_what_may_have_been_committed_is_not_undone(fs, shop, catalog, change):
    async def committed_and_away(commit):
        await commit()
        catalog.go_away()
        raise CommitUnknownError("lost")

    catalog.lose(committed_and_away)
    with pytest.raises(rs.CatalogUnavailableError, match=UNKNOWN):
        CHANGES[change](fs)
    catalog.come_back()
    assert {name: fs.cat(name) for name in fs.find("")} == AFTERWARDS[change]
    assert all(fs.read(name).verified for name in AFTERWARDS[change])


@pytest.mark.parametrize("change", CHANGES)
def test_p1_a_commit_that_is_still_under_way_is_not_undone(fs, catalog, change):
    """A disk that stalls: the transaction is stored after nobody has waited for it any more."""

    async def stalls(commit):
        if catalog.late is None:
            catalog.late = commit
            raise CommitUnknownError("lost")
        raise CatalogDownError("the writer is busy with the first one")

    catalog.lose(stalls)
    with pytest.raises(rs.CatalogUnavailableError, match=UNKNOWN):
        CHANGES[change](fs)
    assert catalog.commits > 1
    catalog.come_back()
    assert sync(fs.loop, catalog.late)
    assert {name: fs.cat(name) for name in fs.find("")} == AFTERWARDS[change]


@pytest.mark.parametrize("change", CHANGES)
def test_p1_a_commit_that_was_quicker_than_its_repetition_counts(fs, shop, catalog, change):
    async def lands_before_the_second(commit):
        if catalog.late is None:
            catalog.late = commit
            raise CommitUnknownError("lost")
        if catalog.commits == 2:
            assert await catalog.late()
        return await commit()

    catalog.lose(lands_before_the_second)
    CHANGES[change](fs)
    catalog.come_back()
    assert {name: fs.cat(name) for name in fs.find("")} == AFTERWARDS[change]
    assert record(fs, CAT).intent is None
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, AFTERWARDS[change].get(CAT))


def test_a_commit_that_was_never_carried_out_is_made_when_it_is_asked_for_again(fs, catalog):
    async def only_the_second(commit):
        if catalog.commits == 1:
            raise CommitUnknownError("lost")
        return await commit()

    catalog.lose(only_the_second)
    fs.write(CAT, TWO)
    assert fs.cat(CAT) == TWO


@pytest.mark.parametrize("change", ["overwrite", "create", "move"])
def test_r6_a_commit_that_others_wrote_over_since_is_not_said_to_have_been_left_out(
    fs, shop, catalog, change
):
    """Who deletes it again would delete what the others have written."""
    other, path = shop.open(), CAT if change == "overwrite" else DOG

    async def committed_and_written_over(commit):
        assert await commit()
        settled = await asyncio.to_thread(other_writes)
        assert settled
        raise CommitUnknownError("lost")

    def other_writes():
        """Whoever comes next settles what is left of the change, and writes."""
        end_leases(other, path)
        return other.write(path, b"the other's")

    catalog.lose(committed_and_written_over)
    with pytest.raises(rs.CatalogUnavailableError, match=UNKNOWN):
        CHANGES[change](fs)
    catalog.come_back()
    assert fs.cat(path) == b"the other's"
    assert fs.exists(CAT) is (change != "move")


# How long it is asked again


class Asked:
    """A catalog that answers when it has made its caller wait, and the holder of an intent."""

    path = CAT

    def __init__(self, takes_s, says):
        self.takes_s, self.says = takes_s, says
        self.intent = SimpleNamespace(id=1, version=1)
        self.record = SimpleNamespace(purges=0)
        self.store = SimpleNamespace(known=self)
        self.lost = False

    async def attempt(self):
        await runtime.pause(self.takes_s)
        raise CommitUnknownError("lost")

    async def find(self, _):
        await runtime.pause(self.takes_s)
        if self.says is None:
            raise CatalogDownError("away")
        return self.says, None


OPEN = SimpleNamespace(intent=SimpleNamespace(id=1), entry=None, purges=0)


@pytest.mark.parametrize("says", [None, OPEN], ids=["nothing", "that it is open"])
@pytest.mark.parametrize("takes_s", [0.01, 0.7, 1.9, 2.0])
def test_p6_a_commit_whose_answer_is_lost_is_asked_for_so_long_and_no_longer(
    says, takes_s, monkeypatch
):
    """Each question ends within two seconds, whatever it comes to; all of them within eight."""
    monkeypatch.setattr(transactions, "check", lambda *_: "open")
    asked, loop = Asked(takes_s, says), SimulatedLoop(0)

    async def story():
        began_s = runtime.now_s()
        with pytest.raises(rs.CatalogUnavailableError, match=UNKNOWN):
            await holder.certainly(asked, asked.attempt)
        return runtime.now_s() - began_s

    took_s = loop.run_until_complete(story())
    assert took_s <= holder.ASKED_FOR_S + WITHIN_S
    assert took_s >= 2 * takes_s
    assert asked.lost


def end_leases(fs, path):
    """Let the lease on a path have ended."""

    def end(records, _):
        intent = records[0].intent
        ended = None if intent is None else attrs.evolve(intent, expires_s=1.0)
        return (attrs.evolve(records[0], intent=ended),), None

    sync(fs.loop, fs.store.known.change, (path,), end)
