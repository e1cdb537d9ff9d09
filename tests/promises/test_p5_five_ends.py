"""P5 end to end: a read, a look and a listing tell the five ends apart in every combination.

The store is the shipping code on simulated platforms. What each platform does with the
original and with its preview is drawn; ten lines, written from the promise, say how it ends.
"""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

import resilient_store as rs
from resilient_store.model.info import Headers
from tests.simulation.stage import FOR_EVER, Fault, Stage

ORIGINAL, PREVIEW = "originals/cat.jpg", "previews/cat.jpg"
SILENT = ("hang", "down", "throttled", "denied", "no-root")
STATES = ("holds", "absent", "blank", *SILENT)
RULES = {"originals/{name}": ["previews/{name}"]}

platforms = st.lists(
    st.tuples(st.sampled_from(STATES), st.sampled_from(STATES)), min_size=1, max_size=3
)


def promised(platforms, *, rule, sure):
    """Say how a read of the original must end: written from the promise, and nothing else."""
    originals = [original for original, _ in platforms]
    if "holds" in originals:
        return "original"
    absent = originals[0] == "absent" if sure else set(originals) == {"absent"}
    if not rule and "blank" in originals and not absent:
        return "empty"
    lost = set(originals) <= {"absent", "blank"} and "blank" in originals and not absent
    previews = [preview for _, preview in platforms]
    if rule and "holds" in previews:
        return "preview, lost" if lost or absent else "preview, unreachable"
    if lost:
        return "lost"
    nowhere = previews[0] == "absent" if sure else set(previews) <= {"absent", "blank"}
    nowhere = nowhere or set(previews) <= {"absent", "blank"}
    return "absent" if absent and (nowhere or not rule) else "unreachable"


def prepared(platforms, *, rule, sure):
    stage = Stage(seed=5, count=len(platforms), degraded=RULES if rule else None, sure=sure)

    async def fill():
        for disk, states in zip(stage.disks, platforms, strict=True):
            for key, state in zip((ORIGINAL, PREVIEW), states, strict=True):
                if state != "absent":
                    disk.set(key, b"" if state == "blank" else key.encode(), Headers())
                if state in SILENT:
                    disk.faults.append(Fault(0.0, FOR_EVER, state, key))

    stage.run(fill())
    return stage


def end_of_read(call):
    try:
        result = call()
    except FileNotFoundError:
        return "absent"
    except rs.OriginalMissingError:
        return "lost"
    except rs.BackendsUnavailableError:
        return "unreachable"
    if result.original_missing:
        assert result.data == PREVIEW.encode()
        return f"preview, {result.reason}"
    return "original" if result.data == ORIGINAL.encode() else {b"": "empty"}[result.data]


@given(platforms, st.booleans(), st.booleans())
@example([("absent", "holds"), ("hang", "absent")], True, False)
@example([("absent", "denied")], True, False)
@example([("blank", "absent"), ("down", "holds")], True, False)
def test_p5_every_read_ends_as_promised(platforms, rule, first_holds_all):
    sure = first_holds_all and platforms[0][0] != "blank"
    if sure and any(state == "holds" for original in platforms[1:] for state in original):
        sure = False  # the user's word would be wrong
    end = promised(platforms, rule=rule, sure=sure)
    stage = prepared(platforms, rule=rule, sure=sure)
    assert end_of_read(lambda: stage.run(stage.fs._read(ORIGINAL))) == end
    stage.close()


@given(platforms, st.booleans())
def test_p5_what_cannot_carry_the_flag_never_returns_a_derivative(platforms, rule):
    end = promised(platforms, rule=rule, sure=False)
    plain = {"preview, lost": "lost", "preview, unreachable": "unreachable"}.get(end, end)

    def cat(stage):
        data = stage.run(stage.fs._cat_file(ORIGINAL))
        return rs.ReadResult(data=data, path=ORIGINAL, backend="?")

    stage = prepared(platforms, rule=rule, sure=False)
    assert end_of_read(lambda: cat(stage)) == plain
    stage.close()


@given(platforms, st.booleans())
def test_p5_an_outage_is_never_an_absence(platforms, rule):
    end = promised(platforms, rule=rule, sure=False)
    stage = prepared(platforms, rule=rule, sure=False)
    try:
        exists = stage.run(stage.fs._exists(ORIGINAL))
    except rs.BackendsUnavailableError:
        exists = None
    wanted = {"absent": False, "unreachable": None, "preview, unreachable": None}
    assert exists is wanted.get(end, True)
    if exists and end in ("lost", "preview, lost"):
        info = stage.run(stage.fs._info(ORIGINAL))
        assert info["original_missing"]
        assert info["size"] is None
    stage.close()
