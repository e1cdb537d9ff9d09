"""Objects that this store did not write are held to what their platform says of them."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.state import Content
from resilient_store.protocol.native import verifies_natively


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_p4_an_md5_is_believed_exactly_when_the_bytes_have_it(data, other):
    content = Content(
        size=len(data), kind="native", checksum=f"md5:{hashlib.md5(data).hexdigest()}"
    )
    assert verifies_natively(content, data)
    assert verifies_natively(content, other) is (other == data)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_without_a_checksum_the_size_is_all_there_is(data, other):
    content = Content(size=len(data), kind="none")
    assert verifies_natively(content, other) is (len(other) == len(data))
