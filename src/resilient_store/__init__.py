"""Stored objects on several platforms at once, behind one fsspec filesystem.

When a platform fails, reads go on; when an original is gone, its preview comes back with a
flag that says so. Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resilient_store.importing import import_in_turn

if TYPE_CHECKING:
    from resilient_store.config import from_config
    from resilient_store.errors import (
        BackendsUnavailableError,
        BlankObjectError,
        CatalogUnavailableError,
        ConcurrentWriteError,
        ConfigurationError,
        InsufficientCopiesError,
        IntegrityError,
        InvalidPathError,
        MissingExtraError,
        ObjectChangedError,
        ObjectError,
        OriginalMissingError,
        ResilientStoreError,
        StoreFrozenError,
        StoreIdentityError,
        UnsupportedOperationError,
    )
    from resilient_store.filesystem import ResilientFileSystem
    from resilient_store.model.outcome import Outcome, Reply
    from resilient_store.model.result import (
        BackendState,
        DegradedEvent,
        DetailedListing,
        Listing,
        ReadResult,
        WriteReceipt,
    )
    from resilient_store.operations.adopt import AdoptReport, adopt
    from resilient_store.operations.freeze import freeze, thaw
    from resilient_store.operations.rejoin import rejoin
    from resilient_store.operations.repair import RepairReport, repair
    from resilient_store.operations.restore import RestoreReport, restore
    from resilient_store.operations.snapshot import SnapshotReport, snapshot
    from resilient_store.operations.sweep import SweepReport, sweep
    from resilient_store.placement import Placement
    from resilient_store.policies import Backend, DegradedRead, ReadFromFirstHealthy, WriteToAll

__version__ = "0.1.0"

_HOMES = {
    "config": ("from_config",),
    "errors": (
        "BackendsUnavailableError",
        "BlankObjectError",
        "CatalogUnavailableError",
        "ConcurrentWriteError",
        "ConfigurationError",
        "InsufficientCopiesError",
        "IntegrityError",
        "InvalidPathError",
        "MissingExtraError",
        "ObjectChangedError",
        "ObjectError",
        "OriginalMissingError",
        "ResilientStoreError",
        "StoreFrozenError",
        "StoreIdentityError",
        "UnsupportedOperationError",
    ),
    "filesystem": ("ResilientFileSystem",),
    "model.outcome": ("Outcome", "Reply"),
    "model.result": (
        "BackendState",
        "DegradedEvent",
        "DetailedListing",
        "Listing",
        "ReadResult",
        "WriteReceipt",
    ),
    "operations.adopt": ("AdoptReport", "adopt"),
    "operations.freeze": ("freeze", "thaw"),
    "operations.rejoin": ("rejoin",),
    "operations.repair": ("RepairReport", "repair"),
    "operations.restore": ("RestoreReport", "restore"),
    "operations.snapshot": ("SnapshotReport", "snapshot"),
    "operations.sweep": ("SweepReport", "sweep"),
    "placement": ("Placement",),
    "policies": ("Backend", "DegradedRead", "ReadFromFirstHealthy", "WriteToAll"),
}

__all__ = [
    "AdoptReport",
    "Backend",
    "BackendState",
    "BackendsUnavailableError",
    "BlankObjectError",
    "CatalogUnavailableError",
    "ConcurrentWriteError",
    "ConfigurationError",
    "DegradedEvent",
    "DegradedRead",
    "DetailedListing",
    "InsufficientCopiesError",
    "IntegrityError",
    "InvalidPathError",
    "Listing",
    "MissingExtraError",
    "ObjectChangedError",
    "ObjectError",
    "OriginalMissingError",
    "Outcome",
    "Placement",
    "ReadFromFirstHealthy",
    "ReadResult",
    "RepairReport",
    "Reply",
    "ResilientFileSystem",
    "ResilientStoreError",
    "RestoreReport",
    "SnapshotReport",
    "StoreFrozenError",
    "StoreIdentityError",
    "SweepReport",
    "UnsupportedOperationError",
    "WriteReceipt",
    "WriteToAll",
    "adopt",
    "freeze",
    "from_config",
    "rejoin",
    "repair",
    "restore",
    "snapshot",
    "sweep",
    "thaw",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_in_turn(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
