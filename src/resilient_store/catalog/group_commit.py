"""Group commit: changes that wait for a database's one writer are carried out in one transaction.

A transaction that is durable costs the same for one change as for ten, and a database with one
writer at a time carries out those of others no earlier than this one. Each keeps its own answer:
where one fails, or is not wanted any more, the others are made all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import attrs

from resilient_store import runtime
from resilient_store.catalog.contract import (
    CatalogDownError,
    Change,
    CommitUnknownError,
    Database,
)
from resilient_store.model.state import Record
from resilient_store.protocol.moment import Moment
from resilient_store.threads import DaemonPool

A = TypeVar("A")
Records = tuple[Record, ...]


class Waiting(Generic[A]):
    """One change of some paths' records, for which a coroutine waits, and what became of it."""

    def __init__(self, paths: Sequence[str], change: Change[A]) -> None:
        self.paths = tuple(paths)
        self.loop = asyncio.get_running_loop()
        self._change = change
        self._in_time: asyncio.Future[bool] = self.loop.create_future()
        self._answer: list[A] = []
        self._error: BaseException | None = None
        self._is_made = False

    def decide(self, before: Records, moment: Moment) -> Records:
        """Make the change, within the transaction; where it fails, its records stay as they are."""
        self._answer.clear()  # of a race that was lost
        self._error = None
        try:
            after, answer = self._change(before, moment)
        except Exception as error:  # noqa: BLE001 its own caller gets it
            self._error = error
            return before
        self._answer.append(answer)
        return after

    def succeed(self) -> None:
        """Say that the transaction was committed; where nobody does, it may have been or not."""
        self._is_made = True

    def fail(self, error: BaseException) -> None:
        """Say that the transaction failed; each caller raises an error of its own."""
        self._error = error
        with contextlib.suppress(TypeError):  # some errors cannot be copied
            self._error = copy.copy(error).with_traceback(error.__traceback__)

    async def answer_within(self, seconds: float) -> A:
        """Return what the change answered, or raise why it was not made.

        Raises
        ------
        OutOfTimeError
            It has not been carried out in time.
        """
        timer = self.loop.call_later(seconds, functools.partial(self.end, in_time=False))
        try:
            if not await self._in_time:
                raise runtime.OutOfTimeError
        finally:
            timer.cancel()
        return self.answer()

    def end(self, *, in_time: bool) -> None:
        """Wake up who waits, in its loop."""
        if not self._in_time.done():
            self._in_time.set_result(in_time)

    def answer(self) -> A:
        """Return what the change answered, once it is carried out, or raise why it was not made."""
        if self._error is not None:
            raise self._error
        if not self._is_made:
            raise CommitUnknownError("nothing was said of whether a change was stored")
        return self._answer[0]


class GroupCommit:
    """What waits, of all loops of the process, for the one thread that carries it out.

    A thread is asked once for a whole group, and a loop is woken up once for it: for each change
    by itself, that takes half as long again as the change.

    Parameters
    ----------
    at_once
        How many changes one transaction may carry out.
    writers
        Whose thread carries them out, between other calls.
    """

    def __init__(self, at_once: int, writers: DaemonPool, late_window_s: float) -> None:
        self._at_once = at_once
        self._writers = writers
        self._late_window_s = late_window_s
        self._lock = threading.Lock()
        self._waiting: dict[Waiting[Any], None] = {}  # its keys, in their order, are of use
        self._is_begun = False  # whether a thread was asked
        self._is_closing = False

    async def change(
        self, database: Database, paths: Sequence[str], change: Change[A], within_s: float
    ) -> A:
        """Let a change be carried out, beside others.

        Raises
        ------
        OutOfTimeError
            It was not carried out in time; it never will be, unless that has begun.
        NoThreadError
            There is no thread for it.
        """
        one = Waiting(paths, change)
        try:
            self._add(one, database)
            return await one.answer_within(within_s)
        finally:
            # Without the lock, which the very thread may hold whose garbage this coroutine is.
            self._waiting.pop(one, None)

    def close(self) -> None:
        """Carry out what waits before anything else: the thread ends soon."""
        with self._lock:
            self._is_closing = True

    def _add(self, one: Waiting[Any], database: Database) -> None:
        with self._lock:
            self._waiting[one] = None
            if not self._is_begun:
                self._begin(database)

    def _begin(self, database: Database) -> None:
        self._writers.submit(lambda _: self._carry_out(database))
        self._is_begun = True

    def _carry_out(self, database: Database) -> None:
        """Carry out what waits, so much in each transaction."""
        goes_on = True
        while goes_on:
            group: list[Waiting[Any]] = []
            try:
                self._take(group)
                carry_out_all(group, database, self._late_window_s)
            finally:
                _tell(group)
                goes_on = self._goes_on(database)

    def _goes_on(self, database: Database) -> bool:
        """Say whether what is left is carried out at once; else other calls come between."""
        with self._lock:
            is_left, at_once = bool(self._waiting), self._is_closing
            self._is_begun = is_left and at_once
            if is_left and not at_once:
                self._begin(database)
        return is_left and at_once

    def _take(self, group: list[Waiting[Any]]) -> None:
        """Take what is to be done, in the order in which it came; no path twice."""
        paths: set[str] = set()
        for one in list(self._waiting):
            if len(group) < self._at_once and paths.isdisjoint(one.paths):
                group.append(one)
                paths.update(one.paths)
                self._waiting.pop(one, None)


def _tell(group: list[Waiting[Any]]) -> None:
    """Wake up all who waited, each loop once."""
    for loop in dict.fromkeys(one.loop for one in group):
        with contextlib.suppress(RuntimeError):  # it is closed: nobody waits there any more
            loop.call_soon_threadsafe(_end, [one for one in group if one.loop is loop])


def _end(group: list[Waiting[Any]]) -> None:
    for one in group:
        one.end(in_time=True)


def carry_out_all(group: list[Waiting[Any]], database: Database, late_window_s: float) -> None:
    """Carry out changes of different paths in one transaction."""

    def change(before: Records, moment: Moment) -> tuple[Records, None]:
        after: list[Record] = []
        drawing = _Drawing(moment.new_id)
        for one in group:
            own = before[len(after) : len(after) + len(one.paths)]
            after += one.decide(own, attrs.evolve(moment, new_id=drawing))
            drawing.check()
        return tuple(after), None

    if not group:  # whoever waited has given up
        return
    paths = [path for one in group for path in one.paths]
    try:
        database.change(paths, late_window_s, change)
    except BaseException as error:  # noqa: BLE001 each caller gets it
        is_ours = isinstance(error, Exception) and not isinstance(error, CatalogDownError)
        for one in group:
            if is_ours and len(group) > 1:  # what one of them asks for cannot be stored
                carry_out_all([one], database, late_window_s)
            else:
                one.fail(error)
    else:
        for one in group:
            one.succeed()


class _Drawing:
    """Draws numbers for changes, and tells a failure of the database from one of theirs."""

    def __init__(self, new_id: Callable[[], int]) -> None:
        self._new_id = new_id
        self._error: BaseException | None = None

    def __call__(self) -> int:
        try:
            return self._new_id()
        except BaseException as error:
            self._error = error
            raise

    def check(self) -> None:
        """Let the whole transaction fail where a number could not be drawn."""
        if self._error is not None:
            raise self._error
