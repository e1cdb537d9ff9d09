"""What lies at an own key: may it be replaced or deleted, or is it somebody else's (R9)."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from resilient_store.model.info import ObjectInfo
from resilient_store.model.state import Record, Replica

# What this store says of its own bytes in their metadata, where the backend keeps any.
VERSION_KEY = "resilient-version"
CHECKSUM_KEY = "resilient-checksum"
VERSION_DIGITS = 19  # a version fits in 64 bits; Python refuses to read thousands of digits


class Verdict(enum.Enum):
    """What a look at an own key showed."""

    EMPTY = "empty"
    OURS = "ours"  # remembered, or described by its own metadata as written by this store
    UNSURE = "unsure"  # its bytes have to be read and hashed
    FOREIGN = "foreign"


def verdict(record: Record, row: Replica, info: ObjectInfo | None) -> Verdict:
    """Judge what lies at an own key by what a look tells, without its bytes.

    Parameters
    ----------
    info
        None: nothing lies there.

    Notes
    -----
    Rules: R9, R11, R16.
    """
    if info is None:
        return Verdict.EMPTY
    if info.directory:
        return Verdict.FOREIGN
    if is_remembered(row, info) or _describes_ours(record, info):
        return Verdict.OURS
    known = record.checksums or (record.intent is not None and record.intent.checksum)
    return Verdict.UNSURE if known else Verdict.FOREIGN


def is_remembered(row: Replica, info: ObjectInfo) -> bool:
    """Say whether what lies at an own key is what was last known there, by the backend's tag."""
    return row.looked and row.tag is not None and row.tag == info.tag


def is_all_remembered(record: Record, listed: Mapping[str, ObjectInfo]) -> bool:
    """Say whether all that a listing shows of an object is as the catalog remembers it."""
    content = None if record.present is None else record.present.content
    sizes = {row.backend: content.size for row in record.holders() if content is not None}
    return all(
        is_remembered(record.replica(name), info) and sizes.get(name, info.size) == info.size
        for name, info in listed.items()
    )


def _describes_ours(record: Record, info: ObjectInfo) -> bool:
    checksum, intent = described_checksum(info), record.intent
    if checksum is not None and checksum in record.checksums:
        return True
    if intent is None:
        return False
    return checksum == intent.checksum or described_version(info) == intent.version


def verdict_of_bytes(record: Record, checksum: str) -> Verdict:
    """Judge what lies at an own key by the checksum of its bytes."""
    intent = record.intent
    ours = checksum in record.checksums or (intent is not None and checksum == intent.checksum)
    return Verdict.OURS if ours else Verdict.FOREIGN


def described_checksum(info: ObjectInfo) -> str | None:
    """Return the checksum that an object's own metadata states, or None."""
    return None if info.headers is None else info.headers.metadata.get(CHECKSUM_KEY) or None


def described_version(info: ObjectInfo) -> int | None:
    """Return the version that an object's own metadata states, or None."""
    text = "" if info.headers is None else info.headers.metadata.get(VERSION_KEY, "")
    return int(text) if text.isdecimal() and len(text) <= VERSION_DIGITS else None
