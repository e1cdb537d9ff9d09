"""BackendClient: one backend behind deadline, bulkhead, breaker and statistics.

There is one right order, so it is one object: the deadline is outermost and covers the wait
for a place; then the bulkhead; then the call; the outcome feeds breaker and statistics. There
is no retry in here: whoever asks decides that, with everybody's answers in hand.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import attrs

from resilient_store import runtime
from resilient_store.backends.bodies import PROBE_BYTES, small_read, wrong_with
from resilient_store.backends.classify import classify, for_who_configured
from resilient_store.backends.closing import close_with, was_closed
from resilient_store.backends.contract import (
    Family,
    Listed,
    Moves,
    Stored,
    Traits,
    WrongOptionError,
)
from resilient_store.backends.health import PATIENCE_S, Health, Kind
from resilient_store.backends.upload import UploadClient, seconds_for
from resilient_store.errors import StoreIdentityError
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.policies import Backend

T = TypeVar("T")

LAST_RESORT_S = 1.0
_SLOW_SHARE = 0.5
# A backend that was silent for so long may have been brought back from a backup meanwhile.
ADMITTED_FOR_S = 60.0
# A probe's place is kept beyond its deadline, so that two never overlap.
_LEASE_MARGIN_S = 1.0


@attrs.define
class _Session:
    """What belongs to one event loop: the opened family, and places for calls."""

    bulkhead: asyncio.Semaphore
    opening: asyncio.Lock
    family: Family | None = None


class BackendClient:
    """What we talk through. Every call returns a `Reply`.

    None raises but for `CancelledError`, and `ConfigurationError` where an option is wrong.

    Parameters
    ----------
    backend
        As configured.
    name, domain
        Resolved.
    opener
        Opens the family, in the running loop.
    health
        Shared by all loops of the process.
    admit
        Asked whether the backend is the store's: before its first use in a process, and again
        after it failed or was silent for a minute, or its epoch rose.
    epoch
        Returns what its identity must carry, as far as this process has heard.

    Attributes
    ----------
    traits
        What the backend can do; None until it was first opened.
    creates_exclusively
        Whether a second creation of a key is refused; None until it was found out.
    folds
        Whether spellings that differ in case are one key; None where nobody has asked.

    Notes
    -----
    Promises: P6. Source: design, section 7.
    """

    def __init__(
        self,
        backend: Backend,
        name: str,
        domain: str,
        opener: Callable[[], Awaitable[Family]],
        health: Health,
        *,
        admit: Callable[[BackendClient, Family], Awaitable[bool]] | None = None,
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        self.backend = backend
        self.name = name
        self.domain = domain
        self.health = health
        self.traits: Traits | None = None
        self.creates_exclusively: bool | None = None
        self.folds: bool | None = None
        self._opener = opener
        self._admission = self._admit = admit
        self._epoch = epoch
        self._admitted_epoch = 0
        self._answered_s = -math.inf
        self._sessions: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Session]
        self._sessions = weakref.WeakKeyDictionary()

    async def info(self, key: str, *, kind: Kind = "read") -> Reply[ObjectInfo]:
        """Look at a key. An empty object is marked blank."""
        reply = await self._call(kind, key, lambda family, _: family.info(key))
        is_blank = reply.value is not None and reply.value.blank
        return attrs.evolve(reply, blank=True) if is_blank else reply

    async def get(
        self,
        key: str,
        start: int | None = None,
        end: int | None = None,
        verify: Callable[[bytes], bool] | None = None,
    ) -> Reply[Body]:
        """Read an object or a range. An empty body is marked blank unless the object is not.

        Parameters
        ----------
        verify
            Whether these are the bytes that were asked for; None: what the platform states of
            them says so.
        """
        size = end - (start or 0) if end is not None and end > (start or 0) >= 0 else 0
        began_s = runtime.now_s()
        reply = await self._call(
            "read",
            key,
            lambda family, moves: family.get(key, start, end, moves, check=verify is None),
            size=size,
        )
        body = reply.value
        if body is not None and (wrong := wrong_with(body, start, end, verify)):
            outcome, detail = wrong
            self.health.record("read", outcome, runtime.now_s(), key=key)
            return Reply(self.name, outcome, detail=detail)
        if reply.ok:
            self.health.note_read(runtime.now_s() - began_s)
        is_blank = body is not None and not body.data and not body.size
        return attrs.evolve(reply, blank=True) if is_blank else reply

    async def probe(self, key: str) -> None:
        """Try a backend that is left alone, with a small read of what was asked for."""
        lease_s = self.backend.timeout + seconds_for(PROBE_BYTES) + _LEASE_MARGIN_S
        if not self.health.take_probe("read", runtime.now_s(), lease_s):
            return
        try:
            await self._call(
                "read",
                key,
                lambda family, moves: small_read(family, key, moves),
                size=PROBE_BYTES,
                deadline_s=self.backend.timeout,
            )
        except asyncio.CancelledError:
            self.health.give_probe_back("read", runtime.now_s())
            raise

    async def put(
        self, key: str, data: bytes, *, exclusive: bool, headers: Headers
    ) -> Reply[Stored]:
        """Store an object whole."""
        return await self._change(
            key,
            lambda family: family.put(key, data, exclusive=exclusive, headers=headers),
            size=len(data),
        )

    async def upload(self, key: str, *, exclusive: bool, headers: Headers) -> Reply[UploadClient]:
        """Begin an object of unknown length."""
        reply = await self._change(
            key, lambda family: family.upload(key, exclusive=exclusive, headers=headers)
        )
        upload = None if reply.value is None else UploadClient(self, key, reply.value)
        return Reply(self.name, reply.outcome, upload, reply.detail)

    async def publish(
        self,
        staged: str,
        key: str,
        *,
        expected: str | None,
        size: int,
        looked: bool,
        keep: bool = False,
    ) -> Reply[Stored]:
        """Bring a staged object of `size` bytes to its own key."""
        return await self._change(
            key,
            lambda family: family.publish(
                staged, key, expected=expected, size=size, looked=looked, keep=keep
            ),
            size=size,
        )

    async def delete(
        self, key: str, *, expected: str | None = None, looked: bool = False
    ) -> Reply[None]:
        """Delete an object."""
        return await self._change(
            key, lambda family: family.delete(key, expected=expected, looked=looked)
        )

    async def list(
        self, key: str, *, recursive: bool, kind: Kind = "read"
    ) -> Reply[Sequence[ObjectInfo]]:
        """List what lies under a key."""
        return await self._call(
            kind, key, lambda family, moves: family.list(key, recursive=recursive, moves=moves)
        )

    async def page(self, after: str, cursor: Any, limit: int) -> Reply[Listed]:
        """List the next objects after a key, in the order of their keys."""
        return await self._call(
            "read", "", lambda family, moves: family.page(after, cursor, limit, moves)
        )

    async def mkdir(self, key: str) -> Reply[None]:
        """Make a directory."""
        return await self._change(key, lambda family: family.mkdir(key))

    async def rmdir(self, key: str) -> Reply[None]:
        """Remove an empty directory."""
        return await self._change(key, lambda family: family.rmdir(key))

    async def abandon_uploads(
        self, before: dt.datetime, *, dry_run: bool = False
    ) -> Reply[Sequence[str]]:
        """Abort uploads that began before then and were never finished; in a dry run only say."""
        return await self._change(
            "", lambda family: family.abandon_uploads(before, dry_run=dry_run)
        )

    async def sign(self, key: str, expiration: int) -> Reply[str]:
        """Make a signed URL."""
        return await self._call("read", key, lambda family, _: family.sign(key, expiration))

    async def open(self) -> Reply[Family]:
        """Open the family, so that `traits` are known; no request says anything of its health."""

        async def itself(family: Family, _: Moves) -> Family:
            return family

        return await self._call("write", "", itself, counted=False)

    def trust(self) -> None:
        """Ask no more whether it is the store's: a person has said so."""
        self._admit = None
        self._admitted_epoch = self._epoch()
        self._answered_s = runtime.now_s()

    def doubt(self) -> None:
        """Ask again before its next use: it was away, and may come back as another."""
        self._admit = self._admission

    async def close(self) -> None:
        """Give back what belongs to the running loop."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None and session.family is not None:
            was_closed(session.family)
            await session.family.close()

    async def _change(
        self, key: str, run: Callable[[Family], Awaitable[T]], *, size: int = 0
    ) -> Reply[T]:
        if self.backend.read_only:
            return Reply(self.name, Outcome.REFUSED, detail="it is read-only")
        return await self._call(
            "write", key, lambda family, _: run(family), size=size, changing=True
        )

    async def step(
        self, key: str, run: Callable[[], Awaitable[T]], *, deadline_s: float, size: int = 0
    ) -> Reply[T]:
        """Carry out one step of a long change, with a deadline of its own."""
        return await self._call(
            "write", key, lambda *_: run(), size=size, deadline_s=deadline_s, changing=True
        )

    async def _call(
        self,
        kind: Kind,
        key: str,
        run: Callable[[Family, Moves], Awaitable[T]],
        *,
        size: int = 0,
        deadline_s: float | None = None,
        changing: bool = False,
        counted: bool = True,
    ) -> Reply[T]:
        started_s = runtime.now_s()
        timeout_s = deadline_s or self.backend.timeout
        # Left alone, and asked all the same: it gets little to begin to answer, but its place
        # may be taken by calls from before it was well again, and is waited for as ever.
        is_last_resort = deadline_s is None and kind == "read" and not self.health.is_closed(kind)
        patience_s = min(timeout_s, PATIENCE_S.get())
        deadline = runtime.Deadline(patience_s + seconds_for(size), pullable=is_last_resort)
        sent = False
        if counted:
            self.health.earn()

        def moves(size: int) -> None:
            deadline.push(patience_s + seconds_for(size))

        async def work() -> T:
            nonlocal sent
            session = self._session()
            async with session.bulkhead:
                family = await self._opened(session)
                sent = True
                deadline.pull(LAST_RESORT_S + seconds_for(size))
                return await run(family, moves)

        reply: Reply[T]
        try:
            reply = Reply(self.name, Outcome.OK, await runtime.within(work(), deadline))
        except runtime.OutOfTimeError:
            outcome = Outcome.TIMED_OUT if sent or not changing else Outcome.UNAVAILABLE
            detail = f"no answer in {runtime.now_s() - started_s:.3g} s"
            reply = Reply(self.name, outcome, detail=detail)
        except asyncio.CancelledError:
            if runtime.is_cancelled():
                raise
            outcome = Outcome.TIMED_OUT if changing and sent else Outcome.UNAVAILABLE
            reply = Reply(self.name, outcome, detail="it cancelled the call itself")
        except (WrongOptionError, StoreIdentityError) as error:
            raise for_who_configured(self.name, error) from None
        except Exception as error:
            outcome, detail = classify(error, changing=changing and sent)
            reply = Reply(self.name, outcome, detail=detail)
        took_s = runtime.now_s() - started_s
        usual_s = deadline.when_s - started_s + timeout_s - patience_s
        slow = reply.ok and took_s > _SLOW_SHARE * usual_s
        if counted or not reply.ok:
            self._record(kind, key, reply.outcome, took_s, slow=slow)
        return reply

    def _record(self, kind: Kind, key: str, outcome: Outcome, took_s: float, *, slow: bool) -> None:
        now_s = runtime.now_s()
        if outcome.answers:
            self._answered_s = now_s
        self.health.record(kind, outcome, now_s, key=key, slow=slow, took_s=took_s)

    def _session(self) -> _Session:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            self._drop_closed_loops()
            places = asyncio.Semaphore(self.backend.max_concurrency)
            session = self._sessions[loop] = _Session(places, asyncio.Lock())
        return session

    def _drop_closed_loops(self) -> None:
        """Give back what belongs to loops that ended without closing the store."""
        for loop, session in list(self._sessions.items()):
            if loop.is_closed():
                del self._sessions[loop]
                if session.family is not None:
                    was_closed(session.family)
                    session.family.drop()

    async def _opened(self, session: _Session) -> Family:
        if session.family is None:
            async with session.opening:
                if session.family is None:
                    session.family = await self._opener()
                    self.traits = session.family.traits
                    close_with(self, session.family, asyncio.get_running_loop())
        silent = runtime.now_s() - self._answered_s > ADMITTED_FOR_S
        if silent or self._epoch() > self._admitted_epoch:  # it may be found elsewhere by now
            self.doubt()
        if self._admit is not None:
            async with session.opening:
                await self._ask_admission(session.family)
        return session.family

    async def _ask_admission(self, family: Family) -> None:
        epoch = self._epoch()
        if self._admit is not None and await self._admit(self, family):
            self._admit = None
            self._admitted_epoch = epoch
            self._answered_s = runtime.now_s()
