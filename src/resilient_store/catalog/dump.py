"""The portable form of a catalog: its rows in blocks, each with a checksum, and a total at the end.

    magic    17 bytes
    block    4 bytes    how long the packed rows are
             32 bytes   BLAKE3 of the digest before this one and of the packed rows
             ...        zlib of JSON: a table's name, and its rows, each a mapping
    ...
    block    the end: how many rows came before

A block that was changed, left out, doubled or moved breaks the chain of digests, and a file that
was cut short has no end. Both databases write the same.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import attrs

MAGIC = b"resilient_store 1"
HEAD, END = "head", "end"
LONGEST_BYTES = 1 << 28  # of a block, packed or not: who claims more is damaged

_PREFIX = struct.Struct(">I32s")
_NO_DIGEST = bytes(32)
_BINARY = "base64"

Row = dict[str, Any]


class DamagedError(Exception):
    """These are not the bytes that were written, or not all of them; the text is our own."""


@attrs.frozen(kw_only=True)
class Head:
    """What a dump says of itself.

    Attributes
    ----------
    schema, oldest
        As the catalog's tables say.
    identity
        The store's.
    number
        Drawn before the dump was made, while nobody else changed anything: what has a lower
        number and is not in the dump had come to its end by then (R7).
    counter
        The last number that was drawn.
    taken_s
        On the catalog's clock.
    """

    schema: int
    oldest: int
    identity: str
    number: int
    counter: int
    taken_s: float


class Writer:
    """Writes a dump, block by block.

    Attributes
    ----------
    rows
        How many were written so far.
    """

    def __init__(self, file: BinaryIO, head: Head) -> None:
        self.rows = 0
        self._file = file
        self._digest = _NO_DIGEST
        file.write(MAGIC)
        self._block(HEAD, [attrs.asdict(head)])

    def add(self, table: str, rows: Sequence[Row]) -> None:
        """Write some rows of a table."""
        self._block(table, rows)
        self.rows += len(rows)

    def end(self) -> None:
        """Write the end, without which nobody believes the rest."""
        self._block(END, [{"rows": self.rows}])
        self._file.flush()

    def _block(self, table: str, rows: Sequence[Row]) -> None:
        plain = json.dumps([table, rows], default=_plain, separators=(",", ":"))
        packed = zlib.compress(plain.encode())
        self._digest = _digest(self._digest, packed)
        self._file.write(_PREFIX.pack(len(packed), self._digest) + packed)


def read(file: BinaryIO) -> Iterator[tuple[str, list[Row]]]:
    """Read a dump's blocks, the head first; the end is not handed out, and nothing follows it.

    Raises
    ------
    DamagedError
        Some of it is not what was written. What was handed out before was.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise DamagedError("it does not begin as a snapshot of this release does")
    before, count, table = _NO_DIGEST, 0, ""
    while table != END:
        before, packed = _next(file, before)
        table, rows = _unpacked(packed)
        if table == END:
            if rows != [{"rows": count}] or file.read(1):
                raise DamagedError("it does not end as it should")
        else:
            count += len(rows) if table != HEAD else 0
            yield table, rows


def head_of(rows: list[Row]) -> Head:
    """Make a head of its row."""
    try:
        (row,) = rows
        return Head(**row)
    except (TypeError, ValueError):
        pass
    raise DamagedError("its head is not one")


def _next(file: BinaryIO, before: bytes) -> tuple[bytes, bytes]:
    prefix = file.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        raise DamagedError("it was cut short")
    length, digest = _PREFIX.unpack(prefix)
    packed = file.read(length) if length <= LONGEST_BYTES else b""
    if len(packed) < length:
        raise DamagedError("it was cut short, or says a wrong length")
    if _digest(before, packed) != digest:
        raise DamagedError("a block differs from its checksum")
    return digest, packed


def _unpacked(packed: bytes) -> tuple[str, list[Row]]:
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(packed, LONGEST_BYTES)
        if not unpacking.eof:
            raise DamagedError("a block is longer than any that is written")
        table, rows = json.loads(plain, object_hook=_value)
    except (zlib.error, ValueError):
        pass
    else:
        return table, rows
    raise DamagedError("a block cannot be read")


def _digest(before: bytes, packed: bytes) -> bytes:
    from blake3 import blake3

    return bytes(blake3(before).update(packed).digest())


def _plain(value: bytes | memoryview) -> dict[str, str]:
    return {_BINARY: base64.b64encode(value).decode()}


def _value(plain: dict[str, Any]) -> Any:
    return base64.b64decode(plain[_BINARY]) if plain.keys() == {_BINARY} else plain
