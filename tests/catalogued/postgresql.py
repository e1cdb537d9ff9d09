"""The photo shop with its catalog in PostgreSQL, which is what several machines share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.catalogued.stage import Shop
from tests.servers.postgres import Postgres


class PostgresShop(Shop):
    """The same directories, and a catalog in a server's database."""

    server: Postgres
    url: str

    def keep_catalog_on(self, server: Postgres) -> None:
        """Take an empty database of a server; call it before the store is opened."""
        self.server = server
        self.url = server.url_of(server.database())

    @property
    def catalog(self) -> Path:
        pytest.skip("it is about a catalog's file")

    def settings(self, catalog: str = "", **options: Any) -> dict[str, Any]:
        if catalog:
            return super().settings(catalog, **options)
        return {**super().settings("none.db", **options), "catalog": self.url}

    def lose_catalog(self) -> None:
        self.server.kill()

    def bring_catalog_back(self) -> None:
        self.server.start()
