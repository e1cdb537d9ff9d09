"""Bring a lost catalog back: from the newest snapshot, and from what is newer in the backends."""

from __future__ import annotations

import datetime as dt
import functools
import tempfile
from collections.abc import Iterable
from typing import Any, BinaryIO

import attrs
from fsspec.callbacks import DEFAULT_CALLBACK

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.catalog import dump
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import (
    BackendsUnavailableError,
    ConfigurationError,
    IntegrityError,
    StoreIdentityError,
)
from resilient_store.io.catalogued import snapshots
from resilient_store.io.catalogued.answers import doubt_all
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.numbers import MARGIN, go_on_above, mark
from resilient_store.io.catalogued.reconcile import Reconciled, reconcile_all
from resilient_store.io.catalogued.snapshots import Copy, Whole
from resilient_store.io.catalogued.survey import survey
from resilient_store.io.catalogued.suspects import Suspects
from resilient_store.io.copy import run_local
from resilient_store.io.drive import to_end
from resilient_store.io.fanout import fan_out
from resilient_store.io.identity import WAYS_ON
from resilient_store.model.outcome import Reply
from resilient_store.model.state import BackendRow, Frozen, StoreState
from resilient_store.store import Store, StoreOwner

WHY_FROZEN = "its catalog is being restored"


@attrs.define(kw_only=True)
class RestoreReport:
    """What was restored, and what a person should look at.

    Attributes
    ----------
    key
        Where the snapshot lay that was taken.
    backend
        Where it was read.
    taken
        When it was made, on its catalog's clock.
    objects
        How many it knew.
    skipped
        Backend and key of each copy of a snapshot that was passed over, to why.
    away
        Backends that could not be listed: what they hold is unknown.
    newer
        How many objects have a version that the snapshot did not know.
    doubtful
        Such versions that fewer backends are seen to hold than an acknowledged one must be on: a
        write that was never acknowledged, one that has lost copies since, or one that lies on a
        backend that is away. They count.
    vanished
        Objects of the snapshot of which nothing lies on any backend that answered: deleted or
        moved since, or lost, or on one that is away. Reads say that they cannot be known; delete
        them, or write them again.
    partly
        Object to the backends that held it in the snapshot and hold nothing now, while others do:
        it was deleted while those others were away, or has lost copies. It counts, so that a
        deleted one may be back.
    unclear
        Object to the backends with other bytes of which nothing says what they are: published since
        on a backend that keeps no metadata, or somebody else's. Where they are not at its own key
        they lie under ``.resilient/staging/``, until a `sweep` removes them.
    failed
        Path to reason.
    complete
        Whether the catalog knows all paths of its store.
    replaces
        In a dry run: what is in the catalog now, in a sentence; empty where that is nothing.
    """

    key: str
    backend: str
    taken: dt.datetime
    objects: int
    skipped: dict[str, str] = attrs.field(factory=dict)
    away: tuple[str, ...] = ()
    newer: int = 0
    doubtful: list[str] = attrs.field(factory=list)
    vanished: list[str] = attrs.field(factory=list)
    partly: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    unclear: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    failed: dict[str, str] = attrs.field(factory=dict)
    complete: bool = False
    replaces: str = ""

    def add(self, one: Reconciled) -> None:
        """Count what became of one path."""
        self.newer += one.newer
        if one.doubtful:
            self.doubtful.append(one.path)
        if one.vanished:
            self.vanished.append(one.path)
        if one.partly:
            self.partly[one.path] = one.partly
        if one.unclear:
            self.unclear[one.path] = one.unclear
        if one.why:
            self.failed[one.path] = one.why


def restore(
    fs: StoreOwner, *, callback: Any = DEFAULT_CALLBACK, dry_run: bool = False
) -> RestoreReport:
    """Fill a new catalog from the newest snapshot that verifies, then from what is newer.

    End every process of the store first. Until it has ended, the catalog refuses every call; it
    may be killed and called again.

    Parameters
    ----------
    fs
        The store; its catalog is new, empty or gone.
    callback
        An fsspec callback; counts rows of the snapshot, then paths that were looked at.
    dry_run
        Find the snapshot, verify it, and say what is in the catalog now; change nothing, and look
        at no object. May be tried on a store in use.

    Returns
    -------
    RestoreReport
        What was restored, and what a person should look at.

    Raises
    ------
    ConfigurationError
        There is no catalog, or it is in use, or there is no snapshot: the text says what to do.
    StoreIdentityError
        The backends are of different stores.
    IntegrityError
        There are snapshots, and none is whole.
    BackendsUnavailableError
        So many backends are away that they alone may hold what was acknowledged, or the catalog
        cannot be had.

    Notes
    -----
    Promises: P1, P2, P4, P8. What was deleted after the snapshot, while a backend was away, may
    come back. Rules: R7, R10, R12, R18, R19.
    """
    if fs.store.catalog is None:
        raise ConfigurationError("restore needs a catalog to bring back")
    report: RestoreReport = to_end(
        fs.loop, restore_all, fs.store, callback=callback, dry_run=dry_run
    )
    return report


async def restore_all(
    store: Store, callback: Any = DEFAULT_CALLBACK, *, dry_run: bool = False
) -> RestoreReport:
    """Restore, as `restore` says."""
    try:
        if not dry_run:
            await store.known.prepare()
            _refuse_used(await store.known.state())
        with tempfile.TemporaryFile(prefix="resilient-") as file, Suspects() as suspects:
            whole, report = await _newest(store, file)
            if dry_run:
                report.replaces = await _replaced(store)
            else:
                mine = await _fill(store, whole, file, callback)
                await _catch_up(store, suspects, whole, report, callback)
                await _open(store, report, mine)
    except CatalogDownError as error:
        raise unavailable("", error) from None
    finally:
        for client in store.clients.values():
            client.doubt()
    return report


def _refuse_used(state: StoreState | None) -> None:
    if state is not None and not state.restoring:
        raise ConfigurationError(
            "this catalog is in use, and a restore would overwrite what it knows. Where it is "
            "well there is nothing to restore; else give a new one: another file or an empty "
            "database, or move this one away"
        )


async def _replaced(store: Store) -> str:
    try:
        state = await store.known.state()
    except CatalogDownError as error:
        return f"nothing that could be read: {error}"
    if state is None or state.restoring:
        return "" if state is None else "what a restore that has not ended brought so far"
    return "a catalog that is in use: a restore would be refused"


def _refuse_other(state: StoreState | None, mine: str) -> None:
    if state is None or state.restoring != mine:
        raise ConfigurationError(
            "another restore of this catalog has begun since: leave it to that"
        )


# --- the snapshot -------------------------------------------------------------------------


async def _newest(store: Store, file: BinaryIO) -> tuple[Whole, RestoreReport]:
    """Bring the newest snapshot that verifies into a local file."""
    copies = await _copies(store)
    skipped: dict[str, str] = {}
    for copy in copies:
        client = _trusted(store.clients[copy.backend])
        whole = await snapshots.fetch(client, copy, file)
        if isinstance(whole, str):
            skipped[f"{copy.backend}: {copy.key}"] = whole
            continue
        return whole, RestoreReport(
            key=copy.key,
            backend=copy.backend,
            taken=dt.datetime.fromtimestamp(whole.head.taken_s, dt.UTC),
            objects=whole.dumped.objects,
            skipped=skipped,
        )
    if skipped:
        said = "; ".join(f"{copy} ({why})" for copy, why in skipped.items())
        raise IntegrityError(copies[0].key, note=f"No snapshot is whole: {said}. {NO_SNAPSHOT}")
    raise ConfigurationError(f"there is no snapshot on {', '.join(store.clients)}. {NO_SNAPSHOT}")


NO_SNAPSHOT = (
    "The catalog can still be made anew from the objects: remove .resilient/store.json from every "
    "backend, then call rs.adopt"
)


def _trusted(client: BackendClient) -> BackendClient:
    """Ask nobody whose a backend is, for the catalog that knows it is gone."""
    client.trust()
    return client


async def _copies(store: Store) -> list[Copy]:
    """Return this store's snapshots on all backends, the newest first."""
    whose = await fan_out(store, store.clients, lambda c: snapshots.identity_of(_trusted(c)))
    found = {name: reply.value.store for name, reply in whose.items() if reply.value is not None}
    if len(set(found.values())) > 1:
        said = ", ".join(f"{name} of {store}" for name, store in sorted(found.items()))
        raise StoreIdentityError(f"the backends are of different stores: {said}. {WAYS_ON}")
    listed = await fan_out(store, store.clients, lambda c: snapshots.find(_trusted(c)))
    if not any(reply.ok for reply in listed.values()):
        raise BackendsUnavailableError("", listed.values(), "No backend could be asked")
    copies = [copy for reply in listed.values() for copy in reply.value or ()]
    mine = [copy for copy in copies if copy.store in found.values() or not found]
    _refuse_alone(store, [reply for reply in (*whose.values(), *listed.values()) if not reply.ok])
    return sorted(mine, key=lambda copy: -copy.number)


def _refuse_alone(store: Store, failed: Iterable[Reply[Any]]) -> None:
    """Refuse where those that are away may hold alone what was acknowledged: it would be lost."""
    away = {reply.backend: reply for reply in failed}
    groups = [placement.backends for placement in store.configuration.placements]
    for group in (*groups, store.writable):
        placed = [name for name in store.writable if name in group]
        alone = away.keys() & set(placed)
        if alone and store.demand_of(placed).is_met(set(alone), store.domains):
            raise BackendsUnavailableError(
                "",
                away.values(),
                "They alone may hold what was written since the snapshot. Where they are gone for "
                "good, leave them out of the store's backends and call restore again",
            )


# --- into the catalog ---------------------------------------------------------------------


async def _fill(store: Store, whole: Whole, file: BinaryIO, callback: Any) -> str:
    """Store what the snapshot holds, in transactions of bounded size; nobody may use it so far.

    Returns
    -------
    str
        The name of this restore, which ends where another begins.
    """
    catalog, head = store.known, whole.head
    mine = runtime.new_id()

    def begin(state: StoreState | None, now_s: float) -> StoreState:
        _refuse_used(state)
        frozen = Frozen(why=WHY_FROZEN, who=store.owner, since_s=now_s)
        return StoreState(identity=head.identity, frozen=frozen, restoring=mine)

    await catalog.change_state(begin)
    await catalog.wipe()
    await catalog.raise_counter(max(head.counter, head.number) + MARGIN)
    callback.set_size(whole.dumped.rows)
    settings: list[dump.Row] = []
    await run_local(lambda: file.seek(0))
    blocks = dump.read(file)
    while block := await run_local(lambda: next(blocks, None)):
        table, rows = block
        if table == "settings":
            settings += rows  # last: until then the store is frozen
        elif table != dump.HEAD and rows:
            _refuse_other(await catalog.state(), mine)
            await catalog.load(table, rows)
        if table != dump.HEAD:
            callback.relative_update(len(rows))
    await catalog.load("settings", settings)
    return mine


async def _catch_up(
    store: Store, suspects: Suspects, whole: Whole, report: RestoreReport, callback: Any
) -> None:
    """Take from the backends what is newer, then let the catalog be used."""
    for client in store.clients.values():
        client.doubt()  # the snapshot knows which epoch each must carry (R19)
    found, failed = await survey(store, suspects)
    _refuse_alone(store, failed)
    report.away = tuple(reply.backend for reply in failed)
    for name in report.away:
        await doubt_all(store, name)
    head = whole.head
    highest = max(head.counter, head.number)
    await go_on_above(store, max(highest, found.highest))
    callback.set_size(whole.dumped.rows + await run_local(suspects.count))
    async for one in reconcile_all(store, found, head.number, callback):
        report.add(one)
    await go_on_above(store, max(highest, found.highest))
    await mark(store)


async def _open(store: Store, report: RestoreReport, mine: str) -> None:
    """Let the catalog be used: from now on, every own key is busy for Z (R18)."""
    listed = [name for name in store.clients if name not in report.away]
    carried = await fan_out(store, listed, snapshots.identity_of)
    epochs = {n: reply.value.epoch for n, reply in carried.items() if reply.value is not None}
    certain = not (report.away or report.failed or report.unclear)
    state = await store.known.change_state(
        functools.partial(_opened, mine=mine, epochs=epochs, certain=certain)
    )
    report.complete = state.complete


def _opened(
    state: StoreState | None,
    now_s: float,
    *,
    mine: str,
    epochs: dict[str, int],
    certain: bool,
) -> StoreState:
    _refuse_other(state, mine)
    assert state is not None, "it was begun"
    rows = {
        name: _heard(row, now_s, epochs.get(name, 0), is_away=name not in epochs)
        for name, row in state.backends.items()
    }
    ours = state.frozen is not None and state.frozen.why == WHY_FROZEN
    return attrs.evolve(
        state,
        backends=rows,
        complete=state.complete and certain,
        frozen=None if ours else state.frozen,
        restoring="",
        restored_s=now_s,
        rounds={},  # as of the snapshot: nobody is at work in them
    )


def _heard(row: BackendRow, now_s: float, epoch: int, *, is_away: bool) -> BackendRow:
    """Return a backend's row as it is after a restore.

    What the snapshot says of its answers is of another time. Its epoch is raised by the first
    repair after Z: one that was sent before the catalog was lost may still land.
    """
    return attrs.evolve(
        row,
        epoch=max(row.epoch, epoch),
        raised_s=now_s,
        raise_due=row.met,
        known=row.known and not is_away,
        answered_s=now_s - 1.0 if is_away else now_s,
        failed_s=now_s if is_away else 0.0,
        away_from_s=0.0,
        back_s=0.0,
    )
