"""What the tests of catalogs do to a path, and the end of a call in time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from resilient_store.catalog.contract import Database
from resilient_store.testing.conformance.tables import held, load, store

ENDS_WITHIN_S = 2.0


def put(database: Database, path: str, version: int = 1) -> None:
    store(database, held(path, "aws", version=version))


def version_of(database: Database, path: str) -> int:
    entry = load(database, path).entry
    return 0 if entry is None else entry.version


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    began_s = time.monotonic()
    yield
    assert time.monotonic() - began_s < ENDS_WITHIN_S
