"""P6: nobody waits long, or twice, for a backend that is silent, and all do for one that works."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from resilient_store.backends import upload
from resilient_store.model.state import OWN
from tests.catalogued.told import OLD, Told, X, after, times_out
from tests.model.world import PATH, TIMEOUT_S

STAGED = f".resilient/staging/2-2/{PATH}"


@contextlib.contextmanager
def large():
    """Let what is written count as large: its bytes may take five seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upload, "RATE_BYTES_PER_S", len(X) / 5)
        yield


def placed(told):
    return [row.place == OWN for row in told.model.record().replicas.values()]


async def took_s(told, copies=("a", "b")):
    began_s = told.model.loop.time()
    receipt = await told.write(0, X)
    assert receipt.copies == copies
    return told.model.loop.time() - began_s


async def slowly():
    await asyncio.sleep(4.0)


async def a_large_object_is_published_by_both_however_long_it_takes(told):
    told.plan("publish", "ab", after(slowly))
    with large():
        assert 4.0 < await took_s(told) < 5.0
    assert placed(told) == [True, True]


async def a_small_one_is_left_to_repair_after_a_second(told):
    told.plan("publish", "ab", times_out)
    assert 1.0 < await took_s(told) < 1.5
    assert placed(told) == [False, False]


async def who_does_not_answer_a_look_has_a_second_too_also_for_a_large_object(told):
    told.plan("info", "ab", times_out)
    with large():
        assert 1.0 < await took_s(told) < 1.5
    assert placed(told) == [False, False]


async def on_a_slow_link_the_second_is_three_times_what_the_bytes_took(told):
    told.plan("put", "ab", after(lambda: asyncio.sleep(0.9)), key=STAGED)
    told.plan("publish", "ab", after(lambda: asyncio.sleep(1.5)))
    assert 2.4 < await took_s(told) < 3.0
    assert placed(told) == [True, True]


@pytest.mark.parametrize(
    "story",
    [
        a_large_object_is_published_by_both_however_long_it_takes,
        a_small_one_is_left_to_repair_after_a_second,
        who_does_not_answer_a_look_has_a_second_too_also_for_a_large_object,
        on_a_slow_link_the_second_is_three_times_what_the_bytes_took,
    ],
    ids=lambda story: story.__name__,
)
def test_p6_after_the_commit(story):
    Told(init=OLD).play(story)


# Before it: what lies there is asked, where the catalog does not know


async def who_was_silent_when_looked_at_is_not_written_to(told):
    told.plan("info", "a", times_out)
    assert 1.0 < await took_s(told, copies=("b",)) < 1.5


async def who_is_needed_is_written_to_although_it_was_silent(told):
    told.plan("info", "a", times_out)
    assert TIMEOUT_S < await took_s(told) < TIMEOUT_S + 0.5


async def a_path_that_has_to_be_new_waits_for_everybody(told):
    told.plan("info", "a", after(then_times_out(told)))
    began_s = told.model.loop.time()
    await told.start(0, lambda fs: fs._pipe_file(PATH, told.model.remember(X), mode="create"))
    assert told.model.loop.time() - began_s > TIMEOUT_S


def then_times_out(told):
    """Let a backend answer whether the path is known, and then not say what lies there."""

    async def plan():
        told.plan("info", "a", times_out)

    return plan


@pytest.mark.parametrize(
    ("story", "min_copies"),
    [
        (who_was_silent_when_looked_at_is_not_written_to, 1),
        (who_is_needed_is_written_to_although_it_was_silent, 2),
        (a_path_that_has_to_be_new_waits_for_everybody, 1),
    ],
    ids=["dispensable", "needed", "create"],
)
def test_p6_before_the_bytes(story, min_copies):
    Told(complete=False, min_copies=min_copies).play(story)
