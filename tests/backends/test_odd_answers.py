"""Answers that a real server gives rarely, made up: each by the one method that reads it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from resilient_store.backends.contract import ChangedError, StrangerError
from resilient_store.backends.families.flat import FlatFamily, Page
from resilient_store.backends.families.gathered import LONGER_AFTER, GatheredUpload
from resilient_store.backends.families.one_connection import has_one_connection
from resilient_store.backends.families.s3 import S3Family
from resilient_store.model.info import Headers, ObjectInfo


def refused(status, code, operation="HeadObject"):
    meta = {"HTTPStatusCode": status, "HTTPHeaders": {"x-amz-request-id": "1"}}
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": meta}, operation)


def raising(error):
    async def call(*_, **__):
        raise error

    return call


def test_the_parts_of_what_is_brought_in_small_pieces_get_longer():
    """A copy of 100 GB would have more parts than a platform takes."""
    sent = []

    class Parts:
        async def send(self, data):
            sent.append(len(data))

    class Family:
        least_part_bytes, part_grain_bytes = 2, 1

        async def _begin(self, *_, **__):
            return Parts()

    async def bring():
        upload = GatheredUpload(Family(), "key", exclusive=False, headers=Headers())
        for _ in range(6 * LONGER_AFTER):
            await upload.write(b"x")

    asyncio.run(bring())
    assert sent == [2] * LONGER_AFTER + [4] * LONGER_AFTER


@pytest.mark.parametrize("pages", [["next", "more", None], ["next", "next"]])
def test_an_empty_page_with_more_to_come_is_no_absence(pages):
    tokens = iter(pages)
    found = (ObjectInfo(key="d/x", size=1),)

    async def page(prefix, *, token=None, limit):
        following = next(tokens)
        return Page(found if following is None else (), (), following)

    family = SimpleNamespace(_page=page)
    if pages[-1] is None:
        assert asyncio.run(FlatFamily._first(family, "d/")).objects == found
    else:
        with pytest.raises(StrangerError, match="never ends"):
            asyncio.run(FlatFamily._first(family, "d/"))


def test_a_listing_that_says_it_is_cut_and_not_where_is_none():
    async def ask(*_, **__):
        return {"Name": "bucket", "IsTruncated": True, "Contents": []}

    with pytest.raises(StrangerError, match="continuation"):
        asyncio.run(S3Family._page(SimpleNamespace(ask=ask), "p/", limit=1000))


def test_of_a_bad_request_a_get_says_the_reason():
    """A HEAD has no body: expired credentials would look like a key that nobody can hold."""
    family = SimpleNamespace(
        ask=raising(refused(400, "400")),
        at=str,
        _fetch=raising(refused(400, "ExpiredToken", "GetObject")),
    )
    with pytest.raises(ClientError, match="ExpiredToken"):
        asyncio.run(S3Family._head(family, "key"))


@pytest.mark.parametrize("is_staged", [True, False])
def test_which_end_of_a_conditional_copy_is_gone_is_asked_for(is_staged):
    async def params(_):
        return {}

    async def head(key):
        if not is_staged:
            raise FileNotFoundError(key)

    no_such_key = refused(404, "NoSuchKey", "CopyObject")
    family = SimpleNamespace(
        ask=raising(no_such_key), at=str, source=lambda _: {}, _params=params, _head=head
    )
    with pytest.raises(ChangedError if is_staged else FileNotFoundError):
        asyncio.run(S3Family.publish(family, "staged", "key", expected="tag", size=1, looked=True))


def test_of_a_bucket_that_is_gone_no_copy_is_said_to_be():
    async def params(_):
        return {}

    family = SimpleNamespace(
        ask=raising(refused(404, "NoSuchBucket", "CopyObject")),
        at=str,
        source=lambda _: {},
        _params=params,
        _head=raising(FileNotFoundError("as a HEAD says of either")),
    )
    with pytest.raises(ClientError, match="NoSuchBucket"):
        asyncio.run(S3Family.publish(family, "staged", "key", expected="tag", size=1, looked=True))


@pytest.mark.parametrize(
    ("protocol", "shares"),
    [("sftp", True), (("sftp", "ssh"), True), ("ftp", True), (("s3", "s3a"), False), ("x", False)],
)
def test_two_calls_at_once_never_share_a_connection_that_takes_one(protocol, shares):
    assert has_one_connection(SimpleNamespace(protocol=protocol)) is shares
