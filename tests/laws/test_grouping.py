"""A path's group is what the fields of a pattern match in it, but for the rest at its end."""

from __future__ import annotations

import pytest
from hypothesis import given

from resilient_store.model.grouping import Grouping
from resilient_store.model.pattern import Pattern, PatternError
from tests.laws.test_pattern import part, spanning


@given(part, spanning)
def test_three_dots_at_the_end_stand_for_any_rest(customer, rest):
    path = f"originals/{customer}/{rest}"
    assert Grouping("originals/{customer}/...").of(path) == customer
    assert Grouping("originals/{customer}/{path...}").of(path) == customer
    assert Grouping("originals/{customer}/...").of(f"originals/{customer}") == ""


@given(part, part, part)
def test_several_fields_make_one_group(year, customer, name):
    path = f"{year}/{customer}/{name}"
    assert Grouping("{year}/{customer}/...").of(path) == f"{year}/{customer}"
    assert Grouping("{year}/{customer}/{name}").of(path) == path


@given(spanning, part)
def test_a_spanning_field_that_is_not_the_rest_counts(folders, name):
    assert Grouping("{folders...}/{name...}").of(f"{folders}/{name}") == folders


@given(spanning)
def test_what_the_pattern_does_not_match_has_no_group(path):
    grouping, pattern = Grouping("a/{customer}/..."), Pattern("a/{customer}/{rest...}")
    assert (grouping.of(path) == "") is (pattern.match(path) is None)


def test_a_field_may_have_any_name_the_rest_might_have_had():
    assert Grouping("{rest}/{rest_}/...").of("a/b/c/d") == "a/b"
    assert Grouping("{_}/{rest}/...").of("a/b/c/d") == "a/b"


@pytest.mark.parametrize("text", ["", "originals", "originals/...", "{path...}", "{a", "a}"])
def test_a_pattern_that_groups_nothing_is_refused(text):
    with pytest.raises(PatternError):
        Grouping(text)


def test_a_refusal_says_how_a_field_is_written():
    with pytest.raises(PatternError) as caught:
        Grouping("originals/...")
    assert str(caught.value) == (
        "pattern 'originals/...' has no field to group by: write one as {customer}, as in "
        "'originals/{customer}/...'"
    )
