"""What was found is recorded exactly when nothing has changed since the finder looked."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Void,
)
from resilient_store.protocol.findings import (
    Discovered,
    Seen,
    discover,
    doubt,
    enrich,
    observe,
    purge,
    unrecorded,
)
from resilient_store.protocol.moment import Busy, TakenOver, Wish
from resilient_store.protocol.quiet import is_quiet
from resilient_store.protocol.transactions import begin, bury, check, everywhere
from tests.laws.records import (
    FIRST_NEW_ID,
    NAMES,
    PATH,
    Z_S,
    answering,
    contents,
    entries,
    headers,
    ids,
    intents,
    moment,
    moments,
    names,
    records,
    rows,
    some_of,
    tags,
    times,
    voids,
)

OBJECTS = entries.filter(lambda entry: not entry.deleted)
ENTRY = Entry(path=PATH, version=4, content=Content(size=1, checksum="c1"))
TOMBSTONE = Entry(path=PATH, version=4, content=None)
MINE = Intent(id=9, version=9, kind="repair", token="9-9", expires_s=1000.0)
CHANGES = {"version": 3, "place": "3-3", "tag": "t2", "state": State.GOOD}


# --- observe ------------------------------------------------------------------------------


@st.composite
def sights(draw):
    """Draw a record, and what a reader saw by a row of it, or by one that was its row before."""
    record = draw(records(entry=OBJECTS) | records())
    name = draw(names)
    if record.present and draw(st.booleans()):
        current = attrs.evolve(record.replica(name), version=record.present.version)
        record = record.with_replicas(current)
    row = record.replica(name)
    fields = [(), (), (), ("version",), ("place",), ("tag",), ("state",)]
    changed = draw(st.sampled_from(fields))
    by = attrs.evolve(row, **{field: CHANGES[field] for field in changed})
    by = attrs.evolve(by, error=draw(st.sampled_from([row.error, "since then"])))
    seen = Seen(
        by=by,
        version=draw(st.sampled_from([row.version, by.version, 5])),
        state=draw(st.sampled_from([State.GOOD, State.MISSING, State.CORRUPT])),
        error=draw(st.sampled_from(["", "404"])),
    )
    return record, seen


@given(sights(), moments())
def test_r16_recorded_exactly_when_version_place_and_tag_are_those_it_was_read_by(sight, moment):
    record, seen = sight
    row = record.replica(seen.by.backend)
    version = record.entry.version if record.present else None
    same = row.version == seen.by.version and row.place == seen.by.place and row.tag == seen.by.tag
    after, done = observe(record, moment, seen)
    good = seen.state is State.GOOD
    found_bad_since = good and row.state is not seen.by.state
    assert done is (same and version == seen.version == row.version and not found_bad_since)
    if not done:
        assert after is record
        return
    expected = attrs.evolve(
        row,
        state=seen.state,
        verified_at_s=moment.now_s if good else row.verified_at_s,
        error=seen.error,
    )
    assert after == record.with_replicas(expected)


READ_BY = Replica(
    backend="aws", version=4, state=State.GOOD, place=OWN, tag="t1", looked=True, verified_at_s=5.0
)
READ = Record(path=PATH, entry=ENTRY, replicas={"aws": READ_BY})


@pytest.mark.parametrize("state", [State.GOOD, State.MISSING, State.CORRUPT])
@pytest.mark.parametrize("intent", [None, MINE])
def test_r16_what_was_seen_of_an_unchanged_row_is_recorded(state, intent):
    seen = Seen(by=READ_BY, version=4, state=state, error="seen")
    after, done = observe(attrs.evolve(READ, intent=intent), answering(70.0), seen)
    verified_at_s = 70.0 if state is State.GOOD else 5.0
    assert done
    assert after.replica("aws") == attrs.evolve(
        READ_BY, state=state, error="seen", verified_at_s=verified_at_s
    )


@pytest.mark.parametrize(
    "since",
    [
        READ.with_replicas(attrs.evolve(READ_BY, place="4-4")),
        READ.with_replicas(attrs.evolve(READ_BY, tag="t2")),
        READ.with_replicas(attrs.evolve(READ_BY, version=3)),
        READ.with_replicas(attrs.evolve(READ_BY, version=5)),
        attrs.evolve(READ, entry=attrs.evolve(ENTRY, version=5)),
        attrs.evolve(READ, entry=TOMBSTONE),
        attrs.evolve(READ, entry=None, replicas={}),
    ],
    ids=["published", "other tag", "older row", "newer row", "overwritten", "deleted", "purged"],
)
def test_r16_a_late_report_is_of_something_else(since):
    """A good copy must not count as bad because a reader was slow."""
    seen = Seen(by=READ_BY, version=4, state=State.CORRUPT)
    after, done = observe(since, answering(70.0), seen)
    assert (after is since, done) == (True, False)


@pytest.mark.parametrize("since", [State.CORRUPT, State.MISSING, State.UNKNOWN])
def test_r16_that_a_copy_was_good_before_it_was_found_bad_is_no_news(since):
    """Nor that a staged one was there before its backend came back from the past (R19)."""
    staged = attrs.evolve(READ_BY, place="4-4", tag=None)
    record = READ.with_replicas(attrs.evolve(staged, state=since))
    after, done = observe(record, answering(70.0), Seen(by=staged, version=4, state=State.GOOD))
    assert (after is record, done) == (True, False)


def test_r16_a_stale_row_is_no_news_of_the_current_version():
    """Read by an old row on purpose: it says what the old version's bytes are, and no more."""
    stale = attrs.evolve(READ_BY, version=3, state=State.STALE)
    record = READ.with_replicas(stale)
    after, done = observe(record, answering(70.0), Seen(by=stale, version=4, state=State.GOOD))
    assert (after is record, done) == (True, False)


# --- discover -----------------------------------------------------------------------------


@st.composite
def finds(draw, by):
    """Draw what a finder saw at each backend: the object, other bytes, nothing, or no answer."""
    said = draw(some_of(lambda _name: st.sampled_from(["holder", "other", "nowhere"])))
    tag_of = {name: draw(tags) for name in NAMES}
    return Discovered(
        content=draw(contents),
        headers=draw(headers),
        holders={name: tag_of[name] for name in said if said[name] == "holder"},
        others={name: tag_of[name] for name in said if said[name] == "other"},
        nowhere=tuple(name for name in said if said[name] == "nowhere"),
        by=by,
        created_s=draw(times),
    )


@st.composite
def looked_up(draw):
    """Draw a record as it is now, and as it was looked up; most often there was nothing."""
    nothing = {"entry": None, "intent": None, "voids": ()}
    record = draw(records())
    if draw(st.booleans()):
        record = attrs.evolve(record, **nothing)
    unvoided = {"entry": None, "intent": None}
    by = draw(
        st.sampled_from([record, attrs.evolve(record, **nothing), attrs.evolve(record, **unvoided)])
    )
    by = attrs.evolve(by, purges=draw(st.sampled_from([record.purges, record.purges, 0])))
    return record, by


@given(looked_up(), st.data(), moments())
def test_r14_recorded_exactly_when_nothing_happened_to_the_path(pair, data, moment):
    record, by = pair
    found = data.draw(finds(by))
    nothing = all(one.entry is None and one.intent is None for one in (record, by))
    nothing = nothing and record.voids == by.voids
    after, done = discover(record, moment, found)
    assert done is (nothing and record.purges == by.purges)
    if not done:
        assert after is record
        assert moment.new_id() == FIRST_NEW_ID


@given(rows, st.data(), moments(), st.integers(0, 3), st.lists(voids, max_size=2))
def test_r14_what_was_found_becomes_an_entry_that_knows_who_holds_it(
    rows, data, moment, purges, failed
):
    record = Record(path=PATH, replicas=rows, purges=purges, voids=tuple(failed))
    found = data.draw(finds(record))
    after, done = discover(record, moment, found)
    assert done
    entry = Entry(
        path=PATH,
        version=FIRST_NEW_ID,
        content=found.content,
        headers=found.headers,
        created_s=found.created_s,
        modified_s=found.created_s,
        past=record.checksums,
    )
    where = everywhere(record, moment)
    expected = {name: discovered_row(record.replica(name), found) for name in where}
    # What a void explained may still land: it is remembered as this store's own.
    assert after == Record(path=PATH, entry=entry, replicas=expected, purges=purges)
    assert moment.new_id() == FIRST_NEW_ID + 1  # the version came from the store's counter (R7)


def discovered_row(row, found):
    if row.backend in found.holders:
        return attrs.evolve(
            row,
            version=FIRST_NEW_ID,
            state=State.GOOD,
            place=OWN,
            looked=True,
            tag=found.holders[row.backend],
        )
    if row.backend in found.others:
        return attrs.evolve(row, state=State.FOREIGN, looked=False)
    if row.backend in found.nowhere or row.state is State.GONE:
        return attrs.evolve(row, state=State.MISSING, looked=True, tag=None)
    return row


@given(st.data())
def test_r14_exactly_the_holders_count_as_copies_and_silence_is_unknown(data):
    empty = Record(path=PATH)
    found = data.draw(finds(empty))
    after, _ = discover(empty, answering(70.0), found)
    assert {row.backend for row in after.holders()} == set(found.holders)
    silent = set(NAMES) - {*found.holders, *found.others, *found.nowhere}
    assert {n for n in NAMES if after.replica(n).state is State.UNKNOWN} == silent


@given(st.data())
def test_r14_what_may_not_be_recorded_counts_for_its_finder_alone_and_is_of_no_version(data):
    found = data.draw(finds(Record(path=PATH)))
    record = unrecorded(found)
    assert (record.entry.version, record.entry.content) == (0, found.content)
    assert {row.backend: row.tag for row in record.holders()} == found.holders
    assert set(record.replicas) == set(found.holders)


def test_r14_what_may_not_be_recorded_is_told_as_it_was_found():
    entry = Entry(
        path=PATH,
        version=0,
        content=FOUND.content,
        headers=Headers(content_type="image/png"),
        created_s=1.0,
        modified_s=1.0,
    )
    rows = {
        name: Replica(backend=name, state=State.GOOD, place=OWN, looked=True, tag=tag)
        for name, tag in (("aws", "t1"), ("gcp", None))
    }
    found = attrs.evolve(
        FOUND, headers=entry.headers, holders={"aws": "t1", "gcp": None}, others={"disk": "t2"}
    )
    assert unrecorded(found) == Record(path=PATH, entry=entry, replicas=rows)


FOUND = Discovered(
    content=Content(size=1, checksum="c1"),
    headers=Headers(),
    holders={"aws": "t1"},
    others={},
    nowhere=(),
    by=Record(path=PATH, purges=1),
    created_s=1.0,
)


@given(intents, entries, voids)
def test_r14_each_thing_that_may_have_happened_is_enough_to_refuse(intent, entry, void):
    """A writer's uncommitted bytes, a deleted object's, a failed creation's: none is an object."""
    record = Record(path=PATH, purges=1)
    assert discover(record, answering(70.0), FOUND)[1]
    for happened in ({"intent": intent}, {"entry": entry}, {"voids": (void,)}, {"purges": 2}):
        now = attrs.evolve(record, **happened)
        assert discover(now, answering(70.0), FOUND) == (now, False)
        then = attrs.evolve(FOUND, by=attrs.evolve(record, **happened))
        assert discover(record, answering(70.0), then) == (record, False)


# --- enrich -------------------------------------------------------------------------------


COMPUTED = Content(size=1, checksum="c9", chunk_bytes=1)


@given(records(), st.integers(1, 6), st.builds(Content, size=st.integers(0, 3)), moments())
def test_p4_a_native_checksum_gives_way_exactly_where_version_and_size_are_the_same(
    record, version, computed, moment
):
    entry = record.present
    same = entry is not None and (entry.version, entry.content.size) == (version, computed.size)
    after, done = enrich(record, moment, version, computed)
    assert done is (same and entry.content.kind != "chunked")
    if done:
        assert after == attrs.evolve(record, entry=attrs.evolve(entry, content=computed))
    else:
        assert after is record


@pytest.mark.parametrize("kind", ["none", "native"])
def test_p4_an_adopted_object_is_verified_by_checksums_of_our_own_from_then_on(kind):
    adopted = attrs.evolve(READ, entry=attrs.evolve(ENTRY, content=Content(size=1, kind=kind)))
    after, done = enrich(adopted, answering(70.0), 4, COMPUTED)
    assert (after.entry.content, done) == (COMPUTED, True)
    assert after.holders() == adopted.holders() != ()
    for other in (
        attrs.evolve(adopted, entry=TOMBSTONE),
        attrs.evolve(adopted, entry=attrs.evolve(adopted.entry, version=5)),
        attrs.evolve(adopted, entry=attrs.evolve(ENTRY, content=Content(size=2, kind=kind))),
        after,
    ):
        assert enrich(other, answering(70.0), 4, COMPUTED) == (other, False)


# --- doubt --------------------------------------------------------------------------------


@given(records(), moments(), names)
def test_r19_nothing_is_believed_of_a_backend_that_went_back_and_whoever_does_is_fenced(
    record, moment, name
):
    after = doubt(record, moment, name)
    before = record.replica(name)
    row = attrs.evolve(
        before,
        state=State.UNKNOWN if record.present else State.STALE,
        place=before.place if record.present and before.place != OWN else None,
        looked=False,
        tag=None,
    )
    intent = record.intent and attrs.evolve(record.intent, id=FIRST_NEW_ID)
    assert after == attrs.evolve(record.with_replicas(row), intent=intent)
    assert name not in {holder.backend for holder in after.holders()}


@pytest.mark.parametrize(("place", "remembered"), [("3-3", "3-3"), (OWN, None), (None, None)])
def test_r19_where_the_current_version_was_staged_is_remembered(place, remembered):
    row = attrs.evolve(READ_BY, place=place)
    after = doubt(READ.with_replicas(row), answering(70.0), "aws")
    doubted = attrs.evolve(row, state=State.UNKNOWN, place=remembered, looked=False, tag=None)
    assert after == READ.with_replicas(doubted)
    deleted = attrs.evolve(READ, entry=TOMBSTONE).with_replicas(row)
    stale = attrs.evolve(doubted, state=State.STALE, place=None)
    assert doubt(deleted, answering(70.0), "aws") == deleted.with_replicas(stale)


def test_r19_a_holder_that_believed_it_finds_its_intent_gone_and_a_settler_waits_for_its_lease():
    """It may go on sending, by its own clock, for as long as its lease lasts."""
    writing = attrs.evolve(LEFT, intent=attrs.evolve(MINE, kind="write", expires_s=100.0))
    doubted = doubt(writing, answering(70.0), "gcp")
    assert bury(doubted, answering(70.0), 9) == (doubted, False)
    assert check(doubted, 9, 9, 0) == "gone"
    assert isinstance(begin(doubted, answering(99.0), Wish(kind="repair"))[1], Busy)
    settled, taken = begin(doubted, answering(100.0), Wish(kind="repair"))
    assert isinstance(taken, TakenOver)
    assert settled.intent.phase is Phase.SETTLING


def test_r19_a_tombstone_is_not_purged_by_a_look_from_before_the_doubt():
    doubted = attrs.evolve(doubt(LEFT, answering(150.0), "gcp"), intent=MINE)
    assert purge(doubted, answering(200.0), 9, GONE, 150.0) == (doubted, False)
    looked = {name: doubted.replica(name) for name in NAMES}
    assert purge(doubted, answering(200.0), 9, looked, 160.0)[1]


# --- purge --------------------------------------------------------------------------------


@st.composite
def looks(draw):
    """Draw a record and a look at it; most often by the intent's holder, of unchanged rows."""
    entry = st.none() | entries.map(lambda entry: attrs.evolve(entry, content=None)) | entries
    record = draw(records(entry=entry, intent=st.none() | intents))
    now = draw(moments())
    mine = st.just(record.intent.id) if record.intent and draw(st.booleans()) else ids
    looked = {name: record.replica(name) for name in everywhere(record, now)}
    match draw(st.sampled_from(["all", "all", "all", "one less", "one changed"])):
        case "one less" if looked:
            looked.pop(draw(st.sampled_from(sorted(looked))))
        case "one changed" if looked:
            name = draw(st.sampled_from(sorted(looked)))
            looked[name] = attrs.evolve(looked[name], error="other than it was")
    return record, now, draw(mine), looked, draw(times)


@given(looks())
def test_r13_forgotten_exactly_when_all_was_looked_at_after_quiet_and_is_unchanged(look):
    record, moment, intent_id, looked, began_s = look
    after, done = purge(record, moment, intent_id, looked, began_s)
    mine = record.intent is not None and record.intent.id == intent_id
    forgettable = record.entry is None or record.entry.content is None
    store = moment.store.backends
    holds = {*record.replicas, *(name for name, row in store.items() if row.met)}
    proven = all(
        name in looked
        and looked[name] == record.replica(name)
        and is_quiet(record.replica(name), store.get(name, BackendRow(name=name)), began_s, Z_S)
        for name in holds
    )
    assert done is (mine and forgettable and proven)
    if done:
        nothing = Record(path=PATH, intent=record.intent, purges=record.purges + 1)
        assert after == nothing
    else:
        assert after is record


GONE = {
    name: Replica(backend=name, state=State.GONE, looked=True, busy_until_s=100.0) for name in NAMES
}
FAILED = (Void(id=3, checksum="c1", backends=NAMES),)
LEFT = Record(path=PATH, entry=TOMBSTONE, replicas=GONE, intent=MINE, purges=1)
OVER = Record(path=PATH, intent=MINE, purges=2)


@pytest.mark.parametrize(
    "record",
    [LEFT, attrs.evolve(LEFT, entry=None, voids=FAILED), attrs.evolve(LEFT, voids=FAILED)],
    ids=["tombstone", "void", "both"],
)
@pytest.mark.parametrize("began_s", [100.0, 150.0])
def test_r13_a_tombstone_or_void_does_go(record, began_s):
    assert purge(record, answering(200.0), 9, GONE, began_s) == (OVER, True)


def test_r13_only_a_look_that_began_on_quiet_keys_proves_anything():
    """A slow look: it ended after the keys were quiet, and what landed meanwhile it did not see."""
    assert purge(LEFT, answering(200.0), 9, GONE, 99.0) == (LEFT, False)


@pytest.mark.parametrize("name", NAMES)
def test_r13_one_backend_is_enough_to_keep_it(name):
    for row in (
        attrs.evolve(GONE[name], busy_until_s=151.0),
        attrs.evolve(GONE[name], tag="t1"),
        Replica(backend=name),
    ):
        record = LEFT.with_replicas(row)
        assert purge(record, answering(200.0), 9, GONE, 150.0) == (record, False)
    others = {n: row for n, row in GONE.items() if n != name}
    assert purge(LEFT, answering(200.0), 9, others, 150.0) == (LEFT, False)


@pytest.mark.parametrize(("met", "done"), [(("aws",), True), (("aws", "gcp"), False)])
def test_r13_a_backend_that_was_met_counts_even_without_a_row(met, done):
    record = attrs.evolve(LEFT, replicas={"aws": GONE["aws"]})
    looked = {"aws": GONE["aws"]}
    assert purge(record, answering(200.0, met=met), 9, looked, 150.0)[1] is done


def test_r13_a_drained_backend_counts_too():
    store = answering(200.0).store
    rows_now = {
        **store.backends,
        "gcp": BackendRow(name="gcp", met=True, drained=True, answered_s=200.0),
    }
    now = moment(200.0, attrs.evolve(store, backends=rows_now))
    record = attrs.evolve(LEFT, replicas={})
    looked = {name: Replica(backend=name) for name in NAMES}
    assert purge(record, now, 9, looked, 150.0)[1]
    looked.pop("gcp")
    assert not purge(record, now, 9, looked, 150.0)[1]


def test_r13_an_object_is_never_forgotten():
    record = attrs.evolve(LEFT, entry=ENTRY, voids=FAILED)
    assert purge(record, answering(200.0), 9, GONE, 150.0) == (record, False)


@pytest.mark.parametrize("intent", [None, attrs.evolve(MINE, id=10)])
def test_r13_only_the_holder_of_the_intent_forgets(intent):
    record = attrs.evolve(LEFT, intent=intent)
    assert purge(record, answering(200.0), 9, GONE, 150.0) == (record, False)


@pytest.mark.parametrize("phase", list(Phase))
def test_r14_what_is_forgotten_is_noticed_by_a_slow_finder(phase):
    """Looked up before the deletion, recorded after its purge: a deleted object would return."""
    record = attrs.evolve(LEFT, intent=attrs.evolve(MINE, phase=phase))
    after, _ = purge(record, answering(200.0), 9, GONE, 150.0)
    empty = attrs.evolve(after, intent=None)
    assert discover(empty, answering(201.0), FOUND) == (empty, False)
    again = attrs.evolve(FOUND, by=empty)
    assert discover(empty, answering(201.0), again)[1]
