"""What has become of an object: one verdict, which says lost only where a read would."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.damage import as_line, from_line
from resilient_store.model.domain import platforms
from resilient_store.model.state import OWN, Content, Entry, Intent, Record, Replica, State
from resilient_store.protocol.damage import (
    Circumstances,
    described,
    is_lost,
    kinds_of,
    since_s,
    stands_in,
)
from tests.laws.records import NAMES, PATH, records, subsets, times

DOMAINS = {"aws": "aws/1", "disk": "aws/2", "gcp": "gcp"}
AVAILABILITY = {"lost", "unreachable", "at_risk"}


@st.composite
def circumstances(draw):
    configured = draw(st.sets(st.sampled_from(NAMES), min_size=1))
    away = draw(st.dictionaries(st.sampled_from(sorted(configured)), times))
    return Circumstances(
        domains={name: DOMAINS[name] for name in NAMES if name in configured},
        min_domains=draw(st.integers(1, 2)),
        away=away,
        drained=frozenset(draw(subsets)) & configured,
    )


@st.composite
def cases(draw):
    now = draw(circumstances())
    placed = tuple(name for name in draw(subsets) if name in now.domains)
    return draw(records()), placed, now


def rows(record):
    return record.replicas.values()


@given(cases())
def test_at_most_one_verdict_on_whether_it_can_be_had_and_one_on_others_bytes(case):
    kinds = set(kinds_of(*case))
    assert len(kinds & AVAILABILITY) <= 1
    assert len(kinds - AVAILABILITY) <= 1


@given(cases())
def test_p5_lost_exactly_where_everybody_can_be_asked_and_nobody_may_hold_it(case):
    record, _, now = case
    may_hold = [row for row in rows(record) if row.state in (State.GOOD, State.UNKNOWN)]
    deaf = [row for row in rows(record) if row.backend in now.away or row.backend not in DOMAINS]
    deaf += [row for row in rows(record) if row.backend not in now.domains]
    certain = record.present is not None and record.intent is None and not may_hold and not deaf
    assert ("lost" in kinds_of(*case)) is certain


@given(cases())
def test_p5_what_cannot_be_had_and_is_not_lost_is_unreachable_and_nothing_else(case):
    record, _, now = case
    had = any(
        row.state is State.GOOD
        and record.present is not None
        and row.version == record.present.version
        and row.backend in now.domains
        and row.backend not in now.away
        and row.backend not in now.drained
        for row in rows(record)
    )
    kinds = set(kinds_of(*case))
    assert ("unreachable" in kinds) is (
        record.present is not None and not had and "lost" not in kinds
    )
    if had:
        assert not kinds & {"lost", "unreachable"}


@given(cases())
def test_p5_nothing_is_lost_by_an_outage(case):
    record, placed, now = case
    everybody = attrs.evolve(now, away=dict.fromkeys(now.domains, 1.0))
    before, during = kinds_of(record, placed, now), kinds_of(record, placed, everybody)
    assert "lost" not in during or not record.replicas
    assert {"lost", "unreachable"} & set(before) <= {"lost"} or "unreachable" in during


@given(cases())
def test_a_deleted_object_is_neither_lost_nor_at_risk(case):
    record, placed, now = case
    if record.present is None:
        assert set(kinds_of(record, placed, now)) <= {"conflict"}


@given(cases())
def test_at_risk_is_readable_and_on_too_few_platforms_or_alone(case):
    record, placed, now = case
    at_hand = now.at_hand(record)
    spread = len(platforms(at_hand, now.domains))
    enough = (
        spread >= now.min_domains
        and spread >= min(2, len(platforms(placed, now.domains)))
        and len(at_hand) >= min(2, len(placed))
    )
    wanted = record.present is not None and bool(at_hand) and not enough
    assert ("at_risk" in kinds_of(*case)) is wanted


@given(cases(), st.sampled_from(NAMES))
def test_one_more_copy_makes_nothing_worse(case, name):
    record, placed, now = case
    if record.present is None:
        return
    good = Replica(backend=name, state=State.GOOD, version=record.present.version, place=OWN)
    order = ("lost", "unreachable", "at_risk")
    severity = {kind: len(order) - number for number, kind in enumerate(order)}

    def worst(one):
        return max((severity.get(kind, 0) for kind in kinds_of(one, placed, now)), default=0)

    reachable = name in now.domains and name not in now.away
    if reachable:
        assert worst(record.with_replicas(good)) <= worst(record)


@given(cases())
def test_others_bytes_are_always_told_and_are_a_conflict_where_there_are_none_of_ours(case):
    record, _, now = case
    theirs = [row for row in rows(record) if row.state is State.FOREIGN]
    kinds = set(kinds_of(*case))
    assert bool(kinds & {"foreign", "conflict"}) is bool(theirs)
    if theirs:
        assert ("foreign" in kinds) is bool(now.at_hand(record))


@given(cases())
def test_an_empty_derivative_or_one_that_cannot_be_read_stands_in_for_nothing(case):
    record, _, now = case
    if stands_in(record, now):
        assert record.present.content.size > 0
        assert not {"lost", "unreachable"} & set(kinds_of(*case))


@given(cases())
def test_since_is_no_later_than_all_that_the_catalog_knows(case):
    record, placed, now = case
    known = [0.0, *now.away.values(), *(row.verified_at_s or 0.0 for row in rows(record))]
    known += [record.entry.modified_s] if record.entry is not None else []
    for kind in kinds_of(*case):
        assert 0.0 <= since_s(record, kind, placed, now) <= max(known)


@given(cases(), st.text(), st.lists(st.text(), max_size=2).map(tuple))
def test_what_is_said_survives_its_line_of_json(case, group, derivatives):
    for kind in kinds_of(*case):
        said = described(case[0], kind, *case[1:], group=group, derivatives=derivatives)
        line = as_line(said)
        assert line.isascii()
        assert "\n" not in line
        assert from_line(line) == said


# --- by example ---------------------------------------------------------------------------

ENTRY = Entry(path=PATH, version=4, content=Content(size=1), modified_s=10.0)
NOW = Circumstances(domains=DOMAINS, min_domains=2)


def record_of(**states):
    held = {
        name: Replica(backend=name, version=4, state=State(state), place=OWN)
        for name, state in states.items()
    }
    return Record(path=PATH, entry=ENTRY, replicas=held)


@pytest.mark.parametrize(
    ("states", "away", "kinds"),
    [
        ({"aws": "good", "disk": "good", "gcp": "good"}, (), ()),
        ({"aws": "good", "gcp": "good", "disk": "missing"}, (), ()),
        ({"aws": "good", "disk": "good", "gcp": "missing"}, (), ("at_risk",)),
        ({"aws": "good", "disk": "good"}, (), ("at_risk",)),
        ({"aws": "good", "disk": "good", "gcp": "good"}, ("gcp",), ("at_risk",)),
        ({"aws": "missing", "disk": "corrupt", "gcp": "stale"}, (), ("lost",)),
        ({"aws": "missing", "disk": "corrupt", "gcp": "unknown"}, (), ("unreachable",)),
        ({"aws": "missing", "disk": "corrupt", "gcp": "good"}, ("gcp",), ("unreachable",)),
        # what is said of an absent replica is not certain while its backend is away
        ({"aws": "missing", "disk": "corrupt", "gcp": "missing"}, ("gcp",), ("unreachable",)),
        ({"aws": "missing", "old": "missing"}, (), ("unreachable",)),
        ({"aws": "foreign", "disk": "good", "gcp": "good"}, (), ("foreign",)),
        ({"aws": "foreign", "disk": "foreign", "gcp": "good"}, (), ("at_risk", "foreign")),
        ({"aws": "foreign", "disk": "missing", "gcp": "missing"}, (), ("lost", "conflict")),
        ({}, (), ("lost",)),
    ],
)
def test_what_has_become_of_it(states, away, kinds):
    now = attrs.evolve(NOW, away=dict.fromkeys(away, 50.0))
    assert kinds_of(record_of(**states), NAMES, now) == kinds


def test_what_is_kept_on_purpose_on_one_backend_is_not_at_risk():
    now = attrs.evolve(NOW, min_domains=1)
    assert kinds_of(record_of(aws="good"), ("aws",), now) == ()
    assert kinds_of(record_of(aws="good"), ("aws", "disk"), now) == ("at_risk",)
    assert kinds_of(record_of(aws="good", disk="good"), ("aws", "disk"), now) == ()


def test_a_copy_on_a_backend_that_is_drained_is_not_read_and_is_no_safety():
    now = attrs.evolve(NOW, drained=frozenset({"gcp"}))
    whole = record_of(aws="good", disk="good", gcp="good")
    assert kinds_of(whole, NAMES, now) == ("at_risk",)
    assert kinds_of(record_of(gcp="good"), NAMES, now) == ("unreachable",)


def test_a_lost_object_was_well_when_the_last_copy_was_verified_or_written():
    record = record_of(aws="missing", disk="corrupt", gcp="missing")
    assert since_s(record, "lost", NAMES, NOW) == 10.0
    later = attrs.evolve(record.replica("disk"), verified_at_s=30.0)
    assert since_s(record.with_replicas(later), "lost", NAMES, NOW) == 30.0
    earlier = attrs.evolve(record.replica("disk"), verified_at_s=3.0)
    assert since_s(record.with_replicas(earlier), "lost", NAMES, NOW) == 10.0


def test_it_became_unreachable_when_the_last_that_may_hold_it_left():
    record = record_of(aws="missing", disk="good", gcp="good")
    now = attrs.evolve(NOW, away={"disk": 50.0, "gcp": 70.0})
    assert since_s(record, "unreachable", NAMES, now) == 70.0
    assert since_s(record_of(disk="good"), "unreachable", (), now) == 50.0


def test_p5_nothing_is_lost_while_somebody_is_away_or_at_work_on_it():
    record = record_of(aws="missing", disk="missing")
    assert is_lost(record, NOW)
    assert not is_lost(record, attrs.evolve(NOW, away={"aws": 0.0}))
    begun = Intent(id=1, version=5, kind="write", token="1-5")
    assert kinds_of(attrs.evolve(record, intent=begun), NAMES, NOW) == ("unreachable",)


def test_the_best_derivative_stands_in():
    said = described(record_of(aws="missing"), "lost", ("aws",), NOW, derivatives=("p", "t"))
    assert said.derivative == "p"
    assert attrs.evolve(said, derivatives=()).derivative is None


def test_a_line_of_another_kind_is_refused():
    said = as_line(described(record_of(aws="missing"), "lost", ("aws",), NOW))
    with pytest.raises(ValueError, match="no kind 'gone'"):
        from_line(said.replace('"lost"', '"gone"'))
