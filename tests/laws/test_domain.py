"""Backends share fate as far as their domains share whole parts; platforms are first parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.domain import parts, platform, platforms, within

names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=3)
endpoints = st.builds(
    "{}://{}:{}".format, st.sampled_from(["s3", "http", "abfs"]), names, st.just(9)
)
heads = names | endpoints
split = st.tuples(heads, st.lists(names, max_size=3)).map(lambda pair: [pair[0], *pair[1]])


@given(split, st.sampled_from(["", "/"]))
def test_parts_undo_joining(wanted, slash):
    assert parts("/".join(wanted) + slash) == wanted


def test_slashes_around_a_plain_domain_mean_nothing():
    assert parts("/aws/x/") == ["aws", "x"]
    assert parts("s3://host:1/") == ["s3://host:1"]
    assert parts("s3://host:1//rack/") == ["s3://host:1", "rack"]
    assert parts("s3://host:1//X/") == ["s3://host:1", "X"]


@given(split, split)
def test_within_is_exactly_beginning_with_the_same_parts(one, other):
    domain, prefix = "/".join(one), "/".join(other)
    assert within(domain, prefix) is (one[: len(other)] == other)
    assert within("/".join(one + other), domain)


def test_a_root_prefix_without_its_separator():
    assert not within("aws-cn/north", "aws")
    assert not within("aws", "aws/us")
    assert within("aws/us", "aws")


@given(split)
def test_the_platform_is_the_first_part(wanted):
    assert platform("/".join(wanted)) == wanted[0]


@given(st.dictionaries(names, split.map("/".join), min_size=1))
def test_platforms_are_counted_once_each_in_order(domains):
    spanned = platforms(domains, domains)
    assert sorted(spanned) == sorted({platform(domain) for domain in domains.values()})
    firsts = [platform(domain) for domain in domains.values()]
    assert list(spanned) == sorted(set(firsts), key=firsts.index)


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [("aws/a", "aws/b", 1), ("s3://h:1", "s3://h:2", 2), ("s3", "s3://h", 2), ("file", "file", 1)],
)
def test_two_zones_are_one_platform_and_two_endpoints_are_two(one, other, count):
    assert len(platforms(["x", "y"], {"x": one, "y": other})) == count
