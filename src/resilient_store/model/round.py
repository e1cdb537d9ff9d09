"""One round of a job that many machines share: what nobody has taken yet, and who has what."""

from __future__ import annotations

import attrs

from resilient_store.model.key_range import KeyRange


@attrs.frozen
class Lease:
    """A part of a store's paths that one machine works on.

    Attributes
    ----------
    owner
        A name that no other machine, and no other call, has.
    until_s
        When it ends unless it is renewed, on the catalog's clock.
    """

    part: KeyRange
    owner: str
    until_s: float = 0.0


@attrs.frozen(kw_only=True)
class Round:
    """How far a round has come; times on the catalog's clock.

    It holds what is at work and where the rest begins, and nothing of what is done: so it is as
    small in a large store as in a small one.

    Attributes
    ----------
    at
        Nobody has taken what comes after this path; None: all is taken.
    ended_s
        0: it is under way.
    """

    began_s: float
    at: str | None = ""
    leases: tuple[Lease, ...] = ()
    ended_s: float = 0.0
