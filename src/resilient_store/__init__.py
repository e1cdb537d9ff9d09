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
    from resilient_store.maintenance import MaintainReport, maintain
    from resilient_store.model.amount import Amount
    from resilient_store.model.damage import (
        DamagedObject,
        Quarantine,
        QuarantinedFile,
        ReplicaCondition,
    )
    from resilient_store.model.outcome import Outcome, Reply
    from resilient_store.model.result import (
        BackendState,
        DegradedEvent,
        DetailedListing,
        Listing,
        ReadResult,
        WriteReceipt,
    )
    from resilient_store.model.status import BackendStatus, StoreStatus
    from resilient_store.operations.adopt import AdoptReport, adopt
    from resilient_store.operations.damage.changes import DamageChanges
    from resilient_store.operations.damage.collect import damage_report
    from resilient_store.operations.damage.report import DamageReport
    from resilient_store.operations.drain import drain
    from resilient_store.operations.evacuate import EvacuateReport, evacuate
    from resilient_store.operations.freeze import freeze, thaw
    from resilient_store.operations.rejoin import rejoin
    from resilient_store.operations.repair import RepairReport, repair
    from resilient_store.operations.restore import RestoreReport, restore
    from resilient_store.operations.scrub import ScrubReport, scrub
    from resilient_store.operations.snapshot import SnapshotReport, snapshot
    from resilient_store.operations.status import status
    from resilient_store.operations.sweep import SweepReport, sweep
    from resilient_store.operations.what_if import Affected, Scenarios, WhatIf, what_if
    from resilient_store.placement import Placement
    from resilient_store.policies import Backend, DegradedRead, ReadFromFirstHealthy, WriteToAll
    from resilient_store.protocol.bill import Bill, Kept, Price, Rate, Transfer

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
    "maintenance": ("MaintainReport", "maintain"),
    "model.amount": ("Amount",),
    "model.damage": ("DamagedObject", "Quarantine", "QuarantinedFile", "ReplicaCondition"),
    "model.outcome": ("Outcome", "Reply"),
    "model.result": (
        "BackendState",
        "DegradedEvent",
        "DetailedListing",
        "Listing",
        "ReadResult",
        "WriteReceipt",
    ),
    "model.status": ("BackendStatus", "StoreStatus"),
    "operations.adopt": ("AdoptReport", "adopt"),
    "operations.drain": ("drain",),
    "operations.evacuate": ("EvacuateReport", "evacuate"),
    "operations.damage.changes": ("DamageChanges",),
    "operations.damage.collect": ("damage_report",),
    "operations.damage.report": ("DamageReport",),
    "operations.freeze": ("freeze", "thaw"),
    "operations.rejoin": ("rejoin",),
    "operations.repair": ("RepairReport", "repair"),
    "operations.scrub": ("ScrubReport", "scrub"),
    "operations.status": ("status",),
    "operations.restore": ("RestoreReport", "restore"),
    "operations.snapshot": ("SnapshotReport", "snapshot"),
    "operations.sweep": ("SweepReport", "sweep"),
    "operations.what_if": ("Affected", "Scenarios", "WhatIf", "what_if"),
    "placement": ("Placement",),
    "policies": ("Backend", "DegradedRead", "ReadFromFirstHealthy", "WriteToAll"),
    "protocol.bill": ("Bill", "Kept", "Price", "Rate", "Transfer"),
}

__all__ = [
    "AdoptReport",
    "Affected",
    "Amount",
    "Backend",
    "BackendState",
    "BackendStatus",
    "BackendsUnavailableError",
    "Bill",
    "BlankObjectError",
    "CatalogUnavailableError",
    "ConcurrentWriteError",
    "ConfigurationError",
    "DamageChanges",
    "DamageReport",
    "DamagedObject",
    "DegradedEvent",
    "DegradedRead",
    "DetailedListing",
    "EvacuateReport",
    "InsufficientCopiesError",
    "IntegrityError",
    "InvalidPathError",
    "Kept",
    "Listing",
    "MaintainReport",
    "MissingExtraError",
    "ObjectChangedError",
    "ObjectError",
    "OriginalMissingError",
    "Outcome",
    "Placement",
    "Price",
    "Quarantine",
    "QuarantinedFile",
    "Rate",
    "ReadFromFirstHealthy",
    "ReadResult",
    "RepairReport",
    "ReplicaCondition",
    "Reply",
    "ResilientFileSystem",
    "ResilientStoreError",
    "RestoreReport",
    "Scenarios",
    "ScrubReport",
    "SnapshotReport",
    "StoreFrozenError",
    "StoreIdentityError",
    "StoreStatus",
    "SweepReport",
    "Transfer",
    "UnsupportedOperationError",
    "WhatIf",
    "WriteReceipt",
    "WriteToAll",
    "adopt",
    "damage_report",
    "drain",
    "evacuate",
    "freeze",
    "from_config",
    "maintain",
    "rejoin",
    "repair",
    "restore",
    "scrub",
    "snapshot",
    "status",
    "sweep",
    "thaw",
    "what_if",
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
