"""Read replicas and verify them, before somebody needs them (P4)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import attrs
from fsspec.callbacks import DEFAULT_CALLBACK

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import ConfigurationError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.scrub import Scrubbed, scrub_path
from resilient_store.io.drive import to_end
from resilient_store.io.fanout import fan_out
from resilient_store.io.paced import Paces, check_limits, work_through
from resilient_store.io.prepare import prepare
from resilient_store.io.sharded import on_workers
from resilient_store.model.key_range import EVERYTHING, KeyRange
from resilient_store.model.outcome import Reply
from resilient_store.model.path import is_hidden
from resilient_store.model.state import Record, Replica
from resilient_store.store import Store, StoreOwner

PAGE = 500
NAMED = 10_000  # so many paths are named in a report


@attrs.define(kw_only=True)
class ScrubReport:
    """What a scrub saw. What was found bad is in the repair queue.

    Attributes
    ----------
    checked
        Replicas that were verified.
    bytes_read
        Their bytes that were read for it.
    missing, corrupt
        Path to the backends where it was found so. The first 10,000 of each are named.
    silent
        Path to a reason: a replica that could not be asked for.
    unknown
        Keys that some backend shows and the catalog does not know; `adopt` brings them in.
    unlisted
        Replies of backends that could not be listed, so that unknown keys may lie there.
    unnamed
        How many more there are of those that are named.
    """

    checked: int = 0
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
        """Count what was seen of one path."""
        self.checked += len(one.good) + len(one.missing) + len(one.corrupt)
        self.bytes_read += one.bytes_read
        self._name(self.missing, one.path, tuple(one.missing))
        self._name(self.corrupt, one.path, tuple(one.corrupt))
        self._name(self.silent, one.path, "; ".join(reply.words() for reply in one.silent))

    def add_unknown(self, backend: str, key: str) -> None:
        """Note a key that the catalog does not know."""
        self._name(self.unknown, key, (*self.unknown.get(key, ()), backend))

    def absorb(self, other: ScrubReport) -> None:
        """Add what was seen of another part of the store."""
        self.checked += other.checked
        self.bytes_read += other.bytes_read
        self.unnamed += other.unnamed
        for name in ("missing", "corrupt", "silent"):
            for path, what in getattr(other, name).items():
                self._name(getattr(self, name), path, what)

    def _name(self, where: dict[str, Any], path: str, what: object) -> None:
        if what and (path in where or len(where) < NAMED):
            where[path] = what
        elif what:
            self.unnamed += 1


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

    async def work(due: tuple[Record, list[str]]) -> None:
        record, holders = due
        entry = record.present
        assert entry is not None
        assert entry.content is not None
        await paces.wait_for(holders, entry.content.size if deep else 0)
        report.add(await scrub_path(store, record, holders, deep=deep))

    try:
        before_s = None if max_age is None else await store.known.now_s() - max_age
        choice = _Choice(names, 1.0 if sample is None else sample, before_s)
        await work_through(_due(store, choice, part, callback), work, at_once)
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


async def _due(
    store: Store, choice: _Choice, part: KeyRange, callback: Any
) -> AsyncGenerator[tuple[Record, list[str]]]:
    after, ended = part.after, False
    while not ended and (page := await store.known.names("", after, runtime.page(PAGE))):
        page, after = part.within(page, str)
        ended = not after
        for record in await store.known.records(page):
            if record.present is not None and (due := choice.due(record)):
                yield record, due
        callback.relative_update(len(page))


async def _find_unknown(store: Store, names: tuple[str, ...], report: ScrubReport) -> None:
    """Look for keys that the catalog knows nothing of: a listing is a hint, and only that."""
    replies = await fan_out(store, names, lambda client: client.list("", recursive=True))
    report.unlisted = tuple(reply.bare() for reply in replies.values() if not reply.ok)
    for name, reply in replies.items():
        keys = [one.key for one in reply.value or () if not one.directory]
        mine = sorted(key for key in keys if not is_hidden(key))
        for start in range(0, len(mine), PAGE):
            some = mine[start : start + PAGE]
            present = set(await store.known.present(some))
            for record in await store.known.records([key for key in some if key not in present]):
                if record.is_empty:
                    report.add_unknown(name, record.path)
