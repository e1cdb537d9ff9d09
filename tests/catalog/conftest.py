"""Catalogs to test with: files, memory, and databases of one PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from resilient_store.catalog.contract import Database
from resilient_store.catalog.location import locate
from resilient_store.catalog.opening import database_at
from tests.servers.postgres import Postgres


@pytest.fixture
def opened() -> Iterator[Callable[..., Database]]:
    """Open databases, and close them in the end."""
    databases = []

    def open_it(url: str, **options) -> Database:
        databases.append(database_at(locate(url), **options))
        return databases[-1]

    yield open_it
    for database in databases:
        database.close()


@pytest.fixture
def file_url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/catalog.db"


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    return postgres.url_of(postgres.database())


@pytest.fixture(params=["file_url", "postgres_url"], ids=["sqlite", "postgresql"])
def url(request) -> str:
    """Put a test to each kind of database."""
    return request.getfixturevalue(request.param)
