"""The photo shop of the catalogued tests, for what an operator runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.catalogued.conftest import _loaded, built, fs, place
from tests.catalogued.servers import on_servers
from tests.catalogued.stage import Shop

__all__ = ["_loaded", "fs", "on_servers", "place"]


@pytest.fixture
def shop(request: pytest.FixtureRequest, place: str | None) -> Iterator[Shop]:
    """Build it over a catalog in SQLite, or of the kind that a test names."""
    with built(getattr(request, "param", Shop), place, request) as shop:
        yield shop
