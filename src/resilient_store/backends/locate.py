"""Where a backend is: its name, place and failure domain, without opening it.

No cloud SDK is imported, and no network touched.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from resilient_store.errors import ConfigurationError, MissingExtraError
from resilient_store.policies import Backend

_LOCAL = frozenset({"file", "local"})
_EXTRAS = {"s3fs": "s3", "gcsfs": "gcs", "adlfs": "azure"}
_ENDPOINTS = ("endpoint_url", "account_host", "host")


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
    platform = _CANONICAL.get(protocol)
    authority = place_of(protocol, parts.netloc)
    if platform and not authority:
        raise ConfigurationError(
            f"Backend: {protocol}:// names no bucket; write {protocol}://bucket or "
            f"{protocol}://bucket/prefix"
        )
    endpoint = _endpoint(backend.storage_options) or (host or "" if platform is None else "")
    rest = f"{authority}{parts.path}".rstrip("/")
    return _spot(platform or protocol, endpoint, backend.storage_options, rest)


# Names under which fsspec knows one platform.
_CANONICAL = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gs"),
    **dict.fromkeys(("abfs", "abfss", "az"), "abfs"),
}
PLATFORMS = frozenset(_CANONICAL.values())
_AZURE = frozenset({"abfs", "abfss", "az", "adl"})
_CONNECTION = re.compile(r"(?:^|;)\s*(AccountName|BlobEndpoint)=([^;]+)")


def _spot(protocol: str, endpoint: str, options: Mapping[str, Any], rest: str) -> Spot:
    """Make a spot: accounts are places of their own, and share their provider's fate."""
    where = f"{protocol}://{endpoint}" if endpoint else protocol
    account = _connection(options).get("AccountName") or options.get("account_name") or ""
    return Spot(protocol, f"{where}:{account}:{rest}", where, _label(protocol, rest))


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
    if platform_of(type(filesystem)) is not None:
        if not root:
            raise ConfigurationError(
                f'Backend: a {type(filesystem).__name__} needs root="bucket" or "bucket/prefix"'
            )
        options = filesystem.storage_options
        return _spot(_CANONICAL.get(protocol, protocol), _endpoint(options), options, root)
    shared = type(filesystem).__module__ == "fsspec.implementations.memory"
    token = "" if shared else str(getattr(filesystem, "_fs_token", id(filesystem)))
    return Spot(
        protocol, f"{protocol}:{token}:{root}".replace("::", ":"), protocol, _label(protocol, root)
    )


_PACKAGES = {"s3fs": "s3", "gcsfs": "gcs", "adlfs": "azure"}


def platform_of(filesystem_class: type) -> str | None:
    """Name the platform that a filesystem's class speaks to; None for any other filesystem.

    Known by the package that it, or a class it is made from, comes from: nothing is imported.
    """
    packages = (base.__module__.partition(".")[0] for base in filesystem_class.__mro__)
    return next((_PACKAGES[package] for package in packages if package in _PACKAGES), None)


def _label(protocol: str, rest: str) -> str:
    words = "".join(sign if sign.isalnum() or sign in "._-" else "-" for sign in rest)
    return "-".join(part for part in (protocol, words.strip("-._")) if part)


def _endpoint(options: Mapping[str, Any]) -> str:
    """Return the host that options name in place of the provider's own."""
    known = {**(options.get("client_kwargs") or {}), **options}
    known.setdefault("endpoint_url", _connection(options).get("BlobEndpoint"))
    for option in _ENDPOINTS:
        if value := known.get(option):
            parts = urlsplit(str(value)) if "://" in str(value) else urlsplit(f"//{value}")
            return parts.netloc.rpartition("@")[2]
    return ""


def _connection(options: Mapping[str, Any]) -> dict[str, str]:
    return dict(_CONNECTION.findall(str(options.get("connection_string") or "")))


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
