"""Placements: the first that matches says who holds an object, now and after a change."""

from __future__ import annotations

import pytest

import resilient_store as rs
from tests.catalogued.stage import NAMES, ONE, TWO, converge, states, well_again

CAT, THUMB, OTHER = "originals/cat.jpg", "thumbs/cat.jpg", "other/cat.jpg"
RULES = (
    rs.Placement("thumbs/{path...}", backends=["azure", "aws"]),
    rs.Placement("thumbs/cat.jpg", backends=["gcp", "azure"]),
    rs.Placement("originals/{name}", backends=["aws", "gcp"]),
)


@pytest.fixture
def placed(shop):
    return shop.open(placements=RULES)


def where(shop, path):
    return tuple(name for name, data in shop.held(path).items() if data is not None)


def test_the_first_placement_that_matches_counts(placed, shop):
    for path in (CAT, THUMB, OTHER):
        placed.write(path, ONE)
    converge(placed)  # the third backend of the last path may have been slow
    assert where(shop, CAT) == ("aws", "gcp")
    assert where(shop, THUMB) == ("aws", "azure")
    assert where(shop, OTHER) == NAMES
    assert placed.write(CAT, TWO).copies == ("aws", "gcp")
    assert placed.info(THUMB)["replicas"] == {"aws": "good", "azure": "good"}


def test_p1_copies_are_asked_of_the_placed_backends(placed, shop):
    placed.exists(CAT)
    shop.lose("gcp")
    with pytest.raises(rs.InsufficientCopiesError, match="gcp"):
        placed.write(CAT, ONE)
    assert placed.write(THUMB, ONE).pending == ()
    assert not placed.exists(CAT)
    assert shop.read_behind("aws", CAT) is None


def test_repair_copies_to_the_placed_backends_and_no_others(placed, shop):
    placed.write(CAT, ONE)
    (shop.disk("aws") / CAT).unlink()
    assert placed.cat(CAT) == ONE
    states(placed, CAT)
    converge(placed)
    assert where(shop, CAT) == ("aws", "gcp")


def test_a_placement_that_grew_is_filled_by_repair(placed, shop):
    placed.write(CAT, ONE)
    wider = shop.open(placements=(rs.Placement("originals/{name}", backends=NAMES),))
    assert wider.cat(CAT) == ONE
    converge(wider)
    assert where(shop, CAT) == NAMES
    assert wider.info(CAT)["replicas"] == dict.fromkeys(NAMES, "good")


def test_p2_a_backend_that_it_is_not_placed_on_any_more_serves_nothing_old(shop):
    everywhere = shop.open()
    everywhere.write(CAT, ONE)
    placed = shop.open(placements=(rs.Placement("originals/{name}", backends=["gcp", "azure"]),))
    placed.write(CAT, TWO)
    for fs in (placed, everywhere):
        assert fs.cat(CAT) == TWO
    assert shop.read_behind("aws", CAT) == ONE
    converge(placed)
    assert where(shop, CAT) == ("gcp", "azure")
    assert everywhere.cat(CAT) == TWO


def test_p7_a_placement_that_shrank_and_grew_again_is_filled_by_repair(shop):
    two = [rs.Placement("originals/{name}", backends=["aws", "gcp"])]
    one = [rs.Placement("originals/{name}", backends=["gcp", "azure"])]
    wide = shop.open(placements=two)
    wide.write(CAT, ONE)
    converge(wide)
    narrow = shop.open(placements=one)
    narrow.write(CAT, TWO)
    converge(narrow)
    assert (where(shop, CAT), states(narrow, CAT)["aws"]) == (("gcp", "azure"), "gone")
    assert rs.repair(wide, dry_run=True).waiting == {CAT: "to be brought to aws"}
    converge(wide)
    assert shop.held(CAT)["aws"] == TWO
    assert states(wide, CAT)["aws"] == "good"


def test_p7_an_older_version_that_was_doubted_where_it_is_not_placed_any_more_is_removed(shop):
    everywhere = shop.open()
    everywhere.write(CAT, b"of old")
    everywhere.write(CAT, TWO)
    converge(everywhere)
    shop.put_behind("azure", CAT, b"of old")
    rs.drain(everywhere, "azure")
    rs.rejoin(everywhere, "azure")
    placed = shop.open(placements=(rs.Placement("originals/{name}", backends=["aws", "gcp"]),))
    assert states(placed, CAT)["azure"] == "unknown"
    converge(placed)
    assert shop.held(CAT) == {"aws": TWO, "gcp": TWO, "azure": None}


def test_p3_a_deletion_reaches_whoever_ever_held_it(shop):
    everywhere = shop.open()
    everywhere.write(CAT, ONE)
    placed = shop.open(placements=(rs.Placement("originals/{name}", backends=["gcp", "azure"]),))
    shop.lose("aws")
    placed.rm(CAT)
    shop.bring_back("aws")
    well_again(placed)
    assert not everywhere.exists(CAT)
    converge(placed)
    assert where(shop, CAT) == ()


def test_moving_into_another_placement_moves_the_copies(placed, shop):
    placed.write(CAT, ONE)
    placed.mv(CAT, THUMB)
    assert where(shop, THUMB) == ("aws", "azure")
    assert where(shop, CAT) == ()


def test_a_placement_on_too_few_backends_is_refused_when_the_store_is_built(shop):
    with pytest.raises(rs.ConfigurationError, match=r"thumbs.*min_copies=2"):
        shop.open(placements=(rs.Placement("thumbs/{name}", backends=["aws"]),))
    with pytest.raises(rs.ConfigurationError, match="no backend 'mars'"):
        shop.open(placements=(rs.Placement("thumbs/{name}", backends=["aws", "mars"]),))
