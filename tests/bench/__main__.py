"""Compare the store with the bare clients, on the platforms' servers: `nox -s bench`.

Prints ratios with their spread, and writes them into `docs/benchmarks.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform as machine
import subprocess
import sys
import tempfile
import time
import uuid
import weakref
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import resilient_store as rs
from tests.bench.catalog import a_million, as_applications_read, with_a_catalog
from tests.bench.foreground import beside_repair
from tests.bench.measure import Ratio, compare, facts, ratio, table, taken_s
from tests.bench.million import OBJECTS
from tests.bench.operations import of_adoption, of_operations
from tests.servers import processes
from tests.servers.platforms import RCLONE_OPTIONS, Platform

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
SMALL = os.urandom(100_000)
LARGE_BYTES = 512 * 1024 * 1024
MIB = 1024 * 1024
BREAKER_READS = 5  # failures in a row open it
TENTH = 10


@contextlib.contextmanager
def three_of_s3() -> Iterator[list[Platform]]:
    """Three S3 servers, as the bare figures of other stores were measured on."""
    with contextlib.ExitStack() as stack:
        folders = [stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(3)]
        yield [
            stack.enter_context(Platform("s3", processes.rclone(folder), RCLONE_OPTIONS))
            for folder in folders
        ]


@contextlib.contextmanager
def one_of_each() -> Iterator[list[Platform]]:
    """S3, Google Cloud Storage and Azure."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        yield [
            stack.enter_context(Platform("s3", processes.rclone(folder), RCLONE_OPTIONS)),
            stack.enter_context(Platform("gcs", processes.fake_gcs())),
            stack.enter_context(Platform("azure", processes.azurite())),
        ]


class Bench:
    """A store over three platforms, and the bare clients of the same buckets."""

    def __init__(self, platforms: Sequence[Platform]) -> None:
        self.platforms = list(platforms)
        self.buckets = [one.new_bucket() for one in platforms]

    def backends(self, **options: Any) -> list[dict[str, Any]]:
        """Describe the backends, straight at the servers."""
        return [
            {
                "target": one.url(bucket),
                "name": f"{one.family}-{number}",
                "domain": f"platform-{number}",
                "storage_options": one.storage_options(direct=True),
                **options,
            }
            for number, (one, bucket) in enumerate(zip(self.platforms, self.buckets, strict=True))
        ]

    def store(self, **options: Any) -> rs.ResilientFileSystem:
        """Open a store in the running loop."""
        return rs.ResilientFileSystem(self.backends(), asynchronous=True, **options)

    def bare(self) -> list[Any]:
        """Open the bare clients in the running loop."""
        return [one.bare(asynchronous=True) for one in self.platforms]

    async def write_bare(self, clients: Sequence[Any], key: str) -> None:
        """Write to all three at once, as anybody would."""
        await asyncio.gather(
            *(
                client._pipe_file(f"{bucket}/{key}", SMALL)
                for client, bucket in zip(clients, self.buckets, strict=True)
            )
        )


async def healthy(bench: Bench, rounds: int) -> list[Ratio]:
    """Read and write while everybody is well."""
    fs, clients = bench.store(), bench.bare()
    once = bench.store(write_once="unique-names")
    path = f"{bench.buckets[0]}/photo"
    await fs._pipe_file("photo", SMALL)
    await bench.write_bare(clients, "theirs")
    found = [
        await compare(
            "read of 100 KB, against the first's bare client",
            lambda: fs._cat_file("photo"),
            lambda: clients[0]._cat_file(path),
            rounds=rounds,
            most=1.05,
        ),
        await compare(
            'new path of 100 KB, `write_once="unique-names"`, against a gather of bare writes',
            lambda: once._pipe_file(uuid.uuid4().hex, SMALL),
            lambda: bench.write_bare(clients, uuid.uuid4().hex),
            rounds=rounds,
            most=1.15,
        ),
        await compare(
            "overwrite of 100 KB, against a gather of bare writes",
            lambda: fs._pipe_file("photo", SMALL),
            lambda: bench.write_bare(clients, "theirs"),
            rounds=rounds,
            most=3.3,
        ),
    ]
    for one in (fs, once):
        await one._close()
    await close_bare(clients)
    return found


async def close_bare(clients: Sequence[Any]) -> None:
    """Close what the bare clients hold; there is no common way."""
    for client in clients:
        if getattr(client, "_s3", None) is not None:
            await client._s3.close()
        elif getattr(client, "_session", None) is not None:
            await client._session.close()
        elif hasattr(client, "service_client"):
            await client.service_client.close()
            for reference in weakref.getweakrefs(client):  # adlfs would close it again at exit
                if isinstance(reference.__callback__, weakref.finalize):
                    reference.__callback__.detach()


async def with_one_away(bench: Bench, how: str, rounds: int) -> tuple[list[Ratio], float]:
    """Read while the first is hung or gone, in turns with a store that has only the others."""
    fs = bench.store()
    await fs._pipe_file("photo", SMALL)
    others = rs.ResilientFileSystem(bench.backends()[1:], asynchronous=True)
    for _ in range(TENTH):
        await fs._cat_file("photo")
        await others._cat_file("photo")
    server = bench.platforms[0].server
    (server.pause if how == "hung" else server.kill)()
    try:
        first_s = [await taken_s(lambda: fs._cat_file("photo")) for _ in range(TENTH - 1)]
        pairs = []
        for _ in range(rounds):
            ours_s = await taken_s(lambda: fs._cat_file("photo"))
            pairs.append((ours_s, await taken_s(lambda: others._cat_file("photo"))))
    finally:
        server.heal()
        await fs._close()
        await others._close()
    since = "after its breaker opened" if how == "hung" else "from the tenth on"
    what = f"read of 100 KB, the first {how}, {since}, against the others alone"
    return [ratio(what, pairs, most=1.2)], max(first_s[:BREAKER_READS])


def streaming(bench: Bench) -> tuple[dict[str, str], bool]:
    """Stream half a gigabyte to three and back, each in a process of its own."""
    found, kept = {}, True
    for what, limit in (("write", 256), ("read", 64)):
        began_s = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.memory", what, str(LARGE_BYTES)],
            input=json.dumps(bench.backends()),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=ROOT,
        )
        rate = LARGE_BYTES / MIB / (time.perf_counter() - began_s)
        more = int(done.stdout) / MIB
        kept = kept and more <= limit
        found[f"512 MB streamed, {what}"] = (
            f"{more:.0f} MB more memory (at most {limit}), {rate:.0f} MB/s with the start"
        )
    return found, kept


def run(rounds: int, *, with_streams: bool) -> tuple[str, bool]:
    """Measure everything; return the page's part, and whether all is as asked."""
    parts, kept = [], True
    for title, servers in (("S3, three servers", three_of_s3), ("S3, GCS, Azure", one_of_each)):
        with servers() as platforms:
            bench = Bench(platforms)
            ratios = asyncio.run(healthy(bench, rounds))
            # What is added is small beside how much a read varies: so many more.
            ratios.append(as_applications_read(bench, Bench(platforms), SMALL, 5 * rounds))
            ratios += asyncio.run(with_a_catalog(bench, Bench(platforms), SMALL, rounds))
            if servers is three_of_s3:
                ratios += asyncio.run(of_operations(Bench(platforms), SMALL, 2 * rounds // 5))
                ratios += asyncio.run(of_adoption(Bench(platforms), rounds // 10))
                ratios += asyncio.run(beside_repair(Bench(platforms), SMALL, rounds // 10))
            notes = {}
            for how in ("hung", "refusing"):
                found, worst_s = asyncio.run(with_one_away(Bench(platforms), how, rounds))
                ratios += found
                notes[f"slowest of the first {BREAKER_READS} reads, the first {how}"] = (
                    f"{1000 * worst_s:.0f} ms"
                )
            if with_streams:
                streamed, small = streaming(bench)
                notes, kept = notes | streamed, kept and small
        kept = kept and all(one.kept for one in ratios)
        parts.append(part(title, ratios, notes))
    if with_streams:
        ratios, notes, small = a_million(rounds)
        kept = kept and small and all(one.kept for one in ratios)
        parts.append(part(f"A catalog of {OBJECTS:,} objects in SQLite", ratios, notes))
    return "\n".join(parts), kept


def part(title: str, ratios: list[Ratio], notes: dict[str, str]) -> str:
    """Print and return a part of the page."""
    shown = f"## {title}\n\n{table(ratios)}\n\n{facts(notes)}\n"
    print(shown, flush=True)
    return shown


INTRODUCTION = """# Benchmarks

`nox -s bench` starts the servers, measures, and writes this page. The servers run on the same
machine as the clients, so a ratio shows what the library adds in work, and nothing of networks.
Each pair of times was taken one after the other, and the ratio is the median of the pairs'
ratios: a machine that slows down slows down both. Single times say little.

{facts}

What bare clients do where a platform is hung or gone is on the page
[Choose your time-outs](timeouts.md).

"""


def page(body: str) -> str:
    """Return the whole page."""
    names = ("resilient_store", "fsspec", "s3fs", "gcsfs", "adlfs", "aiohttp")
    values = {
        "Python": machine.python_version(),
        "cores": str(os.cpu_count()),
        **{name: version(name) for name in names},
    }
    return INTRODUCTION.format(facts=facts(values)) + body


def main() -> int:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="no streams, no million, and no page")
    given = parser.parse_args()
    body, kept = run(given.rounds, with_streams=not given.quick)
    if not given.quick:
        PAGE.write_text(page(body), encoding="utf-8")
        print(f"written to {PAGE}")
    print("everything is as asked" if kept else "NOT everything is as asked")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
