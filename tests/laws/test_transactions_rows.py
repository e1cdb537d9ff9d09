"""What single transactions write into a path's record, field by field."""

from __future__ import annotations

import attrs
import pytest

from resilient_store.model.info import Headers
from resilient_store.model.state import (
    OWN,
    PAST_KEPT,
    Content,
    Entry,
    Intent,
    Record,
    Replica,
    State,
    Void,
)
from resilient_store.protocol.moment import Wish
from resilient_store.protocol.transactions import Placed, begin, check, commit, finish
from tests.laws.records import PATH, Z_S, answering

ENTRY = Entry(path=PATH, version=4, content=Content(size=1, checksum="c4"))
MINE = Intent(id=9, version=9, kind="write", token="9-9", checksum="c9", expires_s=100.0)
NOW = answering(70.0)


def test_r1_a_repair_marks_exactly_the_quiet_keys_whose_copies_it_owes():
    good = Replica(backend="aws", version=4, state=State.GOOD, place=OWN)
    missing = Replica(backend="gcp", version=4, state=State.MISSING)
    record = Record(path=PATH, entry=ENTRY).with_replicas(good, missing)
    wish = Wish(kind="repair", placed=("aws", "gcp"), lease_s=10.0)
    after, begun = begin(record, NOW, wish)
    assert begun.quiet == ("aws", "gcp")
    assert begun.marked == ("gcp",)
    assert after.replica("aws") == good
    assert after.replica("gcp") == attrs.evolve(missing, busy_until_s=80.0 + Z_S)


@pytest.mark.parametrize("looked", [True, False])
@pytest.mark.parametrize(
    ("placed", "knows", "tag"),
    [
        (Placed(state=State.GOOD, place=OWN, tag="new"), True, "new"),
        (Placed(state=State.GOOD, place="9-9", tag="new"), False, "old"),
        (Placed(state=State.UNKNOWN, error="timed out"), False, "old"),
    ],
    ids=["at its own key", "staged", "not placed"],
)
def test_r16_an_own_key_counts_as_looked_at_once_it_was_written(looked, placed, knows, tag):
    row = Replica(backend="aws", version=4, looked=looked, tag="old")
    record = Record(path=PATH, entry=ENTRY, intent=MINE).with_replicas(row)
    content = Content(size=2, checksum="c9")
    after, done = commit(
        record, NOW, 9, content=content, headers=Headers(), placed={"aws": placed}, ends=True
    )
    assert done
    assert after.replica("aws") == Replica(
        backend="aws",
        version=9 if placed.state is State.GOOD else 4,
        state=placed.state,
        place=placed.place,
        looked=looked or knows,
        tag=tag,
        error=placed.error,
    )


def test_r6_a_version_that_another_settles_is_gone_whatever_was_purged_since():
    record = Record(path=PATH, intent=attrs.evolve(MINE, id=10), purges=1)
    assert check(record, 9, 9, 0) == "gone"
    assert check(attrs.evolve(record, intent=None), 9, 9, 0) == "unknown"


@pytest.mark.parametrize("count", [PAST_KEPT - 1, PAST_KEPT])
def test_r12_the_latest_void_stands_for_all_where_there_are_too_many(count):
    voids = tuple(
        Void(id=number, checksum=f"c{number}", backends=("gcp", "aws")) for number in range(count)
    )
    failing = attrs.evolve(MINE, id=90, direct=("aws", "disk"))
    after, _ = finish(Record(path=PATH, voids=voids, intent=failing), NOW, 90, void=True)
    failed = Void(id=90, checksum="c9", backends=("aws", "disk"))
    everything = Void(id=90, backends=("gcp", "aws", "disk"))
    assert after.voids == ((*voids, failed) if count < PAST_KEPT else (everything,))


def test_r4_the_last_notes_of_a_path_that_has_no_version_are_taken_where_none_is_named():
    record = Record(path=PATH, intent=MINE)
    after, done = finish(record, NOW, 9, {"aws": {"error": "full"}})
    assert (after.replica("aws").error, done) == ("full", True)
    later = finish(attrs.evolve(record, entry=ENTRY), NOW, 9, {"aws": {"error": "full"}})[0]
    assert later.replica("aws").error == ""
