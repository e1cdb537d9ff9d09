"""What a loss of failure domains leaves, from how many objects lie where: sets, and no more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

from resilient_store.errors import ConfigurationError
from resilient_store.model.amount import Amount
from resilient_store.model.domain import parts, prefixes, within

Fate = Literal["survives", "degraded", "lost"]
FATES: tuple[Fate, ...] = ("survives", "degraded", "lost")


class Kind(NamedTuple):
    """What objects have in common that share every fate.

    Attributes
    ----------
    holders
        Backends that hold the current version, good.
    standins
        Backends that hold a derivative, good; empty where no loss asked for makes it matter.
    planned
        Backends that would hold it under the placements given.
    """

    holders: tuple[str, ...]
    standins: tuple[str, ...] = ()
    planned: tuple[str, ...] = ()


Tally = Mapping[Kind, Amount]


def fate(kind: Kind, gone: Collection[str]) -> Fate:
    """Say what becomes of such objects when these backends are lost together."""
    if any(name not in gone for name in kind.holders):
        return "survives"
    return "degraded" if any(name not in gone for name in kind.standins) else "lost"


def fates(tally: Tally, gone: Collection[str]) -> dict[Fate, Amount]:
    """Add up what becomes of all objects."""
    sums: dict[Fate, Amount] = dict.fromkeys(FATES, Amount())
    for kind, amount in tally.items():
        sums[fate(kind, gone)] += amount
    return sums


def lost_with(lose: Iterable[str], domains: Mapping[str, str]) -> tuple[str, ...]:
    """Return the backends that lie in any of these failure domains.

    Raises
    ------
    ConfigurationError
        No backend lies in one of them; the text names those that there are.
    """
    lost: dict[str, None] = {}
    for prefix in lose:
        inside = [name for name, domain in domains.items() if within(domain, prefix)]
        if not inside:
            raise ConfigurationError(
                f"no backend lies in the failure domain {prefix!r}; there are "
                f"{', '.join(every_domain(domains))}"
            )
        lost.update(dict.fromkeys(inside))
    return tuple(lost)


def every_domain(domains: Mapping[str, str]) -> tuple[str, ...]:
    """Return every failure domain that a backend lies in, platforms and narrower ones, in order."""
    return tuple(sorted({prefix for domain in domains.values() for prefix in prefixes(domain)}))


def scenarios(domains: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """Return every single domain, then every pair of which neither lies in the other."""
    singles = every_domain(domains)
    pairs = [
        (one, other)
        for one, other in combinations(singles, 2)
        if not within(one, other) and not within(other, one)
    ]
    return (*((one,) for one in singles), *pairs)


def as_key(lose: str | Iterable[str]) -> tuple[str, ...]:
    """Return the same tuple for the same domains, in whatever order they are given."""
    given = (lose,) if isinstance(lose, str) else lose
    return tuple(sorted("/".join(parts(domain)) for domain in given))


# --- copies -------------------------------------------------------------------------------


def refilled(
    tally: Tally, gone: Collection[str], order: Sequence[str], writable: Collection[str]
) -> dict[tuple[str, str], Amount]:
    """Return the copies to be made when what was lost is replaced by something empty.

    Each is read from the first in `order` that is left; backends that are not written to get none.
    """
    wanted = [
        (kind.holders, [n for n in kind.holders if n not in gone], amount)
        for kind, amount in tally.items()
    ]
    return _copies(wanted, order, writable)


def moved(
    tally: Tally, order: Sequence[str], writable: Collection[str]
) -> dict[tuple[str, str], Amount]:
    """Return the copies to be made before the placements that were planned hold."""
    wanted = [(kind.planned, list(kind.holders), amount) for kind, amount in tally.items()]
    return _copies(wanted, order, writable)


def _copies(
    wanted: Iterable[tuple[tuple[str, ...], list[str], Amount]],
    order: Sequence[str],
    writable: Collection[str],
) -> dict[tuple[str, str], Amount]:
    copies: dict[tuple[str, str], Amount] = {}
    for targets, left, amount in wanted:
        if not left:
            continue  # of nothing no copy is made
        source = min(left, key=lambda name: order.index(name) if name in order else len(order))
        for target in targets:
            if target in writable and target not in left:
                made = copies.get((source, target), Amount())
                copies[source, target] = made + amount
    return copies


def held(tally: Tally) -> dict[str, Amount]:
    """Return what each backend holds."""
    return _by_backend((kind.holders, amount) for kind, amount in tally.items())


def planned(tally: Tally) -> dict[str, Amount]:
    """Return what each backend would hold under the placements that were planned.

    An object of which no good copy is left is held by nobody.
    """
    return _by_backend((kind.planned, amount) for kind, amount in tally.items() if kind.holders)


def _by_backend(some: Iterable[tuple[tuple[str, ...], Amount]]) -> dict[str, Amount]:
    sums: dict[str, Amount] = {}
    for names, amount in some:
        for name in names:
            sums[name] = sums.get(name, Amount()) + amount
    return sums
