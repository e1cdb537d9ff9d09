"""Who works on which part of a store, when many machines share a round of a job.

Parts are cut off one after the other, in the order of paths. A part whose worker died is taken by
whoever comes first after its lease has ended. Two may hold one part for a moment, if the first was
only paused: that does no harm, for each path is worked on under its own intent.
"""

from __future__ import annotations

import attrs

from resilient_store.model.key_range import KeyRange
from resilient_store.model.round import Lease, Round

LONGEST_S = 86_400.0  # that a lease is given: what a killed process had waits for so long
# What ends later than that was given by a clock that was put back since.
_FUTURE_S = 2 * LONGEST_S


def current(before: Round | None, *, asked_s: float, every_s: float, now_s: float) -> Round | None:
    """Return the round to work in, a new one where one is due; None: nothing is to be done.

    Parameters
    ----------
    before
        The last round; None: there never was one.
    asked_s
        When the caller was called: a round that began later is not begun anew for it. Minus
        infinity: it has had its round.
    every_s
        From the beginning of one round to that of the next. One that began in the future, by a
        clock that was put back, counts for none.
    """
    if before is None:
        return Round(began_s=now_s)
    if not before.ended_s:
        return before
    is_recent = asked_s - every_s < before.began_s <= now_s
    return None if is_recent else Round(began_s=now_s)


def opening(of: Round, now_s: float) -> KeyRange | None:
    """Return what may be taken: a dead worker's part, else all that nobody has taken yet.

    Of the latter, which begins at the round's `at`, a worker cuts off as much as it likes.
    """
    for lease in of.leases:
        if _has_ended(lease, now_s):
            return lease.part
    return None if of.at is None else KeyRange(of.at)


def taken(of: Round, lease: Lease, now_s: float) -> Round | None:
    """Return the round after a part was taken; None: somebody was faster."""
    for other in of.leases:
        if other.part == lease.part:
            if not _has_ended(other, now_s):
                return None
            return attrs.evolve(of, leases=(*_without(of, other), lease))
    if of.at is None or lease.part.after != of.at:
        return None
    return attrs.evolve(of, at=lease.part.until, leases=(*of.leases, lease))


def renewed(of: Round, lease: Lease, until_s: float) -> Round | None:
    """Return the round after a lease was renewed; None: it is not the owner's any more."""
    held = _held(of, lease)
    if held is None:
        return None
    return attrs.evolve(of, leases=(*_without(of, held), attrs.evolve(held, until_s=until_s)))


def done(of: Round, lease: Lease, now_s: float) -> Round | None:
    """Return the round after a part was worked through; None: somebody else has it now."""
    held = _held(of, lease)
    if held is None:
        return None
    left = _without(of, held)
    is_over = of.at is None and not left
    return attrs.evolve(of, leases=left, ended_s=now_s if is_over else 0.0)


def free_at_s(of: Round) -> float:
    """Return when the next lease ends of a round under way of which all is taken."""
    return min(lease.until_s for lease in of.leases)


def _has_ended(lease: Lease, now_s: float) -> bool:
    """Say whether a lease has ended, or was given in a future that the clock has left."""
    return not now_s < lease.until_s <= now_s + _FUTURE_S


def _held(of: Round, lease: Lease) -> Lease | None:
    mine = (one for one in of.leases if (one.part, one.owner) == (lease.part, lease.owner))
    return next(mine, None)


def _without(of: Round, lease: Lease) -> tuple[Lease, ...]:
    return tuple(one for one in of.leases if one is not lease)
