"""Copies that Google Cloud Storage makes by itself, until they are done, and what proves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from resilient_store.backends.contract import ChangedError, StrangerError
from resilient_store.backends.families.gcs_answers import (
    REWRITE,
    GcsError,
    is_not_met,
    native_of,
)
from resilient_store.backends.families.gcs_requests import JSON, GcsRequests
from resilient_store.model.info import ObjectInfo

# Google copies for half a minute, and then wants to be asked to go on.
MOST_REWRITES = 1000


async def rewritten(
    requests: GcsRequests, address: str, params: Mapping[str, str], resource: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Ask for a copy until it is done; return its resource.

    Raises
    ------
    ChangedError
        A condition was not met.
    GcsError, StrangerError
        Google said no, or somebody else answered.
    """
    given = dict(params)
    for _ in range(MOST_REWRITES):
        try:
            found = await requests.ask(
                "rewrite",
                "POST",
                address,
                kind=REWRITE,
                params=given,
                headers={"Content-Type": JSON},
                data=json.dumps(resource).encode(),
            )
        except GcsError as error:
            raise (ChangedError() if is_not_met(error) else error) from None
        if found.get("done"):
            copy: Mapping[str, Any] = found.get("resource") or {}
            return copy
        given["rewriteToken"] = str(found.get("rewriteToken") or "")
    raise StrangerError("a copy that is never done")


def proves(copy: Mapping[str, Any], source: ObjectInfo) -> bool:
    """Say whether a copy has the bytes of its source, by every checksum that is stated of both."""
    if copy.get("size") != str(source.size):
        return False
    one, two = (
        dict(n.split(":", 1) for n in native) for native in (native_of(copy), source.native)
    )
    both = one.keys() & two.keys()
    return bool(both) and all(one[kind] == two[kind] for kind in both)
