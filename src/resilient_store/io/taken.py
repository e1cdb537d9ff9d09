"""Exclusive creation with ``write_once``: is it kept, and what lies at a taken key."""

from __future__ import annotations

from collections.abc import Mapping

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.errors import ConfigurationError
from resilient_store.io.drive import protected
from resilient_store.io.stream import BLOCK_BYTES
from resilient_store.model.checksum import ChunkedChecksum
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.path import RESERVED, join


async def tries_exclusive_create(client: BackendClient) -> Reply[bool]:
    """Try out, once per backend, whether a second creation of one key is refused."""
    if client.traits is not None and client.creates_exclusively is None:
        client.creates_exclusively = client.traits.exclusive_create
    if client.creates_exclusively is not None:
        return Reply(client.name, Outcome.OK, client.creates_exclusively)
    return await protected(_creates_twice(client))


async def tries_platform(client: BackendClient) -> Reply[bool]:
    """Try it out where it may be had: on platforms, some of whose servers ignore conditions."""
    if client.traits is None or not client.traits.creates_whole:
        return Reply(client.name, Outcome.OK)
    return await tries_exclusive_create(client)


async def _creates_twice(client: BackendClient) -> Reply[bool]:
    key = join(RESERVED, f"probe-{runtime.new_id()}")
    first = await client.put(key, b"1", exclusive=True, headers=Headers())
    if not first.ok:
        return Reply(client.name, first.outcome, detail=first.detail)
    second = await client.put(key, b"2", exclusive=True, headers=Headers())
    await client.delete(key)
    if not second.ok and second.outcome is not Outcome.EXISTS:
        return Reply(client.name, second.outcome, detail=second.detail)
    client.creates_exclusively = second.outcome is Outcome.EXISTS
    return Reply(client.name, Outcome.OK, client.creates_exclusively)


def refuse_overwriters(tried: Mapping[str, Reply[bool]]) -> None:
    """Refuse ``write_once=True`` over a backend that would lose one of two contents.

    Raises
    ------
    ConfigurationError
        A backend let a second creation of one key overwrite the first.
    """
    for name, reply in tried.items():
        if reply.value is False:
            raise ConfigurationError(
                f"backend {name} lets a second creation of one key overwrite the first, so "
                'write_once=True cannot be kept there: set write_once="unique-names" where a '
                "name is never used twice, or leave the backend out"
            )


async def holds_these_bytes(client: BackendClient, path: str, checksum: str) -> Reply[bool]:
    """Read what lies at a key that is taken, and say whether it has this checksum."""
    looked = await client.info(path)
    if looked.value is None:
        return Reply(client.name, looked.outcome, detail=looked.detail)
    if looked.value.directory:
        return Reply(client.name, Outcome.REFUSED, detail="a directory has this name")
    if looked.value.size is None:
        return Reply(client.name, Outcome.CORRUPT, detail="it does not say its size")
    found = ChunkedChecksum()
    while found.size < looked.value.size:
        end = min(looked.value.size, found.size + BLOCK_BYTES)
        block = await client.get(path, found.size, end)
        if block.value is None:
            return Reply(client.name, block.outcome, detail=block.detail)
        if not block.value.data:
            return Reply(client.name, Outcome.CORRUPT, detail="a short body")
        found.update(block.value.data)
    return Reply(client.name, Outcome.OK, found.hexdigest() == checksum)
