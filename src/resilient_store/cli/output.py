"""What a command prints: a report as text that a person reads, or as JSON."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import typer

from resilient_store.model.outcome import Reply
from resilient_store.operations.damage.words import printable
from resilient_store.operations.what_if import Affected

SHOWN = 20  # of each list, as text; JSON has all


def show(report: Any, *, as_json: bool) -> None:
    """Print a report: as its class says it, where that does, or line by line."""
    if as_json:
        typer.echo(report.to_json() if hasattr(report, "to_json") else json.dumps(plain(report)))
    elif "__str__" in vars(type(report)):
        left = _listed("failed", getattr(report, "failed", {}))
        typer.echo("\n".join(map(printable, [*str(report).split("\n"), *left])))
    else:
        typer.echo("\n".join(map(printable, lines(report))))


def fields(report: Any) -> dict[str, Any]:
    """Return what a report holds, and what it reckons from that."""
    names = [field.name for field in attrs.fields(type(report))]
    derived = [n for n, made in vars(type(report)).items() if isinstance(made, property)]
    return {n: getattr(report, n) for n in (*names, *derived) if not n.startswith("_")}


def plain(value: Any) -> Any:
    """Return what JSON can hold of a report."""
    if isinstance(value, Reply):
        return value.words()
    if isinstance(value, Affected):
        return {"count": value.count, "size": value.size}
    if attrs.has(type(value)):
        value = fields(value)
    if isinstance(value, Mapping):
        return {_key(key): plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _key(key: object) -> str:
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def lines(report: Any) -> list[str]:
    """Say a report in lines: what was counted first, then what was named."""
    said = fields(report) if attrs.has(type(report)) else dict(report)
    named = {n: v for n, v in said.items() if isinstance(plain(v), dict | list)}
    counted = [f"{_words(n)}: {_said(v)}" for n, v in said.items() if n not in named]
    return [*counted, *(line for n, v in named.items() for line in _listed(n, v))]


def _said(value: Any) -> str:
    return "no" if value is None else str(value)


def _listed(name: str, value: Any) -> list[str]:
    if attrs.has(type(value)) or _counts(value):
        return [f"{_words(name)}:", *(f"  {line}" for line in lines(value))]
    value = plain(value)
    if name == "removed":  # from each backend, so many keys
        value = [f"{backend}: {key}" for backend, keys in value.items() for key in keys]
    elif not value:
        return []
    pairs = value.items() if isinstance(value, dict) else ((one, "") for one in value)
    some = [f"  {one}" + (f": {_joined(why)}" if why else "") for one, why in pairs]
    more = [f"  and {len(some) - SHOWN} more"] if len(some) > SHOWN else []
    return [f"{_words(name)}: {len(some)}", *some[:SHOWN], *more]


def _counts(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(one, int) for one in value.values())


def _joined(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _words(name: str) -> str:
    return name.replace("_", " ")
