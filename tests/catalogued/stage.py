"""A photo shop on three directories with a catalog in SQLite, and ways to damage each of them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
from fsspec.asyn import sync

import resilient_store as rs
from resilient_store.backends.health import Health
from resilient_store.io.catalogued import sidecar
from resilient_store.model.path import PRIVATE, RESERVED
from resilient_store.model.state import Content, Record, StoreState

NAMES = ("aws", "gcp", "azure")

# So short that tests can wait until no late request can land any more.
LATE_WINDOW_S = 0.05
PAUSE_S = 1.2 * LATE_WINDOW_S
CONVERGES_WITHIN_S = 8.0
PATIENT_S = 2.0  # a busy machine must not make a read pass by who holds the damage

CAT, DOG = "originals/cat.jpg", "originals/dog.jpg"
ONE, TWO, THREE = b"the first cat", b"the second cat, larger", b"the third"
FOREIGN = b"somebody else's"


class Shop:
    """Three platforms, each a directory, and a catalog beside them.

    Parameters
    ----------
    folder
        Where all of it lies.
    names
        The backends, each on a platform of its own.
    """

    def __init__(self, folder: Path, names: tuple[str, ...] = NAMES) -> None:
        self.folder = folder
        self.names = names
        self._opened: list[rs.ResilientFileSystem] = []
        self._places: dict[str, Path] = {}
        for name in names:
            self.disk(name).mkdir(parents=True)

    @property
    def catalog(self) -> Path:
        return self.folder / "photos.db"

    def disk(self, name: str) -> Path:
        return self._places.get(name, self.folder / "platforms" / name)

    def backends(self, names: tuple[str, ...] | None = None, **options: Any) -> list[rs.Backend]:
        return [
            rs.Backend(str(self.disk(name)), name=name, domain=name, **options)
            for name in names or self.names
        ]

    def settings(self, catalog: str = "", **options: Any) -> dict[str, Any]:
        """Return how the store is opened, as far as `options` say nothing else."""
        return {
            "catalog": f"sqlite:///{catalog or self.catalog}",
            "write": rs.WriteToAll(min_copies=2, min_domains=2),
            "read": rs.ReadFromFirstHealthy(hedge_after=PATIENT_S),
            "late_window": LATE_WINDOW_S,
            "lock_timeout": 1.0,
            **options,
        }

    def open(
        self, names: tuple[str, ...] | None = None, *, catalog: str = "", **options: Any
    ) -> rs.ResilientFileSystem:
        """Open the store, as another process would: nothing is shared but the catalog."""
        backend = {n: options.pop(n) for n in ("timeout", "stall_timeout") if n in options}
        settings = self.settings(catalog, **options)
        fs = rs.ResilientFileSystem(self.backends(names, **backend), **settings)
        self._opened.append(fs)
        return fs

    def leave(self, fs: rs.ResilientFileSystem) -> None:
        """Close a store before the end of its test."""
        self._opened.remove(fs)
        fs.close()

    def close(self) -> None:
        for fs in self._opened:
            fs.close()

    # What goes wrong

    def lose(self, *names: str, leave: bool = True) -> None:
        """Take directories away, and leave a plain file there: everything below it fails."""
        for name in names or self.names:
            os.rename(self.disk(name), self._away(name))
            if leave:
                self.disk(name).write_bytes(b"")

    def bring_back(self, *names: str) -> None:
        for name in names or self.names:
            if self._away(name).exists():
                self.disk(name).unlink(missing_ok=True)
                os.rename(self._away(name), self.disk(name))

    def _away(self, name: str) -> Path:
        return self.folder / f"{name} is away"

    def empty(self, name: str) -> None:
        """Empty a bucket: it is there, and nothing in it."""
        shutil.rmtree(self.disk(name))
        self.disk(name).mkdir()

    def remember(self, name: str) -> Callable[[], None]:
        """Keep what a backend holds now; return what takes it back to that."""
        kept = self.folder / f"{name} as it was"
        shutil.copytree(self.disk(name), kept)

        def go_back() -> None:
            shutil.rmtree(self.disk(name))
            os.rename(kept, self.disk(name))

        return go_back

    def lose_catalog(self) -> None:
        """Let the catalog be away for all who have opened it, and for all who come."""
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{self.catalog}{suffix}", f"{self.catalog} is away{suffix}")

    def bring_catalog_back(self) -> None:
        for suffix in ("-shm", "-wal", ""):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{self.catalog} is away{suffix}", f"{self.catalog}{suffix}")

    def die(self, name: str) -> None:
        """End a platform with all that it holds."""
        self.lose(name)

    def copy_of(self, name: str) -> str | rs.Backend:
        """Copy a backend as it is now, as a backup does; return where the copy is found."""
        shutil.copytree(self.disk(name), self._copy(name))
        return str(self._copy(name))

    def look_at_the_copy_of(self, name: str) -> None:
        """Look there from now on for what a backend holds."""
        self._places[name] = self._copy(name)

    def _copy(self, name: str) -> Path:
        return self.folder / f"a copy of {name}"

    @contextlib.contextmanager
    def overloaded(self, name: str) -> Iterator[None]:
        """Let a backend refuse what is too much for it; nothing is, for a directory."""
        yield

    def remove_behind(self, name: str, key: str) -> None:
        """Remove as another tool does."""
        (self.disk(name) / key).unlink()

    def put_behind(self, name: str, key: str, data: bytes) -> None:
        """Write as another tool does."""
        place = self.disk(name) / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def flip(self, name: str, key: str, at: int = 3) -> None:
        """Flip a bit on the disk, which keeps size and time."""
        place = self.disk(name) / key
        status, data = place.stat(), bytearray(place.read_bytes())
        data[at] ^= 1
        place.write_bytes(data)
        os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))

    @contextlib.contextmanager
    def hung(self, name: str, fs: rs.ResilientFileSystem) -> Iterator[None]:
        """Let a backend answer nothing: its calls block in their threads until the end."""
        released = threading.Event()
        family = sync(fs.loop, _family, fs, name)
        real = family._pool.run

        async def run(call: Callable[..., Any], **options: Any) -> Any:
            def blocked(abandonment: Any) -> Any:
                released.wait()
                return call(abandonment)

            return await real(blocked, **options)

        family._pool.run = run
        try:
            yield
        finally:
            family._pool.run = real
            released.set()

    # What lies there

    def held(self, key: str) -> dict[str, bytes | None]:
        """Return what each backend shows other tools at a key."""
        return {name: self.read_behind(name, key) for name in self.names}

    def read_behind(self, name: str, key: str) -> bytes | None:
        place = self.disk(name) / key
        return place.read_bytes() if place.is_file() else None

    def objects(self, name: str) -> list[str]:
        """Return the keys that other tools list, the store's own left out."""
        keys = [key for key in self._files(name) if not key.startswith(f"{RESERVED}/")]
        return [key for key in keys if PRIVATE not in key]

    def temporary(self, name: str) -> list[str]:
        """Return what lies beside objects under names of the store's own."""
        keys = [key for key in self._files(name) if f"/{PRIVATE}" in f"/{key}"]
        return [key for key in keys if not key.endswith(f"/{sidecar.NAME}")]

    def staged(self, name: str) -> list[str]:
        keys = [key for key in self._files(name) if key.startswith(f"{RESERVED}/staging/")]
        return [key for key in keys if not key.endswith(f"/{sidecar.NAME}")]

    def sidecars(self, name: str) -> list[str]:
        """Return what says of staged bytes what they are, where no metadata is kept."""
        return [key for key in self._files(name) if key.endswith(f"/{sidecar.NAME}")]

    def quarantined(self, name: str) -> list[bytes]:
        """Return what was kept of somebody else's."""
        kept = [key for key in self._files(name) if key.startswith(f"{RESERVED}/quarantine/")]
        return [self.read_behind(name, key) or b"" for key in kept]

    def _files(self, name: str) -> list[str]:
        disk = self.disk(name)
        return sorted(p.relative_to(disk).as_posix() for p in disk.rglob("*") if p.is_file())


async def _family(fs: rs.ResilientFileSystem, name: str) -> Any:
    client = fs.store.clients[name]
    await client.open()
    return client._session().family


def make_hung(shop: Shop, name: str, key: str) -> None:
    """Put a FIFO that nobody writes to in the place of an object: opening it blocks for ever."""
    place = shop.disk(name) / key
    place.unlink()
    os.mkfifo(place)


def record(fs: rs.ResilientFileSystem, path: str) -> Record:
    """Return what the catalog knows of a path."""
    found: Record = sync(fs.loop, fs.store.known.find, path)[0]
    return found


def states(fs: rs.ResilientFileSystem, path: str) -> dict[str, str]:
    """Return what the catalog says that each backend holds."""
    told(fs)
    return {name: row.state.value for name, row in record(fs, path).replicas.items()}


def places(fs: rs.ResilientFileSystem, path: str) -> dict[str, str | None]:
    return {name: row.place for name, row in record(fs, path).replicas.items()}


def store_state(fs: rs.ResilientFileSystem) -> StoreState:
    state = sync(fs.loop, fs.store.known.state)
    assert state is not None
    return state


def state_md5(fs: rs.ResilientFileSystem, path: str, data: bytes) -> None:
    """Let an adopted object's platform have stated its MD5, which a disk does not."""
    stated = f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}"

    def state(records: tuple[Record, ...], _: Any) -> tuple[tuple[Record, ...], None]:
        assert records[0].entry is not None
        content = Content(size=len(data), kind="native", checksum=stated)
        entry = attrs.evolve(records[0].entry, content=content)
        return (attrs.evolve(records[0], entry=entry),), None

    sync(fs.loop, fs.store.known.change, (path,), state)


def told(fs: rs.ResilientFileSystem) -> None:
    """Wait until what reads have seen is recorded."""

    async def ended() -> None:
        await asyncio.gather(*fs.store.tails)

    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), fs.loop).result(5)
    asyncio.run_coroutine_threadsafe(ended(), fs.loop).result(5)


def well_again(fs: rs.ResilientFileSystem) -> None:
    """Go on as if the probes of all breakers had just come back."""
    for client in fs.store.clients.values():
        client.health = Health(client.name, lambda _: None)
        client.doubt()


def converge(fs: rs.ResilientFileSystem) -> rs.RepairReport:
    """Repair until nothing is left: late requests need their time, and no person does (P7)."""
    total, until_s = rs.RepairReport(), time.monotonic() + CONVERGES_WITHIN_S
    while True:
        report = rs.repair(fs)
        total.copied += report.copied
        total.removed += report.removed
        total.purged += report.purged
        if report.done:
            return total
        assert time.monotonic() < until_s, report
        time.sleep(PAUSE_S)


def serves(fs: rs.ResilientFileSystem, path: str, name: str) -> bool:
    """Say whether a backend is read from; one that is slow for a moment is asked again."""
    return any(fs.read(path).backend == name for _ in range(5))


def took_s(began_s: float) -> float:
    return time.monotonic() - began_s
