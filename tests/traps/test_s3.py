"""What S3 and its clients do wrong, or seem to."""

# ruff: noqa: PT012 - what raises comes last in its block

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time

import pytest

import resilient_store as rs
from resilient_store.backends import upload
from tests.servers.subjects import backend
from tests.servers.waiting import until, warm_up

MIB = 1024 * 1024
DATA = bytes(range(256)) * 400


@pytest.fixture
def bucket(s3):
    return s3.new_bucket()


@pytest.fixture
def fs(s3, bucket):
    with rs.ResilientFileSystem([one(s3, bucket)]) as fs:
        yield fs


def one(s3, bucket, **options):
    return backend(s3, bucket, name="one", domain="one", **options)


def uploads(s3, bucket):
    found = s3.bare().call_s3("list_multipart_uploads", Bucket=bucket)
    return [upload["Key"] for upload in found.get("Uploads", ())]


def requests(s3, pattern):
    return [request for request in s3.proxy.log if re.search(pattern, request.line)]


# 28


def test_p5_a_denied_absent_key_is_denied_and_the_missing_right_is_named(s3, bucket, fs):
    fs.write("photo", DATA)
    s3.proxy.deny = lambda line: "absent" in line or "list-type" in line
    for number in range(20):
        with pytest.raises(rs.BackendsUnavailableError, match="denied") as caught:
            fs.read(f"absent-{number}")
        assert "s3:GetObject" in str(caught.value)
        assert "s3:ListBucket" in str(caught.value)
        assert fs.read("photo").data == DATA, "one key's refusal says nothing of the others"
    with pytest.raises(rs.BackendsUnavailableError, match="denied"):
        fs.exists("absent")


def test_denied_for_everything_says_credentials(s3, bucket):
    states = []
    with rs.ResilientFileSystem([one(s3, bucket)], on_backend_state=states.append) as fs:
        s3.proxy.deny = lambda line: True
        for number in range(6):
            with pytest.raises(rs.BackendsUnavailableError):
                fs.read(f"photo-{number}")
    assert [(state.state, state.reason) for state in states] == [("open", "credentials")]


def test_a_store_that_only_reads_needs_the_right_to_get_alone(s3, bucket):
    s3.write(bucket, "in/side/photo", DATA)
    s3.proxy.deny = lambda line: not re.match(r"(GET|HEAD) /[^/]+/in/side/photo", line)
    with rs.ResilientFileSystem([one(s3, bucket, read_only=True)]) as fs:
        assert fs.read("photo").data == DATA
        assert fs.cat_file("photo", 10, 20) == DATA[10:20]
        assert fs.info("photo")["size"] == len(DATA)
        assert fs.exists("photo")
        with fs.open("photo") as file:
            assert file.read() == DATA


# 29


def test_nothing_ever_creates_a_bucket(s3, bucket, fs):
    s3.proxy.deny = lambda line: "list-type" in line
    fs.write("d/photo", DATA)
    for call in (
        lambda: fs.mkdir("new"),
        lambda: fs.makedirs("new/er"),
        lambda: fs.write("new/photo", DATA),
        lambda: fs.exists("absent"),
        lambda: rs.sweep(fs),
    ):
        with contextlib.suppress(rs.ObjectError):
            call()
    assert requests(s3, r"^PUT /[^/?]+/?(\?|$)") == []


# 31, 32


@pytest.mark.parametrize(
    ("mode", "how", "most"),
    [
        ("status", {"code": 503}, 1),  # "slow down" is not answered with another request
        ("status", {"code": 429}, 1),
        ("status", {"code": 500}, 2),
        ("status", {"code": 403}, 1),
        ("reset", {"after": 0}, 2),
        ("blackhole", {}, 1),
    ],
)
def test_p6_a_read_sends_no_more_requests_than_it_says(s3, bucket, mode, how, most):
    s3.write(bucket, "in/side/photo", DATA)
    with rs.ResilientFileSystem([one(s3, bucket, timeout=2.0)]) as fs:
        warm_up(fs)
        s3.proxy.reset()
        s3.proxy.set(mode, **how)
        began_s = time.monotonic()
        with pytest.raises(rs.BackendsUnavailableError):
            fs.read("photo")
        assert time.monotonic() - began_s < 5.0
        assert 1 <= len(s3.proxy.log) <= most


def test_p6_slow_down_is_not_answered_with_more(s3, bucket):
    s3.write(bucket, "in/side/photo", DATA)
    with rs.ResilientFileSystem([one(s3, bucket)]) as fs:
        warm_up(fs)
        s3.proxy.reset()
        s3.proxy.set("status", code=503)
        for _ in range(100):
            with pytest.raises(rs.BackendsUnavailableError, match="throttled"):
                fs.read("photo")
        assert len(s3.proxy.log) <= 120
        s3.proxy.set("pass")
        assert fs.read("photo").data == DATA


# 33


ERROR = b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"


def with_body(head, body):
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    kept[-2:-2] = [b"Content-Length: %d" % len(body)]
    return b"\r\n".join(kept), body


def test_p1_an_error_in_the_body_of_a_200_is_an_error(s3, bucket, fs):
    """A completion, and a copy, may begin with 200 and end in an error."""

    def answer(line, head, body):
        completes = line.startswith("POST") and "uploadId" in line
        return with_body(head, ERROR) if completes or "/in/side/photo" in line else None

    s3.proxy.set("rewrite", answer=answer, match="uploadId")
    with pytest.raises(rs.InsufficientCopiesError, match="may be on one"):
        fs.write("large", (os.urandom(MIB) for _ in range(10)))
    s3.proxy.set("pass")
    fs.write("photo", DATA)
    s3.proxy.set("rewrite", answer=answer, match="^PUT /[^/]+/in/side/photo")
    with pytest.raises(rs.InsufficientCopiesError, match="timed out"):
        fs.write("photo", DATA[::-1])


# 34


def dying(after):
    for _ in range(after):
        yield os.urandom(MIB)
    raise RuntimeError("the source is gone")


@pytest.mark.parametrize("after", [9, 17, 25])
def test_parts_of_a_write_that_raised_are_aborted(s3, bucket, fs, after):
    with pytest.raises(RuntimeError, match="the source is gone"):
        fs.write("large", dying(after))
    assert requests(s3, "uploadId")
    assert (uploads(s3, bucket), s3.names(bucket)) == ([], [])


@pytest.mark.parametrize(
    "at", [r"\?uploads", r"partNumber=1\b", r"partNumber=2\b", "^POST.*uploadId"]
)
def test_parts_of_a_write_that_timed_out_are_aborted(monkeypatch, s3, bucket, at):
    monkeypatch.setattr(upload, "RATE_BYTES_PER_S", 100 * MIB)
    with rs.ResilientFileSystem([one(s3, bucket, timeout=1.0, stall_timeout=2.0)]) as fs:
        warm_up(fs)
        s3.proxy.set("swallow", match=at)
        with pytest.raises(rs.InsufficientCopiesError):
            fs.write("large", (os.urandom(MIB) for _ in range(20)))
        s3.proxy.set("pass")
        rs.sweep(fs, older_than=0)
    assert uploads(s3, bucket) == []


@pytest.mark.parametrize("part", [r"partNumber=1\b", r"partNumber=2\b"])
def test_parts_of_a_cancelled_write_are_aborted(s3, bucket, part):
    async def cancelled():
        fs = rs.ResilientFileSystem([one(s3, bucket)], asynchronous=True)
        await fs._exists("warm")
        s3.proxy.set("blackhole", match=part)
        data = (os.urandom(MIB) for _ in range(20))
        write = asyncio.create_task(fs._write("large", data))
        assert await asyncio.to_thread(until, lambda: requests(s3, part))
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
        await fs._close()

    asyncio.run(cancelled())
    assert (uploads(s3, bucket), s3.names(bucket)) == ([], [])


# 35


def test_p4_a_range_that_is_cut_short_is_no_zeros(s3, bucket, fs):
    data = os.urandom(9 * MIB)
    fs.write("large", data)
    s3.proxy.set("truncate", after=1000, match=r"^GET .*large", times=1)
    with fs.open("large") as file:
        assert file.read() == data, "the second try brings what the first did not"
    s3.proxy.set("truncate", after=1000, match=r"^GET .*large")
    with fs.open("large") as file, pytest.raises(rs.BackendsUnavailableError):
        file.read()


def test_a_file_read_at_once_takes_a_request_for_each_block(s3, fs):
    data = os.urandom(9 * MIB)
    fs.write("large", data)
    s3.proxy.log.clear()
    with fs.open("large") as file:
        file.seek(1)
        assert file.read() == data[1:]
    assert [request.method for request in s3.proxy.log] == ["HEAD", "GET", "GET", "GET"]


def test_p2_two_versions_are_never_mixed(s3, bucket, fs):
    old, new = (bytes([number]) * 9 * MIB for number in (1, 2))
    fs.write("large", old)
    with fs.open("large", block_size=MIB) as file:
        assert file.read(MIB) == old[:MIB]
        s3.write(bucket, "in/side/large", new)
        with pytest.raises(rs.ObjectChangedError):
            while file.read(MIB):
                pass


# 36


def test_a_bulk_deletion_names_exactly_what_it_could_not_delete(s3, bucket, fs):
    names = [f"d/{number}" for number in range(10)]
    for name in names:
        fs.write(name, b"1")
    s3.proxy.deny = lambda line: bool(re.match(r"DELETE .*/d/[37]$", line))
    with pytest.raises(rs.BackendsUnavailableError) as caught:
        fs.rm(names)
    assert caught.value.failed == ("d/3", "d/7")
    assert s3.names(bucket) == ["in/side/d/3", "in/side/d/7"]
    s3.proxy.deny = None
    fs.rm("d", recursive=True)
    assert s3.names(bucket) == []


# 38


def test_p3_what_was_deleted_in_a_bucket_with_versions_stays_deleted(s3, bucket, fs):
    s3.bare().call_s3(
        "put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    fs.write("photo", b"first")
    fs.write("photo", b"second")
    fs.rm("photo")
    for call in (fs.read, fs.info, fs.rm, fs.open):
        with pytest.raises(FileNotFoundError):
            call("photo")
    assert not fs.exists("photo")
    assert fs.find("") == []
    assert fs.ls("") == []
    fs.write("photo", b"third")
    assert fs.read("photo").data == b"third"


# 39


def test_p1_an_upload_that_lacks_a_part_is_not_acknowledged(s3, bucket, fs):
    """Size and listing are as they should be; the tag is made of fewer parts."""

    def answer(_, head, body):
        return with_body(head, re.sub(rb"[0-9a-f]{32}-2", b"0" * 32 + b"-2", body))

    s3.proxy.set("rewrite", answer=answer, match="^POST.*uploadId")
    with pytest.raises(rs.InsufficientCopiesError, match=r"corrupt.*may be on one"):
        fs.write("large", (os.urandom(MIB) for _ in range(10)))
