"""One suite for everything of a kind: what passes it may stand in for any other that does."""

from __future__ import annotations

import pytest

for _suite in (
    "backend",
    "cancelled",
    "catalog",
    "catalog_listings",
    "catalog_races",
    "pages",
    "store",
    "tables",
):
    pytest.register_assert_rewrite(f"{__name__}.{_suite}")

from resilient_store.testing.conformance.backend import (  # noqa: E402 - rewritten first
    BackendConformance,
    skipped,
)
from resilient_store.testing.conformance.catalog import (  # noqa: E402 - as above
    CatalogConformance,
)
from resilient_store.testing.conformance.store import StoreConformance  # noqa: E402 - as above
from resilient_store.testing.conformance.subject import Subject  # noqa: E402 - as above
from resilient_store.testing.conformance.tables import Catalogs  # noqa: E402 - as above

__all__ = [
    "BackendConformance",
    "CatalogConformance",
    "Catalogs",
    "StoreConformance",
    "Subject",
    "skipped",
]
