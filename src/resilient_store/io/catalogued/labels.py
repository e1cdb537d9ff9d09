"""What this store writes into an object's own metadata for itself, and takes out again (R18)."""

from __future__ import annotations

import attrs

from resilient_store.model.info import Headers
from resilient_store.protocol.account import CHECKSUM_KEY, VERSION_KEY


def labelled(headers: Headers, version: int, checksum: str) -> Headers:
    """Say in the object's own metadata which version it is, for who finds it."""
    mine = {VERSION_KEY: str(version), **({CHECKSUM_KEY: checksum} if checksum else {})}
    return attrs.evolve(headers, metadata={**unlabelled(headers).metadata, **mine})


def unlabelled(headers: Headers | None) -> Headers:
    """Return an object's headers without what this store writes there for itself."""
    headers = headers or Headers()
    if VERSION_KEY not in headers.metadata and CHECKSUM_KEY not in headers.metadata:
        return headers
    metadata = {n: v for n, v in headers.metadata.items() if n not in (VERSION_KEY, CHECKSUM_KEY)}
    return attrs.evolve(headers, metadata=metadata)
