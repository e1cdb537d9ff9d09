"""From a `Backend` to a family, in the running loop, when it is first needed.

A filesystem that the user gives is used as it is, but for those of s3fs, gcsfs and adlfs: they
are a recipe for a private one, without a listing cache and without retries of its own.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from resilient_store.backends.contract import Family
from resilient_store.backends.families.calling import works_asynchronously
from resilient_store.backends.families.generic import GenericFamily
from resilient_store.backends.families.local import LocalFamily
from resilient_store.backends.families.memory import MemoryFamily
from resilient_store.backends.families.one_connection import (
    OneConnectionFamily,
    has_one_connection,
)
from resilient_store.backends.locate import local_path, locate, platform_of
from resilient_store.importing import import_in_turn
from resilient_store.policies import Backend
from resilient_store.threads import DaemonPool


def opener(backend: Backend, name: str) -> Callable[[], Awaitable[Family]]:
    """Return what opens the backend in the running loop, when it is first needed."""
    spot = locate(backend)
    is_url = isinstance(backend.target, str)
    # Now, not when it is opened: the process may stand in another directory by then.
    folder = local_path(backend.target) if is_url and spot.protocol == "file" else ""

    tell = getattr(backend.target, "resilient_root", None)
    if tell is not None:  # a filesystem that wants to know what of it is the store's
        tell(backend.root)

    async def open_family() -> Family:
        if folder:
            return LocalFamily(folder, name, backend.max_concurrency)
        if not is_url and platform_of(type(backend.target)) is None:
            own = getattr(backend.target, "resilient_family", None)
            if own is not None:  # a filesystem that brings a family of its own
                family: Family = await own(backend.root)
                return family
            return _wrap(backend, backend.target, backend.root, name)
        pool = DaemonPool(f"{name}-open", 1)  # importing an SDK and signing in take their time
        try:
            return await pool.run(lambda _: _open(backend, name))
        finally:
            pool.close()

    return open_family


def _open(backend: Backend, name: str) -> Family:
    from fsspec import get_filesystem_class

    target = backend.target
    if isinstance(target, str):
        cls = get_filesystem_class(target.partition("://")[0])
        options = {**cls._get_kwargs_from_urls(target), **backend.storage_options}
        arguments, root = (), cls._strip_protocol(target)
    else:
        cls, arguments, options = type(target), target.storage_args, dict(target.storage_options)
        root = backend.root
    private = {"skip_instance_cache": True, "use_listings_cache": False}
    options = {n: v for n, v in options.items() if n not in ("loop", "asynchronous")} | private
    platform = platform_of(cls)
    if platform is None:
        more = {"asynchronous": True} if cls.async_impl else {}
        return _wrap(backend, cls(**options, **more), root, name)
    family = import_in_turn(f"resilient_store.backends.families.{platform}")
    opened: Family = family.open_family(
        cls, arguments, options, root=root, backend=backend, name=name
    )
    return opened


def _wrap(backend: Backend, filesystem: Any, root: str, name: str) -> Family:
    from fsspec.implementations.local import LocalFileSystem
    from fsspec.implementations.memory import MemoryFileSystem

    if type(filesystem) is LocalFileSystem:
        return LocalFamily(root or os.sep, name, backend.max_concurrency)
    if type(filesystem) is MemoryFileSystem:
        return MemoryFamily(filesystem, root)
    if not has_one_connection(filesystem):
        threads = backend.max_concurrency
    elif works_asynchronously(filesystem):
        threads = 1
    else:
        return OneConnectionFamily(filesystem, root, name, backend.write_options)
    return GenericFamily(filesystem, root, name, threads, backend.write_options)
