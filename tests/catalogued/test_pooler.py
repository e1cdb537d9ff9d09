"""A catalog behind a pooler that gives each transaction another connection: nothing may stay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import resilient_store as rs
from tests.catalog.test_postgres import see_that_nothing_outlives
from tests.catalogued.conftest import built
from tests.catalogued.postgresql import PostgresShop
from tests.catalogued.stage import CAT, DOG, FOREIGN, ONE, THREE, TWO, Shop, converge
from tests.servers.postgres import Postgres
from tests.servers.tap import Tap

BIRD = "originals/bird.jpg"


@pytest.fixture
def tap(postgres: Postgres) -> Iterator[Tap]:
    with Tap(postgres.port) as tap:
        yield tap


@pytest.fixture
def tapped(request, place, postgres: Postgres, tap: Tap) -> Iterator[Shop]:
    """Build a shop whose every word to its catalog is heard."""
    with built(PostgresShop, place, request) as shop:
        assert isinstance(shop, PostgresShop)
        shop.url = postgres.url_of(shop.url.rpartition("/")[2], tap.port)
        yield shop


def change(fs: rs.ResilientFileSystem, shop: Shop) -> None:
    fs.write(CAT, ONE)
    fs.write(DOG, ONE)
    with fs.open(CAT, "wb") as file:
        file.write(bytes(9 << 20))
    shop.lose("gcp")
    fs.write(CAT, TWO, derived_from=DOG)
    fs.mv(DOG, BIRD)
    fs.cp_file(BIRD, "thumbs/bird.jpg")
    fs.rm("thumbs", recursive=True)
    fs.rm_file(BIRD)
    shop.bring_back("gcp")


def operate(fs: rs.ResilientFileSystem, shop: Shop) -> None:
    converge(fs)
    shop.flip("aws", CAT)
    assert rs.scrub(fs).corrupt == {CAT: ("aws",)}
    shop.put_behind("gcp", "theirs", FOREIGN)
    assert rs.adopt(fs).adopted == ["theirs"]
    assert rs.snapshot(fs).objects == 2
    assert rs.rejoin(fs, "aws") >= 0
    rs.freeze(fs, "why")
    rs.thaw(fs)
    rs.drain(fs, "azure")
    rs.sweep(fs, older_than=0.0)
    rs.damage_report(fs)
    rs.status(fs)
    rs.maintain(fs)


def test_no_call_of_a_store_leaves_anything_on_the_server(tapped, tap):
    fs = tapped.open()
    change(fs, tapped)
    operate(fs, tapped)
    said = see_that_nothing_outlives(tap)
    assert fs.find("") == [CAT, "theirs"]
    assert len({text for text in said if text.startswith((b"INSERT", b"DELETE"))}) > 9


def test_a_lost_catalog_comes_back_without_leaving_anything_on_the_server(tapped, tap, postgres):
    fs = tapped.open()
    fs.write(CAT, THREE)
    rs.snapshot(fs)
    tapped.leave(fs)
    tapped.url = postgres.url_of(postgres.database(), tap.port)
    again = tapped.open()
    assert rs.restore(again).complete
    assert again.cat(CAT) == THREE
    assert len(see_that_nothing_outlives(tap)) > 50
