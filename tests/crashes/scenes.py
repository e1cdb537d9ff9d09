"""What a process is doing when it is killed: what was before, the call, and what stands then."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

import resilient_store as rs
from resilient_store.io import parts
from resilient_store.model.step import Step
from tests.crashes.shop import LATE_WINDOW_S, Shop, converge

CAT, DOG = "pets/cat.jpg", "pets/dog.jpg"
OLD, NEW, OTHER = b"the old bytes", b"these are the new bytes", b"what lay there"
FOREIGN = b"somebody else's bytes, which nobody may lose"
# A key that was just written stays busy for so long, where a scene needs it to.
BUSY_S = 1.5

Stands = Mapping[str, bytes | None]
Play = Callable[[Shop, rs.ResilientFileSystem], None]


@attrs.frozen(kw_only=True)
class Scene:
    """One call in a store that is well but for what was prepared.

    Attributes
    ----------
    prepare, act
        What is done before the steps count, and the call that is cut short.
    before, after
        What everybody reads until the call has decided, and from then on.
    busy
        Whether what was prepared is still busy when the call is made.
    dead
        The scene and step at which another process was killed before: instead of a preparation.
    keeps
        Bytes of somebody else's, which must still lie somewhere.
    plain
        What lies on some backends before the store is built.
    """

    act: Play
    before: Stands
    after: Stands
    prepare: Play = lambda shop, fs: None
    busy: bool = False
    dead: tuple[str, Step] | None = None
    keeps: bytes | None = None
    plain: Mapping[str, Mapping[str, bytes]] = attrs.field(factory=dict)


# What is prepared


def quiet(fs: rs.ResilientFileSystem) -> None:
    """Let the late window pass at every key, as two answers after it show."""
    converge(fs)
    for _ in range(2):
        time.sleep(1.1 * LATE_WINDOW_S)
        rs.repair(fs)


def old(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    fs.write(CAT, OLD)


def old_and_quiet(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    fs.write(CAT, OLD)
    quiet(fs)


def two_and_quiet(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    fs.write(CAT, OLD)
    fs.write(DOG, OTHER)
    quiet(fs)


def staged(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    """Leave a version whose copies count in staging."""
    fs.write(CAT, OTHER)
    fs.write(CAT, OLD)
    assert ("own",) not in shop.rows("replicas", "place")


@contextmanager
def away(shop: Shop, name: str) -> Iterator[rs.ResilientFileSystem]:
    """Take a backend away, and open the store without it."""
    os.rename(shop.disk(name), shop.folder / "away")
    with shop.open() as fs:
        yield fs
    os.rename(shop.folder / "away", shop.disk(name))


def one_copy_less(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    with away(shop, "aws") as without:
        without.write(CAT, OLD)


def lost(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    old_and_quiet(shop, fs)
    (shop.disk("gcp") / CAT).unlink()
    assert rs.scrub(fs).missing == {CAT: ("gcp",)}


def deletion_missed(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    old_and_quiet(shop, fs)
    with away(shop, "azure") as without:
        without.rm_file(CAT)


def deleted(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    old_and_quiet(shop, fs)
    fs.rm_file(CAT)


def doubted(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    old_and_quiet(shop, fs)
    (shop.disk("gcp") / CAT).touch()  # as a copy of the disk: its bytes are ours, its tag is not
    rs.rejoin(fs, "gcp")


def overwritten_by_another_tool(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    old_and_quiet(shop, fs)
    (shop.disk("aws") / CAT).write_bytes(FOREIGN)


# The calls


def write(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    fs.write(CAT, NEW)


def stream(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    parts.PART_BYTES = 8
    fs.write(CAT, NEW)


def delete(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    fs.rm_file(CAT)


def move(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    fs.mv(CAT, DOG)


def repair(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    converge(fs)


def adopt(shop: Shop, fs: rs.ResilientFileSystem) -> None:
    rs.adopt(fs)


NOTHING: Stands = {CAT: None, DOG: None}
HAS_OLD: Stands = {CAT: OLD, DOG: None}
HAS_NEW: Stands = {CAT: NEW, DOG: None}
MOVED: Stands = {CAT: None, DOG: OLD}


def _scene(act: Play, before: Stands, after: Stands | None = None, **more: Any) -> Scene:
    return Scene(act=act, before=before, after=before if after is None else after, **more)


def _repair(prepare: Play, stands: Stands, **more: Any) -> Scene:
    return _scene(repair, stands, prepare=prepare, **more)


SCENES = {
    "create": _scene(write, NOTHING, HAS_NEW),
    "create where not all paths are known": _scene(
        write, NOTHING | {"x": b"x"}, HAS_NEW | {"x": b"x"}, plain={"aws": {"x": b"x"}}
    ),
    "stream": _scene(stream, NOTHING, HAS_NEW),
    "stream over": _scene(stream, HAS_OLD, HAS_NEW, prepare=old_and_quiet),
    "overwrite": _scene(write, HAS_OLD, HAS_NEW, prepare=old_and_quiet),
    "overwrite a busy key": _scene(write, HAS_OLD, HAS_NEW, prepare=old, busy=True),
    "overwrite another tool's": _scene(
        write, HAS_OLD, HAS_NEW, prepare=overwritten_by_another_tool, keeps=FOREIGN
    ),
    "delete": _scene(delete, HAS_OLD, NOTHING, prepare=old_and_quiet),
    "delete what is staged": _scene(delete, HAS_OLD, NOTHING, prepare=staged, busy=True),
    "move": _scene(move, HAS_OLD, MOVED, prepare=old_and_quiet),
    "move over": _scene(move, {CAT: OLD, DOG: OTHER}, MOVED, prepare=two_and_quiet),
    "repair a missing copy": _repair(one_copy_less, HAS_OLD),
    "repair by creating": _repair(lost, HAS_OLD),
    "repair by publishing": _repair(staged, HAS_OLD),
    "repair what is in doubt": _repair(doubted, HAS_OLD),
    "replay a deletion": _repair(deletion_missed, NOTHING),
    "purge": _repair(deleted, NOTHING),
    "adopt": _scene(adopt, HAS_OLD, plain={n: {CAT: OLD} for n in ("aws", "gcp")}),
    "settle a creation": _scene(write, NOTHING, HAS_NEW, dead=("create", Step.WRITE_ARRIVED)),
    "settle an overwrite": _scene(delete, HAS_OLD, dead=("overwrite", Step.WRITE_ARRIVED)),
    "settle what is decided": _scene(delete, HAS_NEW, dead=("overwrite", Step.WRITE_PUBLISHED)),
    "settle a deletion": _scene(write, NOTHING, dead=("delete", Step.DELETE_BURIED)),
    "settle a move": _scene(write, MOVED, dead=("move", Step.MOVE_COMMITTED)),
    "settle before a move": _scene(move, HAS_OLD, MOVED, dead=("overwrite", Step.WRITE_ARRIVED)),
    "settle by repair": _repair(
        lambda shop, fs: None, NOTHING, dead=("create", Step.WRITE_ARRIVED)
    ),
}


@attrs.frozen
class Case:
    """A scene, the step at which its process is killed, and what stands from then on.

    Attributes
    ----------
    nth
        At which passing of the step; one that backends pass each has several.
    """

    scene: str
    step: Step
    decided: bool = False
    nth: int = 1

    @property
    def stands(self) -> Stands:
        """What everybody reads for ever after."""
        scene = SCENES[self.scene]
        return scene.after if self.decided else scene.before

    def __str__(self) -> str:
        return f"{self.scene}, killed at {self.step.name}" + ("" if self.nth == 1 else " again")


def _cases(scene: str, undecided: str, decided: str = "") -> list[Case]:
    """Read the names of steps; one followed by a number is passed so often before the kill."""
    found = []
    for names, done in ((undecided, False), (decided, True)):
        for name in names.split():
            step, _, nth = name.partition(":")
            found.append(Case(scene, Step[step], done, int(nth or 1)))
    return found


_UNDECIDED = "WRITE_BEGUN WRITE_LANDED WRITE_LANDED:2 WRITE_ARRIVED"
_STAGED = "WRITE_COMMITTED WRITE_PUBLISHING WRITE_PUBLISHING:2 WRITE_PUBLISHED WRITE_FINISHED"
_EPOCHS = "REPAIR_PURGED REPAIR_FORGOTTEN EPOCH_CHOSEN EPOCH_SENT"
_SETTLED = "SETTLE_BEGUN SETTLE_ENDED"

CASES = [
    *_cases("create", _UNDECIDED, "WRITE_COMMITTED"),
    *_cases(
        "create where not all paths are known",
        "WRITE_BEGUN WRITE_PLACED WRITE_LANDED WRITE_ARRIVED",
    ),
    *_cases("stream", "WRITE_SENDING WRITE_LANDED:2", "WRITE_COMMITTED"),
    *_cases("stream over", "WRITE_SENDING:2 WRITE_LANDED", "WRITE_PUBLISHED"),
    *_cases("overwrite", _UNDECIDED, _STAGED),
    *_cases("overwrite a busy key", _UNDECIDED, _STAGED),
    *_cases("overwrite another tool's", "WRITE_ARRIVED", "QUARANTINED WRITE_PUBLISHED"),
    *_cases("delete", "DELETE_BEGUN", "DELETE_BURIED DELETE_REMOVED DELETE_FINISHED"),
    *_cases(
        "delete what is staged", "DELETE_BEGUN", "DELETE_BURIED DELETE_REMOVED DELETE_FINISHED"
    ),
    *_cases(
        "move",
        "MOVE_BEGUN WRITE_LANDED MOVE_ARRIVED",
        "MOVE_COMMITTED MOVE_FINISHED DELETE_REMOVED DELETE_FINISHED",
    ),
    *_cases(
        "move over",
        "MOVE_BEGUN WRITE_LANDED MOVE_ARRIVED",
        "MOVE_COMMITTED WRITE_PUBLISHING WRITE_FINISHED MOVE_FINISHED DELETE_REMOVED",
    ),
    *_cases(
        "repair a missing copy",
        "REPAIR_BEGUN REPAIR_STAGED REPAIR_NOTED REPAIR_PUBLISHED REPAIR_COUNTED",
    ),
    *_cases("repair by creating", "REPAIR_BEGUN REPAIR_CREATED"),
    *_cases(
        "repair by publishing", "REPAIR_BEGUN REPAIR_PUBLISHED REPAIR_PUBLISHED:2 REPAIR_COUNTED"
    ),
    *_cases("repair what is in doubt", "REPAIR_BEGUN REPAIR_TRUSTED"),
    *_cases("replay a deletion", f"REPAIR_REMOVED REPAIR_LOOKED {_EPOCHS}"),
    *_cases("purge", f"REPAIR_BEGUN REPAIR_LOOKED {_EPOCHS}"),
    *_cases("adopt", "ADOPT_RECORDED"),
    *_cases("settle a creation", f"{_SETTLED} SETTLE_UNDONE"),
    *_cases("settle an overwrite", f"{_SETTLED} SETTLE_UNDONE"),
    *_cases("settle what is decided", _SETTLED),
    *_cases("settle a deletion", _SETTLED),
    *_cases("settle a move", _SETTLED),
    *_cases("settle before a move", f"{_SETTLED} SETTLE_UNDONE"),
    *_cases("settle by repair", f"{_SETTLED} SETTLE_UNDONE"),
]


def _few() -> list[Case]:
    """Choose cases until each step and each scene has had one, the rarest steps first."""
    often = Counter(case.step for case in CASES)
    steps: set[Step] = set()
    scenes: set[str] = set()
    chosen = []
    for case in sorted(CASES, key=lambda case: often[case.step]):
        if case.step not in steps or case.scene not in scenes:
            steps.add(case.step)
            scenes.add(case.scene)
            chosen.append(case)
    return chosen


FEW = _few()
