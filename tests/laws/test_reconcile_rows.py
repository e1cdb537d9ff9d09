"""What a reconciled path's rows say, field by field: what was seen, and of nothing more."""

from __future__ import annotations

import attrs
import pytest

from resilient_store.model.info import Headers
from resilient_store.model.state import (
    OWN,
    BackendRow,
    Content,
    Entry,
    Intent,
    Phase,
    Record,
    Replica,
    State,
    StoreState,
    Void,
)
from resilient_store.protocol.moment import Moment
from resilient_store.protocol.reconcile import Looked, Lying, Newer, advance, stand

PATH, NUMBER = "a.jpg", 10  # the snapshot's
MET = {name: BackendRow(name=name, met=True) for name in ("aws", "gcp")}
MOMENT = Moment(
    now_s=1.0,
    late_window_s=1.0,
    store=StoreState(identity="x", backends=MET),
    new_id=lambda: NUMBER + 1,
)
ENTRY = Entry(
    path=PATH,
    version=3,
    content=Content(size=1, checksum="c3"),
    created_s=5.0,
    modified_s=6.0,
    past=("c1",),
)
TOMBSTONE = attrs.evolve(ENTRY, content=None)
ROW = Replica(
    backend="aws",
    version=3,
    state=State.GOOD,
    place=OWN,
    looked=True,
    tag="t",
    busy_until_s=7.0,
    verified_at_s=8.0,
)
STAGED = attrs.evolve(ROW, place="3-3")


def lies(version, place=OWN, *, backend="aws", **more):
    return Lying(backend=backend, place=place, version=version, **more)


def look(record, *lying, answered=("aws", "gcp")):
    return Looked(by=record, lying=lying, answered=frozenset(answered), number=NUMBER)


# --- was it decided? ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "lying", "committed"),
    [
        (ENTRY, lies(12), True),
        (None, lies(12), False),  # a new object is written there before its commit
        (ENTRY, lies(12, "12-12"), False),  # and a newer version is staged by its own token
        (None, lies(12, "12-12"), False),
        (None, lies(12, "13-13"), True),  # only repair stages it by another's
        (None, lies(12, "120-120"), True),
        (ENTRY, lies(13), False),
        (None, lies(13, "13-13"), False),
    ],
)
def test_p2_a_version_was_decided_where_it_lies_at_a_known_own_key_or_was_staged_by_repair(
    entry, lying, committed
):
    looked = look(Record(path=PATH, entry=entry), lying)
    assert looked.is_committed(12) is committed


# --- the catalog's version stands ---------------------------------------------------------


def stood(row, *lying, answered=("aws", "gcp"), entry=ENTRY):
    record = Record(path=PATH, entry=entry, replicas={} if row is None else {"aws": row})
    after, done = stand(record, MOMENT, look(record, *lying, answered=answered))
    assert done
    return after.replicas.get("aws")


ELSEWHERE = lies(3, backend="gcp")  # so something of the object is left
UNSEEN = {"place": None, "looked": False, "tag": None}


def test_a_good_row_stands_where_what_it_tells_of_lies_as_it_is_remembered():
    assert stood(ROW, lies(3, known=True)) == ROW
    assert stood(STAGED, lies(3, "3-3", known=True)) == STAGED
    assert stood(STAGED, lies(3, "3-3", known=True), lies(99)) == STAGED


@pytest.mark.parametrize(
    ("row", "place"), [(ROW, None), (STAGED, "3-3"), (attrs.evolve(ROW, place=None), None)]
)
def test_who_could_not_be_asked_is_unknown_and_its_staged_copy_remembered(row, place):
    expected = attrs.evolve(row, state=State.UNKNOWN, place=place, looked=False, tag=None)
    assert stood(row, ELSEWHERE, answered=("gcp",)) == expected


@pytest.mark.parametrize("row", [ROW, STAGED, attrs.evolve(ROW, state=State.STALE)])
def test_what_is_not_there_is_missing_while_another_has_it(row):
    expected = attrs.evolve(row, state=State.MISSING, place=None, looked=True, tag=None)
    assert stood(row, ELSEWHERE) == expected


@pytest.mark.parametrize("row", [ROW, STAGED])
def test_what_is_nowhere_is_unknown(row):
    assert stood(row) == attrs.evolve(row, state=State.UNKNOWN, **UNSEEN)


@pytest.mark.parametrize("left", [(), (ELSEWHERE,)])
def test_what_was_taken_away_on_purpose_is_not_missed(left):
    gone = attrs.evolve(ROW, state=State.GONE, place=None)
    assert stood(gone, *left) == gone


@pytest.mark.parametrize(
    ("version", "state"),
    [
        (0, State.UNKNOWN),  # it does not say of which version it is
        (3, State.UNKNOWN),
        (1, State.STALE),
        (99, State.STALE),
    ],
)
@pytest.mark.parametrize("row", [ROW, attrs.evolve(ROW, place=None, state=State.MISSING)])
def test_other_bytes_than_the_remembered_ones_are_judged_by_their_label(row, version, state):
    assert stood(row, lies(version), ELSEWHERE) == attrs.evolve(row, state=state, **UNSEEN)


@pytest.mark.parametrize("state", [state for state in State if state is not State.GOOD])
def test_known_bytes_of_a_row_that_was_not_good_are_not_believed(state):
    row = attrs.evolve(ROW, state=state)
    assert stood(row, lies(3, known=True)) == attrs.evolve(row, state=State.UNKNOWN, **UNSEEN)


@pytest.mark.parametrize("at_own_key", [(), (lies(1),), (lies(99),)])
def test_a_staged_copy_is_remembered_where_something_else_lies_at_the_own_key(at_own_key):
    missing = attrs.evolve(ROW, state=State.MISSING, place=None)
    found = attrs.evolve(missing, state=State.UNKNOWN, place="3-3", looked=False, tag=None)
    assert stood(missing, *at_own_key, lies(3, "3-3")) == found


@pytest.mark.parametrize("version", [0, 3])
def test_a_staged_copy_is_not_looked_for_where_the_own_key_may_hold_the_version(version):
    assert stood(ROW, lies(version), lies(3, "3-3")) == attrs.evolve(
        ROW, state=State.UNKNOWN, **UNSEEN
    )


def test_of_a_deleted_path_exactly_what_lies_at_an_own_key_is_stale():
    gone = Replica(backend="gcp", state=State.GONE, looked=True, tag="t2")
    record = Record(path=PATH, entry=TOMBSTONE, replicas={"aws": ROW, "gcp": gone})
    after, done = stand(record, MOMENT, look(record, lies(3), lies(3, "3-3", backend="gcp")))
    stale = attrs.evolve(ROW, state=State.STALE, looked=False, tag=None)
    assert (after, done) == (record.with_replicas(stale), True)


def test_of_a_deleted_path_a_backend_without_a_row_is_looked_at_too():
    stale = Replica(backend="aws", state=State.STALE)
    assert stood(None, lies(3), entry=TOMBSTONE) == stale
    assert stood(None, entry=TOMBSTONE) is None


def test_a_path_that_nobody_knows_gets_no_rows():
    assert stood(None, lies(3), entry=None) is None


def test_r12_what_an_ended_write_may_have_written_is_remembered_with_its_place_and_checksum():
    intent = Intent(id=4, version=4, kind="write", token="4-4", direct=("aws",), checksum="c4")
    record = Record(path=PATH, intent=intent, voids=(Void(id=2),))
    after, _ = stand(record, MOMENT, look(record))
    failed = Void(id=4, checksum="c4", backends=("aws",))
    assert after == Record(path=PATH, voids=(Void(id=2), failed))
    for ended in ({"phase": Phase.COMMITTED}, {"direct": ()}, {"kind": "delete"}):
        other = attrs.evolve(record, intent=attrs.evolve(intent, **ended))
        assert stand(other, MOMENT, look(other))[0].voids == (Void(id=2),)


# --- a newer version becomes the current one ----------------------------------------------

HELD = Replica(backend="aws", version=12, state=State.GOOD, place=OWN, looked=True, tag="n")
NEWER = Newer(
    version=12,
    content=Content(size=2, checksum="c12"),
    headers=Headers(content_type="image/png"),
    modified_s=9.0,
    rows={"aws": HELD},
)


def advanced(record, *lying, placed=("aws",), answered=("aws", "gcp")):
    looked = look(record, *lying, answered=answered)
    after, done = advance(record, MOMENT, looked, NEWER, placed)
    assert done
    return after


@pytest.mark.parametrize(
    ("entry", "created_s", "past"),
    [(ENTRY, 5.0, ("c1", "c3")), (TOMBSTONE, 9.0, ("c1",)), (None, 9.0, ())],
    ids=["over another", "after a deletion", "new"],
)
def test_a_newer_version_becomes_the_paths_entry(entry, created_s, past):
    record = Record(path=PATH, entry=entry, purges=2, voids=())
    expected = Entry(
        path=PATH,
        version=12,
        content=NEWER.content,
        headers=NEWER.headers,
        created_s=created_s,
        modified_s=9.0,
        past=past,
    )
    after = Record(path=PATH, entry=expected, replicas={"aws": HELD}, purges=2)
    assert advanced(record, lies(12)) == after


def test_r9_every_older_content_that_lies_somewhere_is_remembered_as_this_stores_own():
    record = Record(path=PATH, entry=ENTRY, voids=(Void(id=4, checksum="c4"),))
    lying = (
        lies(5, "5-5", checksum="c5"),
        lies(6, "6-6"),  # without a label that says more
        lies(12, checksum="c12"),  # the current one is known by the entry
        lies(14, "14-14", checksum="c14"),  # and one that came to nothing is nobody's
    )
    assert advanced(record, *lying).entry.past == ("c1", "c3", "c4", "c5")


def test_r9_of_very_many_older_contents_the_latest_are_remembered():
    past = tuple(f"p{number}" for number in range(16))
    record = Record(path=PATH, entry=attrs.evolve(ENTRY, past=past))
    assert advanced(record, lies(12)).entry.past == (*past[1:], "c3")


@pytest.mark.parametrize("before", [ROW, STAGED, attrs.evolve(ROW, state=State.CORRUPT)])
def test_who_does_not_hold_the_newer_version_is_as_it_was_seen(before):
    row = attrs.evolve(before, backend="gcp")
    record = Record(path=PATH, entry=ENTRY, replicas={"gcp": row})
    stale = advanced(record, lies(3, backend="gcp"))
    assert stale.replicas["gcp"] == attrs.evolve(row, state=State.STALE, **UNSEEN)
    staged_only = advanced(record, lies(3, "3-3", backend="gcp"))
    missing = attrs.evolve(row, state=State.MISSING, place=None, looked=True, tag=None)
    assert staged_only.replicas["gcp"] == missing
    silent = advanced(record, answered=("aws",))
    assert silent.replicas["gcp"] == attrs.evolve(row, state=State.UNKNOWN, **UNSEEN)


def test_everybody_has_a_row_who_should_hold_it_or_did_or_has_anything():
    old = attrs.evolve(ROW, backend="old")
    record = Record(path=PATH, entry=ENTRY, replicas={"old": old})
    after = advanced(record, lies(3, backend="disk"), placed=("aws", "gcp"))
    assert set(after.replicas) == {"aws", "gcp", "old", "disk"}
