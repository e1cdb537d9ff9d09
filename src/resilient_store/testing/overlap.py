"""Which paths two patterns share, told by the patterns alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

_FIELD = re.compile(r"\{(\w+)(\.\.\.)?\}")
_ANY_OTHER = "\0"  # stands for every letter that neither pattern names


@attrs.frozen
class _Part:
    """One letter, or a field: at least one letter, and none of some."""

    letter: str = ""
    never: str = ""

    def takes(self, letter: str) -> bool:
        return letter == self.letter if self.letter else letter not in self.never


def overlap(one: str, other: str) -> bool:
    """Say whether a path may match both patterns.

    Examples
    --------
    >>> overlap("originals/{name}", "originals/{name}.jpg"), overlap("a/{name}", "a/{x}/{y}")
    (True, False)
    """
    return any(_matches_of(one, other))


def within(inner: str, outer: str) -> bool:
    """Say whether every path that matches the inner pattern certainly matches the outer one.

    Examples
    --------
    >>> within("originals/{name}.jpg", "originals/{name}"), within("a/{path...}", "a/{name}")
    (True, False)
    """
    fields = [name for name, _ in _FIELD.findall(outer)]
    if len(set(fields)) < len(fields):  # what must match the same twice is not followed here
        return inner == outer
    return all(_matches_of(inner, outer))


def _matches_of(one: str, other: str) -> Iterator[bool]:
    """Say of each kind of path that matches one pattern whether it matches the other."""
    ours, theirs = _parts(one), _parts(other)
    letters = {*one, *other, "/", ".", _ANY_OTHER}
    waiting = [(frozenset({0}), frozenset({0}))]
    seen = set(waiting)
    while waiting:
        mine, its = waiting.pop()
        if len(ours) in mine:
            yield len(theirs) in its
        after = {(_after(ours, mine, a), _after(theirs, its, a)) for a in letters}
        fresh = {pair for pair in after if pair[0]} - seen
        seen |= fresh
        waiting += fresh


def _after(parts: list[_Part], matched: frozenset[int], letter: str) -> frozenset[int]:
    """Return how many parts may have been matched when one more letter is read."""
    begun = {n + 1 for n in matched if n < len(parts) and parts[n].takes(letter)}
    fields = {n for n in matched if n and not parts[n - 1].letter}
    return frozenset(begun | {n for n in fields if parts[n - 1].takes(letter)})


def _parts(pattern: str) -> list[_Part]:
    parts: list[_Part] = []
    last = 0
    for field in _FIELD.finditer(pattern):
        between = pattern[last : field.start()]
        never = "/." if between == "." and last else "/"  # the last dot divides
        parts += [*map(_Part, between), _Part(never="" if field[2] else never)]
        last = field.end()
    return [*parts, *map(_Part, pattern[last:])]
