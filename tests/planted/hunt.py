"""Hunt one planted bug: `python -m tests.planted.hunt NAME --from SEED`.

The simulation runs in a process of its own, which imports the copy in which the bug is planted.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs

from tests.planted.bugs import BUGS, Bug, named
from tests.planted.planting import ROOT, plant

# In real time: a simulated hang ends by itself; this ends a loop in which no time passes.
LASTS_AT_MOST_S = 600.0
HUNG = "the hunt did not end by itself"


@attrs.frozen
class Found:
    """What a hunt came to."""

    tries: int
    broken: str

    @property
    def words(self) -> str:
        """Say it."""
        if not self.broken:
            return f"not found in {self.tries}"
        return f"found after {self.tries}: {self.broken[:300]}"


def hunt(bug: Bug, start: int = 0, within: int | None = None) -> Found:
    """Plant a bug, and look for it from a seed on, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        source = plant(bug.name, Path(folder))
        return _in_a_process(bug, source, start, within or bug.within)


def _in_a_process(bug: Bug, source: Path, start: int, within: int) -> Found:
    path = os.pathsep.join([str(source), str(ROOT)])
    command = [sys.executable, "-m", "tests.planted.hunt", bug.name]
    options = [f"--from={start}", f"--within={within}", f"--planted-in={source}"]
    try:
        said = subprocess.run(
            [*command, *options],
            cwd=source.parent,  # what a run leaves behind goes with the copy
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=LASTS_AT_MOST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Found(within, HUNG)
    number, _, broken = said.stdout.strip().partition(" ")
    if said.returncode or not number.isdecimal():
        raise RuntimeError(f"the hunt for {bug.name} failed: {said.stderr[-2000:]}")
    return Found(int(number), broken)


def _look(bug: Bug, start: int, within: int, planted_in: Path) -> None:
    """Look for a bug in this process, which must have imported the copy; print what was found."""
    import resilient_store
    from tests.planted.hunters import search

    imported = Path(resilient_store.__file__)
    if not imported.is_relative_to(planted_in):
        raise RuntimeError(f"imported {imported}, and not the copy in {planted_in}")
    logging.getLogger("resilient_store").setLevel(logging.CRITICAL)  # a run meets every warning
    number, broken = search(bug.hunter, start, within)
    print(number, " ".join(broken.split()))


def main(arguments: list[str] | None = None) -> int:
    """Hunt, and say how many seeds it took; 1 where the bug was not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted.hunt", description=__doc__)
    parser.add_argument("name", choices=[bug.name for bug in BUGS], metavar="NAME")
    parser.add_argument("--from", type=int, default=0, dest="start", metavar="SEED")
    parser.add_argument("--within", type=int, help="other than the bug's own bound")
    parser.add_argument("--planted-in", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    bug = named(given.name)
    if given.planted_in is not None:
        _look(bug, given.start, given.within or bug.within, given.planted_in)
        return 0
    found = hunt(bug, given.start, given.within)
    print(f"{bug.name} ({bug.promise}, {bug.hunter}): {found.words}")
    return int(not found.broken)


if __name__ == "__main__":
    sys.exit(main())
