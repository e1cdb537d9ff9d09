"""Which backends hold what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from resilient_store.errors import ConfigurationError
from resilient_store.model.pattern import Pattern, PatternError, path_pattern


@attrs.frozen
class Placement:
    """Which backends hold the objects of a pattern; the first that matches counts.

    Parameters
    ----------
    pattern
        Of paths, as in `DegradedRead`.
    backends
        Names of backends; the write policy asks its copies of these.

    Raises
    ------
    ConfigurationError
        The pattern cannot be read, or names no backend, or one twice.

    Examples
    --------
    >>> Placement("thumbs/{path...}", backends=["aws"]).matches("thumbs/a/b.jpg")
    True
    """

    pattern: str
    backends: Sequence[str] = attrs.field(kw_only=True)
    _compiled: Pattern = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        names: Any = self.backends
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise ConfigurationError("Placement: backends is a list of backends' names")
        if not names or len(set(names)) != len(names):
            raise ConfigurationError(
                f"Placement: {self.pattern!r} must name at least one backend, and none twice"
            )
        try:
            compiled = path_pattern(self.pattern)
        except (PatternError, TypeError) as error:
            raise ConfigurationError(f"Placement: {error}") from None
        object.__setattr__(self, "backends", tuple(names))
        object.__setattr__(self, "_compiled", compiled)

    def __getstate__(self) -> dict[str, Any]:
        return {"pattern": self.pattern, "backends": self.backends}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def matches(self, path: str) -> bool:
        """Say whether this placement is the path's."""
        return self._compiled.match(path) is not None
