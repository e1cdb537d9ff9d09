"""One platform of each kind for a whole run, started when a test first asks for it.

Each worker of pytest-xdist has its own. After every test a platform is healthy again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.servers import processes
from tests.servers.platforms import RCLONE_OPTIONS, Platform


@pytest.fixture(scope="session")
def running_s3() -> Iterator[Platform]:
    with Platform("s3", processes.moto()) as platform:
        yield platform


@pytest.fixture(scope="session")
def running_rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("rclone")
    with Platform("s3", processes.rclone(folder), RCLONE_OPTIONS) as platform:
        yield platform


@pytest.fixture(scope="session")
def running_gcs() -> Iterator[Platform]:
    with Platform("gcs", processes.fake_gcs()) as platform:
        yield platform


@pytest.fixture(scope="session")
def running_azure() -> Iterator[Platform]:
    with Platform("azure", processes.azurite()) as platform:
        yield platform


@pytest.fixture
def s3(running_s3: Platform) -> Iterator[Platform]:
    """S3 with conditions and metadata; what it holds is lost when it is killed."""
    yield running_s3
    running_s3.heal()


@pytest.fixture
def rclone_s3(running_rclone_s3: Platform) -> Iterator[Platform]:
    """S3 that is quick and keeps its objects, but takes no condition and loses metadata."""
    yield running_rclone_s3
    running_rclone_s3.heal()


@pytest.fixture
def gcs(running_gcs: Platform) -> Iterator[Platform]:
    """GCS, in memory."""
    yield running_gcs
    running_gcs.heal()


@pytest.fixture
def azure(running_azure: Platform) -> Iterator[Platform]:
    """Azure's blobs, in memory."""
    yield running_azure
    running_azure.heal()


@pytest.fixture(scope="session")
def running_postgres() -> Iterator[Any]:
    from tests.servers.postgres import Postgres  # where there are no users to become, no import

    with Postgres() as server:
        yield server


@pytest.fixture
def postgres(running_postgres: Any) -> Iterator[Any]:
    """Lend the server, and see it running again after a test that has ended it."""
    yield running_postgres
    running_postgres.heal()


# --- families in a loop of the test's own ------------------------------------------------


@pytest.fixture
def run() -> Iterator[Callable[..., Any]]:
    """Run a coroutine to its end."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def open_on(run: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Open a bucket with some options, or by whatever coroutine opens it; close it in the end."""
    # Not earlier: the suite's settings are those of the profile that is loaded by then.
    from tests.servers.subjects import opened, subject_in

    families = []

    def open_it(platform: Platform, bucket: str, opening: Any = None, **options: Any) -> Any:
        families.append(run(opening or opened(platform, bucket, **options)))
        return subject_in(platform, bucket, families[-1], run)

    yield open_it
    for family in families:
        run(family.close())
