"""Which of the five ends a read comes to when nobody brought the original (P5)."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

from resilient_store.model.outcome import Outcome
from resilient_store.protocol.read import Reading


class End(enum.Enum):
    """How a read without the original's bytes ends."""

    EMPTY = "empty"  # an empty object, and nobody says otherwise
    ABSENT = "absent"  # FileNotFoundError
    LOST = "lost"  # OriginalMissingError, or a derivative with this reason
    UNREACHABLE = "unreachable"  # BackendsUnavailableError, or a derivative with this reason


def end_of_original(reading: Reading[Any], *, has_rule: bool) -> End:
    """Say how a read ends whose original nobody brought, before derivatives are looked at.

    Parameters
    ----------
    reading
        What the backends said of the original.
    has_rule
        Whether a degraded rule matches: then an empty original is a missing one.

    Returns
    -------
    End
        ``ABSENT`` stands only if no derivative exists.

    Notes
    -----
    Promises: P5. Source: design, section 4, "Certain absence" and "Never blank".
    """
    if reading.absent:
        return End.ABSENT
    # Wrong bytes are no blank: whoever holds them does not agree that the object is empty.
    if reading.blank is None or any(r.outcome is Outcome.CORRUPT for r in reading.replies):
        return End.UNREACHABLE
    if not has_rule:
        return End.EMPTY
    return End.LOST if _everybody_lacks_it(reading) else End.UNREACHABLE


def _everybody_lacks_it(reading: Reading[Any]) -> bool:
    return all(reply.blank or reply.outcome is Outcome.NOT_FOUND for reply in reading.replies)


def end_after_derivatives(original: End, derivatives: Sequence[Reading[Any]]) -> End:
    """Say how a read ends, its derivatives having been looked for.

    A derivative that exists proves that its original once did; one that cannot be asked for
    leaves that open.

    Notes
    -----
    Promises: P5. Source: design, section 8, "Where a degraded rule matches".
    """
    if original is not End.ABSENT:
        return original
    if any(reading.found is not None for reading in derivatives):
        return End.LOST
    # An empty derivative is skipped: it is no picture, and no proof either.
    if all(reading.absent or _everybody_lacks_it(reading) for reading in derivatives):
        return End.ABSENT
    return End.UNREACHABLE
