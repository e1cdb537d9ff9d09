"""Path patterns: ``originals/{name}``, ``{name}.{ext}``, ``{path...}``."""

from __future__ import annotations

import re

import attrs

from resilient_store.model.path import problem, strip_protocol

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\.\.\.)?\}")


class PatternError(ValueError):
    """A pattern that cannot be read; the text says why."""


def path_pattern(text: str) -> Pattern:
    """Read a pattern of paths; one that no path can match is refused.

    Raises
    ------
    PatternError
        It cannot be read, or what it would match is no path.
    """
    pattern = Pattern(text)
    if text != (plain := strip_protocol(text)):
        raise PatternError(f"pattern {text!r}: write {plain!r}, as paths are named in the store")
    if why := problem(_FIELD.sub("x", text)):
        raise PatternError(f"pattern {text!r} is no path inside the store: {why}")
    return pattern


@attrs.frozen
class Pattern:
    """A path with named fields.

    A field matches characters other than ``/``, at least one; ``{path...}`` spans segments;
    in ``{name}.{ext}`` the last dot divides; a field named twice must match the same twice.

    Examples
    --------
    >>> Pattern("originals/{name}.{ext}").match("originals/a.b.jpg")
    {'name': 'a.b', 'ext': 'jpg'}
    """

    text: str
    fields: tuple[str, ...] = attrs.field(init=False, eq=False)
    _regex: re.Pattern[str] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self.text or "{" in (rest := _FIELD.sub("", self.text)) or "}" in rest:
            raise PatternError(
                f"pattern {self.text!r}: write a field as {{name}} or {{path...}}, "
                "with letters, digits and '_'"
            )
        names: list[str] = []
        regex, last = "", 0
        for found in _FIELD.finditer(self.text):
            name, spans = found.groups()
            literal = self.text[last : found.start()]
            regex += re.escape(literal)
            after_a_dotted_field = bool(names) and literal == "."
            if name in names:
                regex += f"(?P={name})"
            else:
                matches = ".+" if spans else "[^/.]+" if after_a_dotted_field else "[^/]+"
                regex += f"(?P<{name}>{matches})"
                names.append(name)
            last = found.end()
        regex += re.escape(self.text[last:])
        object.__setattr__(self, "fields", tuple(names))
        object.__setattr__(self, "_regex", re.compile(regex, re.DOTALL))

    def match(self, path: str) -> dict[str, str] | None:
        """Return each field's part of the path, or None where the pattern does not match."""
        found = self._regex.fullmatch(path)
        return found.groupdict() if found else None

    def fill(self, values: dict[str, str]) -> str:
        """Return the path that these values of the fields make."""
        return _FIELD.sub(lambda field: values[field[1]], self.text)
