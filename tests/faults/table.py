"""Every fault, every call, and how each ends on each platform.

A cell says the outcome of the backend that fails: its letter is one of `OUTCOMES`, or ``=``
where the call ends as on a healthy backend. ``.`` has no test: the reason is in `REASONS`.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

OUTCOMES = {
    "u": "unavailable",
    "t": "timed out",
    "h": "throttled",
    "d": "denied",
    "c": "corrupt",
    "r": "refused",
    "=": "",
}
FAMILIES = ("s3", "gcs", "azure")
CALLS = (
    *("read", "range", "stream", "write", "overwrite", "create"),
    *("delete", "info", "exists", "list", "copy"),
)
READS = ("read", "range", "stream", "info", "exists", "list")

# Faults of the whole server meet a change when it looks, before it sends anything; the others
# hit the request that decides: the upload, the publication, the deletion.
#                    read
#                    | range
#                    | | stream
#                    | | | write
#                    | | | | overwrite
#                    | | | | | create
#                    | | | | | | delete
#                    | | | | | | | info
#                    | | | | | | | | exists
#                    | | | | | | | | | list
#                    | | | | | | | | | | copy
TABLE = {
    "killed":       "u u u u u u u u u u u",
    "stopped":      "t t t t t t t t t t t",
    "refusing":     "u u u u u u u u u u u",
    "hanging":      "t t t t t t t t t t t",
    "swallowing":   "t t t t t t t t t t t",
    "slow":         "t t t . . . . . . . .",
    "trickling":    "t t t . . . . . . t .",
    "429":          "h h h h h h h h h h h",
    "503":          "h h h h h h h h h h h",
    "500":          "u u u t t t t u u u t",
    "403":          "d d d d d d d d d d d",
    "no bucket":    "u u u u u u u u u u u",
    "portal":       "u u u t t t t u u u t",
    "reset":        "u u u t t t t u u u t",
    "truncated":    "u u u . . . . . . u .",
    "flipped":      "c . . . . . . . . . .",
}  # fmt: skip

# Where a platform's answer has no code, a 503 may be that of a gateway behind which the change
# was carried out.
OF_ONE_FAMILY = {
    ("gcs", "503"): "h h h t t t t h h h t",
    ("azure", "503"): "h h h t t t t h h h t",
    # Azure alone sends the digest of a range, of up to 4 MiB.
    ("azure", "flipped"): "c c c . . . . . . . .",
}

REASONS = {
    **{
        ("slow", call): "its answer is short: at this rate it is whole in time"
        for call in ("write", "overwrite", "create", "delete", "info", "exists", "list", "copy")
    },
    **{
        (fault, call): "its answer has no body, or one shorter than what is let through"
        for fault in ("trickling", "truncated")
        for call in ("write", "overwrite", "create", "delete", "info", "exists", "copy")
    },
    (
        "flipped",
        "range",
    ): "but for Azure no platform sends a digest of a range; that takes a catalog",
    ("flipped", "stream"): "it is read in ranges, whose digest only Azure sends",
    **{
        ("flipped", call): "its answer holds no bytes of an object, but what is said of it"
        for call in ("write", "overwrite", "create", "delete", "info", "exists", "list", "copy")
    },
}


@attrs.frozen
class Cell:
    """One fault at one call of one platform, and the outcome that it must have."""

    family: str
    fault: str
    call: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.family}-{self.fault}-{self.call}"


def cells() -> Iterator[Cell]:
    """List the whole matrix, cells without a test as well (their outcome is ``.``)."""
    for family in FAMILIES:
        for fault, row in TABLE.items():
            letters = OF_ONE_FAMILY.get((family, fault), row).split()
            for call, letter in zip(CALLS, letters, strict=True):
                yield Cell(family, fault, call, OUTCOMES.get(letter, letter))


def tested() -> list[Cell]:
    """List the cells that have a test."""
    return [cell for cell in cells() if cell.outcome != "."]


def in_every_run() -> list[Cell]:
    """Choose cells so that each fault and each call is there at least once per family."""
    chosen: list[Cell] = []
    for family in FAMILIES:
        mine = [cell for cell in tested() if cell.family == family]
        uncovered = [*CALLS]
        for fault in TABLE:
            row = [cell for cell in mine if cell.fault == fault]
            fresh = [cell for cell in row if cell.call in uncovered]
            cell = (fresh or row)[0]
            chosen.append(cell)
            if cell.call in uncovered:
                uncovered.remove(cell.call)
    return chosen
