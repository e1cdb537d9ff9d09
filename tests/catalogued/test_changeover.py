"""Servers that get a catalog one after the other: what those without it do meanwhile."""

from __future__ import annotations

import pytest

import resilient_store as rs
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, THREE, TWO, converge, states


@pytest.fixture
def without(shop):
    with rs.ResilientFileSystem(shop.backends()) as fs:
        yield fs


@pytest.fixture
def incomplete(without, shop):
    """Open the first server that has the catalog, over what there was before."""
    without.write("originals/before.jpg", ONE)
    return shop.open()


def test_both_kinds_of_servers_see_what_either_uploads(without, incomplete):
    without.write(CAT, ONE)
    incomplete.write(DOG, TWO)
    for fs in (without, incomplete):
        assert (fs.cat(CAT), fs.cat(DOG)) == (ONE, TWO)
        assert fs.find("") == ["originals/before.jpg", CAT, DOG]


def test_p4_what_is_written_over_a_known_path_is_a_conflict_and_never_the_object(
    without, incomplete, shop
):
    incomplete.write(CAT, ONE)
    without.write(CAT, THREE)
    with pytest.raises(rs.OriginalMissingError):
        incomplete.cat(CAT)
    report = rs.adopt(incomplete)
    assert {path: sorted(names) for path, names in report.conflicts.items()} == {CAT: sorted(NAMES)}
    assert not report.complete
    assert shop.held(CAT) == dict.fromkeys(NAMES, THREE)
    assert rs.adopt(incomplete, on_conflict="newest").complete
    assert incomplete.cat(CAT) == THREE


def test_p5_what_is_deleted_is_missing_and_named(without, incomplete):
    incomplete.write(CAT, ONE)
    without.rm(CAT)
    with pytest.raises((rs.OriginalMissingError, rs.BackendsUnavailableError)):
        incomplete.cat(CAT)
    assert states(incomplete, CAT) == dict.fromkeys(NAMES, "missing")
    with pytest.raises(rs.OriginalMissingError):
        incomplete.cat(CAT)
    assert [one.path for one in rs.damage_report(incomplete).lost] == [CAT]


def test_p2_who_has_the_catalog_reads_what_those_without_it_see_later(without, incomplete):
    incomplete.write(CAT, ONE)
    incomplete.write(CAT, TWO)  # staged, for requests to its own key may be under way
    assert incomplete.cat(CAT) == TWO
    assert without.cat(CAT) in (ONE, TWO)
    converge(incomplete)
    assert without.cat(CAT) == TWO
