"""Writing with a catalog: enough copies, one transaction that decides, the rest to the queue.

begin      the intent is durable, its keys are marked       crash: it expires, settled as undone
send       bytes to own keys (new, quiet, empty) or staging crash: the same
commit     entry and replicas in one transaction            crash: it is the current version
publish    staged bytes to their own keys                   crash: repair publishes
finish     the intent ends                                  crash: it expires, settled as done
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

import attrs

from resilient_store.backends.client import BackendClient
from resilient_store.backends.contract import Stored
from resilient_store.backends.upload import UploadClient, seconds_for
from resilient_store.errors import BlankObjectError, CatalogUnavailableError, ObjectError
from resilient_store.io.catalogued import holder as holding
from resilient_store.io.catalogued.answers import note_answers, silent_among
from resilient_store.io.catalogued.begin import begin
from resilient_store.io.catalogued.clashes import refuse_clashes
from resilient_store.io.catalogued.holder import Holder
from resilient_store.io.catalogued.labels import labelled, unlabelled
from resilient_store.io.catalogued.looking import look_at, place_directly
from resilient_store.io.catalogued.objects import refuse_known
from resilient_store.io.catalogued.publish import drop_staged, publish_staged
from resilient_store.io.catalogued.refusal import refusal
from resilient_store.io.catalogued.settle import settle, undo
from resilient_store.io.catalogued.sidecar import describe
from resilient_store.io.drive import protected
from resilient_store.io.fanout import away_to_write, fan_out
from resilient_store.io.parts import Buffer
from resilient_store.model.checksum import ChunkedChecksum
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.part import Part
from resilient_store.model.result import WriteReceipt
from resilient_store.model.state import OWN, State
from resilient_store.model.step import Step
from resilient_store.protocol import transactions
from resilient_store.protocol.moment import Wish
from resilient_store.protocol.transactions import Placed
from resilient_store.protocol.write import Demand, grace_s
from resilient_store.runtime import now_s, reach
from resilient_store.store import Store

T = TypeVar("T")

_UNKNOWN = (Outcome.TIMED_OUT, Outcome.CORRUPT)


class CataloguedWrite:
    """One write, from its first byte to its receipt.

    Parameters
    ----------
    store, path
        What to write.
    headers
        Content type and metadata; what is not given is kept from an earlier version.
    exact
        Whether nothing is: the headers are another object's.
    create
        Whether the path must be new.
    derived_from
        The original that the bytes were made from, with its version; the version that is
        current now where only a path is given.

    Notes
    -----
    Promises: P1, P2, P8. Source: design, section 6, "Write"; rules R1 to R8, R11, R12, R20.
    """

    def __init__(
        self,
        store: Store,
        path: str,
        headers: Headers | None = None,
        *,
        exact: bool = False,
        create: bool = False,
        derived_from: str | tuple[str, int | None] | None = None,
    ) -> None:
        self._store = store
        self._path = path
        self._create = create
        self._given, self._exact = headers or Headers(), exact
        self._derived_from = derived_from
        self._placed = store.placed(path)
        self._demand = store.demand_for(path)
        self._away: dict[str, Reply[Any]] = {}
        self._failed: dict[str, Reply[Any]] = {}
        self._holder: Holder | None = None
        self._direct: tuple[str, ...] = ()
        self._headers = self._given
        self._uploads: dict[str, UploadClient] = {}
        self._stored: dict[str, Stored] = {}
        self._staged: set[str] = set()
        self._sent: set[str] = set()
        self._buffer = Buffer()
        self._checksum = ChunkedChecksum()
        self._slowest_s = 0.0
        self._ended = False

    @property
    def _live(self) -> list[str]:
        return [n for n in self._placed if n not in self._failed and n not in self._away]

    # Before the first byte

    async def begin(self) -> None:
        """Raise, with nothing sent, where the write cannot succeed."""
        self._away = away_to_write(self._store, self._placed)
        if not self._is_enough():
            raise self._refusal("Nothing was written")
        if self._create:
            await refuse_known(self._store, self._path)

    async def _start(self, checksum: str = "") -> Holder:
        """Begin the intent: from now on every byte is accounted for."""
        if self._holder is not None:
            return self._holder
        store = self._store
        await refuse_clashes(store, self._path, self._placed)
        wish = Wish(
            kind="write",
            placed=self._placed,
            owner=store.owner,
            lease_s=store.configuration.lease,
            checksum=checksum,
            create=self._create,
        )
        self._holder = holder = await self._begin(wish)
        reach(Step.WRITE_BEGUN)
        holder.touched = ()
        self._direct = tuple(n for n in holder.intent.direct if n in self._live)
        record = holder.record
        earlier = None if record.present is None else record.present.headers
        if record.present is None and not record.voids and not holder.knows_all:
            earlier = await self._look_first(holder) or earlier
        self._headers = self._given.over(None if self._exact else earlier, self._path)
        self._derived_from = await self._origin()
        return holder

    async def _begin(self, wish: Wish) -> Holder:
        return await begin(self._store, self._path, wish, settle)

    async def _look_first(self, holder: Holder) -> Headers | None:
        """Look at the own keys of a path that an incomplete catalog does not know (R3)."""
        demand = None if self._create else self._demand
        looks, left_out = await look_at(self._store, self._path, self._live, demand)
        self._failed |= left_out
        found = [info for info in looks.values() if info is not None and not info.directory]
        found = found if holder.record.entry is None else []  # else it is what a deletion left
        if found and self._create:
            await self._give_up(FileExistsError(17, "the path exists", self._path))
        self._direct = await place_directly(holder, looks)
        reach(Step.WRITE_PLACED)
        return unlabelled(found[0].headers) if found else None

    async def _origin(self) -> tuple[str, int | None] | None:
        origin = self._derived_from
        if not isinstance(origin, str):
            return origin
        record, _ = await holding.find(self._store, origin)
        return origin, None if record.present is None else record.present.version

    # Bytes

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes, of any length; full parts travel to all backends at once."""
        view = memoryview(data).cast("B")
        self._checksum.update(view)
        for part in self._buffer.add(view):
            await self._send_part(part)

    async def _send_part(self, part: Part) -> None:
        holder = await self._start()
        await holder.ready_for(0.0)
        if not self._uploads:
            # An upload whose beginning was given up has no name by which to abort it.
            await protected(self._on(self._live, self._begin_upload))
        await self._on(self._live, lambda client: self._uploads[client.name].write(part))
        reach(Step.WRITE_SENDING)
        if not self._is_enough():
            await self._give_up()

    async def _begin_upload(self, client: BackendClient) -> Reply[UploadClient]:
        direct = client.name in self._direct
        reply = await client.upload(
            self._key(client.name), exclusive=direct, headers=self._labelled("")
        )
        if reply.value is not None:
            self._uploads[client.name] = reply.value
            self._sent.add(client.name)
        return reply

    def _key(self, name: str) -> str:
        assert self._holder is not None
        return self._path if name in self._direct else self._holder.staging

    def _labelled(self, checksum: str) -> Headers:
        assert self._holder is not None
        return labelled(self._headers, self._holder.intent.version, checksum)

    async def _on(
        self,
        names: Iterable[str],
        call: Callable[[BackendClient], Coroutine[Any, Any, Reply[T]]],
    ) -> dict[str, Reply[T]]:
        replies = await fan_out(self._store, names, call, self._demand)
        self._failed |= {name: reply for name, reply in replies.items() if not reply.ok}
        return replies

    # The end

    async def commit(self) -> WriteReceipt:
        """Make it the current version; return the receipt, or raise.

        Raises
        ------
        InsufficientCopiesError
            Too few backends took it; the previous version still stands.
        FileExistsError
            The path had to be new.
        ConcurrentWriteError
            Somebody else was at work on the path, or took it over.
        CatalogUnavailableError
            The catalog cannot be asked; the text says whether the outcome is known.
        InvalidPathError, StoreFrozenError, BlankObjectError
            As they say.
        """
        if self._checksum.size == 0 and self._store.derivatives(self._path):
            await self.abort()
            raise BlankObjectError(self._path)
        holder = await self._start(self._checksum.text)
        await self._arrive(holder)
        if not self._is_enough():
            await self._give_up()
        # From here on a caller that gives up waits for the answers, which have deadlines.
        return await protected(self._decide(holder))

    async def _arrive(self, holder: Holder) -> None:
        """Bring the last bytes to every backend; what is taken goes to staging there (R3)."""
        last = self._buffer.rest()
        uploading = bool(self._uploads)
        if uploading and last:
            await holder.ready_for(0.0)
            await self._on(self._live, lambda client: self._uploads[client.name].write(last))
        await holder.ready_for(self._longest_s(), self._checksum.text)
        self._sent |= set(self._live)
        replies = await self._on(self._live, functools.partial(self._finish, last))
        taken = [n for n, r in replies.items() if r.outcome is Outcome.EXISTS and n in self._direct]
        if taken:
            self._direct = tuple(n for n in self._direct if n not in taken)
            if not uploading:
                for name in taken:
                    del self._failed[name]
                await self._on(taken, functools.partial(self._finish, last))
        reach(Step.WRITE_ARRIVED)

    def _longest_s(self) -> float:
        """Return how long the calls that bring the last bytes may take."""
        timeouts_s = (self._store.clients[name].backend.timeout for name in self._live)
        return max(timeouts_s, default=0.0) + seconds_for(self._checksum.size)

    async def _finish(self, last: Part, client: BackendClient) -> Reply[Stored]:
        began_s = now_s()
        upload = self._uploads.get(client.name)
        if upload is not None:
            reply = await upload.finish()
            if reply.ok:
                del self._uploads[client.name]
        else:
            reply = await client.put(
                self._key(client.name),
                last,
                exclusive=client.name in self._direct,
                headers=self._labelled(self._checksum.text),
            )
        if reply.value is not None and client.name not in self._direct:
            key, headers = self._key(client.name), self._labelled(self._checksum.text)
            reply = await describe(client, key, reply.value, headers)
        if reply.value is not None:
            reach(Step.WRITE_LANDED)
            self._stored[client.name] = reply.value
            self._slowest_s = max(self._slowest_s, now_s() - began_s)
            if client.name not in self._direct:
                self._staged.add(client.name)
        return reply

    async def _decide(self, holder: Holder) -> WriteReceipt:
        ends = not self._staged
        assert not isinstance(self._derived_from, str), "resolved when the intent began"
        commit = functools.partial(
            transactions.commit,
            intent_id=holder.intent.id,
            content=self._checksum.content(),
            headers=self._headers,
            placed={name: self._became(name) for name in self._placed},
            derived_from=self._derived_from,
            ends=ends,
            unsent={n: holder.record.replicas.get(n) for n in self._placed if n not in self._sent},
        )
        committed = await self._decided(holder, commit)
        self._ended = True
        if not committed:
            holder.lost = True
            raise holder.taken()
        reach(Step.WRITE_COMMITTED)
        await self._show(holder)
        await self._abort_uploads()
        silent = silent_among({**self._away, **self._failed})
        await note_answers(self._store, self._stored, silent)
        return self._receipt(holder)

    async def _show(self, holder: Holder) -> None:
        """Publish what is staged; who is silent then is not asked again, and holds nobody up."""
        wait_s = grace_s(self._slowest_s)
        published: Sequence[str] = ()
        silent: set[str] = set()
        if self._staged:
            names = sorted(self._staged)
            published, silent = await publish_staged(holder, names, self._checksum.size, wait_s)
        await drop_staged(holder, self._stored.keys() - silent, published, wait_s)

    async def _decided(self, holder: Holder, commit: Any) -> bool:
        return await holder.certainly(commit)

    def _became(self, name: str) -> Placed:
        assert self._holder is not None
        stored = self._stored.get(name)
        if stored is not None and name in self._direct:
            return Placed(state=State.GOOD, place=OWN, tag=stored.tag)
        if stored is not None:
            return Placed(state=State.GOOD, place=self._holder.intent.token)
        reply = self._failed.get(name) or self._away.get(name)
        error = "" if reply is None else reply.words()
        if reply is None or reply.outcome not in _UNKNOWN:
            return Placed(state=State.STALE, error=error)
        # If it has arrived all the same, that is where it lies: it may be the last copy some day.
        place = None if name in self._direct else self._holder.intent.token
        return Placed(state=State.UNKNOWN, place=place, error=error)

    def _receipt(self, holder: Holder) -> WriteReceipt:
        copies = tuple(name for name in self._placed if name in self._stored)
        return WriteReceipt(
            path=self._path,
            version=holder.intent.version,
            checksum=self._checksum.text,
            size=self._checksum.size,
            copies=copies,
            pending=tuple(name for name in self._placed if name not in self._stored),
            domains=tuple(dict.fromkeys(self._store.domains[name] for name in copies)),
            headers_not_kept=tuple(n for n in copies if not self._stored[n].headers_kept),
        )

    # Giving up

    def _is_enough(self) -> bool:
        return self._demand.is_met(set(self._live), self._store.domains)

    async def _give_up(self, error: Exception | None = None) -> NoReturn:
        left = await protected(self._clean_up())
        raise error or self._refusal(left or "The previous version still stands everywhere")

    def _refusal(self, note: str) -> ObjectError:
        good = {name: Reply[Any](name, Outcome.OK) for name in self._stored}
        everybody = self._store.configuration.write.min_copies is None and len(self._placed) > 1
        return refusal(
            self._path, {**good, **self._away, **self._failed}, note, everybody=everybody
        )

    async def abort(self) -> None:
        """Give the write up: nothing of it becomes visible."""
        await protected(self._clean_up())

    async def _abort_uploads(self) -> None:
        uploads, self._uploads = self._uploads, {}
        if uploads:
            await fan_out(self._store, uploads, lambda c: uploads[c.name].abort(), Demand(1))

    async def _clean_up(self) -> str:
        await self._abort_uploads()
        holder = self._holder
        if self._ended or holder is None or holder.lost:
            return ""
        self._ended = True
        holder.touched = tuple(sorted(self._sent))
        holder.intent = attrs.evolve(holder.intent, checksum=self._checksum.text)
        try:
            replies = await undo(holder)
        except CatalogUnavailableError:
            return "The catalog cannot be had, so what landed is undone later"
        left = [n for n, r in replies.items() if not r.ok and r.outcome is not Outcome.NOT_FOUND]
        return f"What may be left on {', '.join(left)} is removed by repair" if left else ""
