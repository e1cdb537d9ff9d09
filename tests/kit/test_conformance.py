"""Other people's filesystems are tried on: one that is fit passes, one that lies does not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from resilient_store.testing import FaultyFileSystem, StoreConformance
from tests.kit.unfit import OwnMemory

UNFIT = Path(__file__).with_name("unfit.py")
# What others have put into this environment takes a second to load.
PLUGINS = ("-p", "no:randomly", "-p", "no:zarr", "-p", "no:asyncio", "-p", "no:platformdirs")


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


class SaysEmpty(OwnMemory):
    """Answers for absent objects as if they were there, and empty."""

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


def in_matrix(*one):
    return pytest.param(*one, marks=pytest.mark.matrix)


@pytest.mark.parametrize(
    ("suite", "check"),
    [
        in_matrix("TestTearsPuts", "test_an_object_is_never_seen_half_written"),
        in_matrix("TestCountsTheLast", "test_ranges_are_pythons"),
        ("TestKeepsWhatArrived", "test_what_is_cancelled_is_there_whole_or_not_at_all"),
    ],
)
def test_one_that_is_not_fit_is_told_why_and_nothing_else(suite, check, tmp_path):
    (tmp_path / "test_unfit.py").write_text(UNFIT.read_text())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGINS, "-k", suite, "-rf", "--tb=no"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert set(re.findall(r"^FAILED .*::(\w+)", done.stdout, re.MULTILINE)) == {check}, done.stdout
    assert re.search(r" [34]\d passed", done.stdout)
