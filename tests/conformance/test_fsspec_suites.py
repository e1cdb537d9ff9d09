"""fsspec's own abstract suites, over directories and over memory, healthy and with one dead.

With one backend dead, what reads passes on data that was stored before, and every test that
changes something ends in a typed error.
"""

from __future__ import annotations

import fsspec.tests.abstract as suites
import pytest

import resilient_store as rs
from tests.conformance.trio import Trio, WithOneDead


class _Fixtures(suites.AbstractFixtures):
    @pytest.fixture
    def fs(self, trio: Trio) -> rs.ResilientFileSystem:
        return trio.fs

    @pytest.fixture
    def fs_join(self):
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def fs_path(self) -> str:
        return "tests"


class _OverDirectories(_Fixtures):
    @pytest.fixture
    def trio(self, over_directories: Trio) -> Trio:
        return over_directories


class _OverMemory(_Fixtures):
    @pytest.fixture
    def trio(self, over_memory: Trio) -> Trio:
        return over_memory


class _OverDyingMemory(_Fixtures):
    @pytest.fixture
    def trio(self, over_dying_memory: Trio) -> Trio:
        return over_dying_memory


class _OverPlatforms(_Fixtures):
    @pytest.fixture
    def trio(self, over_platforms: Trio) -> Trio:
        return over_platforms

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False  # all three know no directories, only names with slashes


class TestCopyDirectories(suites.AbstractCopyTests, _OverDirectories):
    pass


class TestGetDirectories(suites.AbstractGetTests, _OverDirectories):
    pass


class TestPutDirectories(suites.AbstractPutTests, _OverDirectories):
    pass


class TestPipeDirectories(suites.AbstractPipeTests, _OverDirectories):
    pass


class TestOpenDirectories(suites.AbstractOpenTests, _OverDirectories):
    pass


class TestCopyMemory(suites.AbstractCopyTests, _OverMemory):
    pass


class TestGetMemory(suites.AbstractGetTests, _OverMemory):
    pass


class TestPutMemory(suites.AbstractPutTests, _OverMemory):
    pass


class TestPipeMemory(suites.AbstractPipeTests, _OverMemory):
    pass


class TestOpenMemory(suites.AbstractOpenTests, _OverMemory):
    pass


class TestCopyDyingMemory(suites.AbstractCopyTests, _OverDyingMemory):
    pass


class TestGetDyingMemory(suites.AbstractGetTests, _OverDyingMemory):
    pass


class TestPutDyingMemory(suites.AbstractPutTests, _OverDyingMemory):
    pass


class TestPipeDyingMemory(suites.AbstractPipeTests, _OverDyingMemory):
    pass


class TestOpenDyingMemory(suites.AbstractOpenTests, _OverDyingMemory):
    pass


class TestCopyDirectoriesOneDead(suites.AbstractCopyTests, _OverDirectories, WithOneDead):
    changes = True


class TestGetDirectoriesOneDead(suites.AbstractGetTests, _OverDirectories, WithOneDead):
    changes = ("test_get_directory_recursive",)  # it begins with a mkdir


class TestPutDirectoriesOneDead(suites.AbstractPutTests, _OverDirectories, WithOneDead):
    changes = True


class TestPipeDirectoriesOneDead(suites.AbstractPipeTests, _OverDirectories, WithOneDead):
    changes = True


class TestOpenDirectoriesOneDead(suites.AbstractOpenTests, _OverDirectories, WithOneDead):
    changes = True


class TestCopyDyingMemoryOneDead(suites.AbstractCopyTests, _OverDyingMemory, WithOneDead):
    changes = True


class TestGetDyingMemoryOneDead(suites.AbstractGetTests, _OverDyingMemory, WithOneDead):
    changes = ("test_get_directory_recursive",)  # it begins with a mkdir


class TestPutDyingMemoryOneDead(suites.AbstractPutTests, _OverDyingMemory, WithOneDead):
    changes = True


class TestPipeDyingMemoryOneDead(suites.AbstractPipeTests, _OverDyingMemory, WithOneDead):
    changes = True


class TestOpenDyingMemoryOneDead(suites.AbstractOpenTests, _OverDyingMemory, WithOneDead):
    changes = True


class TestCopyPlatforms(suites.AbstractCopyTests, _OverPlatforms):
    pass


class TestGetPlatforms(suites.AbstractGetTests, _OverPlatforms):
    pass


class TestPutPlatforms(suites.AbstractPutTests, _OverPlatforms):
    pass


class TestPipePlatforms(suites.AbstractPipeTests, _OverPlatforms):
    pass


class TestOpenPlatforms(suites.AbstractOpenTests, _OverPlatforms):
    pass


@pytest.mark.matrix
class TestCopyPlatformsOneDead(suites.AbstractCopyTests, _OverPlatforms, WithOneDead):
    changes = True


@pytest.mark.matrix
class TestGetPlatformsOneDead(suites.AbstractGetTests, _OverPlatforms, WithOneDead):
    changes = ("test_get_directory_recursive",)  # it begins with a mkdir


@pytest.mark.matrix
class TestPutPlatformsOneDead(suites.AbstractPutTests, _OverPlatforms, WithOneDead):
    changes = True


@pytest.mark.matrix
class TestPipePlatformsOneDead(suites.AbstractPipeTests, _OverPlatforms, WithOneDead):
    changes = True


@pytest.mark.matrix
class TestOpenPlatformsOneDead(suites.AbstractOpenTests, _OverPlatforms, WithOneDead):
    changes = True
