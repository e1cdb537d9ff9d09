"""A process is killed at each step of each change; others go on as if nothing had happened (P8).

What was acknowledged stands, the object is whole or absent, the next writer needs nobody's help,
and repair leaves no trace.
"""

from __future__ import annotations

import itertools
import json
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import resilient_store as rs
from resilient_store.model.step import Step
from tests.crashes.scenes import CASES, CAT, SCENES, Case, Stands
from tests.crashes.shop import LONGEST_LEASE_S, NAMES, Shop, check_converged, read, version

ROOT = Path(__file__).parents[2]
AT_ONCE = 12
ENDS_WITHIN_S = 60.0
SLOW_S = 8.0  # what a busy machine may add
LATER = b"what another process writes after all this"


class Stage:
    """The process that forks for each case, and what became of each fork."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._answers: dict[int, queue.SimpleQueue[int]] = {}
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

    def play(self, shop: Shop, case: Case) -> int:
        """Play a case to its end; return how its process ended."""
        answer: queue.SimpleQueue[int] = queue.SimpleQueue()
        assert self._process.stdin is not None
        with self._lock:
            number = next(self._numbers)
            self._answers[number] = answer
            asked = {
                "number": number,
                "folder": str(shop.folder),
                "scene": case.scene,
                "step": case.step.name,
                "nth": case.nth,
            }
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        return answer.get(timeout=ENDS_WITHIN_S)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, code = map(int, line.split())
            self._answers[number].put(code)

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
    assert {case.step for case in CASES} == set(Step)


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


@pytest.mark.parametrize(
    "other_way", [False, pytest.param(True, marks=pytest.mark.matrix)], ids=["", "other way"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_process_leaves_what_stands(stage, tmp_path, kind, other_way):
    """All kills of a kind at once: most of the time is spent waiting for leases to end.

    In every other case another process writes the path first, in the others repair comes first.
    """
    cases = [case for case in CASES if case.scene.startswith(KINDS[kind])]

    def go(number: int) -> str:
        case, folder = cases[number], tmp_path / str(number)
        write_first = (number % 2 == 0) != other_way
        folder.mkdir()
        try:
            kill_and_see(stage, Shop(folder), case, write_first=write_first)
        except Exception as error:  # noqa: BLE001 - one case must not hide the others
            where = traceback.extract_tb(error.__traceback__)[1]
            then = "write" if write_first else "repair"
            return f"{case}, then {then}, line {where.lineno}: {type(error).__name__}: {error}"
        return ""

    with ThreadPoolExecutor(AT_ONCE) as threads:
        said = list(threads.map(go, range(len(cases))))
    assert not any(said), "\n".join(filter(None, said))


def kill_and_see(stage: Stage, shop: Shop, case: Case, *, write_first: bool) -> None:
    code = stage.play(shop, case)
    errors = (shop.folder / "errors").read_text("utf-8")
    reached = shop.folder / "reached"
    assert code == -signal.SIGKILL, f"it was not killed there, but ended with {code}: {errors}"
    assert reached.read_text("utf-8") == case.step.name
    with shop.open() as fs:
        watch = Watch(fs, dict(case.stands))
        watch.look()
        if write_first:
            began_s = time.monotonic()
            receipt = fs.write(CAT, LATER)
            assert time.monotonic() - began_s < LONGEST_LEASE_S + SLOW_S
            assert receipt.version > watch.version
            watch.stands[CAT] = LATER
            watch.look()
        check_converged(shop, fs, watch.stands, watch.look)
        keeps = SCENES[case.scene].keeps
        if keeps is not None:
            kept = [data for name in NAMES for data in shop.quarantined(name)]
            assert keeps in kept
        # And everything is as before: the path is written, read and deleted by anybody.
        assert fs.write(CAT, LATER).version > watch.version
        with shop.open() as another:
            assert read(another, CAT) == LATER
            another.rm_file(CAT)
        assert read(fs, CAT) is None


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
