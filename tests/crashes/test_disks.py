"""The catalog's disk is full or cannot be written to: typed errors, and nothing is lost (P1)."""

from __future__ import annotations

import ast
import os
import pwd
import resource
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import resilient_store as rs
from tests.crashes.shop import (
    CATALOG_S,
    NAMES,
    SLOW_S,
    Shop,
    check_converged,
    read,
    within,
)

MOST_WRITES = 2000
SMALL, LARGE = "1m", "16m"
FILES_MAY_BE_BYTES = 400_000


def in_a_child(work: Callable[[], object]) -> None:
    """Do something in a process of its own, and see that it went well."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - printed here, where it is known
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def fill(fs: rs.ResilientFileSystem, why: str) -> dict[str, bytes]:
    """Write until that is refused, and for this reason; return what was acknowledged."""
    acknowledged = {}

    def write_on() -> None:
        for number in range(MOST_WRITES):
            path, data = f"d/{number % 40}", f"data {number}".encode()
            fs.write(path, data, metadata={"padding": "x" * 2000})
            acknowledged[path] = data

    with pytest.raises(rs.CatalogUnavailableError, match=why):
        write_on()
    return acknowledged


def check_readable(shop: Shop, fs: rs.ResilientFileSystem, stands: dict[str, bytes]) -> None:
    with shop.open() as another:
        for store in (fs, another):
            assert {path: read(store, path) for path in stands} == stands


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None or not mounted(place, f"size={SMALL}"):
        pytest.skip("only who may mount has a disk so small")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def mounted(place: Path, options: str) -> bool:
    """Mount a file system in memory, or change one; say whether that is allowed here."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_a_full_disk_of_the_catalog_loses_nothing(tmp_path, small_disk):
    shop = Shop(tmp_path).build()
    shop.catalog = small_disk / "catalog.db"
    with shop.open() as fs:
        stands = fill(fs, "disk is full")
        assert stands
        check_readable(shop, fs, stands)
        with within(CATALOG_S + SLOW_S), pytest.raises(rs.CatalogUnavailableError, match="full"):
            fs.rm_file("d/0")
        assert read(fs, "d/0") == stands["d/0"]
        assert mounted(small_disk, f"remount,size={LARGE}")
        fs.write("d/0", b"again")
        check_converged(shop, fs, {**stands, "d/0": b"again"})


def test_a_limit_on_files_loses_nothing(tmp_path):
    shop = Shop(tmp_path).build()

    def limited() -> None:
        with shop.open() as fs:
            fs.write("d/0", b"before")
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (FILES_MAY_BE_BYTES, hard))
            found = fill(fs, "reports an error|answer to a commit was lost")
            check_readable(shop, fs, found)
            (tmp_path / "found").write_text(repr(found), encoding="utf-8")

    in_a_child(limited)
    stands = ast.literal_eval((tmp_path / "found").read_text("utf-8"))
    with shop.open() as fs:
        assert {path: read(fs, path) for path in stands} == stands
        fs.write("d/1", b"again")
        listed = {path: read(fs, path) for path in fs.find("")}
        assert {**stands, "d/1": b"again"}.items() <= listed.items()
        check_converged(shop, fs, listed)


def test_a_full_disk_of_one_backend_costs_its_copy(tmp_path, small_disk):
    shop = Shop(tmp_path).build()
    os.rmdir(shop.disk("gcp"))
    os.symlink(small_disk, shop.disk("gcp"))
    with shop.open() as fs:
        fs.write("a", b"a" * 700_000)
        receipt = fs.write("b", b"b" * 700_000)
        assert receipt.pending == ("gcp",)
        assert read(fs, "b") == b"b" * 700_000
        assert mounted(small_disk, f"remount,size={LARGE}")
        check_converged(shop, fs, {"a": b"a" * 700_000, "b": b"b" * 700_000})


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """Lend a folder that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="crashes-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def powerless(work: Callable[[], object]) -> None:
    """Do something in a process without root's rights."""
    nobody = pwd.getpwnam("nobody")

    def without_rights() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
        work()

    in_a_child(without_rights)


CALLS = {
    "write": lambda fs: fs.write("a", b"new"),
    "create": lambda fs: fs.write("b", b"new"),
    "delete": lambda fs: fs.rm_file("a"),
    "move": lambda fs: fs.mv("a", "c"),
}


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_catalog_that_cannot_be_written_to_loses_nothing(shared_folder, what):
    shop = Shop(shared_folder).build()
    shop.catalog = shared_folder / "kept" / "catalog.db"
    shop.catalog.parent.mkdir()
    with shop.open() as fs:
        fs.write("a", b"kept")
    for name in NAMES:
        for place in (shop.disk(name), *shop.disk(name).rglob("*")):
            place.chmod(0o777)
    before = [list(shop.files(name)) for name in NAMES]
    shop.catalog.chmod(0o444)
    shop.catalog.parent.chmod(0o777 if what == "file" else 0o555)

    def is_refused() -> None:
        if what == "folder":
            with pytest.raises(rs.ConfigurationError, match="cannot be written to"):
                shop.open()
            return
        with shop.open() as fs:
            for call in CALLS.values():
                refused = pytest.raises(rs.CatalogUnavailableError, match="cannot be written to")
                with within(CATALOG_S + SLOW_S), refused:
                    call(fs)

    powerless(is_refused)
    shop.catalog.parent.chmod(0o755)
    shop.catalog.chmod(0o644)
    assert [list(shop.files(name)) for name in NAMES] == before
    with shop.open() as fs:
        check_converged(shop, fs, {"a": b"kept", "b": None, "c": None})
