"""A store on three directories and a catalog, opened by many processes, seen from behind.

Its lease and late window are so short that a test can wait for their ends.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import resilient_store as rs
from resilient_store.catalog import catalog
from resilient_store.io.catalogued import holder
from resilient_store.model.path import PRIVATE, RESERVED

NAMES = ("aws", "gcp", "azure")
LEASE_S = 0.3
CALM_S = 10.0  # the lease of who looks on: a machine that stalls must not end it
LATE_WINDOW_S = 0.2
TIMEOUT_S = 1.0
MARGIN_S = 0.25  # between the clocks of two machines; here is one
LOCK_TIMEOUT_S = 20.0
# The longest lease that anybody has here: of who is about to send something.
LONGEST_LEASE_S = TIMEOUT_S + 2 * MARGIN_S
CONVERGES_WITHIN_S = 20.0
CATALOG_S = 2.0  # what one call to the catalog may take
SLOW_S = 1.5  # what the backends and a busy machine add

# What is set for the test alone: the margin belongs to the short leases, and a machine on which
# a dozen processes sync their disks at once is not to be taken for a catalog that is down.
SETTINGS = [(holder, "MARGIN_S", MARGIN_S), (catalog, "WITHIN_S", 15.0)]


def set_all() -> None:
    """Set them in a process that does nothing else."""
    for module, name, value in SETTINGS:
        setattr(module, name, value)


class Shop:
    """Three directories and a catalog, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalog = folder / "catalog.db"

    def build(self) -> Shop:
        """Make the directories."""
        for name in NAMES:
            self.disk(name).mkdir(parents=True)
        return self

    def disk(self, name: str) -> Path:
        return self.folder / name

    def open(self, catalog: str = "", **options: Any) -> rs.ResilientFileSystem:
        """Open the store; each one that is opened behaves as a process of its own."""
        settings = {
            "write": rs.WriteToAll(min_copies=2),
            "lease": LEASE_S,
            "late_window": LATE_WINDOW_S,
            "lock_timeout": LOCK_TIMEOUT_S,
        }
        backends = [
            rs.Backend(str(self.disk(n)), name=n, domain=n, timeout=TIMEOUT_S, stall_timeout=1.0)
            for n in NAMES
        ]
        url = catalog or f"sqlite:///{self.catalog}"
        return rs.ResilientFileSystem(backends, catalog=url, **{**settings, **options})

    # Seen from behind

    def files(self, name: str) -> Iterator[tuple[str, Path]]:
        disk = self.disk(name)
        for path in sorted(disk.rglob("*")):
            if path.is_file():
                yield path.relative_to(disk).as_posix(), path

    def objects(self, name: str) -> dict[str, bytes]:
        """Return what any other tool finds."""
        return {
            key: path.read_bytes()
            for key, path in self.files(name)
            if not key.startswith(f"{RESERVED}/")
        }

    def left_over(self, name: str) -> list[str]:
        """Return staged and temporary files."""
        staging = f"{RESERVED}/staging/"
        return [
            key
            for key, path in self.files(name)
            if key.startswith(staging) or path.name.startswith(PRIVATE)
        ]

    def quarantined(self, name: str) -> list[bytes]:
        place = f"{RESERVED}/quarantine/"
        return [path.read_bytes() for key, path in self.files(name) if key.startswith(place)]

    def rows(self, table: str, what: str = "*") -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.catalog, timeout=10.0)) as connection:
            return connection.execute(f"SELECT {what} FROM resilient_{table}").fetchall()

    def check_intact(self) -> None:
        with closing(sqlite3.connect(self.catalog, timeout=10.0)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def remove(self) -> None:
        shutil.rmtree(self.folder)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began_s = time.monotonic()
    yield
    took_s = time.monotonic() - began_s
    assert took_s < seconds, f"it took {took_s:.1f} s"


def read(fs: rs.ResilientFileSystem, path: str) -> bytes | None:
    """Read; None where there is certainly no object."""
    try:
        return fs.read(path).data
    except FileNotFoundError:
        return None


def version(fs: rs.ResilientFileSystem, path: str) -> int:
    try:
        return fs.info(path)["version"]
    except FileNotFoundError:
        return 0


def converge(fs: rs.ResilientFileSystem, look: Callable[[], object] = lambda: None) -> None:
    """Repair until nothing is left to do; late requests need their time (P7).

    Two answers with more than the late window between them let it pass, however slow this
    machine is.

    Parameters
    ----------
    look
        What is done between two repairs.
    """
    until_s = time.monotonic() + CONVERGES_WITHIN_S
    while not (report := rs.repair(fs)).done:
        look()
        assert time.monotonic() < until_s, f"repair does not come to an end: {report}"
        time.sleep(1.1 * LATE_WINDOW_S)


def check_converged(
    shop: Shop,
    fs: rs.ResilientFileSystem,
    stands: Mapping[str, bytes | None],
    look: Callable[[], object] = lambda: None,
    foreign: bytes | None = None,
) -> None:
    """See that every backend holds exactly this and nothing else, and the catalog owes nothing."""
    converge(fs, look)
    swept = rs.sweep(fs, older_than=0)
    assert swept.failed == ()
    wanted = {path: data for path, data in stands.items() if data is not None}
    for name in NAMES:
        assert shop.objects(name) == wanted, name
        assert shop.left_over(name) == [], name
        assert set(shop.quarantined(name)) <= {foreign}, name
    assert shop.rows("intents") == []
    assert shop.rows("voids") == []
    assert {path for (path,) in shop.rows("entries", "path")} == set(wanted)
    held = shop.rows("replicas", "path, backend, state, place, version")
    versions = dict(shop.rows("entries", "path, version"))
    assert {row[:4] for row in held} == {(p, n, "good", "own") for p in wanted for n in NAMES}
    assert all(row[4] == versions[row[0]] for row in held)
    shop.check_intact()
    for path, data in stands.items():
        assert read(fs, path) == data
