"""What is claimed where placements and degraded rules meet, and the comparison that tells it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import resilient_store as rs
from resilient_store.model.pattern import Pattern
from resilient_store.testing import claims, rehearse, virtual_time
from resilient_store.testing.overlap import overlap, within

TEXTS = st.lists(
    st.sampled_from(["a", "b", "/", ".", "{x}", "{y}", "{x...}", "{z...}"]), min_size=1, max_size=5
).map("".join)
PATHS = st.text("ab/.c", min_size=1, max_size=6)


def over(*names, **options):
    backends = [rs.Backend(f"memory://{n}", name=n, domain=f"{n}/somewhere") for n in names]
    return rs.ResilientFileSystem(backends, catalog="sqlite:///photos.db", **options)


def placed_on_aws(*patterns):
    return [rs.Placement(pattern, backends=["aws"]) for pattern in patterns]


def standing_in(fs):
    return {claim.pattern: claim.derivatives for claim in claims(fs) if claim.lost == "aws"}


@settings(max_examples=300, deadline=None)
@given(one=TEXTS, other=TEXTS, path=PATHS)
def test_a_path_never_refutes_what_is_said_of_two_patterns(one, other, path):
    matches_one, matches_other = Pattern(one).match(path), Pattern(other).match(path)
    assert overlap(one, other) == overlap(other, one)
    assert overlap(one, other) or not (matches_one and matches_other)
    assert not (within(one, other) and matches_one and not matches_other)


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ("a/{name}.jpg", "a/{name}"),
        ("a/{name}.{ext}", "a/{name}"),
        ("a/{name}.jpg", "a/{name}.{ext}"),
        ("a/{name}", "a/{path...}"),
        ("a/{x}/{y}", "a/{path...}"),
        ("a/{x}/{x}", "a/{x}/{x}"),
    ],
)
def test_a_narrower_pattern_lies_within_a_wider_one(inner, outer):
    assert overlap(inner, outer)
    assert within(inner, outer)
    assert inner == outer or not within(outer, inner)


@pytest.mark.parametrize(
    ("one", "other"), [("a/{x}", "b/{x}"), ("a/{x}", "a/{x}/b"), ("{x}.jpg", "{x}.{y}g.png")]
)
def test_patterns_that_share_no_path_are_told_apart(one, other):
    assert not overlap(one, other)
    assert not within(one, other)


RULES = rs.DegradedRead({"originals/{name}": ["previews/{name}"]})


def test_a_placement_narrower_than_a_rule_is_promised_its_derivatives():
    narrow = over("aws", "gcp", degraded=RULES, placements=placed_on_aws("originals/{name}.jpg"))
    assert standing_in(narrow) == {
        "originals/{name}.jpg": ("previews/{name}",),
        "every other path": (),
    }


def test_a_placement_wider_than_a_rule_is_promised_its_derivatives():
    wide = over(
        "aws",
        "gcp",
        degraded=RULES,
        placements=[
            rs.Placement("previews/{path...}", backends=["gcp"]),
            *placed_on_aws("{path...}"),
        ],
    )
    assert standing_in(wide)["{path...}"] == ("previews/{name}",)


def test_a_derivative_that_is_placed_elsewhere_in_part_is_not_promised():
    narrow = over(
        "aws",
        "gcp",
        degraded=RULES,
        placements=placed_on_aws("previews/{name}.jpg", "originals/{name}"),
    )
    assert not any(standing_in(narrow).values())
    with virtual_time():
        rehearsal = rehearse(narrow)
        rehearsal.fs.write("originals/a.jpg", b"the whole cat")
        rehearsal.fs.write("previews/a.jpg", b"a small cat")
        rehearsal.faults.down("aws")
        with pytest.raises(rs.BackendsUnavailableError):
            rehearsal.fs.read("originals/a.jpg")
        rehearsal.fs.close()


def test_where_patterns_share_some_paths_only_nothing_is_promised():
    rules = rs.DegradedRead({"{kind}/a.{ext}": ["thumbs/{kind}/{ext}"]})
    crossing = over("aws", "gcp", degraded=rules, placements=placed_on_aws("originals/{name}.jpg"))
    assert not any(standing_in(crossing).values())


def test_what_an_earlier_rule_takes_is_not_promised_by_a_later_one():
    rules = rs.DegradedRead(
        {
            "originals/{name}": ["previews/{name}"],
            "originals/{name}.jpg": ["thumbs/{name}"],
        }
    )
    fs = over("aws", "gcp", degraded=rules, placements=placed_on_aws("originals/{name}.jpg"))
    assert standing_in(fs)["originals/{name}.jpg"] == ("previews/{name}",)


def test_without_a_catalog_a_write_needs_a_read_only_backends_answer_too():
    backends = [
        rs.Backend("memory://aws", name="aws", domain="aws"),
        rs.Backend("memory://gcp", name="gcp", domain="gcp"),
        rs.Backend("memory://old", name="old", domain="old", read_only=True),
    ]
    fs = rs.ResilientFileSystem(backends)
    said = str(claims(fs)[-1])
    assert said == "without old, every path: reads served; writes refused; deletions refused"
    with virtual_time():
        rehearsal = rehearse(fs)
        rehearsal.faults.down("old")
        with pytest.raises(rs.InsufficientCopiesError, match="old: unavailable"):
            rehearsal.fs.write("cat.jpg", b"meow")
        rehearsal.fs.close()


def test_a_stand_in_takes_the_keys_that_its_platform_takes():
    buckets = [rs.Backend("s3://photos", name="aws"), rs.Backend("gs://photos", name="gcp")]
    with virtual_time():
        flat = rehearse(rs.ResilientFileSystem(buckets))
        flat.fs.write("cat", b"the whole cat")
        flat.fs.write("cat/preview", b"a small cat")
        flat.fs.write("dog/preview", b"a small dog")
        flat.fs.write("dog", b"the whole dog")
        assert flat.fs.find("") == ["cat", "cat/preview", "dog", "dog/preview"]
        flat.faults.corrupt("aws", "cat/preview")
        assert flat.held("aws", "cat/preview") != flat.held("gcp", "cat/preview")
        flat.fs.close()
        disk = rehearse(rs.ResilientFileSystem(["file:///photos", "memory://photos"]))
        disk.fs.write("cat", b"the whole cat")
        with pytest.raises(rs.InvalidPathError):
            disk.fs.write("cat/preview", b"a small cat")
        disk.fs.close()
