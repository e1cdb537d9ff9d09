"""Reads of callers while the same process repairs, in turns with the same reads alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import attrs

import resilient_store as rs
from resilient_store.operations.repair import repair_all
from tests.bench.measure import Ratio, ratio
from tests.bench.operations import pipeline, store

OBJECTS = 3000
FOR_S = 6.0  # each turn
EVERY_S = 0.01  # a read, when the one before has ended
MEDIAN_MOST, SLOWEST_MOST = 1.3, 2.5
PHOTO = "photo"


async def reads(fs: rs.ResilientFileSystem) -> list[float]:
    """Read for a while as one user does; return how long each took, the shortest first."""
    took_s, ends_s = [], time.perf_counter() + FOR_S
    while (began_s := time.perf_counter()) < ends_s:
        await fs._cat_file(PHOTO)
        took_s.append(time.perf_counter() - began_s)
        await asyncio.sleep(EVERY_S)
    return sorted(took_s)


async def beside_repair(bench: Any, data: bytes, turns: int) -> list[Ratio]:
    """Read from the first of two servers while the second is caught up, at default limits."""
    medians, slowest = [], []
    with tempfile.TemporaryDirectory() as folder:
        catalog = f"sqlite:///{Path(folder)}/photos.db"
        fs = await one_behind(bench, data, catalog)
        await reads(fs)
        for _ in range(turns):
            alone_s = await reads(fs)
            repairing = asyncio.ensure_future(repair_all(fs.store))
            beside_s = await reads(fs)
            assert not repairing.done(), "there was not enough to repair"
            repairing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await repairing
            medians.append((statistics.median(beside_s), statistics.median(alone_s)))
            slowest.append((hundredth(beside_s), hundredth(alone_s)))
        await fs._close()
    what = "read of 100 KB while the same process repairs, against the same reads alone"
    both = [
        ratio(f"{what}: medians", medians, most=MEDIAN_MOST),
        ratio(f"{what}: the slowest hundredth", slowest, most=SLOWEST_MOST),
    ]
    note = f"client and servers share {os.cpu_count()} cores: worse than with a network between"
    return [attrs.evolve(one, note=note) for one in both]


async def one_behind(bench: Any, data: bytes, catalog: str) -> rs.ResilientFileSystem:
    """Open a store whose second server has missed very many objects."""
    backends = bench.backends()[:2]
    both = store(backends, catalog)
    await both._pipe_file(PHOTO, data)
    await both._close()
    alone = store(backends[:1], catalog)
    await pipeline(lambda key: alone._pipe_file(key, data), [f"{n:05}" for n in range(OBJECTS)])
    await alone._close()
    return store(backends, catalog)


def hundredth(took_s: list[float]) -> float:
    """Return how long all but a hundredth took at most, of what is in order."""
    return took_s[int(0.99 * len(took_s))]
