"""Bugs that somebody could have written are each found by a simulation, in a bounded time."""

from __future__ import annotations

import logging
import re

import pytest

from tests.planted import hunt as hunting
from tests.planted.bugs import BUGS, named
from tests.planted.hunt import hunt
from tests.planted.hunters import search
from tests.planted.planting import BUGS as DIFFS
from tests.planted.planting import DoesNotApplyError, diff_of, plant, touched

PROMISES = tuple(f"P{number}" for number in range(1, 9))
SQL = "src/resilient_store/catalog/"
CANCELLATION = tuple(
    f"src/resilient_store/{name}" for name in ("io/drive.py", "threads.py", "runtime.py")
)
STARTS = (0, 1_000_000, 2_000_000)
HONEST_TRIES = {"scenario": 2, "calls": 4, "stateless": 3, "machine": 4, "fleet": 2}
QUICK = ("unknown_is_done", "outage_is_absence")
HUNTERS = tuple(dict.fromkeys(bug.hunter for bug in BUGS))


@pytest.fixture
def quiet():
    logger = logging.getLogger("resilient_store")
    before = logger.level
    logger.setLevel(logging.CRITICAL)  # a run meets every warning
    yield
    logger.setLevel(before)


def test_every_promise_and_every_part_has_its_bugs():
    assert len(BUGS) >= 28
    assert {bug.promise for bug in BUGS} >= set(PROMISES)
    files = [touched(bug.name) for bug in BUGS]
    assert sum(any(one.startswith(SQL) for one in some) for some in files) >= 3
    assert sum(any(one in CANCELLATION for one in some) for some in files) >= 2


def test_every_diff_is_a_bug_that_is_hunted():
    names = [bug.name for bug in BUGS]
    assert sorted(names) == sorted(path.stem for path in DIFFS.glob("*.diff"))
    assert len(names) == len(set(names))


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_diff_applies_and_what_it_makes_compiles(bug, tmp_path):
    source = plant(bug.name, tmp_path)
    assert touched(bug.name)
    for name in touched(bug.name):
        text = (source.parent / name).read_text("utf-8")
        compile(text, name, "exec")
        assert text != (DIFFS.parents[2] / name).read_text("utf-8")


def test_a_diff_that_does_not_apply_is_named(tmp_path, monkeypatch):
    parted = tmp_path / "parted.diff"
    parted.write_text(diff_of(BUGS[0].name).read_text("utf-8").replace("\n-", "\n-parted "))
    monkeypatch.setattr("tests.planted.planting.BUGS", tmp_path)
    with pytest.raises(DoesNotApplyError, match=r"parted\.diff does not apply"):
        plant("parted", tmp_path / "into")


@pytest.mark.parametrize("hunter", HUNTERS)
def test_nothing_is_found_where_nothing_is_planted(hunter, quiet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tries = HONEST_TRIES[hunter.partition(":")[0]]
    assert search(hunter, 0, tries) == (tries, "")


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_found(name):
    assert hunt(named(name)).broken


def test_a_hunt_says_what_it_found_and_fails_where_it_found_nothing(monkeypatch, capsys):
    found = iter([hunting.Found(3, "P1: a copy is missing"), hunting.Found(7, "")])
    monkeypatch.setattr(hunting, "hunt", lambda *_: next(found))
    assert hunting.main([BUGS[0].name]) == 0
    assert hunting.main([BUGS[0].name, "--from", "5"]) == 1
    said = capsys.readouterr().out
    assert re.search(r"found after 3: P1: a copy is missing\n.*not found in 7\n", said)


def test_a_hunt_runs_only_on_the_copy(tmp_path):
    with pytest.raises(RuntimeError, match="and not the copy"):
        hunting.main([BUGS[0].name, f"--planted-in={tmp_path}"])


@pytest.mark.matrix
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_bug_is_found_within_its_bound(bug, start, record_property):
    found = hunt(bug, start)
    record_property("tries", found.tries)
    assert found.broken


def test_the_page_says_of_every_bug_how_many_seeds_it_takes():
    page = (DIFFS.parents[2] / "docs" / "planted-bugs.md").read_text("utf-8")
    rows = re.findall(r"(?m)^\| `(\w+)`: .* \| (P\d) \| (\S+) \| (\d+) \| (\d+) \|$", page)
    assert [row[:3] for row in rows] == [(bug.name, bug.promise, bug.hunter) for bug in BUGS]
    assert all(int(median) <= int(most) <= named(name).within for name, _, _, median, most in rows)
