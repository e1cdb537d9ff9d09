"""Snapshots on the backends: written once, read back, found again, and the oldest removed."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import attrs

from resilient_store.backends.client import BackendClient
from resilient_store.backends.upload import UploadClient
from resilient_store.catalog.contract import Dumped
from resilient_store.catalog.dump import DamagedError, Head
from resilient_store.io.catalogued import own_key
from resilient_store.io.copy import run_local
from resilient_store.io.identity import KEY, Identity
from resilient_store.io.parts import part_bytes
from resilient_store.model.checksum import ChunkedChecksum
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.part import Part
from resilient_store.model.path import RESERVED, join

FOLDER = join(RESERVED, "snapshots")
KEPT = 3
NUMBER_DIGITS = 19  # all of them, so that names sort as numbers do
HEADERS = Headers(content_type="application/octet-stream")


@attrs.frozen
class Copy:
    """One snapshot on one backend."""

    backend: str
    key: str

    @property
    def store(self) -> str:
        """The store that it says it is of."""
        return self.key.split("/")[-2]

    @property
    def number(self) -> int:
        """Its number, drawn from the store's counter: the higher, the newer."""
        return int(self.key.rpartition("/")[2])

    @property
    def is_named(self) -> bool:
        """Whether it has such a name as is given here."""
        name = self.key.rpartition("/")[2]
        numbered = len(name) == NUMBER_DIGITS and name.isdecimal()
        return numbered and self.key == snapshot_key(self.store, self.number)


def snapshot_key(store: str, number: int) -> str:
    """Return where a snapshot lies on every backend."""
    return join(FOLDER, store, f"{number:0{NUMBER_DIGITS}d}")


# --- to a backend -------------------------------------------------------------------------


async def send(client: BackendClient, key: str, file: BinaryIO) -> Reply[Any]:
    """Write a local file to a backend, and read it back: what differs is removed again."""
    sent = ChunkedChecksum()

    async def copy(upload: UploadClient) -> Reply[Any]:
        done, number = 0, 0
        while True:
            part = Part(await _read(file, part_bytes(number), done))
            sent.update(part)
            reply = await upload.write(part)
            done, number = done + len(part), number + 1
            if not reply.ok or len(part) < part_bytes(number - 1):
                return reply

    reply = await own_key.uploaded(client, key, HEADERS, copy)
    if not reply.ok:
        return reply
    looked = await client.info(key, kind="write")
    if looked.value is None:
        return looked
    read = await own_key.checksum_of(client, key, looked.value)
    if read.value == sent.text:
        return Reply(client.name, Outcome.OK)
    await client.delete(key, looked=True)
    return read if read.value is None else Reply(client.name, Outcome.CORRUPT)


async def _read(file: BinaryIO, length: int, offset: int) -> bytes:
    """Read where nobody else's place in the file matters: several are sent at once."""
    data: bytes = await run_local(lambda: os.pread(file.fileno(), length, offset))
    return data


async def prune(client: BackendClient, store: str) -> tuple[str, ...]:
    """Remove all but the newest of a store; return the keys of those that are gone."""
    listed = await find(client)
    mine = sorted((c for c in listed.value or () if c.store == store), key=lambda c: -c.number)
    gone = {copy.key: await client.delete(copy.key, looked=True) for copy in mine[KEPT:]}
    return tuple(key for key, reply in gone.items() if reply.ok)


# --- from a backend -----------------------------------------------------------------------


async def find(client: BackendClient) -> Reply[tuple[Copy, ...]]:
    """List the snapshots on a backend, of whichever store."""
    listed = await client.list(FOLDER, recursive=True)
    if listed.outcome is Outcome.NOT_FOUND:
        return Reply(client.name, Outcome.OK, ())
    if listed.value is None:
        return Reply(client.name, listed.outcome, detail=listed.detail)
    copies = [Copy(client.name, info.key) for info in listed.value if not info.directory]
    return Reply(client.name, Outcome.OK, tuple(copy for copy in copies if copy.is_named))


async def identity_of(client: BackendClient) -> Reply[Identity | None]:
    """Read whose a backend is; None where it carries no whole identity."""
    reply = await client.get(KEY)
    if reply.outcome is Outcome.NOT_FOUND:
        return Reply(client.name, Outcome.OK, None)
    if reply.value is None:
        return Reply(client.name, reply.outcome, detail=reply.detail)
    found = Identity.decode(reply.value.data)
    return Reply(client.name, Outcome.OK, None if found.is_damaged else found)


@attrs.frozen
class Whole:
    """A snapshot that was read and verified, to the end."""

    copy: Copy
    head: Head
    dumped: Dumped


async def fetch(client: BackendClient, copy: Copy, file: BinaryIO) -> Whole | str:
    """Bring a snapshot into a local file and verify it; else say why it is of no use."""
    from resilient_store.catalog.whole import summary

    await run_local(lambda: file.truncate(0) if file.seek(0) == 0 else None)
    looked = await client.info(copy.key)
    if looked.value is None:
        return looked.words()
    size, done = looked.value.size or 0, 0
    while done < size:
        block = await own_key.block_of(client, copy.key, looked.value, done)
        if block.value is None:
            return block.words()
        data = block.value.data
        done += len(data)
        await run_local(lambda data=data: file.write(data))
    await run_local(lambda: file.seek(0))
    try:
        head, dumped = await run_local(lambda: summary(file))
    except DamagedError as error:
        return str(error)
    if (head.identity, head.number) != (copy.store, copy.number):
        return "it is another's under this name"
    return Whole(copy, head, dumped)
