"""ResilientFileSystem: fsspec's names, a few lines each; the work is done in `io`."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Self

from fsspec.asyn import get_loop, sync, sync_wrapper
from fsspec.core import get_compression

from resilient_store import runtime
from resilient_store.async_files import AsyncObjectReader, AsyncObjectWriter
from resilient_store.config import as_options, configure, identity
from resilient_store.errors import UnsupportedOperationError
from resilient_store.files import (
    CompressedWriter,
    ObjectReader,
    ObjectWriter,
    TextWriter,
    decompressed,
    text_reader,
)
from resilient_store.io import verbs
from resilient_store.io.drive import all_of, end_all
from resilient_store.io.identity import admission
from resilient_store.io.stream import BLOCK_BYTES
from resilient_store.model.info import Headers
from resilient_store.model.result import (
    BackendState,
    DegradedEvent,
)
from resilient_store.objects import ObjectFileSystem
from resilient_store.placement import Placement
from resilient_store.policies import (
    Backend,
    DegradedRead,
    ReadFromFirstHealthy,
    WriteOnce,
    WriteToAll,
)
from resilient_store.store import Store, open_store
from resilient_store.tree import AT_ONCE

_NO_TRANSACTIONS = (
    "transactions: every write is all or nothing by itself; write an object that names the "
    "others last, and read that one first"
)
_assembling = threading.Lock()


def _new_lock() -> None:
    global _assembling  # noqa: PLW0603 - a lock that another thread held does not survive a fork
    _assembling = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


class ResilientFileSystem(ObjectFileSystem):
    """One filesystem over several platforms, with honest degraded reads.

    Parameters
    ----------
    backends
        In the order of preference: `Backend`, URL, or mapping of a backend's options.
    catalog
        ``"sqlite:///store.db"`` or ``"postgresql+psycopg://..."``: what remembers every object.
    placements
        `Placement` or mappings: which backends hold what; the first that matches counts.
    catalog_down
        ``"read"``: while the catalog cannot be had, reads ask the backends, unverified.
    lock_timeout
        Seconds to wait for who is at work on the same path.
    lease
        Seconds that a dead writer keeps a path from others.
    late_window
        Seconds after which a request that was given up can no longer land.
    write, read
        Policies.
    degraded
        Which derivatives may stand in for a missing original: a `DegradedRead`, or its rules.
    write_once
        True: one path, one content, for ever. ``"unique-names"``: names are never used twice.
    on_degraded
        Called with a `DegradedEvent` whenever a derivative stands in for its original.
    on_backend_state
        Called with a `BackendState` when a backend is left alone or used again.
    asynchronous, loop
        As in every fsspec filesystem.

    Raises
    ------
    ConfigurationError
        The parts do not fit together; the text says what to change.

    Notes
    -----
    Promises: P5, P6, P9. Building a store makes no network call.
    """

    cachable = False  # two stores never share anything by accident

    def __init__(
        self,
        backends: Sequence[Backend | str | Mapping[str, Any]] | None = None,
        *,
        catalog: str | None = None,
        write: WriteToAll | Mapping[str, Any] | None = None,
        read: ReadFromFirstHealthy | Mapping[str, Any] | None = None,
        degraded: DegradedRead | Mapping[str, Sequence[str]] | None = None,
        placements: Sequence[Placement | Mapping[str, Any]] = (),
        write_once: WriteOnce = False,
        catalog_down: str = "raise",
        lock_timeout: float = 30.0,
        lease: float = 60.0,
        late_window: float = 900.0,
        on_degraded: Callable[[DegradedEvent], object] | None = None,
        on_backend_state: Callable[[BackendState], object] | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        batch_size: int | None = None,
        **unknown: Any,
    ) -> None:
        given = {
            "backends": backends,
            "catalog": catalog,
            "write": write,
            "read": read,
            "degraded": degraded,
            "placements": placements,
            "write_once": write_once,
            "catalog_down": catalog_down,
            "lock_timeout": lock_timeout,
            "lease": lease,
            "late_window": late_window,
            "on_degraded": on_degraded,
            "on_backend_state": on_backend_state,
        }
        self._configuration = configure({**given, **unknown})
        super().__init__(asynchronous=asynchronous, loop=loop, batch_size=batch_size or AT_ONCE)
        self._pid: int = runtime.process_id()
        self._store = self._assemble()

    def _assemble(self) -> Store:
        configuration = self._configuration
        return open_store(configuration, functools.partial(admission, configuration))

    @property
    def store(self) -> Store:  # type: ignore[override]
        """The assembled store; assembled anew in a forked child."""
        if self._pid != runtime.process_id():
            with _assembling:
                if self._pid != runtime.process_id():
                    self._store = self._assemble()
                    if not self.asynchronous:
                        self._loop = get_loop()
                    self._pid = runtime.process_id()
        return self._store

    @property
    def loop(self) -> Any:
        """The event loop that runs the blocking calls."""
        self.store  # noqa: B018 - renewed here after a fork
        return self._loop

    @property
    def _fs_token(self) -> str:
        return hashlib.sha256(identity(self._configuration)).hexdigest()

    def invalidate_cache(self, path: str | None = None) -> None:
        """Do nothing: no listing is ever cached."""

    # Files

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: Any = None,
        compression: str | None = None,
        *,
        degraded: bool = False,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        **options: Any,
    ) -> Any:
        """Open a file: ``rb``, ``wb``, ``xb`` or their text modes.

        With ``degraded=True`` a derivative may be opened in a missing original's place; the
        file then has ``original_missing`` set, and a `reason`.

        Raises
        ------
        UnsupportedOperationError
            Another mode, with what to use instead.
        """
        kind = mode.replace("t", "").replace("b", "")
        if kind not in ("r", "w", "x"):
            raise UnsupportedOperationError(
                f"mode {mode!r}: an object is written whole. Read it, change it and write it "
                "again with 'wb'; or write each addition under a path of its own"
            )
        codec = get_compression(path, compression)
        text: dict[str, Any] = {"encoding": encoding, "errors": errors, "newline": newline}
        if kind == "r":
            file: Any = self._open(path, "rb", block_size, degraded=degraded)
            file = file if codec is None else decompressed(file, codec)
            return file if "b" in mode else text_reader(file, text)
        file = self._open(path, f"{kind}b", block_size, **options)
        file = file if codec is None else CompressedWriter(file, codec)
        return file if "b" in mode else TextWriter(file, **text)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        *,
        degraded: bool = False,
        **options: Any,
    ) -> ObjectReader | ObjectWriter:
        key = self._object_path(path)
        if mode == "rb":
            pinned = sync(self.loop, self._pinned, key, degraded)
            return ObjectReader(self, key, pinned, block_size=block_size or BLOCK_BYTES)
        for name in ("autocommit", "cache_type"):
            options.pop(name, None)
        return ObjectWriter(self, key, sync(self.loop, self._session, key, mode, options), mode)

    async def _pinned(self, key: str, degraded: bool) -> verbs.Reader:
        return await verbs.open_reader(self.store, key, degraded=degraded)

    async def _session(self, key: str, mode: str, options: dict[str, Any]) -> verbs.Session:
        origin = options.pop("derived_from", None)
        headers = Headers.given(options)
        return await verbs.begin_write(
            self.store, key, headers, create=mode == "xb", derived_from=origin
        )

    async def open_async(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """Open a file whose ``read``, ``write`` and ``close`` are coroutines."""
        key = self._object_path(path)
        if mode == "rb":
            return AsyncObjectReader(key, await verbs.open_reader(self.store, key))
        if mode not in ("wb", "xb"):
            raise UnsupportedOperationError(f"mode {mode!r}: use 'rb', 'wb' or 'xb'")
        return AsyncObjectWriter(self.store, key, await self._session(key, mode, options), mode)

    # Refused

    @property
    def transaction(self) -> NoReturn:
        """Is refused, for several objects cannot appear at one instant on several platforms."""
        raise UnsupportedOperationError(_NO_TRANSACTIONS)

    def start_transaction(self) -> NoReturn:
        """Refuse, as `transaction`."""
        raise UnsupportedOperationError(_NO_TRANSACTIONS)

    def end_transaction(self) -> NoReturn:
        """Refuse, as `transaction`."""
        raise UnsupportedOperationError(_NO_TRANSACTIONS)

    # Itself

    def to_dict(self, *, include_password: bool = False) -> dict[str, Any]:
        """Return what builds the store again; without `include_password`, no storage options."""
        options = as_options(self._configuration, include_secrets=include_password)
        cls = f"{type(self).__module__}:{type(self).__name__}"
        return {"cls": cls, "protocol": self.protocol, "args": [], **options}

    def to_json(self, *, include_password: bool = False) -> str:
        """Return `to_dict` as JSON; without `include_password`, no storage options."""
        return str(super().to_json(include_password=include_password))

    async def _close(self) -> None:
        await end_all(self.store.tails)
        await all_of([client.close() for client in self.store.clients.values()])
        if self.store.catalog is not None:
            await self.store.catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._close()

    def __repr__(self) -> str:
        return f"<ResilientFileSystem over {', '.join(self._configuration.names)}>"

    close = sync_wrapper(_close)
