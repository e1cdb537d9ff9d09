"""Filesystems that are not fit to be a backend, each for one reason: a suite of its own for each.

`test_conformance` runs it elsewhere, and looks at what fails.
"""

from __future__ import annotations

import asyncio
import threading

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from resilient_store import runtime
from resilient_store.testing import FaultyFileSystem, StoreConformance


class Unfit(StoreConformance):
    """A suite for one of them."""

    @pytest.fixture
    def root(self, filesystem):
        filesystem.mkdir("/tests")
        return "/tests"


class OwnMemory(MemoryFileSystem):
    """Memory that is no other's, and of which nothing is known."""

    protocol = "own-memory"
    cachable = False

    def __init__(self):
        super().__init__()
        self.store = {}
        self.pseudo_dirs = [""]


class TearsPuts(OwnMemory):
    """Copies half of an object, waits for somebody to see it, and copies the rest."""

    def __init__(self):
        super().__init__()
        self.seen = threading.Event()

    def cat_file(self, path, *arguments, **options):
        data = super().cat_file(path, *arguments, **options)
        self.seen.set()
        return data

    def cp_file(self, path1, path2, **options):
        data = super().cat_file(path1)
        self.pipe_file(path2, data[: len(data) // 2])
        self.seen.clear()
        self.seen.wait(0.01)
        self.pipe_file(path2, data)


class TestTearsPuts(Unfit):
    @pytest.fixture
    def filesystem(self):
        return TearsPuts()


class CountsTheLast(OwnMemory):
    """Takes the end of a range for its last byte, as HTTP does."""

    def cat_file(self, path, start=None, end=None, **options):
        last = end + 1 if end is not None and end > 0 else end
        return super().cat_file(path, start, last, **options)


class TestCountsTheLast(Unfit):
    @pytest.fixture
    def filesystem(self):
        return CountsTheLast()


class KeepsWhatArrived(FaultyFileSystem):
    """Takes its time over a large object, and keeps half of it when its caller gives up."""

    resilient_family = None

    async def _cp_file(self, path1, path2, **options):
        data = self.inner.cat_file(path1)
        try:
            await runtime.pause(0.02 if len(data) > 100_000 else 0.0)
        except asyncio.CancelledError:
            self.inner.pipe_file(path2, data[: len(data) // 2])
            raise
        await super()._cp_file(path1, path2, **options)


class TestKeepsWhatArrived(Unfit):
    @pytest.fixture
    def filesystem(self):
        return KeepsWhatArrived()
