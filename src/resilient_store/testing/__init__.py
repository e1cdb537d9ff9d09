"""What tests use: faults for any filesystem, virtual time, and a machine that tries a store.

Names are loaded when they are first used: the faults need nothing but the library, what draws
examples needs Hypothesis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resilient_store.importing import import_in_turn

if TYPE_CHECKING:
    from resilient_store.testing.conformance import (
        BackendConformance,
        CatalogConformance,
        StoreConformance,
    )
    from resilient_store.testing.faults import Fault, Faults, Outage
    from resilient_store.testing.faulty import FaultyFileSystem
    from resilient_store.testing.ledger import PromiseBrokenError
    from resilient_store.testing.machine import ResilienceStateMachine
    from resilient_store.testing.promised import Claim, Claims, claims
    from resilient_store.testing.rehearsal import Rehearsal, rehearse
    from resilient_store.testing.simulation.virtual import VirtualTime, virtual_time

_HOMES = {
    "conformance": ("BackendConformance", "CatalogConformance", "StoreConformance"),
    "promised": ("Claim", "Claims", "claims"),
    "faults": ("Fault", "Faults", "Outage"),
    "faulty": ("FaultyFileSystem",),
    "ledger": ("PromiseBrokenError",),
    "machine": ("ResilienceStateMachine",),
    "rehearsal": ("Rehearsal", "rehearse"),
    "simulation.virtual": ("VirtualTime", "virtual_time"),
}

__all__ = [
    "BackendConformance",
    "CatalogConformance",
    "Claim",
    "Claims",
    "Fault",
    "Faults",
    "FaultyFileSystem",
    "Outage",
    "PromiseBrokenError",
    "Rehearsal",
    "ResilienceStateMachine",
    "StoreConformance",
    "VirtualTime",
    "claims",
    "rehearse",
    "virtual_time",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_in_turn(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
