"""A damage report for a terminal."""

from __future__ import annotations

from typing import TextIO

from resilient_store.model.damage import KINDS, DamagedObject, Quarantine
from resilient_store.operations.damage.facts import Facts
from resilient_store.operations.damage.words import (
    INCOMPLETE,
    MEANINGS,
    QUARANTINE,
    QUARANTINE_MEANS,
    RESTORED,
    TITLES,
    away,
    condition,
    kept,
    minute,
    not_before,
    not_told,
    printable,
)


def write(facts: Facts, file: TextIO) -> None:
    """Write counts first, then each kind with its objects by group and path."""
    file.write(f"Damage report of {minute(facts.made_at)}\n")
    counts = ", ".join(f"{TITLES[kind].lower()}: {len(facts.found[kind])}" for kind in KINDS)
    file.write(f"{counts}\n")
    said = [away(name, at) for name, at in sorted(facts.away.items())]
    file.writelines(f"{printable(one)}\n" for one in said)
    if not facts.complete:
        file.write(f"{INCOMPLETE}\n")
    if facts.restored_at is not None and facts.found["lost"]:
        file.write(f"{RESTORED.format(minute(facts.restored_at))}\n")
    for kind in KINDS:
        items = facts.found[kind]
        if not items:
            continue
        file.write(f"\n{TITLES[kind]} ({len(items)}). {MEANINGS[kind]}\n")
        for group, members in facts.groups(items):
            if facts.group_by is not None:
                file.write(f"{printable(group) or '(no group)'}:\n")
            for item in members:
                file.writelines(f"  {printable(line)}\n" for line in _lines(item))
    if (quarantine := facts.quarantine) and (quarantine.files or quarantine.unlisted):
        _write_quarantine(quarantine, file)


def _write_quarantine(quarantine: Quarantine, file: TextIO) -> None:
    number = len(quarantine.files) + quarantine.unnamed
    file.write(f"\n{QUARANTINE} ({number}).{f' {QUARANTINE_MEANS}' if number else ''}\n")
    file.writelines(
        f"  {printable(one.path)}\n    {printable(kept(one))}\n" for one in quarantine.files
    )
    file.writelines(f"  {printable(line)}\n" for line in not_told(quarantine))


def _lines(item: DamagedObject) -> list[str]:
    left = [] if item.derivative is None else [f"  left of it: {item.derivative}"]
    held = [
        f"  {condition(one)}" + (f" [{one.error}]" if one.error else "") for one in item.replicas
    ]
    return [f"{item.path} ({not_before(item.since)})", *left, *held]
