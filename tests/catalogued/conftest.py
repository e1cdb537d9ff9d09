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
