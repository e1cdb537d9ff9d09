"""Where a backend is, is decided when the store is built."""

from __future__ import annotations

import pytest

import resilient_store as rs


def test_a_relative_root_follows_the_process_when_it_moves(tmp_path, monkeypatch):
    for place in ("here/disk", "elsewhere/disk"):
        (tmp_path / place).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    with rs.ResilientFileSystem([rs.Backend("disk")]) as fs:
        monkeypatch.chdir(tmp_path / "elsewhere")
        fs.pipe("photo", b"bytes")
    assert (tmp_path / "here/disk/photo").read_bytes() == b"bytes"


def test_a_refused_write_leaves_the_directories_that_were_made_for_it(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    (tmp_path / "a/album").mkdir()
    (tmp_path / "b/album").write_bytes(b"a file has this name")
    stores = [rs.Backend(str(tmp_path / name), name=name) for name in "ab"]
    with rs.ResilientFileSystem(stores) as fs:
        for path in ("album/new/photo", "shelf/photo"):
            disk = tmp_path / "b/shelf"
            if path.startswith("shelf"):
                disk.write_bytes(b"a file has this name")
            with pytest.raises(rs.InvalidPathError):
                fs.pipe(path, b"bytes")
    assert not (tmp_path / "a/album/new").exists()
    assert not (tmp_path / "a/shelf").exists()
