"""A worker of a web shop: calls of all kinds on a few hot paths, each written down as it is made.

A line is written before a call and another after it, so that a call that a killed worker was in is
known to have begun.
"""

from __future__ import annotations

import functools
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import resilient_store as rs
from resilient_store.io import parts
from resilient_store.io.catalogued.holder import LOST_ANSWER
from tests.crashes.linear import Call

HOT = ("hot/a", "hot/b", "hot/c")
TO_AND_FRO = ("moved/x", "moved/y")
PART_BYTES = 64
LONGEST = 300
KINDS = {"write": 4, "stream out": 1, "read": 5, "stream in": 2, "delete": 2, "exists": 1, "ls": 1}
MOVES = {"move": 3, "write": 1, "read": 3, "exists": 1, "ls": 1}


class Worker:
    """Makes calls until a moment, and writes them down.

    Parameters
    ----------
    fs
        The store, which was built before the fork.
    """

    def __init__(self, fs: rs.ResilientFileSystem, log: Path, name: str) -> None:
        self.fs = fs
        self.name = name
        self.chance = random.Random(name)
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.number = 0

    def work(self, until_s: float) -> None:
        parts.PART_BYTES = PART_BYTES
        while time.monotonic() < until_s:
            paths, kinds = self.chance.choice([(HOT, KINDS), (HOT, KINDS), (TO_AND_FRO, MOVES)])
            (kind,) = self.chance.choices(list(kinds), list(kinds.values()))
            self.call(kind, self.chance.choice(paths), paths)

    def call(self, kind: str, path: str, paths: tuple[str, ...]) -> None:
        self.number += 1
        value = f"{self.name}-{self.number}:".ljust(self.chance.randrange(20, LONGEST), "x")
        to = next((p for p in paths if p != path), "") if kind == "move" else ""
        began = {"kind": kind, "path": path, "value": value, "to": to, "begin_s": time.monotonic()}
        self.say(began)
        call = getattr(self, kind.replace(" ", "_"))
        try:
            answer = {"outcome": "ok", **call(path, value, to)}
        except FileNotFoundError:
            answer = {"outcome": "absent"}
        except rs.ObjectError as error:
            unknown = LOST_ANSWER in str(error)
            answer = {"outcome": "unknown" if unknown else "refused", "error": repr(error)}
        except BaseException as error:  # noqa: BLE001 - whatever else reaches a caller is wrong
            answer = {"outcome": "wrong", "error": f"{type(error).__name__}: {error}"}
        self.say({"end_s": time.monotonic(), **answer})

    def say(self, what: dict[str, Any]) -> None:
        os.write(self.log, json.dumps(what).encode() + b"\n")

    def write(self, path: str, value: str, _: str) -> dict[str, Any]:
        return {"version": self.fs.write(path, value.encode()).version}

    def stream_out(self, path: str, value: str, _: str) -> dict[str, Any]:
        with self.fs.open(path, "wb") as file:
            for at in range(0, len(value), 50):
                file.write(value[at : at + 50].encode())
        return {}

    def read(self, path: str, *_: str) -> dict[str, Any]:
        found = self.fs.read(path)
        return {"value": found.data.decode(), "version": found.version}

    def stream_in(self, path: str, *_: str) -> dict[str, Any]:
        pieces = []
        with self.fs.open(path, "rb", block_size=PART_BYTES) as file:
            while piece := file.read(PART_BYTES):
                pieces.append(piece)
        return {"value": b"".join(pieces).decode()}

    def delete(self, path: str, *_: str) -> dict[str, Any]:
        self.fs.rm_file(path)
        return {}

    def move(self, path: str, _: str, to: str) -> dict[str, Any]:
        self.fs.mv(path, to)
        return {}

    def exists(self, path: str, *_: str) -> dict[str, Any]:
        return {"value": "?" if self.fs.exists(path) else None}

    def ls(self, path: str, *_: str) -> dict[str, Any]:
        folder = path.rpartition("/")[0]
        try:
            return {"listed": self.fs.ls(folder, detail=False)}
        except FileNotFoundError:
            return {"listed": []}


PLAIN = {"stream out": "write", "stream in": "read"}


def told(log: Path) -> Iterator[dict[str, Any]]:
    """Return the calls of a log; one that nobody lived to see the end of has no end."""
    lines = [json.loads(line) for line in log.read_bytes().split(b"\n")[:-1]]
    for at, began in enumerate(lines):
        if "begin_s" in began:
            ended = lines[at + 1] if at + 1 < len(lines) else {"outcome": "killed"}
            yield {"who": log.stem, **began, **ended}


def calls_of(one: dict[str, Any]) -> list[Call]:
    """Return what a line of a log means for the history."""
    kind = PLAIN.get(one["kind"], one["kind"])
    make = functools.partial(
        Call,
        path=one["path"],
        begin_s=one["begin_s"],
        end_s=one.get("end_s", float("inf")),
        who=one["who"],
    )
    if one["outcome"] == "absent":
        return [make(kind="read", value=None)]
    outcome = {"killed": "unknown"}.get(one["outcome"], one["outcome"])
    if kind == "ls":
        paths = HOT if one["path"] in HOT else TO_AND_FRO
        there = one.get("listed", ())
        return [
            make(kind="exists", path=path, value="?" if path in there else None, outcome=outcome)
            for path in paths
        ]
    value = one["value"] if kind in ("write", "read", "exists") else None
    known = {"kind": kind, "value": value, "outcome": outcome, "version": one.get("version", 0)}
    if outcome == "unknown":
        known["end_s"] = float("inf")
    return [make(to=one["to"], **known)]
