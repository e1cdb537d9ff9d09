"""What is staged where no metadata is kept: it is described beside it, for as long as it lies."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

import resilient_store as rs
from resilient_store.io.catalogued.sidecar import NAME
from resilient_store.model.path import problem
from resilient_store.protocol.account import CHECKSUM_KEY, VERSION_KEY
from tests.catalogued.stage import (
    CAT,
    DOG,
    NAMES,
    ONE,
    PAUSE_S,
    TWO,
    Shop,
    converge,
    places,
    states,
)
from tests.operations.test_restore import brought_back

PLAIN = "azure"  # of all backends the one that keeps no metadata


class PlainFileSystem(DirFileSystem):
    """Counts what is asked of it, and does not take what it is told to refuse."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.asked = []
        self.refused = "nothing"

    def pipe_file(self, path, *args, **kwargs):
        self._note("pipe_file", path)
        return super().pipe_file(path, *args, **kwargs)

    def put_file(self, lpath, rpath, *args, **kwargs):
        self._note("put_file", rpath)
        return super().put_file(lpath, rpath, *args, **kwargs)

    def rm_file(self, path):
        self._note("rm_file", path)
        return super().rm_file(path)

    def _note(self, method, path):
        self.asked.append((method, Path(path).name))
        if Path(path).name == self.refused:
            raise OSError("refused")


class PlainShop(Shop):
    """The directories, of which one is known only as some filesystem of fsspec's."""

    def backends(self, names=None, **options):
        self.plain = PlainFileSystem(
            str(self.disk(PLAIN)), LocalFileSystem(), skip_instance_cache=True
        )
        found = super().backends(tuple(n for n in names or self.names if n != PLAIN), **options)
        return [*found, rs.Backend(self.plain, name=PLAIN, domain=PLAIN, **options)]


@pytest.fixture
def shop(place):
    with tempfile.TemporaryDirectory(prefix="shop-", dir=place) as folder:
        shop = PlainShop(Path(folder))
        yield shop
        shop.close()


def test_no_object_can_have_the_name_of_what_describes_it():
    assert problem(NAME) is not None
    assert problem(f"folder/{NAME}") is not None


def test_what_is_staged_says_beside_it_what_its_metadata_would(fs, shop):
    fs.write(CAT, ONE)
    assert shop.sidecars(PLAIN) == []  # a new path is not staged
    receipt = fs.write(CAT, TWO, content_type="image/x-cat", metadata={"who": "the cat"})
    assert [len(shop.sidecars(name)) for name in NAMES] == [0, 0, 1]
    (staged,), (beside,) = shop.staged(PLAIN), shop.sidecars(PLAIN)
    assert staged.split("/")[:3] == beside.split("/")[:3]
    said = json.loads(shop.read_behind(PLAIN, beside))
    assert said["content_type"] == "image/x-cat"
    assert said["metadata"] == {
        "who": "the cat",
        VERSION_KEY: str(receipt.version),
        CHECKSUM_KEY: receipt.checksum,
    }


def test_it_takes_one_more_request_and_one_more_to_remove_it(fs, shop):
    fs.write(CAT, ONE)
    shop.plain.asked.clear()
    fs.write(CAT, TWO)
    assert shop.plain.asked == [("pipe_file", "cat.jpg"), ("pipe_file", NAME)]
    shop.plain.asked.clear()
    fs.write(CAT, ONE)
    of_this, of_the_one_before = shop.plain.asked[:2], shop.plain.asked[2:]
    assert of_this == [("pipe_file", "cat.jpg"), ("pipe_file", NAME)]
    assert of_the_one_before == [("rm_file", "cat.jpg"), ("rm_file", NAME)]


def test_a_stream_is_described_when_its_checksum_is_known(shop):
    fs = shop.open(late_window=60.0)  # nothing is published before it is looked at
    fs.write(CAT, ONE)
    with fs.open(CAT, "wb") as file:
        for _ in range(5):
            file.write(os.urandom(2 << 20))
    (beside,) = shop.sidecars(PLAIN)
    said = json.loads(shop.read_behind(PLAIN, beside))
    assert said["metadata"][CHECKSUM_KEY] == fs.info(CAT)["checksum"]
    assert shop.plain.asked[-2:] == [("put_file", "cat.jpg"), ("pipe_file", NAME)]


@pytest.mark.parametrize("end", ["published", "replaced", "deleted", "moved"])
def test_it_goes_with_what_it_describes(fs, shop, end):
    fs.write(CAT, ONE)
    fs.write(CAT, TWO)
    (before,) = shop.sidecars(PLAIN)
    if end == "replaced":
        fs.write(CAT, ONE)
        assert len(shop.sidecars(PLAIN)) == 1
        assert before not in shop.sidecars(PLAIN)
    elif end == "deleted":
        fs.rm(CAT)
        assert shop.sidecars(PLAIN) == []
    elif end == "moved":
        fs.mv(CAT, DOG)
        assert shop.sidecars(PLAIN) == []
    converge(fs)
    assert shop.staged(PLAIN) == shop.sidecars(PLAIN) == []


def test_an_overwrite_on_a_quiet_key_leaves_nothing_beside_what_is_published(fs, shop):
    fs.write(CAT, ONE)
    time.sleep(PAUSE_S)
    converge(fs)
    time.sleep(PAUSE_S)
    fs.write(CAT, TWO)
    assert places(fs, CAT)[PLAIN] == "own"
    assert shop.staged(PLAIN) == shop.sidecars(PLAIN) == []


def test_what_repair_stages_is_described_too(shop):
    fs = shop.open(late_window=60.0)
    fs.write(CAT, ONE)
    shop.lose(PLAIN)
    fs.write(CAT, TWO)
    shop.bring_back(PLAIN)
    again = shop.open(late_window=60.0)
    rs.repair(again)
    assert states(again, CAT)[PLAIN] == "good"
    (beside,) = shop.sidecars(PLAIN)
    said = json.loads(shop.read_behind(PLAIN, beside))
    assert said["metadata"][CHECKSUM_KEY] == again.info(CAT)["checksum"]


def test_p1_bytes_that_could_not_be_described_do_not_count_and_are_the_sweeps(fs, shop):
    """As after a crash between the two requests, which leaves the same."""
    fs.write(CAT, ONE)
    shop.plain.refused = NAME
    receipt = fs.write(CAT, TWO)
    assert receipt.copies == ("aws", "gcp")
    shop.plain.refused = "nothing"
    assert shop.sidecars(PLAIN) == []
    (left,) = shop.staged(PLAIN)
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)
    assert rs.sweep(fs, older_than=0).removed[PLAIN] == (left,)


def test_p1_a_write_that_fails_takes_back_what_describes_it(shop):
    fs = shop.open(write=rs.WriteToAll(min_copies=3))
    fs.write(CAT, ONE)
    file = fs.open(CAT, "wb")
    file.write(TWO)
    shop.lose("aws")
    with contextlib.suppress(rs.InsufficientCopiesError):
        file.close()
    assert shop.staged(PLAIN) == shop.sidecars(PLAIN) == []
    assert fs.cat(CAT) == ONE


def test_the_sweep_removes_what_describes_nothing_any_more(fs, shop):
    fs.write(CAT, ONE)
    fs.write(CAT, TWO)
    (alive,) = shop.sidecars(PLAIN)
    dead = f".resilient/staging/1-1/{NAME}"
    shop.put_behind(PLAIN, dead, b"{}")
    assert rs.sweep(fs, older_than=0).removed[PLAIN] == (dead,)
    assert shop.sidecars(PLAIN) == [alive]


def test_a_disk_without_extended_attributes_is_found_out_by_its_first_file(place, monkeypatch):
    def refuse(*_):
        raise OSError("not supported")

    with tempfile.TemporaryDirectory(prefix="shop-", dir=place) as folder:
        shop = Shop(Path(folder))
        fs = shop.open()
        fs.write(CAT, ONE)
        fs.write(CAT, TWO)
        assert [len(shop.sidecars(name)) for name in NAMES] == [0, 0, 0]
        monkeypatch.setattr(os, "setxattr", refuse, raising=False)
        fs.write(CAT, ONE)
        assert [len(shop.sidecars(name)) for name in NAMES] == [1, 1, 1]
        fs.write(CAT, TWO)
        assert [len(shop.sidecars(name)) for name in NAMES] == [1, 1, 1]
        converge(fs)
        assert [shop.staged(name) + shop.sidecars(name) for name in NAMES] == [[], [], []]
        shop.close()


# After a restore


def restored_after(shop, spoil=lambda staged, beside: None):
    """Overwrite what only the plain backend takes, after the snapshot; then lose the catalog."""
    one_copy = rs.WriteToAll(min_copies=1)
    fs = shop.open(write=one_copy)
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    shop.lose("aws", "gcp")
    fs.write(CAT, TWO, content_type="image/x-cat")
    (staged,), (beside,) = shop.staged(PLAIN), shop.sidecars(PLAIN)
    spoil(staged, beside)
    shop.bring_back("aws", "gcp")
    return brought_back(shop, fs, write=one_copy)


def test_a_restore_takes_what_is_described_and_all_that_is_said_of_it(shop):
    again, restored = restored_after(shop)
    assert (restored.newer, restored.unclear, restored.complete) == (1, {}, True)
    assert again.cat(CAT) == TWO
    assert again.info(CAT)["content_type"] == "image/x-cat"
    time.sleep(PAUSE_S)
    converge(again)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)
    assert shop.staged(PLAIN) == shop.sidecars(PLAIN) == []


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b'{"size": 7}', b'{"metadata": 7}', None])
def test_a_restore_only_names_what_is_not_well_described(shop, said):
    def spoil(_, beside):
        shop.remove_behind(PLAIN, beside)
        if said is not None:
            shop.put_behind(PLAIN, beside, said)

    again, restored = restored_after(shop, spoil)
    assert (restored.newer, restored.unclear, restored.complete) == (0, {CAT: (PLAIN,)}, False)
    assert shop.read_behind(PLAIN, *shop.staged(PLAIN)) == TWO
    assert again.cat(CAT) == ONE


def test_p4_a_restore_takes_no_bytes_that_are_not_what_is_said_of_them(shop):
    _, restored = restored_after(shop, lambda staged, _: shop.flip(PLAIN, staged))
    assert "its bytes are not whole" in restored.failed[CAT]
