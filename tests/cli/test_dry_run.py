"""What moves or removes bytes can be tried first: each command is held to it."""

from __future__ import annotations

import json

import typer

from resilient_store.cli.commands import app
from resilient_store.cli.endings import DONE, LEFT
from tests.catalogued.stage import CAT, DOG, ONE, converge, states
from tests.cli.test_commands import _loaded, fs, place, run, shop

__all__ = ["_loaded", "fs", "place", "run", "shop"]

# Each with the reason why it cannot be tried first.
NEED_NONE = {
    "status": "it only looks",
    "what-if": "it only looks",
    "damage-report": "it only looks; a file that it writes was named for that",
    "verify": "it only looks at a file of this machine",
    "scrub": "it only looks, and records what it saw",
    "freeze": "it moves no byte, and thaw undoes it",
    "thaw": "it moves no byte, and freeze undoes it",
    "snapshot": "it adds a copy of the catalog, and touches no object",
    "maintain": "it does what repair and sweep do, which can be tried",
}


def test_every_command_that_moves_or_removes_bytes_can_be_tried_first():
    commands = typer.main.get_command(app).commands
    tried = {
        name
        for name, command in commands.items()
        if any("--dry-run" in parameter.opts for parameter in command.params)
    }
    assert set(commands) - tried == set(NEED_NONE)
    assert {"repair", "evacuate", "sweep", "adopt", "restore", "rejoin", "drain"} == tried


def test_a_dry_run_of_repair_says_what_is_owed_and_does_nothing(fs, shop, run):
    fs.write(DOG, ONE)
    converge(fs)
    shop.lose("azure")
    fs.write(CAT, ONE)
    fs.rm(DOG)
    shop.bring_back("azure")
    before = {name: shop.objects(name) for name in shop.names}
    tried = run("repair", "--dry-run", as_json=True)
    said = json.loads(tried.stdout)
    assert (tried.exit_code, said["copied"], said["removed"], said["done"]) == (LEFT, 0, 0, False)
    assert said["waiting"] == {
        CAT: "to be brought to azure",
        DOG: "what its deletion left is to be removed",
    }
    assert {name: shop.objects(name) for name in shop.names} == before
    assert states(fs, CAT)["azure"] != "good"
    converge(fs)
    assert run("repair", "--dry-run").exit_code == DONE


def test_rejoin_and_sweep_say_how_far_they_are(fs, shop, run, monkeypatch):
    monkeypatch.setattr("resilient_store.cli.progress.EVERY_S", 0.0)
    fs.write(CAT, ONE)
    assert "compared: 1" in run("rejoin", "aws", "--dry-run").stderr
    assert "looked at: " in run("sweep").stderr
