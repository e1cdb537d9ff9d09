"""fsspec's own abstract suites with a catalog: all of it passes, also with one backend dead."""

from __future__ import annotations

import fsspec.tests.abstract as suites
import pytest

import resilient_store as rs
from tests.catalogued.stage import Shop


class _Catalogued(suites.AbstractFixtures):
    @pytest.fixture
    def fs(self, fs: rs.ResilientFileSystem) -> rs.ResilientFileSystem:
        return fs

    @pytest.fixture
    def fs_join(self):
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def fs_path(self) -> str:
        return "tests"

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False  # a catalog knows objects, and no directory that holds none


class _OneDead(_Catalogued):
    @pytest.fixture
    def fs(self, fs: rs.ResilientFileSystem, shop: Shop) -> rs.ResilientFileSystem:
        assert fs.ls("") == []  # the store has met all three
        shop.lose("gcp")
        return fs


class TestCopy(suites.AbstractCopyTests, _Catalogued):
    pass


class TestGet(suites.AbstractGetTests, _Catalogued):
    pass


class TestPut(suites.AbstractPutTests, _Catalogued):
    pass


class TestPipe(suites.AbstractPipeTests, _Catalogued):
    pass


class TestOpen(suites.AbstractOpenTests, _Catalogued):
    pass


class TestCopyOneDead(suites.AbstractCopyTests, _OneDead):
    pass


class TestGetOneDead(suites.AbstractGetTests, _OneDead):
    pass


class TestPutOneDead(suites.AbstractPutTests, _OneDead):
    pass


class TestPipeOneDead(suites.AbstractPipeTests, _OneDead):
    pass


class TestOpenOneDead(suites.AbstractOpenTests, _OneDead):
    pass
