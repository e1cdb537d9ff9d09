"""What every family must do when a caller gives up in the middle of storing something."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from itertools import count
from typing import Any, NoReturn

import pytest

from resilient_store import runtime
from resilient_store.io.drive import alongside
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome
from resilient_store.testing.conformance.subject import Subject

OLD, NEW = b"old" * 50_000, b"new!" * 50_000
TURNS = 8  # of the loop: after so many, or fewer, the first few calls are given up
SOON_S, LATE_S = 0.0001, 2.0  # the others are given up after a time that grows
LONGER = 1.5
LOOKS, BETWEEN_S = 50, 0.01  # at what a call that was given up may still be changing


class GivenUpError(Exception):
    """Nobody waits for the call any more."""


class CancellationConformance:
    """Subclass it, as `BackendConformance` does, and give it a fixture `subject`."""

    @pytest.mark.parametrize("way", ["put", "upload"])
    def test_what_is_cancelled_is_there_whole_or_not_at_all(
        self, subject: Subject, way: str
    ) -> None:
        """A caller gives up, sooner and later: the old object stands, or the new one (P8)."""
        keys = []
        for number, patience in zip(count(), _patience(), strict=False):
            subject.write(f"old/{number}", OLD)
            keys += [f"old/{number}", f"new/{number}"]
            ended = [_ends(subject, way, key, patience) for key in keys[-2:]]
            if all(ended):
                break
        assert subject.put("last", NEW)[0] is Outcome.OK
        for key in keys:
            whole = (OLD, NEW) if key.startswith("old/") else (None, NEW)
            found = _settled(subject, key, whole)
            assert found in whole, f"{key} holds {_size(found)} bytes of {len(NEW)}"


def _patience() -> Iterator[Callable[[], Coroutine[Any, Any, NoReturn]]]:
    """Yield what waits for a while and then gives up, longer each time."""
    for turns in range(TURNS):
        yield partial(_gives_up, turns, 0.0)
    seconds = SOON_S
    while seconds < LATE_S:
        yield partial(_gives_up, 1, seconds)
        seconds *= LONGER


async def _gives_up(turns: int, seconds: float) -> NoReturn:
    for _ in range(turns):
        await runtime.pause(seconds)
    raise GivenUpError


def _ends(
    subject: Subject, way: str, key: str, patience: Callable[[], Coroutine[Any, Any, NoReturn]]
) -> bool:
    """Store at a key; say whether it was done before the caller gave up."""
    traits = subject.family.traits
    exclusive = key.startswith("new/") and traits.creates_whole and bool(traits.exclusive_create)
    upload = subject.upload(key, NEW, exclusive=exclusive) if way == "upload" else None
    if upload is None:
        call = subject.family.put(key, NEW, exclusive=exclusive, headers=Headers())
    else:
        call = upload.finish()
    try:
        subject.run(alongside(call, patience()))
    except GivenUpError:
        return False
    finally:
        if upload is not None:
            subject.run(upload.abort())
    return True


def _settled(subject: Subject, key: str, whole: tuple[bytes | None, ...]) -> bytes | None:
    """Return what lies at a key; what is not whole is looked at again, for a while."""
    found = subject.read(key)
    for _ in range(LOOKS):
        if found in whole:
            break
        subject.run(runtime.pause(BETWEEN_S))
        found = subject.read(key)
    return found


def _size(data: bytes | None) -> int:
    return 0 if data is None else len(data)
