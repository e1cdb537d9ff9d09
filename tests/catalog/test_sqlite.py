"""SQLite's file: durable, waited for, and refused where it would be spoilt."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from typing import ClassVar

import pytest

from resilient_store.catalog import location, sqlite
from resilient_store.catalog.contract import CatalogDownError, CommitUnknownError
from resilient_store.errors import ConfigurationError
from resilient_store.model.state import StoreState
from resilient_store.testing.conformance.tables import ask, at_once, draw, load
from tests.catalog.steps import in_time, put, version_of


class Odd(sqlite3.Connection):
    """A connection on which some statements fail as a disk would make them."""

    fails: ClassVar[dict[str, int]] = {}  # each test sets its own
    seen: ClassVar[list[str]] = []
    rolls_back: ClassVar[bool] = False  # as SQLite does by itself after some errors

    def execute(self, text, *parameters):
        self.seen.append(text)
        for beginning, code in list(self.fails.items()):
            if text.startswith(beginning):
                if self.rolls_back and self.in_transaction:
                    super().execute("ROLLBACK")
                error = sqlite3.OperationalError("the driver's own words, with a /path")
                error.sqlite_errorcode = code
                raise error
        return super().execute(text, *parameters)


@pytest.fixture
def odd(monkeypatch):
    """Make every connection one whose statements can be made to fail."""

    def connect(where):
        return sqlite3.connect(
            where, timeout=0, isolation_level=None, check_same_thread=False, uri=True, factory=Odd
        )

    monkeypatch.setattr(sqlite, "_connect", connect)
    monkeypatch.setattr(Odd, "fails", {})
    monkeypatch.setattr(Odd, "seen", [])
    monkeypatch.setattr(Odd, "rolls_back", False)
    return Odd


@pytest.fixture
def file(tmp_path):
    return tmp_path / "catalog.db"


@pytest.fixture
def database(opened, file_url):
    database = opened(file_url)
    database.prepare()
    put(database, "a")
    return database


# --- durable ------------------------------------------------------------------------------


def test_every_connection_keeps_what_it_acknowledges(database):
    at_once([lambda: [put(database, f"p{n}") for n in range(3)] for _ in range(4)])
    for handle in database.driver._pool._free:
        asked = {
            name: handle.raw.execute(f"PRAGMA {name}").fetchone()[0] for name in sqlite.PRAGMAS
        }
        assert asked == {name: honoured for name, (_, honoured) in sqlite.PRAGMAS.items()}
        assert (asked["journal_mode"], asked["synchronous"]) == ("wal", 2)


def test_a_file_that_cannot_be_made_durable_is_refused(opened, file_url, monkeypatch):
    monkeypatch.setitem(sqlite.PRAGMAS, "synchronous", ("FULL", 3))
    with pytest.raises(ConfigurationError, match="use PostgreSQL"):
        opened(file_url).prepare()


def test_every_writing_transaction_begins_with_the_lock(opened, file_url, odd):
    database = opened(file_url)
    database.prepare()
    put(database, "a")
    draw(database)
    database.raise_counter(9)
    database.change_state(lambda *_: StoreState(identity="x"))
    began = ""
    for text in odd.seen:
        if text.startswith("BEGIN"):
            began = text
        if text.startswith(("INSERT", "DELETE", "UPDATE", "CREATE")):
            assert began == "BEGIN IMMEDIATE"
        if text.startswith(("COMMIT", "ROLLBACK")):
            began = ""


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_FSYNC, 1])
def test_an_error_in_commit_leaves_the_outcome_unknown(opened, file_url, odd, code):
    database = opened(file_url)
    database.prepare()
    odd.fails["COMMIT"] = code
    with pytest.raises(CommitUnknownError, match="may be, or not") as said:
        put(database, "a")
    assert "driver" not in str(said.value)
    odd.fails.clear()
    assert version_of(database, "a") == 0
    put(database, "a", version=2)
    assert version_of(database, "a") == 2


BAD_DISKS = [
    (sqlite3.SQLITE_FULL, "its disk is full"),
    (sqlite3.SQLITE_READONLY, "cannot be written to"),
    (sqlite3.SQLITE_IOERR_READ, "reports an error"),
    (sqlite3.SQLITE_CORRUPT, "is damaged"),
    (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
]


@pytest.mark.parametrize("bad", BAD_DISKS, ids=lambda bad: bad[1])
@pytest.mark.parametrize("statement", ["BEGIN", "SELECT", "INSERT", "COMMIT"])
def test_a_bad_disk_is_said_in_our_words(opened, file_url, odd, bad, statement):
    code, words = bad
    database = opened(file_url)
    database.prepare()
    put(database, "kept")
    odd.fails[statement] = code
    with in_time(), pytest.raises(CatalogDownError, match=words) as said:
        put(database, "a")
    assert "driver" not in str(said.value)
    assert said.value.__context__ is None
    certain = statement != "COMMIT" or code == sqlite3.SQLITE_FULL
    assert isinstance(said.value, CommitUnknownError) != certain
    odd.fails.clear()
    assert (version_of(database, "a"), version_of(database, "kept")) == (0, 1)


@pytest.mark.parametrize("rolls_back", [False, True])
def test_a_disk_that_cannot_be_read_is_said_in_our_words(opened, file_url, odd, rolls_back):
    database = opened(file_url)
    database.prepare()
    odd.fails["SELECT"], odd.rolls_back = sqlite3.SQLITE_IOERR_READ, rolls_back
    for call in (database.state, lambda: database.find("a")):
        with pytest.raises(CatalogDownError, match="reports an error") as said:
            call()
        assert said.value.__context__ is None, "SQLite's own words are nobody's"
    odd.fails.clear()
    assert database.state() is None


def test_a_connection_on_which_nothing_can_be_undone_is_not_used_again(opened, file_url, odd):
    database = opened(file_url)
    database.prepare()
    odd.fails.update(INSERT=sqlite3.SQLITE_BUSY, ROLLBACK=sqlite3.SQLITE_IOERR)
    with pytest.raises(CatalogDownError, match="others have held it"):
        put(database, "a")
    odd.fails.clear()
    put(database, "a", version=2)
    assert version_of(database, "a") == 2


def test_a_full_disk_loses_nothing(opened, file_url):
    database = opened(file_url)
    database.prepare()
    put(database, "kept")
    (handle,) = database.driver._pool._free
    pages = handle.raw.execute("PRAGMA page_count").fetchone()[0]
    handle.raw.execute(f"PRAGMA max_page_count = {pages + 4}").fetchall()
    paths = [f"{number}{'x' * 800}" for number in range(1000)]
    stored = []

    def fill():
        for path in paths:
            put(database, path)
            stored.append(path)

    with pytest.raises(CatalogDownError, match="its disk is full"):
        fill()
    assert database.present(paths) == stored != []
    put(database, "after")
    assert version_of(database, "after") == 1


# --- waited for ---------------------------------------------------------------------------


@pytest.fixture
def other(file, database):
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    yield connection
    connection.close()


def test_a_lock_is_waited_for(database, other):
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.4, lambda: other.execute("COMMIT")).start()
    with in_time():
        put(database, "a", version=2)
    assert version_of(database, "a") == 2


def test_a_lock_that_is_held_too_long_is_given_up_in_time(database, other):
    other.execute("BEGIN IMMEDIATE")
    began_s = time.monotonic()
    with in_time(), pytest.raises(CatalogDownError, match="others have held it"):
        put(database, "a", version=2)
    assert time.monotonic() - began_s > 1.4
    assert version_of(database, "a") == 1  # who reads waits for nobody
    other.execute("COMMIT")
    put(database, "a", version=2)


def test_a_function_that_raises_leaves_no_lock(database, other):
    def fail(record, moment):
        raise RuntimeError

    for _ in range(10):
        with pytest.raises(RuntimeError):
            ask(database, "a", fail)
    other.execute("BEGIN IMMEDIATE")
    other.execute("COMMIT")


# --- refused ------------------------------------------------------------------------------


def test_a_catalog_is_made_by_nothing_but_prepare(opened, file, file_url):
    database = opened(file_url)
    for call in (lambda: load(database, "a"), lambda: put(database, "a"), database.state):
        with pytest.raises(CatalogDownError, match="cannot be opened"):
            call()
    assert not file.exists()


def test_a_folder_that_is_missing_is_refused(opened, tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        opened(f"sqlite:///{tmp_path}/no/catalog.db").prepare()


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(opened, file, file_url):
    file.write_bytes(b"a picture, perhaps" * 1000)
    with pytest.raises(CatalogDownError, match="no SQLite database"):
        opened(file_url).prepare()
    assert file.read_bytes() == b"a picture, perhaps" * 1000


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_that_is_not_the_same_any_more_is_noticed(database, file, how):
    file.rename(f"{file}.away")
    if how == "replaced":
        file.write_bytes(b"")
    for call in (lambda: put(database, "b"), lambda: load(database, "a")):
        with pytest.raises(CatalogDownError):
            call()
    os.replace(f"{file}.away", file)
    put(database, "b")
    assert version_of(database, "b") == 1


def test_a_network_file_system_is_refused_before_anything_is_opened(tmp_path, monkeypatch):
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(location, "MOUNTS", str(mounts))
    root = "22 1 8:1 / / rw - ext4 /dev/vda rw\n"
    where = os.path.realpath(tmp_path)
    place = location.locate(f"sqlite:///{tmp_path}/catalog.db")
    for kind in ("nfs4", "cifs", "fuse.sshfs", "9p", "lustre", "ceph", "fuse.glusterfs"):
        mounts.write_text(f"{root}40 22 0:40 / {where} rw shared:1 - {kind} server:/x rw\n")
        with pytest.raises(ConfigurationError, match="use PostgreSQL"):
            location.check_place(place)
    mounts.write_text(f"{root}40 22 0:40 / {where}-other rw - nfs server:/x rw\n")
    location.check_place(place)
    assert os.listdir(tmp_path) == ["mountinfo"]


def test_a_folder_without_shared_memory_is_refused(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no such device")

    monkeypatch.setattr(location.mmap, "mmap", refuse)
    with pytest.raises(ConfigurationError, match="use PostgreSQL"):
        location.check_place(location.locate(f"sqlite:///{tmp_path}/catalog.db"))


def test_the_mounts_are_read_as_the_kernel_writes_them(tmp_path, monkeypatch):
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(location, "MOUNTS", str(mounts))
    mounts.write_text(
        "22 1 8:1 / / rw - ext4 /dev/vda rw\n"
        "23 22 0:5 / /with\\040space rw master:1 - nfs a:/b rw\n"
        "24 22 0:6 / /m rw - ext4 a rw\n25 24 0:7 / /m rw - xfs b rw\n"
    )
    kinds = {"/": "ext4", "/with space/x": "nfs", "/m": "xfs", "/mm": "ext4"}
    assert {f: location.file_system_of(f) for f in kinds} == kinds
    mounts.unlink()
    assert location.file_system_of("/") == ""


# --- in memory ----------------------------------------------------------------------------


def test_a_clock_can_be_given(opened):
    database = opened("sqlite://", clock=lambda: 12.5)
    database.prepare()
    assert database.now_s() == ask(database, "a", lambda r, moment: (r, moment.now_s)) == 12.5


def test_each_catalog_in_memory_is_its_own_and_outlives_closing(opened):
    one, two = opened("sqlite://"), opened("sqlite://")
    for database in (one, two):
        database.prepare()
    put(one, "a")
    one.close()
    assert (version_of(one, "a"), version_of(two, "a")) == (1, 0)


# --- where a catalog is -------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "catalog.db",
        "sqlite:",
        "sqlite:/catalog.db",
        "sqlite://catalog.db",
        "sqlite:///",
        "sqlite:///folder/",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=ro",
        "postgresql://host/db",
        "postgres://host/db",
        "postgresql+psycopg2://host/db",
        "postgresql+asyncpg://host/db",
        "postgresql+psycopg://host:port/db",
        "mysql://u:secret-word@host/db",
    ],
)
def test_a_url_of_no_known_form_is_refused_and_not_repeated(url):
    with pytest.raises(ConfigurationError) as said:
        location.locate(url)
    assert "secret-word" not in str(said.value)


def test_a_url_is_taken_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert location.locate("sqlite:///a b.db").file == os.path.join(os.getcwd(), "a b.db")
    assert location.locate("sqlite:////x/a.db").file == "/x/a.db"
    found = location.locate("postgresql+psycopg://u%40:p%2Fw@[::1]:5433/d?sslmode=require")
    assert dict(found.server) == {
        "sslmode": "require",
        "host": "::1",
        "port": "5433",
        "user": "u@",
        "password": "p/w",
        "dbname": "d",
    }
    assert "p/w" not in repr(found)
    assert "u@" not in found.shown
