"""Reading with a catalog: it says what the object is, every byte is held against that (P4)."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from resilient_store.backends.client import BackendClient
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import BackendsUnavailableError, OriginalMissingError
from resilient_store.io.catalogued.answers import missed
from resilient_store.io.catalogued.holder import find, key_of, unavailable
from resilient_store.io.drive import leave_to_finish, let_finish
from resilient_store.io.read import ask
from resilient_store.model.checksum import aligned, verifies
from resilient_store.model.info import Body
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import OWN, Entry, Record, Replica, State
from resilient_store.protocol import findings
from resilient_store.protocol.moment import Moment
from resilient_store.protocol.native import verifies_natively
from resilient_store.store import Store

logger = logging.getLogger("resilient_store")

Span = tuple[int | None, int | None]  # as Python slices

RECORDED_WITHIN_S = 1.0
STARTED_OVER = 3  # how often a path may change under a reader before it gives up


@attrs.frozen
class Had:
    """Bytes of one version, verified as far as the catalog can.

    Attributes
    ----------
    entry
        The version that was read.
    reply
        From whom.
    verified
        Whether the bytes were held against a checksum.
    """

    entry: Entry
    reply: Reply[Body]
    verified: bool

    @property
    def data(self) -> bytes:
        """The bytes."""
        assert self.reply.value is not None, "only an OK is had"
        return self.reply.value.data


@attrs.frozen
class Unknown:
    """The catalog does not know the path, and does not know all paths."""

    record: Record


async def read(
    store: Store, path: str, start: int | None = None, end: int | None = None
) -> Had | Unknown:
    """Return the current version's bytes, or a range of them.

    Raises
    ------
    FileNotFoundError
        The catalog knows that there is no such object.
    OriginalMissingError
        Every replica of it is known lost.
    BackendsUnavailableError
        It cannot be had now; `CatalogUnavailableError`: not even asked for.

    Notes
    -----
    Promises: P2, P3, P4, P5. Rules: R15, R16.
    """
    record, complete = await find(store, path)
    for _ in range(STARTED_OVER):
        if record.entry is None and not complete:
            return Unknown(record)
        if record.present is None:
            raise FileNotFoundError(2, "no such object", path)
        had, replies = await read_version(store, record, start, end)
        if had is not None:
            return had
        again, complete = await find(store, path)
        if not _changed(record, again) and not await _has_rejoined(store, again):
            raise refusal(store, again, replies) from None
        record = again
    raise BackendsUnavailableError(path, note="it changed as often as it was looked at")


async def read_version(
    store: Store, record: Record, start: int | None, end: int | None
) -> tuple[Had | None, tuple[Reply[Any], ...]]:
    """Read the version that a record names: from good replicas, else from whoever verifies."""
    entry = record.present
    assert entry is not None, "only a present object is read"
    seen: list[findings.Seen] = []
    replies: tuple[Reply[Any], ...] = ()
    for names in in_order(store, record):
        reading = await ask(
            store,
            record.path,
            functools.partial(_verified, store, record, (start, end), seen),
            places={name: key_of(record.replicas[name].place, record.path) for name in names},
        )
        replies += reading.replies
        if reading.found is not None:
            report(store, record.path, seen)
            return _had(entry, reading.found, start, end), replies
    report(store, record.path, seen)
    return None, replies


def in_order(store: Store, record: Record) -> list[tuple[str, ...]]:
    """Return whom to ask: replicas that count, then all others, of whom only proof is believed."""
    good = {row.backend for row in record.holders()}
    rows = [n for n in store.clients if n in record.replicas and not store.is_drained(n)]
    first = tuple([name for name in rows if name in good])
    others = tuple([name for name in rows if name not in good])
    return [names for names in (first, others) if names]


async def _verified(
    store: Store,
    record: Record,
    span: Span,
    seen: list[findings.Seen],
    client: BackendClient,
) -> Reply[Body]:
    """Read from one replica, and take only bytes that are this version's."""
    entry, row = record.present, record.replica(client.name)
    assert entry is not None
    reply = await _read_at(entry, key_of(row.place, record.path), span, client, row)
    if reply.outcome is Outcome.NOT_FOUND and row.place not in (None, OWN):
        # It may just have been published: the own key has it before the catalog says so.
        reply = await _read_at(entry, record.path, span, client, row)
    if reply.ok:  # if its bytes were spoilt before, they were so on their way only
        seen[:] = [one for one in seen if one.by.backend != client.name]
    said = {Outcome.NOT_FOUND: State.MISSING, Outcome.CORRUPT: State.CORRUPT}.get(reply.outcome)
    if said is State.MISSING and not store.believes_absence(client.name):
        return Reply(client.name, Outcome.UNAVAILABLE, detail="so much is missing there: suspect")
    if said is not None and row.state is State.GOOD:
        seen.append(findings.Seen(by=row, version=entry.version, state=said, error=reply.words()))
    return reply


async def _read_at(
    entry: Entry, key: str, span: Span, client: BackendClient, row: Replica
) -> Reply[Body]:
    content = entry.content
    assert content is not None
    first, last, _ = slice(*span).indices(content.size)
    whole = first == 0 and last >= content.size
    if first >= last and not whole:
        return Reply(client.name, Outcome.OK, Body(data=b"", size=content.size))
    if content.kind != "chunked":
        return await _read_unverifiable(entry, key, None if whole else span, client, row)
    begin, stop = (0, content.size) if whole else aligned(content, first, last)

    def verify(data: bytes) -> bool:
        return len(data) == stop - begin and verifies(content, begin, data)

    start, end = (None, None) if whole else (begin, stop)
    reply = await client.get(key, start, end, verify)
    body = reply.value
    if body is None:
        return attrs.evolve(reply, blank=False)
    if not whole or body.size != content.size:
        data = body.data[first - begin : last - begin]
        body = attrs.evolve(body, data=data, size=content.size)
    return Reply(client.name, Outcome.OK, body)


async def _read_unverifiable(
    entry: Entry, key: str, span: Span | None, client: BackendClient, row: Replica
) -> Reply[Body]:
    """Read an object that was adopted: held to the platform's checksum, or pinned to its tag."""
    content = entry.content
    assert content is not None
    if row.state is not State.GOOD and (span is not None or content.kind == "none"):
        detail = "nothing proves that its bytes are this object's"
        return Reply(client.name, Outcome.UNAVAILABLE, detail=detail)
    reply = await client.get(key, *(span or (None, None)))
    body = reply.value
    if body is None and reply.outcome is Outcome.CORRUPT and content.kind == "none":
        # Spoilt on their way, perhaps; and once called bad, nothing could prove them good again.
        return Reply(client.name, Outcome.UNAVAILABLE, detail=reply.detail)
    if body is None:
        return attrs.evolve(reply, blank=False)
    is_proven = content.kind == "native" and span is None
    if (body.size is not None and body.size != content.size) or (
        span is None and not verifies_natively(content, body.data)
    ):
        return Reply(client.name, Outcome.CORRUPT, detail="other bytes than the catalog knows")
    # The tag is that of the own key, where that counts: none is remembered of what is staged.
    is_remembered = row.place == OWN and row.tag is not None and not is_proven
    if is_remembered and body.tag not in (None, row.tag):
        return Reply(client.name, Outcome.CORRUPT, detail="it was changed behind the store's back")
    return attrs.evolve(reply, blank=False)


def _had(entry: Entry, reply: Reply[Body], start: int | None, end: int | None) -> Had:
    content = entry.content
    assert content is not None
    first, last, _ = slice(start, end).indices(content.size)
    native = content.kind == "native" and first == 0 and last >= content.size
    return Had(entry, reply, content.kind == "chunked" or native)


def _changed(before: Record, after: Record) -> bool:
    """Say whether version or place of anything changed between two looks (R15)."""
    if after.entry is None or before.entry is None or after.entry.version != before.entry.version:
        return True
    return any(
        (row.version, row.place) != (before.replica(name).version, before.replica(name).place)
        for name, row in after.replicas.items()
    )


async def _has_rejoined(store: Store, record: Record) -> bool:
    """Say whether a backend that was left out serves again: who only reads hears of it last."""
    left_out = [name for name in record.replicas if store.is_drained(name)]
    if not left_out:
        return False
    try:
        await store.known.state()
    except CatalogDownError as error:
        raise unavailable(record.path, error) from None
    return not all(map(store.is_drained, left_out))


def is_lost(record: Record) -> bool:
    """Say whether the catalog knows of no replica that may still hold the current version."""
    may_hold = (State.GOOD, State.UNKNOWN)
    return record.intent is None and not any(
        row.state in may_hold for row in record.replicas.values()
    )


def refusal(
    store: Store, record: Record, replies: tuple[Reply[Any], ...]
) -> OriginalMissingError | BackendsUnavailableError:
    """Make the error of a read that nobody could serve: lost only where that is certain."""
    known = all(r.outcome in (Outcome.NOT_FOUND, Outcome.CORRUPT) for r in replies)
    elsewhere = any(name not in store.clients for name in record.replicas)
    # Who counted when it was asked and lacks it is known to lack it, recorded or not.
    asked = {reply.backend for reply in replies}
    unknown = any(
        row.state is State.UNKNOWN or (row.state is State.GOOD and name not in asked)
        for name, row in record.replicas.items()
    )
    if known and not elsewhere and not unknown and record.intent is None:
        return OriginalMissingError(record.path, replies)
    denied = any(reply.outcome is Outcome.DENIED for reply in replies)
    note = "give the backend's credentials the right to get and to list" if denied else ""
    return BackendsUnavailableError(record.path, replies, note)


def report(store: Store, path: str, seen: Sequence[findings.Seen]) -> None:
    """Record what was seen, after the caller has its bytes; what cannot be costs a later read."""

    async def record() -> None:
        try:
            await record_seen(store, {path: seen})
        except CatalogDownError as error:
            logger.warning("what was seen at %s could not be recorded: %s", path, error)

    if seen:
        leave_to_finish(store.tails, record())


async def let_record(store: Store) -> None:
    """Let what this process has just read be recorded, which is done a moment later."""
    await let_finish(store.tails, RECORDED_WITHIN_S)


async def record_seen(
    store: Store, seen: Mapping[str, Sequence[findings.Seen]]
) -> dict[str, list[findings.Seen]]:
    """Record what was seen of some paths' replicas, in one transaction (R16).

    Returns
    -------
    dict
        What was recorded: all else was of a version or a place that is not current any more.
    """

    def change(
        records: tuple[Record, ...], moment: Moment
    ) -> tuple[tuple[Record, ...], dict[str, list[findings.Seen]]]:
        after: list[Record] = []
        kept: dict[str, list[findings.Seen]] = {}
        for record in records:
            kept[record.path], changed = [], record
            for one in seen[record.path]:
                changed, done = findings.observe(changed, moment, one)
                kept[record.path] += [one] if done else []
            after.append(changed)
        return tuple(after), kept

    recorded = await store.known.change(tuple(seen), change)
    for one in (one for some in recorded.values() for one in some):
        if one.state is State.MISSING:
            await missed(store, one.by.backend)
    return recorded
