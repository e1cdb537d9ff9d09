"""A damage report as JSON: one object to a line, so that no reader has to hold them all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

from resilient_store.errors import ConfigurationError
from resilient_store.model.damage import (
    KINDS,
    DamagedObject,
    as_moment,
    as_text,
    from_plain,
)
from resilient_store.operations.damage import aside
from resilient_store.operations.damage.facts import Facts

FORMAT = "resilient_store damage report"
VERSION = 1
_ITEMS = ', "items": [\n'
_END = "], "


def write(facts: Facts, file: TextIO) -> None:
    """Write all that the report knows: kinds in their order, objects of a kind by path."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "made_at": as_text(facts.made_at),
        "complete": facts.complete,
        "restored_at": as_text(facts.restored_at),
        "away": {name: as_text(facts.away[name]) for name in sorted(facts.away)},
        "group_by": facts.group_by,
        "quarantine": aside.as_plain(facts.quarantine),
    }
    file.write(json.dumps(head)[:-1] + _ITEMS)
    between = ""
    for kind in KINDS:
        for line in facts.found[kind].lines():
            file.write(between + line.decode("ascii"))
            between = ",\n"
    # Last, so that whoever reads it sees that nothing was cut off.
    counts = {kind: len(facts.found[kind]) for kind in KINDS}
    file.write(f'\n{_END}"counts": {json.dumps(counts)}}}\n')


def read(file: TextIO) -> Facts:
    """Read what `write` wrote.

    A document that another program has written anew is read too, all of it at once.

    Raises
    ------
    ConfigurationError
        It is no damage report, not whole, or of a later version.
    """
    try:
        return _read(file)
    except ConfigurationError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"this is no damage report, or not all of one ({type(error).__name__}): give the "
            "file that DamageReport.to_json has written"
        ) from None


def _read(file: TextIO) -> Facts:
    first = file.readline()
    if first.endswith(_ITEMS):
        head = json.loads(first.removesuffix(_ITEMS) + "}")
        rest: Iterator[Any] = _lines(file)
    else:
        head = json.loads(first + file.read())
        rest = iter([*head["items"], {"counts": head["counts"]}])
    if head["format"] != FORMAT:
        raise ValueError(head["format"])
    if head["version"] != VERSION:
        raise ConfigurationError(
            f"this damage report is of version {head['version']}, and this release reads "
            f"version {VERSION}: read it with the release that wrote it"
        )
    made_at = as_moment(head["made_at"])
    if made_at is None:
        raise ValueError("made_at")
    facts = Facts(
        made_at=made_at,
        complete=head["complete"],
        restored_at=as_moment(head.get("restored_at")),
        away={name: as_moment(at) for name, at in head["away"].items()},
        group_by=head["group_by"],
        quarantine=aside.from_plain(head.get("quarantine")),
    )
    _fill(facts, rest)
    return facts


def _fill(facts: Facts, rest: Iterator[Any]) -> None:
    last = dict.fromkeys(KINDS, "")
    for plain in rest:
        if "counts" in plain:
            found = {kind: len(facts.found[kind]) for kind in KINDS}
            if plain["counts"] != found:
                raise ValueError(plain["counts"])
            return
        item: DamagedObject = from_plain(plain)
        if item.path < last[item.kind]:
            raise ValueError(item.path)  # a comparison relies on the order
        last[item.kind] = item.path
        facts.found[item.kind].add(item)
    raise ValueError("it ends too early")


def _lines(file: TextIO) -> Iterator[Any]:
    for line in file:
        text = line.removeprefix(_END)
        if text != line:
            yield json.loads("{" + text)
        elif line.strip():
            yield json.loads(line.removesuffix("\n").removesuffix(","))
