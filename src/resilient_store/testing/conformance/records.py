"""Whatever a catalog may be asked to keep, odd names and odd text first."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import strategies as st

from resilient_store.model import path as paths_of
from resilient_store.model.info import Headers
from resilient_store.model.key_range import KeyRange
from resilient_store.model.round import Lease, Round
from resilient_store.model.state import (
    OWN,
    PAST_KEPT,
    BackendRow,
    Content,
    Entry,
    Frozen,
    Intent,
    Phase,
    Record,
    Replica,
    Scan,
    State,
    StoreState,
    Void,
)

NAMES = ("aws", "disk", "gcp", "o'brien", 'a "b"', "größe", "%s", "{}", ":name")
LARGEST = 2**63 - 1

_SIGNS = st.sampled_from(
    "'\"%_*?[]{}();:$@&`~^|<>=+- .,#!aAzZéÅßİ日本\u0131\u03c3\u03c2\u0301🎈\U0010ffff"
)
_ODD = ("\0", "\x1b", "\x1b[]", "\ud800", "a\udcffb", "\\u0000", "'; --", "%(a)s")


def texts(**sizes: int) -> st.SearchStrategy[str]:
    """Draw any text, also what not every database can hold as it is."""
    return st.text(_SIGNS | st.characters(), **sizes) | st.sampled_from(_ODD)


def paths() -> st.SearchStrategy[str]:
    """Draw any path that a store accepts, up to the longest."""
    part = st.text(_SIGNS | st.characters(codec="utf-8"), min_size=1, max_size=12)
    joined = st.lists(part, min_size=1, max_size=4).map("/".join)
    longest = st.sampled_from(["a" * paths_of.LONGEST_BYTES, "\U0010ffff" * 224, "é/" * 298 + "ab"])
    return (joined | longest).filter(lambda path: bool(path) and paths_of.problem(path) is None)


def times() -> st.SearchStrategy[float]:
    """Draw a clock's reading; every digit has to come back."""
    return st.floats(0.0, 4e9, allow_nan=False)


def numbers(least: int = 0) -> st.SearchStrategy[int]:
    """Draw a count or a version."""
    return st.integers(least, 9) | st.integers(least, LARGEST)


_names = st.lists(st.sampled_from(NAMES), unique=True, max_size=4).map(tuple)
_checksums = st.sampled_from(["", "00" * 32, "ff" * 32, "md5:00", "crc32c:AAAAAA=="])
_optional = st.none() | texts(max_size=20)


def headers() -> st.SearchStrategy[Headers]:
    """Draw headers, and metadata with any text."""
    return st.builds(
        Headers,
        content_type=_optional,
        cache_control=_optional,
        content_disposition=_optional,
        content_encoding=_optional,
        metadata=st.dictionaries(texts(max_size=8), texts(max_size=8), max_size=3),
    ).filter(_says_something)


def _says_something(headers: Headers) -> bool:
    """Whether no header is the empty string: it is the same as none, and is kept as none."""
    return "" not in attrs.astuple(headers, recurse=False)[1:-1]


_contents = st.builds(
    Content,
    size=numbers(),
    kind=st.sampled_from(["chunked", "native", "none"]),
    checksum=_checksums,
    chunk_bytes=numbers(),
    chunks=st.binary(max_size=96),
)


def _entries(path: str) -> st.SearchStrategy[Entry]:
    return st.builds(
        Entry,
        path=st.just(path),
        version=numbers(1),
        content=st.none() | _contents,
        headers=headers(),
        derived_from=st.none() | st.tuples(paths(), st.none() | numbers()),
        created_s=times(),
        modified_s=times(),
        past=st.lists(_checksums, max_size=PAST_KEPT).map(tuple),
    )


def _replica(name: str) -> st.SearchStrategy[Replica]:
    return st.builds(
        Replica,
        backend=st.just(name),
        version=numbers(),
        state=st.sampled_from(State),
        place=st.sampled_from([None, OWN, "7-8"]) | texts(min_size=1, max_size=8),
        looked=st.booleans(),
        tag=_optional,
        busy_until_s=times(),
        verified_at_s=st.none() | times(),
        error=texts(max_size=20),
    )


_intents = st.builds(
    Intent,
    id=numbers(1),
    version=numbers(1),
    kind=st.sampled_from(["write", "delete", "repair", "adopt"]),
    token=texts(min_size=1, max_size=8),
    phase=st.sampled_from(Phase),
    direct=_names,
    checksum=_checksums,
    owner=texts(max_size=20),
    started_s=times(),
    expires_s=times(),
)

_voids = st.builds(Void, id=numbers(1), checksum=_checksums, backends=_names)


def _in_order(voids: list[Void]) -> tuple[Void, ...]:
    return tuple(sorted(voids, key=lambda void: void.id))


def records(path: str) -> st.SearchStrategy[Record]:
    """Draw a record of a path, stranger than any that a store gets into."""
    rows: dict[Any, st.SearchStrategy[Replica]] = {name: _replica(name) for name in NAMES}
    return st.builds(
        Record,
        path=st.just(path),
        entry=st.none() | _entries(path),
        replicas=st.fixed_dictionaries({}, optional=rows),
        intent=st.none() | _intents,
        voids=st.lists(_voids, max_size=3, unique_by=lambda void: void.id).map(_in_order),
        purges=st.integers(0, 2),
    )


def _backend(name: str) -> st.SearchStrategy[BackendRow]:
    return st.builds(
        BackendRow,
        name=st.just(name),
        domain=texts(max_size=12),
        met=st.booleans(),
        known=st.booleans(),
        drained=st.booleans(),
        suspect=st.booleans(),
        epoch=numbers(),
        raised_s=times(),
        raise_due=st.booleans(),
        came_back=st.booleans(),
        answered_s=times(),
        failed_s=times(),
        away_from_s=times(),
        back_s=times(),
    )


def states() -> st.SearchStrategy[StoreState]:
    """Draw what a catalog may know of its store."""
    rows: dict[Any, st.SearchStrategy[BackendRow]] = {name: _backend(name) for name in NAMES}
    frozen = st.builds(Frozen, why=texts(), who=texts(), since_s=times())
    scans = st.builds(
        Scan,
        began_s=times(),
        at=paths(),
        ended_s=times(),
        checked=st.integers(0, 9),
        bad=st.integers(0, 9),
    )
    parts = st.builds(KeyRange, after=texts(), until=st.none() | paths())
    leases = st.lists(st.builds(Lease, part=parts, owner=texts(), until_s=times()), max_size=2)
    rounds = st.builds(
        Round,
        began_s=times(),
        at=st.none() | paths(),
        leases=leases.map(tuple),
        ended_s=times(),
    )
    return st.builds(
        StoreState,
        identity=texts(min_size=1),
        complete=st.booleans(),
        frozen=st.none() | frozen,
        restoring=st.sampled_from(["", "one", "another"]),
        restored_s=times(),
        backends=st.fixed_dictionaries({}, optional=rows),
        maintained_s=times(),
        scan=st.none() | scans,
        rounds=st.dictionaries(st.sampled_from(["repair", "leases"]), rounds),
    )
