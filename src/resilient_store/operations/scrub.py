"""Read replicas and verify them, before somebody needs them (P4)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import attrs
from fsspec.callbacks import DEFAULT_CALLBACK

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import ConfigurationError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.read import record_seen
from resilient_store.io.catalogued.scrub import Scrubbed, scrub_path
from resilient_store.io.drive import to_end
from resilient_store.io.paced import Paces, check_limits, work_through
from resilient_store.io.pages import merged
from resilient_store.io.prepare import prepare
from resilient_store.io.sharded import on_workers
from resilient_store.model import naming
from resilient_store.model.key_range import EVERYTHING, KeyRange
from resilient_store.model.outcome import Reply
from resilient_store.model.path import is_hidden, problem
from resilient_store.model.state import Record, Replica, Scan, State, StoreState
from resilient_store.protocol.findings import Seen
from resilient_store.store import Store, StoreOwner

PAGE = 500
NOTED_EVERY_S = 30.0
RECORDED_AT_ONCE = 100


@attrs.define(kw_only=True)
class ScrubReport:
    """What a scrub saw. What was found bad is in the repair queue.

    Attributes
    ----------
    checked
        Replicas that were verified.
    bad
        Those among them that are missing or corrupt.
    bytes_read
        Their bytes that were read for it.
    missing
        Path to the backends where it was not found. The first 10,000 are named.
    corrupt
        Path to the backends where its bytes are others than they should be. The first 10,000 are
        named.
    silent
        Path to a reason: a replica that could not be asked for.
    unknown
        Keys that the catalog does not know, to the backends that show them; `adopt` brings them
        in, or says why no object may have such a key. The first 10,000 are named.
    unlisted
        Replies of backends that could not be listed to the end, so that unknown keys may lie
        there.
    unnamed
        How many more there are of those that are named.
    """

    checked: int = 0
    bad: int = 0
    bytes_read: int = 0
    missing: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    corrupt: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    silent: dict[str, str] = attrs.field(factory=dict)
    unknown: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    unlisted: tuple[Reply[Any], ...] = ()
    unnamed: int = 0

    @property
    def clean(self) -> bool:
        """Whether every replica that was to be checked could be read, and was good."""
        return not (self.missing or self.corrupt or self.silent)

    def add(self, one: Scrubbed) -> None:
        """Count what was read of one path."""
        self.bytes_read += one.bytes_read
        self._name(self.silent, one.path, "; ".join(reply.words() for reply in one.silent))

    def add_recorded(self, path: str, recorded: Sequence[Seen]) -> None:
        """Count what was recorded of one path: the rest was changed meanwhile."""
        self.checked += len(recorded)
        self.bad += sum(one.state is not State.GOOD for one in recorded)
        for where, state in ((self.missing, State.MISSING), (self.corrupt, State.CORRUPT)):
            self._name(where, path, tuple(s.by.backend for s in recorded if s.state is state))

    def add_unknown(self, key: str, backends: tuple[str, ...]) -> None:
        """Note a key that the catalog does not know."""
        self._name(self.unknown, key, backends)

    def absorb(self, other: ScrubReport) -> None:
        """Add what was seen of another part of the store."""
        self.checked += other.checked
        self.bad += other.bad
        self.bytes_read += other.bytes_read
        self.unnamed += other.unnamed
        for kind in ("missing", "corrupt", "silent"):
            self.unnamed += naming.name(getattr(self, kind), getattr(other, kind))

    def _name(self, where: dict[str, Any], path: str, what: object) -> None:
        if what:
            self.unnamed += naming.name(where, {path: what})


def scrub(
    fs: StoreOwner,
    *,
    sample: float | None = None,
    max_age: float | None = None,
    deep: bool = True,
    unknown: bool = True,
    backends: Sequence[str] | None = None,
    at_once: int = 8,
    requests_per_s: float | None = None,
    bytes_per_s: float | None = None,
    client: Any = None,
    callback: Any = DEFAULT_CALLBACK,
) -> ScrubReport:
    """Read the replicas of all objects and hold them against their checksums.

    What is bad or missing goes to the repair queue; an adopted object gets checksums of its own.
    One that was killed is gone on with by `max_age`: what it verified is not due again.

    Parameters
    ----------
    fs
        The store; it has a catalog.
    sample
        The share of replicas to verify, drawn by chance: above 0, at most 1; None: all.
    max_age
        Only what was not verified for so many seconds; None: whenever it was.
    deep
        Whether to read the bytes. False: where a platform's tag is still the one that these
        bytes got when they were written, that stands in; a disk's tag never does.
    unknown
        Whether to list the backends, too, for keys that the catalog does not know.
    backends
        Only what these hold, drained ones too; None: all that are not drained.
    at_once
        Objects that are verified at one time.
    requests_per_s, bytes_per_s
        What no platform is asked for more than; None: as much as it takes.
    client
        A Dask client, on whose workers parts of the store are verified; the limits are each
        worker's. None: all of it here.
    callback
        An fsspec callback, told of objects that were looked through. Not told of what workers do.

    Raises
    ------
    ConfigurationError
        There is no catalog, or an argument is wrong.
    CatalogUnavailableError
        The catalog cannot be had.

    Notes
    -----
    Promises: P4, P6. Rules: R16.
    """
    if fs.store.catalog is None:
        raise ConfigurationError("scrub needs a catalog, which knows the checksums")
    options = {
        "at_once": at_once,
        "sample": sample,
        "max_age": max_age,
        "deep": deep,
        "backends": backends,
        "requests_per_s": requests_per_s,
        "bytes_per_s": bytes_per_s,
    }
    if client is None:
        kept: Any = {**options, "unknown": unknown, "callback": callback}
        return to_end(fs.loop, scrub_all, fs.store, **kept)
    report = ScrubReport()
    for one in on_workers(client, fs, _scrub_part, options):
        report.absorb(one)
    if unknown:
        to_end(fs.loop, _find_unknown, fs.store, _asked(fs.store, backends), report)
    return report


def _scrub_part(fs: StoreOwner, part: KeyRange, options: dict[str, Any]) -> ScrubReport:
    return to_end(fs.loop, scrub_all, fs.store, **options, unknown=False, part=part)


@attrs.frozen
class _Choice:
    """Which replicas are due."""

    backends: tuple[str, ...]
    sample: float
    before_s: float | None

    def due(self, record: Record) -> list[str]:
        """Return the backends whose replica of a record is to be verified."""
        rows = [row for row in record.holders() if row.backend in self.backends]
        return [row.backend for row in rows if self._is_old(row) and self._is_drawn()]

    def _is_old(self, row: Replica) -> bool:
        return (
            self.before_s is None or row.verified_at_s is None or row.verified_at_s < self.before_s
        )

    def _is_drawn(self) -> bool:
        return self.sample >= 1 or runtime.uniform(0, 1) < self.sample


async def scrub_all(
    store: Store,
    at_once: int = 8,
    *,
    sample: float | None = None,
    max_age: float | None = None,
    deep: bool = True,
    unknown: bool = True,
    backends: Sequence[str] | None = None,
    requests_per_s: float | None = None,
    bytes_per_s: float | None = None,
    part: KeyRange = EVERYTHING,
    callback: Any = DEFAULT_CALLBACK,
) -> ScrubReport:
    """Scrub, as `scrub` says."""
    limits = {"requests_per_s": requests_per_s, "bytes_per_s": bytes_per_s}
    check_limits("scrub", at_once=at_once, sample=sample, max_age=max_age, **limits)
    _check(store, tuple(backends or ()), sample)
    await prepare(store)
    names = _asked(store, backends)
    report, paces = ScrubReport(), Paces(store, **limits)
    recording = _Recording(store, report)

    async def work(due: tuple[Record, list[str]]) -> None:
        record, holders = due
        entry = record.present
        assert entry is not None
        assert entry.content is not None
        await paces.wait_for(holders, entry.content.size if deep else 0)
        seen = await scrub_path(store, record, holders, deep=deep)
        report.add(seen)
        await recording.add(seen)

    try:
        began_s = await store.known.now_s()
        before_s = None if max_age is None else began_s - max_age
        choice = _Choice(names, 1.0 if sample is None else sample, before_s)
        is_whole = part == EVERYTHING and sample is None and backends is None
        noting = _Noting(store, report, began_s) if is_whole else None
        await work_through(_due(store, choice, part, callback, noting), work, at_once)
        await recording.flush()
        if noting is not None:
            await noting.note("", ended=True)
        if unknown:
            await _find_unknown(store, names, report)
    except CatalogDownError as error:
        raise unavailable("", error) from None
    return report


def _asked(store: Store, backends: Sequence[str] | None) -> tuple[str, ...]:
    """Return whose replicas are verified: nobody reads from a drained one, unless it is named."""
    if backends is not None:
        return tuple(backends)
    return tuple(name for name in store.clients if not store.is_drained(name))


def _check(store: Store, names: tuple[str, ...], sample: float | None) -> None:
    for name in names:
        if name not in store.clients:
            known = ", ".join(store.clients)
            raise ConfigurationError(f"scrub: there is no backend {name!r}; there are {known}")
    if sample is not None and sample > 1:
        raise ConfigurationError(f"scrub: sample={sample!r} is a share: 1 is all")


class _Recording:
    """Records what was seen: of many objects in one transaction, and at once what is bad."""

    def __init__(self, store: Store, report: ScrubReport) -> None:
        self._store, self._report = store, report
        self._seen: dict[str, list[Seen]] = {}

    async def add(self, one: Scrubbed) -> None:
        """Record it now or with others."""
        if one.seen:
            self._seen[one.path] = one.seen
        is_bad = any(seen.state is not State.GOOD for seen in one.seen)
        if is_bad or len(self._seen) >= RECORDED_AT_ONCE:
            await self.flush()

    async def flush(self) -> None:
        """Record what is left."""
        seen, self._seen = self._seen, {}
        if seen:
            for path, recorded in (await record_seen(self._store, seen)).items():
                self._report.add_recorded(path, recorded)


class _Noting:
    """Notes now and then how far a scrub has come, for whoever asks for the status."""

    def __init__(self, store: Store, report: ScrubReport, began_s: float) -> None:
        self._store, self._report = store, report
        self._began_s = began_s
        self._noted_s = -math.inf

    async def note(self, at: str, *, ended: bool = False) -> None:
        """Note it, unless that was done just now."""
        if ended or runtime.now_s() - self._noted_s >= NOTED_EVERY_S:
            self._noted_s = runtime.now_s()
            report = self._report
            scan = Scan(began_s=self._began_s, at=at, checked=report.checked, bad=report.bad)
            await self._store.known.change_state(
                lambda state, now_s: _noted(state, attrs.evolve(scan, ended_s=now_s * ended))
            )


def _noted(state: StoreState | None, scan: Scan) -> StoreState:
    assert state is not None, "a store that was prepared has an identity"
    return attrs.evolve(state, scan=scan)


async def _due(
    store: Store, choice: _Choice, part: KeyRange, callback: Any, noting: _Noting | None
) -> AsyncGenerator[tuple[Record, list[str]]]:
    after, ended = part.after, False
    while not ended and (page := await store.known.names("", after, runtime.page(PAGE))):
        page, after = part.within(page, str)
        ended = not after
        if noting is not None and page:
            await noting.note(page[0])
        for record in await store.known.records(page):
            if record.present is not None and (due := choice.due(record)):
                yield record, due
        callback.relative_update(len(page))


async def _find_unknown(store: Store, names: tuple[str, ...], report: ScrubReport) -> None:
    """Look for keys that the catalog knows nothing of: a listing is a hint, and only that."""
    failed: dict[str, Reply[Any]] = {}
    async with contextlib.aclosing(
        merged({name: store.clients[name] for name in names}, failed)
    ) as pages:
        async for found in pages:
            listed = {key: tuple(words) for key, words in found if not is_hidden(key)}
            # A disk has names that are no text, and no catalog can be asked for one.
            keys = [key for key in listed if problem(key) is None]
            present = set(await store.known.present(keys))
            records = await store.known.records([key for key in keys if key not in present])
            known = present.union(one.path for one in records if not one.is_empty)
            for key, backends in listed.items():
                if key not in known:
                    report.add_unknown(key, backends)
    report.unlisted = tuple(failed[name] for name in names if name in failed)
