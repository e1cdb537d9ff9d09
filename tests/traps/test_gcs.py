"""Bugs of clients of Google Cloud Storage, asked of ours.

The server is one that does what the documentation says; tests make it do the worst of that.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
import os
import random
import time

import pytest
from gcsfs.core import GCSFileSystem
from google.oauth2.credentials import Credentials

import resilient_store as rs
from resilient_store.backends.classify import classify
from resilient_store.backends.opening import opener
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome
from tests.backends.documented_gcs import GRAIN, DocumentedGcs, subject_at
from tests.servers import canaries
from tests.servers.ports import free_port
from tests.servers.proxy import FaultProxy
from tests.servers.subjects import PREFIX, backend

NONE = Headers()
OK, DENIED, UNAVAILABLE, TIMED_OUT = (
    Outcome.OK,
    Outcome.DENIED,
    Outcome.UNAVAILABLE,
    Outcome.TIMED_OUT,
)


@pytest.fixture(scope="module")
def running_google():
    with DocumentedGcs() as server:
        yield server


@pytest.fixture
def google(running_google):
    running_google.heal()
    return running_google


@pytest.fixture
def subject(google, run):
    family = run(opener(google.backend(google.new_bucket()), "gcs")())
    yield subject_at(google, family, run)
    run(family.close())


@pytest.fixture
def bucket(gcs):
    return gcs.new_bucket()


@pytest.fixture
def fake(gcs, bucket, open_on):
    return open_on(gcs, bucket)


def sent(subject, *parts: bytes):
    """Upload parts; return the outcome, and whatever it was that failed."""
    upload = subject.run(subject.family.upload("key", exclusive=False, headers=NONE))
    for part in parts:
        outcome, said = subject.outcome(upload.write(part))
        if outcome is not OK:
            subject.run(upload.abort())
            return outcome, said
    outcome, said = subject.outcome(upload.finish())
    if outcome is not OK:
        subject.run(upload.abort())
    return outcome, said


SIZES = (GRAIN, GRAIN + 1, 2 * GRAIN - 1, 2 * GRAIN, 5 * GRAIN + 21)


@pytest.mark.parametrize("seed", range(6))
def test_what_a_server_keeps_of_a_chunk_is_where_the_next_one_begins(google, subject, seed):
    """It keeps some multiple of 256 KiB of each, and at least one."""
    chance = random.Random(seed)

    def keep(offered: int) -> int:
        grains = offered // GRAIN
        return offered if grains == 0 else chance.choice([offered, *range(GRAIN, offered, GRAIN)])

    google.keep = keep
    for size in SIZES:
        parts = [os.urandom(size), os.urandom(chance.choice(SIZES)), os.urandom(3)]
        outcome, said = sent(subject, *parts)
        assert outcome is OK, said
        assert subject.read("key") == b"".join(parts), (size, seed)
    assert any(headers.get("Content-Range") for *_, headers in google.log)


@pytest.mark.parametrize(
    ("says_kept", "requests"),
    [
        pytest.param(lambda kept: None, 1, id="nothing"),
        pytest.param(lambda kept: f"bytes=0-{kept}", 2, id="one more"),
        pytest.param(lambda kept: f"bytes=0-{kept + GRAIN - 1}", 2, id="all"),
        pytest.param(lambda kept: f"bytes=0-{kept + GRAIN}", 1, id="more than was sent"),
        pytest.param(lambda kept: f"bytes=1-{kept - 1}", 1, id="not from the start"),
        pytest.param(lambda kept: "lots", 1, id="nonsense"),
    ],
)
def test_a_server_that_contradicts_itself_ends_the_upload(google, subject, says_kept, requests):
    data = os.urandom(2 * GRAIN)
    subject.write("key", b"old")
    google.keep = lambda offered: min(offered, GRAIN)
    google.says_kept = says_kept
    outcome, said = sent(subject, data, data, b"!")
    assert outcome is TIMED_OUT, said
    assert subject.read("key") == b"old"
    assert sum(method == "PUT" for method, *_ in google.log) == requests


def test_a_server_that_loses_what_it_had_ends_the_upload(google, subject):
    google.says_kept = lambda kept: f"bytes=0-{min(kept, GRAIN) - 1}"
    outcome, said = sent(subject, os.urandom(GRAIN), os.urandom(2 * GRAIN), b"!")
    assert outcome is TIMED_OUT, said
    assert subject.read("key") is None
    assert sum(method == "PUT" for method, *_ in google.log) == 2


@pytest.mark.parametrize("ended", [(404, "notFound"), (410, "gone")])
def test_a_session_that_has_ended_ends_the_upload(google, subject, ended):
    """What an earlier request has done to it, nobody can say any more."""
    google.ended = ended
    upload = subject.upload("key", os.urandom(GRAIN))
    google.sessions.clear()
    assert subject.outcome(upload.write(os.urandom(GRAIN)))[0] is not OK
    assert subject.outcome(upload.finish())[0] is TIMED_OUT
    subject.run(upload.abort())


def test_an_upload_that_ends_before_its_last_chunk_is_no_success(gcs, fake):
    """A portal's page says so, with the right status."""
    upload = fake.upload("key", os.urandom(GRAIN))
    gcs.proxy.set("captive", match="^PUT", times=1)
    assert fake.outcome(upload.write(os.urandom(GRAIN)))[0] is TIMED_OUT
    fake.run(upload.abort())


def test_a_server_that_keeps_ever_less_is_not_asked_without_end(google, subject):
    google.keep = lambda offered: GRAIN
    outcome, _ = sent(subject, os.urandom(40 * GRAIN))
    assert outcome is TIMED_OUT
    assert sum(method == "PUT" for method, *_ in google.log) < 20


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_chunk_whose_answer_was_lost_is_not_sent_again(google, subject, every):
    """The write fails, or nothing is wrong with what is stored."""
    subject.write("key", b"old")
    chunks = itertools.count(1)
    google.loses = lambda request: request.method == "PUT" and next(chunks) % every == 0
    parts = [os.urandom(GRAIN), os.urandom(GRAIN), b"end"]
    outcome, said = sent(subject, *parts)
    assert outcome is TIMED_OUT, said
    puts = [headers["Content-Range"] for method, _, _, headers in google.log if method == "PUT"]
    assert len(puts) == len(set(puts)) == every
    assert subject.read("key") == (b"".join(parts) if every == 3 else b"old")


@pytest.mark.parametrize("way", ["put", "upload"])
def test_a_body_that_was_read_is_not_followed_by_an_empty_one(google, subject, way):
    """Also where the connection was in use before, and breaks only now."""
    subject.ask("list", "", recursive=True)
    google.log.clear()
    google.loses = lambda request: request.method in ("POST", "PUT")
    if way == "put":
        assert subject.put("key", b"bytes")[0] is TIMED_OUT
        assert subject.read("key") == b"bytes"
    else:
        assert sent(subject, os.urandom(GRAIN))[0] is TIMED_OUT
        assert subject.read("key") is None
    assert len(google.log) == 1


PIECES = (0, 1, 21, GRAIN - 1, GRAIN, GRAIN + 1)


@pytest.mark.parametrize("server", ["subject", "fake"])
@pytest.mark.parametrize("size", PIECES)
def test_pieces_of_every_size_make_chunks_that_google_takes(request, server, size):
    subject = request.getfixturevalue(server)
    for others in ((), (1,), (GRAIN,), (GRAIN - 1, 21)):
        parts = [os.urandom(one) for one in (size, *others)]
        outcome, said = sent(subject, *parts)
        assert outcome is OK, (size, others, said)
        assert subject.read("key") == b"".join(parts)


@pytest.mark.parametrize("has_length", [True, False])
@pytest.mark.parametrize(("start", "end"), [(None, None), (10, 60_000), (-50_000, None)])
def test_p4_a_download_that_ends_early_hands_out_nothing(gcs, fake, has_length, start, end):
    fake.put("key", os.urandom(100_000))

    def cut(line, head, body):
        if has_length:
            return None
        lines = [x for x in head.split(b"\r\n") if not x.lower().startswith(b"content-length")]
        lines.insert(1, b"Connection: close")
        return b"\r\n".join(lines), body[: len(body) // 2]

    if has_length:
        gcs.proxy.set("truncate", after=1000)
    else:
        gcs.proxy.set("rewrite", answer=cut)
    outcome, said = fake.ask("get", "key", start, end)
    if outcome is OK:  # the caller sees that it is short, by what the answer says of the whole
        assert start is not None
        assert said.size == 100_000
    else:
        assert outcome in (Outcome.CORRUPT, UNAVAILABLE), said


@pytest.mark.parametrize("verb", ["read", "range", "stream"])
def test_p4_a_download_that_ends_early_goes_on_elsewhere(gcs, tmp_path, verb):
    data = os.urandom(100_000)
    photos = gcs.new_bucket()
    (tmp_path / "photo").write_bytes(data)
    gcs.write(photos, f"{PREFIX}/photo", data)
    stores = [backend(gcs, photos, name="one"), rs.Backend(str(tmp_path), name="two")]
    with rs.ResilientFileSystem(stores) as fs:
        gcs.proxy.set("truncate", after=1000)
        if verb == "read":
            assert fs.read("photo").backend == "two"
            assert fs.cat_file("photo") == data
        elif verb == "range":
            assert fs.cat_file("photo", start=5, end=50_000) == data[5:50_000]
        else:
            with fs.open("photo", block_size=30_000) as file:
                assert file.read() == data


PAGES = (b"<html>\n" + b"<p>overload" * 9000, b"", b"\xff\xfe\x00 overload")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_page_of_an_overloaded_server_is_an_outage(gcs, fake, status):
    fake.put("key", b"bytes")
    for page in PAGES:
        gcs.proxy.set("status", code=status, body=page, headers={"Content-Type": "text/html"})
        for call in (
            lambda: fake.ask("get", "key", None, None),
            lambda: fake.ask("info", "key"),
            lambda: fake.put("key", b"other"),
        ):
            outcome, error = call()
            assert outcome in (UNAVAILABLE, Outcome.THROTTLED, TIMED_OUT)
            detail = classify(error, changing=False)[1]
            assert detail == f"status {status}"
            assert b"overload" not in str(error).encode()


@pytest.mark.parametrize("direction", ["there", "back"])
def test_p4_a_byte_that_changes_on_its_way_is_noticed_by_default(google, subject, direction):
    def spoiled(data: bytes) -> bytes:
        return bytes([data[0] ^ 128]) + data[1:] if data else data

    if direction == "there":
        google.arrives_as = spoiled
        assert subject.put("key", b"bytes")[0] is Outcome.CORRUPT
        assert sent(subject, os.urandom(GRAIN))[0] is Outcome.CORRUPT
        assert subject.read("key") is None
    else:
        subject.put("key", b"bytes")
        google.leaves_as = spoiled
        assert subject.ask("get", "key", None, None)[0] is Outcome.CORRUPT


# A token that has ended, and whoever should give another one

ENDED = dt.datetime(2020, 1, 1)  # noqa: DTZ001 - google-auth's times have no zone


@pytest.fixture
def tokens():
    with FaultProxy(free_port()) as server:  # before nobody: it answers by itself
        yield server


def backend_with(gcs, bucket, credentials, **options):
    theirs = GCSFileSystem(**{**gcs.storage_options(), "token": credentials})
    return rs.Backend(theirs, root=f"{bucket}/{PREFIX}", name="gone", timeout=1.0, **options)


def renewable(tokens) -> Credentials:
    return Credentials(
        canaries.GCS_TOKEN,
        expiry=ENDED,
        refresh_token="x",
        client_id="x",
        client_secret="x",
        token_uri=f"{tokens.url}/token",
    )


ANSWERS = {
    "cannot": ({}, DENIED),
    "no": ({"mode": "status", "code": 400, "body": b'{"error": "invalid_grant"}'}, DENIED),
    "nobody": ({"mode": "refuse"}, UNAVAILABLE),
    "silence": ({"mode": "blackhole"}, TIMED_OUT),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_token_that_cannot_be_renewed_is_denied_at_once(gcs, bucket, tokens, answer):
    """And the loop goes on meanwhile, whatever the one who gives tokens does."""
    fault, expected = ANSWERS[answer]
    if fault:
        tokens.set(**fault)
        credentials = renewable(tokens)
    else:
        credentials = Credentials(canaries.GCS_TOKEN, expiry=ENDED)
    store = [backend_with(gcs, bucket, credentials)]
    pauses = []

    async def watch():
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(0.01)
            pauses.append(time.monotonic() - before_s)

    async def read():
        fs = rs.ResilientFileSystem(store, asynchronous=True)
        watching = asyncio.create_task(watch())
        began_s = time.monotonic()
        with pytest.raises(rs.BackendsUnavailableError) as caught:
            await fs._cat_file("photo")
        took_s = time.monotonic() - began_s
        watching.cancel()
        await fs._close()
        return caught.value, took_s

    error, took_s = asyncio.run(read())
    (reply,) = error.replies
    assert reply.outcome is expected, reply
    assert took_s < 3.5
    assert max(pauses, default=0) < 0.5
    assert canaries.GCS_TOKEN not in str(error)
    assert [one for one in gcs.proxy.log if "photo" in one.path] == []


def test_reads_go_on_elsewhere_when_a_token_has_ended(gcs, bucket, tokens, tmp_path):
    tokens.set("status", code=400, body=b'{"error": "invalid_grant"}')
    (tmp_path / "photo").write_bytes(b"bytes")
    two = rs.Backend(str(tmp_path), name="two")
    with rs.ResilientFileSystem([backend_with(gcs, bucket, renewable(tokens)), two]) as fs:
        for _ in range(10):
            assert fs.read("photo").backend == "two"
        assert len(tokens.log) <= 12  # a breaker has opened, and nobody tries in vain


def test_a_token_that_is_renewed_is_asked_for_once(gcs, bucket, tokens, run):
    new = {"access_token": canaries.GCS_TOKEN, "expires_in": 3600, "token_type": "Bearer"}
    tokens.set("status", code=200, body=json.dumps(new).encode(), headers={})
    gcs.write(bucket, f"{PREFIX}/photo", b"bytes")
    family = run(opener(backend_with(gcs, bucket, renewable(tokens)), "gone")())

    async def read_at_once():
        reads = [family.get("photo", None, None, lambda _: None) for _ in range(20)]
        return [body.data for body in await asyncio.gather(*reads)]

    assert run(read_at_once()) == [b"bytes"] * 20
    assert len(tokens.log) == 1
    run(family.close())


def test_a_token_that_is_none_is_denied(gcs, bucket, monkeypatch):
    """The filesystem finds out when it is made."""

    def refuse(token):
        raise ValueError(f"Provided token is either not valid, or expired: {token}")

    monkeypatch.setattr("gcsfs.credentials._get_creds_from_raw_token", refuse)
    with rs.ResilientFileSystem([backend(gcs, bucket, name="one")]) as fs:
        with pytest.raises(rs.BackendsUnavailableError) as caught:
            fs.read("photo")
        (reply,) = caught.value.replies
        assert (reply.outcome, reply.detail) == (DENIED, "authError 401")


STATUSES = {
    401: (DENIED, DENIED),
    403: (DENIED, DENIED),
    404: (UNAVAILABLE, TIMED_OUT),
    408: (UNAVAILABLE, TIMED_OUT),
    409: (Outcome.EXISTS, Outcome.EXISTS),
    412: (Outcome.EXISTS, Outcome.EXISTS),
    416: (OK, Outcome.REFUSED),
    429: (Outcome.THROTTLED, Outcome.THROTTLED),
    499: (UNAVAILABLE, TIMED_OUT),
    500: (UNAVAILABLE, TIMED_OUT),
    502: (UNAVAILABLE, TIMED_OUT),
    503: (Outcome.THROTTLED, TIMED_OUT),
    504: (UNAVAILABLE, TIMED_OUT),
}


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_means_the_same_whoever_words_it(gcs, fake, status):
    """Here it has no words at all."""
    fake.put("key", b"bytes")
    reading, writing = STATUSES[status]
    gcs.proxy.set("status", code=status, body=b"")
    if status != 416:  # of which the metadata knows more
        for call in (("info", "key"), ("get", "key", None, None), ("get", "key", 1, 3)):
            assert fake.ask(*call)[0] is reading, call
        assert fake.ask("list", "", recursive=True)[0] is reading
    assert fake.put("key", b"other")[0] is writing
    assert fake.ask("delete", "key")[0] is writing
    assert sent(fake, os.urandom(GRAIN))[0] is writing
    gcs.proxy.set("pass")
    assert fake.read("key") == b"bytes"


def test_a_denied_call_names_the_permission_that_it_takes(gcs, fake):
    fake.put("key", b"bytes")
    gcs.proxy.set("status", code=403, body=b"")
    for call, right in (
        (("info", "key"), "objects.get"),
        (("get", "key", None, None), "objects.get"),
        (("delete", "key"), "objects.delete"),
    ):
        assert right in classify(fake.ask(*call)[1], changing=False)[1]
    assert "objects.list" in classify(fake.ask("list", "", recursive=True)[1], changing=False)[1]
    for error in (
        fake.put("key", b"other")[1],
        sent(fake, os.urandom(GRAIN))[1],
        fake.ask("publish", "key", "new", expected=None)[1],
    ):
        assert "objects.create" in classify(error, changing=True)[1]
