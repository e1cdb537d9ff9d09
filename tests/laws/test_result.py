"""Results carry their flags, say who is missing, and cross processes."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.errors import BackendsUnavailableError, OriginalMissingError
from resilient_store.model.result import (
    BackendState,
    DetailedListing,
    Listing,
    ReadResult,
    WriteReceipt,
)

names = st.lists(st.sampled_from(["aws", "gcp"]), unique=True)


def degraded(reason, refusal):
    return ReadResult(
        data=b"preview",
        path="originals/cat.jpg",
        original_missing=True,
        reason=reason,
        derivative="previews/cat.jpg",
        backend="gcp",
        refusal=refusal,
    )


@given(st.binary())
def test_a_print_job_gets_the_originals_bytes(data):
    assert ReadResult(data=data, path="a", backend="aws").original() == data


@pytest.mark.parametrize(
    ("reason", "kind"), [("lost", OriginalMissingError), ("unreachable", BackendsUnavailableError)]
)
def test_p5_a_print_job_never_gets_a_preview(reason, kind):
    result = degraded(reason, kind("originals/cat.jpg"))
    for _ in range(2):
        with pytest.raises(kind):
            result.original()
    with pytest.raises(kind):
        pickle.loads(pickle.dumps(result)).original()


def test_p5_by_itself_a_result_is_no_stand_in():
    result = ReadResult(data=b"", path="a", backend="aws")
    assert (result.original_missing, result.reason, result.derivative) == (False, None, None)
    assert (result.derivative_stale, result.version, result.verified) == (False, None, False)


def test_the_bytes_are_not_shown_but_counted():
    assert "CANARY" not in repr(ReadResult(data=b"CANARY", path="a", backend="aws"))
    assert "<6 bytes>" in repr(ReadResult(data=b"CANARY", path="a", backend="aws"))


@pytest.mark.parametrize(
    "value",
    [
        ReadResult(data=b"x", path="a", backend="aws", content_type="image/png"),
        WriteReceipt(path="a", checksum="blake3-1MiB:00", size=1, copies=("aws",)),
        BackendState(backend="aws", kind="read", state="open", reason="throttled"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_cross_processes(value):
    assert pickle.loads(pickle.dumps(value)) == value


@given(st.lists(st.text(max_size=2)), names)
def test_a_listing_is_a_list_that_knows_who_is_missing(items, missing):
    listing = Listing(items, missing)
    assert listing == items
    for again in (listing, pickle.loads(pickle.dumps(listing)), copy.copy(listing)):
        assert again == items
        assert again.missing_backends == tuple(missing)


@given(st.dictionaries(st.text(max_size=2), st.integers()), names)
def test_a_detailed_listing_is_a_dict_that_knows_who_is_missing(items, missing):
    listing = DetailedListing(items, missing)
    for again in (listing, pickle.loads(pickle.dumps(listing)), copy.copy(listing)):
        assert again == items
        assert again.missing_backends == tuple(missing)


def test_an_empty_listing_misses_nobody():
    assert Listing().missing_backends == DetailedListing().missing_backends == ()
    assert (Listing(), DetailedListing()) == ([], {})
