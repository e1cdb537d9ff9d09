"""A filesystem that fails as it is told and remembers what it was asked, and stores over it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from fsspec.implementations.memory import MemoryFileSystem

import resilient_store as rs
from resilient_store.backends.contract import CorruptBodyError

Plan = Callable[[str, str], Exception | None]
VERBS = (
    *("info", "ls", "cat_file", "pipe_file", "put_file"),
    *("rm_file", "rmdir", "makedirs", "cp_file", "sign"),
)


class UnknownError(Exception):
    """What no table knows."""


# Every answer but "not found", as a storage would give it.
ANSWERS: Mapping[str, Callable[[], Exception]] = {
    "denied": lambda: PermissionError(errno.EACCES, "no"),
    "throttled": lambda: OSError(errno.EBUSY, "slow down"),
    "unavailable": lambda: ConnectionRefusedError(errno.ECONNREFUSED, "no"),
    "timed out": lambda: TimeoutError("too long"),
    "full": lambda: OSError(errno.ENOSPC, "no space"),
    "corrupt": CorruptBodyError,
    "refused": lambda: NotImplementedError("never"),
    "exists": lambda: FileExistsError("taken"),
    "plain": lambda: OSError("Forbidden"),
    "unknown": lambda: UnknownError("?"),
}


class Faulty(MemoryFileSystem):
    """Memory of its own. `plan` says what to raise at a verb and a path; `calls` has them all."""

    protocol = "faulty"
    cachable = False

    def __init__(self, label: str = "one") -> None:
        super().__init__()
        self.label = label
        self.store = {}
        self.pseudo_dirs = ["", "/root"]
        self.plan: Plan = lambda verb, path: None
        self.calls: list[tuple[str, str]] = []
        self.lock = threading.RLock()

    def fail(self, answer: str) -> None:
        """Answer everything like this from now on."""
        self.plan = lambda verb, path: ANSWERS[answer]()

    def heal(self) -> None:
        self.plan = lambda verb, path: None

    def asked(self, verb: str) -> list[str]:
        """Return the paths that a verb was asked for."""
        return [path for called, path in self.calls if called == verb]

    def behind(self, key: str, data: bytes) -> None:
        """Hold an object as if somebody else had put it there."""
        MemoryFileSystem.pipe_file(self, f"/root/{key}", data)

    def holds(self, key: str) -> bytes | None:
        file = self.store.get(f"/root/{key}")
        return None if file is None else file.getvalue()

    def keys(self) -> list[str]:
        return sorted(name.removeprefix("/root/") for name in self.store)


def _planned(verb: str) -> Callable[..., object]:
    def call(self: Faulty, *arguments: object, **options: object) -> object:
        path = str(arguments[1] if verb == "put_file" else arguments[0])
        self.calls.append((verb, path.removeprefix("/root/")))
        error = self.plan(verb, path.removeprefix("/root/"))
        if error is not None:
            raise error
        with self.lock:
            return getattr(MemoryFileSystem, verb)(self, *arguments, **options)

    return call


for _verb in VERBS:
    setattr(Faulty, _verb, _planned(_verb))


def over(*filesystems: Faulty, **options: object) -> rs.ResilientFileSystem:
    """Make a store over these, each on a platform of its own."""
    backends = [rs.Backend(fs, root="/root", name=fs.label, domain=fs.label) for fs in filesystems]
    return rs.ResilientFileSystem(backends, **options)


def two(**options: object) -> tuple[rs.ResilientFileSystem, Faulty, Faulty]:
    one, other = Faulty("one"), Faulty("other")
    return over(one, other, **options), one, other


NAMES = ("first", "second", "third")


def directories(folder: Path, names: tuple[str, ...] = NAMES) -> list[rs.Backend]:
    """Backends over empty directories, each on a platform of its own."""
    for name in names:
        os.makedirs(folder / name, exist_ok=True)
    return [rs.Backend(str(folder / name), name=name, domain=name) for name in names]


def files_below(folder: Path) -> list[str]:
    """Every file under a folder, whoever it belongs to."""
    found = (Path(top, name) for top, _, names in os.walk(folder) for name in names)
    return sorted(path.relative_to(folder).as_posix() for path in found)
