"""Writing without a catalog: all backends or an error that says what was left where.

A new path is created exclusively on every backend. An overwrite is staged everywhere before it
is published anywhere. Every backend is looked at first, so that a write which cannot succeed
sends nothing. With ``write_once`` nothing is looked at and nothing is ever undone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.backends.contract import Stored
from resilient_store.backends.upload import UploadClient
from resilient_store.errors import (
    BlankObjectError,
    ConcurrentWriteError,
    InsufficientCopiesError,
    InvalidPathError,
    ObjectError,
)
from resilient_store.io.drive import protected
from resilient_store.io.fanout import away_to_write, fan_out, left_alone, take_probes
from resilient_store.io.parts import Buffer
from resilient_store.io.taken import (
    holds_these_bytes,
    refuse_overwriters,
    tries_exclusive_create,
    tries_platform,
)
from resilient_store.model.checksum import ChunkedChecksum
from resilient_store.model.info import Headers, ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.path import RESERVED, join
from resilient_store.model.result import WriteReceipt
from resilient_store.protocol.write import Demand
from resilient_store.store import Store

T = TypeVar("T")

# A look that is no older need not be repeated where a condition goes with the request.
FRESH_LOOK_S = 1.0
_GONE = (Outcome.OK, Outcome.NOT_FOUND)
_MAY_BE_THERE = (Outcome.TIMED_OUT, Outcome.CORRUPT)


class WriteSession:
    """One write, from its first byte to its receipt.

    Parameters
    ----------
    store, path
        What to write.
    create
        Whether the path must be new.
    headers
        Content type and metadata; what is not given is kept from an earlier version.
    exact
        Whether nothing is: the headers are another object's.

    Notes
    -----
    Promises: P1. Source: design, section 4.
    """

    def __init__(
        self,
        store: Store,
        path: str,
        headers: Headers | None = None,
        *,
        exact: bool = False,
        create: bool = False,
    ) -> None:
        self._store = store
        self._path = path
        self._create = create
        self._given, self._exact = headers or Headers(), exact
        self._headers = self._given
        self._once = store.configuration.write_once
        self._demand = store.demand_for(path)
        self._id = runtime.new_id()
        self._names: tuple[str, ...] = ()
        self._looked_at_s = -math.inf
        self._before: dict[str, ObjectInfo | None] = {}
        self._failed: dict[str, Reply[Any]] = {}
        self._uploads: dict[str, UploadClient] = {}
        self._stored: dict[str, Stored] = {}
        self._staged: set[str] = set()
        self._buffer = Buffer()
        self._checksum = ChunkedChecksum()
        self._ended = False

    @property
    def _overwrites(self) -> bool:
        return any(info is not None for info in self._before.values())

    @property
    def _key(self) -> str:
        """Where the bytes go first."""
        if self._overwrites:
            return join(RESERVED, "staging", f"0-{self._id}", self._path)
        return self._path

    @property
    def _live(self) -> list[str]:
        return [name for name in self._names if name not in self._failed]

    async def begin(self) -> None:
        """Look at every backend; raises, with nothing sent, where the write cannot succeed."""
        store, once = self._store, self._once
        self._names = store.writable
        if not self._names:
            outcome, detail = Outcome.REFUSED, "it is read-only"
            replies = [Reply[None](name, outcome, detail=detail) for name in store.clients]
            raise InsufficientCopiesError(self._path, replies, "Nothing was written")
        self._failed |= left_alone(store)
        self._require_enough("Nothing was written")
        self._failed |= take_probes(store)
        self._require_enough("Nothing was written")
        if once:
            self._headers = self._given.over(None, self._path)
            fresh = [name for name in self._live if store.clients[name].traits is None]
            if fresh:
                await self._on_live(lambda client: client.open(), fresh)
            self._require_enough("Nothing was written")
            if once is True:
                tried = await self._on_live(tries_exclusive_create, demand=self._demand)
                refuse_overwriters(tried)
                self._require_enough("Nothing was written")
            return
        self._looked_at_s = runtime.now_s()
        others = [name for name in store.clients if name not in self._names]
        self._failed |= (away := away_to_write(store, others))
        asked = [name for name in store.clients if name not in away]
        looked = await fan_out(store, asked, lambda c: c.info(self._path, kind="write"))
        for name, reply in looked.items():
            self._note_look(name, reply)
        self._require_enough("Nothing was written")
        if self._create and self._overwrites:
            raise FileExistsError(17, "the path exists", self._path)
        infos = (info for info in self._before.values() if info is not None)
        earlier = next((info.headers for info in infos if info.headers is not None), None)
        self._headers = self._given.over(None if self._exact else earlier, self._path)

    def _note_look(self, name: str, reply: Reply[ObjectInfo]) -> None:
        info, traits = reply.value, self._store.clients[name].traits
        if info is not None and info.directory and traits is not None and not traits.directories:
            info, reply = None, Reply(name, Outcome.NOT_FOUND)  # only a prefix of other keys
        elif info is not None and info.directory:
            reply = Reply(name, Outcome.REFUSED, detail="a directory has this name")
        elif info is not None and self._store.clients[name].backend.read_only:
            reply = Reply(name, Outcome.REFUSED, detail="it is read-only and holds the path")
        if reply.ok or reply.outcome is Outcome.NOT_FOUND:
            self._before[name] = info
        else:
            self._failed[name] = reply

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes, of any length; full parts travel to all backends at once."""
        view = memoryview(data).cast("B")
        self._checksum.update(view)
        for part in self._buffer.add(view):
            await self._send_part(part)

    async def _send_part(self, part: bytes) -> None:
        if not self._uploads:
            # An upload whose beginning was given up has no name by which to abort it.
            await protected(self._on_live(self._begin_upload))
        await self._on_live(lambda client: self._uploads[client.name].write(part))
        if not self._is_enough():
            await self._give_up()

    async def _begin_upload(self, client: BackendClient) -> Reply[UploadClient]:
        reply = await client.upload(
            self._key, exclusive=self._exclusive_on(client), headers=self._headers
        )
        if reply.value is not None:  # known at once, so that a cancelled write can abort it
            self._uploads[client.name] = reply.value
        return reply

    def _exclusive_on(self, client: BackendClient) -> bool:
        """Whether to create exclusively: where it certainly can be, and where it must be."""
        if self._overwrites:
            return False
        if client.traits is not None and client.traits.creates_whole:
            return True
        return self._create or self._once is True

    async def _on_live(
        self,
        call: Callable[[BackendClient], Coroutine[Any, Any, Reply[T]]],
        names: Iterable[str] | None = None,
        demand: Demand | None = None,
    ) -> dict[str, Reply[T]]:
        replies = await fan_out(self._store, names or self._live, call, demand)
        self._failed |= {name: reply for name, reply in replies.items() if not reply.ok}
        return replies

    async def commit(self) -> WriteReceipt:
        """Make the object visible everywhere; return the receipt, or raise.

        Raises
        ------
        InsufficientCopiesError
            Too few backends took it; the text says what was left where.
        FileExistsError
            The path had to be new, or is taken by other bytes.
        ConcurrentWriteError
            Somebody else wrote the path at the same time.
        InvalidPathError
            A backend can never hold this path.
        """
        if self._checksum.size == 0 and self._store.derivatives(self._path):
            await self.abort()
            raise BlankObjectError(self._path)
        # What landed must be known before it can be taken back, so a caller that gives up
        # waits for the answers, which have their own deadlines.
        for name in await self._deciders() if self._create else ():
            await protected(self._store_on([name]))
            if name in self._stored:
                break  # this one has decided who of many gets the name
        if names := [name for name in self._live if name not in self._stored]:
            await protected(self._store_on(names))
        if not self._is_enough():
            await self._give_up()
        if self._overwrites:
            await self._publish()
        self._ended = True
        if self._failed or self._uploads:
            await self.abort()
        return self._receipt()

    async def _deciders(self) -> list[str]:
        """Return who may decide which of many creators gets the name: who keeps to conditions."""
        await self._on_live(tries_platform)
        clients = self._store.clients
        return sorted(self._live, key=lambda name: clients[name].creates_exclusively is False)

    async def _store_on(self, names: list[str]) -> None:
        if not self._is_enough():
            return
        demand = self._demand if self._once else None
        last = self._buffer.rest()
        if self._uploads and last:
            await self._on_live(lambda client: self._uploads[client.name].write(last), names)
            names = [name for name in names if name not in self._failed]
        self._staged |= set(names) if self._overwrites else set()
        replies = await self._on_live(lambda client: self._finish(client, last), names, demand)
        if self._once:
            await self._count_those_taken(replies)

    async def _finish(self, client: BackendClient, last: bytes) -> Reply[Stored]:
        upload = self._uploads.get(client.name)
        if upload is not None:
            reply = await upload.finish()
            if reply.ok:  # else it is aborted in the end
                del self._uploads[client.name]
        else:
            reply = await client.put(
                self._key, last, exclusive=self._exclusive_on(client), headers=self._headers
            )
        if reply.value is not None:
            self._stored[client.name] = reply.value
        return reply

    async def _count_those_taken(self, replies: Mapping[str, Reply[Stored]]) -> None:
        """Count a key that is taken as a copy if it holds these very bytes."""
        for name, reply in replies.items():
            if reply.outcome is not Outcome.EXISTS:
                continue
            same = await holds_these_bytes(
                self._store.clients[name], self._path, self._checksum.hexdigest()
            )
            if same.value is False:
                await self._clean_up()
                raise FileExistsError(17, "the path is taken by other bytes", self._path)
            if same.ok:
                del self._failed[name]
                self._stored[name] = Stored(headers_kept=True)
            else:
                self._failed[name] = same

    async def _publish(self) -> None:
        staged = self._key

        async def publish(client: BackendClient) -> Reply[Stored]:
            info = self._before[client.name]
            reply = await client.publish(
                staged,
                self._path,
                expected=None if info is None else info.tag,
                size=self._checksum.size,
                looked=runtime.now_s() - self._looked_at_s < FRESH_LOOK_S,
            )
            if reply.ok:
                self._staged.discard(client.name)
            return reply

        replies = await protected(fan_out(self._store, self._live, publish))
        self._failed |= {name: reply for name, reply in replies.items() if not reply.ok}
        if self._failed:
            holders = [name for name, reply in replies.items() if reply.ok]
            await self.abort()
            self._raise(
                f"The new bytes are on {', '.join(holders) or 'no backend'}, and not on the "
                "others unless they timed out. Calling again completes it"
            )

    def _is_enough(self) -> bool:
        if not self._once:
            return not self._failed
        return self._demand.is_met(set(self._live), self._store.domains)

    def _require_enough(self, note: str) -> None:
        if not self._is_enough():
            self._ended = True
            self._raise(note)

    async def _give_up(self) -> NoReturn:
        left = await protected(self._clean_up())
        if self._overwrites:
            self._stored.clear()  # it was in staging only
            self._raise("The previous version still stands everywhere")
        self._raise(left or "Nothing of it was left anywhere")

    def _raise(self, note: str) -> NoReturn:
        outcomes = {reply.outcome for reply in self._failed.values()}
        holders: dict[str, Reply[Any]] = {}
        if not self._staged:
            holders = {name: Reply(name, Outcome.OK) for name in self._stored}
        replies = (holders | self._failed).values()
        kind: type[ObjectError] = InsufficientCopiesError
        if Outcome.REFUSED in outcomes:
            kind = InvalidPathError
        elif Outcome.EXISTS in outcomes:
            if self._create:
                raise FileExistsError(17, "the path exists", self._path)
            kind = ConcurrentWriteError
        policy = self._store.configuration.write
        if Outcome.DENIED in outcomes:
            note += ". A backend denies the write: give its credentials the right to put and delete"
        elif kind is InsufficientCopiesError and policy.min_copies is None and len(self._names) > 1:
            note += (
                ". All backends must hold a write here; with write_once=True min_copies may be "
                "lower"
            )
        raise kind(self._path, replies, note) from None

    async def abort(self) -> None:
        """Give the write up: nothing of it becomes visible, and nothing is left in staging."""
        await protected(self._clean_up())

    async def _clean_up(self) -> str:
        """Take back what certainly is ours; say what could not be taken back."""
        uploads, self._uploads = self._uploads, {}
        if uploads:
            await fan_out(self._store, uploads, lambda client: uploads[client.name].abort())
        if staged := sorted(self._staged):
            staging = join(RESERVED, "staging", f"0-{self._id}", self._path)
            await fan_out(self._store, staged, lambda c: c.delete(staging, looked=True))
            self._staged.clear()
        if self._ended or self._overwrites or self._once:
            return self._left_behind(list(self._stored) if self._once else [])
        self._ended = True
        created, self._stored = self._stored, {}
        ours = {name: stored.tag for name, stored in created.items() if stored.tag}
        undone = await fan_out(
            self._store, ours, lambda c: c.delete(self._path, expected=ours[c.name])
        )
        left = [n for n in created if n not in undone or undone[n].outcome not in _GONE]
        return self._left_behind(left)

    def _left_behind(self, holders: list[str]) -> str:
        unknown = [n for n, r in self._failed.items() if r.outcome in _MAY_BE_THERE]
        parts = []
        if holders:
            parts.append(f"The new bytes are on {', '.join(holders)}")
        if unknown:
            parts.append(f"They may be on {', '.join(unknown)}, now or later")
        return "; ".join(parts)

    def _receipt(self) -> WriteReceipt:
        copies = tuple(name for name in self._names if name not in self._failed)
        return WriteReceipt(
            path=self._path,
            checksum=f"blake3-1MiB:{self._checksum.hexdigest()}",
            size=self._checksum.size,
            copies=copies,
            pending=tuple(name for name in self._names if name in self._failed),
            domains=tuple(dict.fromkeys(self._store.domains[name] for name in copies)),
            headers_not_kept=tuple(name for name in copies if not self._stored[name].headers_kept),
        )
