"""Listings in one order of keys, also from disks and servers that have another one, or none."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient_store.backends.contract import RefusedError, RootMissingError, StrangerError
from resilient_store.backends.families import walk
from resilient_store.backends.families.disk import Disk
from resilient_store.backends.families.flat import FlatFamily, Page, Place
from resilient_store.backends.families.walk import OrderedWalk
from resilient_store.model.info import ObjectInfo

NAMES = st.sampled_from(["a", "a-", "a.", "a0", "b", "é", "\uff5e", "🎈", " "])
FILES = st.sets(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=12)


def goes_on():
    pass


def walked(root, after="", limit=2):
    walking, keys = OrderedWalk(Disk(str(root)), after), []
    while found := walking.next(limit, goes_on):
        keys += [info.key for info in found]
    return keys


@pytest.fixture
def few_names(monkeypatch):
    monkeypatch.setattr(walk, "NAMES", 2)


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@given(FILES, st.none() | st.lists(NAMES, min_size=1, max_size=3).map("/".join))
@settings(deadline=None)
def test_a_disk_is_walked_in_the_order_of_its_keys(folder, files, after):
    """Also a directory of more names than are held at once."""
    root = folder / "root"
    written = set()
    try:
        root.mkdir()
        for key in sorted(files):
            if any((root / key).parents[n].is_file() for n in range(key.count("/"))):
                continue
            if (root / key).is_dir():
                continue
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(b"")
            written.add(key)
        for names in (1, 3, walk.NAMES):
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(walk, "NAMES", names)
                expected = sorted((key for key in written if key > (after or "")), key=str.encode)
                assert walked(root, after or "") == expected
    finally:
        shutil.rmtree(root)


def test_links_are_listed_as_they_are_read(tmp_path):
    """Those to files inside; neither directories nor what lies outside."""
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (tmp_path / "outside").write_bytes(b"secret")
    (root / "d" / "file").write_bytes(b"bytes")
    (root / "inside").symlink_to("d/file")
    (root / "outside").symlink_to(tmp_path / "outside")
    (root / "directory").symlink_to("d")
    (root / "loop").symlink_to("loop")
    assert walked(root) == ["d/file", "inside"]


def test_p5_a_root_that_goes_while_it_is_walked_is_no_end(tmp_path, few_names):
    root = tmp_path / "root"
    for number in range(9):
        (root / f"{number}").mkdir(parents=True)
        (root / f"{number}" / "file").write_bytes(b"")
    walking = OrderedWalk(Disk(str(root)), "")
    assert len(walking.next(1, goes_on)) == 1
    shutil.rmtree(root)
    with pytest.raises(RootMissingError):
        walking.next(100, goes_on)


def test_a_directory_that_goes_while_it_is_walked_takes_nothing_else_along(tmp_path):
    for key in ("a/file", "b/file", "c/file"):
        (tmp_path / key).parent.mkdir()
        (tmp_path / key).write_bytes(b"")
    walking = OrderedWalk(Disk(str(tmp_path)), "")
    assert [info.key for info in walking.next(1, goes_on)] == ["a/file"]
    shutil.rmtree(tmp_path / "b")
    assert [info.key for info in walking.next(9, goes_on)] == ["c/file"]


# Object stores


class Bucket(FlatFamily):
    """One whose listing comes as it is told."""

    def __init__(self, pages, folders=False):
        super().__init__(Place(bucket="b", prefix="p", name="x", timeout_s=1, stall_s=1), {})
        self.pages, self.folders, self.asked = pages, folders, 0

    async def _page(self, prefix, *, delimiter="", token=None, after="", limit):
        self.asked += 1
        number = int(token or 0)
        keys = self.pages[number]
        following = str(number + 1) if number + 1 < len(self.pages) else None
        objects = tuple(
            ObjectInfo(key=f"p/{key}", size=1, directory=self.folders and key == "folder")
            for key in keys
        )
        return Page(objects, (), following)

    def _warns_of_disorder(self, info):
        return info.directory

    def _left_out(self, *arguments, **options):
        raise NotImplementedError

    _head = _fetch = _begin = _remove = put = publish = delete = sign = _left_out
    abandon_uploads = close = drop = _left_out


@pytest.fixture
def paged(run):
    def ask(bucket, after=""):
        keys, cursor = [], None
        while True:
            listed = run(bucket.page(after, cursor, 2, lambda _: None))
            keys += [info.key for info in listed.infos]
            after, cursor = (keys or [after])[-1], listed.cursor
            if cursor is None:
                return keys

    return ask


def test_pages_of_a_bucket_are_taken_as_they_come(paged):
    bucket = Bucket([["a", "a/"], [], ["b", "c"], ["d//e"]])
    assert paged(bucket) == ["a", "b", "c", "d//e"]
    assert bucket.asked == 4
    assert paged(bucket, "b") == ["c", "d//e"]


def test_the_marker_of_the_root_itself_is_no_disorder(paged):
    """A console makes one where somebody makes a folder, and then uploads into it."""
    bucket = Bucket([["", "a"], ["b"]])
    assert paged(bucket) == ["a", "b"]
    assert bucket.asked == 2


def test_a_listing_in_another_order_is_had_whole(paged):
    assert paged(Bucket([["b", "a"], ["d", "c"]])) == ["a", "b", "c", "d"]


def test_a_folder_warns_of_what_comes(paged):
    bucket = Bucket([["a", "b"], ["folder", "folder/x"], ["folder-y"]], folders=True)
    assert paged(bucket) == ["a", "b", "folder-y", "folder/x"]


def test_disorder_that_nothing_warned_of_is_refused_once(paged):
    """What was handed out already cannot be taken back."""
    bucket = Bucket([["b", "c"], ["a"]])
    with pytest.raises(RefusedError, match="call again"):
        paged(bucket)
    assert paged(bucket) == ["a", "b", "c"]


def test_a_listing_that_never_ends_is_nobodys(paged):
    bucket = Bucket([["a"]])

    async def page(prefix, *, token=None, **_):
        return Page((), (), "again")

    bucket._page = page
    with pytest.raises(StrangerError):
        paged(bucket)
