"""A held intent: kept alive by its own clock, and ended; the transactions made under it."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import attrs

from resilient_store import runtime
from resilient_store.catalog.contract import (
    CatalogDownError,
    CommitUnknownError,
    single,
)
from resilient_store.errors import CatalogUnavailableError, ConcurrentWriteError
from resilient_store.model.path import RESERVED, join
from resilient_store.model.state import OWN, Intent, Record
from resilient_store.protocol import transactions
from resilient_store.protocol.moment import Begun, Moment
from resilient_store.store import Store

A = TypeVar("A")

# A lease that is to outlast a call outlasts it by this much: the clocks of two machines drift.
MARGIN_S = 2.0
ASKED_AGAIN = 3
FIRST_WAIT_S = 0.02
LONGEST_WAIT_S = 0.5
# No further question is begun after so long; one that was begun ends in time as all do.
ASKED_FOR_S = 6.0
LOST_ANSWER = (
    "the answer to a commit was lost: the change was made, or it was not. Read the path again "
    "when the catalog is back"
)


class Holder:
    """One intent, as its holder sees it.

    Parameters
    ----------
    store, path
        Whose.
    intent
        As the catalog has it.
    record
        What was known of the path when it was begun or taken over.
    asked_s
        When the request that gave or renewed the lease was sent, on the loop's clock: the lease
        cannot have begun before (R5).
    lease_s
        How long it was given.
    begun
        What was answered when it was begun; None where it was taken over.

    Attributes
    ----------
    quiet
        Backends whose own key was quiet when it was begun.
    marked
        Those of them where it was marked then, and where nothing was sent so far.
    began_s
        When that was, on the catalog's clock.
    knows_all
        Whether the catalog knew all paths then.
    lost
        Whether it is not ours any more, as far as we know: nothing may be sent.
    touched
        Backends where its bytes may lie.
    """

    def __init__(
        self,
        store: Store,
        record: Record,
        intent: Intent,
        *,
        asked_s: float,
        lease_s: float,
        begun: Begun | None = None,
    ) -> None:
        self.store = store
        self.path = record.path
        self.record = record
        self.intent = intent
        self.quiet = () if begun is None else begun.quiet
        self.marked = set() if begun is None else set(begun.marked)
        self.began_s = 0.0 if begun is None else begun.now_s
        self.knows_all = begun is not None and begun.complete
        self.lost = False
        self.touched: tuple[str, ...] = store.writable
        self._ends_s = asked_s + lease_s

    @property
    def record_now(self) -> Record:
        """What was known when it was begun, with the intent."""
        return attrs.evolve(self.record, intent=self.intent)

    @property
    def staging(self) -> str:
        """The key of its staged bytes, the same on every backend."""
        return staging_key(self.intent.token, self.path)

    def lasts(self, seconds: float) -> bool:
        """Say whether the lease outlasts a call of so many seconds, by our own clock (R5)."""
        return not self.lost and self._ends_s - runtime.now_s() > seconds

    async def ready_for(self, seconds: float, checksum: str = "") -> None:
        """See that the lease outlasts a call; a stream's checksum joins the intent on the way.

        Raises
        ------
        ConcurrentWriteError
            The intent is not ours any more. Nothing may be sent, and nothing undone (R5).
        """
        if checksum and checksum != self.intent.checksum:
            await self._renew(seconds, checksum)
        elif not self.lasts(seconds + MARGIN_S):
            await self._renew(seconds, "")
        if not self.lasts(seconds):
            self.lost = True
            raise self.taken()

    def taken(self) -> ConcurrentWriteError:
        """Make the error for a lease that has ended: whoever settles does the rest."""
        return ConcurrentWriteError(
            self.path, note="the lease of this change ended, and it was not carried out"
        )

    async def _renew(self, seconds: float, checksum: str) -> None:
        lease_s = max(self.store.configuration.lease, seconds + 2 * MARGIN_S)
        asked_s = runtime.now_s()
        renewed = await self.change(
            lambda record, moment: transactions.renew(
                record, moment, self.intent.id, lease_s, checksum
            )
        )
        if not renewed:
            self.lost = True
            raise self.taken()
        self._ends_s = asked_s + lease_s
        if checksum:
            self.intent = attrs.evolve(self.intent, checksum=checksum)

    async def change(self, change: Callable[[Record, Moment], tuple[Record, A]]) -> A:
        """Run a transaction on the path; a catalog that cannot be had is said so.

        Raises
        ------
        CatalogUnavailableError
            It may or may not have been carried out, as the text says.
        """
        return await run(self.store, self.path, change)

    async def touch(self, backend: str) -> bool:
        """Mark an own key before something is sent there; say whether it was quiet (R1)."""
        if backend in self.marked:
            self.marked.remove(backend)
            return True
        touch = functools.partial(transactions.touch, intent_id=self.intent.id, backend=backend)
        return await self.change(touch)

    async def folded(self) -> list[str]:
        """Return objects whose own keys are one with this on a disk that folds names."""
        try:
            return await self.store.known.folded(self.path)
        except CatalogDownError as error:
            raise unavailable(self.path, error) from None

    async def note(self, backend: str, version: int, changes: Mapping[str, Any]) -> bool:
        """Record what was done at one backend."""
        return await self.change(
            lambda record, _: transactions.note(record, self.intent.id, version, backend, changes)
        )

    async def finish(
        self,
        notes: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        version: int = 0,
        void: bool = False,
    ) -> bool:
        """End the intent."""
        ended = await self.change(
            functools.partial(
                transactions.finish,
                intent_id=self.intent.id,
                notes=notes,
                version=version,
                void=void,
                unsent={name: self.record.replicas.get(name) for name in self.marked},
            )
        )
        self.lost = True
        return ended

    async def certainly(self, change: Callable[[Record, Moment], tuple[Record, bool]]) -> bool:
        """Run the transaction that decides, as `certainly` does."""
        return await certainly(self, lambda: self.store.known.change((self.path,), single(change)))


async def certainly(holder: Holder, attempt: Callable[[], Awaitable[bool]]) -> bool:
    """Run the transaction that decides; where its answer is lost, ask what became of it (R6).

    Raises
    ------
    CatalogUnavailableError
        The catalog cannot be asked: the outcome is unknown.
    """
    unsure = False  # whether an earlier attempt may still be carried out
    until_s = runtime.now_s() + ASKED_FOR_S
    for _ in range(ASKED_AGAIN):
        if unsure and runtime.now_s() >= until_s:
            break
        try:
            done = await attempt()
        except CommitUnknownError:
            unsure = True
        except CatalogDownError as error:
            if not unsure:
                raise unavailable(holder.path, error) from None
        else:
            if done or not unsure:
                return done
        said = await _ask_again(holder, until_s)
        if said == "unknown":
            break
        if said != "open":
            return said == "committed"
    holder.lost = True  # nothing may be undone by who does not know whether it was done
    raise CatalogUnavailableError(holder.path, note=LOST_ANSWER)


async def _ask_again(holder: Holder, until_s: float) -> str:
    wait_s = FIRST_WAIT_S
    for number in range(ASKED_AGAIN):
        if number:
            await runtime.pause(wait_s)
            wait_s = min(LONGEST_WAIT_S, 4 * wait_s)
        if runtime.now_s() >= until_s:
            break
        try:
            record, _ = await holder.store.known.find(holder.path)
        except CatalogDownError:
            continue
        intent, before = holder.intent, holder.record
        return transactions.check(record, intent.id, intent.version, before.purges)
    return "unknown"


def staging_key(token: str, path: str) -> str:
    """Return where a staged object lies."""
    return join(RESERVED, "staging", token, path)


def key_of(place: str | None, path: str) -> str:
    """Return the key of a replica: the object's own, or one in staging."""
    return path if place in (None, OWN) else staging_key(place, path)


def unavailable(path: str, error: CatalogDownError) -> CatalogUnavailableError:
    """Make the error for a catalog that cannot be had."""
    note = LOST_ANSWER if isinstance(error, CommitUnknownError) else str(error)
    return CatalogUnavailableError(path, note=note)


async def run(store: Store, path: str, change: Callable[[Record, Moment], tuple[Record, A]]) -> A:
    """Run a transaction on one path."""
    try:
        return await store.known.change((path,), single(change))
    except CatalogDownError as error:
        raise unavailable(path, error) from None


async def find(store: Store, path: str) -> tuple[Record, bool]:
    """Look a path up; say too whether the catalog knows all paths."""
    try:
        record, state = await store.known.find(path)
    except CatalogDownError as error:
        raise unavailable(path, error) from None
    return record, store.knows_all(state)
