"""Many who change a catalog at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import attrs
import pytest

from resilient_store.catalog.contract import Database
from resilient_store.model.state import (
    Frozen,
    Record,
    StoreState,
    Void,
)
from resilient_store.protocol.moment import Moment
from resilient_store.testing.conformance.tables import (
    RACERS,
    Z_S,
    Catalogs,
    ask,
    at_once,
    begin,
    held,
    load,
    store,
)


class Races:
    """What threads and processes must not do to each other."""

    @pytest.fixture
    def racing(self, catalogs: Catalogs, database: Database) -> list[Database]:
        """Open as many as race, half of them as other processes would."""
        return [database if n % 2 else catalogs.again() for n in range(RACERS)]

    def test_of_many_who_begin_one_holds_the_path(self, racing: list[Database]) -> None:
        """Exactly one, time and again (R4)."""
        for path in ("a", "b", "c"):
            answers = at_once([partial(begin, opened, path) for opened in racing])
            kinds = sorted(type(answer).__name__ for answer in answers)
            assert kinds == ["Begun", *["Busy"] * (RACERS - 1)], answers

    def test_no_change_is_lost(self, racing: list[Database]) -> None:
        """Changes of one path are made one after the other, on a row and where there is none."""

        def add(record: Record, moment: Moment) -> tuple[Record, int]:
            void = Void(id=moment.new_id())
            return attrs.evolve(record, voids=(*record.voids, void)), void.id

        def many(database: Database) -> list[int]:
            return [ask(database, "a", add) for _ in range(5)]

        answers = at_once([partial(many, opened) for opened in racing])
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
        answers = at_once([partial(many, opened, next(orders)) for opened in racing])
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

        def freeze_and_look() -> list[str]:
            racing[0].change_state(freeze)
            return racing[0].owed("", 99)

        calls: list[Callable[[], list[str]]] = [
            partial(write, opened, str(n)) for n, opened in enumerate(racing[1:])
        ]
        *answers, seen = at_once([*calls, freeze_and_look])
        assert seen == racing[0].owed("", 99)
        for said in answers:
            assert isinstance(said, list), said
            assert said == sorted(said)  # "Begun", and from some moment on "StoreIsFrozen"

    def test_many_make_the_tables_at_once(self, catalogs: Catalogs) -> None:
        """All of them find one catalog afterwards."""
        opened = [catalogs.again() for _ in range(RACERS)]
        assert at_once([database.prepare for database in opened]) == [None] * RACERS
        store(opened[0], held("a", "aws"))
        assert [database.present(["a"]) for database in opened] == [["a"]] * RACERS
        for database in opened:
            database.close()
