"""What a command prints: a report as text that a person reads, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import typer

from resilient_store.model.outcome import Reply
from resilient_store.operations.what_if import Affected

SHOWN = 20  # of each list, as text; JSON has all


def show(report: Any, *, as_json: bool) -> None:
    """Print a report: as its class says it, where that does, or line by line."""
    if as_json:
        typer.echo(report.to_json() if hasattr(report, "to_json") else json.dumps(plain(report)))
    elif "__str__" in vars(type(report)):
        typer.echo(printable(str(report)))
    else:
        typer.echo(printable("\n".join(lines(report))))


def plain(value: Any) -> Any:
    """Return what JSON can hold of a report."""
    if isinstance(value, Reply):
        return value.words()
    if isinstance(value, Affected):
        return {"count": value.count, "size": value.size}
    if attrs.has(type(value)):
        names = [field.name for field in attrs.fields(type(value))]
        derived = [n for n, made in vars(type(value)).items() if isinstance(made, property)]
        shown = [name for name in (*names, *derived) if not name.startswith("_")]
        return {name: plain(getattr(value, name)) for name in shown}
    if isinstance(value, Mapping):
        return {_key(key): plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(one) for one in value]
    return value


def _key(key: object) -> str:
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def lines(report: Any) -> list[str]:
    """Say a report in lines: what was counted first, then what was named."""
    said = plain(report)
    if not isinstance(said, dict):
        return [str(said)]
    counted = [f"{_words(n)}: {v}" for n, v in said.items() if not isinstance(v, dict | list)]
    named = [line for n, v in said.items() if isinstance(v, dict | list) for line in _listed(n, v)]
    return [*counted, *named]


def _listed(name: str, value: Any) -> list[str]:
    if not value:
        return []
    pairs = value.items() if isinstance(value, dict) else ((one, "") for one in value)
    some = [f"  {one}" + (f": {_joined(why)}" if why else "") for one, why in pairs]
    more = [f"  and {len(some) - SHOWN} more"] if len(some) > SHOWN else []
    return [f"{_words(name)}: {len(some)}", *some[:SHOWN], *more]


def _joined(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _words(name: str) -> str:
    return name.replace("_", " ")


def printable(text: str) -> str:
    """Make half of a surrogate pair, which a path may have, something that can be printed."""
    return text.encode("utf-8", "backslashreplace").decode()
