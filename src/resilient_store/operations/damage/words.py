"""What each kind of damage is called, in words for whoever talks to the customer."""

from __future__ import annotations

import datetime as dt

from resilient_store.model.damage import Kind, Quarantine, QuarantinedFile, ReplicaCondition

TITLES: dict[Kind, str] = {
    "lost": "Lost",
    "unreachable": "Not to be had at the moment",
    "at_risk": "At risk",
    "foreign": "Somebody else's file beside it",
    "conflict": "To be decided",
}
MEANINGS: dict[Kind, str] = {
    "lost": (
        "No copy of these files is left in any place where we keep them. A preview, where one "
        "is left, is smaller than the original and cannot be printed. Ask the customer for the "
        "original."
    ),
    "unreachable": (
        "A copy may be intact, in a place that cannot be used now. Do not tell the customer "
        "that it is lost. Look again later."
    ),
    "at_risk": (
        "These files are intact and can be printed, but too few copies are left. The customer "
        "need not know; whoever runs the store should repair it soon."
    ),
    "foreign": (
        "These files are intact. Somewhere lies another file under the same name, which we did "
        "not put there. The next repair keeps it aside."
    ),
    "conflict": (
        "Under these names lie files which we did not put there, and none of ours is at hand. "
        "They may be what is missed, or not: ask whoever runs the store to look."
    ),
}
QUARANTINE = "Kept aside"
QUARANTINE_MEANS = (
    "These files lay in the places of ours, and we did not put them there. They were moved away, "
    "and nothing of them was thrown away. If a customer misses something, ask whoever runs the "
    "store whether it is among them."
)
ORIGINAL_MISSING = "Original missing. This is a smaller copy."
ORIGINAL_AWAY = "Original not to be had at the moment. This is a smaller copy."
INCOMPLETE = (
    "The catalog does not know all files of this store: there may be more damage than is told here."
)
RESTORED = (
    "The catalog of this store was itself lost, and restored on {}. What was deleted shortly "
    "before may be among the lost files: ask whoever runs the store before you tell a customer."
)
STATES = {
    "good": "intact",
    "stale": "not up to date",
    "missing": "not there",
    "corrupt": "damaged",
    "foreign": "somebody else's file",
    "unknown": "not verified",
    "gone": "removed",
    "absent": "never copied there",
}


def minute(at: dt.datetime) -> str:
    """Write a time for people."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def away(name: str, at: dt.datetime | None) -> str:
    """Say that a backend is away."""
    return f"{name} is away" + (f" since {minute(at)}" if at is not None else "")


def not_before(at: dt.datetime | None) -> str:
    """Say when it became so, as far as that is known."""
    return "nobody knows since when" if at is None else f"since {minute(at)}, or later"


def condition(replica: ReplicaCondition) -> str:
    """Say what one backend holds; of one that is away, what it held before."""
    state = STATES.get(replica.state, replica.state)
    return f"{replica.backend}: " + (f"away ({state} before)" if replica.away else state)


def kept(file: QuarantinedFile) -> str:
    """Say where a file of somebody else's lies now."""
    size = "" if file.size is None else f", {file.size:,} bytes"
    since = "" if file.kept_at is None else f" since {minute(file.kept_at)}"
    return f"on {file.backend}{since}{size}: {file.key}"


def not_told(quarantine: Quarantine) -> list[str]:
    """Say what of the quarantine is not in the report."""
    more = [f"And {quarantine.unnamed:,} more."] if quarantine.unnamed else []
    blind = [f"Nobody could look on {name}: there may be more." for name in quarantine.unlisted]
    return [*more, *blind]


def printable(text: str) -> str:
    """Write out what a terminal or a file would not show, or obey: controls, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
