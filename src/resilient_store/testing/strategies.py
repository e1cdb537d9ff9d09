"""Hypothesis strategies: paths, contents, domains, outages, and configurations good and bad."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from hypothesis import strategies as st

from resilient_store.filesystem import ResilientFileSystem
from resilient_store.model.path import problem
from resilient_store.model.pattern import Pattern
from resilient_store.testing.faults import Fault, FaultKind, Outage

# What some platform, disk or URL reads in another way than as a plain letter.
_ODD = "*?[]{}!^$+()|#%&=;:@,'\" ~éøß日🐈"
_SEGMENT = st.text(
    st.one_of(
        st.sampled_from("abcXYZ019._-"),
        st.sampled_from(_ODD),
        st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="/\\"),
    ),
    min_size=1,
    max_size=12,
)
_NAMES = ("aws", "gcp", "azure", "disk", "sftp")
_REGIONS = ("", "/us-east-1", "/us-east-1/az2", "/europe-west1")


def object_paths() -> st.SearchStrategy[str]:
    """Draw paths that a store takes, odd ones among them."""
    return (
        st.lists(_SEGMENT, min_size=1, max_size=4)
        .map("/".join)
        .filter(lambda path: problem(path) is None and "://" not in path)
        .filter(lambda path: "::" not in path)
    )


def paths_of(fs: ResilientFileSystem, names: Sequence[str] = ("a.jpg",)) -> list[str]:
    """List the few paths that a store's own patterns make: collisions are the point.

    Parameters
    ----------
    fs
        The store; its degraded rules and placements are what the paths fit.
    names
        What the fields of the patterns become.
    """
    configuration = fs.store.configuration
    texts = [placement.pattern for placement in configuration.placements]
    degraded = configuration.degraded
    if degraded is not None and not callable(degraded.rules):
        for original, derived in degraded.rules.items():
            texts += [original, *derived]
    patterns = [Pattern(text) for text in dict.fromkeys(texts)]
    paths = {p.fill(dict.fromkeys(p.fields, name)): None for p in patterns for name in names}
    return [*paths, *(f"other/{name}" for name in names)]


def contents(*, max_size: int = 8) -> st.SearchStrategy[bytes]:
    """Draw what objects hold: mostly short, and never empty, which nobody could tell from blank."""
    return st.binary(min_size=1, max_size=max_size)


def domains() -> st.SearchStrategy[str]:
    """Draw failure domains: a platform, perhaps a region, perhaps a zone."""
    return st.tuples(st.sampled_from(_NAMES), st.sampled_from(_REGIONS)).map("".join)


def outages(
    where: Sequence[str], *, most: int = 3, within_s: float = 600.0
) -> st.SearchStrategy[list[Outage]]:
    """Draw schedules for `Faults.plan`.

    Parameters
    ----------
    where
        Backends' names and failure domains that may be hit.
    most
        Outages in one schedule.
    within_s
        No outage begins later than so many seconds, or lasts longer.
    """
    fault = st.builds(Fault, st.sampled_from(get_args(FaultKind)), st.sampled_from(list(where)))
    seconds = st.floats(0.0, within_s, allow_nan=False)
    one = st.builds(
        lambda fault, start_s, length_s: Outage(fault, start_s, start_s + length_s),
        fault,
        seconds,
        seconds,
    )
    return st.lists(one, max_size=most)


@st.composite
def configurations(draw: st.DrawFn, *, most: int = 4) -> dict[str, Any]:
    """Draw valid options of a `ResilientFileSystem` without a catalog, over memory."""
    count = draw(st.integers(1, most))
    backends = [
        {"target": f"memory://{n}", "name": f"b{n}", "domain": draw(domains())}
        for n in range(count)
    ]
    spans = len({str(backend["domain"]).partition("/")[0] for backend in backends})
    options: dict[str, Any] = {
        "backends": backends,
        "write": {"min_domains": draw(st.integers(1, spans))},
        "read": {"hedge_after": draw(st.sampled_from([0.05, 0.25, 2.0]))},
        "degraded": draw(st.none() | degraded_rules()),
    }
    if draw(st.booleans()):
        options["write_once"] = True
        low = max(count // 2 + 1, options["write"]["min_domains"])
        options["write"]["min_copies"] = draw(st.integers(low, count))
    return options


def degraded_rules() -> st.SearchStrategy[dict[str, list[str]]]:
    """Draw rules for `DegradedRead`."""
    derived = st.lists(
        st.sampled_from(["previews/{name}", "thumbs/{name}"]), min_size=1, unique=True
    )
    return derived.map(lambda patterns: {"originals/{name}": patterns})


def broken_configurations() -> st.SearchStrategy[dict[str, Any]]:
    """Draw options that `ResilientFileSystem` must refuse with a `ConfigurationError`."""
    return st.tuples(configurations(), st.sampled_from(_BREAKS)).map(
        lambda drawn: {**drawn[0], **drawn[1](drawn[0])}
    )


def _too_many_copies(options: dict[str, Any]) -> dict[str, Any]:
    return {"write": {"min_copies": len(options["backends"]) + 1}, "write_once": "unique-names"}


def _too_many_platforms(options: dict[str, Any]) -> dict[str, Any]:
    count = len({str(b["domain"]).partition("/")[0] for b in options["backends"]})
    return {"write": {"min_domains": count + 1}}


def _the_same_twice(options: dict[str, Any]) -> dict[str, Any]:
    return {"backends": [*options["backends"], options["backends"][0]]}


_BREAKS: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (
    _too_many_copies,
    _too_many_platforms,
    _the_same_twice,
    lambda _: {"backends": []},
    lambda _: {"read": {"hedge_after": 0.0}},
    lambda _: {"degraded": {"originals/{name}": ["originals/{name}"]}},
    lambda _: {"degraded": {"originals/{name}": ["thumbs/{other}"]}},
    lambda _: {"backends": ["nosuch://bucket"]},
    lambda _: {"wrte": {}},
)
