"""Parts of a store's paths: together they are everything, and each path is in one of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.key_range import EVERYTHING, KeyRange, ranges

PATHS = st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=12)


def walked(part: KeyRange, paths: list[str], size: int) -> list[str]:
    """Ask for pages of paths until nothing follows."""
    found, after, ended = [], part.after, False
    while not ended and (page := [path for path in sorted(paths) if path > after][:size]):
        some, after = part.within(page, str)
        ended = not after
        found += some
    return found


@given(PATHS, PATHS, st.integers(1, 4))
def test_each_path_is_in_one_part(paths, borders, size):
    parts = ranges(borders)
    assert [path for part in parts for path in walked(part, paths, size)] == sorted(paths)
    assert (parts[0].after, parts[-1].until) == ("", None)


@given(PATHS, st.integers(1, 4))
def test_everything_is_everything(paths, size):
    assert walked(EVERYTHING, paths, size) == sorted(paths)
    assert EVERYTHING.within([], str) == ([], "")


def test_a_part_ends_with_the_path_that_it_goes_up_to():
    part = KeyRange("", "b")
    assert part.within(["a"], str) == (["a"], "a")
    assert part.within(["a", "b"], str) == (["a", "b"], "")
    assert part.within(["a", "c"], str) == (["a"], "")


def test_a_border_before_the_first_path_divides_nothing():
    assert ranges(["a", "", "a"]) == [KeyRange("", "a"), KeyRange("a")]
    assert ranges([""]) == [EVERYTHING]
