"""What a call may end in, and what must be so at the end: from the promises, and nothing else."""

from __future__ import annotations

from typing import Any

import attrs

from resilient_store.errors import (
    BackendsUnavailableError,
    InsufficientCopiesError,
    ObjectChangedError,
    ObjectError,
    OriginalMissingError,
)
from resilient_store.model.path import RESERVED
from tests.model.scenarios import WRITES, Program, Scenario
from tests.model.world import OTHER, PATH, Model


@attrs.frozen
class End:
    """How a call ended, and when it began."""

    started_s: float
    value: Any
    error: Exception | None


def a_call(model: Model, scenario: Scenario, program: Program, end: End) -> None:
    """Judge how a call ended by all that was true while it lasted."""
    (verb, *rest), error = program, end.error
    if error is not None and not isinstance(error, (ObjectError, FileNotFoundError)):
        model.fail(f"P5: {verb} ended in {type(error).__name__}: {error}")
        return
    truth = model.window(end.started_s, model.loop.true_s())
    if verb == "open" and isinstance(error, ObjectChangedError):
        if len(set(truth)) < 2:
            model.fail(f"P5: a file said that its object had changed, and the truth was {truth!r}")
    elif verb in ("read", "open"):
        a_read(model, truth, end.value, error)
    elif verb in WRITES:
        _a_write(model, scenario, rest[0].encode(), truth, error)
    elif verb in ("delete", "move"):
        _a_removal(model, verb, truth, end)


def _a_removal(model: Model, verb: str, truth: list[bytes | None], end: End) -> None:
    if isinstance(end.error, FileNotFoundError) and None not in truth:
        model.fail(f"P5: {verb} said that nothing is there, and the truth was {truth!r}")
    if end.error is None and None not in truth:
        model.fail(f"P3: a {verb} was acknowledged, and never committed")
    if verb == "move" and end.error is None:
        arrived = model.window(end.started_s, model.loop.true_s(), OTHER)
        if not set(truth) & set(arrived) - {None}:
            model.fail(f"P1: moved, and {arrived!r} arrived of {truth!r}")


def _a_write(
    model: Model,
    scenario: Scenario,
    data: bytes,
    truth: list[bytes | None],
    error: Exception | None,
) -> None:
    if error is None and data not in truth:
        model.fail(f"P1: {data!r} was acknowledged, and is not what was committed")
    written = [rest[0].encode() for verb, *rest in scenario.programs if verb in WRITES]
    refused = isinstance(error, InsufficientCopiesError) and written.count(data) == 1
    if refused and data in [value for _, value in model.truths[PATH]]:
        model.fail(f"P1: the write of {data!r} was refused, and is committed")


def a_read(
    model: Model, truth: list[bytes | None], value: bytes | None, error: Exception | None
) -> None:
    """Judge a read by everything that was true while it lasted."""
    if error is None:
        if value not in truth:
            model.fail(f"P2/P3/P4: read {value!r}, and the truth was {truth!r}")
    elif isinstance(error, FileNotFoundError):
        if None not in truth:
            model.fail(f"P5: said to be absent, and the truth was {truth!r}")
    elif isinstance(error, OriginalMissingError):
        data = truth[-1]
        held = [one.data for disk in model.disks.values() for one in disk.objects.values()]
        if len(set(truth)) > 1 or data is None or data in held:
            model.fail(f"P5: said to be lost, and the truth was {truth!r}")
    elif not isinstance(error, BackendsUnavailableError):
        model.fail(f"P5: a read ended in {type(error).__name__}")


def the_end(model: Model, scenario: Scenario) -> None:
    """Judge what is left when faults have stopped and repair has come to its end."""
    for path in model.paths:
        if model.record(path).intent is not None:
            model.fail(f"P8: an intent of {path} stays for ever")
        for name in model.names:
            _a_place(model, scenario, path, name)
    for name, disk in model.disks.items():
        staged = [key for key in disk.objects if key.startswith(f"{RESERVED}/staging/")]
        if staged:
            model.fail(f"P8: {staged} stay on {name} for ever")
    _moved_whole(model, scenario)


def _a_place(model: Model, scenario: Scenario, path: str, name: str) -> None:
    record = model.record(path)
    now, there = model.now(record), model.held(name, path)
    kept = now is not None and len(model.excused) < scenario.min_copies
    if kept and there != now and record.present is not None:
        model.fail(f"P7: {name} holds {there!r} of {path}, and the object is {now!r}")
    theirs = (name, there) in model.foreign or name in model.gone_back
    if now is None and there is not None and not theirs:
        model.fail(f"P3: {there!r} is left of {path} on {name} for ever")


def _moved_whole(model: Model, scenario: Scenario) -> None:
    """Judge a move that nothing else interfered with: the object is in one place, and whole."""
    verbs = [program[0] for program in scenario.programs]
    if verbs.count("move") != 1 or {*WRITES, "delete"} & set(verbs):
        return
    present = [value for _, value in model.truths[PATH] if value is not None]
    began = present[-1] if present else None
    places = [model.now(model.record(path)) for path in (PATH, OTHER)]
    if began is not None and sorted(places, key=bool) != [None, began]:
        model.fail(f"P1: {began!r} was moved, and now lies as {places!r}")
