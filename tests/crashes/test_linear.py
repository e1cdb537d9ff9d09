"""The checker of histories accepts what can have been, and nothing else."""

from __future__ import annotations

import functools
import random

import pytest

from tests.crashes.linear import Call, NotLinearError, check, groups


def call(kind, value, begin, end, outcome="ok", *, version=0, path="p", to=""):
    return Call(
        kind=kind,
        path=path,
        to=to,
        value=value,
        begin_s=begin,
        end_s=end,
        outcome=outcome,
        version=version,
    )


write, read, exists = (functools.partial(call, kind) for kind in ("write", "read", "exists"))
delete = functools.partial(call, "delete", None)
move = functools.partial(call, "move", None, to="q")


LINEAR = {
    "nothing": [],
    "one after the other": [write("a", 0, 1), read("a", 2, 3), delete(4, 5), read(None, 6, 7)],
    "a read during a write sees either": [
        write("a", 0, 1),
        write("b", 2, 9),
        read("a", 3, 4),
        read("b", 5, 6),
    ],
    "two writes at once": [write("a", 0, 5), write("b", 0, 5), read("a", 6, 7), read("a", 8, 9)],
    "a refused write": [write("a", 0, 1), write("b", 2, 3, "refused"), read("a", 4, 5)],
    "an unknown write that was not": [
        write("a", 0, 1),
        write("b", 2, 3, "unknown"),
        read("a", 9, 10),
    ],
    "an unknown write that was": [write("a", 0, 1), write("b", 2, 3, "unknown"), read("b", 9, 10)],
    "an unknown write that was late": [
        write("a", 0, 1),
        write("b", 2, 3, "unknown"),
        read("a", 9, 10),
        read("b", 11, 12),
    ],
    "an unknown deletion": [
        write("a", 0, 1),
        delete(2, 3, "unknown"),
        read("a", 4, 5),
        read(None, 6, 7),
    ],
    "a read without an answer": [write("a", 0, 1), read("z", 2, 3, "unknown"), read("a", 4, 5)],
    "existence": [exists(None, 0, 1), write("a", 2, 3), exists("?", 4, 5)],
    "a move": [write("a", 0, 1), move(2, 3), read(None, 4, 5), read("a", 4, 5, path="q")],
    "a move under way": [write("a", 0, 1), move(2, 9), read("a", 3, 4), read("a", 5, 6, path="q")],
    "versions grow": [
        write("a", 0, 1, version=3),
        read("a", 2, 3, version=3),
        write("b", 4, 5, version=7),
    ],
}

NOT_LINEAR = {
    "stale read": [write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)],
    "lost write": [write("a", 0, 1), read(None, 2, 3)],
    "resurrected after a deletion": [write("a", 0, 1), delete(2, 3), read("a", 4, 5)],
    "a failed write is read": [write("a", 0, 1), write("b", 2, 3, "refused"), read("b", 4, 5)],
    "a write from nowhere": [read("a", 0, 1)],
    "read before it was written": [read("a", 0, 1), write("a", 2, 3)],
    "new, then old again": [write("a", 0, 1), write("b", 2, 9), read("b", 3, 4), read("a", 5, 6)],
    "old again after an unknown write was seen": [
        write("a", 0, 1), write("b", 2, 3, "unknown"), read("b", 4, 5), read("a", 6, 7)
    ],
    "two orders at once": [
        write("a", 0, 5), write("b", 0, 5), read("a", 6, 7), read("b", 8, 9)
    ],
    "a deletion of nothing": [delete(0, 1)],
    "exists after a deletion": [write("a", 0, 1), delete(2, 3), exists("?", 4, 5)],
    "both paths of a move": [
        write("a", 0, 1), move(2, 9), read("a", 3, 4, path="q"), read("a", 5, 6)
    ],
    "neither path of a move": [
        write("a", 0, 1), move(2, 9), read(None, 3, 4), read(None, 5, 6, path="q")
    ],
    "a version went back": [
        write("a", 0, 1, version=5), write("b", 2, 3, version=4), read("b", 4, 5, version=4)
    ],
    "a version with two contents": [write("a", 0, 9, version=5), write("b", 0, 9, version=5)],
}  # fmt: skip


@pytest.mark.parametrize("name", LINEAR)
def test_what_can_have_been_is_accepted(name):
    check(LINEAR[name])


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_what_cannot_have_been_is_said(name):
    with pytest.raises(NotLinearError):
        check(NOT_LINEAR[name])


def test_what_was_there_before_counts():
    check([read("a", 0, 1)], {"p": "a"})
    with pytest.raises(NotLinearError):
        check([read("b", 0, 1)], {"p": "a"})


def test_paths_without_a_move_between_them_are_looked_at_apart():
    history = [write("a", 0, 1), move(2, 3), read("x", 4, 5, path="z")]
    assert sorted(map(sorted, groups(history))) == [["p", "q"], ["z"]]


def played(seed: int, count: int):
    """Return what a true register would have answered to calls that overlap."""
    chance, state, history = random.Random(seed), {"p": None, "q": None}, []
    at_s = 0.0
    for number in range(count):
        at_s += chance.random()
        begin_s, end_s = at_s - chance.random() * 3, at_s + chance.random() * 3
        path = chance.choice("pq")
        kind = chance.choice(["write", "read", "read", "delete", "move", "exists"])
        if kind in ("delete", "move") and state[path] is None:
            kind = "read"
        to = "pq".replace(path, "") if kind == "move" else ""
        value = state[path]
        outcome = "ok"
        if kind not in ("read", "exists") and chance.random() < 0.1:
            outcome, end_s = "unknown", float("inf")
        if outcome == "ok" or chance.random() < 0.5:
            if kind == "write":
                value = state[path] = f"w{number}"
            elif kind == "delete":
                state[path] = None
            elif kind == "move":
                state[path], state[to] = None, state[path]
        elif kind == "write":
            value = f"w{number}"
        history.append(
            Call(
                kind=kind,
                path=path,
                to=to,
                value=value,
                begin_s=begin_s,
                end_s=end_s,
                outcome=outcome,
            )
        )
    return history


@pytest.mark.parametrize("seed", range(20))
def test_histories_of_a_true_register_are_accepted(seed):
    check(played(seed, 200))


def test_one_wrong_read_in_a_long_history_is_found():
    for seed in range(10):
        history = played(seed, 100)
        reads = [n for n, c in enumerate(history) if c.kind == "read" and c.value and n > 60]
        older = next(c.value for c in history if c.kind == "write" and c.outcome == "ok")
        history[reads[0]] = read(older, history[reads[0]].begin_s, history[reads[0]].end_s)
        with pytest.raises(NotLinearError):
            check(history)
