"""Snapshots: where they lie, what they hold, and that a damaged one is never believed."""

from __future__ import annotations

import functools
import io
import sqlite3
import threading
from pathlib import Path

import attrs
import pytest
from fsspec.asyn import sync
from fsspec.callbacks import Callback
from hypothesis import given, settings
from hypothesis import strategies as st

import resilient_store as rs
from resilient_store.catalog import catalog, dump, schema, whole
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.catalog.location import locate
from resilient_store.catalog.opening import database_at
from resilient_store.io.catalogued import snapshots
from resilient_store.testing.conformance.records import paths, records, states
from resilient_store.testing.conformance.tables import store as store_record
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, TWO, Shop, store_state
from tests.servers.postgres import Postgres

HEAD = dump.Head(schema=1, oldest=1, identity="x", number=7, counter=9, taken_s=1.5)


def kept(shop, name):
    folder = shop.disk(name) / snapshots.FOLDER
    files = (place for place in folder.rglob("0*") if place.is_file())  # a store's id may begin so
    return sorted(place.relative_to(shop.disk(name)).as_posix() for place in files)


def test_a_snapshot_lies_on_every_backend_and_says_so(fs, shop):
    fs.write(CAT, ONE)
    callback = Callback()
    report = rs.snapshot(fs, callback=callback)
    assert (report.backends, report.failed, report.objects) == (NAMES, (), 1)
    held = {shop.read_behind(name, report.key) for name in NAMES}
    assert [len(data or b"") for data in held] == [report.size]
    assert (callback.size, callback.value) == (3, 3)
    assert report.key.startswith(f".resilient/snapshots/{store_state(fs).identity}/")


def test_each_is_written_once_and_three_are_kept(fs, shop):
    keys = []
    for number in range(5):
        fs.write(CAT, b"%d" % number)
        report = rs.snapshot(fs)
        keys.append(report.key)
    assert keys == sorted(set(keys))
    assert report.removed == dict.fromkeys(NAMES, (keys[1],))
    assert [kept(shop, name) for name in NAMES] == [keys[2:]] * 3


def test_snapshots_of_another_store_are_left_alone(fs, shop):
    theirs = f"{snapshots.FOLDER}/theirs/{'9' * 19}"
    shop.put_behind("aws", theirs, b"theirs")
    for _ in range(4):
        rs.snapshot(fs)
    assert shop.read_behind("aws", theirs) == b"theirs"


def test_a_snapshot_is_no_object(fs):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    assert fs.find("") == [CAT]
    assert rs.sweep(fs, older_than=0).removed == dict.fromkeys(NAMES, ())


def test_a_backend_that_is_away_is_named_and_keeps_what_it_had(fs, shop):
    fs.write(CAT, ONE)
    first = rs.snapshot(fs).key
    shop.lose("azure")
    report = rs.snapshot(fs)
    assert report.backends == ("aws", "gcp")
    assert [reply.backend for reply in report.failed] == ["azure"]
    shop.bring_back("azure")
    assert kept(shop, "azure") == [first]


def test_where_no_backend_takes_it_that_is_an_error(fs, shop):
    fs.write(CAT, ONE)
    shop.lose()
    with pytest.raises(rs.BackendsUnavailableError, match="No backend took"):
        rs.snapshot(fs)
    shop.bring_back()


def test_what_is_not_read_back_as_it_was_sent_is_removed_and_named(fs, shop, monkeypatch):
    fs.write(CAT, ONE)
    real = snapshots.own_key.uploaded

    async def spoilt(client, key, headers, copy):
        reply = await real(client, key, headers, copy)
        if client.name == "gcp":
            shop.flip("gcp", key, 100)
        return reply

    monkeypatch.setattr(snapshots.own_key, "uploaded", spoilt)
    report = rs.snapshot(fs)
    assert report.backends == ("aws", "azure")
    assert [reply.outcome for reply in report.failed] == [rs.Outcome.CORRUPT]
    assert kept(shop, "gcp") == []


def test_it_is_of_one_moment_while_others_write(fs, shop):
    """Both halves of each move are in it, or neither; and nobody's lock is lost."""
    numbers = range(40)
    for number in numbers:
        fs.write(f"a/{number:02d}", ONE)
    ended = threading.Event()

    def to_and_fro(other, mine):
        while not ended.is_set():
            for source, target in (("a", "z"), ("z", "a")):
                for number in mine:
                    other.mv(f"{source}/{number:02d}", f"{target}/{number:02d}")

    writers = [
        threading.Thread(target=to_and_fro, args=(shop.open(), numbers[first::8]))
        for first in range(8)
    ]
    for writer in writers:
        writer.start()
    try:
        reports = [rs.snapshot(fs) for _ in range(5)]
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    assert [report.objects for report in reports] == [40] * 5
    with sqlite3.connect(shop.catalog) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# The format

rows = st.dictionaries(
    st.text(max_size=8),
    st.none() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False),
    max_size=4,
)
some_rows = st.lists(rows, max_size=3)
blocks = st.lists(st.tuples(st.sampled_from(["entries", "voids"]), some_rows), max_size=3)
few = settings(max_examples=30, deadline=None)


def written(wanted):
    file = io.BytesIO()
    writer = dump.Writer(file, HEAD)
    for table, some in wanted:
        writer.add(table, some)
    writer.end()
    return file.getvalue()


def read(data):
    (_, head), *rest = dump.read(io.BytesIO(data))
    return dump.head_of(head), rest


@few
@given(blocks)
def test_what_was_written_is_what_is_read(wanted):
    assert read(written(wanted)) == (HEAD, wanted)


@few
@given(blocks, st.data())
def test_p4_no_bit_can_flip_unseen(wanted, data):
    whole_file = written(wanted)
    at = data.draw(st.integers(0, len(whole_file) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    spoilt = whole_file[:at] + bytes([whole_file[at] ^ bit]) + whole_file[at + 1 :]
    with pytest.raises(dump.DamagedError):
        read(spoilt)


@few
@given(blocks, st.data())
def test_p4_no_end_can_be_missing_and_nothing_can_follow(wanted, data):
    whole_file = written(wanted)
    cut = data.draw(st.integers(0, len(whole_file) - 1))
    for spoilt in (whole_file[:cut], whole_file + whole_file[cut:]):
        with pytest.raises(dump.DamagedError):
            read(spoilt)


def test_p4_no_block_can_be_left_out_or_moved():
    one, two = ("entries", [{"a": 1}]), ("entries", [{"a": 2}])
    parts = [written(some) for some in ([], [one], [one, two])]
    begin = len(parts[0]) - (len(parts[1]) - len(parts[0]))
    first = parts[1][begin : len(parts[1]) - len(parts[0]) + begin]
    without = parts[2].replace(first, b"", 1)
    assert without != parts[2]
    with pytest.raises(dump.DamagedError):
        read(without)


def test_a_dump_of_a_newer_release_is_of_no_use_and_says_why():
    file = io.BytesIO()
    dump.Writer(file, attrs.evolve(HEAD, oldest=schema.SCHEMA + 1)).end()
    file.seek(0)
    with pytest.raises(dump.DamagedError, match="needs a release that knows schema"):
        whole.summary(file)


# From one database into another


def fresh(folder):
    folder.mkdir(exist_ok=True)
    database = database_at(locate(f"sqlite:///{folder}/{len(list(folder.iterdir()))}.db"))
    database.prepare()
    return database


def carried(source, target):
    file = io.BytesIO()
    dumped = source.dump(file, 1, lambda: None)
    file.seek(0)
    head, counted = whole.summary(file)
    assert counted == dumped
    file.seek(0)
    target.wipe()
    for table, some in dump.read(file):
        if table != dump.HEAD:
            target.load(table, some)
    return head


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_whatever_a_catalog_knows_is_carried_into_another(tmp_path_factory, data):
    source, target = (fresh(Path(tmp_path_factory.mktemp("db"))) for _ in range(2))
    state = data.draw(states())
    source.change_state(lambda *_: state)
    drawn = {path: data.draw(records(path)) for path in data.draw(st.sets(paths(), max_size=4))}
    for record in drawn.values():
        store_record(source, record)
    carried(source, target)
    assert target.records(list(drawn)) == source.records(list(drawn))
    assert target.state() == unmarked(source.state())
    for database in (source, target):
        database.close()


def unmarked(state):
    """Leave out that a restore is under way, of which a dump says nothing."""
    return attrs.evolve(state, restoring="")


def test_pages_of_any_length_carry_all_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "FIRST_PAGE", 2)
    monkeypatch.setattr(whole, "BLOCK_BYTES", 300)
    shop = Shop(tmp_path / "shop")
    fs = shop.open()
    for number in range(30):
        fs.write(f"{number:02d}.jpg", ONE)
    source, target = database_at(locate(f"sqlite:///{shop.catalog}")), fresh(tmp_path / "to")
    carried(source, target)
    names = [f"{number:02d}.jpg" for number in range(30)]
    assert target.names("", "", 100) == names
    assert target.records(names) == source.records(names)
    for one in (shop, source, target):
        one.close()


def test_a_dump_that_nobody_waits_for_ends(fs):
    fs.write(CAT, ONE)

    class NobodyError(Exception):
        pass

    def check():
        raise NobodyError

    database = fs.store.known._database
    with pytest.raises(NobodyError):
        database.dump(io.BytesIO(), 1, check)


@pytest.mark.parametrize("moves", [True, False])
def test_a_dump_may_take_as_long_as_it_moves_on_and_no_longer(fs, monkeypatch, moves):
    monkeypatch.setattr(catalog, "DUMP_MOVES_WITHIN_S", 0.2)
    fs.write(CAT, ONE)
    given_up = threading.Event()

    def slow(file, number, check):
        for _ in range(8):
            given_up.wait(0.05)
            if moves:
                check()
        return whole.Dumped(rows=1, objects=1)

    monkeypatch.setattr(fs.store.known._database, "dump", slow)
    dumped = functools.partial(sync, fs.loop, fs.store.known.dump, io.BytesIO(), 1)
    try:
        if moves:
            assert dumped().rows == 1
        else:
            with pytest.raises(CatalogDownError, match="in time"):
                dumped()
    finally:
        given_up.set()


# PostgreSQL


@pytest.fixture(scope="module")
def server():
    with Postgres() as running:
        yield running


@pytest.mark.parametrize("there", ["sqlite", "postgresql"])
def test_a_snapshot_of_postgresql_is_restored_into_either(shop, server, there):
    url = server.url_of(server.database())
    settings = {**shop.settings(), "catalog": url}
    with rs.ResilientFileSystem(shop.backends(), **settings) as fs:
        fs.write(CAT, ONE, metadata={"who": "größe"})
        fs.write(DOG, ONE)
        rs.snapshot(fs)
        last = fs.write(DOG, TWO).version
    settings["catalog"] = shop.settings()["catalog"]
    if there == "postgresql":
        settings["catalog"] = server.url_of(server.database())
    with rs.ResilientFileSystem(shop.backends(), **settings) as again:
        report = rs.restore(again)
        assert (report.objects, report.newer, report.complete) == (2, 1, True)
        assert (again.cat(CAT), again.cat(DOG)) == (ONE, TWO)
        assert again.info(CAT)["metadata"] == {"who": "größe"}
        assert again.write(DOG, ONE).version > last + (1 << 31)


def test_a_snapshot_of_sqlite_is_restored_into_postgresql(fs, shop, server):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    shop.leave(fs)
    settings = {**shop.settings(), "catalog": server.url_of(server.database())}
    with rs.ResilientFileSystem(shop.backends(), **settings) as again:
        rs.restore(again)
        assert again.cat(CAT) == ONE
        with pytest.raises(rs.ConfigurationError, match="in use"):
            rs.restore(again)


def test_the_number_of_a_snapshot_is_drawn_while_nobody_changes_anything(fs):
    """An intent with a lower number is in it, whatever became of it after."""
    fs.write(CAT, ONE)
    report = rs.snapshot(fs)
    number = int(report.key.rpartition("/")[2])
    assert fs.write(DOG, ONE).version > number
    assert sync(fs.loop, fs.store.known.state).identity in report.key
