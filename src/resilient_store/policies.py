"""What a user configures: backends and policies, as frozen values that refuse to be wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, Protocol

import attrs

from resilient_store.errors import ConfigurationError
from resilient_store.model.path import LONGEST_BYTES, problem, strip_protocol
from resilient_store.model.pattern import Pattern, PatternError, path_pattern

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_USERINFO = re.compile(r"(?<=://)[^/]*@")


class FileSystemLike(Protocol):
    """An fsspec filesystem, as far as a `Backend` looks at it."""

    @property
    def protocol(self) -> str | tuple[str, ...]:
        """The filesystem's protocol, or its names."""


def _options(value: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if not isinstance(value or {}, Mapping):
        raise ConfigurationError(
            "Backend: storage_options and write_options are mappings of options, such as "
            '{"anon": True}'
        )
    return MappingProxyType(dict(value or {}))


def _hidden(value: Mapping[str, Any]) -> str:
    """Show an option's name and never its value: it may be a secret."""
    return "{" + ", ".join(f"{name}: ..." for name in sorted(value)) + "}"


def _target_words(target: Any) -> str:
    """Show a target without userinfo and without a query, which may hold a token."""
    if isinstance(target, str):
        return repr(_USERINFO.sub("***@", target.partition("?")[0]))
    return f"<{type(target).__name__}>"


def _positive(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ConfigurationError(
            f"{type(instance).__name__}: {attribute.name}={value!r} must be a finite number above 0"
        )


def _whole(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(
            f"{type(instance).__name__}: {attribute.name}={value!r} must be a whole number of "
            "at least 1"
        )


def _text(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(
            f"{type(instance).__name__}: {attribute.name} must be text, "
            f"and is a {type(value).__name__}"
        )


def _truth(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(
            f"{type(instance).__name__}: {attribute.name} must be true or false, and is {value!r}"
        )


@attrs.frozen(init=False, eq=True, hash=False)
class Backend:
    """One fsspec filesystem plus a root, with a name and a failure domain.

    Parameters
    ----------
    target
        A URL (``"s3://bucket/prefix"``, ``"file:///mnt/photos"``) or an fsspec filesystem,
        asynchronous or not.
    root
        Where in a filesystem given as `target` the objects lie; only beside an instance.
    name
        Unique in a store. Default: made from the URL.
    domain
        The failure domain, such as ``"aws/us-east-1"``; its first part is the platform.
        Default: the URL's protocol and endpoint, so that two buckets of one provider count
        as one platform until somebody says otherwise.
    storage_options
        Given to the filesystem when it is opened; never shown.
    holds_all
        The user's word that every object lies here: its "not found" is then certain.
    read_only
        Never written to.
    write_options
        Given to every write on this backend (storage class, ACL).
    timeout
        Seconds for a call without a body; one with a body gets 1 s more for each MB.
    stall_timeout
        Seconds without progress that end a long transfer.
    max_concurrency
        Calls under way at once.

    Raises
    ------
    ConfigurationError
        A value cannot work, or an option is unknown.
    """

    target: Any = attrs.field(repr=_target_words)
    root: str = attrs.field(default="", validator=_text)
    name: str | None = attrs.field(default=None, validator=_text)
    domain: str | None = attrs.field(default=None, validator=_text)
    storage_options: Mapping[str, Any] = attrs.field(default=None, converter=_options, repr=_hidden)
    holds_all: bool = attrs.field(default=False, validator=_truth)
    read_only: bool = attrs.field(default=False, validator=_truth)
    write_options: Mapping[str, Any] = attrs.field(default=None, converter=_options, repr=_hidden)
    timeout: float = attrs.field(default=10.0, validator=_positive)
    stall_timeout: float = attrs.field(default=5.0, validator=_positive)
    max_concurrency: int = attrs.field(default=32, validator=_whole)

    def __init__(
        self,
        target: str | FileSystemLike,
        *,
        root: str = "",
        name: str | None = None,
        domain: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
        holds_all: bool = False,
        read_only: bool = False,
        write_options: Mapping[str, Any] | None = None,
        timeout: float = 10.0,
        stall_timeout: float = 5.0,
        max_concurrency: int = 32,
        **unknown: object,
    ) -> None:
        refuse_unknown("Backend", unknown, [field.name for field in attrs.fields(Backend)])
        self.__attrs_init__(
            target,
            root,
            name,
            domain,
            storage_options,
            holds_all,
            read_only,
            write_options,
            timeout,
            stall_timeout,
            max_concurrency,
        )

    def __attrs_post_init__(self) -> None:
        if isinstance(self.target, str):
            self._check_url(self.target)
        elif not hasattr(self.target, "protocol"):
            raise ConfigurationError(
                f"Backend: target is a {type(self.target).__name__}; "
                "give a URL or an fsspec filesystem"
            )
        elif self.storage_options:
            raise ConfigurationError(
                "Backend: storage_options go with a URL; the filesystem that was given "
                "has its options already. Remove them"
            )
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"Backend: name={self.name!r} may hold letters, digits, '.', '_' and '-' only"
            )
        if self.domain is not None and not self.domain.strip("/"):
            raise ConfigurationError(
                'Backend: domain is empty; say for example domain="aws/us-east-1", or leave it out'
            )

    def _check_url(self, target: str) -> None:
        if not target:
            raise ConfigurationError('Backend: target is empty; give a URL such as "s3://bucket"')
        if self.root:
            raise ConfigurationError(
                "Backend: root goes with a filesystem instance; put the path into the URL"
            )

    def __hash__(self) -> int:
        target = self.target if isinstance(self.target, str) else type(self.target)
        return hash((target, self.root, self.name))

    def __getstate__(self) -> dict[str, Any]:
        return as_mapping(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def as_mapping(value: Any) -> dict[str, Any]:
    """Return a policy or backend as the mapping that builds it again."""
    plain = attrs.asdict(value, recurse=False)
    return {
        name: dict(item) if isinstance(item, MappingProxyType) else item
        for name, item in plain.items()
    }


def refuse_unknown(where: str, unknown: Iterable[str], known: Sequence[str]) -> None:
    """Refuse options that do not exist, naming the nearest that does.

    Raises
    ------
    ConfigurationError
        There is at least one.
    """
    for name in unknown:
        import difflib

        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise ConfigurationError(f"{where}: there is no option {str(name)!r}; {hint}")


@attrs.frozen(kw_only=True)
class WriteToAll:
    """Write to every backend; acknowledge at `min_copies` on `min_domains` platforms (P1).

    Parameters
    ----------
    min_copies
        Backends that must hold the bytes; None: all of them.
    min_domains
        Platforms that they must lie on.
    """

    min_copies: int | None = None
    min_domains: int = 1

    def __attrs_post_init__(self) -> None:
        for name in ("min_copies", "min_domains"):
            value = getattr(self, name)
            if value is None and name == "min_copies":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(
                    f"WriteToAll: {name}={value!r} must be a whole number of at least 1"
                )
        if self.min_copies is not None and self.min_domains > self.min_copies:
            raise ConfigurationError(
                f"WriteToAll: min_domains={self.min_domains} needs as many copies, and "
                f"min_copies is {self.min_copies}: raise min_copies to {self.min_domains}, "
                "or lower min_domains"
            )


@attrs.frozen(kw_only=True)
class ReadFromFirstHealthy:
    """Read from the first healthy backend; ask the next one when it is slow (P6).

    Parameters
    ----------
    hedge_after
        Seconds after which a second backend is asked too.
    """

    hedge_after: float = attrs.field(default=0.25, validator=_positive)


WriteOnce = bool | Literal["unique-names"]
Hook = Callable[[Any], object]


@attrs.frozen
class DegradedRead:
    """Which derivatives may stand in, flagged, for an original that cannot be had (P5).

    Parameters
    ----------
    rules
        A mapping from a pattern of originals to patterns of their derivatives, largest first
        (the first pattern that matches counts), or a callable that takes a path and returns
        its derivatives' paths.

    Raises
    ------
    ConfigurationError
        A pattern cannot be read, a derivative is its own original, or uses a field that the
        original's pattern lacks.

    Examples
    --------
    >>> rule = DegradedRead({"originals/{name}": ["previews/{name}", "thumbs/{name}"]})
    >>> rule.derivatives("originals/cat.jpg")
    ('previews/cat.jpg', 'thumbs/cat.jpg')
    """

    rules: Mapping[str, Sequence[str]] | Callable[[str], Iterable[str]]
    _compiled: tuple[tuple[Pattern, tuple[Pattern, ...]], ...] = attrs.field(
        init=False, eq=False, repr=False, default=()
    )

    def __attrs_post_init__(self) -> None:
        if callable(self.rules):
            return
        given: Any = self.rules
        if not isinstance(given, Mapping) or not given:
            raise ConfigurationError(
                "DegradedRead: give a mapping such as "
                '{"originals/{name}": ["previews/{name}"]}, or a callable'
            )
        rules = tuple(
            (_pattern_text(o), _as_texts(o, derived)) for o, derived in self.rules.items()
        )
        try:
            compiled = tuple(
                (path_pattern(original), tuple(map(path_pattern, derived)))
                for original, derived in rules
            )
        except PatternError as error:
            raise ConfigurationError(f"DegradedRead: {error}") from None
        for original, derived_patterns in compiled:
            _check_rule(original, derived_patterns)
        object.__setattr__(self, "_compiled", compiled)
        object.__setattr__(self, "rules", {original: tuple(d) for original, d in rules})

    def __hash__(self) -> int:
        return hash(self.rules if callable(self.rules) else tuple(self.rules))

    def __getstate__(self) -> object:
        return self.rules

    def __setstate__(self, state: Any) -> None:
        self.__init__(state)  # type: ignore[misc]

    def derivatives(self, path: str) -> tuple[str, ...]:
        """Return the paths that may stand in for this one, best first; none if no rule matches."""
        if callable(self.rules):
            found: Iterable[str] = self.rules(path)
            given = [found] if isinstance(found, str) else found or ()
            found = [named for text in given if (named := _derived(text))]
        else:
            found = self._by_rule(path)
        return tuple(derived for derived in dict.fromkeys(found or ()) if derived != path)

    def _by_rule(self, path: str) -> list[str]:
        for original, derived in self._compiled:
            values = original.match(path)
            if values is not None:
                return [pattern.fill(values) for pattern in derived]
        return []


def _derived(text: object) -> str | None:
    """Return a path that a callable has made, stripped; None where nothing can lie there."""
    if not isinstance(text, str):
        raise ConfigurationError(f"DegradedRead: the callable returned {text!r}, which is no text")
    path = strip_protocol(text)
    if len(path.encode(errors="replace")) > LONGEST_BYTES:
        return None
    if why := problem(path) if path else "it is empty":
        raise ConfigurationError(f"DegradedRead: the callable returned {text!r}, no path: {why}")
    return path


def _as_texts(original: str, derived: str | Iterable[str]) -> list[str]:
    texts = [derived] if isinstance(derived, str) else derived
    if isinstance(texts, Mapping) or not isinstance(texts, Iterable):
        raise ConfigurationError(
            f"DegradedRead: the derivatives of {original!r} must be a list of patterns"
        )
    return [_pattern_text(text) for text in texts]


def _pattern_text(pattern: object) -> str:
    if not isinstance(pattern, str):
        raise ConfigurationError(f"DegradedRead: a pattern is text, not {pattern!r}")
    return pattern


def _check_rule(original: Pattern, derived: tuple[Pattern, ...]) -> None:
    if not derived:
        raise ConfigurationError(
            f"DegradedRead: {original.text!r} has no derivative; name one, or remove the rule"
        )
    for pattern in derived:
        if pattern == original:
            raise ConfigurationError(
                f"DegradedRead: {original.text!r} is its own derivative; "
                "give the path of the preview or thumbnail"
            )
        for field in pattern.fields:
            if field not in original.fields:
                raise ConfigurationError(
                    f"DegradedRead: {pattern.text!r} uses the field {{{field}}}, which "
                    f"{original.text!r} lacks; it has {', '.join(original.fields) or 'none'}"
                )
