"""A pattern gives back the path that it took apart, and divides where the design says."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.path import LONGEST_BYTES
from resilient_store.model.pattern import Pattern, PatternError, path_pattern

signs = st.characters(codec="utf-8", exclude_characters="/")
part = st.text(signs | st.sampled_from(".-ab"), min_size=1, max_size=5)
undotted = st.text(st.characters(codec="utf-8", exclude_characters="/."), min_size=1, max_size=4)
spanning = st.lists(part, min_size=1, max_size=3).map("/".join)
texts = st.lists(
    st.sampled_from(["{a}", "{b}", "{c...}", "{a...}", ".", "/", "x", "-", "(", "*", "^", "\n"]),
    min_size=1,
    max_size=6,
).map("".join)
subjects = st.text(st.sampled_from("xa./-(*^\nb"), max_size=10)


@given(texts, subjects)
def test_filling_in_what_was_matched_gives_the_path_back(text, path):
    pattern = Pattern(text)
    values = pattern.match(path)
    if values is not None:
        assert pattern.fill(values) == path
        assert set(values) == set(pattern.fields)
        assert all(values.values())


@given(texts, part, part, part)
def test_what_was_filled_in_is_matched_again(text, a, b, c):
    pattern = Pattern(text)
    # a field after a dot holds none: there the last dot divides
    values = {"a": a.replace(".", "_"), "b": b.replace(".", "_"), "c": c.replace(".", "_")}
    assert pattern.match(pattern.fill(values)) is not None


@given(part, part)
def test_one_field_between_literals_comes_back_exactly(name, other):
    pattern = Pattern("originals/{name}")
    assert pattern.match(f"originals/{name}") == {"name": name}
    assert pattern.match(f"originals/{name}/{other}") is None
    assert pattern.match(f"x/originals/{name}") is None
    assert pattern.match(f"original/{name}") is None
    assert pattern.match("originals/") is None


@given(part, undotted)
def test_the_last_dot_divides(name, ending):
    path = f"originals/{name}.{ending}"
    assert Pattern("originals/{n}.{e}").match(path) == {"n": name, "e": ending}
    assert Pattern("{p...}.{e}").match(path) == {"p": f"originals/{name}", "e": ending}
    assert Pattern("originals/{n}.{e}").match(f"originals/{ending}") is None


def test_the_last_dot_divides_even_where_another_would_match():
    assert Pattern("{n}.{e}/{n}").match("a.b/a") == {"n": "a", "e": "b"}
    assert Pattern("{n}.{e}/{n}").match("a.b.c/a") is None
    assert Pattern("{n}-{e}/{n}").match("a-b-c/a") == {"n": "a", "e": "b-c"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/a/{n}", "pattern '/a/{n}': write 'a/{n}', as paths are named in the store"),
        (
            "a//{n}",
            (
                "pattern 'a//{n}' is no path inside the store: "
                "it has an empty part ('//'); remove one slash"
            ),
        ),
    ],
)
def test_a_pattern_that_no_path_can_match_is_refused(text, said):
    with pytest.raises(PatternError) as caught:
        path_pattern(text)
    assert str(caught.value) == said


def test_a_pattern_may_be_as_long_as_what_it_matches():
    longest = "a" * (LONGEST_BYTES - 1)
    assert path_pattern(f"{longest}{{name}}").match(f"{longest}x") == {"name": "x"}
    with pytest.raises(PatternError, match="no more than"):
        path_pattern(f"{longest}a{{name}}")


def test_only_a_dot_between_two_fields_divides_so():
    assert Pattern("v.{e}").match("v.1.2") == {"e": "1.2"}
    assert Pattern("{n}-{e}").match("a-b.c-d.e") == {"n": "a-b.c", "e": "d.e"}
    assert Pattern("{n}.x.{e}").match("a.x.b.c") == {"n": "a", "e": "b.c"}
    assert Pattern("{n}.{p...}").match("a.b/c.d") is not None


@given(spanning)
def test_only_a_spanning_field_crosses_slashes(path):
    assert Pattern("{path...}").match(path) == {"path": path}
    assert (Pattern("{path}").match(path) is None) is ("/" in path)


def test_a_field_named_twice_matches_the_same_twice():
    pattern = Pattern("{id}/{id}.jpg")
    assert pattern.fields == ("id",)
    assert pattern.match("7/7.jpg") == {"id": "7"}
    assert pattern.match("7/8.jpg") is None


@given(st.text(signs, min_size=1).filter(lambda text: not set(text) & set("{}")))
def test_without_fields_it_matches_itself_alone(text):
    assert Pattern(text).match(text) == {}
    assert Pattern(text).match(text + "x") is None
    assert Pattern(text).fields == ()


@pytest.mark.parametrize(
    "text",
    ["", "{", "}", "{}", "{a", "a}", "{1a}", "{a-b}", "{a..}", "{é}", "{{a}}", "{a....}", "{a b}"],
)
def test_what_cannot_be_read_is_refused_with_the_way_to_write_it(text):
    with pytest.raises(PatternError) as caught:
        Pattern(text)
    assert str(caught.value) == (
        f"pattern {text!r}: write a field as {{name}} or {{path...}}, with letters, digits and '_'"
    )


def test_equal_by_text_and_it_pickles():
    pattern = Pattern("a/{b}")
    assert pattern == Pattern("a/{b}") != Pattern("a/{c}")
    assert hash(pattern) == hash(Pattern("a/{b}"))
    again = pickle.loads(pickle.dumps(pattern))
    assert again == pattern
    assert again.match("a/x") == {"b": "x"}
    assert repr(pattern) == "Pattern(text='a/{b}', fields=('b',))"
