"""What every catalog's database must do. Subclass `CatalogConformance`, and say what to test.

    class TestTape(CatalogConformance):
        @pytest.fixture
        def catalogs(self):
            yield Catalogs(lambda: TapeDatabase("tape-1"))

Each test begins with empty tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.catalog.contract import Database
from resilient_store.model.info import Headers
from resilient_store.model.state import (
    OWN,
    BackendRow,
    Content,
    Record,
    State,
    StoreState,
)
from resilient_store.protocol import transactions as rules
from resilient_store.protocol.moment import Begun, Busy, Moment, TakenOver
from resilient_store.testing.conformance import records as drawn
from resilient_store.testing.conformance.catalog_listings import Listings
from resilient_store.testing.conformance.catalog_races import Races
from resilient_store.testing.conformance.tables import (
    HIGHER,
    WISH,
    Z_S,
    Catalogs,
    UndoError,
    ask,
    begin,
    draw,
    held,
    load,
    many_examples,
    store,
)


def _always(state: StoreState) -> Callable[[StoreState | None, float], StoreState]:
    return lambda _, __: state


class CatalogConformance(Listings, Races):
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
        assert (database.without("aws", "", 10), database.held_by("aws", "", 10)) == (([], ""), [])
        assert database.tokens(["1-1"]) == set()

    def test_preparing_again_changes_nothing(self, catalogs: Catalogs, database: Database) -> None:
        """Neither by this process nor by another."""
        store(database, held("a", "aws"))
        database.prepare()
        catalogs.again().prepare()
        assert load(database, "a") == held("a", "aws")

    @given(data=st.data())
    @many_examples
    def test_every_field_comes_back(self, database: Database, data: st.DataObject) -> None:
        """From one record of a path to any other, with whatever text and numbers."""
        path = data.draw(drawn.paths())
        purges = load(database, path).purges
        for record in data.draw(st.lists(drawn.records(path), min_size=1, max_size=3)):
            store(database, record)
            purges += record.purges
            assert load(database, path) == attrs.evolve(record, purges=purges)
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
        assert load(database, path) == Record(path=path, purges=purges)

    @given(states=st.lists(drawn.states(), min_size=1, max_size=3))
    @many_examples
    def test_the_stores_state_comes_back(
        self, database: Database, states: list[StoreState]
    ) -> None:
        """From any state to any other, and it is said where a path has no entry, and only there."""
        for state in states:
            assert database.change_state(_always(state)) == state
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
            raise UndoError(record.path)

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
        """By nobody, also not after reopening; and they can be made to go on higher up (R7)."""
        first = [draw(database), draw(database)]
        other = catalogs.again()
        both = ask(other, "a", lambda record, moment: (record, [moment.new_id(), moment.new_id()]))
        numbers = [*first, *both, draw(other), draw(database)]
        other.raise_counter(HIGHER)
        numbers += [draw(database), draw(other)]
        assert numbers[6] >= HIGHER
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
