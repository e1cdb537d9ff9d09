"""A record says who holds the current version, what this store wrote, and what is still owed."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.state import (
    OWN,
    BackendRow,
    Content,
    Entry,
    Record,
    Replica,
    State,
    StoreState,
    Void,
)
from tests.laws.records import NAMES, PATH, checksums, entries, intents, names, records, voids

# --- entries ------------------------------------------------------------------------------


@given(entries)
def test_an_entry_without_content_is_a_tombstone(entry):
    assert entry.deleted is (entry.content is None)


@given(entries)
def test_r9_an_entry_knows_the_checksums_that_its_path_had_and_has(entry):
    now = [] if entry.content is None else [entry.content.checksum]
    assert list(entry.checksums) == [*entry.past, *(c for c in now if c)]


# --- voids --------------------------------------------------------------------------------


@given(voids, names, st.none() | checksums)
def test_r12_a_void_explains_what_may_be_its_own_bytes_where_it_wrote(void, name, checksum):
    wrote_there = name in void.backends
    unknown = void.checksum == "" or checksum is None
    assert void.explains(name, checksum) is (wrote_there and (unknown or void.checksum == checksum))


# --- records ------------------------------------------------------------------------------


@given(records())
def test_an_object_is_present_exactly_when_its_entry_is_no_tombstone(record):
    if record.entry is not None and record.entry.content is not None:
        assert record.present is record.entry
    else:
        assert record.present is None


@given(records())
def test_r14_a_record_is_empty_exactly_when_it_has_no_entry_no_intent_and_no_void(record):
    nothing = (record.entry, record.intent, record.voids) == (None, None, ())
    assert record.is_empty is nothing


@given(records())
def test_a_record_was_changed_when_the_last_of_what_it_holds_was_numbered(record):
    numbers = [void.id for void in record.voids]
    if record.entry is not None:
        numbers.append(record.entry.version)
    assert record.changed == max(numbers, default=0)


@pytest.mark.parametrize("with_rows", [False, True])
@given(intents, entries, voids)
def test_r14_each_of_the_three_alone_makes_a_record_not_empty(with_rows, intent, entry, void):
    rows = {"aws": Replica(backend="aws")} if with_rows else {}
    empty = Record(path=PATH, replicas=rows)
    assert empty.is_empty
    for change in ({"intent": intent}, {"entry": entry}, {"voids": (void,)}):
        assert not attrs.evolve(empty, **change).is_empty


@given(records(), names)
def test_a_backend_without_a_row_was_never_touched(record, name):
    row = record.replica(name)
    assert row == record.replicas.get(name, Replica(backend=name))
    untouched = Replica(backend=name)
    assert (untouched.busy_until_s, untouched.looked, untouched.state) == (
        0.0,
        False,
        State.UNKNOWN,
    )


@given(records(), names, names)
def test_rows_take_the_place_of_theirs_and_of_no_others(record, one, other):
    changed = [Replica(backend=name, error="changed") for name in (one, other)]
    after = record.with_replicas(*changed)
    expected = {**record.replicas, one: changed[0], other: changed[1]}
    assert after == attrs.evolve(record, replicas=expected)
    assert record.with_replicas() == record


@given(records())
def test_a_record_is_a_value_that_nobody_changes_from_outside(record):
    rows = dict(record.replicas)
    copy = attrs.evolve(record, replicas=rows)
    rows["tape"] = Replica(backend="tape")
    assert copy == record
    with pytest.raises(TypeError):
        record.replicas["tape"] = rows["tape"]


@given(records())
def test_r9_a_record_knows_each_checksum_that_this_store_may_have_written_latest_last(record):
    known = [*(record.entry.checksums if record.entry else ()), *(v.checksum for v in record.voids)]
    latest = {checksum: index for index, checksum in enumerate(known) if checksum}
    assert list(record.checksums) == sorted(latest, key=latest.get)


@given(records())
def test_p1_exactly_the_good_replicas_of_the_present_version_count(record):
    expected = {
        name
        for name, row in record.replicas.items()
        if record.present and row.state is State.GOOD and row.version == record.present.version
    }
    assert {row.backend for row in record.holders()} == expected
    assert all(record.replicas[row.backend] is row for row in record.holders())


@given(records(entry=entries.filter(lambda entry: not entry.deleted)), names, st.data())
def test_p1_a_good_replica_of_the_present_version_counts_wherever_it_lies(record, name, data):
    place = data.draw(st.sampled_from([OWN, "3-3"]))
    row = Replica(backend=name, version=record.entry.version, state=State.GOOD, place=place)
    assert row in record.with_replicas(row).holders()


@given(records())
def test_p7_owed_is_all_but_the_present_version_at_its_own_key_and_what_is_rightly_gone(record):
    for row in record.replicas.values():
        current = record.present is not None and row.version == record.present.version
        holds_it = current and (row.state, row.place) == (State.GOOD, OWN)
        holds_nothing = record.present is not None and row.state is State.GONE
        assert record.owes(row) is not (holds_it or holds_nothing)


def test_p7_each_part_of_that_matters():
    record = Record(path=PATH, entry=Entry(path=PATH, version=4, content=Content(size=1)))
    well = Replica(backend="aws", version=4, state=State.GOOD, place=OWN)
    assert not record.owes(well)
    assert not record.owes(Replica(backend="disk", version=3, state=State.GONE))
    for change in ({"version": 3}, {"state": State.STALE}, {"place": "4-4"}):
        assert record.owes(attrs.evolve(well, **change))


@given(st.sampled_from(State))
def test_p7_everything_is_owed_until_a_tombstone_or_void_goes(state):
    row = Replica(backend="aws", version=4, state=state, place=OWN)
    tombstone = Entry(path=PATH, version=4, content=None)
    for record in (Record(path=PATH, entry=tombstone), Record(path=PATH, voids=(Void(id=1),))):
        assert record.owes(row)


# --- the store ----------------------------------------------------------------------------


@given(st.lists(names, unique=True), names)
def test_a_store_has_a_row_for_every_backend_asked_for(known, name):
    rows = {n: BackendRow(name=n, met=True) for n in known}
    state = StoreState(identity="s", backends=rows)
    expected = rows[name] if name in known else BackendRow(name=name)
    assert state.backend(name) == expected
    assert not BackendRow(name=name).met
    assert set(known) <= set(NAMES)
