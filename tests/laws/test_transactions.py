"""What the catalog may be made to say of a path, exactly when, and by whom."""

from __future__ import annotations

import itertools

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from resilient_store.model.info import Headers
from resilient_store.model.state import (
    OWN,
    PAST_KEPT,
    BackendRow,
    Content,
    Entry,
    Frozen,
    Intent,
    Phase,
    Record,
    Replica,
    State,
    StoreState,
    Void,
)
from resilient_store.protocol.findings import Discovered, Seen, discover, doubt, observe, purge
from resilient_store.protocol.moment import (
    Begun,
    Busy,
    Exists,
    Moment,
    StoreIsFrozen,
    TakenOver,
    Wish,
)
from resilient_store.protocol.quiet import answered, failed
from resilient_store.protocol.transactions import (
    begin,
    bury,
    check,
    commit,
    everywhere,
    finish,
    note,
    place,
    renew,
    touch,
)
from tests.laws.records import (
    FIRST_NEW_ID,
    NAMES,
    PATH,
    Z_S,
    answering,
    checksums,
    contents,
    derivations,
    entries,
    headers,
    ids,
    intents,
    moments,
    names,
    placed,
    records,
    some_of,
    subsets,
    tags,
    wishes,
)

held = records(intent=intents)
open_ones = records(intent=intents.map(lambda intent: attrs.evolve(intent, phase=Phase.OPEN)))
idle = records(intent=st.none())
present_ones = records(entry=entries.filter(lambda entry: not entry.deleted), intent=st.none())
changes = st.sampled_from([{}, {"error": "full"}, {"state": State.GONE, "tag": None}])
notes = some_of(lambda _name: changes)
leases = st.sampled_from([0.0, 10.0, 60.0])
decisions = st.fixed_dictionaries(
    {
        "content": contents,
        "headers": headers,
        "placed": placed,
        "derived_from": derivations,
        "ends": st.booleans(),
    }
)
PLAIN = {"content": Content(size=1), "headers": Headers(), "placed": {}, "ends": True}


def marked(record, until_s, backends):
    """Say what rows are to be when these are marked: a mark never goes back."""
    rows = dict(record.replicas)
    for name in backends:
        row = rows.get(name, Replica(backend=name))
        rows[name] = attrs.evolve(row, busy_until_s=max(row.busy_until_s, until_s))
    return attrs.evolve(record, replicas=rows)


def ended(record, now_s):
    """Say what is to be left of an intent that ends: its own marks, down to now + Z."""
    mark_s = record.intent.expires_s + Z_S
    rows = {
        name: attrs.evolve(row, busy_until_s=min(mark_s, now_s + Z_S))
        if row.busy_until_s == mark_s
        else row
        for name, row in record.replicas.items()
    }
    return attrs.evolve(record, replicas=rows, intent=None)


def who_can_hold_it(record, moment):
    return {*record.replicas, *(n for n, row in moment.store.backends.items() if row.met)}


def quiet_ones(record, moment, backends):
    return tuple(name for name in backends if moment.is_quiet(record.replica(name)))


# --- begin --------------------------------------------------------------------------------


@given(records(), moments(), wishes)
def test_begin_gives_exactly_the_one_answer_that_fits(record, moment, wish):
    after, answer = begin(record, moment, wish)
    if moment.store.frozen and wish.kind != "repair":
        assert answer == StoreIsFrozen(moment.store.frozen)
    elif record.intent and record.intent.expires_s > moment.now_s:
        assert answer == Busy(record.intent, record.intent.expires_s - moment.now_s)
    elif record.intent:
        assert isinstance(answer, TakenOver)
    elif wish.create and record.present:
        assert answer == Exists()
    else:
        assert isinstance(answer, Begun)
    if not isinstance(answer, Begun | TakenOver):
        assert after is record
        assert moment.new_id() == FIRST_NEW_ID  # whoever is refused draws no number


@pytest.mark.parametrize("now_s", [99.0, 100.0])
def test_r10_a_lease_ends_at_its_very_end_and_not_before(now_s):
    theirs = Intent(id=1, version=1, kind="write", token="1-1", expires_s=100.0)
    record = Record(path=PATH, intent=theirs)
    _, answer = begin(record, answering(now_s), Wish(kind="write"))
    assert isinstance(answer, TakenOver if now_s >= 100.0 else Busy)
    assert getattr(answer, "left_s", None) == (1.0 if now_s < 100.0 else None)


@pytest.mark.parametrize("kind", ["write", "delete", "adopt", "repair"])
def test_a_frozen_store_accepts_nothing_but_repair(kind):
    why = Frozen(why="fire", who="op", since_s=1.0)
    moment = attrs.evolve(answering(100.0), store=StoreState(identity="s", frozen=why))
    for intent in (None, Intent(id=1, version=1, kind="write", token="1-1")):
        record = Record(path=PATH, intent=intent)
        after, answer = begin(record, moment, Wish(kind=kind, create=True))
        assert (answer == StoreIsFrozen(why)) is (kind != "repair")
        assert (after is record) is (kind != "repair")


@given(idle, moments(may_freeze=False), wishes)
def test_r3_r11_an_intent_is_what_was_wished_and_names_where_it_writes(record, moment, wish):
    wish = attrs.evolve(wish, create=False)
    after, begun = begin(record, moment, wish)
    met = all(moment.store.backend(name).met for name in wish.placed)
    known_empty = moment.store.complete and met and record.entry is None and record.voids == ()
    quiet = quiet_ones(record, moment, wish.placed)
    assert (begun.quiet, begun.complete) == (quiet, moment.store.complete and met)
    assert (begun.record, begun.now_s) == (record, moment.now_s)
    assert begun.intent == Intent(
        id=FIRST_NEW_ID,
        version=FIRST_NEW_ID,
        kind=wish.kind,
        token=begun.intent.token,
        phase=Phase.OPEN,
        direct=quiet if known_empty and wish.kind == "write" else (),
        checksum=wish.checksum,
        owner=wish.owner,
        started_s=moment.now_s,
        expires_s=moment.now_s + wish.lease_s,
    )
    assert after.intent is begun.intent


WRITE = Wish(kind="write", placed=NAMES)


def test_r3_a_new_path_in_a_complete_catalog_is_written_where_others_find_it():
    for record, moment in (
        (Record(path=PATH), answering(100.0)),
        (Record(path=PATH, purges=3), answering(100.0)),
        (marked(Record(path=PATH), 100.0, NAMES), answering(100.0)),
    ):
        _, begun = begin(record, moment, WRITE)
        assert begun.intent.direct == begun.quiet == NAMES


@pytest.mark.parametrize(
    "changed",
    [
        {"entry": Entry(path=PATH, version=1, content=Content(size=1))},
        {"entry": Entry(path=PATH, version=1, content=None)},
        {"voids": (Void(id=1),)},
        {},
    ],
    ids=["entry", "tombstone", "void", "incomplete"],
)
def test_r3_one_reason_to_doubt_that_nothing_lies_there_is_enough(changed):
    moment = answering(100.0, complete=bool(changed))
    _, begun = begin(Record(path=PATH, **changed), moment, WRITE)
    assert (begun.intent.direct, begun.quiet) == ((), NAMES)


def test_r3_who_was_never_met_may_hold_what_nobody_knows():
    _, begun = begin(Record(path=PATH), answering(100.0, met=NAMES[1:]), WRITE)
    assert (begun.intent.direct, begun.complete) == ((), False)
    _, begun = begin(
        Record(path=PATH), answering(100.0, met=NAMES[1:]), Wish(kind="write", placed=NAMES[1:])
    )
    assert (begun.intent.direct, begun.complete) == (NAMES[1:], True)


def test_r2_a_busy_key_is_not_written_at_even_if_it_is_known_to_be_empty():
    record = marked(Record(path=PATH), 101.0, ["disk"])
    _, begun = begin(record, answering(100.0), WRITE)
    assert begun.intent.direct == begun.quiet == ("aws", "gcp")


@given(idle, moments(may_freeze=False), wishes)
def test_r1_begin_marks_exactly_the_keys_that_its_holder_may_send_to(record, moment, wish):
    """A repair marks the quiet ones where a copy is owed; what looks only, marks nothing."""
    after, begun = begin(record, moment, attrs.evolve(wish, create=False))
    match wish.kind:
        case "write":
            keys = set(wish.placed)
        case "delete":
            keys = who_can_hold_it(record, moment)
        case "repair" if record.present:
            quiet = quiet_ones(record, moment, wish.placed)
            keys = [name for name in quiet if record.owes(record.replica(name))]
            assert begun.marked == tuple(keys)
        case _:
            keys = set()
    assert wish.kind == "repair" or begun.marked == ()
    expected = marked(record, moment.now_s + wish.lease_s + Z_S, keys)
    assert after == attrs.evolve(expected, intent=begun.intent)


@given(records(), moments())
def test_r13_everywhere_is_each_met_backend_and_each_that_has_a_row_once(record, moment):
    listed = everywhere(record, moment)
    assert set(listed) == who_can_hold_it(record, moment)
    assert len(set(listed)) == len(listed)


@given(st.lists(st.sampled_from(["begin", "take over", "purge"]), max_size=8))
def test_r7_r8_numbers_grow_and_a_token_belongs_to_one_intent(steps):
    record, counter, now_s = Record(path=PATH), itertools.count(1), 0.0
    drawn, tokens, versions = [], [], []
    for step in steps:
        now_s += 100.0
        moment = attrs.evolve(answering(now_s), new_id=counter.__next__)
        if step == "begin" and record.intent:
            record, _ = finish(record, moment, record.intent.id)
        if step == "purge" and record.intent:
            rows = {name: record.replica(name) for name in NAMES}
            record, _ = purge(record, moment, record.intent.id, rows, now_s)
        before = record.intent
        record, answer = begin(record, moment, WRITE)
        drawn.append(answer.intent.id)
        if before is None:
            tokens.append(answer.intent.token)
            versions.append(answer.intent.version)
        else:
            assert answer.intent.token == before.token
            assert answer.intent.version == before.version
    assert drawn == sorted(set(drawn))
    assert versions == sorted(set(versions))
    assert len(set(tokens)) == len(tokens)


# --- taking over --------------------------------------------------------------------------


@given(held, moments(may_freeze=False), wishes)
def test_r10_taking_over_changes_who_holds_it_and_not_what_it_is(record, moment, wish):
    before = record.intent
    late = attrs.evolve(moment, now_s=before.expires_s)
    after, taken = begin(record, late, wish)
    assert taken.intent == attrs.evolve(
        before,
        id=FIRST_NEW_ID,
        phase=Phase.SETTLING if before.phase is Phase.OPEN else before.phase,
        owner=wish.owner,
        expires_s=late.now_s + wish.lease_s,
    )
    assert taken.record is after
    assert after.intent is taken.intent
    until_s = late.now_s + wish.lease_s + Z_S
    assert after == attrs.evolve(marked(record, until_s, before.direct), intent=taken.intent)


MOVES = {
    "renew": lambda record, moment, me: renew(record, moment, me, 100.0, "c9"),
    "place": lambda record, _moment, me: place(record, me, ["gcp"], {"gcp": None}),
    "commit": lambda record, moment, me: commit(record, moment, me, **PLAIN),
    "bury": bury,
    "touch": lambda record, moment, me: touch(record, moment, me, "quiet"),
    "note": lambda record, _moment, me: note(
        record, me, record.entry.version if record.entry else 0, "aws", {"error": "9"}
    ),
    "finish": lambda record, moment, me: finish(record, moment, me, void=True),
    "purge": lambda record, moment, me: purge(
        attrs.evolve(record, entry=None), moment, me, dict(record.replicas), 1000.0
    ),
}
TURNS = [name for name in MOVES if name != "purge"]  # which has laws of its own in test_findings


@given(records(), moments(), ids)
def test_r4_another_id_changes_nothing(record, moment, other):
    if record.intent is not None and record.intent.id == other:
        record = attrs.evolve(record, intent=attrs.evolve(record.intent, id=other + 1))
    for move in TURNS:
        after, done = MOVES[move](record, moment, other)
        assert after is record, move
        assert done is False, move


HELD = Record(
    path=PATH,
    entry=Entry(path=PATH, version=1, content=None),
    intent=Intent(
        id=2, version=2, kind="write", token="2-2", direct=NAMES, checksum="c2", expires_s=50.0
    ),
    replicas={name: Replica(backend=name, busy_until_s=50.0 + Z_S) for name in NAMES},
)
DEAD = answering(50.0)


@pytest.mark.parametrize("move", TURNS)
def test_r4_the_holder_does_change_something(move):
    after, done = MOVES[move](HELD, DEAD, 2)
    assert done is True
    assert after != HELD


@pytest.mark.parametrize("move", [*TURNS, "purge"])
def test_r10_a_holder_that_was_taken_over_finds_nothing_to_change_ever_again(move):
    """It was paused only; its settler holds the intent, then ends it, then another begins."""
    settled, taken = begin(HELD, DEAD, Wish(kind="write", owner="settler"))
    over, _ = finish(settled, DEAD, taken.intent.id, void=True)
    again, _ = begin(over, DEAD, WRITE)
    for record in (settled, over, again):
        after, done = MOVES[move](record, answering(1000.0), 2)
        assert done is False
        assert after == (attrs.evolve(record, entry=None) if move == "purge" else record)


@given(held, moments(may_freeze=False), wishes)
def test_r10_what_is_being_settled_is_never_committed_and_what_was_is_never_undone(
    record, moment, wish
):
    moment = attrs.evolve(moment, now_s=record.intent.expires_s)
    settled, taken = begin(record, moment, wish)
    for decide in ("commit", "bury"):
        after, done = MOVES[decide](settled, moment, taken.intent.id)
        assert (after is settled, done) == (True, False)
    assert (settled.entry, settled.voids) == (record.entry, record.voids)


# --- renew, touch -------------------------------------------------------------------------


@given(held, moments(may_freeze=False), leases, checksums)
def test_r1_a_longer_lease_takes_its_own_marks_along_and_a_lease_never_shortens(
    record, moment, lease_s, checksum
):
    before = record.intent
    after, done = renew(record, moment, before.id, lease_s, checksum)
    expires_s = max(before.expires_s, moment.now_s + lease_s)
    mine = [n for n, row in record.replicas.items() if row.busy_until_s >= before.expires_s + Z_S]
    intent = attrs.evolve(before, expires_s=expires_s, checksum=checksum or before.checksum)
    assert done
    assert after == attrs.evolve(marked(record, expires_s + Z_S, mine), intent=intent)


@given(held, moments())
def test_a_holder_that_a_freeze_has_not_waited_for_changes_nothing(record, moment):
    """Who only repairs changes no object, and goes on."""
    frozen = attrs.evolve(moment.store, frozen=Frozen(why="w", who="me", since_s=0.0))
    moment, intent = attrs.evolve(moment, store=frozen), record.intent
    dead = intent.kind != "repair" and intent.expires_s <= moment.now_s
    assert renew(record, moment, intent.id, 10.0)[1] is not dead
    may_decide = intent.phase is Phase.OPEN and not dead
    assert commit(record, moment, intent.id, **PLAIN)[1] is may_decide
    assert bury(record, moment, intent.id)[1] is may_decide


def test_r11_a_streams_checksum_joins_on_the_way_and_stays():
    stream = attrs.evolve(HELD, intent=attrs.evolve(HELD.intent, checksum=""))
    joined, _ = renew(stream, DEAD, 2, 10.0, "c7")
    assert joined.intent.checksum == "c7"
    assert renew(joined, DEAD, 2, 10.0)[0].intent.checksum == "c7"


@given(held, moments(), names)
def test_r1_r2_a_key_is_marked_before_sending_exactly_when_it_was_quiet(record, moment, name):
    after, done = touch(record, moment, record.intent.id, name)
    assert done is moment.is_quiet(record.replica(name))
    if done:
        assert after == marked(record, record.intent.expires_s + Z_S, [name])
    else:
        assert after is record


def test_r1_a_touched_key_is_busy_until_z_after_the_lease():
    mine = Intent(id=2, version=2, kind="repair", token="2-2", expires_s=60.0)
    touched, was_quiet = touch(Record(path=PATH, intent=mine), answering(0.0), 2, "aws")
    assert was_quiet
    row = touched.replica("aws")
    for now_s in (0.0, 60.0, 60.0 + Z_S - 1):
        assert not answering(now_s).is_quiet(row)
    assert answering(60.0 + Z_S).is_quiet(row)
    assert touch(touched, answering(1.0), 2, "aws") == (touched, False)


# --- place --------------------------------------------------------------------------------


@given(held, subsets, some_of(lambda _name: tags))
def test_r3_r11_direct_writing_is_named_after_a_look_and_only_emptiness_is_remembered(
    record, direct, looked
):
    """The tag of what lies there is not: it would be taken for this store's own (R9)."""
    after, done = place(record, record.intent.id, iter(direct), looked)
    rows = dict(record.replicas)
    for name, tag in looked.items():
        if tag is None:
            rows[name] = attrs.evolve(record.replica(name), looked=True, tag=None)
    intent = attrs.evolve(record.intent, direct=direct)
    assert done
    assert after == attrs.evolve(record, replicas=rows, intent=intent)


# --- commit, bury -------------------------------------------------------------------------


@given(held, moments(may_freeze=False), decisions)
def test_r4_a_commit_decides_exactly_while_the_intent_is_open(record, moment, decision):
    intent, before = record.intent, record.entry
    after, done = commit(record, moment, intent.id, **decision)
    assert done is (intent.phase is Phase.OPEN)
    if not done:
        assert after is record
        return
    assert after.entry == Entry(
        path=PATH,
        version=intent.version,
        content=decision["content"],
        headers=decision["headers"],
        derived_from=decision["derived_from"],
        created_s=before.created_s if before and before.content else moment.now_s,
        modified_s=moment.now_s,
        past=remembered(record),
    )
    rows = {name: passed_over(row) for name, row in record.replicas.items()}
    for name, found in decision["placed"].items():
        row = rows.get(name, Replica(backend=name))
        rows[name] = committed(row, found, intent.version)
    expected = attrs.evolve(record, entry=after.entry, replicas=rows, voids=())
    if decision["ends"]:
        assert after == ended(expected, moment.now_s)
    else:
        phase = attrs.evolve(intent, phase=Phase.COMMITTED)
        assert after == attrs.evolve(expected, intent=phase)


def remembered(record):
    """Say what a new entry is to remember: contents that were or may yet appear, latest last."""
    earlier = [] if record.entry is None else [*record.entry.past]
    if record.entry is not None and record.entry.content is not None:
        earlier.append(record.entry.content.checksum)
    earlier += [void.checksum for void in record.voids]
    latest = {checksum: index for index, checksum in enumerate(earlier) if checksum}
    return tuple(sorted(latest, key=latest.get))[-PAST_KEPT:]


def passed_over(row):
    """Say what is to become of a row that was not placed: where nothing is, nothing is missed."""
    if row.state is State.GONE:
        return row
    return attrs.evolve(row, state=State.STALE, place=None)


def committed(row, found, version):
    """Say what is to become of a placed backend's row."""
    row = attrs.evolve(row, state=found.state, place=found.place, error=found.error)
    if found.state is State.GOOD:
        row = attrs.evolve(row, version=version)
        if found.place == OWN:
            row = attrs.evolve(row, looked=True, tag=found.tag)
    return row


@given(open_ones, moments(may_freeze=False), placed)
def test_r16_a_commit_leaves_no_row_good_but_those_that_it_was_placed_on(record, moment, placed):
    """Not even a row that lies: before the commit, some claim to hold what is not written yet."""
    after, _ = commit(record, moment, record.intent.id, **{**PLAIN, "placed": placed})
    good = {name for name, found in placed.items() if found.state is State.GOOD}
    assert {row.backend for row in after.holders()} == good
    others = [row for name, row in after.replicas.items() if name not in placed]
    assert {row.state for row in others} <= {State.STALE, State.GONE}


def written(record, checksum, number):
    moment = attrs.evolve(answering(0.0), new_id=lambda: number)
    record, begun = begin(record, moment, WRITE)
    content = Content(size=1, checksum=checksum)
    return commit(record, moment, begun.intent.id, **{**PLAIN, "content": content})[0]


def deleted(record, number):
    moment = attrs.evolve(answering(0.0), new_id=lambda: number)
    record, begun = begin(record, moment, WRITE)
    record, _ = bury(record, moment, begun.intent.id)
    return finish(record, moment, begun.intent.id)[0]


@given(st.lists(st.sampled_from(["deleted", *(f"c{i}" for i in range(24))]), max_size=40))
def test_r16_the_last_contents_are_remembered_each_once_the_latest_last(history):
    record, expected = Record(path=PATH), []
    for number, what in enumerate(history, start=1):
        if what == "deleted":
            record = deleted(record, number)
            assert list(record.checksums) == list(record.entry.past) == expected
        else:
            record = written(record, what, number)
            others = [checksum for checksum in expected if checksum != what]
            assert list(record.checksums) == [*others, what]
            expected = [*others, what]
        expected = expected[-PAST_KEPT:]


def test_r16_a_path_remembers_so_many_contents_and_no_more():
    record, history = Record(path=PATH), [f"c{i}" for i in range(PAST_KEPT + 3)]
    for number, checksum in enumerate(history, start=1):
        record = written(record, checksum, number)
    assert list(record.entry.past) == history[-1 - PAST_KEPT : -1]
    assert list(deleted(record, 50).entry.past) == history[-PAST_KEPT:]


def test_r16_a_content_that_came_back_is_as_young_as_its_return():
    """Else the very bytes of the last version would be the first to count as foreign."""
    record, history = Record(path=PATH), [f"c{i}" for i in range(PAST_KEPT)]
    for number, checksum in enumerate([*history, "c0", "x", "y"], start=1):
        record = written(record, checksum, number)
    assert record.entry.past == (*history[2:], "c0", "x")


def test_r12_what_a_failed_creation_may_bring_is_still_known_once_there_is_an_entry():
    """It has no void of its own any more: that would stay for as long as the object does."""
    voids = (Void(id=1, checksum="c1", backends=NAMES), Void(id=2, backends=NAMES))
    failed = Record(path=PATH, voids=voids)
    for record in (written(failed, "c3", 5), deleted(failed, 5)):
        assert record.voids == ()
        assert record.entry.past == ("c1",)


@given(held, moments(may_freeze=False))
def test_p3_a_tombstone_is_written_exactly_while_the_intent_is_open(record, moment):
    intent = record.intent
    after, done = bury(record, moment, intent.id)
    assert done is (intent.phase is Phase.OPEN)
    if not done:
        assert after is record
        return
    entry = Entry(
        path=PATH,
        version=intent.version,
        content=None,
        created_s=moment.now_s,
        modified_s=moment.now_s,
        past=remembered(record),
    )
    rows = {
        name: attrs.evolve(record.replica(name), state=State.STALE, place=None)
        for name in who_can_hold_it(record, moment)
    }
    phase = attrs.evolve(intent, phase=Phase.COMMITTED)
    assert after == attrs.evolve(record, entry=entry, replicas=rows, intent=phase, voids=())
    assert (after.present, after.holders()) == (None, ())


# --- check --------------------------------------------------------------------------------


def later():
    return attrs.evolve(answering(70.0), new_id=itertools.count(2 * FIRST_NEW_ID).__next__)


def decided(how, *, ends=True):
    moment = answering(60.0)
    record, begun = begin(Record(path=PATH), moment, attrs.evolve(WRITE, lease_s=10.0))
    me, version = begun.intent.id, begun.intent.version
    if how == "deleted":
        record, _ = bury(record, moment, me)
    elif how == "written":
        record, _ = commit(record, moment, me, **{**PLAIN, "ends": ends})
    return record, me, version


def test_r6_a_commit_that_did_not_happen_is_open_as_long_as_nobody_settles_it():
    record, me, version = decided("not")
    assert check(record, me, version, 0) == "open"
    settled, taken = begin(record, later(), WRITE)
    assert check(settled, me, version, 0) == "gone"
    over, _ = finish(settled, later(), taken.intent.id)
    assert check(over, me, version, 0) == "gone"
    assert check(attrs.evolve(over, purges=1), me, version, 0) == "unknown", "deleted, perhaps"


@pytest.mark.parametrize(
    ("how", "ends"), [("written", True), ("written", False), ("deleted", True)]
)
def test_r6_a_commit_that_happened_is_committed_whoever_finishes_it(how, ends):
    record, me, version = decided(how, ends=ends)
    assert check(record, me, version, 0) == "committed"
    if record.intent is not None:
        settled, taken = begin(record, later(), WRITE)
        assert check(settled, me, version, 0) == "committed"
        record, _ = finish(settled, later(), taken.intent.id)
    assert check(record, me, version, 0) == "committed"


@pytest.mark.parametrize("how", ["written", "not"])
def test_r6_nobody_can_tell_whether_a_version_was_replaced_or_never_was(how):
    record, me, version = decided(how)
    record, begun = begin(record, later(), WRITE)
    if how == "not":  # that one is settled first
        record, _ = finish(record, later(), begun.intent.id)
        record, begun = begin(record, later(), WRITE)
    record, _ = bury(record, later(), begun.intent.id)
    assert check(record, me, version, 0) == "unknown"
    assert check(record, begun.intent.id, begun.intent.version, 0) == "committed"


@given(records(), ids, ids, st.sampled_from([0, 1]))
def test_r6_one_of_four_answers_for_whatever_is_asked(record, intent_id, version, more):
    mine = record.intent is not None and record.intent.id == intent_id
    answer = check(record, intent_id, version, record.purges + more)
    assert (answer == "open") is (mine and record.intent.phase is Phase.OPEN)
    current = record.entry is not None and record.entry.version == version
    assert (answer in {"gone", "unknown"}) is (not mine and not current)
    later_one = record.entry is not None and record.entry.version > version
    taken = record.intent is not None and record.intent.version == version
    if answer == "unknown":
        assert not taken
        assert later_one or (record.entry is None and more)
    assert answer in {"open", "committed", "gone", "unknown"}


# --- note, finish -------------------------------------------------------------------------


@given(held, st.integers(0, 6), names, changes)
def test_r4_a_note_is_taken_exactly_while_the_version_is_the_one_it_speaks_of(
    record, version, name, changes
):
    after, done = note(record, record.intent.id, version, name, changes)
    current = record.entry.version if record.entry else 0
    assert done is (version == current)
    if done:
        assert after == record.with_replicas(attrs.evolve(record.replica(name), **changes))
    else:
        assert after is record


@given(held, moments(), st.none() | notes, st.integers(0, 6), st.booleans())
def test_r1_r12_finish_ends_the_intent_with_its_notes_and_a_void_where_one_is_due(
    record, moment, notes, version, void
):
    intent = record.intent
    after, done = finish(record, moment, intent.id, notes, version=version, void=void)
    expected = record
    if version == (record.entry.version if record.entry else 0):
        for name, changes in (notes or {}).items():
            expected = expected.with_replicas(attrs.evolve(expected.replica(name), **changes))
    if void and intent.direct:
        failed = Void(id=intent.id, checksum=intent.checksum, backends=intent.direct)
        expected = attrs.evolve(expected, voids=(*record.voids, failed))
    assert done
    assert after == ended(expected, moment.now_s)


@given(present_ones, moments(may_freeze=False), st.data())
def test_r1_what_a_repair_sent_nothing_to_is_as_it_was(record, moment, data):
    during, begun = begin(record, moment, Wish(kind="repair", placed=NAMES))
    sent = set(data.draw(subsets)) & set(begun.marked)
    unsent = {n: record.replicas.get(n) for n in begun.marked if n not in sent}
    after, done = finish(during, moment, begun.intent.id, unsent=unsent)
    assert done
    expected = marked(record, begun.intent.expires_s + Z_S, sent)
    assert after == ended(attrs.evolve(expected, intent=begun.intent), moment.now_s)


@given(present_ones | idle, moments(may_freeze=False), st.data(), decisions)
def test_r1_a_commit_takes_back_the_marks_of_keys_to_which_nothing_was_sent(
    record, moment, data, decision
):
    """Where a platform was known to be away, nothing late is waited for when it is back."""
    during, begun = begin(record, moment, Wish(kind="write", placed=NAMES, lease_s=60.0))
    away = data.draw(subsets)
    unsent = {name: record.replicas.get(name) for name in away}
    after, done = commit(during, moment, begun.intent.id, **decision, unsent=unsent)
    usual, _ = commit(during, moment, begun.intent.id, **decision)
    assert done
    for name in NAMES:
        if name in away:
            was_s = record.replica(name).busy_until_s
            assert after.replica(name) == attrs.evolve(usual.replica(name), busy_until_s=was_s)
        else:
            assert after.replica(name) == usual.replica(name)


def test_what_was_noted_of_a_key_stays_though_its_mark_is_taken_back():
    record = Record(path=PATH, entry=Entry(path=PATH, version=1, content=Content(size=1)))
    during, begun = begin(record, answering(100.0), Wish(kind="repair", placed=("aws",)))
    noted = {"aws": {"error": "full"}}
    after, _ = finish(
        during, answering(100.0), begun.intent.id, noted, version=1, unsent={"aws": None}
    )
    assert after.replicas == {"aws": Replica(backend="aws", error="full")}


@pytest.mark.parametrize("direct", [(), ("aws",)])
@pytest.mark.parametrize("asked", [False, True])
def test_r12_a_void_is_left_exactly_when_asked_for_and_something_was_written_directly(
    direct, asked
):
    intent = attrs.evolve(HELD.intent, direct=direct)
    over, _ = finish(attrs.evolve(HELD, intent=intent), DEAD, 2, void=asked)
    due = asked and direct
    assert over.voids == ((Void(id=2, checksum="c2", backends=direct),) if due else ())


def test_r12_finish_leaves_no_void_unless_asked():
    assert finish(HELD, DEAD, 2)[0].voids == ()


@pytest.mark.parametrize(
    ("busy_until_s", "now_s", "expected_s"),
    [
        (50.0 + Z_S, 30.0, 30.0 + Z_S),
        (50.0 + Z_S, 50.0, 50.0 + Z_S),
        (50.0 + Z_S, 90.0, 50.0 + Z_S),
        (49.0 + Z_S, 30.0, 49.0 + Z_S),
        (99.0 + Z_S, 30.0, 99.0 + Z_S),
        (20.0, 30.0, 20.0),
    ],
    ids=["its own", "just over", "long over", "an earlier one", "a later one", "quiet"],
)
def test_r1_an_end_shortens_its_own_marks_and_moves_nobody_elses(busy_until_s, now_s, expected_s):
    row = Replica(backend="aws", busy_until_s=busy_until_s)
    record = attrs.evolve(HELD, replicas={"aws": row})
    over, _ = finish(record, answering(now_s), 2)
    assert over.replica("aws").busy_until_s == expected_s
    done, _ = commit(record, answering(now_s), 2, **PLAIN)
    assert done.replica("aws").busy_until_s == expected_s


# --- several programs at one path ---------------------------------------------------------


backs = st.sampled_from([0, 0, 0, 0, 1, 2])  # most often the last that began: it holds the intent
likely_wishes = st.builds(
    Wish,
    kind=st.sampled_from(["write", "delete", "repair"]),
    placed=st.just(NAMES),
    lease_s=st.sampled_from([10.0, 60.0]),
)


@attrs.define(eq=False)
class Program:
    """One that began or took over an intent, and may go on with it long after it lost it."""

    id: int
    version: int
    direct: tuple[str, ...]
    expires_s: float
    may_send_to: set[str]
    unsent: dict[str, Replica | None] = attrs.field(factory=dict)
    look: tuple[dict[str, Replica], float] | None = None


class OnePath(RuleBasedStateMachine):
    """Programs that are live, paused or dead, a clock that moves, backends that hang at times.

    The model keeps who holds the intent and how far it is, the versions in order, and each
    request that was sent to an own key. A holder sends only where it has marked the key and
    while its lease lasts, by its own clock (R5); a request may land until Z after it was sent,
    or after the end of each silence that it met.
    """

    @initialize(complete=st.booleans())
    def the_store_is_new(self, complete):
        self.record, self.now_s, self.complete = Record(path=PATH), 1.0, complete
        self.new_id = itertools.count(1).__next__
        self.rows = {n: answered(BackendRow(name=n, met=True), 1.0, Z_S) for n in NAMES}
        self.answers = {name: [1.0] for name in NAMES}
        self.programs: list[Program] = []
        self.holder: Program | None = None
        self.phase, self.fenced = Phase.OPEN, []
        self.entry, self.current, self.numbers, self.tokens = None, 0, [], set()
        self.sent: list[tuple[str, float]] = []
        self.lookups = [(self.record, 0)]
        self.decided = 0  # how often a version was written or deleted

    @property
    def moment(self):
        store = StoreState(identity="s", complete=self.complete, backends=self.rows)
        return Moment(now_s=self.now_s, late_window_s=Z_S, store=store, new_id=self.new_id)

    def lands_until_s(self, name, sent_s):
        until_s, times = sent_s + Z_S, self.answers[name]
        for away_s, back_s in zip(times, [*times[1:], self.now_s], strict=True):
            if back_s - away_s >= Z_S and away_s < until_s:
                until_s = max(until_s, back_s + Z_S)
        return until_s

    def under_way(self, at_s):
        return {name for name, sent_s in self.sent if self.lands_until_s(name, sent_s) > at_s}

    def stores(self, change, *, expected):
        """Store what a transaction made of the record; a refusal leaves the very record."""
        after, done = change
        assert done is expected
        assert done or after is self.record
        self.record = after
        return done

    def decides(self, version):
        assert version == self.record.entry.version
        assert version > max(self.numbers, default=0)
        self.numbers.append(version)
        self.entry, self.current, self.decided = self.record.entry, version, self.decided + 1

    def one(self, back):
        return self.programs[-1 - back % len(self.programs)]

    # what happens to everybody

    @rule(
        seconds=st.sampled_from([0.5, 2.0, 5.0, 8.0, 17.0, 60.0]),
        silent=st.just(()) | subsets,
    )
    def time_passes(self, seconds, silent):
        """Every backend is asked every few seconds, so that no silence goes unseen."""
        ends_s = self.now_s + seconds
        while self.now_s < ends_s:
            self.now_s = min(ends_s, self.now_s + Z_S / 4)
            for name in NAMES:
                if name in silent:
                    self.rows[name] = failed(self.rows[name], self.now_s)
                else:
                    self.answers[name].append(self.now_s)
                    self.rows[name] = answered(self.rows[name], self.now_s, Z_S)

    @rule()
    def all_leases_and_marks_pass(self):
        self.time_passes(60.0 + Z_S, ())

    @rule(wish=wishes | likely_wishes)
    def somebody_begins(self, wish):
        under_way = self.under_way(self.now_s)
        before, present = self.record, self.record.present
        empty = (before.entry, before.voids) == (None, ())
        after, answer = begin(self.record, self.moment, wish)
        match answer:
            case Busy(intent, left_s):
                assert self.holder is not None
                assert self.holder.expires_s == self.now_s + left_s > self.now_s
                assert (intent.id, after is before) == (self.holder.id, True)
            case Exists():
                assert self.holder is None
                assert (wish.create, after is before) == (True, True)
                assert present is not None
            case TakenOver(intent):
                assert self.holder is not None
                assert self.holder.expires_s <= self.now_s
                assert (intent.version, intent.direct) == (self.holder.version, self.holder.direct)
                self.joins(intent, intent.direct)
                if self.phase is Phase.OPEN:
                    self.phase = Phase.SETTLING
            case Begun(intent=intent, quiet=quiet, marked=owed):
                assert self.holder is None
                assert not (wish.create and present)
                assert not under_way & set(quiet)
                assert set(intent.direct) <= set(quiet)
                assert not intent.direct or (self.complete and empty)
                assert intent.token not in self.tokens
                self.tokens.add(intent.token)
                everywhere_now = everywhere(before, self.moment)
                keys = {"write": wish.placed, "delete": everywhere_now}.get(wish.kind, owed)
                self.joins(intent, keys)
                self.holder.unsent = {name: before.replicas.get(name) for name in owed}
                self.phase = Phase.OPEN
        self.record = after

    def joins(self, intent, keys):
        earlier = [self.current, *self.fenced, *(program.id for program in self.programs)]
        assert intent.id > max(earlier)
        self.holder = Program(
            id=intent.id,
            version=intent.version,
            direct=intent.direct,
            expires_s=intent.expires_s,
            may_send_to=set(keys),
        )
        self.programs.append(self.holder)

    @rule(name=names, now_and_then=st.integers(0, 4))
    def a_backend_went_back(self, name, now_and_then):
        """Its intent is nobody's until the lease ends; who held it may still send till then."""
        if now_and_then:
            return
        self.record = doubt(self.record, self.moment, name)
        assert name not in {row.backend for row in self.record.holders()}
        if self.holder is not None:
            self.holder = attrs.evolve(self.holder, id=self.record.intent.id, look=None)
            self.fenced.append(self.holder.id)

    @rule()
    def somebody_looks_the_path_up(self):
        self.lookups.append((self.record, self.decided))

    @rule(back=st.integers(0, 3), name=names, state=st.sampled_from([State.GOOD, State.MISSING]))
    def a_reader_reports(self, back, name, state):
        by, _ = self.lookups[-1 - back % len(self.lookups)]
        if by.present is None:
            return
        seen, row = by.replica(name), self.record.replica(name)
        same = (seen.version, seen.place, seen.tag) == (row.version, row.place, row.tag)
        still = self.record.present is not None and by.entry.version == self.current
        outdated = state is State.GOOD and row.state is not seen.state  # found bad or doubted since
        expected = still and same and row.version == self.current and not outdated
        report = Seen(by=seen, version=by.entry.version, state=state)
        self.stores(observe(self.record, self.moment, report), expected=expected)

    @rule(back=st.integers(0, 3), name=names)
    def a_finder_records(self, back, name):
        by, decided = self.lookups[-1 - back % len(self.lookups)]
        found = Discovered(
            content=Content(size=1, checksum="c1"),
            headers=Headers(),
            holders={name: "t1"},
            others={},
            nowhere=(),
            by=by,
            created_s=1.0,
        )
        idle = all(one.entry is None and one.intent is None for one in (self.record, by))
        same = (self.record.voids, self.record.purges) == (by.voids, by.purges)
        nothing = idle and same  # what a void explains has the finder left out
        assert not nothing or decided == self.decided
        if self.stores(discover(self.record, self.moment, found), expected=nothing):
            self.decides(self.record.entry.version)

    # what a program does, whether or not it still holds the intent

    @precondition(lambda self: self.programs)
    @rule(back=backs, name=names)
    def sends(self, back, name):
        program = self.one(back)
        if name in program.may_send_to and self.now_s < program.expires_s:
            self.sent.append((name, self.now_s))
            program.unsent.pop(name, None)

    @precondition(lambda self: self.programs)
    @rule(back=backs, lease_s=leases)
    def renews(self, back, lease_s):
        program = self.one(back)
        renewed = renew(self.record, self.moment, program.id, lease_s)
        if self.stores(renewed, expected=program is self.holder):
            program.expires_s = max(program.expires_s, self.now_s + lease_s)

    @precondition(lambda self: self.programs)
    @rule(back=backs, direct=subsets, looked=some_of(lambda _n: tags))
    def names_direct_backends(self, back, direct, looked):
        program = self.one(back)
        direct = tuple(name for name in direct if name in program.may_send_to)
        named = place(self.record, program.id, direct, looked)
        if self.stores(named, expected=program is self.holder):
            program.direct = direct

    @precondition(lambda self: self.programs)
    @rule(back=backs, name=names)
    def touches(self, back, name):
        program, under_way = self.one(back), self.under_way(self.now_s)
        quiet = self.moment.is_quiet(self.record.replica(name))
        touched = touch(self.record, self.moment, program.id, name)
        if self.stores(touched, expected=program is self.holder and quiet):
            assert name not in under_way
            program.may_send_to.add(name)

    @precondition(lambda self: self.programs)
    @rule(back=backs, decision=decisions)
    def commits(self, back, decision):
        program = self.one(back)
        mine = program is self.holder and self.phase is Phase.OPEN
        if self.stores(commit(self.record, self.moment, program.id, **decision), expected=mine):
            self.decides(program.version)
            self.phase = Phase.COMMITTED
            if decision["ends"]:
                self.leaves(program)

    @precondition(lambda self: self.programs)
    @rule(back=backs)
    def buries(self, back):
        program = self.one(back)
        mine = program is self.holder and self.phase is Phase.OPEN
        if self.stores(bury(self.record, self.moment, program.id), expected=mine):
            self.decides(program.version)
            self.phase = Phase.COMMITTED

    @precondition(lambda self: self.programs)
    @rule(back=backs, name=names, ago=st.sampled_from([0, 0, 1]))
    def notes(self, back, name, ago):
        program = self.one(back)
        version = self.current - ago
        changes = {"version": version, "state": State.GOOD, "place": OWN}
        noted = note(self.record, program.id, version, name, changes)
        self.stores(noted, expected=program is self.holder and ago == 0)

    @precondition(lambda self: self.programs)
    @rule(back=backs, void=st.booleans())
    def finishes(self, back, void):
        program = self.one(back)
        due = void and program.direct != ()
        voids = len(self.record.voids)
        over = finish(self.record, self.moment, program.id, void=void, unsent=program.unsent)
        if self.stores(over, expected=program is self.holder):
            assert len(self.record.voids) == voids + due
            self.leaves(program)

    def leaves(self, program):
        self.holder = None
        program.expires_s = self.now_s  # it knows that it has ended it, and sends no more

    @precondition(lambda self: self.programs)
    @rule(back=backs)
    def looks(self, back):
        rows = {name: self.record.replica(name) for name in NAMES}
        self.one(back).look = (rows, self.now_s)

    @precondition(lambda self: self.programs)
    @rule(back=backs)
    def purges(self, back):
        program = self.one(back)
        if program.look is None:
            self.looks(back)
        looked, began_s = program.look
        at_the_look = attrs.evolve(self.moment, now_s=began_s)
        proven = all(
            self.record.replica(n) == row and at_the_look.is_quiet(row) for n, row in looked.items()
        )
        under_way = self.under_way(began_s)
        mine = program is self.holder and self.record.present is None
        after = purge(self.record, self.moment, program.id, looked, began_s)
        if self.stores(after, expected=mine and proven):
            assert not under_way
            self.entry, self.current = None, 0
            program.unsent.clear()
            program.may_send_to.clear()  # its marks are forgotten too: it has to touch again

    # what is always so

    @invariant()
    def r4_one_intent_at_most_and_its_holder_is_known(self):
        intent = self.record.intent
        if self.holder is None:
            assert intent is None
        else:
            known = (self.holder.id, self.phase, self.holder.direct, self.holder.expires_s)
            assert (intent.id, intent.phase, intent.direct, intent.expires_s) == known

    @invariant()
    def r4_nothing_but_a_decision_or_a_purge_changes_the_entry(self):
        assert self.record.entry is self.entry
        assert self.current == (self.entry.version if self.entry else 0)

    @invariant()
    def p1_only_the_current_version_counts(self):
        for row in self.record.holders():
            assert (row.version, row.state) == (self.current, State.GOOD)

    @invariant()
    def r1_where_the_holder_may_send_the_key_is_busy_until_z_after_its_lease(self):
        if self.holder is not None and self.holder.expires_s + Z_S > self.now_s:
            for name in self.holder.may_send_to:
                assert self.record.replica(name).busy_until_s >= self.holder.expires_s + Z_S

    @invariant()
    def r2_where_a_request_is_under_way_the_key_is_not_quiet(self):
        for name in self.under_way(self.now_s):
            assert not self.moment.is_quiet(self.record.replica(name))


OnePath.TestCase.settings = settings(stateful_step_count=60)
TestOnePath = OnePath.TestCase


@given(records(), st.integers(1, 40))
def test_r12_voids_are_bounded_and_never_explain_less(record, count):
    """Where there are too many, one that explains whatever lies there stands for them all."""
    backends = set()
    record = attrs.evolve(record, entry=None, voids=(), intent=None)
    for number in range(1, count + 1):
        intent = Intent(
            id=number,
            version=number,
            kind="write",
            token=f"{number}-{number}",
            direct=("aws",) if number % 2 else ("gcp",),
            checksum=f"c{number}",
        )
        backends |= set(intent.direct)
        held = attrs.evolve(record, intent=intent)
        record, _ = finish(held, answering(70.0), number, void=True)
    assert len(record.voids) <= PAST_KEPT
    for name in backends:
        for number in range(1, count + 1):
            mine = "aws" if number % 2 else "gcp"
            if name == mine:
                assert any(void.explains(name, f"c{number}") for void in record.voids)


@given(st.sampled_from(["write", "adopt"]))
def test_a_path_that_must_be_new_is_new(kind):
    content = Content(size=1, checksum="c1")
    record = Record(path=PATH, entry=Entry(path=PATH, version=1, content=content))
    wish = Wish(kind=kind, placed=("aws",), create=True)
    assert begin(record, answering(70.0), wish) == (record, Exists())
    deleted = attrs.evolve(record, entry=attrs.evolve(record.entry, content=None))
    assert isinstance(begin(deleted, answering(70.0), wish)[1], Begun)
