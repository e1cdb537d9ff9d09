"""Bring objects that lie in the backends already into the catalog."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Literal

import attrs

from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import BackendsUnavailableError, ConfigurationError
from resilient_store.io.catalogued.adopt import Adopted, adopt_path
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.numbers import STAGING, go_on_above, highest_in
from resilient_store.io.drive import each, to_end
from resilient_store.io.fanout import fan_out
from resilient_store.io.prepare import prepare
from resilient_store.model.path import is_hidden, problem
from resilient_store.model.state import StoreState
from resilient_store.store import Store, StoreOwner

Choice = Literal["report", "newest"]

AT_ONCE = 8


@attrs.define(kw_only=True)
class AdoptReport:
    """What was adopted, and what was not.

    Attributes
    ----------
    adopted
        Paths that the catalog knows now.
    known
        How many it knew already.
    conflicts
        Path to the backends whose bytes differ; nothing was changed there.
    failed
        Path to reason: a backend did not answer, or somebody was at work there.
    refused
        Keys that no object of a store may have, with the reason.
    complete
        Whether the catalog knows all paths of its store now.
    """

    adopted: list[str] = attrs.field(factory=list)
    known: int = 0
    conflicts: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    failed: dict[str, str] = attrs.field(factory=dict)
    refused: dict[str, str] = attrs.field(factory=dict)
    complete: bool = False

    def add(self, one: Adopted) -> None:
        """Count what became of one path."""
        if one.conflict:
            self.conflicts[one.path] = one.conflict
        elif one.why:
            self.failed[one.path] = one.why
        elif one.new:
            self.adopted.append(one.path)
        else:
            self.known += 1


def adopt(
    fs: StoreOwner,
    *,
    paths: Iterable[str] | None = None,
    backends: Iterable[str] | None = None,
    on_conflict: Choice = "report",
    complete: bool = True,
) -> AdoptReport:
    """Record what lies in the backends and is not in the catalog; no object is moved or copied.

    Where several backends hold the same bytes they become replicas of one object; `repair`
    brings it to the others. May be killed and called again.

    Parameters
    ----------
    fs
        The store; it has a catalog.
    paths
        Only these; None: whatever the backends list.
    backends
        Only what these list; None: all of them.
    on_conflict
        ``"report"``: where the bytes under one path differ nothing is changed. ``"newest"``: the
        latest written counts, also over what the catalog knows; the others are kept in
        ``.resilient/quarantine/`` by the next repair.
    complete
        Whether the catalog knows all paths afterwards; only with neither `paths` nor `backends`,
        and only if nothing failed. While others write to a backend, say False.

    Raises
    ------
    ConfigurationError
        There is no catalog, or an argument is wrong.
    BackendsUnavailableError
        A backend could not be listed, or the catalog cannot be had.

    Notes
    -----
    Promises: P7, P9. Rules: R14.
    """
    if fs.store.catalog is None:
        raise ConfigurationError("adopt needs a catalog to bring the objects into")
    if on_conflict not in ("report", "newest"):
        raise ConfigurationError(f"on_conflict={on_conflict!r} must be 'report' or 'newest'")
    report: AdoptReport = to_end(
        fs.loop,
        adopt_all,
        fs.store,
        None if paths is None else list(paths),
        None if backends is None else tuple(backends),
        on_conflict,
        complete=complete,
    )
    return report


async def adopt_all(
    store: Store,
    paths: list[str] | None = None,
    backends: tuple[str, ...] | None = None,
    on_conflict: Choice = "report",
    *,
    complete: bool = True,
) -> AdoptReport:
    """Adopt, as `adopt` says."""
    await prepare(store)
    report = AdoptReport()
    names = tuple(store.clients) if backends is None else backends
    for name in names:
        if name not in store.clients:
            raise ConfigurationError(f"there is no backend {name!r}")
    found, highest = (paths, 0) if paths is not None else await _listed(store, names, report)
    calls = [functools.partial(adopt_path, store, p, newest=on_conflict == "newest") for p in found]
    for path, one in zip(found, await each(calls, AT_ONCE), strict=True):
        if isinstance(one, Adopted):
            report.add(one)
            highest = max(highest, one.highest)
        elif isinstance(one, OSError):
            report.failed[path] = str(one)
        else:
            raise one
    knows_all = complete and backends is None and not report.conflicts
    state: StoreState | None
    try:
        await go_on_above(store, highest)  # a catalog that was lost had drawn it
        if paths is None and not report.failed:
            state = await store.known.change_state(
                functools.partial(_adopted, names=names, knows_all=knows_all)
            )
        else:
            state = await store.known.state()
    except CatalogDownError as error:
        raise unavailable("", error) from None
    report.complete = state is not None and state.complete
    return report


async def _listed(
    store: Store, names: tuple[str, ...], report: AdoptReport
) -> tuple[list[str], int]:
    """List the backends: a hint of what to look at, never a fact (R14).

    Returns
    -------
    tuple
        The paths, and the highest number that names in staging say.
    """
    replies = await fan_out(store, names, lambda client: client.list("", recursive=True))
    failed = [reply for reply in replies.values() if not reply.ok]
    if failed:
        raise BackendsUnavailableError("", failed, "Nothing was adopted")
    keys = {i.key for r in replies.values() for i in r.value or () if not i.directory}
    mine = sorted(key for key in keys if not is_hidden(key))
    wrong = {key: why for key in mine if (why := problem(key))}
    report.refused.update(wrong)
    staged = (key.removeprefix(STAGING) for key in keys if key.startswith(STAGING))
    highest = max((highest_in(key.partition("/")[0]) for key in staged), default=0)
    return [key for key in mine if key not in wrong], highest


def _adopted(
    state: StoreState | None, _: float, *, names: tuple[str, ...], knows_all: bool
) -> StoreState:
    assert state is not None, "a store that was prepared has an identity"
    rows = {}
    for name in names:
        row = attrs.evolve(state.backend(name), came_back=False)
        rows[name] = attrs.evolve(row, known=row.known or knows_all)
    return attrs.evolve(
        state, backends={**state.backends, **rows}, complete=state.complete or knows_all
    )
