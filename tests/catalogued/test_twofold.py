"""On an object store an object may be a directory too: each is shown, and none hides another."""

from __future__ import annotations

import pytest

import resilient_store as rs
from resilient_store.testing import Faults, FaultyFileSystem
from resilient_store.testing.flat_memory import FlatMemory

ONE, TWO = b"one", b"and two"


@pytest.fixture
def disks():
    """Object stores: nothing but names."""
    return {name: FlatMemory() for name in ("aws", "gcp")}


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture(params=["no catalog", "half a catalog", "a catalog"])
def fs(request, disks, faults, tmp_path):
    """Open a store; its catalog knows some of what lies there, or all."""
    backends = [
        rs.Backend(
            FaultyFileSystem(disk, faults=faults, name=name),
            root=f"/{name}",
            name=name,
            domain=name,
        )
        for name, disk in disks.items()
    ]
    catalog = None if request.param == "no catalog" else f"sqlite:///{tmp_path}/catalog.db"
    with rs.ResilientFileSystem(backends, catalog=catalog) as opened:
        yield opened


def write(fs, disks, *paths):
    """Store objects; the first as another program does, where the catalog may not know it."""
    for path, data in zip(paths, (ONE, TWO), strict=True):
        if fs.store.catalog is not None and path == paths[0]:
            for name, disk in disks.items():
                disk.pipe_file(f"/{name}/{path}", data)
        else:
            fs.write(path, data)


@pytest.mark.parametrize("paths", [("d/a", "d/a/b"), ("d/a/b", "d/a")])
def test_what_is_both_is_listed_walked_found_and_read(fs, disks, paths, request):
    write(fs, disks, *paths)
    if request.node.callspec.params["fs"] == "a catalog":
        rs.adopt(fs)
    assert list(fs.walk("d")) == [("d", ["a"], ["a"]), ("d/a", [], ["b"])]
    assert [(one["name"], one["type"]) for one in fs.ls("d", detail=True)] == [("d/a", "file")]
    assert fs.ls("d", detail=False) == ["d/a"]
    assert fs.find("d") == ["d/a", "d/a/b"]
    (_, folders, files), *_ = fs.walk("d", detail=True)
    assert (folders["a"]["type"], files["a"]["type"]) == ("directory", "file")
    assert {path: fs.cat_file(path) for path in paths} == dict(zip(paths, (ONE, TWO), strict=True))


def test_when_the_object_is_deleted_the_directory_stays(fs, disks):
    write(fs, disks, "d/a", "d/a/b")
    fs.rm_file("d/a")
    assert [(one["name"], one["type"]) for one in fs.ls("d", detail=True)] == [("d/a", "directory")]
    assert list(fs.walk("d")) == [("d", ["a"], []), ("d/a", [], ["b"])]
    fs.rm_file("d/a/b")
    assert fs.find("") == []


@pytest.mark.parametrize("fs", ["half a catalog"], indirect=True)
def test_p5_what_the_catalog_knows_is_listed_though_nobody_says_what_lies_below(fs, disks, faults):
    """Who could not be asked is named."""
    write(fs, disks, "d/a/b", "d/a")
    listed = fs.ls("d/a", detail=True)
    assert ([one["name"] for one in listed], listed.missing_backends) == (["d/a/b"], ())
    for name in disks:
        faults.down(name)
    listed = fs.ls("d/a", detail=True)
    assert ([one["name"] for one in listed], set(listed.missing_backends)) == (["d/a"], set(disks))
