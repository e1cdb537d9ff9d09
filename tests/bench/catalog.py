"""What a catalog costs a call, and how quick it is with a million objects."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import resilient_store as rs
from resilient_store.catalog.location import locate
from resilient_store.catalog.opening import database_at
from tests.bench.measure import Ratio, added, compare, lookups
from tests.bench.million import IN_A_FOLDER, OBJECTS, fill, name_of
from tests.servers import processes
from tests.servers.platforms import RCLONE_OPTIONS, Platform

ROOT = Path(__file__).parents[2]
NAMES = ("aws", "gcp", "azure")
MIB = 1024 * 1024
FOLDER = "photos/0500"
LOOKUP_US = 100
SLOWER_THAN_SQLITE = 3.0
BEYOND_BYTES = 32 * MIB  # a connection's cache of pages is half of that, whatever is listed


def as_applications_read(bench: Any, other: Any, data: bytes, rounds: int) -> Ratio:
    """Read by `cat_file`, for which the caller's thread waits: so the bare figures were taken.

    Parameters
    ----------
    bench, other
        As for `with_a_catalog`.
    """

    async def read(fs: Any, path: str) -> None:
        assert len(fs.cat_file(path)) == len(data)

    bare = bench.platforms[0].bare()
    with (
        tempfile.TemporaryDirectory() as folder,
        rs.ResilientFileSystem(bench.backends()) as fs,
        rs.ResilientFileSystem(other.backends(), catalog=f"sqlite:///{folder}/catalog.db") as ours,
    ):
        for store in (fs, ours):
            store.pipe_file("photo", data)
        gc.collect()  # what opening them left to clear up is nobody's time here
        times = added(
            "what a catalog adds to `cat_file` of 100 KB, on top of bare s3fs's",
            functools.partial(read, ours, "photo"),
            functools.partial(read, fs, "photo"),
            functools.partial(read, bare, f"{bench.buckets[0]}/photo"),
            rounds=rounds,
            most=1.08,
        )
        return asyncio.run(times)


async def with_a_catalog(bench: Any, other: Any, data: bytes, rounds: int) -> list[Ratio]:
    """Read and write with a catalog and without one, everybody well.

    Parameters
    ----------
    bench, other
        Two sets of buckets of the same servers: without a catalog, and with one.
    """
    with tempfile.TemporaryDirectory() as folder:
        fs, once = bench.store(), bench.store(write_once="unique-names")
        ours = other.store(catalog=f"sqlite:///{folder}/catalog.db")
        bare = bench.platforms[0].bare(asynchronous=True)
        for store in (fs, ours):
            await store._pipe_file("photo", data)
        gc.collect()
        found = [
            await added(
                "the same as coroutines, where no thread waits for another",
                lambda: ours._cat_file("photo"),
                lambda: fs._cat_file("photo"),
                lambda: bare._cat_file(f"{bench.buckets[0]}/photo"),
                rounds=rounds,
            ),
            await compare(
                "read of 100 KB, with a catalog against without",
                lambda: ours._cat_file("photo"),
                lambda: fs._cat_file("photo"),
                rounds=rounds,
            ),
            await compare(
                "new path of 100 KB, with a catalog against without",
                lambda: ours._pipe_file(uuid.uuid4().hex, data),
                lambda: fs._pipe_file(uuid.uuid4().hex, data),
                rounds=rounds,
                most=1.25,
            ),
            await compare(
                'new path of 100 KB, with a catalog against `write_once="unique-names"` without',
                lambda: ours._pipe_file(uuid.uuid4().hex, data),
                lambda: once._pipe_file(uuid.uuid4().hex, data),
                rounds=rounds,
            ),
            await compare(
                "overwrite of 100 KB, with a catalog against without",
                lambda: ours._pipe_file("photo", data),
                lambda: fs._pipe_file("photo", data),
                rounds=rounds,
                most=1.25,
            ),
        ]
        for store in (fs, once, ours):
            await store._close()
        await bare._s3.close()
    return found


def a_million(rounds: int) -> tuple[list[Ratio], dict[str, str], bool]:
    """List and look up in a catalog of a million objects."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/catalog.db"
        url = f"sqlite:///{file}"
        began_s = time.perf_counter()
        fill(url, NAMES)
        notes = {f"a catalog of {OBJECTS:,} objects": f"{os.stat(file).st_size / MIB:.0f} MB"}
        notes["filled in"] = f"{time.perf_counter() - began_s:.0f} s"
        with Platform("s3", processes.rclone(f"{folder}/s3"), RCLONE_OPTIONS) as platform:
            ratios = asyncio.run(_ls(url, platform, rounds))
        found, kept = _find(url)
        took_us, median_us = _look_up(url)
        notes |= found
        notes["looked up, in the database"] = f"{took_us:.0f} µs (at most {LOOKUP_US})"
        notes["looked up, `exists` as a coroutine"] = f"{median_us:.0f} µs"
        return ratios, notes, kept and took_us <= LOOKUP_US


def store_over(url: str, **options: Any) -> rs.ResilientFileSystem:
    """Open a store whose backends nobody asks."""
    backends = [rs.Backend(f"memory://{name}", name=name, domain=name) for name in NAMES]
    return rs.ResilientFileSystem(backends, catalog=url, **options)


async def _ls(url: str, platform: Platform, rounds: int) -> list[Ratio]:
    bucket = platform.new_bucket()
    for number in range(IN_A_FOLDER):
        platform.write(bucket, f"{FOLDER}/{number:06d}.jpg", b"x")
    fs = store_over(url, asynchronous=True)
    bare = platform.bare(asynchronous=True)
    theirs = await bare._ls(f"{bucket}/{FOLDER}", refresh=True)
    assert len(await fs._ls(FOLDER)) == len(theirs) == IN_A_FOLDER
    what = f"of {IN_A_FOLDER:,} among {OBJECTS:,}, against bare s3fs with no more than these"
    ratios = [
        await compare(
            f"`ls{how}` {what}",
            functools.partial(fs._ls, FOLDER, detail=detail),
            functools.partial(bare._ls, f"{bucket}/{FOLDER}", detail=detail, refresh=True),
            rounds=rounds,
            most=most,
        )
        # Names are what s3fs's own `ls` brings where nothing else is asked for.
        for how, detail, most in (("(detail=False)", False, 1 / 50), ("", True, None))
    ]
    await fs._close()
    await bare._s3.close()
    return ratios


def _find(url: str) -> tuple[dict[str, str], bool]:
    """Find everything, in a process for each way, and see what is held beyond the list."""
    found = {}
    for how in ("store", "sqlite3"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.find", how, url],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=ROOT,
        )
        found[how] = json.loads(done.stdout)
    ours, bare = found["store"], found["sqlite3"]
    ratio = ours["took_s"] / bare["took_s"]
    kept = ratio <= SLOWER_THAN_SQLITE and ours["more"] - bare["more"] <= BEYOND_BYTES
    notes = {
        f"`find` of all {OBJECTS:,}": f"{ours['took_s']:.2f} s, {ratio:.2f} times bare sqlite3 "
        f"(at most {SLOWER_THAN_SQLITE:g})",
        "memory of it": f"{ours['more'] / MIB:.0f} MB, of which the list is "
        f"{ours['list'] / MIB:.0f}; bare sqlite3 {bare['more'] / MIB:.0f} MB",
    }
    return notes, kept


def _look_up(url: str) -> tuple[float, float]:
    """Return how long a look-up takes, in microseconds: in the database, and in the store."""
    paths = [name_of(number) for number in range(0, OBJECTS, 997)]
    database = database_at(locate(url))
    in_database_s = lookups(database.find, paths)
    database.close()

    async def in_store() -> float:
        fs = store_over(url, asynchronous=True)
        await fs._exists(paths[0])
        took_s = []
        for path in paths:
            began_s = time.perf_counter()
            assert await fs._exists(path)
            took_s.append(time.perf_counter() - began_s)
        await fs._close()
        return sorted(took_s)[len(took_s) // 2]

    return 1e6 * in_database_s, 1e6 * asyncio.run(in_store())
