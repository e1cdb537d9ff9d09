"""From plain values (keyword arguments, mappings, a TOML file) to a configuration, and back."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from resilient_store.backends.locate import place_of
from resilient_store.errors import ConfigurationError
from resilient_store.placement import Placement
from resilient_store.policies import (
    Backend,
    DegradedRead,
    ReadFromFirstHealthy,
    WriteToAll,
    as_mapping,
    refuse_unknown,
)
from resilient_store.store import Configuration

T = TypeVar("T")

TIMES = {"lock_timeout": 30.0, "lease": 60.0, "late_window": 900.0}
_PLACE = re.compile(r"at (line \d+, column \d+|end of document)")
_PLACED = ("pattern", "backends")
OPTIONS = (
    "backends",
    "catalog",
    "write",
    "read",
    "degraded",
    "placements",
    "write_once",
    "catalog_down",
    "lock_timeout",
    "lease",
    "late_window",
    "on_degraded",
    "on_backend_state",
    "asynchronous",
    "loop",
    "batch_size",
)


def configure(options: Mapping[str, Any]) -> Configuration:
    """Make a configuration from the filesystem's keyword arguments.

    Raises
    ------
    ConfigurationError
        The text names what to change.
    """
    refuse_unknown("ResilientFileSystem", (n for n in options if n not in OPTIONS), OPTIONS)
    catalog = options.get("catalog")
    if not (catalog is None or isinstance(catalog, str) or hasattr(catalog, "change_state")):
        raise ConfigurationError(
            f"catalog is a URL such as 'sqlite:///store.db', not a {type(catalog).__name__}"
        )
    timing = {name: options.get(name, value) for name, value in TIMES.items()}
    catalog_down = options.get("catalog_down", "raise")
    check_catalog_options(catalog_down, **timing)
    write_once = options.get("write_once", False)
    if not (isinstance(write_once, bool) or write_once == "unique-names"):
        raise ConfigurationError(f"write_once={write_once!r} must be True, False or 'unique-names'")
    for name in ("on_degraded", "on_backend_state"):
        if options.get(name) is not None and not callable(options[name]):
            raise ConfigurationError(f"{name} must be callable, and is {options[name]!r}")
    return Configuration(
        backends=tuple(_backend(given) for given in _as_sequence(options.get("backends"))),
        write=_policy(WriteToAll, options.get("write")) or WriteToAll(),
        read=_policy(ReadFromFirstHealthy, options.get("read")) or ReadFromFirstHealthy(),
        degraded=_degraded(options.get("degraded")),
        write_once=write_once,
        on_degraded=options.get("on_degraded"),
        on_backend_state=options.get("on_backend_state"),
        catalog=catalog,
        placements=tuple(
            _placement(given) for given in _as_tuple("placements", options.get("placements") or ())
        ),
        catalog_down=catalog_down,
        **timing,
    )


def _placement(given: Any) -> Placement:
    if isinstance(given, Placement):
        return given
    if isinstance(given, Mapping):
        refuse_unknown("Placement", (n for n in given if n not in _PLACED), _PLACED)
        if set(given) == set(_PLACED):
            return Placement(**given)
    raise ConfigurationError(
        'a placement is a Placement or a mapping such as {"pattern": "thumbs/{name}", '
        '"backends": ["aws"]}'
    )


def check_catalog_options(
    catalog_down: str, lock_timeout: float, lease: float, late_window: float
) -> None:
    """Refuse values that no catalog could work with.

    Raises
    ------
    ConfigurationError
        The text names the option.
    """
    if catalog_down not in ("raise", "read"):
        raise ConfigurationError(f"catalog_down={catalog_down!r} must be 'raise' or 'read'")
    seconds = {"lock_timeout": lock_timeout, "lease": lease, "late_window": late_window}
    value: Any
    for name, value in seconds.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            raise ConfigurationError(f"{name}={value!r} must be a number of seconds above 0")


def identity(configuration: Configuration) -> bytes:
    """Return what tells this configuration from every other, secrets included.

    Two stores that differ only in a secret are two stores: they must never be taken for one.
    """
    parts: list[object] = []
    for backend in configuration.backends:
        plain = as_mapping(backend)
        if not isinstance(backend.target, str):
            plain["target"] = getattr(backend.target, "_fs_token", id(backend.target))
        parts.append(sorted(plain.items()))
    parts += [configuration.names, configuration.write, configuration.read]
    parts += [configuration.degraded, configuration.write_once]
    parts += [configuration.on_degraded, configuration.on_backend_state]
    parts += [configuration.catalog, configuration.placements, configuration.catalog_down]
    parts += [getattr(configuration, name) for name in TIMES]
    return repr(parts).encode()


def from_config(path: str | os.PathLike[str], store: str | None = None, **options: Any) -> Any:
    """Build a store from a TOML file; see `read_config`. Options given here win.

    Returns
    -------
    ResilientFileSystem
        The store.
    """
    from resilient_store.filesystem import ResilientFileSystem

    return ResilientFileSystem(**{**read_config(path, store), **options})


def _as_sequence(backends: Any) -> Iterable[Any]:
    if backends is None:
        return ()
    if isinstance(backends, (str, Mapping, Backend)):
        return (backends,)
    return _as_tuple("backends", backends)


def _as_tuple(what: str, given: Any) -> tuple[Any, ...]:
    if not isinstance(given, Iterable):
        raise ConfigurationError(f"{what} must be a list, and is {given!r}")
    return tuple(given)


def _backend(given: Any) -> Backend:
    if isinstance(given, Backend):
        return given
    if isinstance(given, Mapping):
        if "target" not in given:
            raise ConfigurationError(
                'a backend given as a mapping needs a target, such as {"target": "s3://bucket"}'
            )
        return Backend(**given)
    return Backend(given)


def _policy(kind: type[T], given: Any) -> T | None:
    if given is None or isinstance(given, kind):
        return given
    if isinstance(given, Mapping):
        names = [field.name for field in attrs.fields(kind)]  # type: ignore[arg-type]
        refuse_unknown(kind.__name__, (name for name in given if name not in names), names)
        return kind(**given)
    raise ConfigurationError(
        f"a policy is a {kind.__name__} or a mapping of its options, not a {type(given).__name__}"
    )


def _degraded(given: Any) -> DegradedRead | None:
    if given is None or isinstance(given, DegradedRead):
        return given
    if isinstance(given, Mapping) or callable(given):
        return DegradedRead(given)
    raise ConfigurationError(
        f"degraded is a DegradedRead, a mapping of its rules, or None, not a {type(given).__name__}"
    )


def as_options(configuration: Configuration, *, include_secrets: bool) -> dict[str, Any]:
    """Return the keyword arguments that build the store again, as JSON can hold them.

    Raises
    ------
    ConfigurationError
        A callable or a filesystem instance was given, which JSON cannot hold.
    """
    backends = []
    for backend in configuration.backends:
        if not isinstance(backend.target, str):
            raise ConfigurationError(
                f"a {type(backend.target).__name__} cannot be written as JSON; give the "
                "backend as a URL, or pickle the store"
            )
        plain = {n: v for n, v in as_mapping(backend).items() if v not in (None, {}, "")}
        if not include_secrets:
            plain.pop("storage_options", None)
            plain.pop("write_options", None)
            plain["target"] = without_secrets(backend.target)
        backends.append(plain)
    options: dict[str, Any] = {
        "backends": backends,
        "write": {n: v for n, v in as_mapping(configuration.write).items() if v is not None},
        "read": as_mapping(configuration.read),
        "write_once": configuration.write_once,
    }
    if configuration.catalog is not None:
        options |= _catalog_options(configuration, include_secrets=include_secrets)
    if configuration.degraded is not None:
        if callable(configuration.degraded.rules):
            raise ConfigurationError(
                "a callable cannot be written as JSON; give DegradedRead a mapping"
            )
        options["degraded"] = {o: list(d) for o, d in configuration.degraded.rules.items()}
    for hook in ("on_degraded", "on_backend_state"):
        if getattr(configuration, hook) is not None:
            raise ConfigurationError(f"{hook} cannot be written as JSON; pickle the store")
    return options


def _catalog_options(configuration: Configuration, *, include_secrets: bool) -> dict[str, Any]:
    catalog = configuration.catalog
    if not isinstance(catalog, str):
        raise ConfigurationError("a catalog given as a database cannot be written as JSON")
    return {
        "catalog": catalog if include_secrets else without_secrets(catalog),
        "catalog_down": configuration.catalog_down,
        "placements": [
            {"pattern": p.pattern, "backends": list(p.backends)} for p in configuration.placements
        ],
        **{name: getattr(configuration, name) for name in TIMES},
    }


def without_secrets(url: str) -> str:
    """Return a URL without userinfo and without its query, which may hold a token."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme in ("file", "local", "memory", "sqlite"):
        return url
    authority, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}{separator}{place_of(scheme, authority)}{slash}{path}"


def read_config(
    path: str | os.PathLike[str], store: str | None = None, *, secrets_needed: bool = True
) -> dict[str, Any]:
    """Read a store's options from a TOML file; secrets may be references to the environment.

    ``{env = "NAME"}`` anywhere in the file stands for that environment variable.

    Parameters
    ----------
    path
        The file.
    store
        The name of a table under ``[stores]``; None where the file has just one.
    secrets_needed
        False: a variable that the environment lacks is empty.

    Raises
    ------
    ConfigurationError
        The file cannot be read, names no such store, or an environment variable is not set.
    """
    file = os.fspath(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
        stores: dict[str, Any] = tomllib.loads(text).get("stores", {})
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}; name the store's TOML file") from None
    except ValueError as error:
        place = _PLACE.search(str(error))  # and no more of the text, which may hold a secret
        at = f" ({place[0]})" if place else ""
        raise ConfigurationError(f"{file}: it is no TOML in UTF-8{at}; correct it") from None
    if not isinstance(stores, dict):
        raise ConfigurationError(f"{file}: 'stores' must be a table: begin one by [stores.NAME]")
    name = store if store is not None else next(iter(stores), "")
    if name not in stores or (store is None and len(stores) != 1):
        raise ConfigurationError(
            f"{file}: say which store; it has {', '.join(stores) or 'no [stores.NAME]'}"
        )
    if not isinstance(stores[name], dict):
        raise ConfigurationError(f"{file}: stores.{name} must be a table: [stores.{name}]")
    options: dict[str, Any] = _resolve(
        stores[name], f"stores.{name}", secrets_needed=secrets_needed
    )
    return options


def _resolve(value: Any, where: str, *, secrets_needed: bool) -> Any:
    def below(item: Any, at: str) -> Any:
        return _resolve(item, f"{where}{at}", secrets_needed=secrets_needed)

    if isinstance(value, dict):
        if set(value) == {"env"}:
            variable = value["env"]
            if secrets_needed and variable not in os.environ:
                raise ConfigurationError(f"{where}: the environment has no {variable}; set it")
            return os.environ.get(variable, "")
        return {name: below(item, f".{name}") for name, item in value.items()}
    if isinstance(value, list):
        return [below(item, f"[{index}]") for index, item in enumerate(value)]
    return value
