"""A damage report as CSV, for a spreadsheet that must take none of it for a formula."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import TextIO

from resilient_store.model.damage import KINDS, DamagedObject, Quarantine, as_text
from resilient_store.operations.damage.facts import Facts
from resilient_store.operations.damage.words import not_told

COLUMNS = (
    "kind",
    "group",
    "path",
    "since",
    "derivative",
    "derived_from",
    "size",
    "platforms",
    "replicas",
)
# The last four are what a spreadsheet in East Asia takes for the first four.
_BEGINS_A_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001
# Where a spreadsheet divides cells by semicolons, one begins in the middle of ours.
_DIVIDES = re.compile(rf"[;\t\r\n](?=[\s\"]*[{re.escape(''.join(_BEGINS_A_FORMULA))}])")


def write(facts: Facts, file: TextIO) -> None:
    """Write a row for each object and kind of damage: kinds in order, then by group and path.

    What lies in quarantine comes last.
    """
    rows = csv.writer(file)
    rows.writerow(COLUMNS)
    for kind in KINDS:
        for _, members in facts.groups(facts.found[kind]):
            rows.writerows([cell(value) for value in _row(item)] for item in members)
    if facts.quarantine is not None:
        rows.writerows([cell(value) for value in row] for row in _quarantined(facts.quarantine))


def _row(item: DamagedObject) -> list[str]:
    replicas = (
        f"{one.backend}: {one.state}{' (away)' if one.away else ''}"
        + (f" [{one.error}]" if one.error else "")
        for one in item.replicas
    )
    return [
        item.kind,
        item.group,
        item.path,
        as_text(item.since) or "",
        item.derivative or "",
        item.derived_from or "",
        "" if item.size is None else str(item.size),
        ", ".join(item.platforms),
        "; ".join(replicas),
    ]


def _quarantined(quarantine: Quarantine) -> Iterator[list[str]]:
    for one in quarantine.files:
        size = "" if one.size is None else str(one.size)
        lies = f"{one.backend}: {one.key}"
        yield ["quarantine", "", one.path, as_text(one.kept_at) or "", "", "", size, "", lies]
    for line in not_told(quarantine):
        yield ["quarantine", *[""] * 7, line]


def cell(text: str) -> str:
    """Return a cell that no spreadsheet computes and every encoding takes.

    Notes
    -----
    Source: OWASP, "CSV Injection".
    """
    safe = _DIVIDES.sub(r"\g<0>'", text.encode("utf-8", "backslashreplace").decode("utf-8"))
    return f"'{safe}" if safe.lstrip(" ").startswith(_BEGINS_A_FORMULA) else safe
