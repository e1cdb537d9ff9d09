"""What is wrong with the bytes that an answer brought."""

from __future__ import annotations

from collections.abc import Callable

from resilient_store.model.info import Body
from resilient_store.model.outcome import Outcome


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
