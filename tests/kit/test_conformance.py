"""Other people's filesystems are tried on: one that is fit passes, one that lies does not."""

from __future__ import annotations

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from resilient_store.testing import FaultyFileSystem, StoreConformance


class TestLocal(StoreConformance):
    @pytest.fixture
    def filesystem(self):
        return LocalFileSystem()

    @pytest.fixture
    def root(self, tmp_path):
        return str(tmp_path)


class TestFaultyMemory(StoreConformance):
    @pytest.fixture
    def filesystem(self):
        return FaultyFileSystem()

    @pytest.fixture
    def root(self, filesystem):
        filesystem.mkdir("/tests")
        return "/tests"


class SaysEmpty(MemoryFileSystem):
    """Answers for absent objects as if they were there, and empty."""

    protocol = "says-empty"
    cachable = False

    def __init__(self):
        super().__init__()
        self.store = {}
        self.pseudo_dirs = [""]

    def info(self, path, **options):
        try:
            return super().info(path, **options)
        except FileNotFoundError:
            return {"name": path, "size": 0, "type": "file"}


def test_one_that_lies_is_not_fit():
    suite = StoreConformance()
    opened = StoreConformance.subject.__wrapped__(suite, SaysEmpty(), "/tests")
    subject = next(opened)
    with pytest.raises(AssertionError):
        suite.test_what_is_absent_is_not_found(subject, "info")
    opened.close()
