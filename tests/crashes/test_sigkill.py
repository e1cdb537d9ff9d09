"""A process is killed at each step of each change; others go on as if nothing had happened (P8).

What was acknowledged stands, the object is whole or absent, the next writer needs nobody's help,
and repair leaves no trace.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import resilient_store as rs
from resilient_store.model.step import Step
from tests.crashes.scenes import CASES, CAT, FEW, SCENES, Case, Stands
from tests.crashes.shop import (
    CALM_S,
    LATE_WINDOW_S,
    LONGEST_LEASE_S,
    NAMES,
    Shop,
    check_converged,
    read,
    version,
)
from tests.crashes.stage import FINISHED

ROOT = Path(__file__).parents[2]
AT_ONCE = 8
ENDS_WITHIN_S = 60.0
SLOW_S = 8.0  # what a busy machine may add
FORGETTING = (Step.REPAIR_PURGED, Step.REPAIR_FORGOTTEN, Step.EPOCH_CHOSEN, Step.EPOCH_SENT)
LATER = b"what another process writes after all this"


class Stage:
    """The process that forks for each case, and what became of each fork."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._answers: dict[int, queue.SimpleQueue[tuple[int, int]]] = {}
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crashes.stage"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def play(
        self, shop: Shop, case: Case, signal_number: int = signal.SIGKILL
    ) -> queue.SimpleQueue[tuple[int, int]]:
        """Play a case; what is returned will have the process's id, and how it was ended."""
        answers: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        assert self._process.stdin is not None
        with self._lock:
            number = next(self._numbers)
            self._answers[number] = answers
            asked = {
                "number": number,
                "folder": str(shop.folder),
                "scene": case.scene,
                "step": case.step.name,
                "nth": case.nth,
                "signal_number": signal_number,
            }
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        return answers

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, pid, code = map(int, line.split())
            self._answers[number].put((pid, code))

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(ENDS_WITHIN_S)
        self._listener.join(ENDS_WITHIN_S)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.end()


def test_every_step_has_a_case():
    assert {case.step for case in CASES} == {case.step for case in FEW} == set(Step)


KINDS = {
    "create": ("create", "stream"),
    "overwrite": ("overwrite",),
    "delete": ("delete",),
    "move": ("move",),
    "repair": ("repair", "replay", "purge", "adopt"),
    "settle": ("settle",),
}


def test_every_scene_is_played():
    played = {scene for words in KINDS.values() for scene in SCENES if scene.startswith(words)}
    assert played == set(SCENES) == {case.scene for case in CASES}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "how", ["few", *(pytest.param(h, marks=pytest.mark.matrix) for h in ("all", "other way"))]
)
def test_a_killed_process_leaves_what_stands(stage, tmp_path, kind, how):
    """All kills of a kind at once: most of the time is spent waiting for leases to end.

    In every other case another process writes the path first, in the others repair comes first.
    """
    chosen = FEW if how == "few" else CASES
    cases = [case for case in chosen if case.scene.startswith(KINDS[kind])]
    writes_first = itertools.cycle([how != "other way", how == "other way"])
    sees = {
        case: functools.partial(kill_and_see, stage, case=case, write_first=first)
        for case, first in zip(cases, writes_first, strict=False)
    }
    see_all(sees, tmp_path)


def see_all(sees: Mapping[Case, Callable[[Shop], None]], folder: Path) -> None:
    """See what becomes of each case, many at a time; one must not hide the others."""
    shops = [Shop(folder / str(number)) for number in range(len(sees))]
    for shop in shops:
        shop.folder.mkdir()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        seen = [threads.submit(see, shop) for see, shop in zip(sees.values(), shops, strict=True)]
    errors = {case: one.exception() for case, one in zip(sees, seen, strict=True)}
    said = [f"{case}: {''.join(traceback.format_exception(e))}" for case, e in errors.items() if e]
    assert not said, "\n".join(said)


def kill_and_see(stage: Stage, shop: Shop, *, case: Case, write_first: bool) -> None:
    _, code = stage.play(shop, case).get(timeout=ENDS_WITHIN_S)
    see_reached(shop, case, code, signal.SIGKILL)
    with shop.open(lease=CALM_S) as fs:
        watch = Watch(fs, dict(case.stands))
        watch.look()
        rs.sweep(fs, older_than=0)  # what the dead one left that counts is not swept away
        watch.look()
        if write_first:
            began_s = time.monotonic()
            receipt = fs.write(CAT, LATER)
            assert time.monotonic() - began_s < LONGEST_LEASE_S + SLOW_S
            assert receipt.version > watch.version
            watch.stands[CAT] = LATER
            watch.look()
        keeps = SCENES[case.scene].keeps
        check_converged(shop, fs, watch.stands, watch.look, keeps)
        if case.step in FORGETTING:  # a backend that comes back from before must be known (R19)
            time.sleep(1.1 * LATE_WINDOW_S)  # it is raised once in a late window
            rs.repair(fs)
            assert all(epoch > 0 for (epoch,) in shop.rows("backends", "epoch"))
        if keeps is not None:
            kept = [data for name in NAMES for data in shop.quarantined(name)]
            assert keeps in kept
        # And everything is as before: the path is written, read and deleted by anybody.
        assert fs.write(CAT, LATER).version > watch.version
        with shop.open(lease=CALM_S) as another:
            assert read(another, CAT) == LATER
            another.rm_file(CAT)
        assert read(fs, CAT) is None


def see_reached(shop: Shop, case: Case, code: int, signal_number: int) -> None:
    errors = (shop.folder / "errors").read_text("utf-8")
    assert code == -signal_number, f"it did not get there, but ended with {code}: {errors}"
    assert (shop.folder / "reached").read_text("utf-8") == case.step.name


class Watch:
    """Reads everything, and sees that it is what stands, and that no version goes back."""

    def __init__(self, fs: rs.ResilientFileSystem, stands: dict[str, bytes | None]) -> None:
        self.fs = fs
        self.stands = stands
        self.version = 0

    def look(self) -> None:
        found: Stands = {path: read(self.fs, path) for path in self.stands}
        assert found == self.stands
        now = version(self.fs, CAT)
        if now:
            assert now >= self.version
            self.version = now


# One that is only stopped, and goes on when its lease is over (R4, R5)

PAUSED = {
    # case, and whether its caller hears that it was not carried out
    Case("create", Step.WRITE_ARRIVED): True,
    Case("overwrite", Step.WRITE_BEGUN): True,
    Case("overwrite", Step.WRITE_ARRIVED): True,
    Case("overwrite", Step.WRITE_COMMITTED, decided=True): False,
    Case("overwrite a busy key", Step.WRITE_COMMITTED, decided=True): False,
    Case("delete", Step.DELETE_BEGUN): True,
    Case("delete", Step.DELETE_BURIED, decided=True): False,
    Case("move", Step.MOVE_ARRIVED): True,
    Case("repair a missing copy", Step.REPAIR_STAGED): False,
    Case("repair by publishing", Step.REPAIR_BEGUN): False,
    Case("settle by repair", Step.SETTLE_BEGUN): False,
}


def test_a_stopped_process_that_goes_on_changes_nothing(stage, tmp_path):
    """Another process has taken its path over meanwhile, and was acknowledged."""
    sees = {
        case: functools.partial(stop_and_see, stage, case=case, hears=hears)
        for case, hears in PAUSED.items()
    }
    see_all(sees, tmp_path)


def stop_and_see(stage: Stage, shop: Shop, *, case: Case, hears: bool) -> None:
    answers = stage.play(shop, case, signal.SIGSTOP)
    pid, code = answers.get(timeout=ENDS_WITHIN_S)
    see_reached(shop, case, code, signal.SIGSTOP)
    try:
        with shop.open(lease=CALM_S) as fs:
            watch = Watch(fs, dict(case.stands))
            watch.look()
            fs.write(CAT, LATER)
            watch.stands[CAT] = LATER
            watch.look()
            os.kill(pid, signal.SIGCONT)
            code = answers.get(timeout=ENDS_WITHIN_S)[1]
            errors = (shop.folder / "errors").read_text("utf-8")
            assert code == (1 if hears else FINISHED), errors
            assert ("ConcurrentWriteError" in errors) == hears
            watch.look()
            check_converged(shop, fs, watch.stands, watch.look)
    finally:
        if code == -signal.SIGSTOP:  # it is there still
            os.kill(pid, signal.SIGKILL)
