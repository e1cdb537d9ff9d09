"""Forked workers on a few hot paths, one killed every moment: nobody notices (P2, P8).

What each of them was told fits one order of all calls; no error reaches a caller that the
documentation does not name; and repair finds the rest.
"""

from __future__ import annotations

import collections
import os
import random
import signal
import time
from pathlib import Path

import pytest

import resilient_store as rs
from resilient_store import runtime
from resilient_store.io import parts
from resilient_store.model.step import Step
from tests.crashes.linear import Call, check
from tests.crashes.shop import LEASE_S, Shop, check_converged, read
from tests.crashes.worker import HOT, TO_AND_FRO, Worker, calls_of, told

WORKERS = 4
KILL_EVERY_S = 0.8
END_WITHIN_S = 40.0
PATHS = (*HOT, *TO_AND_FRO)


class Crew:
    """Keeps so many workers at work, and kills one now and then.

    Parameters
    ----------
    fs
        The store that all of them inherit.
    """

    def __init__(self, fs: rs.ResilientFileSystem, logs: Path, seconds: float) -> None:
        self.fs = fs
        self.logs = logs
        self.until_s = time.monotonic() + seconds
        self.running: list[int] = []
        self.started = self.killed = 0

    def start(self) -> None:
        self.started += 1
        name = f"w{self.started}"
        pid = os.fork()
        if pid:
            self.running.append(pid)
            return
        code = 1
        try:
            Worker(self.fs, self.logs / f"{name}.log", name).work(self.until_s)
            code = 0
        finally:
            os._exit(code)

    def kill_one(self) -> None:
        pid = self.running.pop(random.randrange(len(self.running)))
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        self.killed += 1

    def run(self) -> None:
        for _ in range(WORKERS):
            self.start()
        while time.monotonic() + KILL_EVERY_S < self.until_s:
            time.sleep(KILL_EVERY_S)  # the workers work
            self.kill_one()
            self.start()
        give_up_s = self.until_s + END_WITHIN_S
        while self.running and time.monotonic() < give_up_s:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in self.running:
                self.running.remove(pid)
                assert os.waitstatus_to_exitcode(status) == 0
            else:
                time.sleep(0.02)
        left, self.running = self.running, []
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        assert not left, "a worker's call did not end"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seconds", [6.0, pytest.param(60.0, marks=pytest.mark.matrix)])
def test_what_workers_are_told_fits_one_order_of_their_calls(tmp_path, seconds):
    shop, logs = Shop(tmp_path / "shop").build(), tmp_path / "logs"
    logs.mkdir()
    fs = shop.open()
    first = {path: fs.write(path, f"first:{path}".encode()) for path in PATHS[:4]}
    crew = Crew(fs, logs, seconds)
    crew.run()
    lines = [line for log in sorted(logs.glob("*.log")) for line in told(log)]
    outcomes = collections.Counter((line["kind"], line["outcome"]) for line in lines)
    errors = collections.Counter(line["error"] for line in lines if "error" in line)
    assert [line for line in lines if line["outcome"] == "wrong"] == []
    assert not [error for error in errors if "locked" in error]
    shop.check_intact()
    history = [call for line in lines for call in calls_of(line)]
    history += [final(fs, path) for path in PATHS]
    check(history, {path: f"first:{path}" for path in first})
    # The test tried what it says.
    assert crew.killed >= seconds / KILL_EVERY_S / 2
    assert sum(n for (_, outcome), n in outcomes.items() if outcome == "killed") > 0
    for kind in {kind for kind, _ in outcomes}:
        done = outcomes[kind, "ok"] + outcomes[kind, "absent"]
        assert done > sum(n for (k, _), n in outcomes.items() if k == kind) / 2, (outcomes, errors)
    stands = {path: read(fs, path) for path in PATHS}
    check_converged(shop, fs, stands)
    fs.close()


def final(fs: rs.ResilientFileSystem, path: str) -> Call:
    begin_s = time.monotonic()
    value = read(fs, path)
    text = None if value is None else value.decode()
    return Call(kind="read", path=path, value=text, begin_s=begin_s, end_s=time.monotonic())


@pytest.fixture
def _no_hook():
    yield
    runtime.at_each_step(None)


@pytest.mark.usefixtures("_no_hook")
def test_a_move_that_takes_longer_than_its_lease_keeps_both_paths(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 4)
    shop = Shop(tmp_path).build()
    left_s = []

    def hook(step):
        if step is Step.WRITE_SENDING:
            time.sleep(0.7 * LEASE_S)  # a slow platform
        left_s.extend(expires - time.time() for (expires,) in shop.rows("intents", "expires_s"))

    with shop.open() as fs:
        fs.write("a", b"0123456789abcdef")
        runtime.at_each_step(hook)
        fs.mv("a", "b")
        assert len(left_s) > 6
        assert min(left_s) > 0
        assert (read(fs, "a"), read(fs, "b")) == (None, b"0123456789abcdef")
