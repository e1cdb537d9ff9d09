"""What a person reads of a store's state, word for word: what is the matter, and what to do."""

from __future__ import annotations

import time

import attrs
import pytest

from resilient_store.model.amount import Amount
from resilient_store.model.state import Frozen, Scan
from resilient_store.model.status import (
    BackendStatus,
    StoreStatus,
    Verdict,
    errors_of,
    judge,
    scan_of,
    warnings_of,
)

WELL = "Fine."
FROZEN = Frozen(why="moving\nto another  region", who="host:1", since_s=1.0)


def backend(name, state, **held):
    copies = {name: Amount(count, 9) for name, count in held.items()}
    return BackendStatus(name=name, domain=name, state=state, copies=copies)


def said_of(*some, frozen=None, refused=(), lost=0):
    return judge(some, frozen=frozen, refused=refused, lost=lost, well=WELL)


AWS, GCP = backend("aws", "online"), backend("gcp", "online", good=1200)


def test_all_is_well():
    assert said_of(AWS, GCP) == Verdict(state="ONLINE", happened=WELL, to_do="Nothing.")


def test_who_was_drained_is_named_and_no_trouble():
    drained = [backend(name, "drained") for name in ("b", "c")]
    assert said_of(AWS, *drained) == Verdict(
        state="ONLINE", happened="Drained: b, c. Fine.", to_do="Call rejoin to take it back."
    )


@pytest.mark.parametrize(
    ("some", "happened", "to_do"),
    [
        (
            [backend("aws", "away")],
            "No backend answers.",
            "Look at the network and the credentials; nothing says that data is gone.",
        ),
        (
            [backend("aws", "away"), backend("b", "drained"), backend("c", "drained")],
            "No backend is in use. Drained: b, c; no other answers.",
            "Call rejoin for one that is well; nothing says that data is gone.",
        ),
    ],
    ids=["all away", "the rest drained"],
)
def test_a_store_of_which_nothing_is_in_use_is_unavailable(some, happened, to_do):
    assert said_of(*some) == Verdict(state="UNAVAILABLE", happened=happened, to_do=to_do)


def test_a_frozen_store_says_who_froze_it_and_why_on_one_line():
    assert said_of(AWS, frozen=FROZEN) == Verdict(
        state="FROZEN",
        happened=(
            "host:1 has frozen the store: moving to another region. Every change is refused."
        ),
        to_do="When the reason has gone, call thaw.",
    )


@pytest.mark.parametrize(
    ("use", "happened", "to_do"),
    [
        (
            "suspect",
            "So much was missing that no word is taken for it: b, c.",
            "Look at the backend, then call rejoin.",
        ),
        (
            "away",
            "No answer from b, c; the store goes on without, as far as its policy allows.",
            (
                "Bring it back and run repair; if it is there, call rejoin. "
                "If gone for good, see what_if."
            ),
        ),
        (
            "came back",
            "Back from an earlier state: b, c.",
            "Run repair; call adopt when you have looked at what lies there.",
        ),
        (
            "never met",
            "The store's identity was never written to b, c.",
            "Make it answer; the next call that needs it writes the identity.",
        ),
    ],
)
def test_backends_that_are_not_as_they_should_be_are_named(use, happened, to_do):
    some = (AWS, backend("b", use), backend("c", use))
    assert said_of(*some) == Verdict(state="DEGRADED", happened=happened, to_do=to_do)


def test_writes_that_are_refused_are_named_by_their_patterns():
    assert said_of(AWS, refused=["a/{name}", "{path...}"]) == Verdict(
        state="DEGRADED",
        happened="Writes to a/{name}, {path...} are refused: too few backends are in use.",
        to_do="Bring back those that are away, or call rejoin for those that are drained.",
    )


@pytest.mark.parametrize(("lost", "said"), [(1, "1 object"), (2000, "2,000 objects")])
def test_lost_objects_are_counted(lost, said):
    assert said_of(AWS, lost=lost) == Verdict(
        state="DEGRADED",
        happened=f"Lost: {said}.",
        to_do="Bring back a backend that may hold them, or write them anew: see damage_report.",
    )


@pytest.mark.parametrize(("behind", "said"), [(1, "1 copy"), (2000, "2,000 copies")])
def test_copies_that_are_missing_are_counted(behind, said):
    assert said_of(AWS, backend("b", "online", missing=behind)) == Verdict(
        state="DEGRADED",
        happened=f"Missing or not to be believed: {said}.",
        to_do="Run repair; it brings them, and may have to come again after the late window.",
    )


@pytest.mark.parametrize(("lacking", "said"), [(1, "1 copy"), (2000, "2,000 copies")])
def test_copies_that_a_drained_backend_lacks_are_told_apart_from_work_for_repair(lacking, said):
    assert said_of(AWS, backend("b", "drained", stale=lacking)) == Verdict(
        state="DEGRADED",
        happened=f"Drained: b; lacking {said}.",
        to_do="Call rejoin to take it back, then run repair: nothing is copied there before.",
    )


# --- the other lines ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "objects", "counted", "said"),
    [
        (None, None, False, "not known: nothing was counted"),
        (0, Amount(2000, 9), True, "no known data errors"),
        (0, Amount(2000, 9), False, "no known data errors among the first 2,000 counted"),
        (1, Amount(9, 9), True, "1 object lost: no replica may still be good"),
        (2000, Amount(9, 9), True, "2,000 objects lost: no replica may still be good"),
        (2, Amount(9, 9), False, "2 objects at least lost: no replica may still be good"),
    ],
)
def test_the_line_of_errors(lost, objects, counted, said):
    assert errors_of(lost, objects, counted=counted) == said


@pytest.mark.parametrize(
    ("maintained_s", "said"),
    [
        (0.0, ("repair has never run to its end: run it every few minutes",)),
        (1.0, ("repair last ran to its end 1 d 3 h ago: is it running?",)),
        (10_000.0, ("repair last ran to its end 1 d 1 h ago: is it running?",)),
        (100_000.0, ()),
    ],
)
def test_how_long_nobody_has_repaired(maintained_s, said):
    assert warnings_of(maintained_s, 100_000.0) == said


def test_a_backend_without_a_good_copy_says_so():
    screen = StoreStatus(
        state="DEGRADED",
        happened="x",
        to_do="y",
        errors="z",
        backends=(backend("aws", "online", missing=3), GCP),
    )
    assert [" ".join(line.split()) for line in str(screen).splitlines()[-4:-2]] == [
        "aws online 0 good, 0 B 3 missing",
        "gcp online 1,200 good, 9 B",
    ]


def test_the_json_is_laid_out_for_people():
    status = StoreStatus(state="ONLINE", happened="x", to_do="y", errors="z", backends=())
    assert status.to_json().splitlines()[:2] == ["{", '  "state": "ONLINE",']


@pytest.fixture
def far_east(monkeypatch):
    """Let this machine stand half a day away from Greenwich."""
    monkeypatch.setenv("TZ", "XXX-12")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this platform keeps one time zone")
@pytest.mark.usefixtures("far_east")
def test_times_are_in_utc_wherever_the_machine_stands():
    began = Scan(began_s=0.0, at="a", checked=0, bad=0)
    assert scan_of(began).startswith("under way since 1970-01-01 00:00 UTC")
    assert scan_of(attrs.evolve(began, ended_s=60.0)).startswith("ended 1970-01-01 00:01 UTC")
