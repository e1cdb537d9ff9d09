"""How the store is, on one screen, from the catalog and from what this process has met."""

from __future__ import annotations

import datetime as dt
import math

import attrs

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.backends.health import Kind
from resilient_store.catalog.contract import CatalogDownError, Stretch
from resilient_store.errors import ConfigurationError
from resilient_store.io.drive import to_end
from resilient_store.model.amount import Amount
from resilient_store.model.state import State, StoreState
from resilient_store.model.status import (
    BEHIND,
    NO_CATALOG,
    NO_ROW,
    NOT_COUNTED,
    WELL,
    BackendStatus,
    StoreStatus,
    Verdict,
    errors_of,
    judge,
    scan_of,
    use_of,
    warnings_of,
)
from resilient_store.store import Store, StoreOwner

PAGE = 5000
EMPTY = Verdict(
    state="UNAVAILABLE",
    happened="The catalog is empty: the store is new, or its catalog was lost.",
    to_do="If it was lost, call restore. If it is new, write the first object, or call adopt.",
)
RESTORING = Verdict(
    state="UNAVAILABLE",
    happened="The catalog is being restored, or a restore was stopped before its end.",
    to_do="Wait for its end; if nobody is at it, call restore again.",
)


def status(fs: StoreOwner, *, within: float = 10.0) -> StoreStatus:
    """Say how the store is. Asks no backend, and raises nothing because something is away.

    Parameters
    ----------
    fs
        The store, with a catalog or without.
    within
        Seconds for counting; a million objects take four of processor time. What was not
        counted by then is said to be so. 0 counts nothing.

    Returns
    -------
    StoreStatus
        An object; as text the screen; as JSON by ``to_json``. It holds no secret.

    Raises
    ------
    ConfigurationError
        `within` is not a number of at least 0, or the catalog needs a package that is not
        installed.

    Notes
    -----
    Promises: P6.
    """
    if not 0 <= within < math.inf:
        raise ConfigurationError(f"status: within={within!r} must be a finite number of at least 0")
    found: StoreStatus = to_end(fs.loop, status_of, fs.store, within)
    return found


async def status_of(store: Store, within: float = 10.0) -> StoreStatus:
    """Say how the store is, as `status` does."""
    if store.catalog is None:
        return _without_a_catalog(store)
    try:
        state = await store.known.state()
        now_s = await store.known.now_s()
        count = _Count()
        await _count(store, count, runtime.now_s() + within)
    except CatalogDownError as error:
        down = Verdict(
            state="UNAVAILABLE",
            happened=f"The catalog cannot be asked: {error}.",
            to_do="Bring the catalog back; a new store makes it with its first call.",
        )
        return _uncounted(store, down, errors_of(None, None, counted=False))
    if state is None or state.restoring:
        verdict = EMPTY if state is None else RESTORING
        return _uncounted(store, verdict, errors_of(None, None, counted=False))
    any_counted = count.ended or count.objects.count > 0
    counted = count if any_counted else None
    backends = tuple(_backend(store, client, state, counted) for client in _clients(store))
    well = WELL if count.ended else NOT_COUNTED
    verdict = judge(
        backends,
        frozen=state.frozen,
        refused=_refused(store, backends),
        lost=count.lost,
        well=well,
    )
    objects, lost = (count.objects, count.lost) if any_counted else (None, None)
    return StoreStatus(
        **attrs.asdict(verdict),
        maintained=_moment(state.maintained_s),
        scan=scan_of(state.scan),
        errors=errors_of(lost, objects, counted=count.ended),
        objects=objects,
        newest=count.newest if count.ended else None,
        lost=lost,
        counted=count.ended,
        warnings=warnings_of(state.maintained_s, now_s),
        backends=backends,
    )


def _without_a_catalog(store: Store) -> StoreStatus:
    backends = _uncounted_backends(store)
    refused = _refused(store, backends)
    verdict = judge(backends, frozen=None, refused=refused, lost=0, well=NO_CATALOG)
    return _uncounted(
        store, verdict, "not known: without a catalog nobody remembers what should be there"
    )


def _refused(store: Store, backends: tuple[BackendStatus, ...]) -> list[str]:
    in_use = {one.name for one in backends if one.state not in ("away", "drained")}
    return [pattern for pattern, enough in store.takes_writes(in_use).items() if not enough]


def _uncounted(store: Store, verdict: Verdict, errors: str) -> StoreStatus:
    return StoreStatus(**attrs.asdict(verdict), errors=errors, backends=_uncounted_backends(store))


def _uncounted_backends(store: Store) -> tuple[BackendStatus, ...]:
    return tuple(_backend(store, client, None, None) for client in _clients(store))


def _clients(store: Store) -> tuple[BackendClient, ...]:
    return tuple(store.clients.values())


def _moment(at_s: float) -> dt.datetime | None:
    return dt.datetime.fromtimestamp(at_s, dt.UTC) if at_s > 0 else None


# --- counting -----------------------------------------------------------------------------


@attrs.define
class _Count:
    """What was counted so far."""

    objects: Amount = attrs.field(factory=Amount)
    newest: int = 0
    lost: int = 0
    copies: dict[str, dict[str, Amount]] = attrs.field(factory=dict)
    least: dict[str, int] = attrs.field(factory=dict)
    ended: bool = False

    def add(self, stretch: Stretch) -> None:
        self.objects += stretch.objects
        self.newest = max(self.newest, stretch.newest)
        self.lost += stretch.lost
        for one in stretch.copies:
            self.add_copies(one.backend, one.state.value, one.amount, one.least)

    def add_copies(self, name: str, state: str, amount: Amount, least: int) -> None:
        copies = self.copies.setdefault(name, {})
        copies[state] = copies.get(state, Amount()) + amount
        if state in BEHIND:
            self.least[name] = min(least, self.least.get(name, least))

    def complete_up_to(self, name: str) -> int | None:
        if not self.ended:
            return None
        return self.least[name] - 1 if name in self.least else self.newest


async def _count(store: Store, count: _Count, until_s: float) -> None:
    """Count in steps, each of which ends in time, until the end or the moment given."""
    after = ""
    while runtime.now_s() < until_s:
        stretch = await store.known.stretch(after)
        count.add(stretch)
        await _count_never_sent(store, count, after, stretch)
        after = stretch.after
        if not after:
            count.ended = True
            return


async def _count_never_sent(store: Store, count: _Count, after: str, stretch: Stretch) -> None:
    """Count objects of which a backend they are placed on has no replica row (a new backend)."""
    rows: dict[str, int] = {}
    for one in stretch.copies:
        if one.state is not State.GONE:  # it may be placed there again
            rows[one.backend] = rows.get(one.backend, 0) + one.amount.count
    owed: dict[str, set[str]] = {}
    for name in store.writable:
        lacking = stretch.objects.count - rows.get(name, 0)
        if lacking > 0:
            some = await store.known.without(name, after, lacking)
            owed[name] = {path for path in some if name in store.placed(path)}
    left = stretch.objects.count if any(owed.values()) else 0
    while left > 0 and (page := await store.known.page("", after, min(left, PAGE))):
        for line in page:
            for name, paths in owed.items():
                if line.path in paths:
                    count.add_copies(name, NO_ROW, Amount(1, line.size), line.version)
        left, after = left - len(page), page[-1].path


# --- one backend --------------------------------------------------------------------------


def _backend(
    store: Store, client: BackendClient, state: StoreState | None, count: _Count | None
) -> BackendStatus:
    row = None if state is None else state.backend(client.name)
    reading, writing = _breaker(client, "read"), _breaker(client, "write")
    use = use_of(row, reading)
    return BackendStatus(
        name=client.name,
        domain=store.domains[client.name],
        state=use,
        reading=reading,
        writing="read-only" if client.backend.read_only else writing,
        since=_moment(row.failed_s) if row is not None and use == "away" else None,
        epoch=0 if row is None else row.epoch,
        copies=None if count is None else count.copies.get(client.name, {}),
        complete_up_to=None if count is None else count.complete_up_to(client.name),
    )


def _breaker(client: BackendClient, kind: Kind) -> str:
    health = client.health
    if health.is_closed(kind):
        return "closed"
    return f"{health.statistics()[kind]} ({health.reason(kind)})"
