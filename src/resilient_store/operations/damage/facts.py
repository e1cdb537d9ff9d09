"""What a damage report consists of, whichever form it is written in."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter

import attrs

from resilient_store.model.damage import KINDS, DamagedObject, Kind, Quarantine
from resilient_store.operations.damage.spool import Spool, in_order

Groups = Iterator[tuple[str, Iterator[DamagedObject]]]

_GROUP_AND_PATH = attrgetter("group", "path")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Facts:
    """What was found, and when and how it was looked for; `DamageReport` says what each means."""

    made_at: dt.datetime
    complete: bool = True
    restored_at: dt.datetime | None = None
    away: Mapping[str, dt.datetime | None] = attrs.field(factory=dict)
    group_by: str | None = None
    quarantine: Quarantine | None = None
    found: Mapping[Kind, Spool] = attrs.field(factory=lambda: {kind: Spool() for kind in KINDS})

    def groups(self, items: Iterable[DamagedObject]) -> Groups:
        """Yield each group with its objects; without a pattern there is one, without a name."""
        ordered = in_order(items, _GROUP_AND_PATH) if self.group_by is not None else items
        return itertools.groupby(ordered, attrgetter("group"))
