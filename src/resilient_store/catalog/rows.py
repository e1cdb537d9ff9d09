"""From rows to records and back, and what to write where a record has become another.

Text goes into the database as it is, but for the little that PostgreSQL cannot hold (a null
character) or no database can (half a surrogate pair, out of a broken header): that is written
as JSON behind an escape.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from resilient_store.catalog.contract import Alike, Holding, Stretch, Summary
from resilient_store.catalog.driver import Asked, Row
from resilient_store.catalog.loading import ENTRY, INTENT
from resilient_store.catalog.schema import bucket, folded
from resilient_store.catalog.statements import Statements
from resilient_store.model.amount import Amount
from resilient_store.model.info import Headers
from resilient_store.model.key_range import KeyRange
from resilient_store.model.round import Lease, Round
from resilient_store.model.state import (
    BackendRow,
    Content,
    Entry,
    Frozen,
    Intent,
    Phase,
    Record,
    Replica,
    Scan,
    State,
    StoreState,
    Void,
)

ESCAPE = "\x1b"

_ENTRY_AT = 3  # after the path, the purge count and the voids
_INTENT_AT = _ENTRY_AT + len(ENTRY)
_REPLICA_AT = _INTENT_AT + len(INTENT)
_NO_VOIDS = (None, "[]")  # as PostgreSQL and as SQLite gather none
_NO_HEADERS = Headers()
_STATES = {state.value: state for state in State}
_PHASES = {phase.value: phase for phase in Phase}


# --- text ---------------------------------------------------------------------------------


def encode(value: str | None) -> str | None:
    """Write any string as text that every database holds."""
    if value is None or (value.isascii() and "\0" not in value and not value.startswith(ESCAPE)):
        return value
    awkward = "\0" in value or value.startswith(ESCAPE) or any(map(_is_surrogate, value))
    return ESCAPE + json.dumps(value) if awkward else value


def _is_surrogate(sign: str) -> bool:
    return "\ud800" <= sign <= "\udfff"


def decode(text: str | None) -> Any:
    """Undo `encode`."""
    return json.loads(text[1:]) if text and text[0] == ESCAPE else text


# --- loading ------------------------------------------------------------------------------


def record_of(path: str, rows: list[Row]) -> Record:
    """Make a record of what `load` returned of one path."""
    first = rows[0]
    held = sorted(row[_REPLICA_AT:] for row in rows if row[_REPLICA_AT] is not None)
    return Record(
        path=path,
        entry=_entry_of(path, first[_ENTRY_AT:_INTENT_AT]),
        replicas={columns[0]: _replica_of(columns) for columns in held},
        intent=_intent_of(first[_INTENT_AT:_REPLICA_AT]),
        voids=_voids_of(first[2]) if first[2] not in _NO_VOIDS else (),
        purges=first[1] or 0,
    )


def records_of(paths: Sequence[str], rows: list[Row]) -> list[Record]:
    """Make the records of some paths, in the caller's order, of the rows of all of them."""
    rows_of: dict[str, list[Row]] = {}
    for row in rows:
        rows_of.setdefault(row[0], []).append(row)
    return [record_of(path, rows_of[path]) for path in paths]


def _entry_of(path: str, columns: Row) -> Entry | None:
    version, size, kind, checksum, content_type, created_s, modified_s = columns[:7]
    chunk_bytes, derived_path, derived_version, headers, past, chunks = columns[7:]
    if version is None:
        return None
    content = None
    if kind is not None:
        content = Content(
            size=size, kind=kind, checksum=checksum, chunk_bytes=chunk_bytes, chunks=bytes(chunks)
        )
    return Entry(
        path=path,
        version=version,
        content=content,
        headers=_headers_of(content_type, headers),
        derived_from=None if derived_path is None else (derived_path, derived_version),
        created_s=created_s,
        modified_s=modified_s,
        past=tuple(json.loads(past)) if past else (),
    )


def _headers_of(content_type: str | None, rest: str) -> Headers:
    if content_type is None and not rest:
        return _NO_HEADERS
    return Headers(content_type=decode(content_type), **(json.loads(rest) if rest else {}))


def _intent_of(columns: Row) -> Intent | None:
    number, version, kind, token, phase, direct, checksum, owner, started_s, expires_s = columns
    if number is None:
        return None
    return Intent(
        id=number,
        version=version,
        kind=kind,
        token=decode(token),
        phase=_PHASES[phase],
        direct=tuple(json.loads(direct)),
        checksum=checksum,
        owner=decode(owner),
        started_s=started_s,
        expires_s=expires_s,
    )


def _replica_of(columns: Row) -> Replica:
    backend, version, state, place, looked, tag, busy_until_s, verified_at_s, error = columns
    return Replica(
        backend=backend,
        version=version,
        state=_STATES[state],
        place=decode(place),
        looked=looked == 1,
        tag=decode(tag),
        busy_until_s=busy_until_s,
        verified_at_s=verified_at_s,
        error=decode(error),
    )


def _voids_of(gathered: str) -> tuple[Void, ...]:
    rows = sorted(json.loads(gathered))
    return tuple(
        Void(id=number, checksum=checksum, backends=tuple(json.loads(backends)))
        for number, checksum, backends in rows
    )


def summary_of(row: Row) -> Summary:
    """Make a line of a listing."""
    summary = Summary(*row)
    if summary.content_type is None or not summary.content_type.startswith(ESCAPE):
        return summary
    return summary._replace(content_type=decode(summary.content_type))


def holdings_of(rows: list[Row]) -> list[Holding]:
    """Gather the rows of each object, which follow each other."""
    return [
        Holding(path, size, tuple(sorted(row[-1] for row in some if row[-1] is not None)))
        for (path, size), some in itertools.groupby(rows, key=lambda row: row[:2])
    ]


def stretch_of(totals: Row, lost: int, alike: list[Row], *, ended: bool) -> Stretch:
    """Gather what objects add up to; PostgreSQL's sums of whole numbers come as text."""
    reach, count, size, newest = totals
    copies: dict[tuple[str, State], Alike] = {}
    for backend, said, current, number, bytes_, first in alike:
        state = State.MISSING if said is None else _STATES[said]
        if state is State.GOOD and not current:
            state = State.STALE
        key = (backend or "", state)
        one, old = Alike(*key, Amount(number, int(bytes_)), first), copies.get(key)
        if old is not None:
            one = Alike(*key, old.amount + one.amount, min(old.least, one.least))
        copies[key] = one
    ordered = sorted(copies.values(), key=lambda one: (one.backend, one.state.value))
    objects = Amount(count, int(size or 0))
    return Stretch("" if ended else reach, objects, newest or 0, lost, tuple(ordered))


def state_of(settings: list[Row], backends: list[Row]) -> StoreState | None:
    """Make the store's state; None where it was never stored."""
    said: dict[str, str] = dict(settings)
    if "identity" not in said:
        return None
    return StoreState(
        identity=decode(said["identity"]),
        complete=said.get("complete") == "1",
        frozen=Frozen(**json.loads(said["frozen"])) if "frozen" in said else None,
        restoring=said.get("restoring", ""),
        restored_s=float(said.get("restored", "0")),
        backends={row[0]: _backend_of(row) for row in backends},
        maintained_s=float(said.get("maintained", 0.0)),
        scan=Scan(**json.loads(said["scan"])) if "scan" in said else None,
        rounds={job: _round_of(one) for job, one in json.loads(said.get("rounds", "{}")).items()},
    )


def _round_of(plain: dict[str, Any]) -> Round:
    leases = [Lease(**{**one, "part": KeyRange(**one["part"])}) for one in plain["leases"]]
    return Round(**{**plain, "leases": tuple(leases)})


def _backend_of(row: Row) -> BackendRow:
    name, domain, met, known, drained, suspect, came_back, epoch, raised_s, *more = row
    raise_due, answered_s, failed_s, away_from_s, back_s = more
    return BackendRow(
        name=name,
        domain=decode(domain),
        met=met == 1,
        known=known == 1,
        drained=drained == 1,
        suspect=suspect == 1,
        came_back=came_back == 1,
        epoch=epoch,
        raised_s=raised_s,
        raise_due=raise_due == 1,
        answered_s=answered_s,
        failed_s=failed_s,
        away_from_s=away_from_s,
        back_s=back_s,
    )


# --- saving -------------------------------------------------------------------------------


def differences(sql: Statements, before: Record, after: Record) -> Iterator[Asked]:
    """Say what to write so that a record becomes another one of the same path."""
    assert before.path == after.path
    path = before.path
    if after.entry != before.entry:
        if after.entry is None:
            yield sql.drop_entry, {"path": path}
        else:
            yield sql.put_entry, _entry_row(after.entry)
    yield from _replica_differences(sql, before, after)
    if after.intent != before.intent:
        if after.intent is None:
            yield sql.drop_intent, {"path": path}
        else:
            yield sql.put_intent, _intent_row(path, after.intent)
    yield from _void_differences(sql, before, after)
    if after.purges != before.purges:
        added = after.purges - before.purges
        yield sql.put_purges, {"bucket": bucket(path), "count": added}


def _replica_differences(sql: Statements, before: Record, after: Record) -> Iterator[Asked]:
    for name in before.replicas:
        if name not in after.replicas:
            yield sql.drop_replica, {"path": before.path, "backend": name}
    for name, row in after.replicas.items():
        owed, old = after.owes(row), before.replicas.get(name)
        if row != old or owed != before.owes(old):
            yield sql.put_replica, _replica_row(before.path, row, owed=owed)


def _void_differences(sql: Statements, before: Record, after: Record) -> Iterator[Asked]:
    if after.voids == before.voids:
        return
    old = {void.id: void for void in before.voids}
    new = {void.id: void for void in after.voids}
    for number in old.keys() - new.keys():
        yield sql.drop_void, {"path": before.path, "id": number}
    for number, void in new.items():
        if old.get(number) != void:
            backends = json.dumps(void.backends)
            row = {"path": before.path, "id": number, "checksum": void.checksum}
            yield sql.put_void, {**row, "backends": backends}


def _entry_row(entry: Entry) -> dict[str, Any]:
    content = entry.content
    row = dict.fromkeys(("size", "kind", "checksum", "chunk_bytes", "chunks"))
    if content is not None:
        row = attrs.asdict(content)
    headers = {name: value for name, value in entry.headers.as_dict().items() if value}
    headers.pop("content_type", None)
    derived_path, derived_version = entry.derived_from or (None, None)
    return {
        **row,
        "path": entry.path,
        "version": entry.version,
        "deleted": int(entry.deleted),
        "folded": folded(entry.path),
        "content_type": encode(entry.headers.content_type),
        "created_s": entry.created_s,
        "modified_s": entry.modified_s,
        "derived_path": derived_path,
        "derived_version": derived_version,
        "headers": json.dumps(headers) if headers else "",
        "past": json.dumps(entry.past) if entry.past else "",
    }


def _intent_row(path: str, intent: Intent) -> dict[str, Any]:
    return {
        "path": path,
        "id": intent.id,
        "version": intent.version,
        "kind": intent.kind,
        "token": encode(intent.token),
        "phase": intent.phase.value,
        "direct": json.dumps(intent.direct),
        "checksum": intent.checksum,
        "owner": encode(intent.owner),
        "started_s": intent.started_s,
        "expires_s": intent.expires_s,
    }


def _replica_row(path: str, row: Replica, *, owed: bool) -> dict[str, Any]:
    return {
        "path": path,
        "backend": row.backend,
        "version": row.version,
        "state": row.state.value,
        "place": encode(row.place),
        "looked": int(row.looked),
        "tag": encode(row.tag),
        "busy_until_s": row.busy_until_s,
        "verified_at_s": row.verified_at_s,
        "error": encode(row.error),
        "owed": int(owed),
    }


def state_differences(
    sql: Statements, before: StoreState | None, after: StoreState
) -> Iterator[Asked]:
    """Say what to write so that a store's state becomes another."""
    old, new = _settings_of(before), _settings_of(after)
    for name in old.keys() - new.keys():
        yield sql.drop_setting, {"name": name}
    for name, value in new.items():
        if old.get(name) != value:
            yield sql.put_setting, {"name": name, "value": value}
    known: Mapping[str, BackendRow] = {} if before is None else before.backends
    for name in known:
        if name not in after.backends:
            yield sql.drop_backend, {"name": name}
    for name, row in after.backends.items():
        if known.get(name) != row:
            yield sql.put_backend, _backend_row(name, row)


def _settings_of(state: StoreState | None) -> dict[str, str]:
    if state is None:
        return {}
    said = {"identity": encode(state.identity) or "", "complete": str(int(state.complete))}
    if state.frozen is not None:
        said["frozen"] = json.dumps(attrs.asdict(state.frozen))
    if state.maintained_s:
        said["maintained"] = repr(state.maintained_s)
    if state.scan is not None:
        said["scan"] = json.dumps(attrs.asdict(state.scan))
    if state.rounds:
        plain = {job: attrs.asdict(one) for job, one in state.rounds.items()}
        said["rounds"] = json.dumps(plain)
    if state.restoring:
        said["restoring"] = state.restoring
    if state.restored_s:
        said["restored"] = repr(state.restored_s)
    return said


def _backend_row(name: str, row: BackendRow) -> dict[str, Any]:
    plain = {n: int(v) if isinstance(v, bool) else v for n, v in attrs.asdict(row).items()}
    return {**plain, "name": name, "domain": encode(row.domain)}
