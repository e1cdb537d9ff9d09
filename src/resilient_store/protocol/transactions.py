"""The transactions on one path: every rule on what the catalog may be made to say.

Each function takes a `Record` and the `Moment`, and returns the record as it is to be stored
and an answer; the catalog runs it inside one database transaction. A function that refuses
returns the record as it was. Between two of them anything may happen: another process, a crash,
a request that lands minutes after it was given up. The rules R1 to R25 are docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from resilient_store.model.info import Headers
from resilient_store.model.state import (
    OWN,
    PAST_KEPT,
    Content,
    Entry,
    Intent,
    Phase,
    Record,
    Replica,
    State,
    Void,
)
from resilient_store.protocol.moment import (
    Beginning,
    Begun,
    Busy,
    Exists,
    Moment,
    StoreIsFrozen,
    TakenOver,
    Wish,
)


def begin(record: Record, moment: Moment, wish: Wish) -> tuple[Record, Beginning]:
    """Begin a change: the intent is durable, and keys are marked, before anything is sent.

    Notes
    -----
    Rules: R1, R2, R3, R7, R10.
    """
    if moment.store.frozen is not None and wish.kind != "repair":
        return record, StoreIsFrozen(moment.store.frozen)
    if record.intent is not None:
        if record.intent.expires_s > moment.now_s:
            return record, Busy(record.intent, record.intent.expires_s - moment.now_s)
        record = take_over(record, moment, wish)
        assert record.intent is not None
        return record, TakenOver(record.intent, record)
    if wish.create and record.present is not None:
        return record, Exists()
    quiet = tuple(name for name in wish.placed if moment.is_quiet(record.replica(name)))
    complete = knows_all(moment, wish.placed)
    is_new = complete and record.entry is None and not record.voids
    number = moment.new_id()
    intent = Intent(
        id=number,
        version=number,
        kind=wish.kind,
        token=f"{number}-{number}",
        direct=quiet if wish.kind == "write" and is_new else (),
        checksum=wish.checksum,
        owner=wish.owner,
        started_s=moment.now_s,
        expires_s=moment.now_s + wish.lease_s,
    )
    owed = tuple(name for name in quiet if _is_copy_owed(record, name))
    touched = {"write": wish.placed, "delete": everywhere(record, moment), "repair": owed}
    after = _marked(attrs.evolve(record, intent=intent), moment, touched.get(wish.kind, ()))
    return after, Begun(
        intent=intent,
        record=record,
        quiet=quiet,
        marked=owed if wish.kind == "repair" else (),
        now_s=moment.now_s,
        complete=complete,
    )


def _is_copy_owed(record: Record, backend: str) -> bool:
    return record.present is not None and record.owes(record.replica(backend))


def knows_all(moment: Moment, placed: Iterable[str]) -> bool:
    """Say whether nothing can lie on these backends that the catalog does not know (R3)."""
    return moment.store.complete and all(moment.store.backend(name).met for name in placed)


def everywhere(record: Record, moment: Moment) -> tuple[str, ...]:
    """Return every backend that can hold the path, drained and removed ones included."""
    met = (name for name, row in moment.store.backends.items() if row.met)
    return tuple(dict.fromkeys((*met, *record.replicas)))


def take_over(record: Record, moment: Moment, wish: Wish) -> Record:
    """Make a dead holder's intent the caller's, before any byte is touched (R10).

    What the settler sends to the own keys can be late too, so they are marked again (R1).
    """
    intent = record.intent
    assert intent is not None
    mine = attrs.evolve(
        intent,
        id=moment.new_id(),
        phase=Phase.SETTLING if intent.phase is Phase.OPEN else intent.phase,
        owner=wish.owner,
        expires_s=moment.now_s + wish.lease_s,
    )
    return _marked(attrs.evolve(record, intent=mine), moment, mine.direct)


def _marked(record: Record, moment: Moment, backends: Iterable[str]) -> Record:
    assert record.intent is not None
    until_s = moment.mark(record.intent)
    rows = [record.replica(name) for name in backends]
    return record.with_replicas(
        *(attrs.evolve(row, busy_until_s=max(row.busy_until_s, until_s)) for row in rows)
    )


def _is_mine(record: Record, intent_id: int) -> bool:
    return record.intent is not None and record.intent.id == intent_id


def _is_too_late(intent: Intent, moment: Moment) -> bool:
    """Say whether a freeze has counted a holder among the dead: what it began is not waited for."""
    frozen = moment.store.frozen is not None and intent.kind != "repair"
    return frozen and intent.expires_s <= moment.now_s


def renew(
    record: Record, moment: Moment, intent_id: int, lease_s: float, checksum: str = ""
) -> tuple[Record, bool]:
    """Lengthen a lease, and the marks with it; a stream's checksum joins on the way (R1, R11)."""
    before = record.intent
    if before is None or before.id != intent_id or _is_too_late(before, moment):
        return record, False
    intent = attrs.evolve(
        before,
        expires_s=max(before.expires_s, moment.now_s + lease_s),
        checksum=checksum or before.checksum,
    )
    marked = [n for n, row in record.replicas.items() if row.busy_until_s >= moment.mark(before)]
    return _marked(attrs.evolve(record, intent=intent), moment, marked), True


def place(
    record: Record,
    intent_id: int,
    direct: Iterable[str],
    looked: Mapping[str, str | None],
) -> tuple[Record, bool]:
    """Name the backends of direct writing, after a look under the intent (R3, R11).

    Parameters
    ----------
    looked
        The tag of what lies at each own key that could be looked at; None: nothing does.
    """
    if not _is_mine(record, intent_id) or record.intent is None:
        return record, False
    rows = [
        attrs.evolve(record.replica(name), looked=True, tag=None)
        for name, tag in looked.items()
        if tag is None
    ]
    intent = attrs.evolve(record.intent, direct=tuple(direct))
    return attrs.evolve(record, intent=intent).with_replicas(*rows), True


@attrs.frozen(kw_only=True)
class Placed:
    """What became of a version's bytes on one backend; the fields are those of a `Replica`."""

    state: State
    place: str | None = None
    tag: str | None = None
    error: str = ""


def commit(
    record: Record,
    moment: Moment,
    intent_id: int,
    *,
    content: Content,
    headers: Headers,
    placed: Mapping[str, Placed],
    derived_from: tuple[str, int | None] | None = None,
    ends: bool,
    unsent: Mapping[str, Replica | None] | None = None,
) -> tuple[Record, bool]:
    """Make a version the current one: the only moment that decides.

    Parameters
    ----------
    ends
        Whether nothing is left to publish, so that the intent ends here.
    unsent
        As in `finish`: to a backend that is known to be away nothing is sent.

    Returns
    -------
    tuple
        False, and nothing changed, where the intent is not the caller's any more (R4), or its
        lease has ended in a store that is frozen.
    """
    intent = record.intent
    if intent is None or intent.id != intent_id or intent.phase is not Phase.OPEN:
        return record, False
    if _is_too_late(intent, moment):
        return record, False
    before = record.entry
    entry = Entry(
        path=record.path,
        version=intent.version,
        content=content,
        headers=headers,
        derived_from=derived_from,
        created_s=before.created_s if before and not before.deleted else moment.now_s,
        modified_s=moment.now_s,
        past=remembered(record),
    )
    held = {name: _passed_over(row) for name, row in record.replicas.items()}
    for name, found in placed.items():
        held[name] = _held(held.get(name) or Replica(backend=name), found, intent.version)
    after = _unmarked(attrs.evolve(record, entry=entry, replicas=held, voids=()), unsent or {})
    if ends:
        return _ended(after, moment), True
    return attrs.evolve(after, intent=attrs.evolve(intent, phase=Phase.COMMITTED)), True


def remembered(record: Record) -> tuple[str, ...]:
    """Return the checksums that a new entry remembers: of earlier contents and failed ones."""
    return record.checksums[-PAST_KEPT:]


def _passed_over(row: Replica) -> Replica:
    """Return the row of a backend that a new version was not sent to."""
    if row.state is State.GONE:
        return row
    return attrs.evolve(row, state=State.STALE, place=None)


def _held(row: Replica, found: Placed, version: int) -> Replica:
    own = found.state is State.GOOD and found.place == OWN
    return attrs.evolve(
        row,
        version=version if found.state is State.GOOD else row.version,
        state=found.state,
        place=found.place,
        looked=row.looked or own,
        tag=found.tag if own else row.tag,
        error=found.error,
    )


def bury(record: Record, moment: Moment, intent_id: int) -> tuple[Record, bool]:
    """Write the tombstone: from this commit on the object is gone for everyone."""
    intent = record.intent
    if intent is None or intent.id != intent_id or intent.phase is not Phase.OPEN:
        return record, False
    if _is_too_late(intent, moment):
        return record, False
    entry = Entry(
        path=record.path,
        version=intent.version,
        content=None,
        created_s=moment.now_s,
        modified_s=moment.now_s,
        past=remembered(record),
    )
    rows = [
        attrs.evolve(record.replica(name), state=State.STALE, place=None)
        for name in everywhere(record, moment)
    ]
    done = attrs.evolve(intent, phase=Phase.COMMITTED)
    after = attrs.evolve(record, entry=entry, intent=done, voids=())
    return after.with_replicas(*rows), True


def check(record: Record, intent_id: int, version: int, purges: int) -> str:
    """Say what became of a commit whose answer was lost: open, committed, gone or unknown (R6).

    Unknown: others have changed the path since, perhaps over it.

    Parameters
    ----------
    purges
        The record's, when the intent began.
    """
    mine = record.intent is not None and record.intent.id == intent_id
    if mine and record.intent is not None and record.intent.phase is Phase.OPEN:
        return "open"
    current = 0 if record.entry is None else record.entry.version
    if mine or current == version:
        return "committed"
    is_taken = record.intent is not None and record.intent.version == version
    was_purged = record.entry is None and record.purges != purges
    return "gone" if is_taken or (current < version and not was_purged) else "unknown"


def touch(record: Record, moment: Moment, intent_id: int, backend: str) -> tuple[Record, bool]:
    """Mark a key just before something is sent to it; say whether it was quiet until now (R1)."""
    if not _is_mine(record, intent_id) or not moment.is_quiet(record.replica(backend)):
        return record, False
    return _marked(record, moment, (backend,)), True


def note(
    record: Record, intent_id: int, version: int, backend: str, changes: Mapping[str, Any]
) -> tuple[Record, bool]:
    """Record what the holder of the intent has done at one backend (R4)."""
    current = 0 if record.entry is None else record.entry.version
    if not _is_mine(record, intent_id) or current != version:
        return record, False
    return record.with_replicas(attrs.evolve(record.replica(backend), **changes)), True


def finish(
    record: Record,
    moment: Moment,
    intent_id: int,
    notes: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    version: int = 0,
    void: bool = False,
    unsent: Mapping[str, Replica | None] | None = None,
) -> tuple[Record, bool]:
    """End an intent, with the last notes; a creation that failed leaves a void (R4, R12).

    Parameters
    ----------
    unsent
        The rows, as they were, of keys that were marked when the intent began, and to which
        nothing was sent.
    """
    intent = record.intent
    if intent is None or intent.id != intent_id:
        return record, False
    record = _unmarked(record, unsent or {})
    for backend, changes in (notes or {}).items():
        record, _ = note(record, intent_id, version, backend, changes)
    if void and intent.direct:
        failed = Void(id=intent.id, checksum=intent.checksum, backends=intent.direct)
        record = attrs.evolve(record, voids=_bounded((*record.voids, failed)))
    return _ended(record, moment), True


def _unmarked(record: Record, rows: Mapping[str, Replica | None]) -> Record:
    """Take marks back; a row that is there for its mark only goes."""
    kept = dict(record.replicas)
    for name, row in rows.items():
        until_s = 0.0 if row is None else row.busy_until_s
        kept[name] = attrs.evolve(record.replica(name), busy_until_s=until_s)
        if row is None and kept[name] == Replica(backend=name):
            del kept[name]
    return attrs.evolve(record, replicas=kept)


def _bounded(voids: tuple[Void, ...]) -> tuple[Void, ...]:
    """Keep so many voids; where there are more, one that explains whatever lies there."""
    if len(voids) <= PAST_KEPT:
        return voids
    backends = dict.fromkeys(name for void in voids for name in void.backends)
    return (Void(id=voids[-1].id, backends=tuple(backends)),)


def _ended(record: Record, moment: Moment) -> Record:
    """End the intent; its marks shrink to what its last request can still do (R1)."""
    assert record.intent is not None
    mark, until_s = moment.mark(record.intent), moment.now_s + moment.late_window_s
    rows = [
        attrs.evolve(row, busy_until_s=until_s)
        for row in record.replicas.values()
        if row.busy_until_s == mark and until_s < mark
    ]
    return attrs.evolve(record.with_replicas(*rows), intent=None)
