"""Moving: both intents in one transaction, both entries in another, never both objects or none."""

from __future__ import annotations

import contextlib
from typing import Any

from resilient_store import runtime
from resilient_store.errors import CatalogUnavailableError, ConcurrentWriteError
from resilient_store.io.catalogued import holder as holding
from resilient_store.io.catalogued.begin import Records, begin_all
from resilient_store.io.catalogued.delete import remove_buried
from resilient_store.io.catalogued.holder import Holder
from resilient_store.io.catalogued.settle import settle
from resilient_store.io.catalogued.write import CataloguedWrite
from resilient_store.io.drive import all_of, protected
from resilient_store.model.info import Headers
from resilient_store.model.part import Part
from resilient_store.model.result import WriteReceipt
from resilient_store.model.state import Record
from resilient_store.model.step import Step
from resilient_store.protocol import findings, transactions
from resilient_store.protocol.moment import Moment, Wish
from resilient_store.store import Store


class MoveSession(CataloguedWrite):
    """A write whose commit buries another path in the same transaction (R21).

    Parameters
    ----------
    store
        Where.
    source
        The record of what is moved.
    target
        Its new path.
    headers
        What it has.

    Notes
    -----
    Promises: P2, P3, P8.
    """

    def __init__(self, store: Store, source: Record, target: str, headers: Headers) -> None:
        derived_from = None if source.present is None else source.present.derived_from
        super().__init__(store, target, headers, exact=True, derived_from=derived_from)
        self._source = source
        self._burying: Holder | None = None

    async def _begin(self, wish: Wish) -> Holder:
        """Begin both, or neither."""
        burial = Wish(kind="delete", owner=wish.owner, lease_s=wish.lease_s)
        wishes = {self._path: wish, self._source.path: burial}
        held, self._burying = await begin_all(self._store, wishes, settle)
        runtime.reach(Step.MOVE_BEGUN)
        await self._see_unchanged(self._burying, held)
        return held

    async def _send_part(self, part: Part) -> None:
        await super()._send_part(part)
        if self._burying is not None:
            await self._burying.ready_for(0.0)

    async def _arrive(self, holder: Holder) -> None:
        """Keep the old path's lease as long as the new one's, however long the bytes travel."""
        if self._burying is not None:
            await self._burying.ready_for(self._longest_s())
        await super()._arrive(holder)

    async def _see_unchanged(self, burying: Holder, held: Holder) -> None:
        """Raise, with both intents ended, where another version than was read would be moved."""
        before, now = self._source.present, burying.record.present
        if before is not None and now is not None and before.version == now.version:
            return
        self._burying = None
        await protected(held.finish())
        await protected(burying.finish())
        if now is None and before is not None and before.version != findings.UNRECORDED:
            raise FileNotFoundError(2, "no such object", burying.path)
        raise ConcurrentWriteError(burying.path, note="it changed while it was moved")

    async def _decided(self, holder: Holder, commit: Any) -> bool:
        burying = self._burying
        assert burying is not None
        moved = self._source.present
        version = 0 if moved is None else moved.version

        def both(records: Records, moment: Moment) -> tuple[Records, bool]:
            source, target = records
            if source.present is None or source.present.version != version:
                return records, False
            source, buried = transactions.bury(source, moment, burying.intent.id)
            target, committed = commit(target, moment)
            if not (buried and committed):
                return records, False
            return (source, target), True

        paths = (self._source.path, self._path)
        try:
            decided = await holding.certainly(holder, lambda: self._store.known.change(paths, both))
        except CatalogUnavailableError:
            burying.lost = holder.lost  # nobody knows what became of the two: both are left (R6)
            raise
        if decided:
            runtime.reach(Step.MOVE_COMMITTED)
        return decided

    async def _decide(self, holder: Holder) -> WriteReceipt:
        runtime.reach(Step.MOVE_ARRIVED)
        receipt = await super()._decide(holder)
        burying, self._burying = self._burying, None
        assert burying is not None
        runtime.reach(Step.MOVE_FINISHED)
        await remove_buried(burying)
        return receipt

    async def abort(self) -> None:
        """Give the move up: the object keeps its old path."""
        burying, self._burying = self._burying, None
        # At once, for each may wait for a catalog that does not answer.
        await protected(all_of([super().abort(), _let_go(burying)]))


async def _let_go(burying: Holder | None) -> None:
    if burying is not None and not burying.lost:
        with contextlib.suppress(CatalogUnavailableError):  # its lease ends by itself
            await burying.finish()
