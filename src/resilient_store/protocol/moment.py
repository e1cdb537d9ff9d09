"""When a transaction runs, what its caller wants, and what it may be answered."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from resilient_store.model.state import Frozen, Intent, IntentKind, Record, Replica, StoreState
from resilient_store.protocol.quiet import is_quiet


@attrs.frozen(kw_only=True)
class Moment:
    """When a transaction runs, and what the store is like then.

    Attributes
    ----------
    now_s
        On the catalog's clock, in seconds.
    late_window_s
        Z: how long after it was sent a request may still land.
    new_id
        Draws from the store's one counter, whose numbers are never used again (R7).
    """

    now_s: float
    late_window_s: float
    store: StoreState
    new_id: Callable[[], int]

    def is_quiet(self, row: Replica) -> bool:
        """Say whether no request to this own key can be under way."""
        if self.store.restored_s > 0:  # what was sent before that is in no row (R18)
            until_s = self.store.restored_s + self.late_window_s
            row = attrs.evolve(row, busy_until_s=max(row.busy_until_s, until_s))
        return is_quiet(row, self.store.backend(row.backend), self.now_s, self.late_window_s)

    def mark(self, intent: Intent) -> float:
        """Return until when a key is busy to which this intent may send (R1)."""
        return intent.expires_s + self.late_window_s


@attrs.frozen(kw_only=True)
class Wish:
    """What a caller wants to begin.

    Attributes
    ----------
    placed
        The backends that should hold the object.
    create
        Whether the path must be new.
    """

    kind: IntentKind
    placed: tuple[str, ...] = ()
    owner: str = ""
    lease_s: float = 60.0
    checksum: str = ""
    create: bool = False


@attrs.frozen(kw_only=True)
class Begun:
    """The intent is the caller's.

    Attributes
    ----------
    record
        What was known.
    quiet
        Who may be published to.
    marked
        To whose quiet own key a repair may send at once (R1); what is not sent is unmarked.
    """

    intent: Intent
    record: Record
    quiet: tuple[str, ...]
    now_s: float
    marked: tuple[str, ...] = ()
    complete: bool = False


@attrs.frozen
class Busy:
    """Somebody else's intent, whose lease has not ended."""

    intent: Intent
    left_s: float


@attrs.frozen
class TakenOver:
    """A dead holder's intent, now the caller's to settle; nobody else will (R10)."""

    intent: Intent
    record: Record


@attrs.frozen
class Exists:
    """The path had to be new, and is not."""


@attrs.frozen
class StoreIsFrozen:
    """No change is accepted."""

    frozen: Frozen


Beginning = Begun | Busy | TakenOver | Exists | StoreIsFrozen
