"""Checks whether everybody could have used these paths one after the other, with these answers.

Each call takes effect at one moment between its begin and its end; one that was refused, never;
one whose outcome is unknown, at any moment after its begin, or never. A checker after Wing and
Gong, which remembers what it has tried (Lowe). It knows nothing of the store.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import attrs

Kind = Literal["write", "delete", "move", "read", "exists"]
Outcome = Literal["ok", "refused", "unknown"]
Value = str | None  # None: there is no object
State = tuple[Value, ...]

LOOKS = ("read", "exists")
MOST_TRIED = 1_000_000


@attrs.frozen(kw_only=True)
class Call:
    """One call, as its caller saw it.

    Attributes
    ----------
    value
        What was written or read; for ``exists`` anything or None. A deletion and a move that are
        acknowledged have found an object.
    to
        Where a move goes.
    end_s
        Infinite where nobody lived to see it.
    version
        Of what was written or read; 0 where it is not known.
    """

    kind: Kind
    path: str
    value: Value = None
    to: str = ""
    begin_s: float
    end_s: float = math.inf
    outcome: Outcome = "ok"
    version: int = 0
    who: str = ""


class NotLinearError(AssertionError):
    """No order of the calls explains the answers."""


def check(calls: Iterable[Call], first: Mapping[str, str] | None = None) -> None:
    """See that the calls can be put in an order that explains every answer.

    Parameters
    ----------
    first
        What was there before any of them.

    Raises
    ------
    NotLinearError
        There is no such order.
    """
    history = sorted((c for c in calls if _says_something(c)), key=lambda c: c.begin_s)
    for group in groups(history):
        mine = [call for call in history if call.path in group]
        for path in group:
            _check_versions([call for call in mine if call.path == path and call.kind != "move"])
        _Search(mine, sorted(group), first or {}).run()


def groups(history: Sequence[Call]) -> list[set[str]]:
    """Return the paths that have to be looked at together: a move changes two at one moment."""
    found: list[set[str]] = []
    for call in history:
        paths = {call.path, call.to} - {""}
        touching = [group for group in found if group & paths]
        found = [group for group in found if not group & paths]
        found.append(paths.union(*touching))
    return found


def _says_something(call: Call) -> bool:
    """Leave out refused calls, which did nothing, and looks without an answer."""
    return call.outcome == "ok" or (call.outcome == "unknown" and call.kind not in LOOKS)


def _check_versions(history: Sequence[Call]) -> None:
    """See that nobody met an older version after a newer one, nor one with two contents."""
    known = [call for call in history if call.version and call.outcome == "ok"]
    ended = iter(sorted(known, key=lambda call: call.end_s))
    latest, newest = next(ended, None), None
    contents: dict[int, Value] = {}
    for call in known:
        while latest is not None and latest.end_s < call.begin_s:
            newest = latest if newest is None or latest.version > newest.version else newest
            latest = next(ended, None)
        if newest is not None and call.version < newest.version:
            raise NotLinearError(f"a version went back: {call} after {newest}")
        if contents.setdefault(call.version, call.value) != call.value:
            raise NotLinearError(f"a version has two contents: {call}, {contents[call.version]!r}")


class _Search:
    """Looks for an order, depth first; a set of calls and the state after it are tried once."""

    def __init__(
        self, calls: Sequence[Call], paths: Sequence[str], first: Mapping[str, str]
    ) -> None:
        self.calls = calls
        self.index = {path: number for number, path in enumerate(paths)}
        self.start: State = tuple(first.get(path) for path in paths)
        self.must = sum(1 << i for i, call in enumerate(calls) if call.outcome == "ok")

    def run(self) -> None:
        tried: set[tuple[int, State]] = set()
        furthest, stack = 0, [(0, self.start)]
        while stack:
            done, state = stack.pop()
            if done & self.must == self.must:
                return
            if (done, state) in tried:
                continue
            tried.add((done, state))
            furthest = max(furthest, done, key=int.bit_count)
            if len(tried) > MOST_TRIED:
                raise NotLinearError("too many orders to try: make the history shorter")
            stack += self._next(done, state)
        raise NotLinearError(self._explain(furthest))

    def _next(self, done: int, state: State) -> list[tuple[int, State]]:
        """Return what may come next: whoever began before any call that is left has ended."""
        following = []
        for number in self._open(done):
            call = self.calls[number]
            after = self._after(call, state)
            if after is None:
                continue
            if call.kind in LOOKS:  # changes nothing: where it fits now, it need not wait
                return [(done | 1 << number, after)]
            following.append((done | 1 << number, after))
        return following

    def _open(self, done: int) -> list[int]:
        first_end_s, found = math.inf, []
        number = (~done & (done + 1)).bit_length() - 1  # the first that is left
        while number < len(self.calls) and self.calls[number].begin_s <= first_end_s:
            if not done >> number & 1:
                found.append(number)
                if self.calls[number].outcome == "ok":
                    first_end_s = min(first_end_s, self.calls[number].end_s)
            number += 1
        return [n for n in found if self.calls[n].begin_s <= first_end_s]

    def _after(self, call: Call, state: State) -> State | None:
        """Return what is there after a call, or None where it would have had another answer."""
        here = self.index[call.path]
        value = state[here]
        match call.kind:
            case "read":
                return state if call.value == value else None
            case "exists":
                return state if (call.value is None) == (value is None) else None
            case "write":
                return _with(state, {here: call.value})
            case "delete":
                return None if value is None else _with(state, {here: None})
            case "move":
                return (
                    None
                    if value is None
                    else _with(state, {here: None, self.index[call.to]: value})
                )

    def _explain(self, furthest: int) -> str:
        return "\n".join(
            ["no order explains what is marked, or what is around it:", *self._lines(furthest)]
        )

    def _lines(self, furthest: int) -> Iterator[str]:
        first = (~furthest & (furthest + 1)).bit_length() - 1
        for number in range(max(0, first - 12), min(len(self.calls), first + 24)):
            c = self.calls[number]
            mark = " " if furthest >> number & 1 else ">"
            yield (
                f"{mark} {c.begin_s:.4f} {c.end_s:.4f} {c.who} {c.kind} {c.path} {c.to} "
                f"{c.value!r} {c.outcome} v{c.version}"
            )


def _with(state: State, changes: Mapping[int, Value]) -> State:
    return tuple(changes.get(number, value) for number, value in enumerate(state))
