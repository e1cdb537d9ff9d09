"""How each fault is made, how each call is made, and what may be left of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import resilient_store as rs
from tests.faults.table import READS
from tests.servers.platforms import Platform

TIMEOUT_S = 2.0  # the default is 10; here nothing is far away

PHOTO, OTHER, NEW, COPIED = "d/photo", "d/other", "d/new", "d/copied"
DATA = bytes(range(256)) * 800  # 200 KB
FRESH = DATA[::-1]
BEFORE = {PHOTO: DATA, OTHER: DATA}

# The request that decides what becomes of a change.
DECIDES = {
    ("s3", "write"): r"^PUT .*new",
    ("s3", "overwrite"): r"^PUT /[^/]*/d/photo",
    ("s3", "create"): r"^PUT .*new",
    ("s3", "delete"): r"^DELETE ",
    ("s3", "copy"): r"^PUT .*copied",
    ("gcs", "write"): r"^POST /upload",
    ("gcs", "overwrite"): r"^POST .*rewriteTo",
    ("gcs", "create"): r"^POST /upload",
    ("gcs", "delete"): r"^DELETE ",
    ("gcs", "copy"): r"^POST /upload",
    ("azure", "write"): r"^PUT .*new",
    ("azure", "overwrite"): r"^PUT /[^/]*/[^/]*/d/photo",
    ("azure", "create"): r"^PUT .*new",
    ("azure", "delete"): r"^DELETE ",
    ("azure", "copy"): r"^PUT .*copied",
}

MODES: dict[str, tuple[str, dict[str, Any]]] = {
    "refusing": ("refuse", {}),
    "hanging": ("blackhole", {}),
    "swallowing": ("swallow", {}),
    "slow": ("slow", {"rate": 20_000}),
    "trickling": ("trickle", {"after": 100}),
    "429": ("status", {"code": 429}),
    "503": ("status", {"code": 503}),
    "500": ("status", {"code": 500}),
    "403": ("status", {"code": 403}),
    "portal": ("captive", {}),
    "reset": ("reset", {"after": 0}),
    "truncated": ("truncate", {"after": 100}),
    "flipped": ("flip", {"at": 1000}),
}


@contextlib.contextmanager
def failing(platform: Platform, bucket: str, fault: str, call: str) -> Iterator[None]:
    """Let a platform fail so, while this lasts."""
    if fault == "killed":
        platform.server.kill()
        try:
            yield
        finally:
            platform.server.start()
    elif fault == "stopped":
        platform.server.pause()
        try:
            yield
        finally:
            platform.server.resume()
    elif fault == "no bucket":
        platform.remove_bucket(bucket)
        yield
    else:
        mode, how = MODES[fault]
        match = None if call in READS else DECIDES[platform.family, call]
        platform.proxy.set(mode, match=match, **how)
        try:
            yield
        finally:
            platform.proxy.set("pass")


async def read_a_stream(fs: rs.ResilientFileSystem) -> bytes:
    file = await fs.open_async(PHOTO)
    async with file:
        return await file.read()


CALL: dict[str, Callable[[rs.ResilientFileSystem], Awaitable[Any]]] = {
    "read": lambda fs: fs._cat_file(PHOTO),
    "range": lambda fs: fs._cat_file(PHOTO, start=1000, end=150_000),
    "stream": read_a_stream,
    "write": lambda fs: fs._write(NEW, FRESH),
    "overwrite": lambda fs: fs._write(PHOTO, FRESH),
    "create": lambda fs: fs._write(NEW, FRESH, mode="create"),
    "delete": lambda fs: fs._rm_file(PHOTO),
    "info": lambda fs: fs._info(PHOTO),
    "exists": lambda fs: fs._exists(PHOTO),
    "list": lambda fs: fs._ls("d", detail=False),
    "copy": lambda fs: fs._cp_file(OTHER, COPIED),
}

# What may lie there besides what was there before, where nobody knows how a change ended.
MAY_BE: dict[str, list[dict[str, bytes]]] = {
    "write": [{**BEFORE, NEW: FRESH}],
    "create": [{**BEFORE, NEW: FRESH}],
    "overwrite": [{**BEFORE, PHOTO: FRESH}],
    "delete": [{OTHER: DATA}],
    "copy": [{**BEFORE, COPIED: DATA}],
}


def longest_s(call: str) -> float:
    """Return how long a call may take: each of its requests has a deadline, and some are undone."""
    requests = 2 if call in READS else 6
    return requests * (TIMEOUT_S + 0.5) + 1.0


async def outcome_of(fs: rs.ResilientFileSystem, call: str) -> tuple[rs.ObjectError | None, float]:
    """Make a call; return the error that it ended in, and how long it took."""
    began_s = time.monotonic()
    try:
        await CALL[call](fs)
    except rs.ObjectError as error:
        return error, time.monotonic() - began_s
    return None, time.monotonic() - began_s


def tasks_left() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
