"""Staged bytes where no metadata is kept: a small file beside them says what they are (R18)."""

from __future__ import annotations

import json

import attrs

from resilient_store.backends.client import BackendClient
from resilient_store.backends.contract import Stored
from resilient_store.model.info import Headers, ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.path import PRIVATE, join
from resilient_store.protocol.account import described_version

NAME = f"{PRIVATE}labels"  # which no path of an object can end with
LONGEST_BYTES = 1 << 16


def sidecar_of(staged: str) -> str:
    """Return the key of what describes a staged object: one in the folder of each token."""
    return join(*staged.split("/")[:3], NAME)


async def describe(
    client: BackendClient, staged: str, stored: Stored, headers: Headers
) -> Reply[Stored]:
    """Say beside staged bytes, whole by now, what they are, unless their own metadata says it.

    Returns
    -------
    Reply
        What was stored of the bytes themselves; bytes that cannot be described do not count.
    """
    if stored.headers_kept:
        return Reply(client.name, Outcome.OK, stored)
    if client.traits is not None:  # a disk is found out by its first file
        client.traits = attrs.evolve(client.traits, keeps_headers=False)
    said = json.dumps(headers.as_dict()).encode()
    reply = await client.put(sidecar_of(staged), said, exclusive=False, headers=Headers())
    return Reply(client.name, reply.outcome, stored if reply.ok else None, reply.detail)


async def described(client: BackendClient, info: ObjectInfo) -> Reply[ObjectInfo]:
    """Return a staged object with what is said of it, by itself or beside it."""
    if described_version(info) is not None:
        return Reply(client.name, Outcome.OK, info)
    beside = await client.info(sidecar_of(info.key), kind="write")
    size = 0 if beside.value is None else beside.value.size or 0
    if 0 < size <= LONGEST_BYTES:
        read = await client.get(sidecar_of(info.key), 0, size)
        headers = None if read.value is None else _headers(read.value.data)
        info = attrs.evolve(info, headers=headers or info.headers)
        return Reply(client.name, read.outcome, info if read.ok else None, read.detail)
    knows = beside.ok or beside.outcome is Outcome.NOT_FOUND
    return Reply(
        client.name, Outcome.OK if knows else beside.outcome, info if knows else None, beside.detail
    )


async def drop(client: BackendClient, staged: str) -> Reply[None]:
    """Remove a staged object, or what is left where it was moved away, and what describes it."""
    reply = await client.delete(staged, looked=True)
    is_gone = reply.ok or reply.outcome is Outcome.NOT_FOUND
    if is_gone and client.traits is not None and not client.traits.keeps_headers:
        await client.delete(sidecar_of(staged), looked=True)  # what stays is the sweep's
    return reply


def _headers(data: bytes) -> Headers | None:
    try:
        return Headers(**json.loads(data))
    except (AttributeError, TypeError, ValueError):
        return None  # cut short by a crash, or somebody else's
