"""From a `Backend` to a family: names, places and classes first, the filesystem when needed.

Looking at a configuration imports no cloud SDK and touches no network.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import attrs

from resilient_store.backends.contract import Family
from resilient_store.backends.threads import DaemonPool
from resilient_store.errors import ConfigurationError, MissingExtraError
from resilient_store.policies import Backend

_LOCAL = frozenset({"file", "local"})
_EXTRAS = {"s3fs": "s3", "gcsfs": "gcs", "adlfs": "azure"}
_ENDPOINTS = ("endpoint_url", "account_name", "host")


@attrs.frozen
class Spot:
    """Where a backend is.

    Attributes
    ----------
    protocol
        Of the URL or of the filesystem.
    place
        Equal for two backends that hold the same bytes.
    domain
        The failure domain to take where the user gave none.
    label
        The name to take where the user gave none.
    """

    protocol: str
    place: str
    domain: str
    label: str


def locate(backend: Backend) -> Spot:
    """Say where a backend is, without opening it.

    Raises
    ------
    ConfigurationError
        No filesystem has that protocol, or an option means nothing to it.
    MissingExtraError
        The package for it is not installed.
    """
    if not isinstance(backend.target, str):
        return _locate_instance(backend)
    url = backend.target
    if "::" in url:
        raise ConfigurationError(
            "Backend: a chained URL ('::') hides what it wraps; give the platform's own URL"
        )
    protocol = url.partition("://")[0] if "://" in url else "file"
    if protocol in _LOCAL:
        _refuse_options(backend, "a directory")
        path = os.path.realpath(local_path(url))
        return Spot("file", f"file:{path}", "file", _label("file", os.path.basename(path)))
    if protocol == "memory":
        _refuse_options(backend, "memory")
        path = url.partition("://")[2].partition("?")[0].strip("/")
        return Spot("memory", f"memory:{path}", "memory", _label("memory", path))
    _require_class(protocol)
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:  # its text holds the URL, password included
        raise ConfigurationError(
            f"Backend: the {protocol} URL cannot be read; check the host and its brackets"
        ) from None
    endpoint = _endpoint(backend, host if protocol not in _BUCKETS else None)
    where = f"{protocol}://{endpoint}" if endpoint else protocol
    rest = f"{place_of(protocol, parts.netloc)}{parts.path}".rstrip("/")
    return Spot(protocol, f"{where}:{rest}", where, _label(protocol, rest))


_AZURE = frozenset({"abfs", "abfss", "az", "adl"})
_BUCKETS = _AZURE | {"s3", "s3a", "gs", "gcs"}
_ACCOUNT = re.compile(r"(?:^|;)\s*AccountName=([^;]+)")


def place_of(protocol: str, authority: str) -> str:
    """Return a URL's authority without userinfo; before an Azure account's ``@`` is a container.

    Examples
    --------
    >>> place_of("sftp", "me:secret@host"), place_of("abfs", "photos@shop.dfs.core.windows.net")
    ('host', 'photos@shop.dfs.core.windows.net')
    """
    user, _, host = authority.rpartition("@")
    return authority if protocol in _AZURE and ":" not in user else host


def local_path(url: str) -> str:
    """Return the directory that a ``file://`` URL or a plain path means."""
    _, separator, path = url.partition("://")
    return os.path.abspath(os.path.expanduser(path if separator else url))


def _locate_instance(backend: Backend) -> Spot:
    filesystem: Any = backend.target
    protocols = filesystem.protocol
    protocol = protocols if isinstance(protocols, str) else protocols[0]
    if protocol in _LOCAL:
        path = os.path.realpath(backend.root or os.sep)
        return Spot("file", f"file:{path}", "file", _label("file", os.path.basename(path)))
    root = backend.root.strip("/")
    shared = type(filesystem).__module__ == "fsspec.implementations.memory"
    token = "" if shared else str(getattr(filesystem, "_fs_token", id(filesystem)))
    return Spot(
        protocol, f"{protocol}:{token}:{root}".replace("::", ":"), protocol, _label(protocol, root)
    )


def _label(protocol: str, rest: str) -> str:
    words = "".join(sign if sign.isalnum() or sign in "._-" else "-" for sign in rest)
    return "-".join(part for part in (protocol, words.strip("-._")) if part)


def _endpoint(backend: Backend, host: str | None) -> str:
    options = backend.storage_options
    known = {**(options.get("client_kwargs") or {}), **options}
    if account := _ACCOUNT.search(str(known.get("connection_string", ""))):
        known.setdefault("account_name", account[1])
    for option in _ENDPOINTS:
        if value := known.get(option):
            parts = urlsplit(str(value)) if "://" in str(value) else urlsplit(f"//{value}")
            return parts.netloc.rpartition("@")[2]
    return host or ""


def _refuse_options(backend: Backend, what: str) -> None:
    for name in backend.storage_options:
        raise ConfigurationError(
            f"Backend: {what} takes no storage_options, and {name!r} was given; remove it"
        )


def _require_class(protocol: str) -> None:
    from fsspec.registry import known_implementations, registry

    if protocol in registry:
        return
    known = known_implementations.get(protocol)
    if known is None:
        raise ConfigurationError(
            f"Backend: no fsspec filesystem has the protocol {protocol!r}; "
            "check the URL's spelling, or install the package that brings it"
        )
    module = known["class"].partition(".")[0].partition(":")[0]
    if importlib.util.find_spec(module) is None:
        extra = _EXTRAS.get(module)
        package = f'"resilient_store[{extra}]"' if extra else module
        raise MissingExtraError(
            f"Backend: {protocol!r} needs the package {module}; run: pip install {package}"
        )


def opener(backend: Backend, name: str) -> Callable[[], Awaitable[Family]]:
    """Return what opens the backend in the running loop, when it is first needed."""
    spot = locate(backend)
    is_url = isinstance(backend.target, str)
    # Now, not when it is opened: the process may stand in another directory by then.
    folder = local_path(backend.target) if is_url and spot.protocol == "file" else ""

    async def open_family() -> Family:
        if folder:
            from resilient_store.backends.families.local import LocalFamily

            return LocalFamily(folder, name, backend.max_concurrency)
        if is_url:
            return await _open_url(backend, spot, name)
        return _wrap(backend, backend.target, backend.root, name)

    return open_family


async def _open_url(backend: Backend, spot: Spot, name: str) -> Family:
    pool = DaemonPool(f"{name}-open", 1)  # importing and building an SDK's client takes its time
    try:
        filesystem, root = await pool.run(lambda _: _instantiate(backend, spot.protocol))
    finally:
        pool.close()
    return _wrap(backend, filesystem, root, name)


def _instantiate(backend: Backend, protocol: str) -> tuple[Any, str]:
    from fsspec import get_filesystem_class

    cls = get_filesystem_class(protocol)
    options = {**cls._get_kwargs_from_urls(backend.target), **backend.storage_options}
    private = {"skip_instance_cache": True, "use_listings_cache": False}
    if cls.async_impl:
        private["asynchronous"] = True
    return cls(**options, **private), cls._strip_protocol(backend.target)


def _wrap(backend: Backend, filesystem: Any, root: str, name: str) -> Family:
    own = getattr(filesystem, "resilient_family", None)
    if own is not None:  # a filesystem that brings a family of its own
        family: Family = own(root)
        return family
    from fsspec.implementations.local import LocalFileSystem
    from fsspec.implementations.memory import MemoryFileSystem

    if type(filesystem) is LocalFileSystem:
        from resilient_store.backends.families.local import LocalFamily

        return LocalFamily(root or os.sep, name, backend.max_concurrency)
    if type(filesystem) is MemoryFileSystem:
        from resilient_store.backends.families.memory import MemoryFamily

        return MemoryFamily(filesystem, root)
    from resilient_store.backends.families.generic import GenericFamily

    return GenericFamily(filesystem, root, name, backend.max_concurrency, backend.write_options)
