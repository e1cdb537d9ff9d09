"""The machine as an application's tests name it: by a configuration file, and under unittest."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

import resilient_store as rs
from resilient_store.testing import ResilienceStateMachine

FEW = settings(max_examples=5, stateful_step_count=8, database=None, phases=[Phase.generate])
CONFIG = """
[stores.photos]
write = {min_domains = 2}
degraded = {"originals/{name}" = ["previews/{name}"]}

[[stores.photos.backends]]
target = "s3://print-photos"
name = "aws"
storage_options = {key = {env = "PHOTOS_KEY"}, secret = {env = "PHOTOS_SECRET"}}

[[stores.photos.backends]]
target = "gs://print-photos"
name = "gcp"
storage_options = {token = {env = "PHOTOS_TOKEN"}}

[stores.letters]
backends = ["memory://letters"]
"""
SHOP = """
import resilient_store as rs
from hypothesis import settings
from resilient_store.testing import ResilienceStateMachine

class Blank(rs.ResilientFileSystem):
    async def _read(self, path, **options):
        try:
            return await super()._read(path, **options)
        except rs.BackendsUnavailableError:
            return rs.ReadResult(data=b"", path=path, backend="aws")

class Photos(ResilienceStateMachine):
    config, store = "photos.toml", "photos"

class Blanks(ResilienceStateMachine):
    def build(self):
        return Blank(["memory://aws", "memory://gcp"])

for machine in (Photos, Blanks):
    machine.TestCase.settings = settings(
        machine.TestCase.settings, max_examples=5, stateful_step_count=8, derandomize=True
    )
TestPhotos, TestBlanks = Photos.TestCase, Blanks.TestCase
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the configuration lies, and the environment has no secret."""
    for name in ("PHOTOS_KEY", "PHOTOS_SECRET", "PHOTOS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "photos.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "platforms"), [("photos", ("s3", "gs")), ("letters", ("memory",))]
)
def test_a_machine_takes_its_store_from_a_file(folder, name, platforms):
    tried = []

    class FromFile(ResilienceStateMachine):
        config, store = folder / "photos.toml", name

        def teardown(self):
            tried.append((tuple(self.platforms), len(self.ledger.known)))
            super().teardown()

    run_state_machine_as_test(FromFile, settings=FEW)
    assert {found for found, _ in tried} == {platforms}
    assert all(known for _, known in tried)
    assert [path.name for path in folder.iterdir()] == ["photos.toml"]


def test_a_file_of_several_stores_says_which_there_are(folder):
    class Unnamed(ResilienceStateMachine):
        config = "photos.toml"

    with pytest.raises(rs.ConfigurationError, match=r"(?s)letters.*photos|photos.*letters"):
        Unnamed()


def test_its_test_case_runs_under_unittest(folder):
    (folder / "test_shop.py").write_text(SHOP)
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "-v", "test_shop"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert re.search(r"Photos\.TestCase.* ok$", done.stderr, re.MULTILINE), done.stderr
    assert re.search(r"Blanks\.TestCase.* FAIL$", done.stderr, re.MULTILINE)
    assert "these bytes are not the object's: b''" in done.stderr
