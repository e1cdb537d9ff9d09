"""Time variants in turns, so that a machine that slows down slows all of them down."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

Variant = Callable[[], Awaitable[object]]
WARM_UP = 3


@attrs.frozen
class Ratio:
    """How one variant compares with another, pair by pair, each pair run one after the other.

    Attributes
    ----------
    what
        What was done.
    ours_s, bare_s
        Medians.
    middle, low, high
        Median and quartiles of the ratios.
    rounds
        Pairs.
    most
        What it may be; None where nothing is asked.
    note
        What to know beside the figures.
    """

    what: str
    ours_s: float
    bare_s: float
    middle: float
    low: float
    high: float
    rounds: int
    most: float | None = None
    note: str = ""

    @property
    def kept(self) -> bool:
        """Whether it is what it may be."""
        return self.most is None or self.middle <= self.most

    def row(self) -> str:
        """Return a row of a Markdown table."""
        asked = "" if self.most is None else f"{self.most:g}"
        what = f"{self.what} ({self.note})" if self.note else self.what
        return (
            f"| {what} | {1000 * self.ours_s:.2f} | {1000 * self.bare_s:.2f} "
            f"| **{_short(self.middle)}** | {_short(self.low)} to {_short(self.high)} | {asked} "
            f"| {self.rounds} |"
        )


def _short(number: float) -> str:
    return f"{number:.2f}" if number >= 0.1 else f"{number:.3f}"


HEADING = (
    "| what | ours, ms | bare, ms | ratio | quartiles | at most | pairs |\n"
    "|---|---|---|---|---|---|---|"
)


async def taken_s(variant: Variant) -> float:
    """Run a variant once, and return how long it took."""
    began_s = time.perf_counter()
    await variant()
    return time.perf_counter() - began_s


async def in_turn(number: int, ours: Variant, bare: Variant) -> tuple[float, float]:
    """Time both, each first every other time."""
    if number % 2 == 0:
        ours_s = await taken_s(ours)
        return ours_s, await taken_s(bare)
    bare_s = await taken_s(bare)
    return await taken_s(ours), bare_s


async def compare(
    what: str, ours: Variant, bare: Variant, *, rounds: int, most: float | None = None
) -> Ratio:
    """Run both in turns, each first every other time, and compare each pair."""
    for _ in range(WARM_UP):
        await ours()
        await bare()
    pairs = [await in_turn(number, ours, bare) for number in range(rounds)]
    return ratio(what, pairs, most=most)


async def added(
    what: str,
    ours: Variant,
    without: Variant,
    bare: Variant,
    *,
    rounds: int,
    most: float | None = None,
) -> Ratio:
    """Compare the bare time and what one variant adds to another with the bare time alone."""
    for _ in range(WARM_UP):
        for variant in (ours, without, bare):
            await variant()
    pairs = []
    # Each comes behind each other one equally often: who has just run leaves its code at hand.
    orders = itertools.cycle(itertools.permutations([ours, without, bare]))
    for turns in itertools.islice(orders, rounds):
        took_s = {variant: await taken_s(variant) for variant in turns}
        pairs.append((took_s[bare] + took_s[ours] - took_s[without], took_s[bare]))
    return ratio(what, pairs, most=most)


def lookups(find: Callable[[str], object], paths: Sequence[str]) -> float:
    """Return the median of how long a look-up takes, in seconds."""
    took_s = []
    for path in paths:
        began_s = time.perf_counter()
        find(path)
        took_s.append(time.perf_counter() - began_s)
    return statistics.median(took_s)


def ratio(what: str, pairs: list[tuple[float, float]], *, most: float | None = None) -> Ratio:
    """Compare pairs of times."""
    low, middle, high = statistics.quantiles([ours / bare for ours, bare in pairs], n=4)
    return Ratio(
        what=what,
        ours_s=statistics.median(ours for ours, _ in pairs),
        bare_s=statistics.median(bare for _, bare in pairs),
        middle=middle,
        low=low,
        high=high,
        rounds=len(pairs),
        most=most,
    )


def table(ratios: list[Ratio]) -> str:
    """Return a Markdown table."""
    return "\n".join([HEADING, *(one.row() for one in ratios)])


def facts(values: Mapping[str, str]) -> str:
    """Return a Markdown list."""
    return "\n".join(f"- {name}: {value}" for name, value in values.items())
