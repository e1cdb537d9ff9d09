"""Small reads, and what is wrong with the bytes that an answer brought."""

from __future__ import annotations

from collections.abc import Callable

from resilient_store.backends.contract import Family, Moves
from resilient_store.model.info import Body
from resilient_store.model.outcome import Outcome

PROBE_BYTES = 65536


async def small_read(family: Family, key: str, moves: Moves) -> object:
    """Read a little of what was asked for; the root has no bytes."""
    return await (family.get(key, 0, PROBE_BYTES, moves) if key else family.info(key))


def wrong_with(
    body: Body, start: int | None, end: int | None, verify: Callable[[bytes], bool] | None
) -> tuple[Outcome, str] | None:
    """Say what is wrong with the bytes that an answer brought.

    One that ends before the size it states was cut on its way, and says nothing of what lies there.
    """
    if body.size is not None and len(body.data) < len(range(body.size)[start:end]):
        return Outcome.UNAVAILABLE, "the answer ended before the object did"
    if verify is not None and not verify(body.data):
        return Outcome.CORRUPT, "the bytes differ from the checksum"
    return None
