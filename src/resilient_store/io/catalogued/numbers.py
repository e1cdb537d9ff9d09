"""Numbers that a lost catalog has drawn: seen again in labels and staging, and never used again."""

from __future__ import annotations

from resilient_store.backends.client import BackendClient
from resilient_store.backends.contract import Stored
from resilient_store.errors import BackendsUnavailableError
from resilient_store.io.fanout import fan_out
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Reply
from resilient_store.model.path import RESERVED
from resilient_store.model.state import Record
from resilient_store.protocol.account import VERSION_DIGITS
from resilient_store.protocol.moment import Moment
from resilient_store.store import Store

STAGING = f"{RESERVED}/staging/"
RESTORED = f"{RESERVED}/restored/"  # from which number on a restore went on
# Not all that were drawn are seen: those of failed writes, of repairs, of backends that are away.
# They are fewer than that, and a counter of 63 bits can be raised two thousand million times.
MARGIN = 1 << 32
HIGHEST = 1 << 62  # whoever says more has not drawn it here


def number_in(text: str) -> int:
    """Return a number that was drawn, or 0."""
    number = int(text) if text.isdecimal() and len(text) <= VERSION_DIGITS else 0
    return number if number <= HIGHEST else 0


def highest_in(token: str) -> int:
    """Return the highest number that a staging token names, or 0."""
    return max(map(number_in, token.split("-")))


async def draw(store: Store, *paths: str) -> int:
    """Draw a number, while nobody changes these paths."""

    def change(records: tuple[Record, ...], moment: Moment) -> tuple[tuple[Record, ...], int]:
        return records, moment.new_id()

    return await store.known.change(paths, change)


async def go_on_above(store: Store, highest: int) -> None:
    """Let the counter go on far above a number, unless it is above it already (R7)."""
    if highest >= await draw(store):
        await store.known.raise_counter(highest + MARGIN)


async def mark(store: Store) -> None:
    """Leave a mark of where the counter goes on: it may be lost again before any other is (R7).

    Raises
    ------
    BackendsUnavailableError
        No backend could be written to.
    """
    number = str(await draw(store))

    async def put(client: BackendClient) -> Reply[Stored]:
        return await client.put(
            f"{RESTORED}{number}", number.encode(), exclusive=False, headers=Headers()
        )

    replies = await fan_out(store, store.writable, put)
    if replies and not any(reply.ok for reply in replies.values()):
        raise BackendsUnavailableError("", replies.values(), "No backend could be written to")
