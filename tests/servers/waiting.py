"""Waiting, for a bounded time, for what other threads and processes do; and counting sockets."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import resilient_store as rs

SETTLED_WITHIN_S = 5.0
LOOK_EVERY_S = 0.01
TABLE = Path("/proc/net/tcp")
_ESTABLISHED = "01"


def until(holds: Callable[[], object]) -> bool:
    """Look again and again until something is so; say whether it came to that."""
    give_up_s = time.monotonic() + SETTLED_WITHIN_S
    while not holds():
        if time.monotonic() > give_up_s:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def warm_up(fs: rs.ResilientFileSystem) -> None:
    """Meet every backend: an SDK is imported, a client made, and on a slow machine that lasts.

    Nothing is known to be absent before every backend has said so.
    """

    def has_met_all() -> bool:
        with contextlib.suppress(rs.BackendsUnavailableError):
            return fs.exists("warm") is False
        return False

    assert until(has_met_all)


def _rows_to(port: int) -> list[list[str]]:
    rows = [line.split() for line in TABLE.read_text().splitlines()[1:]]
    return [row for row in rows if int(row[2].rpartition(":")[2], 16) == port]


def established(port: int) -> int:
    """Count this machine's connections to a port."""
    return sum(row[3] == _ESTABLISHED for row in _rows_to(port))


def sockets_to(port: int) -> int:
    """Count this process's sockets whose other end is a port, in whatever state they are."""
    mine = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            mine.add(os.readlink(f"/proc/self/fd/{number}"))
    return sum(f"socket:[{row[9]}]" in mine for row in _rows_to(port))
