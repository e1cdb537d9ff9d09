"""Stores over three directories and over three memory filesystems, and ways to lose one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

import resilient_store as rs
from tests.conformance.trio import NAMES, DyingMemory, Trio, WithOneDead
from tests.servers.platforms import PATIENT_S, Platform


@pytest.fixture
def over_directories(tmp_path: Path) -> Iterator[Trio]:
    """Three directories; the first holds all."""
    for name in NAMES:
        (tmp_path / "platforms" / name).mkdir(parents=True)
    folder = tmp_path / "platforms"
    with rs.ResilientFileSystem(
        [
            rs.Backend(str(folder / name), name=name, domain=name, holds_all=name == "first")
            for name in NAMES
        ]
    ) as fs:
        second, away = folder / "second", folder / "away"
        yield Trio(fs, lambda: os.rename(second, away), lambda: os.rename(away, second))


@pytest.fixture
def over_memory() -> Iterator[Trio]:
    """Three memory filesystems as users open them."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    with rs.ResilientFileSystem(
        [
            rs.Backend(f"memory://{name}", name=name, domain=name, holds_all=name == "first")
            for name in NAMES
        ]
    ) as fs:
        yield Trio(fs, lambda: None, lambda: None)
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def over_dying_memory() -> Iterator[Trio]:
    """Three memory filesystems of which nothing is known, one of them mortal."""
    with rs.ResilientFileSystem(
        [
            rs.Backend(
                DyingMemory(name), root="/root", name=name, domain=name, holds_all=name == "first"
            )
            for name in NAMES
        ]
    ) as fs:
        for client in fs.store.clients.values():
            MemoryFileSystem.makedirs(client.backend.target, "/root", exist_ok=True)
        dead = DyingMemory.dead
        yield Trio(fs, lambda: dead.add("second"), lambda: dead.discard("second"))
    DyingMemory.dead.clear()


@pytest.fixture
def over_platforms(s3: Platform, gcs: Platform, azure: Platform) -> Iterator[Trio]:
    """S3, Google Cloud Storage and Azure; the second can be made to refuse."""
    backends = [
        rs.Backend(
            platform.url(platform.new_bucket()),
            name=name,
            domain=name,
            storage_options=platform.storage_options(),
            holds_all=name == "first",
            timeout=PATIENT_S,
            stall_timeout=PATIENT_S,
        )
        for name, platform in zip(NAMES, (s3, gcs, azure), strict=True)
    ]
    with rs.ResilientFileSystem(backends) as fs:
        yield Trio(fs, lambda: gcs.proxy.set("refuse"), lambda: gcs.proxy.set("pass"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave patterns to the matrix where each takes seconds."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "over_platforms" in fixtures and "glob" in item.name:
            item.add_marker(pytest.mark.matrix)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Take the second backend away for the body of a test alone; its fixtures are healthy."""
    if not isinstance(pyfuncitem.instance, WithOneDead):
        return (yield)
    trio: Trio = pyfuncitem.funcargs["trio"]
    changes = pyfuncitem.instance.changes
    changing = changes is True or pyfuncitem.originalname in (changes or ())
    trio.lose_second()
    try:
        if not changing:
            return (yield)
        with pytest.raises((rs.InsufficientCopiesError, rs.BackendsUnavailableError)):
            yield
    finally:
        trio.bring_back()
    return True
