"""The scenarios in which each rule of the protocol is needed: who does what, and what may go wrong.

The names, programs and budgets are those of the executable model that found the rules. Six do no
harm here without a rule that the model needs. `pause`, `overwrite` and `create-crash-same` without
`leasecheck`: who takes over finds its keys busy, and stages, so that nothing counts where a writer
that was stopped writes without its lease; `delete-create` shows it. `undiscovered` and
`undiscovered-delete` without `account`: what lay at a path that nobody knew is its object once it
was looked at, and may be replaced; `foreign` shows it. `repair-write` without `lock`: that is shown
by `replay-create`.
"""

from __future__ import annotations

from typing import Any

import attrs

from tests.model.world import PATH

Program = tuple[str, ...]
WRITES = ("write", "stream")


@attrs.frozen(kw_only=True)
class Scenario:
    """One path, some programs, a budget of faults.

    Attributes
    ----------
    programs
        Each is a process of its own: a verb, and the bytes of a write.
    shows
        The rules whose absence this scenario must show.
    init
        What was written, and is settled, before they begin.
    unsteady
        The only program that may crash or be paused; None: each of them.
    starts
        When each begins, in most runs; empty: chance says so.
    pauses_between
        After how many of its answers a program may be paused.
    newer
        What was written, over it if there is anything, while the last backend was away.
    lying
        What somebody else has put on each backend before.
    """

    programs: tuple[Program, ...]
    shows: tuple[str, ...] = ()
    budget: dict[str, int] = attrs.field(factory=dict)
    min_copies: int = 2
    complete: bool = True
    init: bytes | None = None
    newer: bytes | None = None
    lying: tuple[bytes | None, bytes | None] = (None, None)
    paths: tuple[str, ...] = (PATH,)
    conditions: bool = False
    unsteady: int | None = None
    starts: tuple[float, ...] = ()
    pauses_between: tuple[int, int] = (1, 12)


def _scenario(*programs: Program, **more: Any) -> Scenario:
    budget = {k.replace("_", "-"): v for k, v in more.pop("budget", {}).items()}
    return Scenario(programs=programs, budget=budget, **more)


X, Y = ("write", "x"), ("write", "y")
DELETE, REPAIR, READ, ADOPT = ("delete",), ("repair",), ("read",), ("adopt",)
OLD = b"a"

SCENARIOS: dict[str, Scenario] = {
    "create-zombie": _scenario(X, Y, shows=("quiet", "void"), budget={"late": 3}),
    "create-dup": _scenario(X, Y, shows=("quiet",), budget={"dup": 2, "late": 1}),
    "create-crash-same": _scenario(
        X,
        X,
        shows=("quiet", "takeover"),
        budget={"crash": 1, "late": 1, "pause": 1},
        unsteady=0,
        starts=(0.0, 126.0),
    ),
    "pause": _scenario(X, Y, budget={"pause": 1}, unsteady=0, starts=(0.0, 126.0)),
    "overwrite": _scenario(X, Y, init=OLD, shows=("quiet",), budget={"late": 2, "pause": 1}),
    "overwrite-crash": _scenario(
        X, Y, init=OLD, shows=("fence",), budget={"late": 1, "pause": 1}, unsteady=0
    ),
    "delete-create": _scenario(
        DELETE, X, init=OLD, shows=("quiet", "leasecheck"), budget={"late": 2, "pause": 1}
    ),
    "delete-create-late": _scenario(
        DELETE, X, REPAIR, init=OLD, shows=("quiet",), budget={"late": 2}
    ),
    "repair-write": _scenario(
        REPAIR,
        X,
        init=OLD,
        min_copies=1,
        shows=("sweep",),
        budget={"rot": 1, "late": 1, "pause": 1},
        unsteady=0,
        starts=(0.0, 0.3),
    ),
    "repair-delete": _scenario(
        DELETE, REPAIR, X, init=OLD, min_copies=1, shows=("quiet",), budget={"late": 1}
    ),
    "replay-create": _scenario(  # repair stops between its look and what it sends
        DELETE,
        REPAIR,
        X,
        init=OLD,
        shows=("lock",),
        budget={"pause": 1},
        unsteady=1,
        starts=(0.0, 126.0, 130.0),
        pauses_between=(8, 10),
    ),
    "purge-adopt": _scenario(
        X, DELETE, REPAIR, ADOPT, complete=False, shows=("relook", "discover"), budget={"late": 1}
    ),
    "purge-slow": _scenario(
        X,
        REPAIR,
        complete=False,
        shows=("lookorder",),
        budget={"late": 1, "pause": 1},
        unsteady=1,
        starts=(0.0, 6.0),
        pauses_between=(4, 10),
    ),
    "purge-dup": _scenario(X, DELETE, REPAIR, complete=False, shows=("relook",), budget={"dup": 1}),
    "purge-read": _scenario(
        DELETE,
        REPAIR,
        READ,
        complete=False,
        lying=(b"F0", None),
        shows=("discover",),
        budget={"pause": 1},
        unsteady=2,
    ),
    "dirty-read": _scenario(
        X, READ, complete=False, shows=("discover",), budget={"down": 1, "late": 1}
    ),
    "failed-create": _scenario(
        X, READ, complete=False, shows=("void",), budget={"late": 2, "crash": 1, "pause": 1}
    ),
    "undiscovered": _scenario(
        X,
        READ,
        complete=False,
        min_copies=1,
        lying=(None, b"F1"),
        shows=("lookup",),
        budget={"down": 1, "late": 1},
    ),
    "undiscovered-delete": _scenario(
        DELETE,
        READ,
        REPAIR,
        complete=False,
        min_copies=1,
        lying=(None, b"F1"),
        budget={"down": 1, "late": 1},
    ),
    "foreign": _scenario(
        X, DELETE, init=OLD, conditions=True, shows=("account",), budget={"foreign": 1}
    ),
    "foreign-delete": _scenario(
        DELETE, REPAIR, init=OLD, conditions=True, shows=("account",), budget={"foreign": 1}
    ),
    "commit-unknown": _scenario(
        X, Y, shows=("commitcheck",), budget={"unknown_commit": 1, "crash": 1}
    ),
    "commit-unknown-over": _scenario(
        X, Y, init=OLD, shows=("commitcheck",), budget={"unknown_commit": 1, "crash": 1}
    ),
    "read-window": _scenario(
        READ, X, Y, init=OLD, shows=("reread", "cas"), budget={"pause": 1}, unsteady=0
    ),
    "read-delete": _scenario(
        READ,
        DELETE,
        X,
        init=OLD,
        shows=("reread", "cas"),
        budget={"down": 1, "pause": 1},
        unsteady=0,
    ),
    "version-reuse": _scenario(
        READ,
        DELETE,
        REPAIR,
        ("write", "a"),
        init=OLD,
        min_copies=1,
        shows=("counter",),
        budget={"pause": 1},
        unsteady=0,
        starts=(0.0, 0.0, 126.0, 127.0),
        pauses_between=(1, 4),
    ),
    "back-in-time": _scenario(
        DELETE,
        REPAIR,
        READ,
        complete=False,
        init=OLD,
        shows=("epoch",),
        budget={"regress": 1},
        starts=(0.0, 126.0, 200.0),
    ),
    "loss-create": _scenario(X, Y, shows=("quiet",), budget={"late": 4}),
    "loss-overwrite": _scenario(X, Y, init=OLD, shows=("quiet",), budget={"late": 2}),
    "loss-delete": _scenario(DELETE, X, init=OLD, shows=("quiet",), budget={"late": 2}),
    "catch-up": _scenario(REPAIR, X, REPAIR, newer=OLD, min_copies=1, budget={"late": 1}),
    "catch-up-late": _scenario(
        REPAIR,
        DELETE,
        REPAIR,
        READ,
        newer=OLD,
        min_copies=1,
        budget={"late": 2, "crash": 1, "pause": 1},
    ),
    "catch-up-mix": _scenario(
        REPAIR,
        X,
        DELETE,
        REPAIR,
        Y,
        READ,
        newer=OLD,
        min_copies=1,
        budget={"late": 3, "dup": 1, "crash": 1, "pause": 2, "down": 1},
    ),
    "mix": _scenario(
        X,
        DELETE,
        Y,
        REPAIR,
        READ,
        REPAIR,
        ADOPT,
        init=OLD,
        min_copies=1,
        complete=False,
        budget={"late": 3, "dup": 1, "crash": 2, "pause": 3, "down": 2, "unknown_commit": 1},
    ),
    "mix-late": _scenario(
        X,
        DELETE,
        Y,
        REPAIR,
        min_copies=1,
        complete=False,
        budget={"late": 3, "dup": 1, "pause": 1, "unknown_commit": 1},
    ),
    "mix-create": _scenario(
        X,
        X,
        DELETE,
        Y,
        REPAIR,
        READ,
        REPAIR,
        complete=False,
        budget={"late": 3, "dup": 1, "crash": 2, "pause": 3, "down": 2, "unknown_commit": 1},
    ),
    "wide-writers": _scenario(X, Y, REPAIR, init=OLD, budget={"late": 1, "crash": 1, "pause": 1}),
    "wide-delete": _scenario(
        DELETE,
        X,
        REPAIR,
        init=OLD,
        min_copies=1,
        budget={"late": 2, "crash": 1, "pause": 1, "down": 1},
    ),
    "wide-create": _scenario(
        X, DELETE, Y, min_copies=1, budget={"late": 1, "crash": 1, "pause": 1, "down": 1}
    ),
}
