"""What a configuration promises for the day on which one platform is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from resilient_store.filesystem import ResilientFileSystem
from resilient_store.model.domain import platform, platforms
from resilient_store.model.pattern import Pattern
from resilient_store.store import Store
from resilient_store.testing.overlap import overlap, within


@attrs.frozen(kw_only=True)
class Claim:
    """What is promised for some paths while one platform is lost and the others are well.

    Attributes
    ----------
    lost
        The platform.
    pattern
        The paths: a placement's pattern, or ``every path`` and ``every other path``.
    reads
        Whether every acknowledged object of these is still read.
    writes
        Whether writes are still acknowledged.
    deletes
        Whether deletions are.
    derivatives
        Patterns of derivatives, still there, that may stand in, flagged; only where `reads` is
        False, and only where all derivatives of the pattern are read without the platform.
    """

    lost: str
    pattern: str
    reads: bool
    writes: bool
    deletes: bool
    derivatives: tuple[str, ...] = ()

    def promises(self, derived: str, among: Claims, fs: ResilientFileSystem) -> bool:
        """Say whether a path is a derivative that may stand in, and is itself still read."""
        named = any(Pattern(text).match(derived) for text in self.derivatives)
        return named and among.of(self.lost, derived, fs).reads

    def __str__(self) -> str:
        words = [
            f"without {self.lost}, {self.pattern}: reads {'served' if self.reads else 'refused'}",
            f"writes {'acknowledged' if self.writes else 'refused'}",
            f"deletions {'acknowledged' if self.deletes else 'refused'}",
        ]
        if self.derivatives:
            words[0] += f", or degraded to {', '.join(self.derivatives)}"
        return "; ".join(words)


class Claims(tuple[Claim, ...]):
    """Every claim of a configuration; as text, a line each."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(str(claim) for claim in self)

    def of(self, lost: str, path: str, fs: ResilientFileSystem) -> Claim:
        """Return what is claimed for a path without a platform."""
        pattern = _pattern_of(fs.store, path)
        return next(c for c in self if c.lost == lost and c.pattern == pattern)


def claims(fs: ResilientFileSystem) -> Claims:
    """Say what a store promises for each single platform lost, from its configuration alone.

    A *refused* read may be served all the same, where a copy happens to lie elsewhere; all else
    is a promise: what is *served* (P1), what stands in (P5), which writes and deletions are
    *acknowledged* (P1), and that *refused* ones are (P1, P3). A platform is lost when it is away
    for any time, or for ever.

    Examples
    --------
    >>> import resilient_store as rs
    >>> from resilient_store import testing
    >>> backends = [
    ...     rs.Backend("memory://a", name="aws", domain="aws/us-east-1"),
    ...     rs.Backend("memory://g", name="gcp", domain="gcp/europe-west1"),
    ... ]
    >>> print(testing.claims(rs.ResilientFileSystem(backends)))
    without aws, every path: reads served; writes refused; deletions refused
    without gcp, every path: reads served; writes refused; deletions refused
    """
    store = fs.store
    lost = platforms(store.clients, store.domains)
    return Claims(
        _claim(store, platform, pattern, placed)
        for platform in lost
        for pattern, placed in _groups(store).items()
    )


def _groups(store: Store) -> dict[str, tuple[str, ...]]:
    """Return which backends hold what; the first pattern that matches a path counts."""
    groups: dict[str, tuple[str, ...]] = {}
    for placement in store.configuration.placements:
        placed = tuple(n for n in store.writable if n in placement.backends)
        groups.setdefault(placement.pattern, placed)
    groups["every other path" if groups else "every path"] = store.writable
    return groups


def _pattern_of(store: Store, path: str) -> str:
    matching = (p.pattern for p in store.configuration.placements if p.matches(path))
    return next(matching, list(_groups(store))[-1])


def _claim(store: Store, lost: str, pattern: str, placed: tuple[str, ...]) -> Claim:
    reads = _is_read_without(store, lost, placed)
    left = _left(store, lost, placed)
    return Claim(
        lost=lost,
        pattern=pattern,
        reads=reads,
        writes=not _asks_all(store) and store.demand_of(placed).is_met(set(left), store.domains),
        deletes=store.catalog is not None,
        derivatives=() if reads else tuple(_standing_in(store, lost, pattern)),
    )


def _asks_all(store: Store) -> bool:
    """Say whether a write needs an answer of every backend, those that are read-only too."""
    return store.catalog is None and not store.configuration.write_once


def _left(store: Store, lost: str, placed: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in placed if platform(store.domains[name]) != lost)


def _is_read_without(store: Store, lost: str, placed: tuple[str, ...]) -> bool:
    """Say whether whatever was acknowledged has a copy on another platform."""
    demand = store.demand_of(placed)
    gone = len(placed) - len(_left(store, lost, placed))
    return demand.copies > gone or demand.platforms > 1


def _standing_in(store: Store, lost: str, pattern: str) -> Iterator[str]:
    """Name the derivatives of a group's paths that are read, on whatever backends they lie."""
    degraded = store.configuration.degraded
    if degraded is None or callable(degraded.rules):
        return
    groups = _groups(store)
    named = [text for derived in _rules_for(store, pattern, degraded.rules) for text in derived]
    for text in dict.fromkeys(named):
        if all(_is_read_without(store, lost, groups[group]) for group in _may_lie_in(store, text)):
            yield text


def _rules_for(
    store: Store, pattern: str, rules: Mapping[str, Sequence[str]]
) -> Iterator[Sequence[str]]:
    """Return the derivatives of each rule for a group; of one that fits it in part, nothing."""
    rest = list(_groups(store))[-1]
    before: list[str] = []
    for original, derived in rules.items():
        is_for_it = pattern == rest or within(pattern, original) or within(original, pattern)
        is_another_rules = any(
            within(original, first) or (pattern != rest and within(pattern, first))
            for first in before
        )
        if is_for_it and not is_another_rules and pattern in _may_lie_in(store, original):
            yield derived
        before.append(original)


def _may_lie_in(store: Store, text: str) -> list[str]:
    """Return the groups that the paths of a pattern may belong to."""
    *placed, rest = _groups(store)
    found = []
    for pattern in placed:
        if overlap(text, pattern):
            found.append(pattern)
        if within(text, pattern):
            return found
    return [*found, rest]
