"""Every database is put through one suite."""

from __future__ import annotations

import pytest

from resilient_store.testing.conformance import CatalogConformance, Catalogs


class TestFile(CatalogConformance):
    @pytest.fixture
    def catalogs(self, opened, file_url):
        return Catalogs(lambda: opened(file_url))


class TestMemory(CatalogConformance):
    @pytest.fixture
    def catalogs(self, opened):
        database = opened("sqlite://")
        return Catalogs(lambda: database)


class TestPostgres(CatalogConformance):
    @pytest.fixture
    def catalogs(self, opened, postgres_url):
        return Catalogs(lambda: opened(postgres_url))
