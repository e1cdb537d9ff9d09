"""A store as it is configured, with every platform in this process's memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import attrs

from resilient_store.backends.locate import PLATFORMS, locate
from resilient_store.catalog.location import Location
from resilient_store.catalog.opening import database_at
from resilient_store.config import TIMES, read_config
from resilient_store.errors import ConfigurationError
from resilient_store.filesystem import ResilientFileSystem
from resilient_store.policies import Backend
from resilient_store.testing.faults import Faults, path_at
from resilient_store.testing.faulty import FaultyFileSystem, PrivateMemory
from resilient_store.testing.flat_memory import FlatMemory

_KEPT = ("holds_all", "read_only", "timeout", "stall_timeout", "max_concurrency")
_AS_THEY_ARE = (
    "write",
    "read",
    "degraded",
    "placements",
    "write_once",
    "catalog_down",
    "on_degraded",
    "on_backend_state",
    *TIMES,
)
_ROOT = "store"


@attrs.frozen
class Rehearsal:
    """A rehearsed store and its switchboard.

    Attributes
    ----------
    fs
        The store: the same names, domains, order and policies, and nothing of the network.
    faults
        What switches its platforms off.
    backends
        What stands in for each backend, by name; `inner` holds the objects.
    """

    fs: ResilientFileSystem
    faults: Faults
    backends: Mapping[str, FaultyFileSystem]

    def held(self, name: str, path: str) -> bytes | None:
        """Return what lies at an object's own key on one backend, behind the store's back."""
        inner = self.backends[name].inner
        place = f"/{_ROOT}/{path}"
        return bytes(inner.cat_file(place)) if inner.isfile(place) else None

    def paths(self) -> set[str]:
        """Return the paths of all that lies on any backend, behind the store's back."""
        lying = (place for fs in self.backends.values() for place in fs.everything())
        return {path_at(place.removeprefix(f"/{_ROOT}/")) for place in lying}


def rehearse(
    store: ResilientFileSystem | str | os.PathLike[str],
    name: str | None = None,
    *,
    faults: Faults | None = None,
) -> Rehearsal:
    """Build a store again with backends in memory, to try what it does when platforms fail.

    Nothing of the given store is touched: not its backends, not its catalog.

    Parameters
    ----------
    store
        A store as an application builds it, or a configuration file. In a file, secrets that
        the environment lacks are left empty: nobody will ask for them.
    name
        The store's name in the file, where it has several.
    faults
        A switchboard to join; None: one of its own.

    Raises
    ------
    ConfigurationError
        The file describes no store that can be built; or the store is of a class that does not
        take what it is given, and would be rehearsed on its real backends.

    Examples
    --------
    >>> import resilient_store as rs
    >>> from resilient_store import testing
    >>> photos = rs.ResilientFileSystem(["memory://aws", "memory://gcp"])
    >>> with testing.virtual_time():
    ...     rehearsal = testing.rehearse(photos)
    ...     _ = rehearsal.fs.write("cat.jpg", b"meow")
    ...     with rehearsal.faults.hang("memory-aws"):
    ...         rehearsal.fs.read("cat.jpg").backend
    'memory-gcp'
    """
    faults = Faults() if faults is None else faults
    built = as_built(store, name)
    configuration = built.store.configuration
    stand_ins = {
        label: FaultyFileSystem(
            _memory_like(backend), faults=faults, name=label, domain=configuration.domains[label]
        )
        for label, backend in zip(configuration.names, configuration.backends, strict=True)
    }
    backends = [
        Backend(
            stand_ins[label],
            root=_ROOT,
            name=label,
            domain=configuration.domains[label],
            **{option: getattr(backend, option) for option in _KEPT},
        )
        for label, backend in zip(configuration.names, configuration.backends, strict=True)
    ]
    options: dict[str, Any] = {option: getattr(configuration, option) for option in _AS_THEY_ARE}
    if configuration.catalog is not None:
        options["catalog"] = database_at(Location(kind="sqlite", shown="the rehearsed catalog"))
    fs = type(built)(backends, **options)
    _check_stands_in(fs, stand_ins, options.get("catalog"))
    return Rehearsal(fs, faults, stand_ins)


def _memory_like(backend: Backend) -> PrivateMemory:
    """Return a memory that takes the keys which the backend takes."""
    return FlatMemory() if locate(backend).protocol in PLATFORMS else PrivateMemory()


def _check_stands_in(
    fs: ResilientFileSystem, stand_ins: Mapping[str, FaultyFileSystem], catalog: Any
) -> None:
    """Refuse a store whose class has put something real in the place of a stand-in."""
    real = [
        name
        for name, client in fs.store.clients.items()
        if client.backend.target is not stand_ins.get(name)
    ]
    if fs.store.configuration.catalog is not catalog:
        real.append("the catalog")
    if real or set(fs.store.clients) != set(stand_ins):
        cls = type(fs).__name__
        raise ConfigurationError(
            f"rehearse: {cls} does not use the backends and the catalog that it is given, so this "
            f"would have been no rehearsal (real: {', '.join(real) or 'none'}; nothing was "
            f"touched). Let {cls}.__init__ hand on `backends` and all options to "
            "ResilientFileSystem, or rehearse a store that is not of a class of its own"
        )


def as_built(
    store: ResilientFileSystem | str | os.PathLike[str], name: str | None = None
) -> ResilientFileSystem:
    """Return the store, or build the one that a file describes, without what is secret in it."""
    if isinstance(store, ResilientFileSystem):
        return store
    return ResilientFileSystem(**read_config(store, name, secrets_needed=False))
