"""What the catalog is told of backends: that they answer, and what is not to be believed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.io.fanout import fan_out
from resilient_store.io.identity import KEY
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import BackendRow, Record, StoreState
from resilient_store.protocol.findings import doubt
from resilient_store.protocol.moment import Moment
from resilient_store.protocol.quiet import NOTED_SHARE, answered, failed
from resilient_store.protocol.suspicion import Lately, is_suspect
from resilient_store.store import Store

logger = logging.getLogger("resilient_store")

PAGE = 500
_SILENCE = (Outcome.TIMED_OUT, Outcome.UNAVAILABLE)


async def note_answers(store: Store, names: Iterable[str], silent: Iterable[str] = ()) -> None:
    """Write down which backends answered, now and then, and which did not (R2).

    Nothing is lost where that fails: a silent backend's keys stay busy the longer.
    """
    now_s, window_s = runtime.now_s(), store.configuration.late_window
    due = [n for n in names if now_s - store.answers.get(n, -window_s) >= NOTED_SHARE * window_s]
    seen = store.known.seen
    lost = [n for n in silent if seen is None or _is_news(seen.backend(n))]
    if not due and not lost:
        return

    def note(state: StoreState | None, at_s: float) -> StoreState:
        assert state is not None, "a store that was prepared has an identity"
        rows = {name: answered(state.backend(name), at_s, window_s) for name in due}
        rows |= {name: failed(state.backend(name), at_s) for name in lost}
        return attrs.evolve(state, backends={**state.backends, **rows})

    try:
        await store.known.change_state(note)
    except CatalogDownError as error:
        asked = ", ".join((*due, *lost))
        logger.warning("whether %s answered could not be noted: %s", asked, error)
    else:
        store.answers.update(dict.fromkeys(due, now_s))


def _is_news(row: BackendRow) -> bool:
    return row.failed_s <= row.answered_s


def silent_among(replies: Mapping[str, Reply[Any]]) -> list[str]:
    """Return the backends that did not answer."""
    return [name for name, reply in replies.items() if reply.outcome in _SILENCE]


async def hear(store: Store) -> dict[str, Reply[Any]]:
    """Ask every backend for a small thing, and write down who answers."""
    replies = await fan_out(store, store.clients, lambda client: client.info(KEY))
    answered = [n for n, r in replies.items() if r.outcome.answers]
    await note_answers(store, answered, silent_among(replies))
    return dict(replies)


async def missed(store: Store, name: str) -> None:
    """Count a replica that is missing; so many at once make the backend suspect.

    Notes
    -----
    Source: design, section 5, "Identity": an emptied bucket is no loss of every object.
    """
    now_s = runtime.now_s()
    losses = store.losses.setdefault(name, Lately())
    losses.add(now_s)
    if not is_suspect(losses.count(now_s), store.clients[name].health.asked_lately(now_s)):
        return
    losses.clear()

    def suspect(state: StoreState | None, _: float) -> StoreState:
        assert state is not None, "a store that was prepared has an identity"
        row = attrs.evolve(state.backend(name), suspect=True)
        return attrs.evolve(state, backends={**state.backends, name: row})

    await store.known.change_state(suspect)
    logger.error(
        "so much is missing on backend %s that its word is not taken for it any more: look at "
        "the backend, then call rejoin",
        name,
    )


async def doubt_all(store: Store, name: str) -> None:
    """Believe nothing more of what is known of a backend that could not be asked."""

    def change(records: tuple[Record, ...], moment: Moment) -> tuple[tuple[Record, ...], None]:
        return tuple(doubt(record, moment, name) for record in records), None

    after = ""
    while page := await store.known.held_by(name, after, runtime.page(PAGE)):
        await store.known.change(page, change)
        after = page[-1]
