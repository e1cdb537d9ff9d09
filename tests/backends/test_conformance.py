"""Every family of backends is put through one suite."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from resilient_store.backends.families.generic import GenericFamily
from resilient_store.backends.families.local import LocalFamily
from resilient_store.backends.families.memory import MemoryFamily
from resilient_store.model.info import Headers
from resilient_store.testing.conformance import BackendConformance, Subject, skipped
from resilient_store.testing.flat_memory import FlatMemory, FlatMemoryFamily
from resilient_store.testing.simulation.family import SimulatedFamily
from resilient_store.testing.simulation.loop import SimulatedLoop
from resilient_store.testing.simulation.world import World
from tests.kit.unfit import OwnMemory


def on_disk(family, run, root: Path) -> Subject:
    def write(key: str, data: bytes) -> None:
        target = root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def read(key: str) -> bytes | None:
        return (root / key).read_bytes() if (root / key).is_file() else None

    def names() -> list[str]:
        files = (Path(top, name) for top, _, found in os.walk(root) for name in found)
        return [file.relative_to(root).as_posix() for file in files]

    return Subject(family, run, write, read, names, lambda: shutil.rmtree(root))


def in_memory(family, run, filesystem: MemoryFileSystem, root: str) -> Subject:
    def read(key: str) -> bytes | None:
        file = filesystem.store.get(f"{root}/{key}")
        return None if file is None else file.getvalue()

    def lose_root() -> None:
        filesystem.store.clear()
        filesystem.pseudo_dirs[:] = [""]

    return Subject(
        family,
        run,
        lambda key, data: filesystem.pipe_file(f"{root}/{key}", data),
        read,
        lambda: [name.removeprefix(f"{root}/") for name in filesystem.store],
        lose_root,
    )


@pytest.fixture
def local(tmp_path, run):
    family = LocalFamily(str(tmp_path), "local", 4)
    yield on_disk(family, run, tmp_path)
    run(family.close())


@pytest.fixture
def memory(run):
    filesystem = OwnMemory()
    subject = in_memory(MemoryFamily(filesystem, "/root"), run, filesystem, "/root")
    return Subject(subject.family, run, subject.write, subject.read, subject.names)


@pytest.fixture
def flat_memory(run):
    filesystem = FlatMemory()
    subject = in_memory(FlatMemoryFamily(filesystem, "/root"), run, filesystem, "/root")
    return Subject(subject.family, run, subject.write, subject.read, subject.names)


@pytest.fixture
def unknown_memory(run):
    filesystem = OwnMemory()
    filesystem.makedirs("/root")
    family = GenericFamily(filesystem, "/root", "memory", 4)
    yield in_memory(family, run, filesystem, "/root")
    run(family.close())


@pytest.fixture
def unknown_disk(tmp_path, run):
    family = GenericFamily(DirFileSystem(str(tmp_path), LocalFileSystem()), "", "disk", 4)
    yield on_disk(family, run, tmp_path)
    run(family.close())


@pytest.fixture
def unknown_folder(tmp_path, run):
    root = tmp_path / "in" / "side"
    root.mkdir(parents=True)
    family = GenericFamily(DirFileSystem(str(tmp_path), LocalFileSystem()), "in/side", "disk", 4)
    yield on_disk(family, run, root)
    run(family.close())


def simulated(**options) -> Subject:
    loop = SimulatedLoop(1)
    disk = World(1).disk("disk", **options)

    async def store(key: str, data: bytes) -> None:
        disk.set(key, data, Headers())

    return Subject(
        SimulatedFamily(disk),
        loop.run_until_complete,
        lambda key, data: loop.run_until_complete(store(key, data)),
        lambda key: disk.objects[key].data if key in disk.objects else None,
        lambda: list(disk.objects),
    )


@pytest.fixture
def simulated_tree():
    return simulated(flat=False)


@pytest.fixture
def simulated_flat():
    return simulated(flat=True, unique_tags=False, exclusive=None)


class TestLocal(BackendConformance):
    @pytest.fixture
    def subject(self, local):
        return local


class TestMemory(BackendConformance):
    @pytest.fixture
    def subject(self, memory):
        return memory


class TestFlatMemory(BackendConformance):
    @pytest.fixture
    def subject(self, flat_memory):
        return flat_memory


class TestUnknownMemory(BackendConformance):
    @pytest.fixture
    def subject(self, unknown_memory):
        return unknown_memory


class TestUnknownDisk(BackendConformance):
    @pytest.fixture
    def subject(self, unknown_disk):
        return unknown_disk


class TestUnknownFolder(BackendConformance):
    @pytest.fixture
    def subject(self, unknown_folder):
        return unknown_folder


class TestSimulatedTree(BackendConformance):
    @pytest.fixture
    def subject(self, simulated_tree):
        return simulated_tree


class TestSimulatedFlat(BackendConformance):
    @pytest.fixture
    def subject(self, simulated_flat):
        return simulated_flat


FLAT = "test_a_file_and_something_below_it_can_both_be"
CONDITION = "test_a_condition_that_cannot_be_kept_is_refused"
CONDITIONAL = "test_deleting_on_a_condition_hits_only_that_object"
MANY = "test_of_many_creators_one_wins"
ROOT = "test_a_lost_root_is_unavailable_and_never_absent"
TREE = {
    "test_directories_exist_by_themselves",
    "test_a_directory_with_something_in_it_stays",
    "test_a_file_and_something_below_it_clash",
}


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("local", {CONDITION, FLAT}),
        ("memory", {CONDITION, FLAT, ROOT}),
        ("unknown_memory", {CONDITIONAL, FLAT, MANY}),
        ("unknown_disk", {CONDITIONAL, FLAT, MANY}),
        ("unknown_folder", {CONDITIONAL, FLAT, MANY}),
        ("simulated_tree", {CONDITION, FLAT, ROOT}),
        ("simulated_flat", {CONDITIONAL, MANY, ROOT, *TREE}),
    ],
)
def test_no_more_is_left_out_than_a_family_cannot_do(request, name, left_out):
    assert set(skipped(request.getfixturevalue(name))) == left_out
