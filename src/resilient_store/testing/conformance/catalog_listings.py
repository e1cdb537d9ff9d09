"""Listings of a catalog: in order, in pages, by index."""

from __future__ import annotations

from functools import partial
from typing import get_args

import attrs
from hypothesis import example, given
from hypothesis import strategies as st

from resilient_store.catalog.contract import Alike, Database, Stretch
from resilient_store.model.amount import Amount
from resilient_store.model.info import Headers
from resilient_store.model.state import (
    Content,
    Entry,
    Intent,
    IntentKind,
    Phase,
    Record,
    Replica,
    State,
    Void,
)
from resilient_store.testing.conformance import records as drawn
from resilient_store.testing.conformance.tables import (
    LAST,
    held,
    many_examples,
    pages,
    store,
    tombstone,
)


class Listings:
    """What is asked of many paths at once."""

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
    @many_examples
    def test_listings_are_in_order_of_code_points(
        self, database: Database, paths: list[str], prefix: str, size: int
    ) -> None:
        """A prefix is no pattern, pages join without gap, and what is deleted is not listed."""
        gone = sorted(paths[3::4])
        objects = sorted(set(paths) - set(gone))
        for path in paths:
            store(database, tombstone(path) if path in gone else held(path, "aws"))
        for begins in (prefix, "", paths[0], paths[0][:1]):
            listed = pages(partial(database.page, begins), lambda line: line.path, size)
            expected = [p for p in objects if p.startswith(begins)]
            assert [line.path for line in listed] == expected
            assert pages(partial(database.names, begins), str, size) == expected
            hidden = pages(partial(database.hidden, begins), str, size)
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
        assert tuple(line) == ("a/b", 7, 5, "abc", "image/png", 1.25, 2.5)

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
        intent = Intent(id=1, version=1, kind="write", token="1-1", phase=Phase.OPEN)  # noqa: S106
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
            queue = pages(database.queue, lambda line: line.path, size)
            assert [line.path for line in queue] == names
            assert {line.path: line[1:] for line in queue if line.size is not None} == {
                "stale": (5, ("gcp",)),
                "staged": (6, ("aws",)),
            }
        store(database, held("stale", "aws", "gcp", version=2))
        store(database, Record(path="gone"))
        assert pages(database.owed, str, 2) == ["begun", "failed", "staged"]

    def test_who_is_at_work_is_listed_while_the_lease_lasts(self, database: Database) -> None:
        """Writers and deleters; repair changes no object."""
        for number, kind in enumerate(get_args(IntentKind)):
            intent = Intent(id=number, version=1, kind=kind, token="1-1", expires_s=10.0 + number)  # noqa: S106
            store(database, Record(path=kind, intent=intent))
        assert database.working(9.5, 9) == ["adopt", "delete", "write"]
        assert database.working(9.5, 2) == ["adopt", "delete"]
        assert database.working(12.5, 9) == ["adopt"]

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
            without = _all_without(database, "gcp", size)
            held_by = pages(partial(database.held_by, "gcp"), str, size)
            assert (without, held_by) == (["a", "c", "e"], ["b", "d", "f", "t"])

    def test_an_object_is_listed_with_those_that_hold_its_version(self, database: Database) -> None:
        """Good replicas of this version count; an object that nobody holds is listed, too."""
        missed = attrs.evolve(
            held("a/missed", "aws", "gcp"), entry=held("a/missed", version=2).entry
        )
        bad = held("a/bad", "aws", "gcp").with_replicas(
            Replica(backend="aws", version=1, state=State.CORRUPT)
        )
        for record in (held("a/both", "gcp", "aws"), missed, bad, held("b", "gcp"), tombstone("c")):
            store(database, record)
        expected = [
            ("a/bad", 5, ("gcp",)),
            ("a/both", 6, ("aws", "gcp")),
            ("a/missed", 8, ()),
            ("b", 1, ("gcp",)),
        ]
        for size in (1, 2, 9):
            for begins in ("", "a/", "a/b", "b", "c"):
                listed = pages(partial(database.holdings, begins), lambda line: line.path, size)
                assert listed == [line for line in expected if line[0].startswith(begins)]

    def test_a_stretch_adds_up_what_each_backend_holds(self, database: Database) -> None:
        """By state; an old copy is stale, an object without any is missing, and both are lost."""
        old = attrs.evolve(held("old!", "aws"), entry=held("old!", version=9).entry)
        stale = old.with_replicas(Replica(backend="aws", version=1, state=State.STALE))
        unknown = held("unknown").with_replicas(Replica(backend="aws", version=1))
        intent = Intent(id=1, version=4, kind="write", token="1-1")  # noqa: S106
        begun = attrs.evolve(held("begun"), intent=intent)
        made = [held("a", "aws", "gcp"), held("bb", "aws", version=3), old, begun, held("none")]
        for record in (*made, unknown, tombstone("c")):
            store(database, record)
        unverified = Alike("aws", State.UNKNOWN, Amount(1, 7), 1)
        expected = (
            Alike("", State.MISSING, Amount(2, 9), 1),
            Alike("aws", State.GOOD, Amount(2, 3), 1),
            Alike("aws", State.STALE, Amount(1, 4), 9),
            unverified,
            Alike("gcp", State.GOOD, Amount(1, 1), 1),
        )
        assert database.stretch("") == Stretch("", Amount(6, 23), 9, 1, expected)
        store(database, stale)
        assert database.stretch("") == Stretch("", Amount(6, 23), 9, 2, expected)
        assert database.stretch("old!") == Stretch("", Amount(1, 7), 1, 0, (unverified,))
        assert database.stretch("unknown") == Stretch("", Amount(), 0, 0, ())

    def test_many_records_are_loaded_as_each_one_is(self, database: Database) -> None:
        """In the order in which they are asked for, the unknown ones too."""
        known = [held("b", "aws", "gcp"), tombstone("a")]
        for record in known:
            store(database, record)
        assert database.records(["b", "none", "a"]) == [known[0], Record(path="none"), known[1]]
        assert database.records([]) == []

    def test_long_questions_are_answered(self, database: Database) -> None:
        """Thousands of paths or tokens in one."""
        for path in ("a", "b"):
            store(database, held(path, "aws"))
        many = [f"no such {number}" for number in range(5000)]
        assert database.present([*many, "b", "a"]) == ["b", "a"]
        assert database.tokens([*many, "b"]) == set()


def _all_without(database: Database, backend: str, size: int) -> list[str]:
    """Ask until the end is reached."""
    found, after = database.without(backend, "", size)
    while after:
        assert len(found) % size == 0 or found[-1:] < [after]
        more, after = database.without(backend, after, size)
        found += more
    return found
