"""What is made of a database's rows is kept for a while, and never believed where they changed."""

from __future__ import annotations

import attrs
import pytest

from resilient_store.catalog import database as module
from resilient_store.model.state import StoreState
from resilient_store.testing.conformance.tables import held, store
from tests.catalog.steps import put

STATE = StoreState(identity="x", complete=True)


@pytest.fixture
def database(opened, url):
    database = opened(url)
    database.prepare()
    database.change_state(lambda *_: STATE)
    return database


def test_a_record_is_made_anew_exactly_where_its_rows_changed(opened, url, database):
    put(database, "a")
    first, _ = database.find("a")
    put(database, "b")
    assert database.find("a")[0] is first
    for version in (2, 3):
        put(opened(url), "a", version)  # another process
        assert database.find("a")[0].entry.version == version
    store(opened(url), held("a", "aws", "gcp", version=3))
    assert sorted(database.find("a")[0].replicas) == ["aws", "gcp"]


def test_the_stores_state_is_made_anew_exactly_where_its_rows_changed(opened, url, database):
    first = database.state()
    assert database.state() is first
    opened(url).change_state(lambda state, _: attrs.evolve(state, restoring="half of it"))
    assert database.state() == attrs.evolve(STATE, restoring="half of it")
    assert database.find("nothing")[1] == database.state()


def test_p6_nothing_large_is_kept(database):
    large = b"1" * (module.REMEMBERED_BYTES + 32)
    record = held("large", "aws", version=1)
    content = attrs.evolve(record.entry.content, size=len(large) << 15, chunks=large)
    store(database, attrs.evolve(record, entry=attrs.evolve(record.entry, content=content)))
    assert database.find("large")[0].entry.content.chunks == large
    assert not database._lately


def test_p6_no_more_than_so_many_records_are_kept(database):
    for number in range(3 * module.REMEMBERED):
        put(database, f"{number}")
        database.find(f"{number}")
        assert len(database._lately) <= module.REMEMBERED
