"""A filesystem of very many objects that takes no memory: what lies there is computed.

Run by itself, one operation over a store of such backends: `python -m tests.resources.generated
OPERATION CATALOG COUNT`; prints how much more memory the operation took at most, in bytes.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.callbacks import Callback

import resilient_store as rs
from resilient_store.io.identity import KEY, Identity
from resilient_store.model.checksum import CHUNK_BYTES, ChunkedChecksum
from resilient_store.model.state import Content
from tests.bench.memory import peak
from tests.bench.million import IN_A_FOLDER, fill, name_of

STORE = "a million"
NAMES = ("whole", "behind")
FOLDER = "photos"
REPAIRED = 1000  # so many of the queue, which is as long as there are objects
ADOPTED = 50_000  # so many of what is listed
SCRUBBED_SHARE = 2000  # so many objects are read, drawn from all


def bytes_of(number: int) -> bytes:
    return b"photograph %d" % number


def content_of(number: int) -> Content:
    summed = ChunkedChecksum()
    summed.update(bytes_of(number))
    return Content(size=summed.size, checksum=summed.text, chunk_bytes=CHUNK_BYTES)


class Generated(AbstractFileSystem):
    """Holds so many objects without holding them, and what is written to it."""

    protocol = "generated"
    cachable = False

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.written: dict[str, bytes | Path] = {KEY: Identity(STORE).encode()}
        self.folder = Path(tempfile.mkdtemp(prefix="generated-"))  # what is large takes no memory
        weakref.finalize(self, shutil.rmtree, self.folder)

    def cat_file(self, path: str, start: Any = None, end: Any = None, **_: Any) -> bytes:
        found = self._found(path)
        if isinstance(found, bytes):
            return found[start:end]
        with found.open("rb") as file:
            file.seek(start or 0)
            return file.read(-1 if end is None else end - (start or 0))

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        if path == "" or any(name.startswith(f"{path}/") for name in self.written):
            return self._directory(path)
        if path == FOLDER or (path.count("/") == 1 and path.startswith(f"{FOLDER}/")):
            return self._directory(path)
        found = self._found(path)
        size = len(found) if isinstance(found, bytes) else found.stat().st_size
        return {"name": path, "type": "file", "size": size}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        if path == "":
            found = [self._directory(name) for name in (FOLDER, KEY.partition("/")[0])]
        elif path == FOLDER:
            folders = range(0, self.count, IN_A_FOLDER)
            found = [self._directory(name_of(first).rpartition("/")[0]) for first in folders]
        elif path.startswith(f"{FOLDER}/"):
            first = int(path.rpartition("/")[2]) * IN_A_FOLDER
            numbers = range(first, min(self.count, first + IN_A_FOLDER))
            found = [self.info(name_of(number)) for number in numbers]
        else:
            below = [n for n in self.written if n.rpartition("/")[0] == path]
            found = [self.info(name) for name in below]
        return found if detail else [one["name"] for one in found]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        self.written[path] = bytes(value)

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        kept = self.folder / str(len(os.listdir(self.folder)))
        shutil.copyfile(lpath, kept)
        self.written[rpath] = kept

    def mv(self, path1: str, path2: str, **_: Any) -> None:
        self.written[path2] = self.written.pop(path1)

    def rm_file(self, path: str) -> None:
        if self.written.pop(path, None) is None:
            raise FileNotFoundError(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        pass

    def _found(self, path: str) -> bytes | Path:
        if path in self.written:
            return self.written[path]
        name = path.rpartition("/")[2].partition(".")[0]
        if path.startswith(f"{FOLDER}/") and name.isdigit():
            number = int(path.split("/")[1]) * IN_A_FOLDER + int(name)
            if number < self.count:
                return bytes_of(number)
        raise FileNotFoundError(path)

    def _directory(self, path: str) -> dict[str, Any]:
        return {"name": path, "type": "directory", "size": 0}


class EnoughError(Exception):
    """So much was done that the rest would be more of the same."""


class Enough(Callback):
    """Ends an operation."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def relative_update(self, inc: int = 1) -> None:
        super().relative_update(inc)
        if self.value >= self.most:
            raise EnoughError


def repair(fs: rs.ResilientFileSystem, count: int) -> None:
    callback = Enough(REPAIRED)
    try:
        rs.repair(fs, callback=callback)
    except EnoughError:
        assert callback.size == count
    else:
        raise AssertionError("there was less to repair than it began with")


def scrub(fs: rs.ResilientFileSystem, count: int) -> None:
    report = rs.scrub(fs, sample=min(1.0, SCRUBBED_SHARE / count))
    assert report.checked > SCRUBBED_SHARE / 2


def damage_report(fs: rs.ResilientFileSystem, count: int) -> None:
    report = rs.damage_report(fs, group_by="photos/{folder}/...")
    assert sum(1 for _ in report.at_risk) == count


def what_if(fs: rs.ResilientFileSystem, count: int) -> None:
    assert rs.what_if(fs, lose=["whole"]).lost.count == count


def status(fs: rs.ResilientFileSystem, count: int) -> None:
    assert rs.status(fs, within=600.0) is not None


def adopt(fs: rs.ResilientFileSystem, count: int) -> None:
    callback = Enough(ADOPTED)
    try:
        report = rs.adopt(fs, callback=callback)
    except EnoughError:
        assert count > ADOPTED
    else:
        assert (report.known, report.new) == (count, 0)


def evacuate(fs: rs.ResilientFileSystem, count: int) -> None:
    report = rs.evacuate(fs, from_="whole", dry_run=True)
    assert report.at_risk == count


def rejoin(fs: rs.ResilientFileSystem, count: int) -> None:
    assert rs.rejoin(fs, "whole", dry_run=True) <= count  # its new epoch would be forgotten


def snapshot(fs: rs.ResilientFileSystem, count: int) -> None:
    assert rs.snapshot(fs).objects == count


def sweep(fs: rs.ResilientFileSystem, count: int) -> None:
    assert rs.sweep(fs, dry_run=True).failed == ()


# What is written to a backend is forgotten with the process: last, what a backend must remember.
ALL = (status, what_if, damage_report, scrub, adopt, evacuate, rejoin, sweep, repair, snapshot)
OPERATIONS = {one.__name__: one for one in ALL}


def open_store(url: str, count: int) -> rs.ResilientFileSystem:
    held = {"whole": count, "behind": 0}
    backends = [rs.Backend(Generated(held[name]), name=name, domain=name) for name in NAMES]
    return rs.ResilientFileSystem(backends, catalog=url, write=rs.WriteToAll(min_copies=1))


def main() -> None:
    what, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if what == "fill":
        fill(url, NAMES, count, content_of=content_of, lacking=("behind",))
        return
    with open_store(url, count) as fs:
        assert fs.cat_file(name_of(7)) == bytes_of(7)
        before = peak()
        OPERATIONS[what](fs, count)
        print(peak() - before)


if __name__ == "__main__":
    main()
