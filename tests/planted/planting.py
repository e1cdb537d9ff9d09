"""Plant a bug: a copy of the source with one diff applied to it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUGS = Path(__file__).parent / "bugs"
_CACHES = shutil.ignore_patterns("__pycache__", "*.pyc")


class DoesNotApplyError(Exception):
    """A diff and the source have parted: one of them has changed."""


def diff_of(name: str) -> Path:
    """Return where a bug's diff lies."""
    return BUGS / f"{name}.diff"


def plant(name: str, into: Path) -> Path:
    """Copy the source into a directory and apply a bug's diff there; return the copy.

    Raises
    ------
    DoesNotApplyError
        The text names the diff, and says what git said.
    """
    copy = into / "src"
    shutil.copytree(ROOT / "src", copy, ignore=_CACHES)
    # Without a repository around it git takes the paths as they are.
    said = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", str(diff_of(name))],
        cwd=into,
        env={"GIT_CEILING_DIRECTORIES": str(into.parent), "PATH": _path()},
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode:
        raise DoesNotApplyError(f"{name}.diff does not apply: {said.stderr.strip()}")
    return copy


def _path() -> str:
    git = shutil.which("git")
    assert git is not None, "diffs are applied by git"
    return str(Path(git).parent)


def touched(name: str) -> list[str]:
    """Return the files that a bug's diff changes."""
    lines = diff_of(name).read_text("utf-8").splitlines()
    return [line.removeprefix("+++ b/") for line in lines if line.startswith("+++ b/")]
