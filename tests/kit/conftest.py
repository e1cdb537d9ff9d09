"""Two backends in memory and in virtual time, and their switchboard."""

from __future__ import annotations

import pytest

from resilient_store.testing import Faults, FaultyFileSystem, virtual_time


@pytest.fixture
def clock():
    with virtual_time() as clock:
        yield clock


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture
def aws(clock, faults):
    fs = FaultyFileSystem(faults=faults, name="aws", domain="aws/us-east-1")
    fs.pipe_file("/cat", b"meow")
    return fs


@pytest.fixture
def gcp(clock, faults):
    return FaultyFileSystem(faults=faults, name="gcp", domain="gcp/europe-west1")
