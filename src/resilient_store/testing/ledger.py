"""What a rehearsed store has been told, from outside, and what must be so after each call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, TypeVar

from resilient_store.model.domain import platform as platform_of
from resilient_store.model.path import is_hidden
from resilient_store.model.result import ReadResult
from resilient_store.testing.promised import Claim, Claims, claims
from resilient_store.testing.rehearsal import Rehearsal

T = TypeVar("T")
Held = frozenset[bytes | None]


class PromiseBrokenError(AssertionError):
    """A store did what its configuration says it never does; the text tells the story."""


class Ledger:
    """What was acknowledged, which platforms are away, and the story so far.

    It shares nothing with the store: what an object may be is told by the calls alone.
    """

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        self.fs = rehearsal.fs
        self.claims: Claims = claims(rehearsal.fs)
        self.away: list[str] = []
        self.story: list[str] = []
        self.objects: dict[str, Held] = {}
        self.hurt: set[str] = set()
        self.tried: dict[str, set[bytes]] = {}
        self.lain: set[str] = set()

    # What is known, from outside

    @property
    def known(self) -> list[str]:
        """Every path that was written or deleted."""
        return sorted(self.objects)

    def held(self, path: str) -> Held:
        """Return what an object may be: its bytes, or None for absent."""
        return self.objects.get(path, frozenset({None}))

    @property
    def is_once(self) -> bool:
        """Say whether one path has one content, for ever."""
        return bool(self.fs.store.configuration.write_once)

    @property
    def takes_no_name_twice(self) -> bool:
        """Say whether the configuration promises, for its callers, that names are unique."""
        return bool(self.fs.store.configuration.write_once == "unique-names")

    @property
    def may_be_half_done(self) -> bool:
        """Without a catalog nobody takes back what a failed call has done here and there."""
        return self.fs.store.catalog is None

    def has_evidence(self, path: str) -> bool:
        """Say whether a derivative is, or may be, there: then its original once was (P5)."""
        return any(self.held(derived) != {None} for derived in self.fs.store.derivatives(path))

    def is_a_directory(self, path: str) -> bool:
        """Say whether a path may be absent, and be the beginning of others that are there."""
        below = [other for other in self.objects if other.startswith(f"{path}/")]
        return None in self.held(path) and any(self.held(other) != {None} for other in below)

    def is_whole(self, path: str) -> bool:
        """Say whether an object was acknowledged, and is still there, with nothing done to it."""
        return None not in self.held(path) and path not in self.hurt

    def may_be_taken(self, path: str, data: bytes) -> bool:
        """Say whether other bytes, or a deletion, may have come before these (write once)."""
        deleted = path in self.objects and None in self.objects[path]
        return deleted or bool(self.tried.get(path, set()) - {data})

    def lying(self, path: str) -> dict[str, bytes]:
        """Return what lies at an object's own key now, by backend, behind the store's back."""
        held = {name: self.rehearsal.held(name, path) for name in self.rehearsal.backends}
        return {name: data for name, data in held.items() if data is not None}

    def see_what_lies_there(self) -> None:
        """Learn of what others than the machine have written, before it is listed or lost."""
        self.lain |= self.rehearsal.paths()

    def in_force(self, path: str) -> list[Claim]:
        """List what is claimed for a path now: nothing while two platforms are away."""
        if len(self.away) > 1:
            return []
        lost = dict.fromkeys(claim.lost for claim in self.claims)
        asked = self.away or list(lost)
        return [self.claims.of(one, path, self.fs) for one in lost if one in asked]

    def standing_in(self, path: str) -> list[str]:
        """List the derivatives that are promised to stand in now, best first, and are there."""
        claimed = self.in_force(path)
        return [
            derived
            for derived in self.fs.store.derivatives(path)
            if self.is_whole(derived) and b"" not in self.held(derived)
            if any(claim.promises(derived, self.claims, self.fs) for claim in claimed)
        ]

    # What must be so

    def check_receipt(self, receipt: Any) -> None:
        """Check that an acknowledged write is on what was asked for (P1)."""
        store, write = self.fs.store, self.fs.store.configuration.write
        self.check_acknowledged(receipt.path, "writes")
        on = {platform_of(store.domains[name]) for name in receipt.copies}
        least = write.min_copies or len(store.placed(receipt.path))
        if len(set(receipt.copies)) < least or len(on) < write.min_domains:
            self.broken("P1", f"it was acknowledged with copies on {receipt.copies} only")
        for name in receipt.copies:
            if platform_of(store.domains[name]) in self.away:
                self.broken("P1", f"it counts a copy on {name}, which is away")
            if name not in store.placed_in_all(receipt.path):
                self.broken("P1", f"it counts a copy on {name}, where it has no place")

    def check_kept(self, path: str, lay: Mapping[str, bytes]) -> None:
        """Check that a write has replaced nothing, where one path has one content for ever."""
        now = self.lying(path)
        if self.is_once and (gone := [name for name in lay if now.get(name) != lay[name]]):
            self.broken("P1", f"what lay on {', '.join(gone)} was for ever, and is replaced")

    def check_listing(self, listed: Collection[str]) -> None:
        """Check that a listing has what is there, and nothing that is not (P3, P5)."""
        for path, held in self.objects.items():
            if None not in held and path not in listed and path not in self.hurt:
                self.broken("P5", f"{path!r} is there, and the listing lacks it")
            if held == {None} and path in listed:
                self.broken("P3", f"{path!r} is deleted, and the listing has it")
        self.see_what_lies_there()
        for path in listed:
            if is_hidden(path):
                self.broken("P5", f"{path!r} is the store's own, and the listing has it")
            if path not in self.tried and path not in self.lain:
                self.broken("P5", f"{path!r} was never written, and the listing has it")

    def check_result(self, path: str, result: ReadResult) -> None:
        """Check that a read brought the object's own bytes, or said what it brought (P2 to P5)."""
        if not result.original_missing:
            if result.data not in self.held(path):
                self.broken("P2 to P4", f"these bytes are not the object's: {result.data!r}")
            return
        derived = result.derivative or ""
        if derived not in self.fs.store.derivatives(path):
            self.broken("P5", f"{derived!r} is no derivative of it")
        if result.data not in self.held(derived):
            self.broken("P2 to P4", f"these bytes are not the derivative's: {result.data!r}")
        if result.reason == "lost":
            self.check_lost(path)
        else:
            self.check_unread(path)
        self.check_stand_in(path, derived)

    def check_lost(self, path: str) -> None:
        """Check that no backend holds what is called lost."""
        held = self.held(path)
        if held == {None} and not self.has_evidence(path):
            self.broken("P5", "what never was is called lost")
        intact = [name for name, data in self.lying(path).items() if data in held]
        if intact and None not in held:
            self.broken("P5", f"it is called lost, and lies intact on {', '.join(intact)}")
        if self.is_whole(path) and not self.away:
            self.broken("P1", "every platform is well, and an acknowledged object is lost")
        self._check_served(path)

    def check_unread(self, path: str) -> None:
        """Check that an object may be unreachable now, by what was claimed."""
        if not self.away and path not in self.hurt:
            self.broken("P5", "every platform is well, and it is called unreachable")
        self._check_served(path)

    def _check_served(self, path: str) -> None:
        for claim in self.in_force(path):
            if claim.reads and self.is_whole(path):
                self.broken("P1", f"it was promised to be read ({claim})")

    def check_stand_in(self, path: str, brought: str | None = None) -> None:
        """Check that no better derivative was promised than the one that was brought (P5)."""
        derivatives = self.fs.store.derivatives(path)
        better = derivatives if brought is None else derivatives[: derivatives.index(brought)]
        promised = [derived for derived in self.standing_in(path) if derived in better]
        if promised and self.held(path) != {None}:
            had = "nothing was" if brought is None else f"only {brought!r} was"
            self.broken("P5", f"{promised[0]!r} was promised to stand in for it, and {had} brought")

    def check_refusal(self, path: str, call: str, outcome: Exception) -> None:
        """Check that a change may be refused now, by what was claimed."""
        if not self.away and self.fs.store.placed(path):  # else all its backends are read-only
            self.broken("P1", f"every platform is well, and it is refused: {outcome}")
        for claim in self.in_force(path):
            if getattr(claim, call):
                self.broken("P1", f"it was promised to be acknowledged ({claim})")

    def check_acknowledged(self, path: str, call: str) -> None:
        """Check that a change may be acknowledged now: what one loss forbids, two forbid too."""
        for lost in self.away:
            claim = self.claims.of(lost, path, self.fs)
            if not getattr(claim, call):
                promise = "P1" if call == "writes" else "P3"
                self.broken(promise, f"it was promised to be refused ({claim})")

    # The story

    def call(self, words: str, call: Callable[[], T]) -> T | Exception:
        """Make a call, and write down what it came to."""
        try:
            outcome: T | Exception = call()
        except Exception as error:  # noqa: BLE001 - judged by whoever called
            outcome = error
        self.note(words, outcome)
        return outcome

    def note(self, words: str, outcome: object = None) -> None:
        """Write down what happened."""
        said = "" if outcome is None else f"  # {_short(outcome)}"
        self.story.append(f"{words}{said}")

    def broken(self, promise: str, what: str) -> NoReturn:
        """Say that a promise is broken, and tell the story.

        Raises
        ------
        PromiseBrokenError
            Always.
        """
        story = "\n".join(f"    {line}" for line in self.story)
        claimed = "\n".join(f"    {claim}" for claim in self.claims)
        raise PromiseBrokenError(
            f"{promise} is broken: {what}.\nWhat is claimed:\n{claimed}\n"
            "To see it again: inside `with testing.virtual_time() as clock:`, with `fs` and "
            f"`faults` of `testing.rehearse(your_store)`, run\n{story}"
        )


def _short(outcome: object) -> str:
    if isinstance(outcome, ReadResult):
        flag = f", original_missing: {outcome.reason}" if outcome.original_missing else ""
        return f"{outcome.data!r} from {outcome.backend}{flag}"
    text = f"{type(outcome).__name__}: {outcome}" if isinstance(outcome, Exception) else outcome
    return str(text).partition("\n")[0][:160]
