"""What every catalog's database must do. Subclass `CatalogConformance`, and say what to test.

class TestTape(CatalogConformance):
@pytest.fixture
def catalogs(self):
yield Catalogs(lambda: TapeDatabase("tape-1"))
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from resilient_store.catalog.contract import Database, single
from resilient_store.model.info import Headers
from resilient_store.model.state import (
    OWN,
    BackendRow,
    Content,
    Entry,
    Frozen,
    Intent,
    Phase,
    Record,
    Replica,
    State,
    StoreState,
    Void,
)
from resilient_store.protocol import transactions as rules
from resilient_store.protocol.transactions import Begun, Busy, Moment, TakenOver, Wish
from resilient_store.testing.conformance import records as drawn

A = TypeVar("A")

Z_S = 900.0
WISH = Wish(kind="write", placed=("aws", "gcp"), owner="me", lease_s=60.0)
RACERS = 8
LAST = "\U0010ffff"

_many = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@attrs.frozen
class Catalogs:
    """One catalog's tables, empty, and ways to them.

    Attributes
    ----------
    again
        Opens them as another process does; a database that is gone with its process returns the
        same one each time.
    threads
        Whether several threads may ask at once.
    """

    again: Callable[[], Database]
    threads: bool = True


class UndoError(Exception):
    """Raised within a change, which must undo it."""


def store(database: Database, record: Record) -> None:
    """Make a path's record this one, whatever it was; its purge counter only ever grows."""

    def replace(before: Record, _: Moment) -> tuple[Record, None]:
        return attrs.evolve(record, purges=before.purges + record.purges), None

    database.change([record.path], Z_S, single(replace))


def load(database: Database, path: str) -> Record:
    """Load a path's record."""
    return database.find(path)[0]


def ask(database: Database, path: str, change: Callable[[Record, Moment], tuple[Record, A]]) -> A:
    """Change a path's record."""
    return database.change([path], Z_S, single(change))


def begin(database: Database, path: str, wish: Wish = WISH) -> Any:
    """Begin a write."""
    return ask(database, path, lambda record, moment: rules.begin(record, moment, wish))


def draw(database: Database) -> int:
    """Draw a number of the store's counter."""
    return ask(database, "counter", lambda record, moment: (record, moment.new_id()))


def held(path: str, *backends: str, version: int = 1) -> Record:
    """Return an object that lies on some backends as it should."""
    row = Replica(backend="", version=version, state=State.GOOD, place=OWN)
    rows = {name: attrs.evolve(row, backend=name) for name in backends}
    entry = Entry(path=path, version=version, content=Content(size=len(path), checksum="c"))
    return Record(path=path, entry=entry, replicas=rows)


def tombstone(path: str) -> Record:
    """Return a path whose object was deleted."""
    return Record(path=path, entry=Entry(path=path, version=1, content=None))


def pages(
    ask_page: Callable[[str, int], Sequence[A]], key: Callable[[A], str], size: int
) -> list[A]:
    """Turn every page, of so many rows."""
    found: list[A] = []
    while page := ask_page(key(found[-1]) if found else "", size):
        assert len(page) <= size
        found += page
    return found


def at_once(calls: Sequence[Callable[[], A]]) -> list[A | Exception]:
    """Make calls in as many threads, all at the same moment."""
    start = threading.Barrier(len(calls))
    answers: list[A | Exception] = [RuntimeError("did not end")] * len(calls)

    def run(number: int) -> None:
        start.wait()
        try:
            answers[number] = calls[number]()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            answers[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


class CatalogConformance:
    """Subclass it and give it a fixture `catalogs`, whose tables are empty each time."""

    @pytest.fixture
    def database(self, catalogs: Catalogs) -> Iterator[Database]:
        """Open one, with its tables made."""
        database = catalogs.again()
        database.prepare()
        yield database
        database.close()

    def test_a_new_catalog_knows_nothing(self, database: Database) -> None:
        """And says so in every way."""
        assert database.state() is None
        assert database.find("a") == (Record(path="a"), None)
        assert database.page("", "", 10) == []
        for listed in (database.owed("", 10), database.hidden("", "", 10)):
            assert listed == []
        assert (database.has_below(""), database.present(["a"]), database.folded("a")) == (
            False,
            [],
            [],
        )
        assert (database.without("aws", "", 10), database.held_by("aws", "", 10)) == ([], [])
        assert database.tokens(["1-1"]) == set()

    def test_preparing_again_changes_nothing(self, catalogs: Catalogs, database: Database) -> None:
        """Neither by this process nor by another."""
        store(database, held("a", "aws"))
        database.prepare()
        catalogs.again().prepare()
        assert load(database, "a") == held("a", "aws")

    @given(data=st.data())
    @_many
    def test_every_field_comes_back(self, database: Database, data: st.DataObject) -> None:
        """From one record of a path to any other, with whatever text and numbers."""
        path = data.draw(drawn.paths())
        before = load(database, path).purges
        for record in data.draw(st.lists(drawn.records(path), min_size=1, max_size=3)):
            store(database, record)
            assert load(database, path) == attrs.evolve(record, purges=before)
        record = load(database, path)
        present, places = record.present is not None, {r.place for r in record.replicas.values()}
        owed = record.intent is not None or bool(record.voids) or (record.entry and not present)
        owed = owed or any(map(record.owes, record.replicas.values()))
        assert (path in database.owed("", 10**6)) == bool(owed)
        assert database.present([path, "else"]) == [path] * present
        assert [line.path for line in database.page(path, "", 1)] == [path] * present
        staged = {place for place in places if place not in (None, OWN)}
        staged |= set() if record.intent is None else {record.intent.token}
        assert database.tokens([*staged, "0-0"]) == staged
        store(database, Record(path=path))
        assert load(database, path) == Record(path=path, purges=before)

    @given(states=st.lists(drawn.states(), min_size=1, max_size=3))
    @_many
    def test_the_stores_state_comes_back(
        self, database: Database, states: list[StoreState]
    ) -> None:
        """From any state to any other, and it is said where a path has no entry, and only there."""
        for state in states:
            assert database.change_state(lambda _, __, state=state: state) == state
            assert database.state() == state
        store(database, held("there", "aws"))
        assert database.find("there")[1] is None
        assert database.find("absent") == (Record(path="absent"), states[-1])
        seen = ask(database, "absent", lambda record, moment: (record, moment.store))
        assert seen == states[-1]

    def test_a_state_is_changed_from_what_it_was(self, database: Database) -> None:
        """Each change sees the one before, and the catalog's clock."""
        first = StoreState(identity="x", backends={"aws": BackendRow(name="aws")})
        said: list[tuple[StoreState | None, float]] = []

        def note(state: StoreState | None, now_s: float) -> StoreState:
            said.append((state, now_s))
            return first if state is None else attrs.evolve(state, complete=True, frozen=None)

        began_s = database.now_s()
        database.change_state(note)
        assert database.change_state(note) == attrs.evolve(first, complete=True)
        assert [state for state, _ in said] == [None, first]
        assert began_s <= said[0][1] <= said[1][1] <= database.now_s()

    def test_nothing_is_known_of_a_store_without_identity(self, database: Database) -> None:
        """A change before the first meeting gets a store of which nothing is certain."""
        assert ask(database, "a", lambda r, moment: (r, moment.store)) == StoreState(identity="")

    # --- one transaction ------------------------------------------------------------------

    def test_records_are_given_in_the_callers_order(self, database: Database) -> None:
        """Whatever order they are locked in."""
        for path in ("b", "a"):
            store(database, held(path, "aws"))

        def swap(records: tuple[Record, ...], _: Moment) -> tuple[tuple[Record, ...], list[str]]:
            first, second = records
            return (first, Record(path="a")), [first.path, second.path]

        assert database.change(["b", "a"], Z_S, swap) == ["b", "a"]
        assert database.present(["a", "b"]) == ["b"]

    def test_a_change_that_raises_changes_nothing(self, database: Database) -> None:
        """None of several paths; and the numbers that it drew are not drawn again."""
        store(database, held("a", "aws"))
        used: list[int] = []

        def fail(record: Record, moment: Moment) -> tuple[Record, None]:
            used.append(moment.new_id())
            raise UndoError

        for _ in range(2):
            with pytest.raises(UndoError):
                ask(database, "a", fail)
        with pytest.raises(UndoError):
            database.change_state(lambda *_: (_ for _ in ()).throw(UndoError()))
        assert load(database, "a") == held("a", "aws")
        assert database.state() is None
        assert draw(database) > used[1] > used[0]

    def test_the_moment_is_the_catalogs(self, database: Database) -> None:
        """Its clock and the late window reach whoever decides."""
        before_s = database.now_s()
        moment = ask(database, "a", lambda record, moment: (record, moment))
        assert before_s <= moment.now_s <= database.now_s()
        assert moment.late_window_s == Z_S

    def test_numbers_are_never_drawn_twice(self, catalogs: Catalogs, database: Database) -> None:
        """By nobody, also not after reopening, and they can be made to go on from elsewhere (R7)."""
        first = [draw(database), draw(database)]
        other = catalogs.again()
        numbers = [*first, draw(other), draw(database)]
        other.raise_counter(1000)
        numbers += [draw(database), draw(other)]
        assert numbers[4] >= 1000
        database.raise_counter(5)
        numbers.append(draw(catalogs.again()))
        assert numbers == sorted(set(numbers))

    def test_the_rules_hold_over_the_tables(self, database: Database) -> None:
        """One holder at a time; what it commits is there; who lost the intent changes nothing."""
        begun = begin(database, "a")
        assert isinstance(begun, Begun)
        assert isinstance(begin(database, "a"), Busy)
        placed = {name: rules.Placed(state=State.GOOD, place=OWN, tag="t") for name in WISH.placed}

        def commit(record: Record, moment: Moment, number: int) -> tuple[Record, bool]:
            return rules.commit(
                record,
                moment,
                number,
                content=Content(size=3),
                headers=Headers(),
                placed=placed,
                ends=True,
            )

        assert not ask(database, "a", lambda r, m: commit(r, m, begun.intent.id + 1))
        assert load(database, "a").entry is None
        assert ask(database, "a", lambda r, m: commit(r, m, begun.intent.id))
        assert not ask(database, "a", lambda r, m: commit(r, m, begun.intent.id))
        record = load(database, "a")
        assert record.present is not None
        assert record.present.version == begun.intent.version
        assert (record.intent, len(record.holders()), database.owed("", 9)) == (None, 2, [])

    def test_an_expired_intent_is_taken_over_once(self, database: Database) -> None:
        """By compare-and-set: the first holder finds it gone (R10)."""
        short = attrs.evolve(WISH, lease_s=-1.0)
        begun = begin(database, "a", short)
        taken = begin(database, "a")
        assert isinstance(taken, TakenOver)
        assert isinstance(begin(database, "a"), Busy)
        ended = ask(database, "a", lambda r, m: rules.finish(r, m, begun.intent.id))
        assert not ended
        assert ask(database, "a", lambda r, m: rules.finish(r, m, taken.intent.id, void=True))
        assert load(database, "a").intent is None

    # --- listings -------------------------------------------------------------------------

    @given(
        paths=st.lists(drawn.paths(), min_size=1, max_size=12, unique=True),
        prefix=drawn.paths() | st.just(""),
        size=st.integers(1, 5),
    )
    @example(paths=["a%", "a%b", "ab", "a_", "a", "A%"], prefix="a%", size=1)
    @example(paths=["a_b", "aXb", "a\u0301"], prefix="a_", size=2)
    @example(paths=[LAST, LAST * 2, f"{LAST}/a", "\ue000"], prefix=LAST, size=1)
    @example(paths=[f"a{LAST}", f"a{LAST}b", "b", f"a{LAST * 3}"], prefix=f"a{LAST}", size=1)
    @example(paths=["\ud7ff", "\ud7ffa", "\ue000", "\U00010000"], prefix="\ud7ff", size=1)
    @_many
    def test_listings_are_in_order_of_code_points(
        self, database: Database, paths: list[str], prefix: str, size: int
    ) -> None:
        """A prefix is no pattern, pages join without gap, and what is deleted is not listed."""
        for number, path in enumerate(paths):
            store(database, tombstone(path) if number % 4 == 3 else held(path, "aws"))
        objects = sorted(path for n, path in enumerate(paths) if n % 4 != 3)
        gone = sorted(set(paths) - set(objects))
        for begins in (prefix, "", paths[0], paths[0][:1]):
            listed = pages(
                lambda after, limit, begins=begins: database.page(begins, after, limit),
                lambda line: line.path,
                size,
            )
            assert [line.path for line in listed] == [p for p in objects if p.startswith(begins)]
            hidden = pages(
                lambda after, limit, begins=begins: database.hidden(begins, after, limit), str, size
            )
            assert hidden == [p for p in gone if p.startswith(begins)]
        assert database.present(paths) == [path for path in paths if path in objects]
        for folder in {part for path in paths for part in (path, path.rpartition("/")[0])}:
            below = any(path.startswith(f"{folder}/" if folder else "") for path in objects)
            assert database.has_below(folder) == below
        for path in paths:
            store(database, Record(path=path))

    def test_a_line_says_what_the_entry_says(self, database: Database) -> None:
        """All that a listing shows."""
        entry = Entry(
            path="a/b",
            version=7,
            content=Content(size=5, checksum="abc"),
            headers=Headers(content_type="image/png"),
            created_s=1.25,
            modified_s=2.5,
        )
        store(database, Record(path="a/b", entry=entry))
        (line,) = database.page("a/", "", 5)
        assert attrs.astuple(line) == ("a/b", 7, 5, "abc", "image/png", 1.25, 2.5)

    def test_names_that_differ_only_in_case_or_form_are_found(self, database: Database) -> None:
        """Both ways, but not the name itself nor what is deleted."""
        alike = ["Straße/É.jpg", "STRASSE/e\u0301.JPG", "strasse/é.jpg"]
        for path in [*alike, "strasse/e.jpg"]:
            store(database, held(path, "aws"))
        store(database, tombstone("Strasse/É.jpg"))
        for path in [*alike, "STRASSE/É.JPG"]:
            assert database.folded(path) == sorted(set(alike) - {path})

    def test_what_is_owed_is_every_path_that_is_not_as_it_should_be(
        self, database: Database
    ) -> None:
        """Bad and missing copies, staged ones, intents, voids and tombstones; and no other."""
        stale = held("stale", "aws", "gcp").with_replicas(
            Replica(backend="aws", version=1, state=State.STALE)
        )
        staged = held("staged", "aws").with_replicas(
            Replica(backend="aws", version=1, state=State.GOOD, place="1-1")
        )
        intent = Intent(id=1, version=1, kind="write", token="1-1", phase=Phase.OPEN)
        owed = [
            stale,
            staged,
            tombstone("gone"),
            Record(path="begun", intent=intent),
            Record(path="failed", voids=(Void(id=3), Void(id=4))),
        ]
        for record in (*owed, held("fine", "aws"), held("also fine", "gcp")):
            store(database, record)
        names = sorted(record.path for record in owed)
        for size in (1, 2, 10):
            assert pages(database.owed, str, size) == names
        store(database, held("stale", "aws", "gcp", version=2))
        store(database, Record(path="gone"))
        assert pages(database.owed, str, 2) == ["begun", "failed", "staged"]

    def test_a_new_version_makes_the_old_ones_copies_owed(self, database: Database) -> None:
        """Though their own rows have not changed."""
        store(database, held("a", "aws", "gcp"))
        assert database.owed("", 5) == []
        newer = attrs.evolve(held("a", "aws", "gcp"), entry=held("a", version=2).entry)
        store(database, newer)
        assert database.owed("", 5) == ["a"]

    def test_who_holds_what_is_listed_by_backend(self, database: Database) -> None:
        """Objects without a row, and paths with one, whatever its state."""
        for number, path in enumerate("abcdef"):
            store(database, held(path, "aws", *["gcp"] * (number % 2)))
        store(database, tombstone("t").with_replicas(Replica(backend="gcp")))
        for size in (1, 2, 9):
            without = pages(lambda a, n: database.without("gcp", a, n), str, size)
            held_by = pages(lambda a, n: database.held_by("gcp", a, n), str, size)
            assert (without, held_by) == (["a", "c", "e"], ["b", "d", "f", "t"])

    def test_long_questions_are_answered(self, database: Database) -> None:
        """Thousands of paths or tokens in one."""
        for path in ("a", "b"):
            store(database, held(path, "aws"))
        many = [f"no such {number}" for number in range(5000)]
        assert database.present([*many, "b", "a"]) == ["b", "a"]
        assert database.tokens([*many, "b"]) == set()

    # --- races ----------------------------------------------------------------------------

    @pytest.fixture
    def racing(self, catalogs: Catalogs, database: Database) -> list[Database]:
        """Open as many as race, half of them as other processes would."""
        if not catalogs.threads:
            pytest.skip("a database in one thread's hands has no races")
        return [database if n % 2 else catalogs.again() for n in range(RACERS)]

    def test_of_many_who_begin_one_holds_the_path(self, racing: list[Database]) -> None:
        """Exactly one, time and again (R4)."""
        for path in ("a", "b", "c"):
            answers = at_once([lambda d=d, p=path: begin(d, p) for d in racing])
            kinds = sorted(type(answer).__name__ for answer in answers)
            assert kinds == ["Begun", *["Busy"] * (RACERS - 1)], answers

    def test_no_change_is_lost(self, racing: list[Database]) -> None:
        """Changes of one path are made one after the other, on a row and where there is none."""

        def add(record: Record, moment: Moment) -> tuple[Record, int]:
            void = Void(id=moment.new_id())
            return attrs.evolve(record, voids=(*record.voids, void)), void.id

        def many(database: Database) -> list[int]:
            return [ask(database, "a", add) for _ in range(5)]

        answers = at_once([lambda d=d: many(d) for d in racing])
        numbers = sorted(itertools.chain(*(a for a in answers if isinstance(a, list))))
        assert len(numbers) == 5 * RACERS, answers
        assert [void.id for void in load(racing[0], "a").voids] == numbers

    def test_moves_in_both_directions_do_not_block_each_other(self, racing: list[Database]) -> None:
        """Two paths are locked in one order, in whatever order they are given."""

        def begin_both(
            records: tuple[Record, ...], moment: Moment
        ) -> tuple[tuple[Record, ...], int]:
            void = Void(id=moment.new_id())
            return tuple(attrs.evolve(r, voids=(*r.voids, void)) for r in records), void.id

        def many(database: Database, paths: list[str]) -> int:
            return [database.change(paths, Z_S, begin_both) for _ in range(5)][-1]

        orders = itertools.cycle([["a", "b"], ["b", "a"], ["b", "c"], ["c", "b"]])
        calls = [lambda d=d, o=o: many(d, o) for d, o in zip(racing, orders, strict=False)]
        answers = at_once(calls)
        assert all(isinstance(answer, int) for answer in answers), answers
        assert len(load(racing[0], "b").voids) == 5 * RACERS

    def test_a_freeze_is_over_every_change_that_was_begun(self, racing: list[Database]) -> None:
        """No change that saw a store that is not frozen is stored after the freeze has returned."""
        racing[0].change_state(lambda _, __: StoreState(identity="x"))

        def freeze(state: StoreState | None, now_s: float) -> StoreState:
            assert state is not None
            return attrs.evolve(state, frozen=Frozen(why="w", who="w", since_s=now_s))

        def write(database: Database, name: str) -> list[str]:
            begun = [begin(database, f"{name}/{number}") for number in range(10)]
            return [type(answer).__name__ for answer in begun]

        calls: list[Callable[[], Any]] = [
            lambda d=d, n=n: write(d, str(n)) for n, d in enumerate(racing[1:])
        ]
        answers = at_once(
            [*calls, lambda: (racing[0].change_state(freeze), racing[0].owed("", 99))]
        )
        assert answers[-1][1] == racing[0].owed("", 99)
        for said in answers[:-1]:
            assert said == sorted(said), said

    def test_many_make_the_tables_at_once(self, catalogs: Catalogs) -> None:
        """All of them find one catalog afterwards."""
        if not catalogs.threads:
            pytest.skip("a database in one thread's hands has no races")
        opened = [catalogs.again() for _ in range(RACERS)]
        assert at_once([database.prepare for database in opened]) == [None] * RACERS
        store(opened[0], held("a", "aws"))
        assert [database.present(["a"]) for database in opened] == [["a"]] * RACERS
        for database in opened:
            database.close()
