"""Azure: the suite that all families pass, and what is special about this one."""

from __future__ import annotations

import asyncio
import functools
import gc
import gzip
import hashlib
import http.client
import os
import pickle
import re
import time
import tracemalloc
import weakref

import pytest
from adlfs import AzureBlobFileSystem
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

import resilient_store as rs
from resilient_store.backends.classify import classify
from resilient_store.backends.contract import RootMissingError
from resilient_store.backends.families import azure_parts, flat
from resilient_store.backends.opening import opener
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome
from resilient_store.testing.conformance import BackendConformance, skipped
from tests.servers import canaries
from tests.servers.ending import complaints_of_a_program
from tests.servers.subjects import PREFIX, backend, opened
from tests.servers.waiting import established, until

MIB = 1024 * 1024
NONE = Headers()
STAGED = ".resilient/staging/1-a/key"
OK, CORRUPT, EXISTS = Outcome.OK, Outcome.CORRUPT, Outcome.EXISTS
NOT_FOUND, REFUSED, TIMED_OUT = Outcome.NOT_FOUND, Outcome.REFUSED, Outcome.TIMED_OUT
UNAVAILABLE = Outcome.UNAVAILABLE


@pytest.fixture
def bucket(azure):
    return azure.new_bucket()


@pytest.fixture
def open_with(azure, bucket, open_on):
    return functools.partial(open_on, azure, bucket)


@pytest.fixture
def subject(open_with):
    return open_with()


class TestAzure(BackendConformance):
    @pytest.fixture
    def subject(self, subject):
        return subject


def test_no_more_is_left_out_than_azure_cannot_do(subject):
    assert set(skipped(subject)) == {
        "test_of_many_creators_one_wins",
        "test_a_condition_that_cannot_be_kept_is_refused",
        "test_directories_exist_by_themselves",
        "test_a_directory_with_something_in_it_stays",
        "test_a_file_and_something_below_it_clash",
    }


# Conditions


def test_a_creation_carries_its_condition_and_its_digest(azure, subject):
    subject.put("key", b"bytes", exclusive=True)
    (put,) = [one for one in azure.proxy.log if one.method == "PUT"]
    assert put.headers["if-none-match"] == "*"
    assert put.headers["content-md5"] == put.headers["x-ms-blob-content-md5"]
    subject.put("key", b"other")
    assert "if-none-match" not in azure.proxy.log[-1].headers


def test_an_exclusive_upload_that_lost_leaves_nothing(azure, subject):
    subject.write("key", b"theirs")
    upload = subject.upload("key", os.urandom(4 * MIB), b"more", exclusive=True)
    assert subject.outcome(upload.finish())[0] is EXISTS
    subject.run(upload.abort())
    assert azure.proxy.log[-1].headers["if-none-match"] == "*"
    assert (subject.names(), subject.read("key")) == (["key"], b"theirs")


def test_the_probe_tells_that_azure_keeps_a_creation_exclusive(azure, bucket):
    with rs.ResilientFileSystem([backend(azure, bucket, name="one")], write_once=True) as fs:
        fs.write("photo", b"bytes")
        assert fs.write("photo", b"bytes").copies == ("one",)
        with pytest.raises(FileExistsError):
            fs.write("photo", b"other")


@pytest.mark.parametrize("expected", ["nothing", "the tag"])
def test_a_publication_carries_its_condition(azure, subject, expected):
    tag = subject.put("key", b"old")[1].tag if expected == "the tag" else None
    subject.put(STAGED, b"new")
    assert subject.ask("publish", STAGED, "key", expected=tag)[0] is OK
    (copy,) = [one for one in azure.proxy.log if "x-ms-copy-source" in one.headers]
    assert copy.headers.get("if-none-match") == ("*" if tag is None else None)
    assert copy.headers.get("if-match") == (tag and f'"{tag}"')


# What is stored, and how it comes back


def test_compressed_bytes_come_back_as_they_were_stored(subject):
    packed = gzip.compress(b"much text" * 100)
    subject.put("key", packed, Headers(content_encoding="gzip"))
    assert subject.ask("get", "key", None, None)[1].data == packed
    assert subject.ask("get", "key", 1, 9)[1].data == packed[1:9]
    assert subject.ask("info", "key")[1].headers.content_encoding == "gzip"


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"camera": "M3", "_b2": "x  y"},
        {"Camera": "Ü", "empty": "", "é": " 日 "},
        {"a-b.c": "1"},
        {"resilientmetadata": "mine"},
        {"hdi_isfolder": "true"},
    ],
)
def test_metadata_comes_back_as_it_was_given(subject, metadata):
    subject.put("d/key", b"1", Headers(content_type="text/plain", metadata=metadata))
    (listed,) = subject.ask("list", "d", recursive=False)[1]
    for headers in (subject.ask("info", "d/key")[1].headers, listed.headers):
        assert (headers.content_type, headers.metadata) == ("text/plain", metadata)


def test_no_type_reads_as_no_type(subject):
    for content_type in (None, "application/octet-stream"):
        subject.put("key", b"1", Headers(content_type=content_type))
        assert subject.ask("info", "key")[1].headers.content_type == content_type
        assert subject.ask("get", "key", None, None)[1].content_type == content_type


def test_a_field_that_no_header_can_carry_is_refused(subject):
    outcome, said = subject.put("key", b"1", Headers(content_disposition='filename="ü"'))
    assert (outcome, "filename*" in str(said)) == (REFUSED, True)


def test_a_name_that_azure_would_change_is_refused_and_holds_nothing(subject):
    """Azure drops dots at the end of a part, so `photo.` would be written over `photo`."""
    subject.put("photo", b"bytes")
    for name in ("photo.", "d./key", "..."):
        for outcome, said in (
            subject.put(name, b"other"),
            subject.outcome(subject.upload(name, b"other").finish()),
            subject.ask("publish", "photo", name, expected=None),
        ):
            assert (outcome, "dot" in str(said)) == (REFUSED, True), name
        for verb, more in (("info", ()), ("get", (None, None)), ("delete", ())):
            assert subject.ask(verb, name, *more)[0] is NOT_FOUND, (verb, name)
    assert (subject.names(), subject.read("photo")) == (["photo"], b"bytes")


# Digests


def stored_digest(azure, bucket, key: str) -> bytes:
    return bytes(azure.bare().info(f"{bucket}/{PREFIX}/{key}")["content_settings"].content_md5)


def test_every_way_of_writing_stores_the_digest(azure, bucket, subject):
    data = os.urandom(5 * MIB)
    subject.put("put", data)
    subject.run(subject.upload("upload", data[: 4 * MIB], data[4 * MIB :]).finish())
    subject.put(STAGED, data)
    subject.ask("publish", STAGED, "published", expected=None)
    for key in ("put", "upload", "published"):
        assert stored_digest(azure, bucket, key) == hashlib.md5(data).digest(), key


@pytest.mark.parametrize(
    ("start", "end", "at"), [(None, None, 0), (None, None, 4 * MIB), (10, 5000, 0), (7, -1, 17)]
)
def test_p4_a_flipped_bit_is_no_body(azure, subject, start, end, at):
    """On whole objects, however they were written, and on ranges of up to 4 MiB."""
    data = os.urandom(4 * MIB + 1)
    subject.put("put", data[: 1000 if end == -1 else None])
    subject.run(subject.upload("upload", data[: 4 * MIB], data[4 * MIB :]).finish())
    azure.proxy.set("flip", at=at, match="^GET")
    for key in ("put",) if end == -1 else ("put", "upload"):
        assert subject.ask("get", key, start, end)[0] is CORRUPT, key


def test_a_range_is_checked_as_far_as_azure_takes_its_digest(azure, subject):
    data = os.urandom(5 * MIB)
    subject.put("key", data)
    for start, end, is_checked in (
        (1, 1 + 4 * MIB, True),
        (0, 4 * MIB + 1, False),
        (5, None, False),
        (None, None, False),
    ):
        assert subject.ask("get", "key", start, end)[1].data == data[start:end]
        asked = azure.proxy.log[-1].headers
        assert ("x-ms-range-get-content-md5" in asked) is is_checked


@pytest.mark.parametrize("way", ["put", "block"])
def test_p4_a_bit_that_flips_on_its_way_to_azure_stores_nothing(azure, subject, way):
    """Azure compares with the digest that is sent: here, one that is not the bytes'."""
    data = os.urandom(4 * MIB)
    subject.family.md5 = functools.partial(_answer, hashlib.md5(b"other").digest())
    if way == "put":
        outcome, said = subject.put("key", data)
    else:
        upload = subject.run(subject.family.upload("key", exclusive=False, headers=NONE))
        outcome, said = subject.outcome(upload.write(data))
    assert outcome is CORRUPT, said
    assert subject.names() == []


async def _answer(value, *_):
    return value


# Uploads in blocks


def test_an_upload_goes_in_blocks_of_some_size(azure, subject):
    data = os.urandom(11 * MIB)
    upload = subject.upload("key", data[: 3 * MIB], data[3 * MIB : 6 * MIB], data[6 * MIB :])
    assert subject.outcome(upload.finish())[0] is OK
    assert subject.read("key") == data
    blocks = [one for one in azure.proxy.log if "blockid=" in one.path]
    assert [int(one.headers["content-length"]) for one in blocks] == [6 * MIB, 5 * MIB]
    assert all(one.headers["content-md5"] for one in blocks)


def test_more_blocks_than_azure_takes_are_refused(monkeypatch, subject):
    monkeypatch.setattr(azure_parts, "MOST_BLOCKS", 1)
    upload = subject.upload("key", os.urandom(4 * MIB))
    assert subject.outcome(upload.write(os.urandom(4 * MIB)))[0] is REFUSED
    subject.run(upload.abort())
    assert subject.names() == []


def test_an_upload_over_blocks_that_adlfs_has_left_works(azure, bucket, subject):
    """All blocks of a blob have names of one length, whoever staged them."""
    left = azure.bare(asynchronous=False).open(f"{bucket}/{PREFIX}/key", "wb", block_size=5 * MIB)
    left.write(os.urandom(6 * MIB))  # and its process is killed
    left.closed = True
    data = os.urandom(4 * MIB)
    assert subject.outcome(subject.upload("key", data, b"!").finish())[0] is OK
    assert subject.read("key") == data + b"!"


# Copies that take their time


def copying(status: bytes, *, of: str, then: bytes = b""):
    """Say of copies that they are not, or not yet, done; and then show another tag."""

    def answer(line, head, body):
        if line.startswith(of):
            done, other = b"x-ms-copy-status: success", b"x-ms-copy-status: " + status
            return head.replace(done, other), body
        if then and line.startswith("HEAD"):
            lines = [
                b"etag: " + then if x.lower().startswith(b"etag") else x
                for x in head.split(b"\r\n")
            ]
            return b"\r\n".join(lines), body
        return None

    return answer


def test_a_copy_that_takes_its_time_is_waited_for(azure, subject):
    """Its tag is that of the end: Azure gives it another one by then."""
    subject.put(STAGED, b"bytes")
    azure.proxy.set("rewrite", answer=copying(b"pending", of="PUT", then=b'"0x1"'))
    outcome, stored = subject.ask("publish", STAGED, "key", expected=None)
    assert (outcome, stored.tag, subject.names()) == (OK, "0x1", ["key"])


@pytest.mark.parametrize("status", [b"failed", b"aborted"])
def test_a_copy_that_failed_is_no_success_and_keeps_what_was_staged(azure, subject, status):
    subject.put(STAGED, b"bytes")
    azure.proxy.set("rewrite", answer=copying(status, of="PUT"))
    assert subject.ask("publish", STAGED, "key", expected=None)[0] is TIMED_OUT
    assert subject.read(STAGED) == b"bytes"


def test_a_copy_that_never_ends_is_left_to_the_deadline(azure, subject):
    subject.put(STAGED, b"bytes")
    azure.proxy.set("rewrite", answer=copying(b"pending", of=""))
    with pytest.raises(TimeoutError):
        subject.run(asyncio.wait_for(subject.family.publish(STAGED, "key", expected=None), 0.5))
    assert 2 <= sum(one.method == "HEAD" for one in azure.proxy.log) <= 8


@pytest.mark.parametrize("status", [b"pending", b"failed", b"aborted"])
def test_p5_what_a_copy_has_not_filled_is_no_empty_object(azure, subject, status):
    """Azure shows the target of such a copy as an object without bytes."""
    subject.put(STAGED, b"bytes")
    subject.ask("publish", STAGED, "key", expected=None)
    azure.proxy.set("rewrite", answer=copying(status, of=""))
    assert subject.ask("info", "key")[0] is CORRUPT
    assert subject.ask("get", "key", None, None)[0] is CORRUPT
    assert subject.ask("get", "key", 0, 3)[0] is CORRUPT


# Listings


@pytest.mark.parametrize("recursive", [False, True])
def test_a_listing_goes_on_to_its_last_page(monkeypatch, azure, subject, recursive):
    expected = {f"d/{number}" for number in range(7)}
    for name in expected:
        subject.write(name, b"x")
    monkeypatch.setattr(flat, "PAGE_KEYS", 3)
    found = subject.ask("list", "d", recursive=recursive)[1]
    assert {info.key for info in found} == expected
    assert sum("comp=list" in one.path for one in azure.proxy.log) == 3


def test_a_directorys_marker_is_a_directory_and_no_object(subject):
    subject.write("d/", b"")
    subject.write("e/f/", b"")
    assert [i.key for i in subject.ask("list", "", recursive=False)[1]] == ["d", "e"]
    assert all(i.directory for i in subject.ask("list", "", recursive=True)[1])
    assert subject.ask("list", "d", recursive=False) == (OK, [])
    assert subject.ask("info", "d")[1].directory


def folder(azure, bucket, key: str) -> None:
    """Leave what a hierarchical account shows for a directory."""
    azure.write(bucket, f"{PREFIX}/{key}", b"", metadata={"hdi_isfolder": "true"})


def test_a_directory_of_a_hierarchical_account_is_no_empty_object(azure, bucket, subject):
    for key in ("d", "d/e"):
        folder(azure, bucket, key)
    subject.write("d/key", b"bytes")
    for key, recursive, below in (
        ("", False, {"d": True}),
        ("", True, {"d": True, "d/e": True, "d/key": False}),
        ("d", False, {"d/e": True, "d/key": False}),
        ("d/e", True, {}),
    ):
        outcome, found = subject.ask("list", key, recursive=recursive)
        assert (outcome, {i.key: i.directory for i in found}) == (OK, below)
    for key in ("d", "d/e"):
        assert subject.ask("info", key)[1].directory
        for start, end in ((None, None), (0, 10), (-1, None), (3, 2)):
            assert subject.ask("get", key, start, end)[0] is NOT_FOUND, (key, start, end)


def test_an_absent_key_asks_once_and_then_for_the_container_now_and_then(azure, subject):
    for number in range(30):
        assert subject.ask("get", f"absent-{number}", None, None)[0] is NOT_FOUND
    lists = [number for number, one in enumerate(azure.proxy.log) if "comp=list" in one.path]
    assert lists == [1, 23]


def test_absent_counts_only_while_the_container_is_there(azure, bucket, subject):
    """Also on a server that says of everything in an absent container that it is absent."""

    def blurred(line, head, body):
        if "comp=list" in line:
            return None
        return head.replace(b"ContainerNotFound", b"BlobNotFound"), body

    assert subject.ask("get", "absent", None, None)[0] is NOT_FOUND
    subject.lose_root()
    azure.proxy.set("rewrite", answer=blurred)
    for verb, more in (("info", ()), ("get", (None, None)), ("delete", ())):
        subject.family._is_there = False
        outcome, error = subject.ask(verb, "key", *more)
        assert (outcome, type(error)) == (UNAVAILABLE, RootMissingError), verb
    azure.proxy.set("pass")
    for verb, more in (("info", ()), ("get", (None, None)), ("delete", ())):
        assert isinstance(subject.ask(verb, "key", *more)[1], RootMissingError), verb


# Signed URLs, options


def read_url(url: str) -> tuple[int, bytes]:
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=5)
    try:
        connection.request("GET", f"/{path}")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_signed_url_reads_without_credentials(subject):
    for key in ("key", "d/a b?%41#é"):
        subject.put(key, b"bytes")
        outcome, url = subject.ask("sign", key, 60)
        assert (outcome, read_url(url)) == (OK, (200, b"bytes"))
    assert read_url(subject.ask("sign", "key", -60)[1])[0] == 403


def test_who_has_no_key_cannot_sign_and_is_told_what_it_takes(azure, bucket, open_with):
    subject = open_with(opened_with_signature(azure, bucket, "r"))
    outcome, said = subject.ask("sign", "key", 60)
    assert (outcome, "account_key" in str(said)) == (REFUSED, True)


async def opened_with_signature(azure, bucket, rights: str):
    """Open a container by a signature that allows so much, as a customer would be given it."""
    proof = generate_container_sas(
        canaries.AZURE_ACCOUNT,
        bucket,
        account_key=canaries.AZURE_KEY,
        permission=ContainerSasPermissions.from_string(rights),
        expiry="2999-01-01T00:00:00Z",
    )
    endpoint = f"{azure.proxy.url}/{canaries.AZURE_ACCOUNT}"
    options = {"connection_string": f"BlobEndpoint={endpoint};SharedAccessSignature={proof}"}
    return await opener(rs.Backend(azure.url(bucket, PREFIX), storage_options=options), "azure")()


def test_a_signature_opens_a_container_for_everything(azure, bucket, open_with):
    subject = open_with(opened_with_signature(azure, bucket, "rwdlc"))
    assert subject.put("key", b"old", exclusive=True)[0] is OK
    subject.put(STAGED, b"new")
    assert subject.ask("publish", STAGED, "key", expected=subject.tag("key"))[0] is OK
    assert subject.ask("get", "key", None, None)[1].data == b"new"
    assert [info.key for info in subject.ask("list", "", recursive=False)[1]] == ["key"]
    assert subject.ask("delete", "key")[0] is OK


def test_write_options_go_with_every_write(open_with):
    subject = open_with(write_options={"standard_blob_tier": "Cool", "tags": {"shop": "1"}})
    subject.put("put", b"1")
    subject.run(subject.upload("upload", os.urandom(4 * MIB), b"1").finish())
    subject.put(STAGED, b"1")
    assert subject.ask("publish", STAGED, "published", expected=None)[0] is OK
    for key in ("put", "upload", "published"):
        blob = subject.family.blob(key)
        tier = subject.run(blob.get_blob_properties()).blob_tier
        assert (tier, subject.run(blob.get_blob_tags())) == ("Cool", {"shop": "1"})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"standard_blob_teir": "Cool"}, "standard_blob_teir"),
        ({"standard_blob_tier": "Tepid"}, "standard_blob_tier is one of"),
        ({"encryption_scope": "mine"}, "encryption_scope"),
    ],
)
def test_a_write_option_that_cannot_be_kept_is_refused_by_name(open_with, options, named):
    subject = open_with(write_options=options)
    subject.write("key", b"bytes")
    for outcome, said in (
        subject.put("key", b"1"),
        subject.ask("publish", "key", "other", expected=None),
    ):
        assert (outcome, named in str(said)) == (REFUSED, True)
    assert subject.ask("get", "key", None, None)[1].data == b"bytes"


# Strangers, and answers that lack what they must have


def every_verb(subject) -> dict:
    return {
        "info": lambda: subject.ask("info", "key"),
        "get": lambda: subject.ask("get", "key", None, None),
        "range": lambda: subject.ask("get", "key", 0, 2),
        "list": lambda: subject.ask("list", "", recursive=True),
        "put": lambda: subject.put("key", b"other"),
        "delete": lambda: subject.ask("delete", "key"),
        "block": lambda: subject.outcome(
            subject.run(subject.family.upload("key", exclusive=False, headers=NONE)).write(
                os.urandom(4 * MIB)
            )
        ),
        "publish": lambda: subject.ask("publish", "staged", "key", expected=None),
    }


READING = ("info", "get", "range", "list")
VERBS = (*READING, "put", "delete", "block", "publish")


@pytest.mark.parametrize("code", [200, 404])
@pytest.mark.parametrize("verb", VERBS)
def test_a_portals_page_is_no_answer(azure, subject, verb, code):
    for key in ("key", "staged"):
        subject.put(key, b"bytes")
    page = b"<html>BlobNotFound" + b" " * 300_000
    azure.proxy.set("pass", drop=True)
    assert until(lambda: subject.ask("info", "key")[0] is OK)
    azure.proxy.set("status", code=code, body=page, headers={"Content-Type": "text/html"})
    outcome, _ = every_verb(subject)[verb]()
    assert outcome is (UNAVAILABLE if verb in READING else TIMED_OUT)
    assert verb == "info" or until(lambda: azure.proxy.live == 0), "its page is not waited for"


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_is_followed_elsewhere(azure, subject, verb):
    for key in ("key", "staged"):
        subject.put(key, b"bytes")
    azure.proxy.set("status", code=302, headers={"Location": f"{azure.server.url}/login"})
    azure.proxy.log.clear()
    assert every_verb(subject)[verb]()[0] is UNAVAILABLE
    assert len(azure.proxy.log) == 1


@pytest.mark.parametrize("way", ["put", "upload"])
def test_a_write_whose_answer_lacks_the_tag_is_looked_at(azure, subject, way):
    def without_tag(line, head, body):
        if not line.startswith("PUT"):
            return None
        lines = head.split(b"\r\n")
        return b"\r\n".join(x for x in lines if not x.lower().startswith(b"etag")), body

    data = os.urandom(4 * MIB)
    subject.put("theirs", data[::-1])
    azure.proxy.set("rewrite", answer=without_tag)

    def write():
        if way == "put":
            return subject.put("key", data)
        return subject.outcome(subject.upload("key", data, b"").finish())

    outcome, stored = write()
    assert outcome is OK
    azure.proxy.set("pass")
    assert stored.tag == subject.tag("key")
    azure.proxy.set("rewrite", answer=without_tag)
    subject.family.blob = functools.partial(someone_elses, subject.family.blob)
    assert write()[0] is TIMED_OUT


def someone_elses(blob, key, *, changing=False):
    """Return another blob's client to whoever looks."""
    return blob(key if changing else "theirs", changing=changing)


# Nothing is tried twice, nothing is left open


FAULTS = [
    *((fault, verb) for fault in ("reset", "unavailable") for verb in VERBS),
    *((fault, verb) for fault in ("cut", "silent") for verb in ("get", "range")),
]


@pytest.mark.parametrize(("fault", "verb"), FAULTS)
def test_nothing_is_sent_twice(azure, open_with, fault, verb):
    subject = open_with(timeout=0.5, stall_timeout=0.5)
    for key in ("key", "staged"):
        subject.put(key, b"bytes" * 1000)
    how = {
        "reset": ("reset", {"after": 0}),
        "cut": ("truncate", {"after": 1}),
        "unavailable": ("status", {"code": 503}),
        "silent": ("trickle", {"after": 1}),
    }[fault]
    azure.proxy.set(how[0], **how[1])
    azure.proxy.log.clear()
    call = every_verb(subject)[verb]
    started_s = time.monotonic()
    outcome, said = call()
    assert len(azure.proxy.log) == 1, said
    assert time.monotonic() - started_s < 2
    assert outcome not in (OK, NOT_FOUND, EXISTS, REFUSED)


def test_p6_reads_that_were_given_up_leave_no_connection(azure, bucket, subject):
    """More of them than there may be connections, and then another one reads at once."""
    subject.put("key", os.urandom(200_000))
    azure.proxy.set("trickle", after=1000, match="^GET")

    async def give_up() -> None:
        begun = asyncio.Event()
        call = subject.family.get("key", None, None, lambda _: begun.set())
        task = asyncio.create_task(call)
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    async def give_many_up() -> None:
        for _ in range(13):
            await asyncio.gather(*(give_up() for _ in range(10)))

    subject.run(give_many_up())
    azure.proxy.set("pass")
    started_s = time.monotonic()
    assert len(subject.ask("get", "key", None, None)[1].data) == 200_000
    assert time.monotonic() - started_s < 1
    assert until(lambda: azure.proxy.live < 5), azure.proxy.live


@pytest.mark.parametrize("verb", ["list", "get"])
def test_p6_answers_that_were_given_up_leave_no_connection(azure, subject, verb):
    """In the middle of a listing, and of the words about an absent object."""
    subject.put("key", b"bytes")
    azure.proxy.set("trickle", after=10)
    azure.proxy.log.clear()

    def call():
        if verb == "list":
            return subject.family.list("", recursive=True, moves=lambda _: None)
        return subject.family.get("absent", None, None, lambda _: None)

    async def give_many_up() -> None:
        for many in (30, 60, 90, 120):
            calls = [asyncio.create_task(call()) for _ in range(30)]
            assert await asyncio.to_thread(until, lambda many=many: len(azure.proxy.log) == many)
            await asyncio.wait(calls, timeout=0.1)  # the answers have begun by then
            for one in calls:
                one.cancel()
            await asyncio.wait(calls)
            assert all(one.cancelled() for one in calls)

    subject.run(give_many_up())
    azure.proxy.set("pass")
    assert subject.ask("info", "key")[0] is OK
    assert until(lambda: azure.proxy.live < 5), azure.proxy.live


@pytest.mark.parametrize("size", [MIB, 16 * MIB])
def test_p6_large_uploads_that_were_given_up_do_not_go_on(azure, bucket, run, open_with, size):
    """Neither do they land when a hung server wakes up, nor are they kept until then."""
    options = {"storage_options": azure.storage_options(direct=True)}
    family = open_with(opener(rs.Backend(azure.url(bucket, PREFIX), **options), "azure")()).family
    run(family.put("key", b"old", exclusive=False, headers=NONE))
    data = os.urandom(size)

    async def give_up() -> None:
        # Each has bytes of its own, so that those which are kept are seen.
        puts = [
            asyncio.create_task(
                family.put(f"new-{n}", data + b"%d" % n, exclusive=False, headers=NONE)
            )
            for n in range(4)
        ]
        await asyncio.wait(puts, timeout=0.7)
        assert established(azure.server.port) == before + 3
        assert tracemalloc.get_traced_memory()[0] < 4 * size + 2 * MIB, "bytes are kept twice"
        for put in puts:
            put.cancel()
        await asyncio.wait(puts)
        assert all(put.cancelled() for put in puts)

    before = established(azure.server.port)
    tracemalloc.start()
    try:
        azure.server.pause()
        run(give_up())
        run(asyncio.sleep(0.1))
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert established(azure.server.port) == before - 1
    assert kept < MIB // 2
    azure.server.resume()
    run(asyncio.sleep(1))
    assert azure.names(bucket) == [f"{PREFIX}/key"]


def test_p6_closing_does_not_wait_for_what_hangs(azure, bucket, run):
    options = {"storage_options": azure.storage_options(direct=True)}
    family = run(opener(rs.Backend(azure.url(bucket, PREFIX), **options), "azure")())
    run(family.put("key", b"bytes", exclusive=False, headers=NONE))
    azure.server.pause()

    async def close_amidst() -> None:
        data = os.urandom(16 * MIB)
        put = asyncio.create_task(family.put("new", data, exclusive=False, headers=NONE))
        await asyncio.wait([put], timeout=0.3)
        await asyncio.wait_for(family.close(), 1)
        await asyncio.wait([put], timeout=1)
        assert put.exception() is not None

    run(close_amidst())


def test_connections_are_used_again(azure, subject):
    subject.put("key", os.urandom(100_000))
    for _ in range(10):
        subject.ask("get", "key", None, None)
        subject.ask("get", "key", 5, 10)
        subject.ask("get", "absent", None, None)
        subject.ask("list", "", recursive=False)
        subject.put("key", os.urandom(100_000))
    assert azure.proxy.accepted == 1


def test_as_many_calls_at_once_as_the_backend_allows(azure, run, open_with):
    family = open_with(max_concurrency=120).family
    run(family.put("key", b"bytes", exclusive=False, headers=NONE))
    azure.proxy.set("hold", seconds=20)

    async def read_at_once() -> int:
        reads = [
            asyncio.create_task(family.get("key", None, None, lambda _: None)) for _ in range(120)
        ]
        await asyncio.to_thread(until, lambda: len(azure.proxy.log) == 121)
        azure.proxy.release()
        return len(await asyncio.gather(*reads))

    assert run(asyncio.wait_for(read_at_once(), 8)) == 120


# Opening and closing


def test_a_users_filesystem_is_a_recipe_for_a_private_one(azure, bucket, run):
    theirs = AzureBlobFileSystem(**azure.storage_options())
    theirs.pipe_file(f"{bucket}/{PREFIX}/key", b"bytes")
    given = rs.Backend(theirs, root=f"{bucket}/{PREFIX}")
    for made in (given, pickle.loads(pickle.dumps(given))):
        family = run(opener(made, "azure")())
        assert run(family.info("key")).size == 5
        assert family._client._config.retry_policy.total_retries == 0
        run(family.close())
    assert theirs.cat_file(f"{bucket}/{PREFIX}/key") == b"bytes"


def test_an_instance_and_a_url_of_one_container_are_one_place(azure, bucket):
    one = rs.Backend(
        AzureBlobFileSystem(**azure.storage_options()), root=f"{bucket}/{PREFIX}", name="one"
    )
    with pytest.raises(rs.ConfigurationError, match="one place"):
        rs.ResilientFileSystem([one, backend(azure, bucket, name="two")])


def test_the_recipe_is_let_go_of(azure, bucket, run):
    """By itself, adlfs keeps every instance until the process ends, and then waits for a loop."""
    made = []

    class Watched(AzureBlobFileSystem):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(weakref.ref(self))

    given = rs.Backend(Watched(**azure.storage_options()), root=f"{bucket}/{PREFIX}")
    family = run(opener(given, "azure")())
    assert run(family.info("")).directory
    run(family.close())
    (_, recipe) = made
    gc.collect()
    assert recipe() is None


def test_a_proxy_of_the_environment_is_used(monkeypatch, azure, run):
    monkeypatch.setenv("http_proxy", azure.proxy.url)
    monkeypatch.setenv("no_proxy", "localhost")
    connection = "BlobEndpoint=http://shop.invalid/shop;SharedAccessSignature=sig=1"
    one = rs.Backend("abfs://photos", storage_options={"connection_string": connection})

    async def ask() -> None:
        family = await opener(one, "azure")()
        with pytest.raises(HttpResponseError):
            await family.put("key", b"bytes", exclusive=False, headers=NONE)
        await family.close()

    run(ask())
    assert azure.proxy.log[-1].path.startswith("http://shop.invalid/shop/photos/key?")


def test_the_users_netrc_is_nobodys_business(monkeypatch, azure, bucket, tmp_path, run):
    """A password there for Azure's host made every request fail; and no thread reads it."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ana password wrong")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    async def ask() -> None:
        family = await opened(azure, bucket)
        await family.put("key", b"bytes", exclusive=False, headers=NONE)
        await family.close()
        assert asyncio.get_running_loop()._default_executor is None

    run(ask())


class Credential:
    """A credential that is never asked for anything."""

    def __init__(self) -> None:
        self.closed = 0

    async def get_token(self, *scopes, **_):
        raise AssertionError("nothing is sent")

    async def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("whose", ["theirs", "adlfs's"])
def test_a_credential_is_closed_by_who_made_it(monkeypatch, run, whose):
    credential = Credential()
    made = (credential, type("Sync", (), {"close": lambda self: None})())
    monkeypatch.setattr(
        AzureBlobFileSystem, "_get_default_azure_credential", lambda self, **_: made
    )
    options = {"account_name": "shop", "anon": False}
    if whose == "theirs":
        options["credential"] = credential
    one = rs.Backend("abfs://photos", storage_options=options)

    async def use() -> None:
        family = await opener(one, "azure")()
        family._container()
        await family.close()

    for _ in range(2):
        run(use())
    assert credential.closed == (0 if whose == "theirs" else 2)


@pytest.mark.parametrize("how", ["closed", "open", "dropped", "async closed", "async open"])
def test_a_process_ends_in_peace(azure, bucket, how):
    assert complaints_of_a_program(azure, bucket, how) == ""


def test_what_is_dropped_without_its_loop_leaves_no_socket(azure, bucket):
    azure.proxy.set("pass", drop=True)
    with asyncio.Runner() as runner:
        family = runner.run(opened(azure, bucket))
        runner.run(family.put("key", b"bytes", exclusive=False, headers=NONE))
        assert until(lambda: azure.proxy.live == 1)
    family.drop()
    assert until(lambda: azure.proxy.live == 0)


def test_a_change_whose_answer_was_lost_may_have_been_carried_out(azure, subject):
    """azure-core says "no request was sent" of a connection that broke after it was."""
    subject.put("key", b"old")
    azure.proxy.set("reset", after=0)
    outcome, error = subject.put("key", b"new")
    assert outcome is TIMED_OUT, error
    assert subject.read("key") == b"new"
    assert classify(error, changing=False)[0] is UNAVAILABLE
    azure.proxy.set("refuse")
    assert subject.put("key", b"newer")[0] is UNAVAILABLE


# --- what fails in between ------------------------------------------------------------------


def test_p4_the_digest_of_other_bytes_is_no_success(azure, subject):
    """Neither of a blob, nor of a block."""

    def another(_, head, body):
        head = re.sub(rb"(?i)content-md5: \S+\r\n", b"", head)  # Azurite tells none of blocks
        return head[:-2] + b"Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", body

    azure.proxy.set("rewrite", answer=another, match="^PUT")
    assert subject.put("key", b"bytes")[0] is CORRUPT
    upload = subject.run(subject.family.upload("key", exclusive=False, headers=NONE))
    assert subject.outcome(upload.write(os.urandom(4 * MIB)))[0] is CORRUPT


def test_a_write_that_cannot_be_looked_at_may_have_happened(azure, subject):
    def without_tag(line, head, body):
        if not line.startswith("PUT"):
            return b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", b""
        kept = [x for x in head.split(b"\r\n") if not x.lower().startswith(b"etag")]
        return b"\r\n".join(kept), body

    azure.proxy.set("rewrite", answer=without_tag)
    assert subject.put("key", b"bytes")[0] is TIMED_OUT
    assert subject.read("key") == b"bytes"


@pytest.mark.parametrize("look", ["fails", "is of another copy"])
def test_a_copy_that_cannot_be_followed_may_have_happened(azure, subject, look):
    subject.put(STAGED, b"bytes")

    def pending(line, head, body):
        if line.startswith("PUT"):
            return head.replace(b"x-ms-copy-status: success", b"x-ms-copy-status: pending"), body
        if look == "fails":
            return b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b""
        return re.sub(rb"(x-ms-copy-id: )\S+", rb"\1another", head), body

    azure.proxy.set("rewrite", answer=pending)
    assert subject.ask("publish", STAGED, "key", expected=None)[0] is TIMED_OUT
    assert subject.read(STAGED) == b"bytes"


def test_what_was_published_and_cannot_be_removed_is_said(azure, subject, caplog):
    subject.put(STAGED, b"bytes")
    azure.proxy.set("status", code=403, match="^DELETE")
    assert subject.ask("publish", STAGED, "key", expected=None)[0] is OK
    assert "stays until a sweep" in caplog.text


def test_a_condition_that_was_not_met_is_a_change_also_where_nobody_can_look(azure, subject):
    tag = subject.put("key", b"bytes")[1].tag
    subject.put("key", b"other")
    azure.proxy.set("status", code=500, match="^HEAD")
    assert subject.ask("delete", "key", expected=tag)[0] is EXISTS
    assert subject.read("key") == b"other"


def test_an_empty_directory_of_a_hierarchical_account_is_removed(azure, bucket, subject):
    azure.write(bucket, f"{PREFIX}/d", b"", metadata={"hdi_isfolder": "true"})
    subject.put("key", b"bytes")
    assert subject.ask("info", "d")[1].directory
    for key in ("d", "key", "absent"):
        assert subject.ask("rmdir", key)[0] is OK
    assert subject.names() == ["key"]
