"""Bring one path's replicas to what its placement asks, under the path's intent (R17)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
from typing import Any, Literal

import attrs

from resilient_store.backends.client import BackendClient
from resilient_store.backends.upload import UploadClient
from resilient_store.errors import ConcurrentWriteError, ObjectError
from resilient_store.io.catalogued import own_key, server_side
from resilient_store.io.catalogued import read as versions
from resilient_store.io.catalogued.begin import begin
from resilient_store.io.catalogued.create import create
from resilient_store.io.catalogued.holder import Holder, key_of
from resilient_store.io.catalogued.labels import labelled
from resilient_store.io.catalogued.learning import (
    NOTHING,
    found_out,
    is_current,
    is_older,
    note_learnt,
)
from resilient_store.io.catalogued.settle import settle
from resilient_store.io.catalogued.sidecar import describe, drop
from resilient_store.io.drive import protected
from resilient_store.io.identity import owe_epoch
from resilient_store.io.stream import BLOCK_BYTES
from resilient_store.model.checksum import ChunkedChecksum
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import OWN, Entry, Replica, State
from resilient_store.model.step import Step
from resilient_store.protocol import findings
from resilient_store.protocol.account import Verdict
from resilient_store.protocol.moment import Wish
from resilient_store.protocol.native import NativeChecksum
from resilient_store.runtime import reach
from resilient_store.store import Store

Ending = Literal["done", "waiting", "failed", "at work"]


@attrs.define
class Repaired:
    """What repair did for one path, and whether anything is left to do.

    Attributes
    ----------
    begun, changed
        Numbers of the store's counter: when it was repaired, and when the path was last changed.
    """

    path: str
    ending: Ending = "done"
    copied: list[str] = attrs.field(factory=list)
    removed: list[str] = attrs.field(factory=list)
    purged: bool = False
    why: str = ""
    throttled: bool = False
    begun: float = math.inf
    changed: int = 0

    def left(self, ending: Ending, why: str) -> None:
        """Say that something is left to do; a failure says more than a wait."""
        if self.ending != "failed":
            self.ending, self.why = ending, why

    def failed(self, reply: Reply[Any]) -> None:
        """Say that a backend did not do what it was asked."""
        self.throttled = self.throttled or reply.outcome is Outcome.THROTTLED
        self.left("failed", reply.words())


async def repair_path(store: Store, path: str, placed: tuple[str, ...] | None = None) -> Repaired:
    """Repair one path as far as it can be now.

    Parameters
    ----------
    placed
        Bring it to these backends, and leave all others alone; None: to where it is placed.

    Notes
    -----
    Promises: P1, P3, P7. Rules: R1, R2, R9, R13, R17.
    """
    report = Repaired(path)
    wish = Wish(
        kind="repair",
        placed=store.placed(path) if placed is None else placed,
        owner=store.owner,
        lease_s=store.configuration.lease,
    )
    try:
        holder = await begin(store, path, wish, settle, wait_s=0.0)
    except ConcurrentWriteError as error:
        report.left("at work", error.note)
        return report
    reach(Step.REPAIR_BEGUN)
    report.begun, report.changed = holder.intent.id, holder.record.changed
    try:
        if holder.record.present is not None:
            notes = await _repair_object(holder, wish.placed, report, only=placed is not None)
            if not await holder.finish(notes, version=holder.record.present.version):
                raise holder.taken()
            report.copied += [n for n, said in notes.items() if said.get("state") is State.GOOD]
        else:
            await _repair_absence(holder, report)
            await holder.finish()
        if report.purged:
            reach(Step.REPAIR_FORGOTTEN)
    except ObjectError as error:  # the lease is over, or the catalog is away
        report.left("failed", str(error))
    except asyncio.CancelledError:
        with contextlib.suppress(ObjectError):  # the lease ends by itself
            await protected(holder.finish())
        raise
    return report


async def _repair_object(
    holder: Holder, placed: tuple[str, ...], report: Repaired, *, only: bool
) -> dict[str, own_key.Notes]:
    """Do what is owed on each backend; return what is to be noted when the intent ends."""
    notes: dict[str, own_key.Notes] = {}
    store, entry = holder.store, holder.record.present
    assert entry is not None
    assert entry.content is not None
    others = () if only else tuple(n for n in holder.record.replicas if n not in placed)
    for name in (*placed, *others):
        row = holder.record.replica(name)
        client = store.clients.get(name)
        if client is None or store.is_drained(name):
            continue
        if name not in placed:
            await _repair_elsewhere(holder, client, row, report)
        elif created := await _bring(holder, client, row, report):
            notes[name] = created
    return notes


async def _bring(
    holder: Holder, client: BackendClient, row: Replica, report: Repaired
) -> own_key.Notes | None:
    """Bring the current version to a backend; return what is to be noted when the intent ends."""
    entry = holder.record.present
    assert entry is not None
    may_hold = row.state is State.UNKNOWN and client.name in holder.record.replicas
    if may_hold and client.name in holder.quiet:
        row = await found_out(holder, client, row, entry)
    if row.state is not State.GOOD or row.version != entry.version:
        if created := await create(holder, client, row):
            reply, notes = created
            if not reply.ok:
                report.failed(reply)
            return notes
        copied = await _copy(holder, client, row, report)
        if copied is None:
            return None
        row = copied
    if row.place != OWN:
        await _publish(holder, client, row, report)
    return None


async def _repair_elsewhere(
    holder: Holder, client: BackendClient, row: Replica, report: Repaired
) -> None:
    """Do what is owed on a backend on which the path is not placed."""
    if row.state is State.UNKNOWN and (row.place is None or holder.record.holders()):
        await _find_out(holder, client, row, report)
    elif client.backend.read_only:
        return
    elif row.state in (State.STALE, State.CORRUPT, State.FOREIGN):
        await _clear(holder, client, report)


async def _find_out(holder: Holder, client: BackendClient, row: Replica, report: Repaired) -> None:
    """Learn what such a backend holds; an older version of the object goes."""
    entry = holder.record.present
    assert entry is not None
    if not await holder.touch(client.name):
        report.left("waiting", f"{client.name}: a late request may still land at its own key")
        return
    found = await own_key.look(holder, client)
    if found.verdict is None:
        report.failed(found.reply)
    elif found.verdict is Verdict.EMPTY:
        if holder.store.believes_absence(client.name):
            await holder.note(client.name, entry.version, NOTHING)
    elif found.info is not None and await is_current(holder, client, found.info, entry):
        await note_learnt(holder, row, own_key.in_place(entry, found.tag))
    elif found.info is not None and is_older(found, entry):
        await note_learnt(holder, row, {"state": State.STALE, "place": None})
        if not client.backend.read_only:
            await _remove(holder, client, report)
    else:
        report.left("failed", f"{client.name}: other bytes lie there than the current ones")


async def _copy(
    holder: Holder, client: BackendClient, row: Replica, report: Repaired
) -> Replica | None:
    """Make a backend hold the current version, in staging for now."""
    entry = holder.record.present
    assert entry is not None
    reply = await _stage(holder, client, entry)
    if not reply.ok:
        report.failed(reply)
        if client.name in holder.record.replicas:  # a new row would say that it may hold something
            await holder.note(client.name, entry.version, {"error": reply.words()})
        return None
    reach(Step.REPAIR_STAGED)
    changes: own_key.Notes = {
        "version": entry.version,
        "state": State.GOOD,
        "place": holder.intent.token,
        "error": "",
    }
    if not await holder.note(client.name, entry.version, changes):
        raise holder.taken()
    reach(Step.REPAIR_NOTED)
    report.copied.append(client.name)
    return attrs.evolve(row, **changes)


async def _stage(holder: Holder, client: BackendClient, entry: Entry) -> Reply[Any]:
    """Copy verified bytes into staging, block by block; never from an unverified source."""
    assert entry.content is not None
    copying = await server_side.copying(holder, client, holder.staging)
    if copying is not None and (copied := await copying()) is not None:
        return copied
    content = entry.content
    checksum = content.checksum if content.kind == "chunked" else ""

    async def copy(upload: UploadClient) -> Reply[Any]:
        offset, copied, native = 0, ChunkedChecksum(), NativeChecksum(content)
        while True:
            end = min(content.size, offset + BLOCK_BYTES)
            await holder.ready_for(client.backend.timeout)
            had, replies = await versions.read_version(holder.store, holder.record, offset, end)
            if had is None:
                said = "; ".join(reply.words() for reply in replies) or "no replica is left"
                later = any(reply.outcome is Outcome.THROTTLED for reply in replies)
                outcome = Outcome.THROTTLED if later else Outcome.UNAVAILABLE
                return Reply(client.name, outcome, detail=f"no source: {said}")
            copied.update(had.data)
            native.update(had.data)
            written = await upload.write(had.data)
            if not written.ok or end == content.size:
                break
            offset = end
        is_whole = copied.text == checksum if checksum else native.verifies
        if written.ok and not is_whole:
            detail = "the source changed while it was copied, or is not what its platform stated"
            return Reply(client.name, Outcome.CORRUPT, detail=detail)
        return written

    headers = labelled(entry.headers, entry.version, checksum)
    reply = await own_key.uploaded(client, holder.staging, headers, copy)
    if reply.value is None:
        return reply
    return await describe(client, holder.staging, reply.value, headers)


async def _publish(holder: Holder, client: BackendClient, row: Replica, report: Repaired) -> None:
    """Bring a counted copy from staging to its own key, if that is quiet (R2)."""
    entry = holder.record.present
    assert entry is not None
    assert entry.content is not None
    if not await holder.touch(client.name):
        report.left("waiting", f"{client.name}: a late request may still land at its own key")
        return
    staged = key_of(row.place, holder.path)
    reply, notes = await own_key.publish(holder, client, staged, entry.content.size, quiet=True)
    reach(Step.REPAIR_PUBLISHED)
    if reply.outcome is Outcome.NOT_FOUND and holder.store.believes_absence(client.name):
        notes = {"state": State.MISSING, "error": "the staged copy is gone"}
    if not await holder.note(client.name, entry.version, notes):
        raise holder.taken()
    if notes.get("place") != OWN:
        report.failed(reply)
        return
    reach(Step.REPAIR_COUNTED)
    report.copied.append(client.name)
    await drop(client, staged)


async def _clear(holder: Holder, client: BackendClient, report: Repaired) -> None:
    """Remove an older version from a backend on which the path is not placed any more."""
    if not await holder.touch(client.name):
        report.left("waiting", f"{client.name}: a late request may still land at its own key")
        return
    await _remove(holder, client, report)


async def _remove(holder: Holder, client: BackendClient, report: Repaired) -> None:
    reply, notes = await own_key.remove(holder, client)
    reach(Step.REPAIR_REMOVED)
    entry = holder.record.entry
    await holder.note(client.name, 0 if entry is None else entry.version, notes)
    if notes.get("state") is State.GONE:
        report.removed.append(client.name)
    else:
        report.failed(reply)


async def _repair_absence(holder: Holder, report: Repaired) -> None:
    """Replay a deletion, or clear up after a creation that failed; then forget it (R13)."""
    store, record = holder.store, holder.record
    version = 0 if record.entry is None else record.entry.version
    state = await store.known.state()
    assert state is not None, "a store that was prepared has an identity"
    names = [name for name, row in state.backends.items() if row.met]
    looked: dict[str, Replica] = {}
    for name in dict.fromkeys((*names, *record.replicas)):
        client = store.clients.get(name)
        if client is None:
            report.left("failed", f"{name} is not among the backends, and may hold it")
            continue
        if store.is_drained(name):
            report.left("waiting", f"{name} is drained")
            continue
        found = await own_key.look(holder, client)
        row = record.replica(name)
        if found.verdict is Verdict.EMPTY and store.believes_absence(name):
            await _note_gone(holder, row, version, looked)
        elif found.verdict is None or found.verdict is Verdict.EMPTY:
            report.failed(found.reply)
        elif record.entry is None and found.verdict is Verdict.FOREIGN:
            report.left("failed", f"{name}: other bytes lie there; adopt them")
        else:
            await _clear(holder, client, report)
    reach(Step.REPAIR_LOOKED)
    await _purge(holder, looked, report)


async def _note_gone(
    holder: Holder, row: Replica, version: int, looked: dict[str, Replica]
) -> None:
    looked[row.backend] = attrs.evolve(row, **NOTHING)
    if row != looked[row.backend]:
        await holder.note(row.backend, version, NOTHING)


async def _purge(holder: Holder, looked: dict[str, Replica], report: Repaired) -> None:
    placed = holder.store.placed(holder.path)
    if report.ending == "done" and all(name in holder.quiet for name in looked if name in placed):
        await owe_epoch(holder.store)  # before: who dies after the purge can tell nobody of it
    report.purged = await holder.change(
        functools.partial(
            findings.purge,
            intent_id=holder.intent.id,
            looked=looked,
            began_s=holder.began_s,
        )
    )
    if report.purged:
        reach(Step.REPAIR_PURGED)
    if not report.purged and report.ending == "done":
        report.left("waiting", "a late request may still land")
