"""Plays scenes in processes that die: `python -m tests.crashes.stage` reads what to play.

One line of JSON for each: a number, a folder, and a case. It forks for each, before it has any
thread, and answers with one line when the fork was stopped, and one when it has ended: the number
of what was asked, the fork's process id, and how it ended.
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
from tests.crashes.shop import LATE_WINDOW_S, NAMES, Shop, set_all

ENDS_WITHIN_S = 60
STOPS_WITHIN_S = 0.5
FINISHED = 3  # the call came to its end

__all__ = ["sqlite"]  # imported before the first fork, once for all


def main() -> None:
    """Play what is asked for until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for who plays and answers
    for line in iter(sys.stdin.readline, ""):
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asked = json.loads(line)
            pid = fork_to_play(
                **{
                    name: asked[name]
                    for name in ("folder", "scene", "step", "nth", "signal_number")
                }
            )
            while True:
                status = os.waitpid(pid, os.WUNTRACED)[1]
                stopped = os.WIFSTOPPED(status)
                code = -signal.SIGSTOP if stopped else os.waitstatus_to_exitcode(status)
                os.write(1, f"{asked['number']} {pid} {code}\n".encode())
                if not stopped:
                    os._exit(0)


def fork_to_play(folder: str, scene: str, step: str, nth: int, signal_number: int) -> int:
    """Play in a process of its own; return its id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(ENDS_WITHIN_S)
            with open(f"{folder}/errors", "a", encoding="utf-8") as errors:
                os.dup2(errors.fileno(), 2)
            play(Shop(Path(folder)), scene, Step[step], nth, signal_number)
            code = FINISHED
        finally:
            if code == 1:
                sys.excepthook(*sys.exc_info())
                sys.stderr.flush()
            os._exit(code)
    return pid


def play(shop: Shop, name: str, step: Step, nth: int, signal_number: int) -> None:
    """Prepare, and make the call, which is cut short at the step."""
    set_all()
    scene = SCENES[name]
    if scene.dead is not None:
        dead, at = scene.dead
        pid = fork_to_play(str(shop.folder), dead, at.name, 1, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
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
        meet(shop, step, nth, signal_number)
        scene.act(shop, fs)


def meet(shop: Shop, step: Step, nth: int, signal_number: int) -> None:
    """Let this process be killed, or stopped, when it passes a step for the nth time."""
    passed = []

    def hook(reached: Step) -> None:
        if reached is not step:
            return
        passed.append(reached)
        if len(passed) == nth:
            (shop.folder / "reached").write_text(reached.name, encoding="utf-8")
            os.kill(os.getpid(), signal_number)
            time.sleep(STOPS_WITHIN_S)  # the kernel may tell another thread first

    runtime.at_each_step(hook)


if __name__ == "__main__":
    main()
