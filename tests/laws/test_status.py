"""A status says the worst that is known, and no known data errors only where there are none."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resilient_store.model.amount import Amount
from resilient_store.model.state import BackendRow, Frozen, Scan
from resilient_store.model.status import (
    BEHIND,
    BackendStatus,
    StoreStatus,
    errors_of,
    judge,
    scan_of,
    use_of,
    warnings_of,
)

FROZEN = Frozen(why="moving", who="host:1", since_s=1.0)
amounts = st.builds(Amount, st.integers(1, 9), st.integers(0, 99))
copies = st.none() | st.dictionaries(st.sampled_from(("good", "gone", *BEHIND)), amounts)
uses = st.sampled_from(("online", "away", "drained", "suspect", "came back", "never met"))
backends = st.lists(
    st.builds(BackendStatus, name=st.just("aws"), domain=st.just("aws"), state=uses, copies=copies),
    min_size=1,
    max_size=4,
).map(tuple)


def backend(state, **held):
    copies = {name: Amount(count, 9) for name, count in held.items()}
    return BackendStatus(name="aws", domain="aws", state=state, copies=copies)


@given(
    backends,
    st.none() | st.just(FROZEN),
    st.sampled_from(([], ["{path...}"], ["a/{name}", "{path...}"])),
    st.integers(0, 2),
)
@example((backend("away"),), None, [], 0)
@example((backend("drained"), backend("away")), None, [], 0)
@example((backend("online"), backend("drained")), None, [], 0)
@example((backend("online"), backend("drained")), None, ["{path...}"], 0)
@example((backend("online"), backend("drained", missing=2)), None, [], 0)
@example((backend("online", missing=2),), None, [], 0)
@example((backend("online"), backend("suspect")), None, [], 0)
@example((backend("online"),), None, [], 1)
@example((backend("online"),), FROZEN, [], 0)
@example((backend("online"),), None, [], 0)
def test_a_store_is_online_only_where_nothing_is_the_matter(some, frozen, refused, lost):
    found = judge(some, frozen=frozen, refused=refused, lost=lost, well="Fine.")
    unused = all(one.state in ("away", "drained") for one in some)
    troubled = unused or any(one.state not in ("online", "drained") or one.behind for one in some)
    assert (found.state == "ONLINE") == (
        not troubled and not refused and not lost and frozen is None
    )
    assert (found.state == "UNAVAILABLE") == unused
    if found.state != "UNAVAILABLE":
        assert (found.state == "FROZEN") == (frozen is not None)
    if found.state == "DEGRADED":
        assert ("are refused" in found.happened) == bool(refused)
    assert found.happened.endswith(".")
    assert found.to_do.endswith(".")
    assert ("Fine." in found.happened) == (found.state == "ONLINE")


@given(st.none() | st.integers(0, 2), st.none() | amounts, st.booleans())
def test_no_known_data_errors_is_said_only_where_there_are_none(lost, objects, counted):
    said = errors_of(lost, objects, counted=counted)
    assert (said == "no known data errors") == (lost == 0 and objects is not None and counted)
    assert (" lost: " in said) == bool(lost and objects)


ROW = BackendRow(name="aws", met=True)


@pytest.mark.parametrize(
    ("row", "reading", "use"),
    [
        (None, "closed", "online"),
        (None, "open (unavailable)", "away"),
        (ROW, "closed", "online"),
        (ROW, "half-open (slow)", "away"),
        (BackendRow(name="aws"), "closed", "never met"),
        (BackendRow(name="aws", met=True, answered_s=5.0, failed_s=6.0), "closed", "away"),
        (BackendRow(name="aws", met=True, answered_s=6.0, failed_s=5.0), "closed", "online"),
        (BackendRow(name="aws", met=True, drained=True, failed_s=6.0), "closed", "drained"),
        (BackendRow(name="aws", met=True, came_back=True), "closed", "came back"),
        (BackendRow(name="aws", met=True, suspect=True, came_back=True), "closed", "suspect"),
    ],
)
def test_what_a_backend_is_used_for(row, reading, use):
    assert use_of(row, reading) == use


@pytest.mark.parametrize(
    ("maintained_s", "said"),
    [(0.0, "never run"), (100.0, ""), (99.9, "1 d ago"), (86_500.0, "")],
)
def test_a_day_without_repair_is_warned_of(maintained_s, said):
    found = warnings_of(maintained_s, 86_500.0)
    assert bool(found) == bool(said)
    assert said in "".join(found)


def test_the_screen_and_the_json_say_the_same():
    away = BackendStatus(
        name="gcp",
        domain="gcp/eu",
        state="away",
        reading="open (unavailable)",
        writing="read-only",
        since=dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.UTC),
        epoch=3,
        copies={"good": Amount(1200, 5_000_000), "stale": Amount(34, 7), "missing": Amount(1, 2)},
        complete_up_to=41,
    )
    shown = StoreStatus(
        state="DEGRADED",
        happened="gcp does not answer.",
        to_do="Bring it back.",
        maintained=dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
        errors="no known data errors",
        objects=Amount(1235, 5_000_009),
        newest=1300,
        lost=0,
        counted=True,
        warnings=("look",),
        backends=(BackendStatus(name="aws", domain="aws"), away),
    )
    assert [" ".join(line.split()) for line in str(shown).splitlines()] == [
        "state: DEGRADED",
        "status: gcp does not answer.",
        "action: Bring it back.",
        "scan: never",
        "warning: look",
        "",
        "backend state complete up to copies",
        "aws online",
        (
            "gcp away since 2026-03-01 12:30 (no reads: open (unavailable), no writes: read-only) "
            "version 41 1,200 good, 5.0 MB 34 stale, 1 missing"
        ),
        "",
        "errors: no known data errors",
    ]
    said = json.loads(shown.to_json())
    assert said == shown.as_dict()
    assert said["maintained"] == "2026-03-01T00:00:00+00:00"
    assert said["objects"] == {"count": 1235, "size": 5_000_009}
    assert said["backends"][0]["copies"] is None
    assert said["backends"][1]["copies"]["stale"] == {"count": 34, "size": 7}
    assert said["backends"][1]["complete_up_to"] == 41
    assert away.behind == 35


def test_a_scan_is_told_from_its_beginning_to_its_end():
    assert scan_of(None) == "never"
    begun = Scan(began_s=0.0, at="a/b", checked=1, bad=0)
    assert scan_of(begun) == (
        "under way since 1970-01-01 00:00 UTC, at 'a/b': 1 copy verified, 0 bad"
    )
    ended = Scan(began_s=0.0, ended_s=60.0, checked=2000, bad=3)
    assert scan_of(ended) == "ended 1970-01-01 00:01 UTC: 2,000 copies verified, 3 bad"
