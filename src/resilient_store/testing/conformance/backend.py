"""What every family of backends must do. Subclass `BackendConformance`, and say what to test.

    class TestTape(BackendConformance):
        @pytest.fixture
        def subject(self):
            tape = Tape()
            yield Subject(TapeFamily(tape), run, write=tape.write, read=tape.read, ...)

A subject cannot vouch for itself: what it stored is read, and what it reads is stored, behind
its back. What a family cannot do (its `Traits` say so) is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from itertools import product
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from resilient_store.backends.classify import classify
from resilient_store.io.drive import each
from resilient_store.model import path as paths
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome
from resilient_store.testing.conformance.cancelled import CancellationConformance
from resilient_store.testing.conformance.pages import PageConformance
from resilient_store.testing.conformance.subject import Subject

T = TypeVar("T", bound=Callable[..., object])

OK, NOT_FOUND, EXISTS = Outcome.OK, Outcome.NOT_FOUND, Outcome.EXISTS
DATA = bytes(range(256)) * 4
STAGED = ".resilient/staging/1-aa/key"
HEADERS = Headers(
    content_type="image/jpeg",
    cache_control="max-age=60",
    content_disposition='attachment; filename="c.jpg"',
    content_encoding="identity",
    metadata={"camera": "M3", "owner": "ana"},
)


def needs(capability: str) -> Callable[[T], T]:
    """Ask a test only of subjects that `can` do this."""

    def mark(test: T) -> T:
        test.needs = capability  # type: ignore[attr-defined]
        return test

    return mark


def skipped(subject: Subject) -> list[str]:
    """Name the tests that are not asked of a subject, so that a test can hold it to that."""
    tests = {n: t for n, t in vars(BackendConformance).items() if n.startswith("test_")}
    return sorted(n for n, t in tests.items() if hasattr(t, "needs") and not subject.can(t.needs))


def keys() -> st.SearchStrategy[str]:
    """Every kind of key that no platform may refuse, odd ones first."""
    signs = st.sampled_from("*?[]{}!^$+()|#%&;:'\"<>~=@, .-_aÅéß日🎈\u202e")
    part = st.text(signs | st.characters(), min_size=1, max_size=12)
    joined = st.lists(part, min_size=1, max_size=3).map("/".join)
    return joined.filter(lambda key: key == key.strip("/") and paths.problem(key) is None)


class BackendConformance(CancellationConformance, PageConformance):
    """Subclass it and give it a fixture `subject`."""

    @pytest.fixture(autouse=True)
    def _is_asked(self, request: pytest.FixtureRequest, subject: Subject) -> None:
        capability = getattr(request.function, "needs", None)
        if capability is not None and not subject.can(capability):
            pytest.skip(f"{type(subject.family).__name__} does not have: {capability}")

    def test_what_others_stored_is_found(self, subject: Subject) -> None:
        """A family sees what other tools put there (P9)."""
        subject.write("d/key", DATA)
        outcome, info = subject.ask("info", "d/key")
        assert (outcome, info.key, info.size, info.directory) == (OK, "d/key", len(DATA), False)
        assert subject.ask("get", "d/key", None, None)[1].data == DATA

    def test_what_is_stored_lies_there_as_plain_bytes(self, subject: Subject) -> None:
        """Other tools see what a family stored (P9), and nothing else is left."""
        assert subject.put("d/key", DATA)[0] is OK
        assert subject.read("d/key") == DATA
        assert list(subject.names()) == ["d/key"]

    @pytest.mark.parametrize("verb", ["info", "get", "delete"])
    def test_what_is_absent_is_not_found(self, subject: Subject, verb: str) -> None:
        """An absent key has its own outcome."""
        subject.write("key", DATA)
        for absent in ("other", "no/such/key", "ke", "key2"):
            arguments = (absent, None, None) if verb == "get" else (absent,)
            assert subject.ask(verb, *arguments)[0] is NOT_FOUND

    def test_ranges_are_pythons(self, subject: Subject) -> None:
        """A range is what slicing the bytes gives, also beyond the end and backwards."""
        subject.write("key", DATA)
        starts = (None, 0, 1, 500, 1023, 1024, 2000, -1, -1024, -3000)
        for start, end in product(starts, (None, 0, 1, 600, 1024, 3000, -1, -600)):
            outcome, body = subject.ask("get", "key", start, end)
            assert outcome is OK, (start, end, body)
            assert body.data == DATA[start:end], (start, end)
            assert body.size in (None, len(DATA)), (start, end)

    def test_an_empty_object_is_an_object(self, subject: Subject) -> None:
        """An object may be empty."""
        assert subject.put("key", b"")[0] is OK
        assert subject.ask("info", "key")[1].size == 0
        assert subject.ask("get", "key", None, None)[1].data == b""

    def test_storing_again_replaces_and_changes_the_tag(self, subject: Subject) -> None:
        """A tag tells two contents apart, and get, info and put agree on it."""
        subject.put("key", DATA)
        first = subject.tag("key")
        outcome, stored = subject.put("key", DATA[::-1] + b"!")
        assert (outcome, subject.read("key")) == (OK, DATA[::-1] + b"!")
        assert subject.tag("key") != first
        body = subject.ask("get", "key", None, None)[1]
        assert {stored.tag, body.tag} <= {None, subject.tag("key")}

    @needs("exclusive creation")
    def test_a_second_creation_is_refused(self, subject: Subject) -> None:
        """A key that is taken stays as it is, whoever took it."""
        assert subject.put("key", b"first", exclusive=True)[0] is OK
        subject.write("theirs", b"theirs")
        for key, data in (("key", b"first"), ("theirs", b"theirs")):
            assert subject.put(key, b"second", exclusive=True)[0] is EXISTS
            upload = subject.upload(key, b"third", exclusive=True)
            assert subject.outcome(upload.finish())[0] is EXISTS
            subject.run(upload.abort())
            assert subject.read(key) == data
        assert sorted(subject.names()) == ["key", "theirs"]

    @needs("exclusive creation among many")
    def test_of_many_creators_one_wins(self, subject: Subject) -> None:
        """Exactly one of many creations at once succeeds, and its bytes lie there."""

        def creation(number: int) -> Callable[[], Coroutine[Any, Any, Any]]:
            data = b"%d" % number
            return lambda: subject.family.put("key", data, exclusive=True, headers=Headers())

        results = subject.run(each([creation(number) for number in range(12)], 12))
        lost = [classify(e, changing=True)[0] for e in results if isinstance(e, Exception)]
        won = [n for n, result in enumerate(results) if not isinstance(result, Exception)]
        assert (lost, len(won)) == ([EXISTS] * 11, 1)
        assert subject.read("key") == b"%d" % won[0]

    def test_an_upload_appears_whole_when_it_is_finished(self, subject: Subject) -> None:
        """Nothing of it is seen before, and the parts lie in order."""
        upload = subject.upload("d/key", DATA, b"", DATA[:7])
        assert subject.ask("info", "d/key")[0] is NOT_FOUND
        assert subject.outcome(upload.finish())[0] is OK
        assert subject.read("d/key") == DATA + DATA[:7]
        assert list(subject.names()) == ["d/key"]

    def test_an_upload_without_bytes_is_an_empty_object(self, subject: Subject) -> None:
        """An upload may bring nothing."""
        assert subject.outcome(subject.upload("key").finish())[0] is OK
        assert subject.read("key") == b""

    def test_an_upload_replaces_only_when_it_is_finished(self, subject: Subject) -> None:
        """The old bytes stand until then."""
        subject.write("key", b"old")
        upload = subject.upload("key", DATA)
        assert subject.read("key") == b"old"
        assert subject.outcome(upload.finish())[0] is OK
        assert subject.read("key") == DATA

    def test_an_aborted_upload_leaves_nothing(self, subject: Subject) -> None:
        """Neither at its key nor anywhere else, and aborting twice is harmless."""
        subject.write("key", b"old")
        for key in ("key", "d/other"):
            upload = subject.upload(key, DATA)
            subject.run(upload.abort())
            subject.run(upload.abort())
        assert (list(subject.names()), subject.read("key")) == (["key"], b"old")

    def test_publishing_moves_a_staged_object_to_its_key(self, subject: Subject) -> None:
        """On a key where nothing lies, and on one whose tag is known."""
        for data in (b"first", b"second"):
            expected = None if data == b"first" else subject.tag("d/key")
            subject.put(STAGED, data)
            outcome, stored = subject.ask("publish", STAGED, "d/key", expected=expected)
            assert outcome is OK, stored
            assert (subject.read("d/key"), list(subject.names())) == (data, ["d/key"])
            assert stored.tag in (None, subject.tag("d/key"))

    def test_publishing_may_keep_the_staged_object(self, subject: Subject) -> None:
        """Or refuses to, and has done nothing; asked again it is the same."""
        for data in (DATA, b"newer", b"newer"):
            subject.put(STAGED, data)
            expected = None if subject.read("key") is None else subject.tag("key")
            outcome, _ = subject.ask("publish", STAGED, "key", expected=expected, keep=True)
            assert outcome in (OK, Outcome.REFUSED)
            lies = {name: subject.read(name) for name in subject.names()}
            assert lies == ({STAGED: data, "key": data} if outcome is OK else {STAGED: data})
        assert subject.ask("delete", STAGED)[0] is OK

    def test_publishing_leaves_alone_what_was_not_expected(self, subject: Subject) -> None:
        """Something where nothing should be, something else, or nothing any more."""
        subject.put("key", b"one")
        tag = subject.tag("key")
        subject.put("key", b"theirs")
        subject.put(STAGED, DATA)
        for key, expected in (("key", None), ("key", tag), ("gone", tag)):
            outcome, said = subject.ask("publish", STAGED, key, expected=expected)
            assert outcome is EXISTS, (key, expected, said)
        assert (subject.read("key"), subject.read("gone")) == (b"theirs", None)
        assert subject.read(STAGED) == DATA

    def test_publishing_what_was_never_staged_fails(self, subject: Subject) -> None:
        """And leaves the key as it is."""
        subject.write("key", b"old")
        for key, expected in (("key", subject.tag("key")), ("new", None)):
            assert subject.ask("publish", STAGED, key, expected=expected)[0] is not OK
        assert list(subject.names()) == ["key"]
        assert subject.read("key") == b"old"

    def test_a_deleted_object_is_gone(self, subject: Subject) -> None:
        """It alone, and only once."""
        subject.write("key", DATA)
        subject.write("key2", DATA)
        assert subject.ask("delete", "key")[0] is OK
        assert list(subject.names()) == ["key2"]
        assert subject.ask("delete", "key")[0] is NOT_FOUND

    @needs("conditional deletion")
    def test_deleting_on_a_condition_hits_only_that_object(self, subject: Subject) -> None:
        """What was written since stays, even if it is the same bytes."""
        tag = subject.put("key", DATA)[1].tag
        assert tag is not None
        subject.put("key", DATA)
        assert subject.ask("delete", "key", expected=tag)[0] is EXISTS
        assert subject.read("key") == DATA
        assert subject.ask("delete", "key", expected=subject.tag("key"))[0] is OK
        assert subject.read("key") is None
        assert subject.ask("delete", "key", expected=tag)[0] is NOT_FOUND

    @needs("no conditional deletion")
    def test_a_condition_that_cannot_be_kept_is_refused(self, subject: Subject) -> None:
        """Nothing is deleted on a tag that may be that of somebody else's bytes."""
        subject.put("key", DATA)
        outcome, _ = subject.ask("delete", "key", expected=subject.tag("key"))
        assert (outcome, subject.read("key")) == (Outcome.REFUSED, DATA)

    def test_listings_show_one_level_or_everything(self, subject: Subject) -> None:
        """Files with their sizes, and the directories above them."""
        assert subject.ask("list", "", recursive=True)[1] == []
        for key in ("a", "ab", "d/b", "d/e/c", "dd/x"):
            subject.write(key, b"x" * len(key))
        expected: dict[str, dict[str, int | None]] = {
            "": {"a": 1, "ab": 2, "d": None, "dd": None},
            "d": {"d/b": 3, "d/e": None},
            "d/e": {"d/e/c": 5},
        }
        everything = expected[""] | expected["d"] | expected["d/e"] | {"dd/x": 4}
        for key, below in expected.items():
            assert _sizes(subject.ask("list", key, recursive=False)[1]) == below
            inside = {k: s for k, s in everything.items() if not key or k.startswith(f"{key}/")}
            assert _sizes(subject.ask("list", key, recursive=True)[1]) == inside

    def test_an_absent_directory_is_not_found(self, subject: Subject) -> None:
        """And no empty listing."""
        subject.write("d/key", DATA)
        for absent in ("other", "d/e", "d/key/x"):
            for recursive in (False, True):
                assert subject.ask("list", absent, recursive=recursive)[0] is NOT_FOUND

    def test_a_directory_is_no_object(self, subject: Subject) -> None:
        """It can be looked at; it can neither be read nor deleted as one."""
        subject.write("d/key", DATA)
        assert subject.ask("info", "d")[1].directory
        assert subject.ask("get", "d", None, None)[0] is NOT_FOUND
        assert subject.ask("get", "d", 0, 10)[0] is NOT_FOUND
        assert subject.ask("delete", "d")[0] is not OK
        assert subject.read("d/key") == DATA

    def test_the_root_is_a_directory(self, subject: Subject) -> None:
        """Even an empty one."""
        assert subject.ask("info", "")[1].directory

    @needs("directories")
    def test_directories_exist_by_themselves(self, subject: Subject) -> None:
        """They are made with those above them, and removed when they are empty."""
        assert subject.ask("mkdir", "d/e")[0] is OK
        assert subject.ask("mkdir", "d/e")[0] is OK
        assert subject.ask("info", "d/e")[1].directory
        assert subject.ask("list", "d/e", recursive=True) == (OK, [])
        assert subject.ask("rmdir", "d")[0] is not OK
        assert subject.ask("rmdir", "d/e")[0] is OK
        assert subject.ask("info", "d/e")[0] is NOT_FOUND
        assert subject.ask("rmdir", "d/e")[0] is not OK

    @needs("directories")
    def test_a_directory_with_something_in_it_stays(self, subject: Subject) -> None:
        """As does a file that somebody takes for a directory."""
        subject.write("d/key", DATA)
        subject.write("file", DATA)
        assert subject.ask("rmdir", "d")[0] is not OK
        assert subject.ask("rmdir", "file")[0] is not OK
        assert subject.ask("mkdir", "file")[0] is not OK
        assert subject.ask("mkdir", "file/below")[0] is not OK
        assert sorted(subject.names()) == ["d/key", "file"]

    @needs("directories")
    @pytest.mark.parametrize("exclusive", [False, True])
    def test_a_file_and_something_below_it_clash(self, subject: Subject, exclusive: bool) -> None:
        """The second one is refused, and nothing of it is left."""
        refused = (Outcome.REFUSED, EXISTS)
        subject.write("file", DATA)
        subject.write("d/key", DATA)
        for key in ("file/below", "file/far/below", "d"):
            assert subject.put(key, b"no", exclusive=exclusive)[0] in refused, key
            begun, upload = subject.ask("upload", key, exclusive=exclusive, headers=Headers())
            if begun is OK:
                assert subject.outcome(upload.finish())[0] in refused, key
                subject.run(upload.abort())
            subject.put(STAGED, b"no")
            assert subject.ask("publish", STAGED, key, expected=None)[0] in refused, key
            subject.ask("delete", STAGED)
        assert sorted(subject.names()) == ["d/key", "file"]
        assert (subject.read("file"), subject.read("d/key")) == (DATA, DATA)

    @needs("no directories")
    def test_a_file_and_something_below_it_can_both_be(self, subject: Subject) -> None:
        """Keys are only names there."""
        for key in ("d/key", "d", "d/key/x"):
            assert subject.put(key, key.encode())[0] is OK
        assert sorted(subject.names()) == ["d", "d/key", "d/key/x"]
        assert subject.ask("get", "d", None, None)[1].data == b"d"
        listed = subject.ask("list", "", recursive=False)[1]
        assert sorted((info.key, info.directory) for info in listed) == [("d", False), ("d", True)]

    def test_headers_are_given_back_where_they_are_kept(self, subject: Subject) -> None:
        """By every way of storing; who does not keep them says so, and makes none up."""
        for way in ("put", "upload", "publish"):
            key = f"{way}.bin"
            if way == "upload":
                upload = subject.run(subject.family.upload(key, exclusive=False, headers=HEADERS))
                stored = subject.run(upload.finish())
            else:
                stored = subject.put(key if way == "put" else STAGED, DATA, HEADERS)[1]
            if way == "publish":
                stored = subject.ask("publish", STAGED, key, expected=None)[1]
            assert subject.family.traits.keeps_headers or not stored.headers_kept
            kept = subject.ask("info", key)[1].headers
            assert kept == HEADERS if stored.headers_kept else kept in (None, Headers())

    @given(key=keys(), data=st.binary(max_size=20))
    @example(key="dir::a", data=b"1")
    @example(key="file:a", data=b"1")
    @example(key="memory:a::b", data=b"1")
    @example(key="a?", data=b"1")
    @example(key="~", data=b"1")
    @example(key="d./ d/.a", data=b"1")
    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    def test_odd_names_are_plain_names(self, subject: Subject, key: str, data: bytes) -> None:
        """Every key that the store accepts is kept as it is, or refused, and hits no other."""
        if subject.put(key, data)[0] is Outcome.REFUSED:
            return
        try:
            assert list(subject.names()) == [key]
            assert subject.read(key) == subject.ask("get", key, None, None)[1].data == data
            assert key in _sizes(subject.ask("list", "", recursive=True)[1])
        finally:
            assert subject.ask("delete", key)[0] is OK
        assert list(subject.names()) == []

    @needs("a root that can be lost")
    def test_a_lost_root_is_unavailable_and_never_absent(self, subject: Subject) -> None:
        """Before and after the first use; and no write makes it again (P5)."""
        subject.put("d/key", DATA)
        assert subject.ask("info", "other")[0] is NOT_FOUND
        assert subject.lose_root is not None
        subject.lose_root()
        for verb in ("info", "get", "list", "delete"):
            for key in ("d/key", "other", "d"):
                more = {"get": (None, None)}.get(verb, ())
                options = {"recursive": True} if verb == "list" else {}
                outcome, said = subject.ask(verb, key, *more, **options)
                assert outcome is Outcome.UNAVAILABLE, (verb, key, said)
        assert subject.ask("list", "", recursive=False)[0] is Outcome.UNAVAILABLE
        for exclusive in (False, True):
            assert subject.put("new", DATA, exclusive=exclusive)[0] is not OK
            assert subject.put("d/new", DATA, exclusive=exclusive)[0] is not OK
        assert list(subject.names()) == []


def _sizes(infos: Iterable[Any]) -> dict[str, int | None]:
    listed = list(infos)
    sizes = {info.key: None if info.directory else info.size for info in listed}
    assert len(sizes) == len(listed), "a name is listed twice"
    return sizes
