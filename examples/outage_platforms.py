"""What fails in the drill: three directories, or three real servers.

A platform can go down and come back, and lose an object behind the library's back.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from fsspec.implementations.local import LocalFileSystem

import resilient_store as rs

NAMES = ("north", "south", "west")
CALLS = {"info", "ls", "cat_file", "pipe_file", "put_file", "mv", "rm_file", "makedirs", "rmdir"}
BUCKET = "print-photos"


class Platform(Protocol):
    """What the drill can do to a platform."""

    name: str

    def backend(self, timeout_s: float) -> rs.Backend:
        """Return it as the store is given it."""

    def go_down(self) -> None:
        """Be gone at once."""

    def come_back(self) -> None:
        """Be there again, with what it held."""

    def lose(self, path: str) -> None:
        """Destroy an object behind the library's back, whether the platform is up or not."""

    def holds(self, path: str) -> bytes | None:
        """Return what any other tool finds at a path."""


class HangingPlatform(Platform, Protocol):
    """One that can also hang."""

    def hang(self) -> None:
        """Take calls from now on, and end none."""


# --- directories --------------------------------------------------------------------------


class HangingFileSystem(LocalFileSystem):
    """fsspec's local filesystem; while `answers` is not set, its calls begin and never end."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.answers.set()

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return partial(self._wait_and, found) if name in CALLS else found

    def _wait_and(self, call: Callable[..., object], *given: object, **options: object) -> object:
        self.answers.wait()
        return call(*given, **options)


class Directory:
    """A directory that stands for a platform: it is down while it is renamed away."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = root.name
        self._away = root.with_name(f"{root.name}-away")
        root.mkdir()

    def backend(self, timeout_s: float) -> rs.Backend:
        return rs.Backend(str(self.root), name=self.name, domain=self.name, timeout=timeout_s)

    def go_down(self) -> None:
        self.root.rename(self._away)

    def come_back(self) -> None:
        if self._away.exists():
            self._away.rename(self.root)

    def lose(self, path: str) -> None:
        (self._there / path).unlink()

    def holds(self, path: str) -> bytes | None:
        file = self._there / path
        return file.read_bytes() if file.exists() else None

    @property
    def _there(self) -> Path:
        return self.root if self.root.exists() else self._away


class HangingDirectory(Directory):
    """A directory behind fsspec's local filesystem; it hangs as a dead network mount does."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._files = HangingFileSystem()

    def backend(self, timeout_s: float) -> rs.Backend:
        return rs.Backend(
            self._files,
            root=str(self.root),
            name=self.name,
            domain=self.name,
            timeout=timeout_s,
        )

    def come_back(self) -> None:
        super().come_back()
        self._files.answers.set()

    def hang(self) -> None:
        self._files.answers.clear()


@contextlib.contextmanager
def directories() -> Iterator[tuple[Platform, HangingPlatform, Platform]]:
    """Three directories, the second of which can hang."""
    with tempfile.TemporaryDirectory(prefix="outage-drill-") as folder:
        north, south, west = (Path(folder) / name for name in NAMES)
        yield Directory(north), HangingDirectory(south), Directory(west)


# --- servers ------------------------------------------------------------------------------


class Server:
    """A cloud's server on this machine, killed and stopped for real."""

    def __init__(self, name: str, running: Any, objects: Path | None) -> None:
        self.name = name
        self._running = running  # a tests.servers.platforms.Platform
        self._objects = objects  # where it keeps them as files; None if nowhere
        running.bare().mkdir(BUCKET)

    def backend(self, timeout_s: float) -> rs.Backend:
        return rs.Backend(
            self._running.url(BUCKET),
            name=self.name,
            domain=self.name,
            storage_options=self._running.storage_options(direct=True),
            timeout=timeout_s,
        )

    def go_down(self) -> None:
        if self._objects is None:
            self._running.server.stop()  # Azure's forgets its last seconds when it is killed
        else:
            self._running.server.kill()

    def come_back(self) -> None:
        self._running.server.heal()

    def hang(self) -> None:
        self._running.server.pause()

    def lose(self, path: str) -> None:
        if self._objects is None:
            self._running.bare().rm_file(f"{BUCKET}/{path}")
        else:
            (self._objects / BUCKET / path).unlink()

    def holds(self, path: str) -> bytes | None:
        if not self._running.server.answers:
            return None  # nobody can look
        names = self._running.names(BUCKET)
        return bytes(self._running.read(BUCKET, path)) if path in names else None


@contextlib.contextmanager
def servers() -> Iterator[tuple[Platform, HangingPlatform, Platform]]:
    """S3, Google Cloud Storage and Azure, as servers of this repository's own tests."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    try:
        from tests.servers import processes
        from tests.servers.platforms import RCLONE_OPTIONS
        from tests.servers.platforms import Platform as Running
    except ImportError:
        sys.exit("--servers runs in a checkout, in the environment that `nox` builds: .nox/shared")
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="outage-drill-") as folder:
        s3_files, gcs_files, azure_files = (Path(folder) / name for name in NAMES)
        with (
            Running("s3", processes.rclone(s3_files), RCLONE_OPTIONS) as s3,
            Running("gcs", processes.fake_gcs(gcs_files)) as gcs,
            Running("azure", processes.azurite(azure_files)) as azure,
        ):
            yield (
                Server("north", s3, s3_files),
                Server("south", gcs, gcs_files),
                Server("west", azure, None),
            )
