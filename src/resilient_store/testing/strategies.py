"""Hypothesis strategies: paths, contents, domains, outages, and configurations good and bad."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from hypothesis import strategies as st

from resilient_store.filesystem import ResilientFileSystem
from resilient_store.model.domain import platform
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
_PLACED = ("originals/{name}", "previews/{name}", "thumbs/{path...}")
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
def configurations(
    draw: st.DrawFn, *, most: int = 4, catalogs: Sequence[str] = ("sqlite://",)
) -> dict[str, Any]:
    """Draw valid options of a `ResilientFileSystem` over memory, with a catalog and without.

    Parameters
    ----------
    most
        Backends of one configuration.
    catalogs
        URLs of catalogs that may be drawn; that of SQLite in memory, where none are given.
    """
    count = draw(st.integers(1, most))
    options: dict[str, Any] = {
        "backends": [
            {"target": f"memory://{n}", "name": f"b{n}", "domain": draw(domains())}
            for n in range(count)
        ],
        "read": {"hedge_after": draw(st.sampled_from([0.05, 0.25, 2.0]))},
        "degraded": draw(st.none() | degraded_rules()),
        "catalog": draw(st.none() | st.sampled_from(list(catalogs))) if catalogs else None,
    }
    least = draw(st.integers(1, len(_platforms(options, _names(options)))))
    options["write"] = {"min_domains": least}
    if options["catalog"] is not None:
        options["write"]["min_copies"] = draw(st.none() | st.integers(least, count))
        options["catalog_down"] = draw(st.sampled_from(["raise", "read"]))
        options["placements"] = draw(_placements(options))
    elif once := draw(st.sampled_from([False, True, "unique-names"])):
        options["write_once"] = once
        low = max(count // 2 + 1, least) if once is True else least
        options["write"]["min_copies"] = draw(st.integers(low, count))
    return options


def _names(options: dict[str, Any]) -> list[str]:
    return [backend["name"] for backend in options["backends"]]


def _platforms(options: dict[str, Any], names: Sequence[str]) -> set[str]:
    return {platform(b["domain"]) for b in options["backends"] if b["name"] in names}


@st.composite
def _placements(draw: st.DrawFn, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Draw placements, each on backends that are enough for the policy."""
    write = options["write"]
    placements = []
    for pattern in draw(st.lists(st.sampled_from(_PLACED), unique=True)):
        names = draw(st.permutations(_names(options)))
        enough = [
            size
            for size in range(write["min_copies"] or 1, len(names) + 1)
            if len(_platforms(options, names[:size])) >= write["min_domains"]
        ]
        placements.append({"pattern": pattern, "backends": names[: draw(st.sampled_from(enough))]})
    return placements


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


def _copies(least: int, **others: Any) -> dict[str, Any]:
    """Ask for so many copies, without a catalog."""
    return {"catalog": None, "placements": (), "write": {"min_copies": least}, **others}


def _placed(backends: Sequence[str], **write: int) -> dict[str, Any]:
    """Place something on these backends, with a catalog."""
    placements = [{"pattern": "originals/{name}", "backends": list(backends)}]
    return {"catalog": "sqlite://", "write_once": False, "write": write, "placements": placements}


def _with_catalog(**options: Any) -> dict[str, Any]:
    return {"catalog": "sqlite://", "write_once": False, **options}


_BREAKS: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (
    # backends
    lambda _: {"backends": []},
    lambda _: {"backends": ["nosuch://bucket"]},
    lambda o: {"backends": [*o["backends"], o["backends"][0]]},
    # copies
    lambda o: {"write": {"min_copies": len(o["backends"]) + 1}},
    lambda o: {"write": {"min_domains": len(_platforms(o, _names(o))) + 1}},
    lambda _: {"write": {"min_copies": 1, "min_domains": 2}},
    lambda o: _copies(len(o["backends"]) - 1, write_once=False),
    lambda o: _copies(len(o["backends"]) // 2, write_once=True),
    # catalogs
    lambda _: _with_catalog(write_once=True),
    lambda _: _with_catalog(catalog="mysql://host/photos"),
    lambda _: _with_catalog(catalog="sqlite:////no/such/folder/photos.db"),
    lambda _: _with_catalog(catalog_down="write"),
    lambda _: _with_catalog(lease=0),
    # placements
    lambda o: {**_placed(_names(o)), "catalog": None},
    lambda _: _placed(["nosuch"]),
    lambda o: _placed(_names(o)[:1] * 2),
    lambda o: _placed(_names(o)[:-1], min_copies=len(o["backends"])),
    lambda o: _placed(_names(o)[:1], min_domains=max(2, len(_platforms(o, _names(o))))),
    # everything else
    lambda _: {"read": {"hedge_after": 0.0}},
    lambda _: {"degraded": {"originals/{name}": ["originals/{name}"]}},
    lambda _: {"degraded": {"originals/{name}": ["thumbs/{other}"]}},
    lambda _: {"wrte": {}},
)
