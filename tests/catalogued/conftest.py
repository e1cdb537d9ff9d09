"""A shop of one's own for each test, closed at its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import resilient_store as rs
from tests.catalogued.stage import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
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
