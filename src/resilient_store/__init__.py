"""Stored objects on several platforms at once, behind one fsspec filesystem.

When a platform fails, reads go on; when an original is gone, its preview comes back with a
flag that says so. Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    from resilient_store.operations.sweep import SweepReport, sweep
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
    "operations.sweep": ("SweepReport", "sweep"),
    "policies": ("Backend", "DegradedRead", "ReadFromFirstHealthy", "WriteToAll"),
}

__all__ = [
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
    "ReadFromFirstHealthy",
    "ReadResult",
    "Reply",
    "ResilientFileSystem",
    "ResilientStoreError",
    "StoreFrozenError",
    "StoreIdentityError",
    "SweepReport",
    "UnsupportedOperationError",
    "WriteReceipt",
    "WriteToAll",
    "from_config",
    "sweep",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
