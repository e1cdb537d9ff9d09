"""A shop of one's own for each test, closed at its end."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import resilient_store as rs
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


@pytest.fixture
def shop(place: str | None) -> Iterator[Shop]:
    with tempfile.TemporaryDirectory(prefix="shop-", dir=place) as folder:
        shop = Shop(Path(folder))
        yield shop
        shop.close()


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
