"""What the loss of a failure domain would cost, before it happens; and the bill, in outline."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

import attrs
from fsspec.callbacks import DEFAULT_CALLBACK, Callback

from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import ConfigurationError
from resilient_store.io.catalogued.fates import Paths, Plan, tally_all
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.drive import to_end
from resilient_store.io.prepare import prepare
from resilient_store.model.amount import Amount, in_bytes, in_columns, many
from resilient_store.model.domain import platform
from resilient_store.model.state import StoreState
from resilient_store.placement import Placement
from resilient_store.protocol import losses
from resilient_store.protocol.bill import (
    Bill,
    Price,
    Rate,
    Transfer,
    V,
    by_domain,
    kept,
    narrowest,
    transfer,
)
from resilient_store.protocol.losses import Kind
from resilient_store.store import Store, StoreOwner

Rates = Rate | Mapping[str, Rate | Mapping[str, float]]
Prices = Mapping[str, Price | Mapping[str, float]]


class Affected:
    """The objects that share a fate.

    Attributes
    ----------
    count
        How many.
    size
        Their bytes, one copy of each.
    paths
        Their paths, in order. The catalog is asked anew whenever they are iterated, in pages, so
        they are as of then: an object that was written or repaired since may be among others.
    """

    def __init__(self, amount: Amount, paths: Paths) -> None:
        self.count = amount.count
        self.size = amount.size
        self.paths = paths

    def __repr__(self) -> str:
        return f"<{many(self.count, 'object', 'objects')}, {in_bytes(self.size)}>"


@attrs.frozen(kw_only=True)
class WhatIf:
    """What is left when failure domains are lost together.

    Attributes
    ----------
    lose
        The failure domains.
    backends
        The backends that lie in them.
    survives
        Objects of which a good copy is left.
    degraded
        Objects of which none is left, but of a derivative.
    lost
        Objects of which nothing is left.
    already
        How many of `degraded` and `lost` have no good copy now, with nothing lost. A copy that is
        *unknown* counts for nothing until repair has verified it.
    writable
        By pattern of the placements, and `{path...}` for what none matches: whether a write would
        reach as many copies and platforms as the policy asks for.
    repair
        The copies to be made when what was lost is replaced by something empty.
    bill
        What the store keeps; the same whatever is lost.
    """

    lose: tuple[str, ...]
    backends: tuple[str, ...]
    survives: Affected
    degraded: Affected
    lost: Affected
    already: int
    writable: Mapping[str, bool]
    repair: Transfer
    bill: Bill = attrs.field(repr=False)

    def __str__(self) -> str:
        names = ", ".join(self.backends) or "no backend"
        what = f"If {' and '.join(self.lose)} were lost ({names}):" if self.lose else "As it is:"
        rows = [
            [fate, many(some.count, "object", "objects"), in_bytes(some.size), why]
            for fate, some, why in (
                ("survives", self.survives, ""),
                ("degraded", self.degraded, "a preview or thumbnail is left"),
                ("lost", self.lost, "nothing is left"),
            )
        ]
        said = [what, in_columns(rows)]
        if self.already:
            said.append(f"  without a good copy as it is: {self.already:,}")
        for pattern, kept_up in self.writable.items():
            said.append(f"  writes to {pattern}: {'go on' if kept_up else 'are refused'}")
        if not self.writable:
            said.append("  writes: are refused")
        said.append(f"  to repair: {self.repair}")
        return "\n".join(said)


class Scenarios(Mapping[tuple[str, ...], WhatIf]):
    """Every single failure domain and every pair, and what each loss would leave.

    ``scenarios["aws"]`` and ``scenarios["gcp", "aws"]`` find theirs, in whatever order.

    Attributes
    ----------
    bill
        What the store keeps.
    """

    def __init__(self, found: Mapping[tuple[str, ...], WhatIf], bill: Bill) -> None:
        self._found = dict(found)
        self.bill = bill

    def __getitem__(self, lose: str | tuple[str, ...]) -> WhatIf:
        return self._found[losses.as_key(lose)]

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __str__(self) -> str:
        rows = [["lost together", "survives", "degraded", "lost", "writes"]]
        shown: set[frozenset[str]] = set()
        for lose, one in self._found.items():
            if frozenset(one.backends) in shown:  # a platform of one region, and the region
                continue
            shown.add(frozenset(one.backends))
            counts = [f"{some.count:,}" for some in (one.survives, one.degraded, one.lost)]
            on = [pattern for pattern, kept_up in one.writable.items() if kept_up]
            writes = (
                "go on" if on and len(on) == len(one.writable) else ", ".join(on) or "are refused"
            )
            rows.append([" and ".join(lose), *counts, writes])
        return in_columns(rows, indent="")


@overload
def what_if(
    fs: StoreOwner,
    *,
    lose: Iterable[str],
    rates: Rates | None = None,
    prices: Prices | None = None,
    placements: Iterable[Placement] | None = None,
    callback: Callback = DEFAULT_CALLBACK,
) -> WhatIf: ...


@overload
def what_if(
    fs: StoreOwner,
    *,
    lose: None = None,
    rates: Rates | None = None,
    prices: Prices | None = None,
    placements: Iterable[Placement] | None = None,
    callback: Callback = DEFAULT_CALLBACK,
) -> Scenarios: ...


def what_if(
    fs: StoreOwner,
    *,
    lose: Iterable[str] | None = None,
    rates: Rates | None = None,
    prices: Prices | None = None,
    placements: Iterable[Placement] | None = None,
    callback: Callback = DEFAULT_CALLBACK,
) -> WhatIf | Scenarios:
    """Say what the loss of failure domains would cost: from the catalog alone.

    One pass over the catalog, in pages, whatever is asked; what is kept in memory grows with the
    number of different sets of backends that hold an object, not with the objects.

    Parameters
    ----------
    fs
        The store; it has a catalog.
    lose
        Failure domains that are lost together, such as ``["aws"]`` or ``["aws/us-east-1", "gcp"]``.
        None: every single domain, and every pair.
    rates
        How fast copies are made: one `Rate` for each platform, or a mapping from failure domains,
        of which the narrowest counts.
    prices
        From failure domains to a `Price`, or to a mapping such as ``{"storage": 0.02}``.
    placements
        Reckon the bill for these, too.
    callback
        Told of objects that were looked at.

    Returns
    -------
    WhatIf
        For `lose`.
    Scenarios
        From the domains lost to a `WhatIf`, where `lose` is None.

    Raises
    ------
    ConfigurationError
        There is no catalog, no backend lies in a domain, or rates or prices lack a platform.
    CatalogUnavailableError
        The catalog cannot be had.
    """
    together = None if lose is None else _listed(lose)
    call = functools.partial(
        what_if_all,
        fs.store,
        together,
        rates=rates,
        prices=prices,
        placements=placements,
        callback=callback,
        loop=fs.loop,
    )
    found: WhatIf | Scenarios = to_end(fs.loop, call)
    return found


def _listed(lose: Iterable[str]) -> tuple[str, ...]:
    if isinstance(lose, str):
        raise ConfigurationError(f"lose={lose!r}: give a list, such as lose=[{lose!r}]")
    return tuple(lose)


async def what_if_all(
    store: Store,
    lose: Iterable[str] | None = None,
    *,
    rates: Rates | None = None,
    prices: Prices | None = None,
    placements: Iterable[Placement] | None = None,
    callback: Callback = DEFAULT_CALLBACK,
    loop: Any = None,
) -> WhatIf | Scenarios:
    """Say it, as `what_if` does; without `loop`, paths are iterated with ``async for`` only."""
    if store.catalog is None:
        raise ConfigurationError("what_if needs a catalog, which knows what lies where")
    plan = None if placements is None else _plan(store, placements)
    await prepare(store)
    try:
        state = await store.known.state()
    except CatalogDownError as error:
        raise unavailable("", error) from None
    assert state is not None, "a store that was prepared has an identity"
    met = {name: row.domain for name, row in state.backends.items() if row.met}
    removed = {name: domain for name, domain in met.items() if name not in store.domains}
    domains = {**store.domains, **removed}
    asked = losses.scenarios(domains) if lose is None else [losses.as_key(lose)]
    gone = {key: frozenset(losses.lost_with(key, domains)) for key in asked}
    whole = _Reckoning(
        store=store,
        state=state,
        domains=domains,
        rates=_table("rates", Rate, rates, domains),
        prices=_table("prices", Price, prices, domains),
        tally=await tally_all(store, list(gone.values()), plan, callback),
        loop=loop,
    )
    bill = whole.bill(planned=plan is not None)
    found = {key: whole.one(key, lost, bill) for key, lost in gone.items()}
    return Scenarios(found, bill) if lose is None else found[losses.as_key(lose)]


def _table(what: str, kind: type[V], given: Any, domains: Mapping[str, str]) -> dict[str, V] | None:
    """Check rates or prices, before anything is counted: each backend needs one."""
    if given is None:
        return None
    if isinstance(given, kind):
        given = {platform(domain): given for domain in domains.values()}
    table = by_domain(what, kind, given)
    for domain in domains.values():
        narrowest(what, table, domain)
    return table


def _plan(store: Store, placements: Iterable[Placement]) -> Plan:
    planned = attrs.evolve(store.configuration, placements=tuple(placements))
    return attrs.evolve(store, configuration=planned).placed


# --- what it comes to ---------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _Reckoning:
    """What was counted, and what it is reckoned with."""

    store: Store
    state: StoreState
    domains: Mapping[str, str]
    rates: dict[str, Rate] | None
    prices: dict[str, Price] | None
    tally: dict[Kind, Amount]
    loop: Any

    @property
    def writable(self) -> tuple[str, ...]:
        return tuple(n for n in self.store.writable if not self.state.backend(n).drained)

    def one(self, lose: tuple[str, ...], gone: frozenset[str], bill: Bill) -> WhatIf:
        sums = losses.fates(self.tally, gone)
        affected = {
            fate: Affected(sums[fate], Paths(self.store, self.loop, gone, fate))
            for fate in losses.FATES
        }
        copies = losses.refilled(self.tally, gone, tuple(self.store.clients), self.writable)
        return WhatIf(
            lose=lose,
            backends=tuple(name for name in self.domains if name in gone),
            survives=affected["survives"],
            degraded=affected["degraded"],
            lost=affected["lost"],
            already=sum(some.count for kind, some in self.tally.items() if not kind.holders),
            writable=self._writable_without(gone),
            repair=transfer(copies, self.domains, self.rates, self.prices),
            bill=bill,
        )

    def _writable_without(self, gone: frozenset[str]) -> dict[str, bool]:
        return self.store.takes_writes({*self.writable} - gone)

    def bill(self, *, planned: bool) -> Bill:
        now = kept(self._in_order(losses.held(self.tally)), self.domains, self.prices)
        if not planned:
            return Bill(now=now)
        then = kept(self._in_order(losses.planned(self.tally)), self.domains, self.prices)
        copies = losses.moved(self.tally, tuple(self.store.clients), self.writable)
        move = transfer(copies, self.domains, self.rates, self.prices)
        return Bill(now=now, planned=then, move=move)

    def _in_order(self, held: dict[str, Amount]) -> dict[str, Amount]:
        return {name: held[name] for name in self.domains if name in held}
