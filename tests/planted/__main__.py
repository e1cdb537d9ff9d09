"""Hunt every planted bug from several seeds: `python -m tests.planted` prints a Markdown table."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator

from tests.planted.bugs import BUGS, Bug
from tests.planted.hunt import Found, hunt

STARTS = 5
APART = 1_000_000  # so that no two hunts try the same seeds


def row(bug: Bug, found: list[Found]) -> str:
    """Return a bug's row: how many tries it took, and how often it was missed."""
    tries = [one.tries for one in found if one.broken]
    missed = len(found) - len(tries)
    needed = f"{statistics.median(tries):g} | {max(tries)}" if tries else "- | -"
    lost = f" (missed {missed} of {len(found)})" if missed else ""
    return f"| {bug.name} | {bug.promise} | {bug.hunter} | {needed}{lost} |"


def table(bugs: list[Bug], starts: int) -> Iterator[tuple[str, bool]]:
    """Hunt them one by one; return each row, and whether it was found from every seed."""
    for bug in bugs:
        found = [hunt(bug, number * APART) for number in range(starts)]
        yield row(bug, found), all(one.broken for one in found)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 where a bug was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("--starts", type=int, default=STARTS, help="hunt each from so many seeds")
    parser.add_argument("names", nargs="*", help="only these bugs")
    given = parser.parse_args(arguments)
    bugs = [bug for bug in BUGS if not given.names or bug.name in given.names]
    print("| bug | promise | found by | seeds, median | most |\n|---|---|---|---|---|")
    missed = False
    for line, everywhere in table(bugs, given.starts):
        print(line, flush=True)
        missed = missed or not everywhere
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
