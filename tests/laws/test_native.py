"""Objects that this store did not write are held to what their platform says of them."""

from __future__ import annotations

import hashlib
import itertools

from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.info import ObjectInfo
from resilient_store.model.state import Content
from resilient_store.protocol.native import (
    NativeChecksum,
    stated_content,
    told_apart,
    verifies_natively,
)


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


@given(st.lists(st.binary(max_size=5), max_size=4))
def test_p4_bytes_may_come_in_pieces(pieces):
    whole = b"".join(pieces)
    for checksum in ("", f"md5:{hashlib.md5(whole).hexdigest()}"):
        native = NativeChecksum(Content(size=len(whole), kind="native", checksum=checksum))
        for piece in pieces:
            native.update(piece)
        assert native.verifies
        native.update(b"more")
        assert not native.verifies


def infos(draw):
    sums = st.sampled_from(["1", "2"])
    return {
        name: ObjectInfo(
            key="x",
            size=draw(st.integers(0, 1)),
            native=tuple(
                f"{kind}{one}"
                for kind in ("md5:", "crc32c:")
                if (one := draw(st.none() | sums)) is not None
            ),
        )
        for name in draw(st.sets(st.sampled_from(["aws", "gcp", "azure"])))
    }


ALL_INFOS = st.composite(infos)()


def kinds(info):
    return {one.partition(":")[0] for one in info.native}


@given(ALL_INFOS)
def test_objects_are_told_apart_exactly_where_size_or_one_kind_of_checksum_compares(all_infos):
    by_size = {}
    for info in all_infos.values():
        by_size.setdefault(info.size, []).append(info)
    compares = all(
        len(alike) == 1 or set.intersection(*map(kinds, alike)) for alike in by_size.values()
    )
    assert (told_apart(all_infos) is not None) is compares


@given(ALL_INFOS)
def test_a_mark_is_shared_by_whom_the_same_is_stated_of_and_by_no_other(all_infos):
    marks = told_apart(all_infos)
    assert marks is None or set(marks) == set(all_infos)
    for one, other in itertools.combinations(marks or {}, 2):
        same = all_infos[one].size == all_infos[other].size
        shared = {
            kind: {next(s for s in all_infos[n].native if s.startswith(kind)) for n in (one, other)}
            for kind in sorted(kinds(all_infos[one]) & kinds(all_infos[other]))
        }
        if marks[one] == marks[other]:
            assert same
            assert any(len(stated) == 1 for stated in shared.values())
        elif same:
            assert any(len(stated) == 2 for stated in shared.values())


def test_md5_counts_before_the_shorter_sum():
    one = ObjectInfo(key="x", size=1, native=("md5:1", "crc32c:1"))
    other = ObjectInfo(key="x", size=1, native=("crc32c:1", "md5:2"))
    marks = told_apart({"aws": one, "gcp": other})
    assert marks is not None
    assert marks["aws"] != marks["gcp"]


@given(st.integers(0, 9), st.permutations(["md5:aa", "crc32c:bb"]))
def test_what_a_reader_can_be_held_to_is_kept(size, native):
    info = ObjectInfo(key="x", size=size, native=tuple(native))
    assert stated_content(info) == Content(size=size, kind="native", checksum="md5:aa")
    bare = ObjectInfo(key="x", size=size, native=("crc32c:bb",))
    assert stated_content(bare) == Content(size=size, kind="none")
