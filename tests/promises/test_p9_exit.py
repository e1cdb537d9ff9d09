"""P9 and P1, seen with other tools: plain files at their own keys, on every disk or on none."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

import resilient_store as rs

PHOTOS = sorted((Path(__file__).parents[2] / "examples" / "photos").glob("*.jpg"))


@pytest.fixture
def disks(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
    return [tmp_path / name for name in "abc"]


@pytest.fixture
def fs(disks):
    with rs.ResilientFileSystem(
        [rs.Backend(str(d), name=d.name, domain=d.name) for d in disks]
    ) as fs:
        yield fs


def test_p9_any_other_tool_reads_what_was_stored(fs, disks):
    assert len(PHOTOS) == 6
    for photo in PHOTOS:
        fs.put(str(photo), f"originals/{photo.name}")
    for disk in disks:
        for photo in PHOTOS:
            stored = disk / "originals" / photo.name
            assert stored.read_bytes() == photo.read_bytes()
            assert fsspec.filesystem("file").cat(str(stored)) == photo.read_bytes()
        digest = subprocess.run(
            [
                sys.executable,
                "-c",
                "import hashlib,sys;print(hashlib.md5(open(sys.argv[1],'rb').read()).hexdigest())",
                str(disk / "originals" / PHOTOS[0].name),
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        assert digest == hashlib.md5(PHOTOS[0].read_bytes()).hexdigest()
        visible = [str(p.relative_to(disk)) for p in disk.rglob("*") if p.is_file()]
        assert sorted(visible) == sorted(f"originals/{photo.name}" for photo in PHOTOS)


def test_p9_what_any_other_tool_stored_is_read(fs, disks):
    (disks[1] / "album").mkdir()
    (disks[1] / "album" / "a b[1].jpg").write_bytes(b"not by us")
    assert fs.cat("album/a b[1].jpg") == b"not by us"
    assert fs.find("") == ["album/a b[1].jpg"]


def test_p1_a_write_that_returns_is_on_every_disk_of_its_receipt(fs, disks):
    receipt = fs.write("originals/cat.jpg", b"all of the cat")
    assert receipt.copies == ("a", "b", "c")
    assert receipt.domains == ("a", "b", "c")
    assert [(disk / "originals/cat.jpg").read_bytes() for disk in disks] == [b"all of the cat"] * 3


@pytest.mark.parametrize("away", [0, 1, 2])
def test_p1_a_write_that_raises_changed_nothing(fs, disks, away):
    fs.write("originals/cat.jpg", b"first")
    os.rename(disks[away], disks[away].with_name("away"))
    for path in ("originals/cat.jpg", "originals/dog.jpg"):
        with pytest.raises(rs.InsufficientCopiesError) as caught:
            fs.write(path, b"second")
        assert disks[away].name in str(caught.value)
    os.rename(disks[away].with_name("away"), disks[away])
    for disk in disks:
        assert (disk / "originals/cat.jpg").read_bytes() == b"first"
        assert not (disk / "originals/dog.jpg").exists()
    assert fs.cat("originals/cat.jpg") == b"first"
