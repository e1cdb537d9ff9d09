"""Whole stores through faults, by seed; and a judge that is shown offences must see them."""

import attrs
import pytest

import resilient_store as rs
from resilient_store.testing.simulation.__main__ import main, run_seed
from resilient_store.testing.simulation.oracle import judge
from resilient_store.testing.simulation.workload import READERS, Program
from resilient_store.testing.simulation.world import KINDS

SEEDS = range(24)
# Each once broke a promise: what went wrong stands beside it.
ONCE_FAILED = {
    32: "a refused overwrite said that those who had only staged it hold it",
    118: "a body shorter than its own word on its size was handed out",
    169: "uploads whose key was taken by the same bytes were never aborted",
    279: "a backend that was well again had one second, spent in the queue behind hung calls",
    321: "an exclusive-create probe of a cancelled write was left in the store's own area",
    482: "uploads of a cancelled write were never aborted",
    123846280: "an object that was replaced while it was read counted as unreachable",
}


@pytest.mark.parametrize("first", SEEDS[::3])
def test_a_promise_is_broken(first):
    for seed in range(first, first + 3):
        assert run_seed(seed)[1] == [], seed


@pytest.mark.parametrize("seed", ONCE_FAILED)
def test_a_seed_that_once_failed_fails_again(seed):
    assert run_seed(seed)[1] == []


def test_the_seeds_never_meet_some_kind_of_fault():
    met = set()
    for seed in SEEDS:
        history, _ = run_seed(seed)
        met |= history.world.injected.keys()
        if met >= set(KINDS):
            return
    assert met >= set(KINDS)


# --- the judge ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def calm():
    """Play a history in which nothing goes wrong, with calls of every kind."""
    for seed in range(1000):
        drawn = Program(seed).history  # drawn, and not yet played
        setup = drawn.setup
        whole = setup.rule and not setup.once and setup.places > READERS
        if setup.calm and whole and len(drawn.world.disks) > 1:
            history, breaches = run_seed(seed)
            assert breaches == []
            return history
    raise AssertionError("no calm seed")


def first(history, kind, fits=lambda call: True):
    return next(
        c for c in history.calls if c.kind == kind and not c.cancelled and fits(c) and c.path
    )


def judged(history, call, **changes):
    """Judge a history in which one call ended otherwise."""
    index = history.calls.index(call)
    history.calls[index] = attrs.evolve(call, **changes)
    try:
        return " | ".join(judge(history))
    finally:
        history.calls[index] = call


def found(call):
    return call.error is None and bool(call.value)


OFFENCES = [
    ("cat", {"value": b"other bytes"}, "was never there"),
    ("cat", {"value": b""}, "a blank"),
    ("cat", {"value": None, "error": FileNotFoundError(2, "no")}, "absence is not certain"),
    ("cat", {"value": None, "error": rs.OriginalMissingError("x")}, "loss is not certain"),
    ("cat", {"value": None, "error": rs.BackendsUnavailableError("x")}, "nothing was ever wrong"),
    ("cat", {"value": None, "error": rs.BackendsUnavailableError("x")}, "liveness"),
    ("cat", {"value": None, "error": ValueError("x")}, "a read ended in"),
    ("cat", {"ended_s": 1e6}, "P6: took"),
    ("stream", {"value": b"a mix of two"}, "or is a mix"),
    ("exists", {"value": False}, "P5: FileNotFoundError"),
    ("find", {"value": rs.Listing()}, "leaves out"),
    ("find", {"value": rs.Listing(["never/there"])}, "which was not there"),
    ("find", {"value": None, "error": rs.BackendsUnavailableError("x")}, "a listing was refused"),
    ("write", {"facts": {"data": b"other"}}, "is on the receipt and holds"),
    ("write", {"value": None, "error": rs.InsufficientCopiesError("x")}, "and the error is silent"),
    ("write", {"value": None, "error": OSError("x")}, "a write ended in"),
    ("delete", {"value": None, "error": OSError("x")}, "a deletion ended in"),
]


@pytest.mark.parametrize(("kind", "changes", "words"), OFFENCES)
def test_the_judge_overlooks(calm, kind, changes, words):
    call = first(calm, kind, found if kind != "delete" else lambda call: call.error is None)
    assert words in judged(calm, call, **changes)


def test_the_judge_overlooks_an_unflagged_stand_in(calm):
    call = first(calm, "read", lambda call: found(call) and not call.value.original_missing)
    wrong = attrs.evolve(call.value, original_missing=True, reason="lost", derivative="thumbs/zz")
    said = judged(calm, call, value=wrong)
    assert "is no derivative" in said
    assert "it is not certain" in said
    other = attrs.evolve(call.value, data=b"a preview")
    assert "was never there" in judged(calm, call, value=other)


def test_the_judge_overlooks_a_receipt_with_too_few_copies(calm):
    call = first(calm, "write", found)
    fewer = attrs.evolve(call.value, copies=call.value.copies[:1], pending=call.value.copies[1:])
    assert "acknowledged with 1 copies" in judged(calm, call, value=fewer)


def test_the_judge_overlooks_what_is_left_at_the_end(calm):
    calm.left.append("task-7")
    calm.loop.complaints.append({"message": "never retrieved"})
    calm.recovered = False
    try:
        said = " | ".join(judge(calm))
    finally:
        calm.left.clear()
        calm.loop.complaints.clear()
        calm.recovered = True
    assert "tasks were left after close: task-7" in said
    assert "asyncio complains: never retrieved" in said
    assert "no write is acknowledged" in said


# --- the command ----------------------------------------------------------------------------


def test_the_command_is_silent_about_what_it_did(capsys):
    assert main(["--seeds", "2"]) == 0
    assert "2 runs in" in capsys.readouterr().out
    assert main(["--search", "--seconds", "0.3"]) == 0
    assert "simulated hours" in capsys.readouterr().out
    assert main(["--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "call-1 " in printed
    assert "no promise was broken" in printed


def test_a_failing_seed_does_not_say_how_to_replay_it(capsys, monkeypatch):
    monkeypatch.setattr(
        "resilient_store.testing.simulation.__main__.judge",
        lambda history: [f"{history.calls[9].name} (read x): P5: something"],
    )
    assert main(["--seeds", "1"]) == 1
    printed = capsys.readouterr().out
    assert "seed 0 FAILED" in printed
    assert "call-10 " in printed
    assert "replay: python -m resilient_store.testing.simulation --seed 0" in printed
