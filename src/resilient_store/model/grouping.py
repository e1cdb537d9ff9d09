"""Which group an object's path puts it into: ``originals/{customer}/...``."""

from __future__ import annotations

import re

from resilient_store.model.pattern import Pattern, PatternError

_LAST_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\.\.\.\}$")


class Grouping:
    """Groups paths by the fields of a pattern.

    All fields make the group, but a ``{path...}`` that ends the pattern: that is the rest. So is
    ``...`` in its place, which needs no name.

    Raises
    ------
    PatternError
        The pattern cannot be read, or has no field to group by.

    Examples
    --------
    >>> Grouping("originals/{customer}/...").of("originals/smith/2026/cat.jpg")
    'smith'
    >>> Grouping("{year}/{customer}/{path...}").of("2026/smith/cat.jpg")
    '2026/smith'
    """

    def __init__(self, text: str) -> None:
        head, rest = text, ""
        if text.endswith("/..."):
            rest = "rest"
            while f"{{{rest}" in text:
                rest += "_"
            head = f"{text.removesuffix('...')}{{{rest}...}}"
        elif (last := _LAST_FIELD.search(text)) is not None:
            rest = last[1]
        self._pattern = Pattern(head)
        self._fields = tuple(name for name in self._pattern.fields if name != rest)
        if not self._fields:
            raise PatternError(
                f"pattern {text!r} has no field to group by: write one as {{customer}}, as in "
                "'originals/{customer}/...'"
            )

    def of(self, path: str) -> str:
        """Return the group of a path, its fields joined by ``/``; empty where it has none."""
        values = self._pattern.match(path)
        return "" if values is None else "/".join(values[name] for name in self._fields)
