"""Losses: what is counted by kind is what a walk over single objects finds."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.errors import ConfigurationError
from resilient_store.model.amount import Amount
from resilient_store.protocol.losses import (
    FATES,
    Kind,
    as_key,
    every_domain,
    fates,
    held,
    lost_with,
    moved,
    planned,
    refilled,
    scenarios,
)

DOMAINS = {"a": "aws/us/1", "b": "aws/us/2", "c": "aws/eu", "d": "gcp", "e": "s3://host:1/rack"}
some = st.frozensets(st.sampled_from(sorted(DOMAINS))).map(lambda names: tuple(sorted(names)))
objects = st.lists(st.tuples(st.integers(0, 9), some, some, some), max_size=12)
gone_sets = st.frozensets(st.sampled_from(sorted(DOMAINS)))


def tallied(found):
    tally = {}
    for size, *sets in found:
        kind = Kind(*sets)
        tally[kind] = tally.get(kind, Amount()) + Amount(1, size)
    return tally


def summed(sizes):
    sizes = list(sizes)
    return Amount(len(sizes), sum(sizes))


@given(objects, gone_sets)
def test_fates_are_those_of_each_object_by_itself(found, gone):
    sizes = {fate: [] for fate in FATES}
    for size, holders, standins, _ in found:
        left, stands = set(holders) - gone, set(standins) - gone
        sizes["survives" if left else "degraded" if stands else "lost"].append(size)
    assert fates(tallied(found), gone) == {fate: summed(sizes[fate]) for fate in FATES}


@given(objects, gone_sets, gone_sets)
def test_losing_more_never_saves_anything(found, gone, more):
    before, after = fates(tallied(found), gone), fates(tallied(found), gone | more)
    assert after["survives"].count <= before["survives"].count
    assert after["lost"].count >= before["lost"].count


@given(objects, gone_sets, st.permutations(sorted(DOMAINS)), gone_sets)
def test_what_was_lost_is_copied_again_from_the_first_that_is_left(found, gone, order, writable):
    copies = {}
    for size, holders, _, _ in found:
        left = [name for name in order if name in holders and name not in gone]
        for name in holders:
            if left and name in gone and name in writable:
                copies.setdefault((left[0], name), []).append(size)
    expected = {ends: summed(sizes) for ends, sizes in copies.items()}
    assert refilled(tallied(found), gone, order, writable) == expected


@given(objects, st.permutations(sorted(DOMAINS)))
def test_what_is_planned_is_copied_where_it_is_not(found, order):
    copies, kept = {}, {}
    for size, holders, _, plan in found:
        for name in plan if holders else ():
            kept.setdefault(name, []).append(size)
            if name not in holders:
                first = min(holders, key=order.index)
                copies.setdefault((first, name), []).append(size)
    expected = {ends: summed(sizes) for ends, sizes in copies.items()}
    assert moved(tallied(found), order, order) == expected
    assert planned(tallied(found)) == {name: summed(sizes) for name, sizes in kept.items()}


def test_a_backend_that_is_configured_no_more_is_read_last():
    tally = {Kind(("old", "z"), planned=("b",)): Amount(1, 5)}
    assert moved(tally, ["z", "b"], ["b"]) == {("z", "b"): Amount(1, 5)}


@given(objects)
def test_who_holds_what_adds_up(found):
    sums = held(tallied(found))
    for name in DOMAINS:
        sizes = [size for size, holders, _, _ in found if name in holders]
        assert sums.get(name, Amount()) == summed(sizes)


def test_a_domain_takes_all_backends_below_it_and_no_other():
    assert lost_with(["aws"], DOMAINS) == ("a", "b", "c")
    assert lost_with(["aws/us", "gcp"], DOMAINS) == ("a", "b", "d")
    assert lost_with(["s3://host:1"], DOMAINS) == ("e",)
    assert lost_with([], DOMAINS) == ()


@pytest.mark.parametrize("domain", ["aw", "aws/us/12", "azure", ""])
def test_a_domain_that_is_not_there_is_refused_with_those_that_are(domain):
    with pytest.raises(ConfigurationError, match="aws, aws/eu, aws/us, aws/us/1, aws/us/2, gcp"):
        lost_with([domain], DOMAINS)


def test_every_single_domain_and_every_pair_is_asked():
    singles = every_domain(DOMAINS)
    asked = scenarios(DOMAINS)
    assert asked[: len(singles)] == tuple((one,) for one in singles)
    pairs = {frozenset(one) for one in asked[len(singles) :]}
    for one, other in product(singles, repeat=2):
        nested = f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
        assert (frozenset((one, other)) in pairs) == (not nested)
    assert len(asked) == len(singles) + len(pairs)


def test_the_order_of_domains_makes_no_difference():
    assert as_key("aws/") == ("aws",)
    assert as_key("aws/eu/") == ("aws/eu",)
    assert as_key(["gcp", "/aws/"]) == as_key(("aws", "gcp")) == ("aws", "gcp")
