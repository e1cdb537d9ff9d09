"""The checksum depends on the bytes alone, not on how they were cut on their way."""

from __future__ import annotations

import itertools

import blake3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.checksum import CHUNK_BYTES, ChunkedChecksum, aligned, verifies

CHUNK = 1024 * 1024
PAGE = bytes(range(256)) * 16
# Sizes around which a chunk begins, ends or is full.
sizes = st.sampled_from([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5])


def some_bytes(size):
    return (PAGE * (size // len(PAGE) + 1))[:size]


def naive(data):
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)] or [b""]
    return blake3.blake3(b"".join(blake3.blake3(c).digest() for c in chunks)).hexdigest()


def hashed(pieces):
    checksum = ChunkedChecksum()
    for piece in pieces:
        checksum.update(piece)
    return checksum.hexdigest(), checksum.size


@given(sizes, st.lists(st.integers(0, 2 * CHUNK + 5), max_size=4))
def test_it_is_blake3_over_the_blake3_of_each_chunk_however_the_bytes_are_cut(size, cuts):
    data = some_bytes(size)
    edges = [0, *sorted(min(cut, size) for cut in cuts), size]
    pieces = [memoryview(data)[a:b] for a, b in itertools.pairwise(edges)]
    assert hashed(pieces) == (naive(data), size)


def test_the_chunk_is_one_mebibyte():
    assert CHUNK_BYTES == CHUNK


def test_an_empty_object_is_one_empty_chunk():
    assert hashed([]) == hashed([b""]) == (naive(b""), 0)


@pytest.mark.parametrize("size", [3, CHUNK, CHUNK + 3])
def test_asking_in_between_changes_nothing(size):
    checksum = ChunkedChecksum()
    checksum.update(some_bytes(size))
    assert checksum.hexdigest() == checksum.hexdigest() == naive(some_bytes(size))
    checksum.update(b"more")
    assert checksum.hexdigest() == naive(some_bytes(size) + b"more")


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_other_bytes_have_another_checksum(one, other):
    assert (hashed([one])[0] == hashed([other])[0]) is (one == other)


def content_of(data):
    checksum = ChunkedChecksum()
    checksum.update(data)
    return checksum.content()


@given(sizes)
def test_a_catalog_keeps_the_digest_of_every_chunk_unless_there_is_one_only(size):
    data = some_bytes(size)
    content = content_of(data)
    assert (content.size, content.kind, content.chunk_bytes) == (size, "chunked", CHUNK)
    assert content.checksum == f"blake3-1MiB:{naive(data)}"
    digests = [blake3.blake3(data[a : a + CHUNK]).digest() for a in range(0, size, CHUNK)]
    assert content.chunks == (b"".join(digests) if size > CHUNK else b"")


@given(sizes, st.data())
def test_p4_whole_chunks_verify_exactly_when_every_byte_is_right(size, data):
    object_ = some_bytes(size)
    content = content_of(object_)
    start = data.draw(st.integers(0, max(0, size - 1)))
    end = data.draw(st.integers(start, size))
    first, last = aligned(content, start, end)
    assert first <= start
    assert end <= last <= size or end == last == 0
    assert first % CHUNK == 0
    assert last % CHUNK == 0 or last == size
    chunks = object_[first:last]
    if not chunks:
        return
    assert verifies(content, first, chunks)
    at = data.draw(st.integers(0, len(chunks) - 1))
    wrong = bytearray(chunks)
    wrong[at] ^= 1 << data.draw(st.integers(0, 7))
    assert not verifies(content, first, wrong)
    assert not verifies(content, first, chunks + b"1" * CHUNK)


def test_p4_an_empty_object_verifies_and_nothing_else_does():
    content = content_of(b"")
    assert aligned(content, 0, 0) == (0, 0)
    assert verifies(content, 0, b"")
    assert not verifies(content, 0, b"0")
    assert not verifies(content_of(b"0"), 0, b"")


def test_p4_chunks_in_another_order_do_not_verify():
    one, two = b"1" * CHUNK, b"2" * CHUNK
    content = content_of(one + two)
    assert verifies(content, CHUNK, two)
    assert not verifies(content, 0, two)
    assert not verifies(content, 0, two + one)


def test_p4_each_of_many_chunks_is_held_against_its_own_digest():
    chunks = [bytes([number]) * CHUNK for number in range(3)] + [b"rest"]
    content = content_of(b"".join(chunks))
    for first in range(len(chunks)):
        assert verifies(content, first * CHUNK, b"".join(chunks[first:]))
    assert not verifies(content, 0, b"".join([*chunks[:2], chunks[1]]))
