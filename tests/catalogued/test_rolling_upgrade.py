"""Machines that are upgraded one by one: who runs this release works on tables of the next one.

The tables are those that the first release made, and a newer one has added to them what older ones
need not understand.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import resilient_store as rs
from resilient_store.catalog import schema
from resilient_store.catalog.database import SqlDatabase
from resilient_store.catalog.driver import STORE, Asked
from resilient_store.catalog.location import locate
from resilient_store.catalog.opening import database_at
from resilient_store.catalog.statements import statements
from resilient_store.catalog.upgrade import Step, upgrade
from tests.catalog.test_schema import make_tables
from tests.catalogued.postgresql import PostgresShop
from tests.catalogued.stage import (
    CAT,
    DOG,
    FOREIGN,
    NAMES,
    ONE,
    THREE,
    TWO,
    Shop,
    converge,
    states,
)

FIRST, NEXT = 1, 2
BIRD, GONE = "originals/bird.jpg", "originals/gone.jpg"
HELD = ("entries", "replicas", "intents", "voids", "backends", "settings", "purges")
ADDED = (
    *(f"ALTER TABLE resilient_{table} ADD COLUMN colour VARCHAR" for table in HELD),
    "CREATE TABLE resilient_colours (colour VARCHAR PRIMARY KEY)",
)
ADDS = Step({"sqlite": ADDED, "postgresql": ADDED}, oldest=FIRST)
PAINT = ("UPDATE resilient_entries SET colour = 'red'", "INSERT INTO resilient_colours VALUES (1)")
COLOURS = "SELECT path, colour FROM resilient_entries ORDER BY path"


class Newer:
    """A catalog's tables, as the newer release sees them."""

    def __init__(self, shop: Shop) -> None:
        database = database_at(locate(shop.settings()["catalog"]))
        assert isinstance(database, SqlDatabase)
        self._database, self._driver = database, database.driver
        self._sql = statements(self._driver.dialect)

    def make_first(self) -> None:
        make_tables(self._database, FIRST)

    def extend(self) -> None:
        assert upgrade(self._driver, {FIRST: ADDS}) == (FIRST, NEXT)

    def paint(self) -> None:
        """Note of each object what the older release does not know."""
        asked: list[Asked] = [(text, {}) for text in PAINT]
        self._driver.transact([STORE], [], lambda *_: asked)

    def colours(self) -> dict[str, str | None]:
        return dict(self._driver.ask((COLOURS, {})))

    def numbers(self) -> tuple[str, str]:
        said = dict(self._driver.ask((self._sql.settings, {})))
        return said["schema"], said["oldest"]

    def close(self) -> None:
        self._database.close()


@pytest.fixture
def newer(shop: Shop) -> Iterator[Newer]:
    newer = Newer(shop)
    newer.make_first()
    yield newer
    newer.close()


def change(fs: rs.ResilientFileSystem, shop: Shop) -> None:
    """Overwrite, move and delete, while a backend is away that missed all of it."""
    shop.lose("gcp")
    fs.write(CAT, TWO)
    fs.mv(DOG, BIRD)
    fs.rm(GONE)
    with fs.open("originals/streamed.jpg", "wb") as file:
        file.write(THREE)
    shop.bring_back("gcp")


BOTH = pytest.mark.parametrize(
    "shop", [Shop, PostgresShop], indirect=True, ids=["sqlite", "postgresql"]
)


@BOTH
@pytest.mark.parametrize("opened", ["before", "after"])
def test_all_that_a_store_does_goes_on_over_tables_that_were_extended(newer, shop, opened):
    """Whoever opened it before the upgrade goes on, and whoever runs the older one opens it."""
    early = shop.open()
    for path in (CAT, DOG, GONE):
        early.write(path, ONE)
    newer.extend()
    newer.paint()
    fs = early if opened == "before" else shop.open()
    assert [fs.cat(path) for path in (CAT, DOG, GONE)] == [ONE] * 3
    change(fs, shop)
    assert states(fs, CAT)["gcp"] == "stale"
    converge(fs)
    held = {CAT: TWO, BIRD: ONE, "originals/streamed.jpg": THREE}
    for other in (early, fs, shop.open()):
        assert {path: other.cat(path) for path in other.find("")} == held
    for path in (DOG, GONE, *held):
        assert shop.held(path) == dict.fromkeys(NAMES, held.get(path))
    assert newer.numbers() == (str(NEXT), str(FIRST))


@BOTH
def test_what_the_newer_release_noted_stays_where_the_older_one_changes_the_row(newer, shop):
    fs = shop.open()
    fs.write(CAT, ONE)
    newer.extend()
    newer.paint()
    fs.write(CAT, TWO)
    fs.write(DOG, ONE)
    converge(fs)
    assert newer.colours() == {CAT: "red", DOG: None}


@BOTH
def test_operations_work_on_extended_tables(newer, shop):
    newer.extend()
    fs = shop.open()
    fs.write(CAT, ONE)
    shop.put_behind("gcp", "theirs", FOREIGN)
    assert rs.adopt(fs).adopted == ["theirs"]
    assert rs.scrub(fs).corrupt == {}
    assert rs.snapshot(fs).objects == 2
    rs.freeze(fs, "why")
    with pytest.raises(rs.StoreFrozenError):
        shop.open().write(CAT, TWO)
    rs.thaw(fs)
    assert rs.rejoin(fs, "aws") >= 0
    converge(fs)
    assert shop.held("theirs") == dict.fromkeys(NAMES, FOREIGN)


@BOTH
def test_the_newer_release_works_on_tables_that_are_not_upgraded_yet(newer, shop, monkeypatch):
    """By opening them it changes nothing of what the older ones are using."""
    older = shop.open()
    older.write(CAT, ONE)
    monkeypatch.setattr(schema, "SCHEMA", NEXT)
    fs = shop.open()
    fs.write(DOG, ONE)
    fs.mv(DOG, BIRD)
    assert older.cat(BIRD) == ONE
    assert newer.numbers() == (str(FIRST), str(FIRST))
