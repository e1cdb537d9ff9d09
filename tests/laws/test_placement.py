"""Placements: patterns of paths to names of backends."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store import ConfigurationError, Placement

names = st.lists(st.sampled_from(["aws", "gcp", "disk"]), min_size=1, max_size=3, unique=True)


@given(names)
def test_it_is_a_value(backends):
    one = Placement("thumbs/{path...}", backends=backends)
    assert one == Placement("thumbs/{path...}", backends=tuple(backends))
    assert pickle.loads(pickle.dumps(one)) == one
    assert pickle.loads(pickle.dumps(one)).matches("thumbs/a/b.jpg")
    assert hash(one) == hash(pickle.loads(pickle.dumps(one)))


@pytest.mark.parametrize(
    ("path", "matches"),
    [("thumbs/a.jpg", True), ("thumbs/a/b.jpg", False), ("thumb/a.jpg", False)],
)
def test_a_field_stays_within_its_part_of_the_path(path, matches):
    assert Placement("thumbs/{name}", backends=["aws"]).matches(path) is matches


@pytest.mark.parametrize(
    ("pattern", "backends", "said"),
    [
        ("a", [], "at least one backend"),
        ("a", ["x", "x"], "none twice"),
        ("a", "x", "^Placement: backends is a list of backends' names$"),
        ("a", [1], "^Placement: backends is a list of backends' names$"),
        ("{a", ["x"], "write a field as"),
        (3, ["x"], "Placement"),
    ],
)
def test_a_refusal_says_what_to_change(pattern, backends, said):
    with pytest.raises(ConfigurationError, match=said):
        Placement(pattern, backends=backends)
