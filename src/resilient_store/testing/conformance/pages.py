"""What every family must do that lists its objects, at once or page by page."""

from __future__ import annotations

import pytest

from resilient_store.model.outcome import Outcome
from resilient_store.testing.conformance.subject import Subject

# Where a walk through directories, and one by code units, would come to another order.
NAMES = (
    "a-b",
    "a.b",
    "a/b",
    "a/c/d",
    "a/c-d",
    "a0",
    "b",
    "é/x",
    "日",
    "\uff5e",
    "🎈/x",
    "Z",
    "a b",
)


def paged(subject: Subject, after: str = "", limit: int = 1000) -> list[str]:
    """Return the keys of all pages after a key."""
    found, cursor = [], None
    while True:
        outcome, listed = subject.ask("page", after, cursor, limit)
        assert outcome is Outcome.OK, listed
        found += [info.key for info in listed.infos]
        after, cursor = (found or [after])[-1], listed.cursor
        if cursor is None:
            return found


class PageConformance:
    """Subclass it, as `BackendConformance` does, and give it a fixture `subject`."""

    @pytest.mark.parametrize("limit", [1, 2, 1000])
    def test_pages_bring_every_object_once_and_in_order(self, subject: Subject, limit: int) -> None:
        """By the bytes of their keys, whatever directories they lie in."""
        assert paged(subject, limit=limit) == []
        for key in NAMES:
            subject.write(key, key.encode())
        assert paged(subject, limit=limit) == sorted(NAMES, key=str.encode)

    def test_pages_begin_after_any_key(self, subject: Subject) -> None:
        """After one that is there, one that is not, and one that is a directory."""
        for key in NAMES:
            subject.write(key, key.encode())
        for after in (*NAMES, "a", "a/", "a/c", "a/b/x", "A", "zz", "\U0010ffff"):
            expected = sorted(key for key in NAMES if key > after)
            assert paged(subject, after) == expected, after
            assert paged(subject, after, 3) == expected, after

    def test_a_listing_says_what_info_says(self, subject: Subject) -> None:
        """Size and tag, so that one can stand in for the other; also of an object alone."""
        subject.put("d/key", b"some bytes")
        for (one,) in (subject.ask("list", key, recursive=False)[1] for key in ("d", "d/key")):
            assert (one.key, one.size, one.directory) == ("d/key", 10, False)
            assert one.tag in (None, subject.tag("d/key"))

    def test_a_page_says_what_info_says(self, subject: Subject) -> None:
        """Size and tag, so that what is remembered need not be looked at again."""
        subject.put("d/key", b"some bytes")
        (info,) = subject.ask("page", "", None, 10)[1].infos
        assert (info.key, info.size, info.directory) == ("d/key", 10, False)
        assert info.tag in (None, subject.tag("d/key"))

    def test_pages_go_on_though_objects_come_and_go(self, subject: Subject) -> None:
        """What is deleted or written on the way changes nothing about the others."""
        for key in ("a", "b/1", "b/2", "c"):
            subject.write(key, b"x")
        first = subject.ask("page", "", None, 1)[1]
        assert [info.key for info in first.infos] == ["a"]
        assert subject.ask("delete", "b/1")[0] is Outcome.OK
        subject.write("d", b"x")
        found: list[str] = []
        listed = first
        while listed.cursor is not None:
            listed = subject.ask("page", (["a", *found])[-1], listed.cursor, 1)[1]
            found += [info.key for info in listed.infos]
        assert set(found) >= {"b/2", "c"}
        assert found == sorted(set(found))
