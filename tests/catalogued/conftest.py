"""A shop of one's own for each test, closed at its end."""

from __future__ import annotations

import contextlib
import importlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import resilient_store as rs
from tests.catalogued.postgresql import PostgresShop
from tests.catalogued.servers import on_servers
from tests.catalogued.stage import Shop

__all__ = ["on_servers"]

IN_MEMORY = "/dev/shm"


def _keeps_attributes(folder: str) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            os.setxattr(file.name, "user.resilient.probe", b"1")
    except (AttributeError, OSError):
        return False
    return True


@pytest.fixture(scope="session")
def place() -> str | None:
    """Return a disk in memory that does what disks do: a busy real one stalls for seconds."""
    return IN_MEMORY if _keeps_attributes(IN_MEMORY) else None


@pytest.fixture(scope="session", autouse=True)
def _loaded() -> None:
    """Load what a catalog needs before anybody counts the seconds that a call of it takes."""
    importlib.import_module("resilient_store.catalog.database")
    importlib.import_module("resilient_store.catalog.opening")
    importlib.import_module("resilient_store.catalog.sqlite")


@contextlib.contextmanager
def built(kind: type[Shop], place: str | None, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Build a shop in a folder of its own, and close it in the end."""
    with tempfile.TemporaryDirectory(prefix="shop-", dir=place) as folder:
        shop = kind(Path(folder))
        if isinstance(shop, PostgresShop):
            shop.keep_catalog_on(request.getfixturevalue("postgres"))
        yield shop
        shop.close()


CATALOGS = [
    pytest.param(Shop, id=pytest.HIDDEN_PARAM),
    pytest.param(PostgresShop, id="postgresql", marks=pytest.mark.matrix),
]


@pytest.fixture(params=CATALOGS)
def shop(request: pytest.FixtureRequest, place: str | None) -> Iterator[Shop]:
    """Build it over a catalog in SQLite; the matrix, over one in PostgreSQL, too."""
    with built(request.param, place, request) as shop:
        yield shop


@pytest.fixture
def fs(shop: Shop) -> rs.ResilientFileSystem:
    """Open a store that is new and empty, so that its catalog is complete."""
    return shop.open()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave most of the many patterns to the matrix: what is got and put with them is tried."""
    for item in items:
        rarely = "OneDead" in item.nodeid or "TestCopy" in item.nodeid
        if rarely and "glob_edge_cases" in item.name:
            item.add_marker(pytest.mark.matrix)
