"""Repair, scrub and adopt on S3 servers, in turns with a plain pipeline over the same clients."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import attrs

import resilient_store as rs
from resilient_store.operations.adopt import adopt_all
from resilient_store.operations.repair import repair_all
from resilient_store.operations.scrub import scrub_all
from tests.bench.measure import Ratio, in_turn, ratio, taken_s

AT_ONCE = 16
OBJECTS = 1000  # in each round: what it takes to get up to speed is in it
LEAST = 0.9  # of the pipeline's objects a second
NEVER_VERIFIED_S = 1e9  # by its age
# Objects of 100 KB a second, from S3 to S3 on another machine, when peers were measured: programs
# in Go that keep no catalog. The ratio to them is printed, and nothing is asked of it.
PEERS = {"rclone copy": 418, "rclone check --download": 980}


async def pipeline(copy: Callable[[str], Coroutine[Any, Any, object]], keys: list[str]) -> None:
    """Copy keys, so many at once, and nothing else."""
    waiting = iter(keys)

    async def work() -> None:
        for key in waiting:
            await copy(key)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def of_operations(bench: Any, data: bytes, rounds: int) -> list[Ratio]:
    """Repair what one of two servers has missed, and scrub both; against bare clients."""
    first, second = bench.bare()[:2]
    source, target = bench.buckets[:2]
    repaired, scrubbed = [], []
    with tempfile.TemporaryDirectory() as folder:
        catalog = f"sqlite:///{Path(folder)}/photos.db"
        backends = bench.backends()[:2]
        both = store(backends, catalog)
        await both._exists("anything")
        await both._close()
        await asyncio.gather(first._ls(source), second._ls(target))  # both sides are open, then
        for number in range(rounds):
            keys = [f"round-{number}/{one:04}" for one in range(OBJECTS)]
            alone = store(backends[:1], catalog)
            await pipeline(lambda key, fs=alone: fs._pipe_file(key, data), keys)
            await alone._close()
            fs = store(backends, catalog)
            await asyncio.gather(*(client.open() for client in fs.store.clients.values()))
            gc.collect()  # a process opens its clients once: what it cost is nobody's time here

            async def plain(key: str) -> None:
                body = await first._cat_file(f"{source}/{key}")
                await second._pipe_file(f"{target}/theirs/{key}", body)

            async def read_both(key: str) -> None:
                await first._cat_file(f"{source}/{key}")
                await second._cat_file(f"{target}/theirs/{key}")

            async def repair(fs: rs.ResilientFileSystem = fs) -> None:
                report = await repair_all(fs.store, AT_ONCE)
                assert report.copied >= OBJECTS, report

            async def scrub(fs: rs.ResilientFileSystem = fs) -> None:
                checked = await scrub_all(
                    fs.store, AT_ONCE, max_age=NEVER_VERIFIED_S, unknown=False
                )
                assert checked.checked == 2 * OBJECTS, checked

            repaired.append(await in_turn(number, repair, partial(pipeline, plain, keys)))
            scrubbed.append(await in_turn(number, scrub, partial(pipeline, read_both, keys)))
            await fs._close()
    return [
        beside("rclone copy", ratio(REPAIR, repaired, most=1 / LEAST)),
        beside("rclone check --download", ratio(SCRUB, scrubbed, most=1 / LEAST)),
    ]


async def of_adoption(bench: Any, rounds: int) -> list[Ratio]:
    """Adopt what lies in a bucket, and once more: nothing is asked of it but that it is printed."""
    first = bench.bare()[0]
    new, again = [], []
    keys = [f"photos/{number:04}" for number in range(OBJECTS)]
    for _ in range(rounds):
        bucket = bench.platforms[0].new_bucket()
        await pipeline(lambda key, at=bucket: first._pipe_file(f"{at}/{key}", b"photo"), keys)
        backend = bench.backends()[0] | {"target": bench.platforms[0].url(bucket)}
        with tempfile.TemporaryDirectory() as folder:
            fs = store([backend], f"sqlite:///{Path(folder)}/photos.db")
            await fs._exists("anything")

            async def listed(at: str = bucket) -> None:
                assert len(await first._find(f"{at}/photos")) == OBJECTS

            async def looked_at(at: str = bucket) -> None:
                await listed(at)
                await pipeline(lambda key: first._info(f"{at}/{key}", refresh=True), keys)

            async def adopted(ours: rs.ResilientFileSystem = fs) -> None:
                assert (await adopt_all(ours.store)).complete

            new.append((await taken_s(adopted), await taken_s(looked_at)))
            again.append((await taken_s(adopted), await taken_s(listed)))
            await fs._close()
    await first._s3.close()
    return [ratio(ADOPT, new), ratio(ADOPT_AGAIN, again)]


ADOPT = f"adopt of {OBJECTS} new objects, against a listing and a look at each"
ADOPT_AGAIN = f"adopt of {OBJECTS} known ones, against a listing"
REPAIR = f"repair of {OBJECTS} objects, against get and put"
SCRUB = f"scrub of {OBJECTS} objects on two, against gets"


def beside(peer: str, ours: Ratio) -> Ratio:
    """Say how many objects a second that was, and its ratio to what a peer reached elsewhere."""
    rate = OBJECTS / ours.ours_s
    times = rate / PEERS[peer]
    note = f"{rate:.0f} objects/s: {times:.2f} times the {PEERS[peer]} of `{peer}`, elsewhere"
    return attrs.evolve(ours, note=note)


def store(backends: list[Any], catalog: str) -> rs.ResilientFileSystem:
    """Open a store in the running loop that one copy is enough for."""
    return rs.ResilientFileSystem(
        backends,
        catalog=catalog,
        write=rs.WriteToAll(min_copies=1),
        asynchronous=True,
    )
