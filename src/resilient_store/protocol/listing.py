"""Listings of several backends made one: the union, and whether it is certain to be whole."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

import attrs

from resilient_store.model.info import ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.path import is_hidden
from resilient_store.protocol.machine import Ask, Done, Wait
from resilient_store.protocol.read import Candidate


@attrs.frozen
class Merged:
    """The union of what backends list.

    Attributes
    ----------
    entries
        Key to every backend's word on it, in the order of preference.
    absent
        Whether it is certain that the directory is not there.
    missing
        Backends whose answer would be needed to be certain that nothing is left out.
    strange
        Others' keys that were left out, for no path leads to them.
    twofold
        Keys of objects that are directories too, as object stores allow.
    """

    entries: dict[str, dict[str, ObjectInfo]]
    absent: bool
    missing: tuple[str, ...]
    strange: tuple[str, ...] = ()
    twofold: frozenset[str] = frozenset()


def merge(
    order: Sequence[str],
    holds_all: Iterable[str],
    replies: Mapping[str, Reply[Sequence[ObjectInfo]]],
) -> Merged:
    """Unite listings, by the rule of certain absence: one that holds everything is enough.

    Who is not in `replies` was not asked, or not waited for.

    Notes
    -----
    Promises: P5. Source: design, section 4, "Certain absence".
    """
    entries: dict[str, dict[str, ObjectInfo]] = {}
    kinds: dict[bool, set[str]] = {True: set(), False: set()}
    answered = []
    for name in order:
        reply = replies.get(name)
        if reply is None or not _answered(reply):
            continue
        answered.append(name)
        for info in reply.value or ():
            if is_hidden(info.key):
                continue
            kinds[info.directory].add(info.key)
            words = entries.setdefault(info.key, {})
            if name not in words or words[name].directory:
                words[name] = info
    sure = set(holds_all) & set(answered)
    missing = () if sure else tuple(name for name in order if name not in answered)
    found = any(reply.ok for reply in replies.values())
    return Merged(
        entries=dict(sorted(entries.items())),
        absent=not found and not missing,
        missing=missing,
        twofold=frozenset(kinds[True] & kinds[False]),
    )


@attrs.define
class ListMachine:
    """Ask every healthy backend at once; stop when the union is certain to be whole.

    A listing needs everybody, unless one that holds everything has answered: then the others
    get what is left of the hedge delay. Backends that are left alone are asked last, all at
    once, and only where the answer would be uncertain without them.

    Parameters
    ----------
    candidates
        In the order of preference.
    hedge_after_s
        How long those are waited for that are not needed.
    partial
        Whether the caller takes an uncertain union: then no backend is asked that is left
        alone, unless nobody else has answered.

    Notes
    -----
    Promises: P5, P6.
    """

    candidates: tuple[Candidate, ...]
    hedge_after_s: float
    partial: bool
    _started_s: float | None = attrs.field(default=None, init=False)
    _everybody: bool = attrs.field(default=False, init=False)
    _asked: list[str] = attrs.field(factory=list, init=False)
    _replies: dict[str, Reply[Sequence[ObjectInfo]]] = attrs.field(factory=dict, init=False)

    def observe(self, reply: Reply[Sequence[ObjectInfo]], _now_s: float) -> None:
        """Take note of one reply."""
        self._replies[reply.backend] = reply

    def decide(self, now_s: float) -> Ask | Wait | Done[dict[str, Reply[Sequence[ObjectInfo]]]]:
        """Say what to do now."""
        if self._started_s is None:
            self._started_s = now_s
        for candidate in self.candidates:
            if candidate.healthy and candidate.name not in self._asked:
                return self._ask(candidate)
        if self._is_whole():
            until_s = self._started_s + self.hedge_after_s
            return Done(self._replies) if self._is_quiet() or now_s >= until_s else Wait(until_s)
        self._everybody = self._everybody or self._needs_everybody()
        if self._everybody:
            for candidate in self.candidates:
                if candidate.name not in self._asked:
                    return self._ask(candidate)
        return Done(self._replies) if self._is_quiet() else Wait()

    def given_up(self, replies: Container[str]) -> tuple[str, ...]:
        """Return who was asked and not waited for: slower than the others by the hedge delay."""
        return tuple(name for name in self._asked if name not in replies)

    def _ask(self, candidate: Candidate) -> Ask:
        self._asked.append(candidate.name)
        return Ask(candidate.name)

    def _is_quiet(self) -> bool:
        return len(self._replies) == len(self._asked)

    def _is_whole(self) -> bool:
        return any(
            candidate.holds_all and _answered(self._replies.get(candidate.name))
            for candidate in self.candidates
        )

    def _needs_everybody(self) -> bool:
        """Whether the healthy ones have all answered, and that does not suffice."""
        nobody = not any(_answered(reply) for reply in self._replies.values())
        return self._is_quiet() and (nobody or not self.partial)


def _answered(reply: Reply[Sequence[ObjectInfo]] | None) -> bool:
    return reply is not None and (reply.ok or reply.outcome is Outcome.NOT_FOUND)


def best(words: Mapping[str, ObjectInfo]) -> tuple[str, ObjectInfo]:
    """Choose whose word on one key counts: the first object with bytes, else the first at all.

    An empty body is not believed on one backend's word while another has bytes (P5), nor a
    directory, while another has an object of its name.
    """
    for name, info in words.items():
        if not info.blank and not info.directory:
            return name, info
    return next(((name, info) for name, info in words.items() if not info.blank), None) or next(
        iter(words.items())
    )
