"""A look-up that a blocking call begins before the loop hears of the call.

The loop's thread takes as long to wake up as the catalog's takes to find the path: here both do
so at the same time. What is found is of a moment after the call began, as any look-up is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import attrs

from resilient_store.threads import Job


@attrs.frozen
class _Begun:
    catalog: object
    path: str
    job: Job[Any]


# What the call has begun that runs in this context, and not taken so far: at most one.
_begun: ContextVar[list[_Begun] | None] = ContextVar("a look-up that was begun", default=None)


@contextlib.contextmanager
def begun(catalog: object, path: str, job: Job[Any]) -> Iterator[None]:
    """Let a call that is made in this block take the look-up of its path; nobody else does."""
    left = [_Begun(catalog, path, job)]
    token = _begun.set(left)
    try:
        yield
    finally:
        _begun.reset(token)
        with contextlib.suppress(IndexError):  # the loop's thread has taken it
            left.pop().job.drop()


def taken(catalog: object, path: str) -> Job[Any] | None:
    """Take the look-up that was begun for this call, once: whoever looks again looks anew."""
    left = _begun.get()
    if not left:
        return None
    with contextlib.suppress(IndexError):  # the caller has been interrupted
        one = left.pop()
        if one.catalog is catalog and one.path == path:
            return one.job
        one.job.drop()
    return None
