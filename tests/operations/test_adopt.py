"""Adopting many objects: in pages, in groups, again after it was killed, and by what is stated."""

from __future__ import annotations

import contextlib
import os

import attrs
import pytest
from fsspec.asyn import sync
from fsspec.callbacks import Callback

import resilient_store as rs
from resilient_store import runtime
from resilient_store.backends.contract import Listed
from resilient_store.io import pages
from resilient_store.io.catalogued.numbers import MARGIN
from resilient_store.model import naming
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import State
from resilient_store.operations import adopt as module
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, THREE, TWO, record, states, store_state
from tests.catalogued.test_everywhere import ServerShop
from tests.operations.test_damage_report import set_backend


@pytest.fixture
def short_pages(monkeypatch):
    """Let every listing and every group be of three."""
    monkeypatch.setattr(module, "GROUP", 3)
    monkeypatch.setattr(pages, "PAGE", 3)


def lay(shop, count, names=NAMES):
    """Put objects on disks, all the same on each; return their paths in order."""
    paths = [f"p/{number:03}" for number in range(count)]
    for path in paths:
        for name in names:
            shop.put_behind(name, path, path.encode())
    return paths


@contextlib.contextmanager
def counted(fs, verb):
    """Count what backends are asked, key by key."""
    asked = []
    with pytest.MonkeyPatch.context() as patched:
        for client in fs.store.clients.values():
            real = getattr(client, verb)

            async def ask(key, *arguments, real=real, name=client.name, **options):
                asked.append((name, key))
                return await real(key, *arguments, **options)

            patched.setattr(client, verb, ask)
        yield asked


def test_objects_are_adopted_in_order_page_by_page(shop, short_pages):
    paths = lay(shop, 10)
    shop.put_behind("gcp", "p/0035", b"between")
    shop.put_behind("azure", "z", b"behind all others")
    fs = shop.open()
    report = rs.adopt(fs)
    assert sorted(report.adopted) == sorted([*paths, "p/0035", "z"])
    assert (report.new, report.known, report.complete) == (12, 0, True)
    assert states(fs, paths[4]) == dict.fromkeys(NAMES, "good")
    assert states(fs, "p/0035") == {"aws": "missing", "gcp": "good", "azure": "missing"}


def test_adopting_again_looks_only_at_what_a_listing_shows_otherwise(shop, short_pages):
    paths = lay(shop, 10)
    fs = shop.open()
    rs.adopt(fs)
    with counted(fs, "info") as looks:
        assert rs.adopt(fs).known == 10
        assert looks == []
        shop.put_behind("gcp", paths[3], b"theirs")
        report = rs.adopt(fs)
    assert report.conflicts == {paths[3]: ("gcp",)}
    assert sorted(set(looks)) == [(name, paths[3]) for name in sorted(NAMES)]


def test_p8_one_that_ended_early_goes_on_where_it_was(shop, short_pages):
    paths = lay(shop, 10)
    fs = shop.open()
    fs.exists("anything")

    def die(step):
        raise RuntimeError

    runtime.at_each_step(die)
    try:
        with pytest.raises(RuntimeError):
            rs.adopt(fs)
    finally:
        runtime.at_each_step(None)
    shop.leave(fs)
    again = shop.open()
    report = rs.adopt(again)
    assert report.known > 0
    assert (report.new + report.known, report.complete) == (10, True)
    assert all(again.cat(path) == path.encode() for path in paths)


def test_many_objects_are_recorded_in_one_transaction(shop, monkeypatch):
    lay(shop, 50)
    fs = shop.open()
    fs.exists("anything")
    changed = []
    change = fs.store.known.change

    async def counting(paths, how):
        changed.append(len(paths))
        return await change(paths, how)

    monkeypatch.setattr(fs.store.known, "change", counting)
    assert rs.adopt(fs).new == 50
    assert changed == [50]


def test_a_dry_run_says_what_would_be_adopted_and_changes_nothing(shop):
    lay(shop, 3)
    shop.put_behind("aws", CAT, ONE)
    shop.put_behind("gcp", CAT, TWO)
    fs = shop.open()
    fs.exists("anything")
    before = store_state(fs)
    report = rs.adopt(fs, dry_run=True)
    assert (report.new, report.conflicts, report.complete) == (3, {CAT: ("aws", "gcp")}, False)
    newest = rs.adopt(fs, dry_run=True, on_conflict="newest")
    assert (newest.new, newest.conflicts) == (4, {})
    assert all(record(fs, path).is_empty for path in (*report.adopted, CAT))
    assert store_state(fs) == before
    assert rs.adopt(fs, on_conflict="newest").new == 4


def test_a_dry_run_puts_nothing_over_what_is_known(fs, shop):
    fs.write(CAT, ONE)
    shop.put_behind("gcp", CAT, THREE)
    assert rs.adopt(fs, dry_run=True, on_conflict="newest").adopted == [CAT]
    assert fs.cat(CAT) == ONE
    assert not shop.quarantined("gcp")


def test_a_report_names_so_many_and_counts_the_rest(shop, short_pages, monkeypatch):
    monkeypatch.setattr(naming, "NAMED", 2)
    lay(shop, 5)
    for number in range(4):
        shop.put_behind("aws", f"c/{number}", b"one")
        shop.put_behind("gcp", f"c/{number}", b"other")
        shop.put_behind("azure", f"a\\{number}", b"odd")
    report = rs.adopt(shop.open())
    assert (report.new, len(report.adopted)) == (5, 2)
    assert (len(report.conflicts), len(report.refused), report.unnamed) == (2, 2, 4)
    total = rs.AdoptReport()
    total.absorb(report)
    others = {f"d/{number}": ("aws",) for number in range(2)}
    total.absorb(attrs.evolve(report, conflicts=others, refused=dict.fromkeys(others, "odd")))
    assert (total.new, len(total.adopted), len(total.conflicts), total.unnamed) == (10, 2, 2, 12)


def test_progress_is_told(shop, short_pages):
    lay(shop, 7)
    callback = Callback()
    rs.adopt(shop.open(), callback=callback)
    assert callback.value >= 7


def test_paths_that_no_object_may_have_are_refused_also_where_they_are_given(fs):
    report = rs.adopt(fs, paths=["a//b", ".resilient/store.json", "nothing"])
    assert sorted(report.refused) == [".resilient/store.json", "a//b"]


def test_a_listing_that_breaks_off_is_gone_on_with(shop, short_pages, monkeypatch):
    monkeypatch.setattr(pages, "FIRST_WAIT_S", 0.01)
    lay(shop, 10)
    fs = shop.open()
    fs.exists("anything")
    client, asked = fs.store.clients["gcp"], []
    page = client.page

    async def stutters(after, cursor, limit):
        asked.append((after, cursor is None))
        if len(asked) in (2, 3):
            return Reply("gcp", Outcome.UNAVAILABLE)
        return await page(after, cursor, limit)

    monkeypatch.setattr(client, "page", stutters)
    assert rs.adopt(fs).new == 10
    assert asked[1:4] == [(asked[1][0], False), (asked[1][0], True), (asked[1][0], True)]


def test_a_listing_that_ends_early_stops_it_and_what_was_adopted_stays(
    shop, short_pages, monkeypatch
):
    monkeypatch.setattr(pages, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(pages, "LONGEST_WAIT_S", 0.001)
    lay(shop, 30)
    fs = shop.open()
    fs.exists("anything")
    client = fs.store.clients["gcp"]
    page = client.page

    async def breaks_off(after, cursor, limit):
        if after > "p/010":
            return Reply("gcp", Outcome.TIMED_OUT)
        return await page(after, cursor, limit)

    with monkeypatch.context() as patched:
        patched.setattr(client, "page", breaks_off)
        with pytest.raises(rs.BackendsUnavailableError, match="gcp"):
            rs.adopt(fs)
    assert not store_state(fs).complete
    report = rs.adopt(fs)
    assert report.known > 0
    assert (report.known + report.new, report.complete) == (30, True)


def test_no_more_than_a_page_of_each_listing_is_held(shop, short_pages, monkeypatch):
    """However slow the looks are: nobody lists ahead of them without end."""
    lay(shop, 60)
    fs = shop.open()
    fs.exists("anything")
    listed, adopted, most = [0], [0], [0]
    client = fs.store.clients["aws"]
    page, some = client.page, module.adopt_some

    async def counting(after, cursor, limit):
        reply = await page(after, cursor, limit)
        assert isinstance(reply.value, Listed)
        listed[0] += len(reply.value.infos)
        most[0] = max(most[0], listed[0] - adopted[0])
        return reply

    async def slow(store, mine, **options):
        await runtime.pause(0.005)
        done = await some(store, mine, **options)
        adopted[0] += len(done)
        return done

    monkeypatch.setattr(client, "page", counting)
    monkeypatch.setattr(module, "adopt_some", slow)
    assert rs.adopt(fs).new == 60
    assert most[0] <= 3 * (module.GROUPS_AT_ONCE + 2)


def test_r7_a_number_in_a_label_is_gone_on_above_before_anything_is_recorded(fs, shop):
    fs.write(CAT, ONE)
    highest = fs.write(DOG, TWO).version
    shop.leave(fs)
    shop.catalog.unlink()
    for name in NAMES:
        (shop.disk(name) / ".resilient" / "store.json").unlink()
    fs = shop.open()
    fs.cat(DOG)  # discovered by a read
    assert record(fs, DOG).entry.version > highest + MARGIN // 2
    rs.adopt(fs)
    assert fs.write("new", ONE).version > highest + MARGIN // 2


# By what platforms state


@pytest.fixture
def servers(tmp_path, s3, gcs, azure):
    shop = ServerShop(tmp_path, dict(zip(NAMES, (s3, gcs, azure), strict=True)))
    yield shop
    shop.close()


def test_no_byte_is_read_where_platforms_state_the_same_checksum(servers):
    large = os.urandom(100_000)
    for name in NAMES:
        servers.put_behind(name, CAT, large)
    servers.put_behind("gcp", DOG, TWO)
    fs = servers.open()
    with counted(fs, "get") as read:
        report = rs.adopt(fs)
    assert (report.adopted, read) == ([CAT, DOG], [])
    assert states(fs, CAT) == dict.fromkeys(NAMES, "good")
    content = record(fs, CAT).entry.content
    assert (content.kind, content.size) == ("native", 100_000)
    assert fs.read(CAT).data == large
    with counted(fs, "info") as looks:
        assert rs.adopt(fs).known == 2
    assert looks == []


def test_other_bytes_of_the_same_size_are_a_conflict_without_reading_them(servers):
    for name, data in zip(NAMES, (b"same", b"same", b"diff"), strict=True):
        servers.put_behind(name, CAT, data)
    fs = servers.open()
    with counted(fs, "get") as read:
        report = rs.adopt(fs)
    assert (report.conflicts, read) == ({CAT: NAMES}, [])


def test_p4_bytes_that_differ_from_what_was_stated_when_they_were_adopted_are_not_handed_out(
    servers,
):
    for name in NAMES:
        servers.put_behind(name, CAT, ONE)
    fs = servers.open()
    rs.adopt(fs)
    servers.put_behind("aws", CAT, ONE[::-1])
    result = fs.read(CAT)
    assert (result.data, result.backend != "aws") == (ONE, True)


@contextlib.contextmanager
def throttled(fs, name, key):
    """Let one backend refuse to be asked about one key."""
    client = fs.store.clients[name]
    real = client.info

    async def info(asked, **options):
        if asked == key:
            return Reply(name, Outcome.THROTTLED, detail="slow down")
        return await real(asked, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(client, "info", info)
        yield


@pytest.mark.parametrize("on_conflict", ["report", "newest"])
@pytest.mark.parametrize("named", [True, False])
def test_p9_nothing_is_decided_while_a_backend_that_has_other_bytes_is_silent(
    shop, on_conflict, named
):
    shop.put_behind("aws", CAT, ONE)
    shop.put_behind("gcp", CAT, b"newer, and longer than that")
    fs = shop.open()
    fs.exists(DOG)
    how = {"on_conflict": on_conflict, "paths": [CAT] if named else None}
    with throttled(fs, "gcp", CAT):
        report = rs.adopt(fs, **how)
    assert (report.new, report.complete) == (0, False)
    assert "slow down" in report.failed[CAT]
    report = rs.adopt(fs, **how)
    assert (report.new, bool(report.conflicts)) == (
        (1, False) if on_conflict == "newest" else (0, True)
    )


@pytest.mark.parametrize("named", [True, False])
def test_p9_nor_where_the_path_is_known(fs, shop, named):
    fs.write(CAT, ONE)
    shop.put_behind("gcp", CAT, b"retouched elsewhere")
    how = {"on_conflict": "newest", "paths": [CAT] if named else None}
    with throttled(fs, "gcp", CAT):
        assert "slow down" in rs.adopt(fs, **how).failed[CAT]
    assert rs.adopt(fs, **how).new == 1
    assert fs.cat(CAT) == b"retouched elsewhere"


def test_p7_a_platform_that_was_taken_out_keeps_no_path_from_being_adopted(fs, shop):
    fs.write(CAT, ONE)
    rs.drain(fs, "azure")
    shop.lose("azure")
    shop.put_behind("gcp", CAT, b"retouched elsewhere")
    assert rs.adopt(fs, paths=[CAT], on_conflict="newest").new == 1


def test_p5_a_suspect_backend_makes_no_catalog_complete(shop):
    shop.put_behind("aws", CAT, ONE)
    shop.put_behind("gcp", DOG, TWO)
    fs = shop.open()
    fs.exists("nothing")
    shop.remove_behind("gcp", DOG)
    set_backend(fs, "gcp", suspect=True)
    assert not rs.adopt(fs).complete
    with pytest.raises(rs.BackendsUnavailableError):
        fs.cat(DOG)
    shop.put_behind("gcp", DOG, TWO)
    set_backend(fs, "gcp", suspect=False)
    assert fs.cat(DOG) == TWO
    assert rs.adopt(fs).complete


def test_p5_what_a_suspect_backend_does_not_show_is_not_known_to_be_missing_there(shop):
    """An original whose other copies are lost may lie there."""
    shop.put_behind("gcp", CAT, ONE)
    fs = shop.open()
    fs.exists("anything")
    set_backend(fs, "aws", suspect=True)
    report = rs.adopt(fs)
    assert (report.adopted, report.failed) == ([CAT], {})
    assert states(fs, CAT)["aws"] == "unknown"
    assert states(fs, CAT)["azure"] == "missing"
    (shop.disk("gcp") / CAT).unlink()
    with pytest.raises(rs.BackendsUnavailableError):
        fs.cat(CAT)


def with_row(fs, path, name, **changes):
    """Change what the catalog says of a replica."""

    def change(records, _):
        row = attrs.evolve(records[0].replica(name), **changes)
        return (records[0].with_replicas(row),), None

    sync(fs.loop, fs.store.known.change, [path], change)


def test_the_newest_stays_the_newest_however_often_it_is_adopted(shop):
    """One that was killed is called again, and what lost before is still there."""
    shop.put_behind("aws", CAT, ONE)
    shop.put_behind("gcp", CAT, TWO)
    for name, time_s in (("aws", 1e9), ("gcp", 1.5e9)):
        os.utime(shop.disk(name) / CAT, (time_s, time_s))
    fs = shop.open()
    assert rs.adopt(fs, on_conflict="newest").new == 1
    for _ in range(2):
        report = rs.adopt(fs, on_conflict="newest")
        assert (report.new, report.known, report.conflicts, report.complete) == (0, 1, {}, True)
        assert fs.cat(CAT) == TWO
    assert rs.adopt(fs).conflicts == {CAT: ("aws",)}
    shop.put_behind("azure", CAT, ONE)  # nobody asked there, as of a backend that was away
    os.utime(shop.disk("azure") / CAT, (1e9, 1e9))
    with_row(fs, CAT, "azure", state=State.UNKNOWN, looked=False)
    assert rs.adopt(fs, on_conflict="newest").new == 0
    shop.put_behind("aws", CAT, THREE)  # and now it is the newest
    assert rs.adopt(fs, on_conflict="newest").adopted == [CAT]
    assert fs.cat(CAT) == THREE
