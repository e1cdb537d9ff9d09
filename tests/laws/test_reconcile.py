"""What counts after a restore: only numbers decide, and nothing that was known is dropped."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.info import Headers
from resilient_store.model.state import (
    OWN,
    Content,
    Entry,
    Intent,
    Record,
    Replica,
    State,
    StoreState,
)
from resilient_store.protocol import reconcile
from resilient_store.protocol.moment import Moment
from resilient_store.protocol.reconcile import Looked, Lying, Newer

PATH, NAMES = "a.jpg", ("aws", "azure", "gcp")
NUMBER = 10  # the snapshot's
MOMENT = Moment(
    now_s=1.0, late_window_s=1.0, store=StoreState(identity="x"), new_id=lambda: NUMBER + 1
)


def two(names):
    return len(names) >= 2


versions = st.integers(0, 2 * NUMBER)


@st.composite
def lying(draw):
    version = draw(versions)
    token = draw(st.sampled_from([OWN, f"{version}-{version}", "99-99"]))
    return Lying(backend=draw(st.sampled_from(NAMES)), place=token, version=version)


@st.composite
def known(draw):
    version = draw(st.integers(1, NUMBER - 1))
    content = draw(st.sampled_from([None, Content(size=1, checksum="c")]))
    entry = draw(st.none() | st.just(Entry(path=PATH, version=version, content=content)))
    states = draw(st.fixed_dictionaries({}, optional={n: st.sampled_from(State) for n in NAMES}))
    rows = {
        name: Replica(backend=name, version=version, state=state, place=OWN, looked=True, tag="t")
        for name, state in states.items()
    }
    number = draw(st.integers(1, NUMBER - 1))
    intent = Intent(id=number, version=number, kind="write", token="x", direct=("aws",))
    return Record(path=PATH, entry=entry, replicas=rows, intent=draw(st.none() | st.just(intent)))


@st.composite
def looks(draw):
    found = draw(st.lists(lying(), max_size=5, unique_by=lambda one: (one.backend, one.place)))
    names = {one.backend for one in found}
    answered = names | draw(st.sets(st.sampled_from(NAMES)))
    return Looked(by=draw(known()), lying=tuple(found), answered=frozenset(answered), number=NUMBER)


@given(looks())
def test_p3_what_had_come_to_its_end_before_the_snapshot_never_counts(looked):
    begun = 0 if looked.by.intent is None else looked.by.intent.version
    current = 0 if looked.by.entry is None else looked.by.entry.version
    version = reconcile.newest(looked, two)
    if version:
        assert version > current
        assert version > NUMBER or version == begun


@given(looks())
def test_p2_the_newest_counts_that_was_acknowledged_and_else_what_is_known(looked):
    sure = [v for v in looked.newer if two(looked.newer[v]) or looked.is_committed(v)]
    if sure:
        assert reconcile.newest(looked, two) == max(sure)
    elif looked.current:
        assert reconcile.newest(looked, two) == 0
    else:
        assert reconcile.newest(looked, two) == max(looked.newer, default=0)


@given(looks())
def test_p5_an_object_is_never_dropped_and_its_intent_always_is(looked):
    after, done = reconcile.stand(looked.by, MOMENT, looked)
    assert done
    assert (after.entry, after.intent) == (looked.by.entry, None)
    assert set(after.replicas) >= set(looked.by.replicas)
    if looked.by.intent is not None:
        assert [void.id for void in after.voids] == [looked.by.intent.id]


@given(looks())
def test_where_nothing_of_an_object_is_seen_nobody_calls_it_lost(looked):
    looked = attrs.evolve(looked, lying=())
    after, _ = reconcile.stand(looked.by, MOMENT, looked)
    if after.present is not None:
        assert {row.state for row in after.replicas.values()} <= {State.UNKNOWN, State.GONE}


@given(looks())
def test_r19_who_could_not_be_asked_holds_nothing_that_counts(looked):
    silent = set(NAMES) - looked.answered
    after, _ = reconcile.stand(looked.by, MOMENT, looked)
    assert not {row.backend for row in after.holders()} & silent
    newer = Newer(
        version=99,
        content=Content(size=1, checksum="new"),
        headers=Headers(),
        modified_s=1.0,
        rows={"aws": Replica(backend="aws", version=99, state=State.GOOD, place=OWN)},
    )
    after, done = reconcile.advance(looked.by, MOMENT, looked, newer, NAMES)
    assert done
    assert [row.backend for row in after.holders()] == ["aws"]
    for name in silent - {"aws"}:
        assert after.replicas[name].state is State.UNKNOWN


@given(looks())
def test_r14_nothing_is_recorded_where_the_path_has_changed_since(looked):
    changed = attrs.evolve(looked.by, purges=looked.by.purges + 1)
    assert reconcile.stand(changed, MOMENT, looked) == (changed, False)


@given(looks())
def test_r14_nor_is_a_newer_version_made_current_there(looked):
    changed = attrs.evolve(looked.by, purges=looked.by.purges + 1)
    newer = Newer(version=99, content=Content(size=1), headers=Headers(), modified_s=1.0, rows={})
    assert reconcile.advance(changed, MOMENT, looked, newer, NAMES) == (changed, False)


def test_what_lies_as_it_is_remembered_goes_on_counting():
    content = Content(size=1, checksum="c")
    row = Replica(backend="aws", version=3, state=State.GOOD, place=OWN, looked=True, tag="t")
    repairing = Intent(id=4, version=4, kind="repair", token="4-4", direct=("aws",))
    record = Record(
        path=PATH,
        entry=Entry(path=PATH, version=3, content=content),
        replicas={"aws": row},
        intent=repairing,
    )
    same = Lying(backend="aws", place=OWN, version=3, known=True)
    looked = Looked(by=record, lying=(same,), answered=frozenset(NAMES), number=NUMBER)
    after, _ = reconcile.stand(record, MOMENT, looked)
    assert after.replicas["aws"] == row
    assert (after.intent, after.voids) == (None, ())  # a repair creates nothing


def test_a_staged_copy_that_nobody_remembers_may_be_the_current_version():
    row = Replica(backend="aws", version=3, state=State.MISSING)
    entry = Entry(path=PATH, version=3, content=Content(size=1, checksum="c"))
    record = Record(path=PATH, entry=entry, replicas={"aws": row})
    for place, found in (("3-3", "3-3"), (OWN, None)):
        lies = Lying(backend="aws", place=place, version=3)
        looked = Looked(by=record, lying=(lies,), answered=frozenset(NAMES), number=NUMBER)
        after, _ = reconcile.stand(record, MOMENT, looked)
        assert (after.replicas["aws"].state, after.replicas["aws"].place) == (State.UNKNOWN, found)


def test_p1_where_a_silent_backend_has_staged_an_object_is_remembered():
    row = Replica(backend="aws", version=3, state=State.GOOD, place="3-3")
    entry = Entry(path=PATH, version=3, content=Content(size=1, checksum="c"))
    record = Record(path=PATH, entry=entry, replicas={"aws": row})
    looked = Looked(by=record, lying=(), answered=frozenset({"gcp"}), number=NUMBER)
    after, _ = reconcile.stand(record, MOMENT, looked)
    assert after.replicas["aws"] == attrs.evolve(row, state=State.UNKNOWN)
