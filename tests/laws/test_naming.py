"""Reports name so many paths of a kind, and count every other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model import naming

SAID = st.dictionaries(st.text(max_size=2), st.integers(), max_size=6)


@given(parts=st.lists(SAID, max_size=4), room=st.integers(0, 8))
def test_no_path_is_named_beyond_the_room_and_none_is_forgotten(parts, room):
    named: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naming, "NAMED", room)
        for said in parts:
            before = set(named)
            left = naming.name(named, said)
            assert left == len(said.keys() - named.keys())
            assert list(named)[: len(before)] == [path for path in named if path in before]
    assert len(named) == min(room, len(set().union(*parts)))
    assert all(any(said.get(path) == what for said in parts) for path, what in named.items())
