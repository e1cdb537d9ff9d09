"""Records of one path, moments and wishes: whatever a catalog could be asked to decide upon.

Rows, intents and entries are drawn apart from one another, so most records are stranger than
any that a store gets into; the rules must hold for those too. Times are whole seconds from few,
and Z is 16 s, so that "exactly at" happens often and its shares are exact.
"""

from __future__ import annotations

import itertools

import attrs
from hypothesis import strategies as st

from resilient_store.model.info import Headers
from resilient_store.model.state import (
    OWN,
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
from resilient_store.protocol.moment import Moment, Wish
from resilient_store.protocol.transactions import Placed

PATH = "originals/cat.jpg"
NAMES = ("aws", "disk", "gcp")
Z_S = 16.0
FIRST_NEW_ID = 1000  # above every id and version that a strategy draws
KINDS = ("write", "delete", "repair", "adopt")

times = st.integers(0, 60).map(float)
names = st.sampled_from(NAMES)
subsets = st.lists(names, unique=True).map(tuple)
ids = st.integers(1, 6)
checksums = st.sampled_from(["", "c1", "c2", "c3"])
tags = st.sampled_from([None, "t1", "t2"])
places = st.sampled_from([None, OWN, "3-3"])
contents = st.builds(
    Content,
    size=st.integers(0, 3),
    kind=st.sampled_from(["chunked", "native", "none"]),
    checksum=checksums,
)
headers = st.builds(Headers, content_type=st.sampled_from([None, "image/png"]))
voids = st.builds(Void, id=ids, checksum=checksums, backends=subsets)
derivations = st.sampled_from([None, ("originals/dog.jpg", 4)])


def replicas(name):
    return st.builds(
        Replica,
        backend=st.just(name),
        version=st.integers(0, 6),
        state=st.sampled_from(State),
        place=places,
        looked=st.booleans(),
        tag=tags,
        busy_until_s=times,
        verified_at_s=st.none() | times,
        error=st.sampled_from(["", "timed out"]),
    )


def some_of(strategy_of, keys=NAMES):
    """Draw a mapping from some of these names to what the function draws for each."""
    return st.fixed_dictionaries({}, optional={name: strategy_of(name) for name in keys})


rows = some_of(replicas)
entries = st.builds(
    Entry,
    path=st.just(PATH),
    version=st.integers(1, 6),
    content=st.none() | contents,
    headers=headers,
    derived_from=derivations,
    created_s=times,
    modified_s=times,
    past=st.lists(checksums.filter(bool), max_size=2).map(tuple),
)
intents = st.builds(
    Intent,
    id=ids,
    version=st.integers(1, 6),
    kind=st.sampled_from(KINDS),
    token=st.just("2-2"),
    phase=st.sampled_from(Phase),
    direct=subsets,
    checksum=checksums,
    owner=st.just("them"),
    started_s=times,
    expires_s=times,
)


perhaps_entries, perhaps_intents = st.none() | entries, st.none() | intents


@st.composite
def records(draw, *, entry=perhaps_entries, intent=perhaps_intents, void=voids):
    record = Record(
        path=PATH,
        entry=draw(entry),
        replicas=draw(rows),
        intent=draw(intent),
        voids=tuple(draw(st.lists(void, max_size=2))),
        purges=draw(st.integers(0, 2)),
    )
    return _with_marks_of(draw, record)


def _with_marks_of(draw, record):
    """Let some rows bear the very mark of the intent, as most do in a store."""
    if record.intent is None:
        return record
    mark_s = record.intent.expires_s + Z_S
    marked = draw(subsets)
    return record.with_replicas(
        *(
            attrs.evolve(row, busy_until_s=mark_s)
            for name, row in record.replicas.items()
            if name in marked
        )
    )


def backends(name):
    return st.builds(
        BackendRow,
        name=st.just(name),
        met=st.booleans(),
        drained=st.booleans(),
        answered_s=times,
        away_from_s=times,
        back_s=times,
    )


frozen = st.just(Frozen(why="fire", who="op", since_s=1.0))


@st.composite
def stores(draw, *, may_freeze=True):
    return StoreState(
        identity="s",
        complete=draw(st.booleans()),
        frozen=draw(st.none() | frozen) if may_freeze else None,
        backends=draw(some_of(backends)),
    )


@st.composite
def moments(draw, *, may_freeze=True):
    return moment(draw(times), draw(stores(may_freeze=may_freeze)))


def moment(now_s, store):
    return Moment(
        now_s=now_s,
        late_window_s=Z_S,
        store=store,
        new_id=itertools.count(FIRST_NEW_ID).__next__,
    )


def answering(now_s, *, met=NAMES, complete=True):
    """Return a moment of a store whose backends have answered all along."""
    rows_now = {n: BackendRow(name=n, met=n in met, answered_s=now_s) for n in NAMES}
    return moment(now_s, StoreState(identity="s", complete=complete, backends=rows_now))


wishes = st.builds(
    Wish,
    kind=st.sampled_from(KINDS),
    placed=subsets,
    owner=st.just("me"),
    lease_s=st.sampled_from([0.0, 10.0, 60.0]),
    checksum=checksums,
    create=st.booleans(),
)


def placed_at(_name):
    return st.builds(
        Placed,
        state=st.sampled_from([State.GOOD, State.STALE, State.UNKNOWN]),
        place=places,
        tag=tags,
        error=st.sampled_from(["", "full"]),
    )


placed = some_of(placed_at)
