"""What the two databases do each in their own way: one snapshot, one transaction, one clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]
Asked = tuple[str, dict[str, Any]]
Decide = Callable[[list[list[Row]], float, Callable[[], int]], Sequence[Asked]]

WITHIN_S = 1.5  # every call has ended by then, one way or the other
STORE = ""  # what a change of the store as a whole locks, in the place of a path


class Driver(Protocol):
    """One database, by statements that are compiled for its dialect."""

    dialect: str
    drawn: Asked  # asks for the last number that was drawn

    def ask(self, asked: Asked) -> list[Row]:
        """Carry out one statement that changes nothing."""

    def together(self, asked: Sequence[Asked]) -> list[list[Row]]:
        """Carry out statements that see the same moment."""

    def still(self) -> AbstractContextManager[Callable[[Asked], list[Row]]]:
        """Ask many statements of one moment, for as long as it takes."""

    def transact(
        self,
        locked: Sequence[str],
        asked: Sequence[Asked],
        decide: Decide,
        /,
        *,
        within_s: float = WITHIN_S,
    ) -> None:
        """Ask, decide, and write what was decided, in one transaction that nobody cuts across.

        Parameters
        ----------
        locked
            The paths that no other transaction changes meanwhile; `STORE` for all of them.
        decide
            Gets the rows, the catalog's clock and what draws a number that is never drawn again;
            returns what to write. It may be called again where a race was lost; where it raises,
            nothing is written.
        """

    def raise_counter(self, least: int) -> None:
        """Draw no number below `least` any more."""

    def create(self, statements: Sequence[Asked], there: Asked) -> None:
        """Make the tables, unless another process has made them."""

    def now_s(self) -> float:
        """Return the catalog's clock."""

    def close(self) -> None:
        """Give connections back."""
