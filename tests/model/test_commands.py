"""What is printed by those who look for seeds and play them again; and one seed is one run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.model import run
from tests.model.fleet import __main__ as fleet
from tests.model.fleet.play import play

ROOT = Path(__file__).parents[2]
TRACES = """
import logging
from tests.model import run
from tests.model.fleet.play import play
logging.getLogger("resilient_store").setLevel(logging.CRITICAL)
for model in ({}):
    print(model.loop.trace, *model.trace, sep="\\n")
"""
WORLDS = {
    "fleet": "play(7).model, play(18).model",
    "scenarios": "run.play('mix', 3), run.play('wide-delete', 29)",
}


def said_by(*arguments, hash_seed="0"):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("world", ["fleet", pytest.param("scenarios", marks=pytest.mark.matrix)])
def test_one_seed_is_one_run_in_every_process(world):
    program = TRACES.format(WORLDS[world])
    first = said_by("-c", program, hash_seed="1")
    assert len(re.findall(r"^[0-9a-f]{32}$", first, re.MULTILINE)) == 2
    assert len(first.splitlines()) > 100
    assert first == said_by("-c", program, hash_seed="4242")


def test_the_fleets_command_says_what_it_played():
    said = said_by("-m", "tests.model.fleet", "--seconds", "0.1", "--measured", "1", "--first", "3")
    branches, runs, calls, faults = said.splitlines()
    assert re.match(r"branches taken by 1 runs: \d+ of \d+ of \*/resilient_store/proto", branches)
    assert re.match(r"\d+ runs, 0 broke a promise; \d+ calls in .*; \d+ simulated hours", runs)
    assert re.match(r"calls: [a-z ]+ \d+", calls)
    assert re.match(r"faults met: [a-z ]+ \d+, [a-z ]+ \d+", faults)


@pytest.fixture
def tally(monkeypatch):
    tally = fleet.Tally(runs=1, calls=100)
    monkeypatch.setattr(fleet, "taken", lambda seeds: f"{len(seeds)} were measured")
    monkeypatch.setattr(fleet, "search", lambda *_: tally)
    return tally


def test_a_search_that_makes_too_few_calls_fails_where_it_is_asked_to(tally, capsys):
    assert fleet.main(["--first", "0", "--measured", "2"]) == 0
    assert fleet.main(["--first", "0", "--at-least", str(10**12)]) == 1
    said = capsys.readouterr().out
    assert "2 were measured" in said
    assert said.endswith(f"fewer than {10**12} calls a minute\n")


def test_a_search_that_finds_a_broken_promise_fails(tally):
    tally.broken = 1
    assert fleet.main(["--first", "0"]) == 1


def test_a_day_is_counted(capsys):
    one, tally = play(3), fleet.Tally()
    tally.add(one)
    assert tally.a_minute(60.0) == one.calls == tally.workloads[one.plan.workload]
    assert tally.met == one.model.met
    assert fleet.main(["--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith(f"{one.plan.workload}: ")
    assert one.model.trace[-1] in printed


def test_a_seed_of_a_scenario_is_told_line_by_line(capsys, monkeypatch):
    assert run.main(["foreign", "--seed", "5"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:-1] == run.play("foreign", 5).trace
    assert said[-1] == "foreign, seed 5: 0 promises were broken"
    monkeypatch.setattr(run.Model, "check", lambda self, _: self.fail("P1: as an example"))
    assert run.main(["foreign"]) == 1
    assert "P1: as an example\n" in capsys.readouterr().out
