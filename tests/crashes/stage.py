"""Plays scenes in processes that die: `python -m tests.crashes.stage` reads what to play.

One line of JSON for each: a number, a folder, and a case. It forks for each, before it has any
thread, and answers with one line when the fork has ended: the number, and how it ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from resilient_store import runtime
from resilient_store.catalog import sqlite
from resilient_store.model.step import Step
from tests.crashes.scenes import BUSY_S, SCENES
from tests.crashes.shop import LATE_WINDOW_S, NAMES, Shop

ENDS_WITHIN_S = 60
NOT_REACHED = 3

__all__ = ["sqlite"]  # imported before the first fork, once for all


def main() -> None:
    """Play what is asked for until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for who plays and answers
    for line in iter(sys.stdin.readline, ""):
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asked = json.loads(line)
            code = fork_and_play(asked["folder"], asked["scene"], asked["step"], asked["nth"])
            os.write(1, f"{asked['number']} {code}\n".encode())
            os._exit(0)


def fork_and_play(folder: str, scene: str, step: str, nth: int) -> int:
    """Play in a process of its own; return how that ended."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(ENDS_WITHIN_S)
            with open(f"{folder}/errors", "a", encoding="utf-8") as errors:
                os.dup2(errors.fileno(), 2)
            play(Shop(Path(folder)), scene, Step[step], nth)
            code = NOT_REACHED
        finally:
            if code == 1:
                sys.excepthook(*sys.exc_info())
                sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def play(shop: Shop, name: str, step: Step, nth: int) -> None:
    """Prepare, and make the call, which is cut short at the step."""
    scene = SCENES[name]
    if scene.dead is not None:
        dead, at = scene.dead
        assert fork_and_play(str(shop.folder), dead, at.name, 1) == -signal.SIGKILL
    else:
        shop.build()
        for backend, files in scene.plain.items():
            for key, data in files.items():
                place = shop.disk(backend) / key
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
    with shop.open(late_window=BUSY_S if scene.busy else LATE_WINDOW_S) as fs:
        for backend in NAMES:  # each has met the store before anything else is done
            fs.exists(backend)
        scene.prepare(shop, fs)
        die_at(shop, step, nth)
        scene.act(shop, fs)


def die_at(shop: Shop, step: Step, nth: int) -> None:
    """Let this process be killed when it passes a step for the nth time."""
    passed = []

    def hook(reached: Step) -> None:
        if reached is not step:
            return
        passed.append(reached)
        if len(passed) == nth:
            (shop.folder / "reached").write_text(reached.name, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(ENDS_WITHIN_S)

    runtime.at_each_step(hook)


if __name__ == "__main__":
    main()
