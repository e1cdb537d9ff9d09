"""Policies are frozen values that refuse to be wrong, and say what to change."""

from __future__ import annotations

import math
import pickle

import attrs
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import example, given
from hypothesis import strategies as st

from resilient_store.errors import ConfigurationError
from resilient_store.model.path import LONGEST_BYTES
from resilient_store.policies import (
    Backend,
    DegradedRead,
    ReadFromFirstHealthy,
    WriteToAll,
    as_mapping,
    refuse_unknown,
)

numbers = st.one_of(
    st.integers(-2, 5), st.floats(), st.booleans(), st.none(), st.just("3"), st.just([])
)


def is_number(value):
    return type(value) in {int, float} and 0 < value < math.inf


def is_whole(value):
    return type(value) is int and value >= 1


def refused(build):
    """Return why it was refused, or None."""
    try:
        build()
    except ConfigurationError as error:
        return str(error)
    return None


# --- numbers ------------------------------------------------------------------------------


@given(st.sampled_from(["timeout", "stall_timeout", "hedge_after", "max_concurrency"]), numbers)
def test_exactly_what_can_be_waited_for_or_counted_is_accepted(name, value):
    kind = ReadFromFirstHealthy if name == "hedge_after" else lambda **kw: Backend("s3://b", **kw)
    wanted = is_whole if name == "max_concurrency" else is_number
    said = refused(lambda: kind(**{name: value}))
    assert (said is None) is wanted(value)
    assert said is None or f"{name}={value!r} must be a" in said


def test_a_subclass_of_a_number_is_a_number_but_a_flag_is_not():
    assert "must be a finite number above 0" in refused(lambda: Backend("s3://b", timeout=True))
    assert "must be a whole number" in refused(lambda: Backend("s3://b", max_concurrency=True))


@given(numbers, numbers)
@example(1, 2)
@example(None, 3)
@example(2, 2)
def test_exactly_whole_copies_on_no_more_platforms_are_accepted(copies, platforms):
    said = refused(lambda: WriteToAll(min_copies=copies, min_domains=platforms))
    whole = (copies is None or is_whole(copies)) and is_whole(platforms)
    assert (said is None) is (whole and (copies is None or platforms <= copies))
    if whole and said is not None:
        assert f"raise min_copies to {platforms}, or lower min_domains" in said
    elif said is not None:
        assert "must be a whole number of at least 1" in said


# --- backends -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_options", "words"),
    [
        ({"target": ""}, 'Backend: target is empty; give a URL such as "s3://bucket"'),
        ({"target": 7}, "target is a int; give a URL or an fsspec filesystem"),
        (
            {"target": "s3://b", "root": "x"},
            "Backend: root goes with a filesystem instance; put the path into the URL",
        ),
        ({"target": MemoryFileSystem(), "storage_options": {"a": 1}}, "Remove them"),
        ({"target": "s3://b", "name": "a b"}, "name='a b' may hold letters, digits"),
        ({"target": "s3://b", "name": ""}, "name='' may hold letters, digits"),
        ({"target": "s3://b", "name": ".x"}, "name='.x' may hold letters, digits"),
        ({"target": "s3://b", "name": 7}, "name must be text, and is a int"),
        ({"target": "s3://b", "domain": ""}, "domain is empty; say for example"),
        ({"target": "s3://b", "domain": "//"}, "domain is empty; say for example"),
        ({"target": "s3://b", "domain": ["aws"]}, "domain must be text, and is a list"),
        ({"target": MemoryFileSystem(), "root": b"x"}, "root must be text, and is a bytes"),
        ({"target": "s3://b", "time_out": 3}, "no option 'time_out'; did you mean 'timeout'?"),
        ({"target": "s3://b", "qqqq": 3}, "no option 'qqqq'; known: target, root, name, domain"),
        ({"target": "s3://b", "storage_options": 5}, "are mappings of options"),
        ({"target": "s3://b", "write_options": "fast"}, "are mappings of options"),
    ],
)
def test_a_backend_that_cannot_work_says_what_to_change(given_options, words):
    options = dict(given_options)
    said = refused(lambda: Backend(options.pop("target"), **options)) or "accepted"
    assert words in said
    assert "Backend: " not in words or words == said


@pytest.mark.parametrize("target", ["s3://b/x", "/srv/photos", MemoryFileSystem()])
def test_a_backend_that_can_work_is_accepted(target):
    backend = Backend(target, name="a-1._b", domain="aws/x")
    assert (backend.name, backend.domain, backend.timeout) == ("a-1._b", "aws/x", 10.0)
    assert (backend.holds_all, backend.read_only) == (False, False)


def test_a_filesystem_takes_a_root():
    assert Backend(MemoryFileSystem(), root="x").root == "x"


SECRETS = {
    "options": lambda secret: Backend("s3://b", storage_options={"key": secret}),
    "write options": lambda secret: Backend("s3://b", write_options={"SSEKey": secret}),
    "userinfo": lambda secret: Backend(f"ftp://user:{secret}@host/x"),
    "userinfo with an at sign": lambda secret: Backend(f"ftp://u@host:p@{secret}@host/x"),
    "query": lambda secret: Backend(f"https://host/x?sig={secret}"),
    "query with an at sign": lambda secret: Backend(f"https://host/x?sig=a@{secret}"),
}


@pytest.mark.parametrize("where", SECRETS)
def test_a_backend_never_shows_a_secret(where):
    backend = SECRETS[where]("CANARY")
    assert "CANARY" not in repr(backend) + str(backend)
    assert "CANARY" in repr(as_mapping(backend)), "or there is nothing to hide"


def test_what_is_no_secret_is_shown():
    shown = repr(Backend("ftp://me:pw@host/photos", name="x", storage_options={"b": 1, "a": 2}))
    assert "'ftp://***@host/photos'" in shown
    assert "name='x'" in shown
    assert "{a: ..., b: ...}" in shown
    assert "'s3://bucket/2024@home'" in repr(Backend("s3://bucket/2024@home"))
    assert "target=<MemoryFileSystem>" in repr(Backend(MemoryFileSystem()))


def backends():
    yield Backend("s3://b", storage_options={"key": "CANARY"}, write_options={"ACL": "x"})
    yield Backend("s3://b", name="x", domain="aws", holds_all=True, read_only=True, timeout=1.0)
    yield Backend(MemoryFileSystem(), root="x", stall_timeout=2.5, max_concurrency=3)


@pytest.mark.parametrize("backend", list(backends()), ids=str)
def test_a_backend_crosses_processes_and_is_equal_to_itself(backend):
    again = pickle.loads(pickle.dumps(backend))
    assert again == backend
    assert hash(again) == hash(backend)
    assert as_mapping(again) == as_mapping(backend)
    assert again != attrs.evolve(backend, timeout=99.0)


def test_equal_filesystems_make_equal_backends_with_one_hash():
    one, other = (Backend(MemoryFileSystem(skip_instance_cache=True), root="x") for _ in range(2))
    assert one.target is not other.target
    assert one == other
    assert hash(one) == hash(other)


def test_options_cannot_be_changed_from_outside():
    options = {"a": 1}
    backend = Backend("s3://b", storage_options=options)
    options["a"] = 2
    assert backend.storage_options["a"] == 1
    with pytest.raises(TypeError):
        backend.storage_options["a"] = 3
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        backend.name = "x"


def test_known_options_are_not_refused():
    refuse_unknown("X", [], ["a"])
    with pytest.raises(ConfigurationError, match=r"X: there is no option 'lease_s'; did you mean"):
        refuse_unknown("X", ["lease_s"], ["lease"])


# --- degraded reads -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (
            {},
            (
                "DegradedRead: give a mapping such as "
                '{"originals/{name}": ["previews/{name}"]}, or a callable'
            ),
        ),
        ([], "give a mapping such as"),
        ("originals/{name}", "give a mapping such as"),
        (None, "give a mapping such as"),
        ({"o/{n": ["p/{n}"]}, "pattern 'o/{n': write a field as"),
        ({"o/{n}": ["p/{n"]}, "pattern 'p/{n': write a field as"),
        ({"o/{n}": []}, "'o/{n}' has no derivative; name one, or remove the rule"),
        ({"o/{n}": ["p/{n}", "o/{n}"]}, "'o/{n}' is its own derivative; give the path of the"),
        ({"o/{n}": ["p/{n}.{e}"]}, "'p/{n}.{e}' uses the field {e}, which 'o/{n}' lacks; it has n"),
        ({"o/x": ["p/{n}"]}, "'p/{n}' uses the field {n}, which 'o/x' lacks; it has none"),
        ({"o/{a}/{b}": ["p/{c}"]}, "it has a, b"),
        ({"o/{n}": None}, "the derivatives of 'o/{n}' must be a list of patterns"),
        ({"o/{n}": {"p/{n}": 1}}, "the derivatives of 'o/{n}' must be a list of patterns"),
        ({"o/{n}": [7]}, "a pattern is text, not 7"),
        ({7: ["p/{n}"]}, "a pattern is text, not 7"),
    ],
)
def test_a_degraded_rule_that_cannot_work_says_what_to_change(rules, words):
    said = refused(lambda: DegradedRead(rules))
    assert said is not None
    assert said.startswith("DegradedRead: ")
    assert words in said
    assert rules != {} or said == words


PREVIEWS = {"o/{n}.{e}": ["p/{n}.png", "t/{n}.png"], "o/{n}": "p/{n}", "raw/{p...}": ("o/{p}",)}
name = st.text(st.characters(codec="utf-8", exclude_characters="/."), min_size=1, max_size=4)


@given(name, st.none() | name)
def test_the_first_rule_that_matches_names_the_derivatives_in_order(stem, ending):
    degraded = DegradedRead(PREVIEWS)
    if ending is None:
        assert degraded.derivatives(f"o/{stem}") == (f"p/{stem}",)
    else:
        expected = (f"p/{stem}.png", f"t/{stem}.png")
        assert degraded.derivatives(f"o/{stem}.{ending}") == expected
    assert degraded.derivatives(f"raw/{stem}/{stem}") == (f"o/{stem}/{stem}",)


@given(name)
def test_where_no_rule_matches_nothing_stands_in(stem):
    assert DegradedRead(PREVIEWS).derivatives(f"x/{stem}") == ()
    assert DegradedRead(PREVIEWS).derivatives(f"p/{stem}.png") == ()


def test_a_derivative_that_fills_in_to_its_original_is_no_stand_in():
    assert DegradedRead({"{p...}/{n}": ["o/{n}", "t/{n}"]}).derivatives("o/x") == ("t/x",)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (lambda _: ["p/x", "t/x"], ("p/x", "t/x")),
        (lambda _: iter(["p/x", "p/x", "o/x"]), ("p/x",)),
        (lambda _: "p/x", ("p/x",)),
        (lambda _: (), ()),
        (lambda _: None, ()),
    ],
)
def test_a_callable_names_them_itself(named, expected):
    assert DegradedRead(named).derivatives("o/x") == expected


def by_hand(path):
    return [f"p/{path}"]


@pytest.mark.parametrize("rules", [PREVIEWS, by_hand], ids=["mapping", "callable"])
def test_rules_cross_processes_and_are_equal_by_value(rules):
    degraded = DegradedRead(rules)
    again = pickle.loads(pickle.dumps(degraded))
    assert again == degraded != DegradedRead({"a/{n}": ["b/{n}"]})
    assert hash(again) == hash(degraded)
    assert again.derivatives("o/x") == degraded.derivatives("o/x") != ()


def test_a_callable_is_asked_of_the_path():
    assert DegradedRead(by_hand).derivatives("o/x") == ("p/o/x",)


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("", "it is empty"),
        ("/", "it is empty"),
        ("a//b", "it has an empty part ('//'); remove one slash"),
    ],
)
def test_a_callable_that_names_no_path_is_told_why(named, why):
    with pytest.raises(ConfigurationError) as caught:
        DegradedRead(lambda _: [named]).derivatives("o/x")
    assert str(caught.value) == (f"DegradedRead: the callable returned {named!r}, no path: {why}")


def test_what_a_callable_names_may_be_as_long_as_a_path_and_what_is_longer_cannot_lie_there():
    longest = "p" * LONGEST_BYTES
    assert DegradedRead(lambda _: [f"{longest}p", longest]).derivatives("o/x") == (longest,)


def test_rules_are_told_apart_by_what_they_match():
    rules = [DegradedRead({f"{name}/{{n}}": ["p/{n}"]}) for name in "abcd"]
    assert len({hash(rule) for rule in rules}) > 1
    assert len({*rules, *rules}) == len(rules)


def test_policies_are_values():
    assert WriteToAll(min_copies=2) == pickle.loads(pickle.dumps(WriteToAll(min_copies=2)))
    assert as_mapping(WriteToAll(min_copies=2)) == {"min_copies": 2, "min_domains": 1}
    assert as_mapping(ReadFromFirstHealthy()) == {"hedge_after": 0.25}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        WriteToAll().min_copies = 1
