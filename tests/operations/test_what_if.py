"""What would be lost with a failure domain: said beforehand, and what then happens."""

from __future__ import annotations

import asyncio
import os

import attrs
import pytest
from fsspec.asyn import sync
from fsspec.callbacks import Callback
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import resilient_store as rs
from resilient_store.model.state import State
from resilient_store.operations.what_if import what_if_all
from resilient_store.testing.conformance.tables import held
from tests.catalogued.stage import NAMES, ONE, Shop, converge, states, store_state

ORIGINALS = rs.DegradedRead({"originals/{name}": ["previews/{name}", "thumbs/{name}"]})
RULES = (
    rs.Placement("originals/{name}", backends=["aws", "gcp"]),
    rs.Placement("thumbs/{name}", backends=["azure", "aws", "gcp"]),
    rs.Placement("cold/{name}", backends=["azure", "gcp"]),
)
FAST = rs.Rate(objects_per_s=1000, bytes_per_s=10.0)
CHEAP = {name: {"storage": 10**9, "egress": 10**9} for name in NAMES}


@pytest.fixture
def fs(shop):
    """Fill a store with 18 bytes; one of the two originals has a thumbnail."""
    fs = shop.open(placements=RULES, degraded=ORIGINALS)
    for path, size in (
        ("originals/cat", 5),
        ("originals/dog", 7),
        ("thumbs/cat", 2),
        ("cold/x", 4),
    ):
        fs.write(path, b"x" * size)
    converge(fs)
    return fs


def counts(found):
    return tuple((some.count, some.size) for some in (found.survives, found.degraded, found.lost))


def test_each_object_has_the_fate_that_its_copies_leave_it(fs):
    found = rs.what_if(fs, lose=["aws", "gcp"])
    assert counts(found) == ((2, 6), (1, 5), (1, 7))
    assert list(found.survives.paths) == ["cold/x", "thumbs/cat"]
    assert list(found.degraded.paths) == list(found.degraded.paths) == ["originals/cat"]
    assert list(found.lost.paths) == ["originals/dog"]
    assert (found.lose, found.backends, found.already) == (("aws", "gcp"), ("aws", "gcp"), 0)


def test_what_is_said_beforehand_is_what_happens(fs, shop):
    said = rs.what_if(fs, lose=["gcp", "aws"])
    for name in ("aws", "gcp"):
        for path in shop.objects(name):
            (shop.disk(name) / path).unlink()
    for path in said.survives.paths:
        assert fs.cat_file(path)
    for path in said.degraded.paths:
        assert fs.read(path).original_missing
    for path in said.lost.paths:
        with pytest.raises(rs.OriginalMissingError):
            fs.read(path)


def test_paths_are_as_of_when_they_are_iterated(fs):
    found = rs.what_if(fs, lose=["aws", "gcp"])
    fs.rm("originals/dog")
    fs.write("originals/emu", ONE)
    assert list(found.lost.paths) == ["originals/emu"]
    assert found.lost.count == 1


def test_every_single_domain_and_every_pair_in_one_pass(shop):
    backends = [
        rs.Backend(str(shop.disk("aws")), name="aws", domain="cloud/us/1"),
        rs.Backend(str(shop.disk("gcp")), name="gcp", domain="cloud/eu"),
        rs.Backend(str(shop.disk("azure")), name="azure", domain="azure"),
    ]
    with rs.ResilientFileSystem(backends, **shop.settings(placements=RULES[2:])) as fs:
        fs.write("cold/x", b"1234")
        looked_at = Callback()
        found = rs.what_if(fs, callback=looked_at)
        assert looked_at.value == 1
        assert set(found) >= {("azure",), ("cloud",), ("cloud/us/1",), ("azure", "cloud/eu")}
        assert ("cloud", "cloud/eu") not in found
        assert len(found) == len(list(found))
        assert found["cloud/eu", "azure"] is found["azure", "cloud/eu"]
        for lose in found:
            alone = rs.what_if(fs, lose=lose)
            assert (counts(found[lose]), str(found[lose])) == (counts(alone), str(alone))
        assert counts(found["azure", "cloud"]) == ((0, 0), (0, 0), (1, 4))
        assert str(found).count("\n") == 7  # each set of backends once
        with pytest.raises(KeyError):
            found["nowhere"]


def test_an_original_whose_copies_are_damaged_now_is_said_to_be_so_before(fs, shop):
    for name in ("aws", "gcp"):
        shop.flip(name, "originals/dog")
    with pytest.raises(rs.OriginalMissingError):
        fs.cat_file("originals/dog")
    assert set(states(fs, "originals/dog").values()) == {"corrupt"}
    found = rs.what_if(fs)
    assert {one.already for one in found.values()} == {1}
    assert all("originals/dog" in one.lost.paths for one in found.values())
    as_it_is = rs.what_if(fs, lose=[])
    assert counts(as_it_is) == ((3, 11), (0, 0), (1, 7))
    assert str(as_it_is).startswith("As it is:\n")
    assert "without a good copy as it is: 1" in str(as_it_is)


def test_a_derivative_that_is_damaged_stands_in_for_nothing(fs, shop):
    for name in NAMES:
        shop.flip(name, "thumbs/cat", at=1)
    with pytest.raises(rs.OriginalMissingError):
        fs.cat_file("thumbs/cat")
    states(fs, "thumbs/cat")
    assert list(rs.what_if(fs, lose=["aws", "gcp"]).lost.paths) == [
        "originals/cat",
        "originals/dog",
        "thumbs/cat",
    ]


def test_a_backend_that_never_answered_and_was_left_out_again_can_lose_nothing(shop):
    shop.lose("azure")
    fs = shop.open()
    fs.write("originals/cat.jpg", ONE)
    rs.repair(fs)
    assert not store_state(fs).backend("azure").met
    two = shop.open(("aws", "gcp"))
    assert list(rs.what_if(two)) == [("aws",), ("gcp",), ("aws", "gcp")]
    price = rs.Price(storage=0.02)
    assert rs.what_if(two, lose=[], prices={"aws": price, "gcp": price}).survives.count == 1


def test_what_would_still_be_writable(fs, shop):
    assert rs.what_if(fs, lose=["azure"]).writable == {
        "originals/{name}": True,
        "thumbs/{name}": True,
        "cold/{name}": False,
        "{path...}": True,
    }
    assert not any(rs.what_if(fs, lose=["aws", "azure"]).writable.values())
    all_of_them = shop.open(write=rs.WriteToAll())
    assert rs.what_if(all_of_them, lose=[]).writable == {"{path...}": True}
    assert rs.what_if(all_of_them, lose=["gcp"]).writable == {"{path...}": False}


def test_what_is_read_only_or_drained_takes_no_write(fs, shop):
    backends = shop.backends()
    backends[2] = rs.Backend(str(shop.disk("azure")), name="azure", domain="azure", read_only=True)
    with rs.ResilientFileSystem(backends, **shop.settings()) as other:
        found = rs.what_if(other, lose=["gcp"])
        assert found.writable == {"{path...}": False}
        assert rs.what_if(other, lose=["azure"]).repair.copies.count == 0

    def drain(state, _):
        row = state.backend("gcp")
        rows = {**state.backends, "gcp": attrs.evolve(row, drained=True)}
        return attrs.evolve(state, backends=rows)

    sync(fs.loop, fs.store.known.change_state, drain)
    assert store_state(fs).backend("gcp").drained
    assert rs.what_if(fs, lose=["azure"]).writable["originals/{name}"] is False


def test_how_long_repair_takes_and_what_it_costs(fs):
    found = rs.what_if(fs, lose=["aws"], rates=FAST, prices=CHEAP)
    # 5 + 7 + 2 bytes are read on gcp and written on aws
    assert found.repair.copies == rs.Amount(3, 14)
    assert (found.repair.read, found.repair.written) == (
        {"gcp": rs.Amount(3, 14)},
        {"aws": rs.Amount(3, 14)},
    )
    assert (found.repair.seconds, found.repair.cost) == (1.4, 14.0)
    assert str(found).endswith("to repair: 3 copies, 14 B, 1 s, costs 14.00")
    slow = {"aws": FAST, "gcp": {"objects_per_s": 0.1, "bytes_per_s": 1}, "azure": FAST}
    assert rs.what_if(fs, lose=["aws"], rates=slow).repair.seconds == 30.0


def test_the_bill_now_and_under_other_placements(fs):
    everywhere = [rs.Placement("originals/{name}", backends=["azure", "gcp"])]
    bill = rs.what_if(fs, prices=CHEAP, placements=everywhere).bill
    assert {line.platform: line.copies.size for line in bill.now} == {
        "aws": 14,
        "gcp": 18,
        "azure": 6,
    }
    assert {line.platform: line.monthly for line in bill.planned} == {
        "aws": 6.0,
        "gcp": 18.0,
        "azure": 18.0,
    }
    assert (bill.move.copies, bill.move.egress) == (rs.Amount(3, 16), {"aws": 12, "gcp": 4})
    assert bill.move.cost == 16.0
    assert rs.what_if(fs, lose=[]).bill.planned is None


def test_what_a_backend_that_is_configured_no_more_holds_counts_where_it_is(fs, shop):
    fewer = shop.open(("aws", "gcp"))
    found = rs.what_if(fewer, lose=["aws", "gcp"])
    assert list(found.survives.paths) == ["cold/x", "thumbs/cat"]
    assert found.repair.copies == rs.Amount(3, 8)  # both of the thumbnail, and the one kept cold
    assert list(rs.what_if(fewer, lose=["azure"]).survives.paths) == fs.find("")
    assert rs.what_if(fewer, lose=["azure"]).repair.copies.count == 0
    assert [line.platform for line in found.bill.now] == list(NAMES)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lose": ["aw"]}, "no backend lies in .*'aw'; there are aws, azure, gcp"),
        ({"lose": "aws"}, r"lose=\['aws'\]"),
        ({"prices": {"aws": {"storage": 1}}}, "prices says nothing of 'gcp'"),
        ({"lose": [], "rates": {"gcp": FAST}}, "rates says nothing of 'aws'"),
        ({"rates": 3}, "rates is a mapping"),
        ({"placements": [rs.Placement("a", backends=["nobody", "aws"])]}, "no backend 'nobody'"),
    ],
)
def test_what_cannot_be_answered_is_refused(fs, wrong, said):
    with pytest.raises(rs.ConfigurationError, match=said):
        rs.what_if(fs, **wrong)


def test_a_store_without_a_catalog_is_refused(shop):
    with (
        rs.ResilientFileSystem(shop.backends()) as fs,
        pytest.raises(rs.ConfigurationError, match="needs a catalog"),
    ):
        rs.what_if(fs)


def test_no_backend_is_asked_and_a_catalog_that_is_away_is_said_to_be(fs, shop):
    shop.lose()
    found = rs.what_if(fs, lose=["aws"])
    assert found.survives.count == 4
    os.rename(shop.catalog, shop.folder / "away.db")
    with pytest.raises(rs.CatalogUnavailableError):
        rs.what_if(fs)
    with pytest.raises(rs.CatalogUnavailableError):
        list(found.lost.paths)


def test_coroutines_ask_and_iterate_without_a_thread(shop, fs):
    async def ask():
        options = shop.settings(placements=RULES, degraded=ORIGINALS)
        async with rs.ResilientFileSystem(shop.backends(), asynchronous=True, **options) as other:
            found = await what_if_all(other.store, ["aws", "gcp"])
            return [path async for path in found.lost.paths]

    assert asyncio.run(ask()) == ["originals/dog"]


# --- any catalog --------------------------------------------------------------------------

PATHS = ("originals/a", "previews/a", "thumbs/a", "originals/b", "thumbs/b", "other")
rows = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from([State.GOOD, State.CORRUPT, State.UNKNOWN])
)
BESIDE = {"originals/a": ("previews/a", "thumbs/a"), "originals/b": ("previews/b", "thumbs/b")}


@pytest.fixture(scope="module")
def one_store(tmp_path_factory):
    shop = Shop(tmp_path_factory.mktemp("shop"))
    fs = shop.open(degraded=ORIGINALS)
    fs.exists("x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resilient_store.io.catalogued.fates.PAGE", 2)
        yield fs
    shop.close()


@given(st.dictionaries(st.sampled_from(PATHS), rows), st.frozensets(st.sampled_from(NAMES)))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_catalog_is_told_exactly(one_store, catalog_of, lose):
    fill(one_store, catalog_of)
    good = {
        path: {name for name, state in held.items() if state is State.GOOD} - lose
        for path, held in catalog_of.items()
    }
    expected = {"survives": [], "degraded": [], "lost": []}
    for path in sorted(catalog_of):
        stands = any(good.get(other) for other in BESIDE.get(path, ()))
        expected["survives" if good[path] else "degraded" if stands else "lost"].append(path)
    found = rs.what_if(one_store)[tuple(lose)] if 0 < len(lose) < 3 else None
    for one in (rs.what_if(one_store, lose=lose), found):
        for fate, paths in expected.items() if one is not None else ():
            some = getattr(one, fate)
            assert list(some.paths) == paths
            assert (some.count, some.size) == (len(paths), sum(map(len, paths)))


def fill(fs, catalog_of):
    def change(records, _):
        after = []
        for record in records:
            wanted = catalog_of.get(record.path)
            if wanted is None:
                after.append(attrs.evolve(record, entry=None, replicas={}))
                continue
            made = held(record.path, *wanted)
            states = [attrs.evolve(made.replica(name), state=s) for name, s in wanted.items()]
            after.append(made.with_replicas(*states))
        return tuple(after), None

    sync(fs.loop, fs.store.known.change, PATHS, change)
