"""What a catalog knows of one path: its entry, what each backend holds, who is at work on it.

A `Record` is everything that a transaction on one path reads and writes. It is a value: the
rules of `protocol.transactions` turn one into the next, and the catalog stores the difference.

    Replica.state    meaning                                             counts   read from
    good             holds the bytes of `version` at `place`             yes      yes
    stale            missed a newer version, or the deletion             no       no
    missing          it answered: not there                              no       no
    corrupt          its bytes differ from the checksum                  no       no
    foreign          whole bytes that this store never wrote lie there   no       no
    unknown          an outcome was never learnt                         no       if verified
    gone             holds nothing, as it should after a deletion        -        no
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import attrs

from resilient_store.model.info import Headers
from resilient_store.model.round import Round

OWN = "own"  # the place of a replica that lies at the object's own key
PAST_KEPT = 16  # earlier contents of a path that are still recognised as this store's own

IntentKind = Literal["write", "delete", "repair", "adopt"]
ChecksumKind = Literal["chunked", "native", "none"]


class State(enum.Enum):
    """What one backend holds of one path, as far as is known."""

    GOOD = "good"
    STALE = "stale"
    MISSING = "missing"
    CORRUPT = "corrupt"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"
    GONE = "gone"


class Phase(enum.Enum):
    """How far an intent has come."""

    OPEN = "open"
    COMMITTED = "committed"
    SETTLING = "settling"


@attrs.frozen(kw_only=True)
class Replica:
    """What one backend holds for one path.

    Attributes
    ----------
    version
        The version that it holds, as far as is known; 0 for none.
    place
        ``"own"``, or the token of a staging key; None where nothing counts.
    looked
        Whether the own key was ever looked at or written by this store.
    tag
        The backend's tag of what was last known at the own key; None: nothing was there.
    busy_until_s
        When the last request that could change the own key can no longer land (R1), on the
        catalog's clock; 0 where there never was one.
    verified_at_s
        When its bytes were last held against the checksum.
    error
        What it last answered that was no success, in our own words.
    """

    backend: str
    version: int = 0
    state: State = State.UNKNOWN
    place: str | None = None
    looked: bool = False
    tag: str | None = None
    busy_until_s: float = 0.0
    verified_at_s: float | None = None
    error: str = ""


@attrs.frozen(kw_only=True)
class Content:
    """The bytes of one version, without the bytes.

    Attributes
    ----------
    checksum
        Of the whole object; for ``chunked`` BLAKE3 over the digests of the chunks, for
        ``native`` what the platform says (``md5:...``, ``crc32c:...``), else empty.
    chunks
        The digests of all chunks, 32 bytes each; empty where there is one chunk only, whose
        digest the checksum decides.
    """

    size: int
    kind: ChecksumKind = "chunked"
    checksum: str = ""
    chunk_bytes: int = 0
    chunks: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen(kw_only=True)
class Entry:
    """One path's current version.

    Attributes
    ----------
    version
        Grows with every write; from the store's one counter (R7).
    content
        None in a tombstone.
    derived_from
        The path and version that this object was made from; None where nobody said so.
    created_s, modified_s
        On the catalog's clock, for people only.
    past
        Checksums of earlier contents of this path, the latest last, at most `PAST_KEPT`.
    """

    path: str
    version: int
    content: Content | None
    headers: Headers = attrs.field(factory=Headers)
    derived_from: tuple[str, int | None] | None = None
    created_s: float = 0.0
    modified_s: float = 0.0
    past: tuple[str, ...] = ()

    @property
    def deleted(self) -> bool:
        """Whether this is a tombstone."""
        return self.content is None

    @property
    def checksums(self) -> tuple[str, ...]:
        """Every checksum by which bytes at the own key are known to be this store's."""
        now = () if self.content is None or not self.content.checksum else (self.content.checksum,)
        return (*self.past, *now)


@attrs.frozen(kw_only=True)
class Intent:
    """A write, deletion or repair that was begun.

    Attributes
    ----------
    id
        Changes when the intent is taken over, so that its first holder finds it gone.
    version
        What a write's new version will be.
    token
        The name of its staging keys, used by nobody else, ever (R8).
    direct
        Backends where it writes at the own key (R11).
    checksum
        Of the bytes it writes, as soon as it is known.
    owner
        Host, process and start, for people.
    expires_s
        When its lease ends, on the catalog's clock.
    """

    id: int
    version: int
    kind: IntentKind
    token: str
    phase: Phase = Phase.OPEN
    direct: tuple[str, ...] = ()
    checksum: str = ""
    owner: str = ""
    started_s: float = 0.0
    expires_s: float = 0.0


@attrs.frozen(kw_only=True)
class Void:
    """A creation that failed, and may yet appear where it wrote at the own key (R12).

    ``checksum`` is empty where it was never known.
    """

    id: int
    checksum: str = ""
    backends: tuple[str, ...] = ()

    def explains(self, backend: str, checksum: str | None) -> bool:
        """Say whether bytes found at the own key may be this creation's.

        Bytes whose checksum nobody knows may be anything's.
        """
        same = not self.checksum or checksum is None or checksum == self.checksum
        return backend in self.backends and same


def _frozen(replicas: Mapping[str, Replica]) -> Mapping[str, Replica]:
    return MappingProxyType(dict(replicas))


@attrs.frozen(kw_only=True)
class Record:
    """All that the catalog knows of one path.

    Attributes
    ----------
    purges
        Grows whenever a tombstone or void of this path, or of one that shares its counter, is
        forgotten; a finder compares it (R14).
    """

    path: str
    entry: Entry | None = None
    replicas: Mapping[str, Replica] = attrs.field(factory=dict, converter=_frozen)
    intent: Intent | None = None
    voids: tuple[Void, ...] = ()
    purges: int = 0

    @property
    def present(self) -> Entry | None:
        """The entry, unless it is a tombstone."""
        entry = self.entry
        return None if entry is None or entry.content is None else entry

    @property
    def is_empty(self) -> bool:
        """Whether the catalog knows nothing of the path."""
        return self.entry is None and self.intent is None and not self.voids

    @property
    def changed(self) -> int:
        """The number of its last version, deletion or failed creation; 0 for none."""
        failed = max((void.id for void in self.voids), default=0)
        return failed if self.entry is None else max(failed, self.entry.version)

    def replica(self, backend: str) -> Replica:
        """Return what a backend holds; a backend without a row was never touched."""
        return self.replicas.get(backend) or Replica(backend=backend)

    def with_replicas(self, *changed: Replica) -> Record:
        """Return the record with these rows in the place of theirs."""
        rows = {**self.replicas, **{row.backend: row for row in changed}}
        return attrs.evolve(self, replicas=rows)

    @property
    def checksums(self) -> tuple[str, ...]:
        """Every checksum that this store wrote, or may have written, at the own key (R9).

        Each once, the latest last: a content that came back is as young as its return.
        """
        known = self.entry.checksums if self.entry is not None else ()
        failed = tuple(void.checksum for void in self.voids if void.checksum)
        latest_first = dict.fromkeys(reversed((*known, *failed)))
        return tuple(latest_first)[::-1]

    def holders(self) -> tuple[Replica, ...]:
        """Return the replicas that count as copies of the current version."""
        entry = self.present
        if entry is None:
            return ()
        rows = self.replicas.values()
        return tuple([r for r in rows if r.state is State.GOOD and r.version == entry.version])

    def owes(self, row: Replica) -> bool:
        """Say whether a row is not as it should be, and so is work for repair."""
        if self.present is None:
            return True  # until the tombstone or void goes
        if row.state is State.GONE:  # a backend that it is not placed on any more
            return False
        settled = row.state is State.GOOD and row.place == OWN
        return not (settled and row.version == self.present.version)


@attrs.frozen(kw_only=True)
class BackendRow:
    """What the catalog knows of one backend.

    Attributes
    ----------
    met
        Whether the store's identity was written to it.
    known
        Whether the catalog knows all that lies on it: it was empty when it was met, or adopted.
    suspect
        Whether so much of it was missing that its "not found" says nothing.
    came_back
        Whether it came back from an earlier state: what the catalog does not know there may be
        what was deleted since, and is nothing until a person has it adopted (R19).
    epoch
        What its identity must carry at least (R19).
    raised_s
        When a higher epoch was last sent to it: so often, that a late one never lands over a
        later one.
    raise_due
        Whether something was forgotten since, so that its state of before must not count.
    answered_s
        When it was last known to answer; written down now and then only.
    failed_s
        When it was last seen not to answer; the first time in each break.
    away_from_s, back_s
        The last break in its answers: requests sent from just before the one may land until
        Z after the other. `back_s` 0 with `away_from_s` set: it is away.
    """

    name: str
    domain: str = ""
    met: bool = False
    known: bool = False
    drained: bool = False
    suspect: bool = False
    came_back: bool = False
    epoch: int = 0
    raised_s: float = 0.0
    raise_due: bool = False
    answered_s: float = 0.0
    failed_s: float = 0.0
    away_from_s: float = 0.0
    back_s: float = 0.0


@attrs.frozen(kw_only=True)
class Frozen:
    """Who has frozen the store, why, and since when."""

    why: str
    who: str
    since_s: float


@attrs.frozen(kw_only=True)
class Scan:
    """How far the last scrub has come; times on the catalog's clock.

    Attributes
    ----------
    at
        The path that it has come to.
    ended_s
        0: it has not come to its end.
    checked, bad
        Replicas.
    """

    began_s: float
    at: str = ""
    ended_s: float = 0.0
    checked: int = 0
    bad: int = 0


@attrs.frozen(kw_only=True)
class StoreState:
    """What the catalog knows of the store as a whole.

    Attributes
    ----------
    maintained_s
        When a repair last went through the whole queue, on the catalog's clock; 0 for never.
    scan
        The last scrub of the whole store.
    restoring
        The restore that has begun and not ended: what the catalog says is not to be believed.
    restored_s
        When it was last restored: until Z after that every own key is busy (R18).
    rounds
        The last round of each job that machines share.
    """

    identity: str
    complete: bool = False
    frozen: Frozen | None = None
    restoring: str = ""
    restored_s: float = 0.0
    backends: Mapping[str, BackendRow] = attrs.field(factory=dict)
    maintained_s: float = 0.0
    scan: Scan | None = None
    rounds: Mapping[str, Round] = attrs.field(factory=dict)

    def backend(self, name: str) -> BackendRow:
        """Return a backend's row."""
        return self.backends.get(name) or BackendRow(name=name)
