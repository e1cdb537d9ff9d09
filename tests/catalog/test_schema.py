"""The tables: as they were first shipped, which release may use them, and how they are upgraded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from resilient_store.catalog import schema, statements
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.catalog.driver import STORE
from resilient_store.catalog.upgrade import STEPS, Step, upgrade
from resilient_store.errors import ConfigurationError
from resilient_store.model.state import (
    BackendRow,
    Content,
    Entry,
    Intent,
    Replica,
    StoreState,
    Void,
)
from resilient_store.testing.conformance.tables import begin, draw, held, load, store
from tests.catalog.steps import put, version_of

HERE = Path(__file__).parent


def frozen(dialect: str, number: int) -> list[str]:
    """Return the statements by which a release made its tables."""
    text = (HERE / f"schema_{number}_{dialect}.sql").read_text("utf-8")
    return [line.removesuffix(";") for line in text.splitlines() if not line.startswith("--")]


def make_tables(database, number: int) -> None:
    """Make a catalog as an earlier release did."""
    driver = database.driver
    texts = frozen(driver.dialect, number)
    there = (statements.statements(driver.dialect).exists, {})
    driver.create([(text, {}) for text in texts], there)


def say(database, **numbers: int) -> None:
    sql = statements.statements(database.driver.dialect)
    rows = [(sql.put_setting, {"name": n, "value": str(v)}) for n, v in numbers.items()]
    database.driver.transact([STORE], [], lambda *_: rows)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_tables_of_this_schema_are_frozen(dialect):
    """Whoever changes a table adds a schema, a step to it, and its own frozen copy."""
    numbers = {"schema": schema.SCHEMA, "oldest": schema.OLDEST_ALLOWED}
    rows = [f"('{name}', '{value}')" for name, value in numbers.items()]
    said = [f"INSERT INTO resilient_settings (name, value) VALUES {row}" for row in rows]
    assert [*schema.creation(dialect), *said] == frozen(dialect, schema.SCHEMA)


@pytest.mark.parametrize("number", range(schema.OLDEST_READABLE, schema.SCHEMA + 1))
def test_every_schema_that_this_release_reads_works(opened, url, number):
    database = opened(url)
    make_tables(database, number)
    database.prepare()
    begin(database, "a/b")
    store(database, held("a/c", "aws", "gcp"))
    assert [line.path for line in database.page("a/", "", 9)] == ["a/c"]
    assert (database.owed("", 9), draw(database) > 1) == (["a/b"], True)


@pytest.mark.parametrize(
    ("table", "model", "otherwise"),
    [
        (schema.entries, (Entry, Content, Entry), {"content", "headers", "derived_from"}),
        (schema.replicas, (Replica,), set()),
        (schema.intents, (Intent,), set()),
        (schema.voids, (Void,), set()),
        (schema.backends, (BackendRow,), set()),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_every_field_has_a_column(table, model, otherwise):
    fields = {field.name for kind in model for field in attrs.fields(kind)} - otherwise
    assert fields <= {column.name for column in table.c}


def test_a_newer_schema_that_lets_us_is_used(opened, url):
    database = opened(url)
    database.prepare()
    say(database, schema=schema.SCHEMA + 5, oldest=schema.SCHEMA)
    other = opened(url)
    other.prepare()
    put(other, "a")
    assert version_of(other, "a") == 1


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"schema": schema.SCHEMA + 5, "oldest": schema.SCHEMA + 1}, "newer release"),
        ({"schema": schema.OLDEST_READABLE - 1, "oldest": 0}, "upgrade the catalog first"),
    ],
)
def test_tables_that_this_release_cannot_use_are_refused_and_left_alone(
    opened, url, numbers, words
):
    database = opened(url)
    database.prepare()
    put(database, "a")
    say(database, **numbers)
    with pytest.raises(ConfigurationError, match=words):
        opened(url).prepare()
    assert load(database, "a") == held("a", "aws")


def test_tables_that_do_not_say_their_schema_are_refused(opened, url):
    database = opened(url)
    database.prepare()
    sql = statements.statements(database.driver.dialect)
    database.driver.transact([STORE], [], lambda *_: [(sql.drop_setting, {"name": "schema"})])
    with pytest.raises(CatalogDownError, match="do not say of which schema"):
        opened(url).prepare()


def test_an_upgrade_is_one_transaction_and_says_what_it_did(opened, url):
    database = opened(url)
    database.prepare()
    put(database, "a")
    add = "ALTER TABLE resilient_backends ADD COLUMN place {}"
    both = {"sqlite": (add.format("VARCHAR"),), "postgresql": (add.format("VARCHAR"),)}
    broken = dict.fromkeys(both, ("CREATE TABLE resilient_new (a VARCHAR)", "no statement at all"))
    first = schema.SCHEMA
    with pytest.raises(Exception, match="refuses"):
        upgrade(database.driver, {first: Step(both, first), first + 1: Step(broken, first)})
    assert upgrade(database.driver, {first: Step(both, first)}) == (first, first + 1)
    assert upgrade(database.driver, {first: Step(both, first)}) == (first + 1, first + 1)
    database.prepare()
    assert version_of(database, "a") == 1


def test_the_steps_lead_to_this_schema():
    assert sorted(STEPS) == list(range(1, schema.SCHEMA))


def test_nothing_of_sqlalchemy_is_loaded_before_a_database_is_opened():
    script = (
        "import sys, resilient_store.catalog.catalog as c; c.Catalog('sqlite://');"
        "print([m for m in ('sqlalchemy', 'psycopg') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_no_statement_counts_rows_off():
    for dialect in ("sqlite", "postgresql"):
        for text in attrs.astuple(statements.statements(dialect)):
            assert "OFFSET" not in text


PLANS = {
    "page": "COVERING INDEX resilient_listing",
    "page_on": "COVERING INDEX resilient_listing",
    "names": "COVERING INDEX resilient_listing",
    "names_on": "COVERING INDEX resilient_listing",
    "has_below": "COVERING INDEX resilient_listing",
    "folded": "resilient_folded",
    "held_by": "resilient_held",
    "holdings": "COVERING INDEX resilient_listing",
    "holdings_on": "COVERING INDEX resilient_listing",
    "totals": "COVERING INDEX resilient_listing",
    "alike": "COVERING INDEX resilient_listing",
    "lost": "COVERING INDEX resilient_listing",
    "tokens": "resilient_staged",
    "load": "PRIMARY KEY",
    "owed": "resilient_queue",
    "queue": "resilient_queue",
    "hidden": "resilient_tombstones",
}


@pytest.mark.parametrize("name", PLANS)
def test_sqlite_finds_its_way_by_an_index(opened, file_url, name):
    database = opened(file_url)
    database.prepare()
    text = getattr(statements.statements("sqlite"), name)
    given = dict.fromkeys(("path", "bucket", "low", "high", "limit", "folded"), 1)
    given |= {"tokens": "[]", "backend": "aws", "after": ""}
    found = database.driver.ask((f"EXPLAIN QUERY PLAN {text}", given))
    plan = [row[3] for row in found]
    assert any(PLANS[name] in step for step in plan), plan
    tables = [step for step in plan if step.startswith("SCAN resilient_")]
    assert not [step for step in tables if "USING" not in step], plan


def test_what_another_release_notes_of_the_store_is_left_alone(opened, url):
    database = opened(url)
    database.prepare()
    database.change_state(lambda *_: StoreState(identity="a store"))
    say(database, later=7)
    after = database.change_state(lambda state, _: attrs.evolve(state, complete=True))
    assert after == StoreState(identity="a store", complete=True)
    sql = statements.statements(database.driver.dialect)
    said = dict(database.driver.ask((sql.settings, {})))
    assert (said["later"], said["complete"]) == ("7", "1")
