"""Give back what nobody closed: when its store is dropped, and when the process ends.

An open connection that is merely forgotten warns, or keeps a process from ending in peace.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import logging
import os
import weakref
from concurrent.futures import Future, wait

from resilient_store.backends.contract import Family

logger = logging.getLogger("resilient_store")

AT_EXIT_S = 0.5

# By numbers that are never used twice: an id() is, as soon as its object is gone.
_numbers = itertools.count()
_open: dict[int, tuple[Family, asyncio.AbstractEventLoop]] = {}


def close_with(owner: object, family: Family, loop: asyncio.AbstractEventLoop) -> None:
    """Close a family of this loop when its owner is dropped, or at exit; whichever comes first."""
    number = next(_numbers)
    _open[number] = (family, loop)
    weakref.finalize(owner, _let_go, number).atexit = False


def was_closed(family: Family) -> None:
    """Forget a family that was closed in an orderly way."""
    # Their numbers alone: a list of pairs is made bit by bit, and the garbage that is collected
    # meanwhile may be a store, whose families are taken out of what is being listed.
    for number in list(_open):
        if _open.get(number, (None,))[0] is family:
            _open.pop(number, None)


def _let_go(number: int) -> None:
    family, loop = _open.pop(number, (None, None))
    if family is None or loop is None:
        return  # closed before, or a parent's, of whom this process was forked
    if loop.is_running():
        _close(family, loop)
    else:
        family.drop()


def _close(family: Family, loop: asyncio.AbstractEventLoop) -> Future[None]:
    closing = asyncio.run_coroutine_threadsafe(family.close(), loop)
    closing.add_done_callback(_tell)
    return closing


def _tell(closing: Future[None]) -> None:
    if not closing.cancelled() and (error := closing.exception()) is not None:
        logger.warning("a backend could not be closed: %s", type(error).__name__)


def _let_all_go() -> None:
    """Close what is left; a loop that does not answer any more is not waited for."""
    closing = []
    for family, loop in list(_open.values()):
        if loop.is_running():
            closing.append(_close(family, loop))
        else:
            with contextlib.suppress(Exception):  # nobody is left to hear of it
                family.drop()
    _open.clear()
    wait(closing, timeout=AT_EXIT_S)


atexit.register(_let_all_go)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.clear)
