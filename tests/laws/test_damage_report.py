"""What a damage report says of an object, field by field, and since when it is so."""

from __future__ import annotations

import datetime as dt

import attrs
import pytest

from resilient_store.model.damage import DamagedObject, ReplicaCondition, moment
from resilient_store.model.state import OWN, Content, Entry, Record, Replica, State
from resilient_store.protocol.damage import Circumstances, described, since_s, stands_in

PATH = "previews/cat.jpg"
ENTRY = Entry(
    path=PATH,
    version=4,
    content=Content(size=7),
    derived_from=("originals/cat.jpg", 3),
    modified_s=10.0,
)
DOMAINS = {"aws": "aws/1", "disk": "aws/2", "gcp": "gcp", "new": "azure"}
NOW = Circumstances(domains=DOMAINS, min_domains=2)


def record_of(entry=ENTRY, **states):
    rows = (
        Replica(backend=name, version=4, state=State(state), place=OWN)
        for name, state in states.items()
    )
    return Record(path=PATH, entry=entry).with_replicas(*rows)


def at(seconds):
    return dt.datetime(1970, 1, 1, 0, 0, seconds, tzinfo=dt.UTC)


# --- what is said of it -------------------------------------------------------------------


def test_a_report_says_of_an_object_what_each_backend_holds():
    record = record_of(aws="good", gcp="unknown").with_replicas(
        Replica(backend="disk", state=State.MISSING, error="404", verified_at_s=20.0)
    )
    now = attrs.evolve(NOW, away={"gcp": 50.0})
    said = described(record, "at_risk", ("aws", "new"), now, group="Smith", derivatives=("t",))
    assert said == DamagedObject(
        path=PATH,
        kind="at_risk",
        group="Smith",
        since=at(50),
        derivatives=("t",),
        derived_from="originals/cat.jpg",
        size=7,
        platforms=("aws",),
        replicas=(
            ReplicaCondition(backend="aws", state="good"),
            ReplicaCondition(backend="disk", state="missing", error="404", verified_at=at(20)),
            ReplicaCondition(backend="gcp", state="unknown", away=True),
            ReplicaCondition(backend="new", state="absent"),
        ),
    )


def test_of_bytes_in_a_place_that_nobody_knows_little_is_said():
    record = record_of(None, aws="foreign")
    foreign = ReplicaCondition(backend="aws", state="foreign")
    said = described(record, "conflict", (), NOW)
    assert said == DamagedObject(path=PATH, kind="conflict", replicas=(foreign,))


@pytest.mark.parametrize("derived_from", [None, ("originals/dog.jpg", None)])
def test_it_is_derived_from_what_its_writer_said(derived_from):
    entry = attrs.evolve(ENTRY, derived_from=derived_from)
    said = described(record_of(entry, aws="missing"), "lost", (), NOW)
    assert said.derived_from == (derived_from[0] if derived_from else None)


def test_a_deleted_object_has_no_size():
    record = record_of(attrs.evolve(ENTRY, content=None), aws="foreign")
    assert described(record, "conflict", (), NOW).size is None


@pytest.mark.parametrize(
    ("changes", "away"),
    [
        ({}, False),
        ({"away": {"aws": 0.0}}, True),
        ({"drained": frozenset({"aws"})}, True),
        ({"domains": {"gcp": "gcp"}}, True),
    ],
    ids=["at hand", "away", "drained", "no backend of this store any more"],
)
def test_a_backend_is_away_that_cannot_be_asked_or_is_not_read_from(changes, away):
    said = described(record_of(aws="missing"), "lost", (), attrs.evolve(NOW, **changes))
    assert said.replicas == (ReplicaCondition(backend="aws", state="missing", away=away),)


def test_a_time_is_told_in_utc_and_none_is_none():
    assert moment(50.0) == at(50)
    assert moment(50.0).tzinfo is dt.UTC
    assert moment(0.0) is moment(None) is None


# --- since when ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "kind", "changes", "since"),
    [
        (record_of(), "lost", {}, 10.0),  # as it was written, for want of anything better
        (record_of(aws="missing"), "lost", {}, 10.0),
        # its backend left, but what was found missing before was gone already
        (record_of(aws="missing"), "unreachable", {"away": {"aws": 50.0}}, 10.0),
        # it was never sent there, so that it could not be had before it left
        (record_of(disk="missing"), "unreachable", {"away": {"aws": 50.0}}, 10.0),
        (record_of(aws="unknown"), "unreachable", {"away": {"aws": 50.0}}, 50.0),
        (record_of(aws="good"), "unreachable", {"drained": frozenset({"aws"})}, 10.0),
        (record_of(aws="good"), "unreachable", {"domains": {"gcp": "gcp"}}, 0.0),
    ],
)
def test_it_was_well_until_the_last_that_could_have_it_was_known_to(record, kind, changes, since):
    assert since_s(record, kind, ("aws",), attrs.evolve(NOW, **changes)) == since


def test_of_what_can_be_had_from_everywhere_nothing_is_known_to_have_been_better():
    assert since_s(record_of(aws="good"), "at_risk", ("aws",), NOW) == 0.0


@pytest.mark.parametrize("kind", ["foreign", "conflict"])
def test_others_bytes_came_after_ours_were_last_seen_there(kind):
    record = record_of(aws="missing", gcp="foreign")
    verified = (
        attrs.evolve(record.replica("aws"), verified_at_s=40.0),
        attrs.evolve(record.replica("gcp"), verified_at_s=30.0),
    )
    record = record.with_replicas(*verified)
    assert since_s(record, kind, ("aws",), NOW) == 30.0
    assert described(record, kind, ("aws",), NOW).since == at(30)


def test_where_no_entry_says_when_it_was_written_nothing_is_known_of_others_bytes():
    assert since_s(record_of(None, aws="foreign"), "conflict", (), NOW) == 0.0


# --- who stands in ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "state", "stands"),
    [(0, "good", False), (1, "good", True), (1, "missing", False), (0, "missing", False)],
)
def test_what_has_bytes_that_can_be_had_stands_in(size, state, stands):
    entry = attrs.evolve(ENTRY, content=Content(size=size))
    assert stands_in(record_of(entry, aws=state), NOW) is stands


@pytest.mark.parametrize("entry", [None, attrs.evolve(ENTRY, content=None)])
def test_what_is_no_object_stands_in_for_nothing(entry):
    assert stands_in(record_of(entry, aws="good"), NOW) is False
