"""What a simulated loop keeps of a callback, and what it says of it and of a task.

A simulation makes a few handles for each of its steps, so they are made without asking whether
the loop is debugged: it never is.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any


class Soon(asyncio.Handle):
    """A callback whose turn comes."""

    __slots__ = ()

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None,
    ) -> None:
        self._context = contextvars.copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = self._source_traceback = None


class Timed(asyncio.TimerHandle):
    """A callback that waits for its time."""

    __slots__ = ()

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None,
    ) -> None:
        self._context = contextvars.copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = self._scheduled = False
        self._repr = self._source_traceback = None
        self._when = when

    def cancel(self) -> None:
        """Never run it; the loop skips it when its time comes."""
        self._cancelled = True
        self._callback = self._args = None  # type: ignore[assignment] # as asyncio's own do


def label(handle: asyncio.Handle) -> str:
    """Name a callback in a way that does not depend on addresses."""
    callback: Any = handle._callback  # type: ignore[attr-defined]
    return str(getattr(callback, "__qualname__", type(callback).__name__))


def waits_for(task: asyncio.Task[Any]) -> str:
    """Say where a task stands: the functions it is in, outermost first."""
    where: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(where) < 20:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            where.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return " > ".join(where) or "nothing that can be seen"
