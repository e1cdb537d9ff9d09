"""What all three platforms and their clients do wrong, or seem to."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import socket
import threading
import time
import traceback

import pytest

import resilient_store as rs
from resilient_store.backends.health import Health
from tests.servers import canaries
from tests.servers.subjects import PREFIX, backend
from tests.servers.waiting import until, warm_up

MIB = 1024 * 1024
DATA = bytes(range(256)) * 400
FAMILIES = ("s3", "gcs", "azure")


@pytest.fixture(params=FAMILIES)
def platform(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def bucket(platform):
    return platform.new_bucket()


def one(platform, bucket, **options):
    return backend(platform, bucket, name="one", domain="one", **options)


# 4


def test_no_listing_is_remembered(platform, bucket):
    with rs.ResilientFileSystem([one(platform, bucket)]) as fs:
        fs.write("d/old", b"1")
        assert fs.ls("d", detail=False) == ["d/old"]
        platform.write(bucket, f"{PREFIX}/d/new", b"22")
        platform.write(bucket, f"{PREFIX}/d/old", b"333")
        assert fs.ls("d", detail=False) == ["d/new", "d/old"]
        assert fs.find("") == ["d/new", "d/old"]
        assert (fs.exists("d/new"), fs.info("d/old")["size"]) == (True, 3)
        assert (fs.read("d/new").data, fs.open("d/old").read()) == (b"22", b"333")


# 45, 48


BODIES = {
    "empty": b"",
    "page": b"<!doctype html><title>Bad Gateway</title>" + b"<p>try again</p>" * 100,
    "garbled": b"\xff\xfe\x00\x80" * 50,
}
STATUSES = {
    401: "denied",
    403: "denied",
    404: "unavailable",
    408: "unavailable",
    409: "exists",
    412: "exists",
    429: "throttled",
    499: "unavailable",
    500: "unavailable",
    502: "unavailable",
    503: "throttled",
    504: "unavailable",
}


def test_every_status_means_one_thing_whatever_the_body_says(platform, bucket):
    platform.write(bucket, f"{PREFIX}/photo", DATA)
    with rs.ResilientFileSystem([one(platform, bucket)]) as fs:
        assert fs.exists("photo")
        client = fs.store.clients["one"]
        for status, outcome, body in (
            (status, outcome, body)
            for status, outcome in STATUSES.items()
            for body in BODIES.values()
        ):
            client.health = Health("one", lambda _: None)  # each is the first that it hears
            headers = {"Content-Type": "text/html" if body else "text/plain"}
            platform.proxy.set("status", code=status, body=body, headers=headers)
            with pytest.raises(rs.BackendsUnavailableError) as caught:
                fs.cat_file("photo")
            (reply,) = caught.value.replies
            assert (status, reply.outcome.value) == (status, outcome), (body[:20], reply)
            assert len(reply.detail) < 200
            assert "try again" not in str(caught.value).lower().replace("try again when", "")


# 53


def test_an_emptied_directory_is_gone_for_every_call(s3, gcs, azure):
    backends = [
        backend(platform, platform.new_bucket(), name=platform.family, domain=platform.family)
        for platform in (s3, gcs, azure)
    ]
    with rs.ResilientFileSystem(backends) as fs:
        fs.write("d/e/photo", b"1")
        assert fs.isdir("d/e")
        assert fs.ls("d", detail=False) == ["d/e"]
        fs.rm("d/e/photo")
        assert (fs.exists("d"), fs.isdir("d/e"), fs.find("")) == (False, False, [])
        for call in (fs.ls, fs.rmdir, fs.info):
            with pytest.raises(FileNotFoundError):
                call("d/e")
        assert list(fs.walk("")) == [("", [], [])]


# 48, 54


def test_a_mistyped_option_is_a_mistake_and_no_bad_path(platform, bucket):
    with rs.ResilientFileSystem([one(platform, bucket, write_options={"StorageClas": "x"})]) as fs:
        with pytest.raises(rs.ConfigurationError, match=r"backend one: write_options.*StorageClas"):
            fs.write("photo", DATA)
        assert not fs.exists("photo")


def test_a_denied_write_says_what_to_do_about_it(platform, bucket):
    with rs.ResilientFileSystem([one(platform, bucket)]) as fs:
        assert not fs.exists("photo")
        platform.proxy.deny = lambda line: not line.startswith(("GET", "HEAD"))
        with pytest.raises(rs.InsufficientCopiesError, match="denies the write: give its creden"):
            fs.write("photo", DATA)


# 88


ANSWER = (
    b"HTTP/1.1 200 OK\r\nx-amz-request-id: 1\r\nx-ms-request-id: 1\r\nx-goog-generation: 1\r\n"
    b'ETag: "0x1"\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n'
)
POINTS = {
    "accepted": b"",
    "in the status line": ANSWER[:11],
    "in the headers": ANSWER[:40],
    "before the body": ANSWER,
    "in the body": ANSWER + b"by",
}


@contextlib.contextmanager
def stopping(answer):
    """Serve on loopback: take a request, send the beginning of an answer, and no more."""
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])
                    if answer:
                        held[-1].recv(65536)
                        held[-1].sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for connection in held:
            connection.close()
        thread.join(5)


@pytest.mark.parametrize("point", POINTS)
def test_p6_a_server_that_stops_anywhere_costs_no_more_than_the_deadline(platform, bucket, point):
    platform.write(bucket, f"{PREFIX}/photo", DATA)
    with stopping(POINTS[point]) as url:
        options = platform.storage_options()
        there = {name: str(v).replace(platform.proxy.url, url) for name, v in options.items()}
        silent = rs.Backend(
            platform.url(bucket),
            name="silent",
            domain="silent",
            storage_options={**options, **there},
            timeout=1.0,
        )
        with rs.ResilientFileSystem(
            [silent, one(platform, bucket)],
            write_once="unique-names",
            write=rs.WriteToAll(min_copies=1),
        ) as fs:
            began_s = time.monotonic()
            assert fs.read("photo").data == DATA
            assert fs.write("new", os.urandom(MIB)).copies == ("one",)
            assert time.monotonic() - began_s < 6.0
    assert until(lambda: platform.proxy.live == 0)


# 16, 111


FAULTS = [
    ("status", {"code": 401}),
    ("status", {"code": 403}),
    ("status", {"code": 500}),
    ("captive", {}),
    ("reset", {"after": 0}),
    ("truncate", {"after": 10}),
    ("refuse", {}),
    ("blackhole", {}),
]


def test_no_credential_is_in_what_is_raised_logged_or_printed(platform, bucket, caplog):
    caplog.set_level(logging.INFO)  # what botocore says to who debugs it is botocore's own
    caplog.set_level(logging.DEBUG, logger="resilient_store")
    states, said = [], []
    limited = one(platform, bucket, timeout=1.5)
    with rs.ResilientFileSystem([limited], on_backend_state=states.append) as fs:
        warm_up(fs)
        fs.write("photo", DATA)
        calls = (
            *(lambda: fs.read("photo"), lambda: fs.info("photo"), lambda: fs.ls("")),
            *(lambda: fs.write("new", DATA), lambda: fs.rm("photo"), lambda: rs.sweep(fs)),
        )
        for mode, how in FAULTS:
            platform.proxy.set(mode, **how)
            for call in calls[::3] if mode == "blackhole" else calls:  # each takes its time-out
                fs.store.clients["one"].health = Health("one", lambda _: None)
                try:
                    said.append(repr(call()))
                except rs.ObjectError as error:
                    said += traceback.format_exception(error)
                    said += [repr(error), repr(error.replies), repr(pickle.dumps(error))]
        said += [repr(fs), repr(limited), repr(fs.store), repr(fs.store.clients)]
    everything = "\n".join([*said, caplog.text, repr(states)])
    assert len(said) > 4 * len(FAULTS)
    for name, secret in canaries.SECRETS.items():
        assert secret not in everything, name
