"""What may be recorded of what was found: by readers, discovery, adoption and the purge.

Nobody here holds the path's intent but the purge, so each record is a compare-and-set: it is
made only where nothing has changed since the finder looked (R13, R14, R16).
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from resilient_store.model.info import Headers
from resilient_store.model.state import OWN, Content, Entry, Record, Replica, State
from resilient_store.protocol.moment import Moment
from resilient_store.protocol.transactions import everywhere, remembered


@attrs.frozen(kw_only=True)
class Seen:
    """What a reader saw at one backend, and by which row it looked there.

    Attributes
    ----------
    by
        The row that it read by.
    state
        ``GOOD`` (verified), ``MISSING`` or ``CORRUPT``.
    """

    by: Replica
    version: int
    state: State
    error: str = ""


def observe(record: Record, moment: Moment, seen: Seen) -> tuple[Record, bool]:
    """Record what a reader saw, where version, place and tag are still those it read by (R16).

    That it was good is no news of what was found bad, or doubted, since.
    """
    row = record.replica(seen.by.backend)
    current = record.present is not None and record.present.version == seen.version
    same = (row.version, row.place, row.tag) == (seen.by.version, seen.by.place, seen.by.tag)
    outdated = seen.state is State.GOOD and row.state is not seen.by.state
    if not current or not same or outdated or row.version != seen.version:
        return record, False
    verified_s = moment.now_s if seen.state is State.GOOD else row.verified_at_s
    return record.with_replicas(
        attrs.evolve(row, state=seen.state, verified_at_s=verified_s, error=seen.error)
    ), True


@attrs.frozen(kw_only=True)
class Discovered:
    """What lies at the own keys of a path that the catalog does not know.

    Attributes
    ----------
    content, headers
        Of the object, as far as they are known.
    holders
        Backend to its tag, where these very bytes lie.
    others
        Backend to its tag, where other bytes lie.
    nowhere
        Backends that said "not found"; all others are unknown.
    by
        The record that was looked up before the backends were asked.
    """

    content: Content
    headers: Headers
    holders: Mapping[str, str | None]
    others: Mapping[str, str | None]
    nowhere: tuple[str, ...]
    by: Record
    created_s: float


def discover(record: Record, moment: Moment, found: Discovered) -> tuple[Record, bool]:
    """Record an object that nobody knew, unless anything happened to its path meanwhile (R14).

    The finder has left out what a void explains, so that only new voids forbid it.
    """
    same = (record.voids, record.purges) == (found.by.voids, found.by.purges)
    quiet = all(one.entry is None and one.intent is None for one in (record, found.by))
    if not quiet or not same:
        return record, False
    version = moment.new_id()
    entry = Entry(
        path=record.path,
        version=version,
        content=found.content,
        headers=found.headers,
        created_s=found.created_s,
        modified_s=found.created_s,
        past=remembered(record),
    )
    rows = []
    for name in everywhere(record, moment):
        row = record.replica(name)
        if name in found.holders:
            row = attrs.evolve(row, version=version, state=State.GOOD, place=OWN)
            row = attrs.evolve(row, looked=True, tag=found.holders[name])
        elif name in found.others:
            row = attrs.evolve(row, state=State.FOREIGN, looked=False)
        elif name in found.nowhere or row.state is State.GONE:  # taken away when nothing was owed
            row = attrs.evolve(row, state=State.MISSING, looked=True, tag=None)
        rows.append(row)
    return attrs.evolve(record, entry=entry, voids=()).with_replicas(*rows), True


UNRECORDED = 0  # the version of an object that has none


def unrecorded(found: Discovered) -> Record:
    """Describe an object that nobody may record, for somebody is at work on its path (R14).

    It is of no version, and counts for whoever found it and for nobody else.
    """
    entry = Entry(
        path=found.by.path,
        version=UNRECORDED,
        content=found.content,
        headers=found.headers,
        created_s=found.created_s,
        modified_s=found.created_s,
    )
    rows = [
        Replica(backend=name, version=UNRECORDED, state=State.GOOD, place=OWN, looked=True, tag=tag)
        for name, tag in found.holders.items()
    ]
    return Record(path=found.by.path, entry=entry).with_replicas(*rows)


def enrich(record: Record, _: Moment, version: int, content: Content) -> tuple[Record, bool]:
    """Give an adopted version checksums of its own, computed from its bytes."""
    entry = record.present
    if entry is None or entry.version != version or entry.content is None:
        return record, False
    if entry.content.kind == "chunked" or entry.content.size != content.size:
        return record, False
    return attrs.evolve(record, entry=attrs.evolve(entry, content=content)), True


def doubt(record: Record, moment: Moment, backend: str) -> Record:
    """Believe nothing of what a backend holds until it was verified, and fence who does (R19).

    Where the current version was staged, or may have been, is remembered: nobody else could
    find it again, and the sweep would take it for garbage.
    """
    row, entry = record.replica(backend), record.present
    state = State.STALE if entry is None else State.UNKNOWN
    place = None if entry is None or row.place == OWN else row.place
    doubted = attrs.evolve(row, state=state, place=place, looked=False, tag=None)
    after = record.with_replicas(doubted)
    if record.intent is None:
        return after
    return attrs.evolve(after, intent=attrs.evolve(record.intent, id=moment.new_id()))


def purge(
    record: Record, moment: Moment, intent_id: int, looked: Mapping[str, Replica], began_s: float
) -> tuple[Record, bool]:
    """Forget a tombstone or the voids of a path, where nothing of it can come back (R13).

    Parameters
    ----------
    looked
        The rows of the backends that were looked at and found empty, as they were then.
    began_s
        When the look began, on the catalog's clock: only a look that *began* on quiet keys
        proves anything.
    """
    mine = record.intent is not None and record.intent.id == intent_id
    if not mine or record.present is not None:
        return record, False
    at_the_look = attrs.evolve(moment, now_s=began_s)
    for name in everywhere(record, moment):
        row = record.replica(name)
        if looked.get(name) != row or not at_the_look.is_quiet(row):
            return record, False
    return attrs.evolve(record, entry=None, replicas={}, voids=(), purges=record.purges + 1), True
