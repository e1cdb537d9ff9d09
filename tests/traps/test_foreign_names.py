"""Names that others gave: keys that are no paths, and directories with an object's name."""

from __future__ import annotations

import logging
import os
import threading
import time

import pytest

import resilient_store as rs
from resilient_store.backends.contract import RefusedError
from resilient_store.backends.families.disk import Disk
from tests.servers.subjects import PREFIX, backend
from tests.traps.faulty import Faulty, directories, files_below, two

# Keys that are no paths


@pytest.fixture
def beside_a_disk(tmp_path, s3):
    """Open a store over a bucket and a disk, beside whose root lies what is nobody's business."""
    bucket = s3.new_bucket()
    (tmp_path / "secret").write_bytes(b"not of the store")
    backends = [backend(s3, bucket, name="s3", domain="s3"), *directories(tmp_path, ("disk",))]
    with rs.ResilientFileSystem(backends) as fs:
        fs.write("p/a.jpg", b"the object")
        yield fs, lambda key, data: s3.write(bucket, f"{PREFIX}/{key}", data), tmp_path


def test_p9_a_key_that_leads_out_of_a_disks_root_deletes_nothing_there(beside_a_disk, caplog):
    fs, put_behind, folder = beside_a_disk
    put_behind(f"{folder}/secret", b"theirs")
    put_behind("p//x", b"theirs")
    with caplog.at_level(logging.WARNING, "resilient_store"):
        assert fs.find("") == ["p/a.jpg"]
    assert "keys are left out" in caplog.text
    for path in ("", "p"):
        with pytest.raises(rs.InvalidPathError, match="others have put it there"):
            fs.rm(path, recursive=True)
        with pytest.raises(rs.InvalidPathError):
            fs.mv(path or "p", "q", recursive=True)
    assert (folder / "secret").read_bytes() == b"not of the store"
    assert fs.find("") == ["p/a.jpg"], "nothing was changed"


def test_a_key_that_is_no_path_is_named_by_who_reads_a_whole_folder(beside_a_disk):
    fs, put_behind, folder = beside_a_disk
    for key in ("p//x", "p/../y", "/p/a.jpg"):
        put_behind(key, b"theirs")
    for read in (fs.cat, lambda path, **how: fs.get(path, str(folder / "got"), **how)):
        with pytest.raises(rs.InvalidPathError, match="others have put it there"):
            read("p", recursive=True)
    assert fs.cat("", recursive=True, on_error="omit") == {"p/a.jpg": b"the object"}
    fs.get(fs.find("p"), str(folder / "got"))
    assert files_below(folder / "got") == ["a.jpg"]


@pytest.mark.parametrize("key", ["/etc/hosts", "../secret", "a/../../secret", "a/./b"])
def test_p9_a_disk_goes_nowhere_out_of_its_root(tmp_path, key):
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_bytes(b"")
    with pytest.raises(RefusedError, match="no path below the root"):
        Disk(str(tmp_path / "root")).place(key)


@pytest.mark.parametrize("derived", ["{}/secret", "..", "a//b", ""])
def test_p9_what_a_callable_names_as_a_derivative_is_a_path_of_the_store(tmp_path, derived):
    (tmp_path / "secret").write_bytes(b"not of the store")
    derived = derived.format(tmp_path)
    with rs.ResilientFileSystem(directories(tmp_path), degraded=lambda _: [derived]) as fs:
        if derived.strip("/") and "." not in derived and "//" not in derived:
            with pytest.raises(FileNotFoundError):
                fs.read("originals/cat.jpg")
        else:
            with pytest.raises(rs.ConfigurationError, match="the callable returned"):
                fs.read("originals/cat.jpg")


@pytest.mark.parametrize("derived", [7, None])
def test_what_a_callable_returns_is_text(tmp_path, derived):
    fs = rs.ResilientFileSystem(directories(tmp_path), degraded=lambda _: [derived])
    with fs, pytest.raises(rs.ConfigurationError, match="which is no text"):
        fs.read("cat.jpg")


def test_a_derivative_that_no_store_can_hold_is_none(tmp_path):
    def rule(path):
        return ["p/" * 500 + path, f"previews/{path}"]

    with rs.ResilientFileSystem(directories(tmp_path), degraded=rule) as fs:
        assert not fs.exists("cat.jpg")
        fs.write("previews/cat.jpg", b"small")
        assert fs.read("cat.jpg").derivative == "previews/cat.jpg"


def test_a_derivative_may_be_named_as_any_path_is(tmp_path):
    def rule(path):
        return f"resilient://previews/{path}"

    with rs.ResilientFileSystem(directories(tmp_path), degraded=rule) as fs:
        fs.write("previews/cat.jpg", b"small")
        assert fs.read("cat.jpg").derivative == "previews/cat.jpg"


# Directories with an object's name


def test_p5_a_directory_of_derivatives_makes_no_lost_original(tmp_path):
    rule = {"originals/{path...}": ["previews/{path...}"]}
    with rs.ResilientFileSystem(directories(tmp_path), degraded=rule) as fs:
        fs.write("previews/2024/cat.jpg", b"small")
        assert not fs.exists("originals/2024")
        with pytest.raises(FileNotFoundError):
            fs.cat_file("originals/2024")
        with pytest.raises(FileNotFoundError):
            fs.open("originals/2024", degraded=True)
        fs.makedirs("originals/2024", exist_ok=True)
        fs.write("originals/2024/cat.jpg", b"the original, back")
        assert fs.isdir("originals/2024")


def test_p5_a_directory_hides_no_object_of_its_name_that_another_backend_has(s3, tmp_path):
    buckets = [s3.new_bucket(), s3.new_bucket()]
    backends = [
        backend(s3, bucket, name=f"b{number}", domain=f"d{number}")
        for number, bucket in enumerate(buckets)
    ]
    for bucket in buckets:
        s3.write(bucket, f"{PREFIX}/album/1.jpg", b"one")
    s3.write(buckets[1], f"{PREFIX}/album", b"the cover")
    with rs.ResilientFileSystem(backends) as fs:
        assert fs.find("") == ["album", "album/1.jpg"]
        assert (fs.isfile("album"), fs.info("album")["size"]) == (True, 9)
        with fs.open("album") as file:
            assert file.read() == b"the cover"
        fs.cp_file("album", "cover")
        assert fs.cat_file("cover") == b"the cover"
        fs.get_file("album", str(tmp_path / "cover"))
        assert (tmp_path / "cover").read_bytes() == b"the cover"


def test_p6_a_backend_that_hangs_is_soon_left_alone_by_who_looks_at_directories(tmp_path):
    go_on = threading.Event()
    hung = Faulty("hung")
    backends = [*directories(tmp_path, ("disk",)), rs.Backend(hung, root="/root", name="hung")]
    with rs.ResilientFileSystem(backends) as fs:
        fs.write("d/x", b"1")
        hung.plan = lambda *_: go_on.wait(20) and None
        began_s = time.monotonic()
        for _ in range(7):
            assert fs.isdir("d")
        slow_s, began_s = time.monotonic() - began_s, time.monotonic()
        assert all(fs.isdir("d") for _ in range(20))
        go_on.set()
        assert time.monotonic() - began_s < slow_s


# Long names


def test_a_name_that_is_long_in_bytes_is_brought_to_a_local_file(tmp_path):
    name = "猫" * 80
    with rs.ResilientFileSystem(directories(tmp_path, ("disk",))) as fs:
        fs.write("cat", b"whole")
        fs.get("cat", str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == b"whole"
    assert sorted(os.listdir(tmp_path)) == sorted(["disk", name])


# Headers


def test_what_the_first_backend_cannot_keep_is_kept_where_another_has_it(tmp_path):
    plain, _, _ = two()
    first = plain.store.configuration.backends[0]
    plain.close()
    kept = {
        "content_type": "image/jpeg",
        "metadata": {"customer": "7"},
        "cache_control": "no-store",
    }
    disk = directories(tmp_path, ("disk",))
    with rs.ResilientFileSystem([first, *disk]) as fs, rs.ResilientFileSystem(disk) as only:
        fs.write("x", b"1", **kept)
        fs.cp("x", "y")
        fs.write("x", b"22")
        for path in ("x", "y"):
            assert {name: only.info(path)[name] for name in kept} == kept
