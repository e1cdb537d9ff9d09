"""Where a backend is, is decided when the store is built."""

from __future__ import annotations

import resilient_store as rs


def test_a_relative_root_follows_the_process_when_it_moves(tmp_path, monkeypatch):
    for place in ("here/disk", "elsewhere/disk"):
        (tmp_path / place).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    with rs.ResilientFileSystem([rs.Backend("disk")]) as fs:
        monkeypatch.chdir(tmp_path / "elsewhere")
        fs.pipe("photo", b"bytes")
    assert (tmp_path / "here/disk/photo").read_bytes() == b"bytes"
