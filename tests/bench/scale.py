"""Measure what one object costs, for `docs/scale.md`: `python -m tests.bench.scale`.

Prints a line for each figure. The catalogs are real; each platform is a directory, so that what is
counted of repair and scrub is this library's own work and no network. In SQLite and of objects
the processor's time is taken, which other work on the machine changes little; PostgreSQL's is
by the clock, since another process does the work.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

import resilient_store as rs
from resilient_store.catalog.contract import Database
from resilient_store.catalog.location import locate
from resilient_store.catalog.opening import database_at
from resilient_store.model.checksum import ChunkedChecksum
from resilient_store.model.key_range import KeyRange
from resilient_store.model.round import Lease, Round
from resilient_store.model.state import Record, StoreState
from resilient_store.protocol.moment import Moment
from tests.bench.million import fill, name_of
from tests.catalogued.stage import LATE_WINDOW_S, NAMES, Shop
from tests.servers.postgres import Postgres

MIB = 1 << 20
PAGE = 1000
CHANGES = 1_000
RECORDED_AT_ONCE = 100
IN_A_TRANSACTION = 1_000
SMALL = 100


def told(what: str, value: float, unit: str) -> None:
    """Print one figure."""
    print(f"{what}: {value:,.3g} {unit}", flush=True)


def of_catalog(kind: str, url: str, size: Callable[[Database], int], objects: int) -> None:
    """Fill a catalog, and walk through it as repair, scrub and reports do."""
    clock = time.process_time if kind == "sqlite" else time.perf_counter
    began_s = clock()
    fill(url, NAMES, objects, at_once=IN_A_TRANSACTION)
    told(f"{kind}: filled", objects / (clock() - began_s), "objects/s")
    database = database_at(locate(url))
    if kind == "postgresql":  # as its autovacuum does a minute after such a change
        database.driver.ask(("ANALYZE", {}))  # type: ignore[attr-defined]
    told(f"{kind}: size", size(database) / objects, "bytes/object")
    for name, step in _walks(database).items():
        began_s, after = clock(), step("")
        while after:
            after = step(after)
        told(f"{kind}: {name}", objects / (clock() - began_s), "objects/s")
    began_s = clock()
    for _ in range(CHANGES):
        database.change_state(_touched)
    told(f"{kind}: a lease", 1000 * (clock() - began_s) / CHANGES, "ms")
    paths = [name_of(number * 101) for number in range(CHANGES)]
    began_s = clock()
    for at in range(0, CHANGES, RECORDED_AT_ONCE):
        database.change(paths[at : at + RECORDED_AT_ONCE], 900.0, _verified)
    took_s = clock() - began_s
    told(f"{kind}: recorded as verified", CHANGES / took_s, "objects/s")
    with tempfile.TemporaryFile() as file:
        began_s = clock()
        database.dump(file, 1, lambda: None)
        told(f"{kind}: dumped", objects / (clock() - began_s), "objects/s")
        told(f"{kind}: size of a snapshot", file.seek(0, 2) / objects, "bytes/object")
    database.close()


def _walks(database: Database) -> dict[str, Callable[[str], str]]:
    """Return steps that each look at a page, and say where to go on."""

    def names(after: str) -> str:
        return next(reversed(database.names("", after, PAGE)), "")

    def records(after: str) -> str:
        found = database.records(database.names("", after, PAGE))
        return found[-1].path if found else ""

    def holdings(after: str) -> str:
        found = database.holdings("", after, PAGE)
        return found[-1].path if found else ""

    return {
        "names": names,
        "records": records,
        "holdings": holdings,
        "without": lambda after: database.without(NAMES[2], after, PAGE)[1],
        "stretch": lambda after: database.stretch(after).after,
    }


def _touched(state: StoreState | None, now_s: float) -> StoreState:
    assert state is not None
    part = KeyRange(name_of(0), name_of(1))
    of = Round(began_s=now_s, leases=(Lease(part, "a machine", now_s),))
    return attrs.evolve(state, rounds={"scrub": of})


def _verified(records: tuple[Record, ...], moment: Moment) -> tuple[tuple[Record, ...], None]:
    after = []
    for record in records:
        rows = [attrs.evolve(r, verified_at_s=moment.now_s) for r in record.replicas.values()]
        after.append(record.with_replicas(*rows))
    return tuple(after), None


def of_objects(folder: Path, objects: int) -> None:
    """Repair and scrub small objects on three disks, and count the processor's time."""
    shop = Shop(folder)
    fs = shop.open()
    fs.exists("anything")
    shop.lose("aws")
    began_s = time.process_time()
    for number in range(objects):
        fs.write(name_of(number), b"x" * SMALL)
    told("processor: a write to two disks", 1e3 * (time.process_time() - began_s) / objects, "ms")
    shop.bring_back("aws")
    time.sleep(2 * LATE_WINDOW_S)  # until every key is quiet
    fs = shop.open()
    for what, unit, work in (
        ("repaired replica", objects, lambda: rs.repair(fs)),
        ("verified replica", len(NAMES) * objects, lambda: rs.scrub(fs, unknown=False)),
    ):
        began_s, wall_s = time.process_time(), time.perf_counter()
        work()
        told(f"processor: a {what}", 1e3 * (time.process_time() - began_s) / unit, "ms")
        told(f"wall clock: a {what}", 1e3 * (time.perf_counter() - wall_s) / unit, "ms")
    shop.close()
    checksum, data = ChunkedChecksum(), os.urandom(64 * MIB)
    began_s = time.process_time()
    for at in range(0, len(data), MIB):
        checksum.update(data[at : at + MIB])
    told("processor: bytes hashed", len(data) / (time.process_time() - began_s) / 1e6, "MB/s")


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=200_000, help="in each catalog")
    parser.add_argument("--repaired", type=int, default=1_000, help="on three disks")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        of_objects(Path(folder) / "shop", given.repaired)
        file = Path(folder) / "catalog.db"
        of_catalog("sqlite", f"sqlite:///{file}", lambda _: file.stat().st_size, given.objects)
        with Postgres() as server:
            url = server.url_of(server.database())
            of_catalog("postgresql", url, _size_in_postgres, given.objects)


def _size_in_postgres(database: Any) -> int:
    ((size,),) = database.driver.ask(("SELECT pg_database_size(current_database())", {}))
    return int(size)


if __name__ == "__main__":
    main()
