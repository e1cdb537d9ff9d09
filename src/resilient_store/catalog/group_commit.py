"""Group commit: changes that wait for a database's one writer are carried out in one transaction.

A transaction that is durable costs the same for one change as for ten, and a database with one
writer at a time carries out those of others no earlier than this one. Each keeps its own answer:
where one fails, or is not wanted any more, the others are made all the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import attrs

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError, Change, Database
from resilient_store.model.state import Record
from resilient_store.protocol.moment import Moment

A = TypeVar("A")
Records = tuple[Record, ...]


class Waiting(Generic[A]):
    """One change of some paths' records, and what became of it."""

    def __init__(self, paths: Sequence[str], change: Change[A]) -> None:
        self.paths = tuple(paths)
        self.taken = False
        self.process = runtime.process_id()
        self._change = change
        self._answer: list[A] = []
        self._error: BaseException | None = None

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

    def fail(self, error: BaseException) -> None:
        """Say that the transaction failed; each caller raises an error of its own."""
        self._error = copy.copy(error).with_traceback(error.__traceback__)

    def answer(self) -> A:
        """Return what the change answered, or raise why it was not made."""
        if self._error is not None:
            raise self._error
        return self._answer[0]


class GroupCommit:
    """What waits, of all loops of the process, for the one thread that carries it out.

    Parameters
    ----------
    at_once
        How many changes one transaction may carry out.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        # Its keys alone are of use: they come and go in any thread, each in one step.
        self._waiting: dict[Waiting[Any], None] = {}

    def add(self, one: Waiting[Any]) -> None:
        """Let whoever comes first carry it out; its caller comes with `carry_out` all the same."""
        self._waiting[one] = None

    def forget(self, one: Waiting[Any]) -> None:
        """Let nobody carry it out any more who has not begun: its caller has gone."""
        self._waiting.pop(one, None)

    def carry_out(self, one: Waiting[A], database: Database, late_window_s: float) -> A:
        """Carry a change out, and others that wait; or return what another has carried out."""
        if not one.taken:
            carry_out_all(self._take(one), database, late_window_s)
        return one.answer()

    def _take(self, one: Waiting[Any]) -> list[Waiting[Any]]:
        """Take what is to be done, in the order in which it came; no path twice."""
        group, paths = [one], set(one.paths)
        for other in list(self._waiting):
            if other is one or other.process != one.process:  # in a fork: its parent does it
                self.forget(other)
            elif len(group) < self._at_once and paths.isdisjoint(other.paths):
                self.forget(other)
                group.append(other)
                paths.update(other.paths)
        for each in group:
            each.taken = True
        return group


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
