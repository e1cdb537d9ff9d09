"""What lies in quarantine: bytes of others that were kept aside, on each backend."""

from __future__ import annotations

import heapq
from typing import Any

import attrs

from resilient_store.io.catalogued.own_key import QUARANTINE
from resilient_store.io.fanout import fan_out
from resilient_store.model import naming
from resilient_store.model.damage import Quarantine, QuarantinedFile, as_moment, as_text
from resilient_store.model.outcome import Outcome
from resilient_store.store import Store

_FIELDS = tuple(field.name for field in attrs.fields(QuarantinedFile))


async def quarantine_of(store: Store, deaf: list[str]) -> Quarantine:
    """List the quarantine of each backend but those that do not answer."""
    asked = [name for name in store.clients if name not in deaf]
    replies = await fan_out(store, asked, lambda client: client.list(QUARANTINE, recursive=True))
    unlisted = [*deaf]
    files: list[QuarantinedFile] = []
    count = 0
    for name, reply in replies.items():
        if reply.value is None and reply.outcome is not Outcome.NOT_FOUND:
            unlisted.append(name)
        found = [
            QuarantinedFile(
                backend=name,
                path=info.key.removeprefix(QUARANTINE).lstrip("/").partition("/")[2],
                key=info.key,
                size=info.size,
                kept_at=info.modified or info.created,
            )
            for info in reply.value or ()
            if not info.directory
        ]
        count += len(found)
        files = heapq.nsmallest(naming.NAMED, [*files, *found], key=lambda one: (one.path, one.key))
    return Quarantine(
        files=tuple(files), unnamed=count - len(files), unlisted=tuple(sorted(unlisted))
    )


def as_plain(quarantine: Quarantine | None) -> dict[str, Any] | None:
    """Return what JSON can hold of it."""
    if quarantine is None:
        return None
    plain = attrs.asdict(quarantine)
    for one, file in zip(plain["files"], quarantine.files, strict=True):
        one["kept_at"] = as_text(file.kept_at)
    return plain


def from_plain(plain: dict[str, Any] | None) -> Quarantine | None:
    """Read what `as_plain` wrote; raises KeyError, TypeError or ValueError where it did not."""
    if plain is None:
        return None
    known = [{name: one[name] for name in _FIELDS} for one in plain["files"]]
    files = [QuarantinedFile(**{**one, "kept_at": as_moment(one["kept_at"])}) for one in known]
    return Quarantine(
        files=tuple(files), unnamed=plain["unnamed"], unlisted=tuple(plain["unlisted"])
    )
