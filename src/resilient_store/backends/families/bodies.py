"""Bodies and ranges as HTTP carries them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from resilient_store.backends.contract import CorruptBodyError

# The bytes of a range: from the first to the one before the last, to the end (None), or the
# last ones (a negative first). None: the whole object.
Span = tuple[int, int | None] | None


class BeyondTheEndError(Exception):
    """A range that begins behind the object's last byte."""


async def gather_body(
    read: Callable[[], Awaitable[bytes]], length: int | None, stall_s: float
) -> bytes:
    """Read a body to its end; one that stops for longer than the stall limit has failed.

    Raises
    ------
    CorruptBodyError
        It is shorter or longer than it said.
    TimeoutError
        It stopped.
    """
    pieces, size = [], 0
    while True:
        async with asyncio.timeout(stall_s):
            piece = await read()
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
        if length is not None and size > length:
            raise CorruptBodyError
    if length is not None and size != length:
        raise CorruptBodyError
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def whole_size(content_range: str | None, span: Span, length: int | None) -> int | None:
    """Return the whole object's size from what an answer says of itself.

    Raises
    ------
    CorruptBodyError
        A range was asked for and everything is handed out.
    """
    if span is None:
        return length
    total = (content_range or "").rpartition("/")[2]
    if not total.isdigit():
        raise CorruptBodyError
    return int(total)


def range_header(span: tuple[int, int | None]) -> str:
    """Say a span as HTTP does.

    Examples
    --------
    >>> range_header((0, 10)), range_header((5, None)), range_header((-3, None))
    ('bytes=0-9', 'bytes=5-', 'bytes=-3')
    """
    first, last = span
    if first < 0:
        return f"bytes={first}"
    return f"bytes={first}-" if last is None else f"bytes={first}-{last - 1}"
