"""How one request is carried out that meets a fault: refused, left hanging, late, or spoilt."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import attrs

from resilient_store import runtime
from resilient_store.backends.contract import ChangedError
from resilient_store.io.drive import leave_to_finish
from resilient_store.model.info import Body, ObjectInfo
from resilient_store.testing.faults import Fault
from resilient_store.testing.simulation.world import CHANGING

T = TypeVar("T")

_ERRORS: dict[str, tuple[type[OSError], int, str]] = {
    "down": (ConnectionRefusedError, errno.ECONNREFUSED, "is down"),
    "throttled": (OSError, errno.EBUSY, "asks for less"),
    "denied": (PermissionError, errno.EACCES, "denies it"),
    "full": (OSError, errno.ENOSPC, "is full"),
}


async def carry_out(
    fault: Fault | None, name: str, verb: str, work: Callable[[], Awaitable[T]]
) -> T:
    """Do a request's work as its fault has it.

    Raises
    ------
    OSError
        What a broken connection, a full disk or a denied call raises.
    """
    if fault is None:
        return await work()
    if fault.kind in _ERRORS:
        cls, number, words = _ERRORS[fault.kind]
        raise cls(number, f"{name} {words}")
    if fault.kind == "slow":
        await runtime.pause(fault.seconds)
        return await work()
    if fault.kind == "unknown":
        await work()
        raise ConnectionResetError(errno.ECONNRESET, f"{name} broke the connection")
    if fault.kind in ("hang", "late"):
        return await _never(fault, verb, work)
    answer: T = spoilt(fault, await work())
    return answer


async def _never(fault: Fault, verb: str, work: Callable[[], Awaitable[T]]) -> T:
    answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    try:
        return await answer
    finally:
        if fault.kind == "late" and verb in CHANGING:
            leave_to_finish(_late, _land(fault.seconds, work))


_late: dict[asyncio.Task[Any], None] = {}


async def _land(seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
    """Carry out what nobody waits for any more."""
    await runtime.pause(seconds)
    with contextlib.suppress(OSError, ChangedError):  # refused, and nobody hears of it
        await work()


def spoilt(fault: Fault, answer: Any) -> Any:
    """Make bytes short or wrong, or an object empty."""
    if isinstance(answer, bytes):
        return _spoilt_bytes(fault, answer)
    if isinstance(answer, Body):
        data = _spoilt_bytes(fault, answer.data)
        return attrs.evolve(answer, data=data, size=0 if fault.kind == "blank" else answer.size)
    if isinstance(answer, ObjectInfo) and not answer.directory:
        return attrs.evolve(answer, size=0)
    if isinstance(answer, dict) and answer.get("type") == "file":
        return {**answer, "size": 0}
    return answer


def _spoilt_bytes(fault: Fault, data: bytes) -> bytes:
    if fault.kind == "blank":
        return b""
    if fault.kind == "cut":
        return data[: len(data) // 2]
    return flipped(data)


def flipped(data: bytes) -> bytes:
    """Return the bytes with one bit wrong."""
    middle = len(data) // 2
    return data[:middle] + bytes(b ^ 1 for b in data[middle : middle + 1]) + data[middle + 1 :]
