"""The checksum depends on the bytes alone, not on how they were cut on their way."""

from __future__ import annotations

import itertools

import blake3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.checksum import CHUNK_BYTES, ChunkedChecksum

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
