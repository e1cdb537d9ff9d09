"""Bytes on their way to several backends are digested once."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.part import Part, md5_of


@given(st.binary(max_size=1000))
def test_a_part_is_its_bytes_and_knows_their_digest(data):
    part = Part(data)
    assert part == data
    assert part.md5 is part.md5 is md5_of(part)
    assert part.md5 == md5_of(data) == hashlib.md5(data).digest()
