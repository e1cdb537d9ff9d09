"""What operations hold in memory, over stores of ten thousand and of a million objects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.resources.generated import OPERATIONS

MOST = 200 << 20
ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "tests.resources.generated", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout


@pytest.mark.matrix
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [10_000, 1_000_000])
def test_an_operation_holds_no_more_than_200_mb_whatever_the_number_of_objects(tmp_path, count):
    url = f"sqlite:///{tmp_path}/catalog.db"
    run("fill", url, str(count))
    more = {what: int(run(what, url, str(count))) for what in OPERATIONS}
    print({what: f"{size >> 20} MB" for what, size in more.items()})
    assert max(more.values()) <= MOST, more
