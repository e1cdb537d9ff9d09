"""The assembled parts: what was configured, checked as a whole, and one client per backend."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Collection, Container, Mapping, Sequence
from typing import Any, Protocol

import attrs

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.backends.contract import Family
from resilient_store.backends.health import Health
from resilient_store.backends.locate import Spot, locate
from resilient_store.backends.opening import opener
from resilient_store.catalog.catalog import Catalog
from resilient_store.catalog.contract import Database
from resilient_store.catalog.location import check_place
from resilient_store.catalog.location import locate as locate_catalog
from resilient_store.errors import ConfigurationError
from resilient_store.model.domain import platforms
from resilient_store.model.result import BackendState
from resilient_store.model.state import StoreState
from resilient_store.placement import Placement
from resilient_store.policies import (
    Backend,
    DegradedRead,
    ReadFromFirstHealthy,
    WriteOnce,
    WriteToAll,
)
from resilient_store.protocol.suspicion import Lately
from resilient_store.protocol.write import Demand
from resilient_store.runtime import Signal

logger = logging.getLogger("resilient_store")

OTHERWISE = "{path...}"  # the pattern of all that no placement matches


@attrs.frozen(kw_only=True)
class Configuration:
    """A store as configured: backends with their names and domains resolved, and policies.

    Raises
    ------
    ConfigurationError
        The parts do not fit together; the text says what to change.
    """

    backends: tuple[Backend, ...]
    write: WriteToAll
    read: ReadFromFirstHealthy
    degraded: DegradedRead | None
    write_once: WriteOnce
    on_degraded: Callable[[Any], object] | None
    on_backend_state: Callable[[BackendState], object] | None
    catalog: str | Database | None = attrs.field(default=None, repr=False)
    placements: tuple[Placement, ...] = ()
    catalog_down: str = "raise"
    lock_timeout: float = 30.0
    lease: float = 60.0
    late_window: float = 900.0
    spots: tuple[Spot, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        if not self.backends:
            raise ConfigurationError(
                "no backend: give at least one, such as rs.Backend('s3://bucket')"
            )
        object.__setattr__(self, "spots", tuple(locate(backend) for backend in self.backends))
        self._check_distinct()
        if isinstance(self.catalog, str):
            check_place(locate_catalog(self.catalog))
        check_copies(
            self.write,
            self.write_once,
            self.backends,
            self.domains,
            catalog=self.catalog is not None,
        )
        self._check_placements()

    @property
    def names(self) -> tuple[str, ...]:
        """The backends' names, in order."""
        return tuple(
            backend.name or spot.label
            for backend, spot in zip(self.backends, self.spots, strict=True)
        )

    @property
    def domains(self) -> dict[str, str]:
        """Every backend's failure domain."""
        return {
            name: backend.domain or spot.domain
            for name, backend, spot in zip(self.names, self.backends, self.spots, strict=True)
        }

    def _check_placements(self) -> None:
        if self.placements and self.catalog is None:
            raise ConfigurationError(
                "placements need a catalog, which remembers what lies where: add catalog=..., "
                "or leave them out"
            )
        by_name = dict(zip(self.names, self.backends, strict=True))
        for placement in self.placements:
            for name in placement.backends:
                if name not in by_name:
                    raise ConfigurationError(
                        f"Placement {placement.pattern!r}: there is no backend {name!r}; "
                        f"there are {', '.join(by_name)}"
                    )
            chosen = [by_name[name] for name in placement.backends]
            domains = {name: self.domains[name] for name in placement.backends}
            try:
                check_copies(self.write, self.write_once, chosen, domains, catalog=True)
            except ConfigurationError as error:
                raise ConfigurationError(f"Placement {placement.pattern!r}: {error}") from None

    def _check_distinct(self) -> None:
        seen: dict[str, str] = {}
        for name, spot in zip(self.names, self.spots, strict=True):
            if name in seen.values():
                raise ConfigurationError(
                    f"two backends have the name {name!r}; give each a name of its own: name=..."
                )
            for place, other in seen.items():
                if overlap(place, spot.place):
                    raise ConfigurationError(
                        f"backends {other!r} and {name!r} lie at one place or inside each other: "
                        "two copies there are one; give each a root of its own"
                    )
            seen[spot.place] = name


def overlap(one: str, other: str) -> bool:
    """Say whether two places are one, or one lies inside the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def check_copies(
    write: WriteToAll,
    write_once: WriteOnce,
    backends: Sequence[Backend],
    domains: Mapping[str, str],
    *,
    catalog: bool = False,
) -> None:
    """Refuse a write policy that these backends cannot keep (P1).

    Raises
    ------
    ConfigurationError
        The text says what to change.
    """
    writable = [
        name for name, backend in zip(domains, backends, strict=True) if not backend.read_only
    ]
    copies = write.min_copies
    if not writable:
        if copies is not None or write_once:
            raise ConfigurationError(
                "every backend is read-only, so nothing can be written: "
                "leave min_copies and write_once out"
            )
        return
    if copies is not None and copies > len(writable):
        raise ConfigurationError(
            f"WriteToAll: min_copies={copies}, and {len(writable)} backends can be written to: "
            f"lower min_copies to {len(writable)}, or add backends"
        )
    spanned = platforms(writable, domains)
    if write.min_domains > len(spanned):
        raise ConfigurationError(
            f"WriteToAll: min_domains={write.min_domains}, and the backends lie on "
            f"{len(spanned)} ({', '.join(spanned)}): lower min_domains, add a backend on another "
            "platform, or say domain=... where two backends share no fate"
        )
    if catalog and write_once:
        raise ConfigurationError(
            "write_once is for stores without a catalog, which remembers who missed a write: "
            "leave one of them out"
        )
    fewer = copies is not None and copies < len(writable) and not catalog
    if fewer and not write_once:
        raise ConfigurationError(
            f"WriteToAll: min_copies={copies} of {len(writable)} without a catalog: nobody would "
            "remember which backend missed a write. Leave min_copies out, or set write_once=True "
            'where objects are never overwritten, or add a catalog: catalog="sqlite:///store.db"'
        )
    if fewer and any(backend.holds_all for backend in backends):
        raise ConfigurationError(
            "holds_all beside fewer copies than all: the backend that holds everything may be "
            "the one that misses a write. Leave min_copies out, or remove holds_all"
        )
    if write_once is True and 2 * (copies or len(writable)) <= len(writable):
        raise ConfigurationError(
            f"write_once with min_copies={copies} of {len(writable)}: two different contents "
            f"could both be acknowledged. Raise min_copies to {len(writable) // 2 + 1}, or set "
            'write_once="unique-names" where a name is never used twice'
        )


@attrs.define(eq=False)
class Preparation:
    """Whether this process has seen that the catalog and its backends belong together."""

    done: bool = False


@attrs.frozen(kw_only=True, eq=False)
class Store:
    """The assembled whole that `io` and `operations` work on.

    Attributes
    ----------
    clients
        By name, in the order of preference.
    domains
        Every backend's failure domain.
    owner
        Host and process, for people who look at what is being done.
    make_client
        Makes a client for a backend, under a name; for one that is found at another place.
    losses
        How many replicas of each backend were found missing lately.
    answers
        When it was last written down that a backend answers.
    declined
        Pairs of backends, from and to, between which their platform does not copy by itself.
    tails
        Calls that outlive the one that began them: probes, and what is recorded after a read.
    """

    configuration: Configuration
    clients: dict[str, BackendClient]
    domains: dict[str, str]
    signal: Signal
    catalog: Catalog | None = None
    owner: str = ""
    preparing: Preparation = attrs.field(factory=Preparation)
    losses: dict[str, Lately] = attrs.field(factory=dict)
    answers: dict[str, float] = attrs.field(factory=dict)
    declined: set[tuple[str, str]] = attrs.field(factory=set)
    tails: dict[asyncio.Task[Any], None] = attrs.field(factory=dict)
    make_client: Callable[[Backend, str], BackendClient] = attrs.field(kw_only=True)

    @property
    def writable(self) -> tuple[str, ...]:
        """Names of the backends that are written to."""
        return tuple(n for n, c in self.clients.items() if not c.backend.read_only)

    @property
    def known(self) -> Catalog:
        """The catalog, where there is one."""
        assert self.catalog is not None, "only asked for where a catalog is configured"
        return self.catalog

    def placed(self, path: str) -> tuple[str, ...]:
        """Return the backends that should hold a path now, in the order of preference."""
        return tuple(name for name in self.placed_in_all(path) if not self.is_drained(name))

    def placed_in_all(self, path: str) -> tuple[str, ...]:
        """Return the same, and those that are drained."""
        chosen: Container[str] = self.clients
        for placement in self.configuration.placements:
            if placement.matches(path):
                chosen = placement.backends
                break
        return tuple(n for n in self.writable if n in chosen)

    def knows_all(self, state: StoreState | None) -> bool:
        """Say whether the catalog knows every path: none may lie where it has never looked (P5)."""
        if state is None or state.restoring or not state.complete:
            return False
        return all(state.backend(name).met for name in self.clients)

    def demand_for(self, path: str) -> Demand:
        """Return what a write of this path must reach."""
        return self.demand_of(self.placed(path))

    def demand_of(self, placed: Sequence[str]) -> Demand:
        """Return what a write that is placed there must reach."""
        write = self.configuration.write
        return Demand(write.min_copies or len(placed), write.min_domains)

    def takes_writes(self, in_use: Collection[str]) -> dict[str, bool]:
        """Say of each pattern that some backend may take whether these are enough to write."""
        placed: dict[str, tuple[str, ...]] = {}
        for placement in self.configuration.placements:
            names = tuple(n for n in self.writable if n in placement.backends)
            placed.setdefault(placement.pattern, names)
        taken, placed = {}, {**placed, OTHERWISE: placed.get(OTHERWISE, self.writable)}
        for pattern, names in placed.items():
            asked = [name for name in names if not self.is_drained(name)]
            if names:
                left = {name for name in asked if name in in_use}
                taken[pattern] = bool(asked) and self.demand_of(asked).is_met(left, self.domains)
        return taken

    def believes_absence(self, name: str) -> bool:
        """Say whether a backend's "not found" says anything: not while it is suspect."""
        seen = None if self.catalog is None else self.catalog.seen
        return seen is None or not seen.backend(name).suspect

    def is_drained(self, name: str) -> bool:
        """Say whether a backend was taken out of reading and writing, as far as was heard."""
        seen = None if self.catalog is None else self.catalog.seen
        return seen is not None and seen.backend(name).drained

    def came_back(self, name: str) -> bool:
        """Say whether a backend holds an earlier state, of which nothing new is believed."""
        seen = None if self.catalog is None else self.catalog.seen
        return seen is not None and seen.backend(name).came_back

    @property
    def holds_all(self) -> tuple[str, ...]:
        """Names of the backends whose "not found" is certain."""
        return tuple(n for n, c in self.clients.items() if c.backend.holds_all)

    def derivatives(self, path: str) -> tuple[str, ...]:
        """Return what may stand in for a path; empty where no rule matches."""
        degraded = self.configuration.degraded
        return () if degraded is None else degraded.derivatives(path)


class StoreOwner(Protocol):
    """What an operation needs of a filesystem."""

    @property
    def store(self) -> Store:
        """The assembled store."""

    @property
    def loop(self) -> Any:
        """The loop that runs it."""


Admission = Callable[[BackendClient, Family], Awaitable[bool]]


def open_store(configuration: Configuration, admission: Callable[[Catalog], Admission]) -> Store:
    """Assemble a store. Makes no network call.

    Parameters
    ----------
    admission
        Makes what is asked of every backend before its first use, where there is a catalog.
    """
    signal = Signal()
    hook = configuration.on_backend_state

    def on_change(state: BackendState) -> None:
        signal.fire()
        if state.state == "open":
            clients[state.backend].doubt()
        if hook is not None:
            try:
                hook(state)
            except Exception:
                logger.exception("the on_backend_state hook failed")

    domains = configuration.domains
    catalog = None
    if configuration.catalog is not None:
        catalog = Catalog(configuration.catalog, configuration.late_window)
    admit = None if catalog is None else admission(catalog)

    def epoch_of(name: str) -> int:
        seen = None if catalog is None else catalog.seen
        return 0 if seen is None else seen.backend(name).epoch

    def make_client(backend: Backend, name: str) -> BackendClient:
        return BackendClient(
            backend,
            name,
            domains[name],
            opener(backend, name),
            Health(name, on_change),
            admit=admit,
            epoch=functools.partial(epoch_of, name),
        )

    clients = {
        name: make_client(backend, name)
        for name, backend in zip(configuration.names, configuration.backends, strict=True)
    }
    return Store(
        configuration=configuration,
        clients=clients,
        domains=domains,
        signal=signal,
        catalog=catalog,
        owner=runtime.who(),
        make_client=make_client,
    )
