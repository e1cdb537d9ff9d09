"""PostgreSQL that is killed, hangs, is cut off or held up; and what is left on it."""

from __future__ import annotations

import logging
import re
import socket
import struct
import threading
import traceback
from urllib.parse import quote

import psycopg
import pytest

from resilient_store.catalog import postgres as driver
from resilient_store.catalog.contract import CatalogDownError, CommitUnknownError
from resilient_store.errors import ConfigurationError
from resilient_store.model.state import StoreState
from resilient_store.testing.conformance.tables import ask, at_once, draw, held, load, store
from tests.catalog.steps import in_time, put, version_of
from tests.servers import canaries
from tests.servers.ports import LOOPBACK
from tests.servers.tap import Tap

CALLS = {
    "find": lambda database: database.find("a"),
    "change": lambda database: put(database, "b"),
    "state": lambda database: database.state(),
    "change_state": lambda database: database.change_state(
        lambda s, _: s or StoreState(identity="x")
    ),
    "page": lambda database: database.page("", "", 10),
    "raise_counter": lambda database: database.raise_counter(7),
    "now_s": lambda database: database.now_s(),
    "prepare": lambda database: database.prepare(),
}


@pytest.fixture
def database(opened, postgres_url):
    database = opened(postgres_url)
    database.prepare()
    put(database, "a")
    return database


@pytest.fixture
def tap(postgres):
    with Tap(postgres.port) as tap:
        yield tap


@pytest.fixture
def tapped(opened, postgres, tap, postgres_url):
    database = opened(postgres.url_of(postgres_url.rpartition("/")[2], tap.port))
    database.prepare()
    return database


@pytest.fixture
def behind(postgres, postgres_url):
    """Look at the tables with another client."""
    name = postgres_url.rpartition("/")[2]
    with psycopg.connect(postgres.conninfo(name), autocommit=True) as connection:
        yield connection


def test_a_server_that_hangs_is_given_up_in_time(postgres, database):
    with postgres.hung():
        for call in ("find", "change", "prepare"):
            with in_time(), pytest.raises(CatalogDownError):
                CALLS[call](database)
    assert version_of(database, "a") == 1


@pytest.mark.matrix
@pytest.mark.parametrize("call", CALLS)
def test_every_call_to_a_server_that_hangs_ends_in_time(postgres, database, call):
    with postgres.hung(), in_time(), pytest.raises(CatalogDownError):
        CALLS[call](database)


def test_a_server_that_was_killed_is_down_and_then_back(postgres, database):
    postgres.kill()
    for call in CALLS.values():
        with in_time(), pytest.raises(CatalogDownError):
            call(database)
    postgres.start()
    for call in CALLS.values():
        call(database)
    assert version_of(database, "a") == 1


def test_connections_that_went_stale_are_replaced_in_silence(postgres, database, caplog):
    at_once([lambda: database.find("a") for _ in range(8)])
    postgres.stop()
    postgres.start()
    with caplog.at_level(logging.INFO):
        for call in CALLS.values():
            call(database)
    assert not caplog.records


def test_a_server_killed_in_the_middle_of_a_change_has_stored_none_of_it(postgres, database):
    def kill(record, moment):
        postgres.kill()
        return record.with_replicas(record.replica("gcp")), None

    with in_time(), pytest.raises(CatalogDownError):
        ask(database, "a", kill)
    postgres.start()
    assert "gcp" not in load(database, "a").replicas


@pytest.mark.parametrize("way", ["before", "after", "silent"])
def test_an_answer_lost_in_commit_leaves_the_outcome_unknown(tap, tapped, database, way):
    tap.cut(b"COMMIT\0", way)
    with in_time(), pytest.raises(CommitUnknownError):
        put(tapped, "new")
    assert version_of(database, "new") == (0 if way == "before" else 1)
    put(tapped, "new", version=2)
    assert version_of(database, "new") == 2


def test_a_connection_lost_before_anything_was_sent_is_replaced(tap, tapped):
    tap.cut(b"BEGIN", "before")
    put(tapped, "new")
    assert version_of(tapped, "new") == 1


@pytest.mark.parametrize("way", ["before", "after", "silent"])
def test_connections_that_are_always_lost_mean_that_the_catalog_is_down(tap, tapped, database, way):
    tap.cut(b"BEGIN", way, times=9)
    with in_time(), pytest.raises(CatalogDownError) as said:
        put(tapped, "new")
    assert not isinstance(said.value, CommitUnknownError)
    assert version_of(database, "new") == 0


def test_a_connection_lost_while_a_number_is_drawn_is_replaced(tap, tapped):
    first = draw(tapped)
    tap.cut(b"nextval", "before")
    assert draw(tapped) > first


@pytest.mark.parametrize("code", sorted(driver._RACES))
def test_a_race_that_was_lost_is_run_again(database, behind, code):
    behind.execute("CREATE SEQUENCE tries")
    lose = f"IF nextval('tries') < 3 THEN RAISE EXCEPTION USING ERRCODE = '{code}'; END IF;"
    behind.execute(
        f"CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql"
        f" AS $$ BEGIN {lose} RETURN NEW; END $$"
    )
    behind.execute(
        "CREATE TRIGGER lose BEFORE INSERT ON resilient_entries"
        " FOR EACH ROW EXECUTE FUNCTION lose()"
    )
    put(database, "new")
    assert version_of(database, "new") == 1
    assert behind.execute("SELECT last_value FROM tries").fetchone() == (3,)


def test_a_question_larger_than_any_buffer_is_answered_or_given_up_in_time(postgres, database):
    many = [f"{number}{'x' * 800}" for number in range(20_000)]
    assert database.present([*many, "a"]) == ["a"]
    with postgres.hung(), in_time(), pytest.raises(CatalogDownError):
        database.present(many)


def test_a_lock_that_is_not_to_be_had_is_given_up_in_time(database, behind):
    with behind.transaction():
        behind.execute(*driver._locks(["a"])[1])
        with in_time(), pytest.raises(CatalogDownError, match="others have held it"):
            put(database, "a", version=2)
        put(database, "b")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    assert behind.execute(waiting).fetchone() == (0,)
    put(database, "a", version=3)


def test_who_is_stopped_in_the_middle_of_a_change_holds_nobody_up_for_ever(database, monkeypatch):
    monkeypatch.setattr(driver, "IDLE_MS", 200)
    stopped, goes_on = threading.Event(), threading.Event()

    def stop(record, moment):
        stopped.set()
        goes_on.wait(5)
        return record.with_replicas(record.replica("late")), None

    def wait_for_it():
        assert stopped.wait(5)
        try:
            put(database, "a", version=2)
        finally:
            goes_on.set()

    first, second = at_once([lambda: ask(database, "a", stop), wait_for_it])
    assert isinstance(first, CatalogDownError)
    assert second is None
    assert version_of(database, "a") == 2
    assert "late" not in load(database, "a").replicas


def test_a_value_that_is_no_text_leaves_nothing_half_said(database, behind):
    """Its connection is not lent again with a statement on its way, or a lock."""
    with pytest.raises(UnicodeEncodeError):
        store(database, held("a", "aws", "\ud800", version=2))
    for path in ("a", "b"):
        put(database, path, version=3)
    assert version_of(database, "a") == 3
    ours = "SELECT DISTINCT state FROM pg_stat_activity WHERE application_name = %s"
    assert behind.execute(ours, ["resilient_store"]).fetchall() == [("idle",)]


def test_numbers_that_were_drawn_outlive_a_crash(postgres, database):
    drawn = [draw(database) for _ in range(3)]
    postgres.kill()
    postgres.start()
    assert draw(database) > max(drawn)


def test_no_more_than_eight_connections_are_made(database, behind):
    at_once([lambda: [database.find("a") for _ in range(5)] for _ in range(24)])
    ours = "SELECT state, count(*) FROM pg_stat_activity WHERE application_name = %s GROUP BY state"
    ((state, count),) = behind.execute(ours, ["resilient_store"]).fetchall()
    assert state == "idle"  # no transaction is left open
    assert count <= driver.CONNECTIONS


# --- a pooler in the mode of transactions gives each of them another connection --------------

SESSION_STATE = re.compile(
    rb"\b(SET|RESET|DISCARD|LISTEN|NOTIFY|PREPARE|EXECUTE|DECLARE|TEMP|TEMPORARY|LOAD)\b"
    rb"|pg_advisory_lock|currval|lastval|set_config\([^)]*false\)",
    re.IGNORECASE,
)


ENCRYPTION = (80877103, 80877104)  # what a client asks for before its first message


def messages(said: bytes):
    """Take apart what a client said: the kind and the body of each message but the first."""
    at, code = 0, ENCRYPTION[0]
    while code in ENCRYPTION:
        length, code = struct.unpack_from("!ii", said, at)
        at += length
    while at < len(said):
        kind, length = said[at : at + 1], struct.unpack_from("!i", said, at + 1)[0]
        yield kind, said[at + 5 : at + 1 + length]
        at += 1 + length


def see_that_nothing_outlives(tap: Tap) -> list[bytes]:
    """Look for what would stay on a connection after its transaction; return all that was said."""
    parsed = [body for said in tap.said for kind, body in messages(bytes(said)) if kind == b"P"]
    texts = [body.split(b"\0")[1] for body in parsed]
    assert {body.split(b"\0")[0] for body in parsed} == {b""}  # no statement has a name
    own_words = [re.sub(rb"INSERT.*SET|AS \w+", b"", text) for text in texts]
    assert not [text for text in own_words if SESSION_STATE.search(text)]
    return texts


def test_nothing_outlives_a_transaction_on_the_server(tap, tapped):
    for call in CALLS.values():
        call(tapped)
    for path in ("a", "b"):
        put(tapped, path)
    ask(tapped, "a", lambda record, moment: (record, moment.new_id()))
    assert len(see_that_nothing_outlives(tap)) > 50


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["synchronous_commit"])
def test_a_server_that_may_lose_what_it_acknowledges_is_refused(
    opened, postgres_url, behind, setting
):
    name = postgres_url.rpartition("/")[2]
    behind.execute(f"ALTER DATABASE {name} SET {setting} = off")
    with pytest.raises(ConfigurationError, match="acknowledges what it may lose"):
        opened(postgres_url).prepare()


def test_a_database_in_another_encoding_is_refused(opened, postgres, behind):
    behind.execute(
        "CREATE DATABASE other ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    with pytest.raises(ConfigurationError, match="UTF8"):
        opened(postgres.url_of("other")).prepare()
    behind.execute("DROP DATABASE other WITH (FORCE)")


def test_tables_that_are_not_there_are_said(opened, postgres_url):
    with pytest.raises(CatalogDownError, match="its tables are not there"):
        opened(postgres_url).find("a")


def test_an_option_that_postgresql_does_not_know_is_refused(opened, postgres_url):
    with pytest.raises(ConfigurationError):
        opened(f"{postgres_url}?no_such_option=1")


def refusal(text: bytes) -> bytes:
    """Return what a server says to whom it does not let in."""
    body = b"SFATAL\0C28P01\0M" + text + b"\0\0"
    return b"E" + struct.pack("!i", len(body) + 4) + body


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (b"", "did not answer in time"),
        (refusal(b'password authentication failed for user "x"'), "refuses the user or the passw"),
        (refusal(b"the database system is starting up"), "cannot be reached"),
    ],
    ids=["nothing", "password", "starting"],
)
def test_why_a_server_lets_nobody_in_is_said(opened, says, words):
    with socket.create_server((LOOPBACK, 0)) as listening:

        def answer():
            client, _ = listening.accept()
            with client:
                client.recv(4096)
                client.sendall(says)
                client.recv(1)  # until it goes away

        thread = threading.Thread(target=answer)
        thread.start()
        where = f"{LOOPBACK}:{listening.getsockname()[1]}"
        database = opened(f"postgresql+psycopg://x@{where}/d?sslmode=disable&gssencmode=disable")
        with in_time(), pytest.raises(CatalogDownError, match=words):
            database.find("a")
        thread.join()


@pytest.mark.parametrize("where", ["closed", "wrong password", "no such database"])
def test_no_credential_is_in_any_error(opened, postgres, behind, where):
    secret = canaries.S3_SECRET
    behind.execute("DROP ROLE IF EXISTS kept_out")
    behind.execute("CREATE ROLE kept_out")  # may not log in
    user = "kept_out" if where == "wrong password" else "postgres"
    port = 1 if where == "closed" else postgres.port
    name = "no_such" if where == "no such database" else "postgres"
    url = f"postgresql+psycopg://{user}:{quote(secret, safe='')}@127.0.0.1:{port}/{name}"
    database = opened(url)
    with pytest.raises(CatalogDownError) as said:
        database.find("a")
    told = "".join(traceback.format_exception(said.value))
    chain = [said.value, said.value.__cause__, said.value.__context__]
    assert chain[1:] == [None, None]
    for half in (secret[: len(secret) // 2], quote(secret, safe="")[: len(secret) // 2]):
        assert half not in told + repr(said.value) + repr(database.driver._location)
