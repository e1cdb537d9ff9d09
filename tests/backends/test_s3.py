"""S3: the suite that all families pass, and what is special about this one."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import hashlib
import os
import pickle
import re

import pytest
import s3fs

import resilient_store as rs
from resilient_store.backends.classify import classify
from resilient_store.backends.families import flat, s3_copies, s3_parts
from resilient_store.backends.opening import opener
from resilient_store.io.parts import part_bytes
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome
from resilient_store.testing.conformance import BackendConformance, skipped
from tests.servers.ending import complaints_of_a_program
from tests.servers.subjects import PREFIX, backend

MIB = 1024 * 1024
NONE = Headers()
LATER = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def bucket(s3):
    return s3.new_bucket()


@pytest.fixture
def subject(s3, bucket, open_on):
    return open_on(s3, bucket)


@pytest.fixture
def by_rclone(rclone_s3, open_on):
    return open_on(rclone_s3, rclone_s3.new_bucket())


class TestS3(BackendConformance):
    @pytest.fixture
    def subject(self, subject):
        return subject


@pytest.mark.matrix
class TestRclone(BackendConformance):
    """A server that takes no conditions, keeps no headers, and keeps directories."""

    @pytest.fixture
    def subject(self, by_rclone):
        return by_rclone

    @pytest.mark.skip(reason="rclone overwrites: see the probe below")
    def test_a_second_creation_is_refused(self):
        pass

    @pytest.mark.skip(reason="rclone holds its objects as files, in directories")
    def test_a_file_and_something_below_it_can_both_be(self):
        pass

    @pytest.mark.skip(reason="names on the disk below rclone are shorter")
    def test_odd_names_are_plain_names(self):
        pass

    @pytest.mark.skip(reason="rclone forgets some headers")
    def test_headers_are_given_back_where_they_are_kept(self):
        pass


def test_no_more_is_left_out_than_s3_cannot_do(subject):
    assert set(skipped(subject)) == {
        "test_deleting_on_a_condition_hits_only_that_object",
        "test_of_many_creators_one_wins",
        "test_directories_exist_by_themselves",
        "test_a_directory_with_something_in_it_stays",
        "test_a_file_and_something_below_it_clash",
    }


def test_a_creation_carries_its_condition_and_its_digest(s3, subject):
    subject.put("key", b"bytes", exclusive=True)
    (put,) = [one for one in s3.proxy.log if one.method == "PUT"]
    assert put.headers["if-none-match"] == "*"
    assert put.headers["content-md5"]
    subject.put("key", b"other")
    assert "if-none-match" not in s3.proxy.log[-1].headers


@pytest.mark.parametrize(("server", "keeps"), [("s3", True), ("rclone_s3", False)])
def test_the_probe_tells_who_keeps_a_creation_exclusive(request, server, keeps):
    platform = request.getfixturevalue(server)
    one = backend(platform, platform.new_bucket(), name="one")
    with rs.ResilientFileSystem([one], write_once=True) as fs:
        if keeps:
            fs.write("photo", b"bytes")
            assert fs.write("photo", b"bytes").copies == ("one",)
            with pytest.raises(FileExistsError):
                fs.write("photo", b"other")
            probes = [r for r in platform.proxy.log if "probe-" in r.path and r.method == "PUT"]
            assert len(probes) == 2, "once per backend"
        else:
            with pytest.raises(rs.ConfigurationError, match="one lets a second creation"):
                fs.write("photo", b"bytes")


def test_of_many_creators_one_wins_where_one_server_of_two_keeps_to_conditions(s3, rclone_s3):
    """The one that ignores them stands first, and does not decide."""
    backends = [
        backend(platform, platform.new_bucket(), name=name, domain=name)
        for platform, name in ((rclone_s3, "ignores"), (s3, "keeps"))
    ]

    async def create_many():
        fs = rs.ResilientFileSystem(backends, asynchronous=True)
        calls = [fs._write("photo", b"%d" % number, mode="create") for number in range(8)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        lies_there = await fs._cat_file("photo")
        await fs._close()
        return found, lies_there

    found, lies_there = asyncio.run(create_many())
    won = [n for n, one in enumerate(found) if isinstance(one, rs.WriteReceipt)]
    assert len(won) == 1
    others = [type(one) for n, one in enumerate(found) if n not in won]
    assert others == [FileExistsError] * 7, found
    assert lies_there == b"%d" % won[0]


def test_compressed_bytes_come_back_as_they_were_stored(subject):
    packed = gzip.compress(b"much text" * 100)
    subject.put("key", packed, Headers(content_encoding="gzip"))
    assert subject.ask("get", "key", None, None)[1].data == packed
    assert subject.ask("get", "key", 1, 9)[1].data == packed[1:9]


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"camera": "M3", "a.b-c_d": "x y"},
        {"Camera": "Ü", "empty": "", "é": " 日 "},
        {"resilientmetadata": "mine"},
    ],
)
def test_metadata_comes_back_as_it_was_given(subject, metadata):
    subject.put("key", b"1", Headers(content_type="text/plain", metadata=metadata))
    found = subject.ask("info", "key")[1].headers
    assert (found.content_type, found.metadata) == ("text/plain", metadata)


def test_no_type_reads_as_no_type(subject):
    for content_type in (None, "application/octet-stream"):
        subject.put("key", b"1", Headers(content_type=content_type))
        assert subject.ask("info", "key")[1].headers.content_type == content_type


def test_a_field_that_no_header_can_carry_is_refused(subject):
    outcome, said = subject.put("key", b"1", Headers(content_disposition='filename="ü"'))
    assert outcome is Outcome.REFUSED
    assert "filename*" in str(said)


def test_p4_a_flipped_bit_is_no_body(s3, subject):
    subject.put("key", os.urandom(1000))
    for at in (0, 999):
        s3.proxy.set("flip", at=at)
        assert subject.ask("get", "key", None, None)[0] is Outcome.CORRUPT


def test_a_tag_that_is_no_digest_of_the_bytes_is_not_taken_for_one(s3, subject):
    """Of parts, or of what a key service encrypted: neither is the MD5 of the bytes."""
    upload = subject.upload("parts", os.urandom(5 * MIB), b"more")
    assert subject.outcome(upload.finish())[0] is Outcome.OK
    assert subject.tag("parts").endswith("-2")
    assert len(subject.ask("get", "parts", None, None)[1].data) == 5 * MIB + 4
    subject.put("key", b"bytes")
    tag = hashlib.md5(b"bytes").hexdigest().encode()

    def encrypted(_, head, body):
        head = head.replace(tag, b"0" * 32)
        head = head.replace(b"\r\n\r\n", b"\r\nx-amz-server-side-encryption: aws:kms\r\n\r\n")
        return head, body

    s3.proxy.set("rewrite", answer=encrypted)
    assert subject.ask("get", "key", None, None)[1].data == b"bytes"


def test_an_upload_goes_in_parts_of_the_size_that_s3_wants(s3, subject):
    data = os.urandom(11 * MIB)
    upload = subject.upload("key", data[: 3 * MIB], data[3 * MIB : 6 * MIB], data[6 * MIB :])
    assert subject.outcome(upload.finish())[0] is Outcome.OK
    assert subject.read("key") == data
    sizes = [int(r.headers["content-length"]) for r in s3.proxy.log if "partNumber" in r.path]
    assert sizes == [6 * MIB, 5 * MIB]


def test_an_exclusive_upload_that_lost_leaves_nothing(s3, subject):
    subject.write("key", b"theirs")
    upload = subject.upload("key", os.urandom(5 * MIB), b"more", exclusive=True)
    assert subject.outcome(upload.finish())[0] is Outcome.EXISTS
    subject.run(upload.abort())
    assert subject.read("key") == b"theirs"
    assert subject.run(subject.family.abandon_uploads(LATER)) == []


def test_more_parts_than_s3_takes_are_refused(monkeypatch, subject):
    monkeypatch.setattr(s3_parts, "MOST_PARTS", 1)
    upload = subject.upload("key", os.urandom(5 * MIB))
    assert subject.outcome(upload.write(os.urandom(5 * MIB)))[0] is Outcome.REFUSED
    subject.run(upload.abort())
    assert subject.names() == []


def test_a_large_object_is_published_in_parts_with_its_headers(monkeypatch, s3, subject):
    monkeypatch.setattr(s3_copies, "LARGEST_COPY_BYTES", 8 * MIB)
    monkeypatch.setattr(s3_copies, "COPY_PART_BYTES", 5 * MIB)
    data = os.urandom(11 * MIB)
    headers = Headers(content_type="image/jpeg", metadata={"owner": "ana"})
    staged = ".resilient/staging/1-a/key"
    subject.put(staged, data, headers)
    outcome, stored = subject.ask("publish", staged, "key", expected=None, size=len(data))
    assert (outcome, subject.names(), subject.read("key")) == (Outcome.OK, ["key"], data)
    assert subject.ask("info", "key")[1].headers == headers
    assert stored.tag == subject.tag("key")
    assert sum("uploadId" in r.path and r.method == "PUT" for r in s3.proxy.log) == 3


def test_an_upload_that_nobody_finished_is_aborted_by_a_sweep(s3, bucket, subject):
    subject.upload("d/key", os.urandom(5 * MIB))  # and its process is killed
    client = s3.bare()
    client.call_s3("create_multipart_upload", Bucket=bucket, Key="elsewhere/key")
    early = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    assert subject.run(subject.family.abandon_uploads(early)) == []
    with rs.ResilientFileSystem([backend(s3, bucket, name="one")]) as fs:
        for dry_run in (True, False):  # what was only said is still there
            swept = rs.sweep(fs, older_than=0, dry_run=dry_run)
            assert swept.removed == {"one": ("d/key",)}
    left = client.call_s3("list_multipart_uploads", Bucket=bucket)["Uploads"]
    assert [one["Key"] for one in left] == ["elsewhere/key"]


def test_a_sweep_lists_no_objects(s3, bucket):
    with rs.ResilientFileSystem([backend(s3, bucket, name="one")]) as fs:
        fs.pipe_file("photos/cat.jpg", b"all of the cat")
        assert rs.sweep(fs, older_than=0).removed == {"one": ()}
    listings = [r.path for r in s3.proxy.log if "list-type" in r.path]
    assert [one for one in listings if "photos" not in one and "resilient" not in one] == []
    assert any("prefix=" in one and ".resilient" in one for one in listings)


def test_a_listing_goes_on_to_its_last_page(monkeypatch, s3, subject):
    monkeypatch.setattr(flat, "PAGE_KEYS", 3)
    expected = {f"d/{number}" for number in range(10)}
    for name in expected:
        subject.write(name, b"")
    found = subject.ask("list", "d", recursive=False)[1]
    assert {info.key for info in found} == expected
    assert sum("list-type" in r.path for r in s3.proxy.log) == 4


def test_a_directorys_marker_is_a_directory_and_no_object(subject):
    subject.write("d/", b"")
    subject.write("e/f/", b"")
    assert [i.key for i in subject.ask("list", "", recursive=False)[1]] == ["d", "e"]
    assert all(i.directory for i in subject.ask("list", "", recursive=True)[1])
    assert subject.ask("list", "d", recursive=False) == (Outcome.OK, [])
    assert subject.ask("info", "d")[1].directory


def test_an_absent_key_asks_once_and_then_for_the_bucket_now_and_then(s3, subject):
    for number in range(30):
        assert subject.ask("get", f"absent-{number}", None, None)[0] is Outcome.NOT_FOUND
    lists = [number for number, r in enumerate(s3.proxy.log) if "list-type" in r.path]
    assert lists == [1, 23]


def test_a_signed_url_reads_without_credentials(s3, subject):
    subject.put("key", b"bytes")
    outcome, url = subject.ask("sign", "key", 60)
    assert outcome is Outcome.OK
    host, _, path = url.removeprefix("http://").partition("/")
    import http.client

    connection = http.client.HTTPConnection(host, timeout=5)
    connection.request("GET", f"/{path}")
    assert connection.getresponse().read() == b"bytes"
    connection.close()


def test_write_options_go_with_every_write(s3, bucket, open_on):
    subject = open_on(s3, bucket, write_options={"StorageClass": "STANDARD_IA"})
    subject.put("put", b"1")
    subject.run(subject.upload("upload", os.urandom(5 * MIB), b"1").finish())
    subject.put(".resilient/staging/1-a/key", b"1")
    subject.ask("publish", ".resilient/staging/1-a/key", "published", expected=None)
    client = s3.bare()
    for key in ("put", "upload", "published"):
        found = client.call_s3("head_object", Bucket=bucket, Key=f"{PREFIX}/{key}")
        assert found["StorageClass"] == "STANDARD_IA"
    mistyped = open_on(s3, bucket, write_options={"StorageClas": "STANDARD_IA"})
    outcome, said = mistyped.put("key", b"1")
    assert (outcome, "StorageClas" in str(said)) == (Outcome.REFUSED, True)


@pytest.mark.parametrize("verb", ["info", "get", "list", "put", "delete", "upload", "publish"])
def test_a_portals_page_is_no_answer(s3, subject, verb):
    subject.put("key", b"bytes")
    subject.put("staged", b"bytes")
    s3.proxy.set("captive")
    calls = {
        "info": lambda: subject.ask("info", "key"),
        "get": lambda: subject.ask("get", "key", None, None),
        "list": lambda: subject.ask("list", "", recursive=True),
        "put": lambda: subject.put("key", b"other"),
        "delete": lambda: subject.ask("delete", "key"),
        "upload": lambda: subject.outcome(
            subject.run(subject.family.upload("key", exclusive=False, headers=NONE)).write(
                os.urandom(5 * MIB)
            )
        ),
        "publish": lambda: subject.ask("publish", "staged", "key", expected=None),
    }
    outcome, _ = calls[verb]()
    changing = verb not in ("info", "get", "list")
    assert outcome in ((Outcome.TIMED_OUT,) if changing else (Outcome.UNAVAILABLE,))


def test_a_write_whose_answer_lacks_the_tag_is_looked_at(s3, subject):
    def without_tag(line, head, body):
        if not line.startswith("PUT"):
            return None
        return b"\r\n".join(
            x for x in head.split(b"\r\n") if not x.lower().startswith(b"etag")
        ), b""

    s3.proxy.set("rewrite", answer=without_tag)
    outcome, stored = subject.put("key", b"bytes")
    assert (outcome, stored.tag) == (Outcome.OK, hashlib.md5(b"bytes").hexdigest())
    s3.proxy.set("captive", match="^PUT")
    subject.write("key", b"theirs")
    assert subject.put("key", b"bytes")[0] is Outcome.TIMED_OUT


def test_a_users_filesystem_is_a_recipe_for_a_private_one(s3, bucket, run):
    theirs = s3fs.S3FileSystem(**s3.storage_options(), asynchronous=False)
    theirs.pipe_file(f"{bucket}/{PREFIX}/key", b"bytes")
    given = rs.Backend(theirs, root=f"{bucket}/{PREFIX}")
    for made in (given, pickle.loads(pickle.dumps(given))):
        family = run(opener(made, "one")())
        assert family._fs is not theirs
        assert not family._fs.dircache.use_listings_cache
        assert run(family.info("key")).size == 5
        config = family._client.meta.config
        assert config.retries["total_max_attempts"] == 1
        assert config.max_pool_connections > given.max_concurrency
        run(family.close())


def test_an_instance_and_a_url_of_one_bucket_are_one_place(s3, bucket):
    theirs = s3fs.S3FileSystem(**s3.storage_options())
    one = rs.Backend(theirs, root=f"{bucket}/{PREFIX}", name="one")
    with pytest.raises(rs.ConfigurationError, match="one place"):
        rs.ResilientFileSystem([one, backend(s3, bucket, name="two")])
    with pytest.raises(rs.ConfigurationError, match="root="):
        rs.ResilientFileSystem([rs.Backend(theirs)])
    with pytest.raises(rs.ConfigurationError, match="names no bucket"):
        rs.ResilientFileSystem(["s3://"])


@pytest.mark.parametrize("how", ["closed", "open", "dropped", "async closed", "async open"])
def test_a_process_ends_in_peace(s3, bucket, how):
    assert complaints_of_a_program(s3, bucket, how) == ""


def test_a_write_whose_answer_was_lost_is_not_sent_again(rclone_s3, by_rclone):
    """The second one would fail on the condition that the first one has met."""
    by_rclone.put("warm", b"1")
    rclone_s3.proxy.log.clear()
    rclone_s3.proxy.set("reset", after=0, match="^PUT", times=1)
    assert by_rclone.put("key", b"bytes", exclusive=True)[0] is Outcome.TIMED_OUT
    assert [request.method for request in rclone_s3.proxy.log] == ["PUT"]
    assert by_rclone.read("key") == b"bytes"


def test_an_error_that_botocore_makes_of_a_broken_answer_may_have_been_carried_out(s3, subject):
    """It says "could not connect" of a connection that broke after the request was delivered."""
    subject.put("key", b"old")
    s3.proxy.set("reset", after=0)
    outcome, error = subject.put("key", b"new")
    assert outcome is Outcome.TIMED_OUT, error
    assert subject.read("key") == b"new"
    assert classify(error, changing=False)[0] is Outcome.UNAVAILABLE
    s3.proxy.set("refuse")
    assert subject.put("key", b"newer")[0] is Outcome.UNAVAILABLE


# --- what fails in between ------------------------------------------------------------------


def test_a_head_and_a_get_that_differ_say_nothing_of_the_key(s3, subject):
    subject.put("key", b"bytes")
    s3.proxy.set("status", code=404, match="^HEAD")
    assert subject.ask("info", "key")[0] is Outcome.UNAVAILABLE


def test_p4_the_tag_of_other_bytes_is_no_success(s3, subject):
    """Neither of an object, nor of a part."""

    def another(_, head, body):
        return re.sub(rb"[0-9a-f]{32}", b"0" * 32, head), body

    s3.proxy.set("rewrite", answer=another, match="^PUT")
    assert subject.put("key", b"bytes")[0] is Outcome.CORRUPT
    upload = subject.run(subject.family.upload("key", exclusive=False, headers=NONE))
    assert subject.outcome(upload.write(os.urandom(5 * MIB)))[0] is Outcome.CORRUPT
    subject.run(upload.abort())


def test_a_portals_tag_is_no_tag(s3, subject):
    """Pages have ETags, too; botocore looks only at those that are not empty."""
    page = {"ETag": '"5e7b0c2a-264"', "Content-Type": "text/html"}
    s3.proxy.set("status", code=200, body=b"", headers=page, match="^PUT")
    assert subject.put("key", b"bytes")[0] is Outcome.TIMED_OUT
    upload = subject.run(subject.family.upload("key", exclusive=False, headers=NONE))
    assert subject.outcome(upload.write(os.urandom(5 * MIB)))[0] is Outcome.TIMED_OUT
    subject.run(upload.abort())
    assert subject.names() == []


def test_a_copy_without_a_tag_is_no_publication(s3, subject):
    subject.put("staged", b"bytes")

    def without(_, head, body):
        return head, re.sub(rb"<ETag>.*?</ETag>", lambda found: b" " * len(found[0]), body)

    s3.proxy.set("rewrite", answer=without, match="^PUT")
    assert subject.ask("publish", "staged", "key", expected=None)[0] is Outcome.TIMED_OUT
    assert "staged" in subject.names()


@pytest.mark.parametrize("abort_fails", [False, True])
def test_a_large_copy_that_fails_leaves_no_parts_and_tells_its_own_error(
    monkeypatch, s3, subject, caplog, abort_fails
):
    monkeypatch.setattr(s3_copies, "LARGEST_COPY_BYTES", 6 * MIB)
    monkeypatch.setattr(s3_copies, "COPY_PART_BYTES", 5 * MIB)
    subject.put("staged", os.urandom(8 * MIB))
    also = "|^DELETE .*uploadId" if abort_fails else ""
    s3.proxy.set("status", code=503, match=rf"partNumber=2\b{also}")
    outcome, said = subject.ask("publish", "staged", "key", expected=None, size=8 * MIB)
    assert (outcome, said.operation_name) == (Outcome.THROTTLED, "UploadPartCopy")
    assert ("parts stay until a sweep" in caplog.text) == abort_fails
    s3.proxy.set("pass")
    left = subject.run(subject.family.abandon_uploads(LATER))
    assert left == (["key"] if abort_fails else [])
    assert subject.names() == ["staged"]


def test_what_was_published_and_cannot_be_removed_is_said(s3, subject, caplog):
    subject.put("staged", b"bytes")
    s3.proxy.set("status", code=403, match="^DELETE")
    assert subject.ask("publish", "staged", "key", expected=None)[0] is Outcome.OK
    assert "stays until a sweep (AccessDenied)" in caplog.text
    assert subject.read("key") == b"bytes"


def test_a_deletion_that_nobody_vouches_for_may_have_happened(s3, subject):
    subject.put("key", b"bytes")
    s3.proxy.set("captive", match="^DELETE")
    assert subject.ask("delete", "key")[0] is Outcome.TIMED_OUT


def test_a_server_that_knows_no_ranges_hands_out_nothing(s3, subject):
    subject.put("key", b"bytes" * 100)

    def whole(_, head, body):
        kept = [x for x in head.split(b"\r\n") if not x.lower().startswith(b"content-range")]
        return b"\r\n".join(kept), body

    s3.proxy.set("rewrite", answer=whole, match="^GET")
    assert subject.ask("get", "key", 10, 20)[0] is Outcome.CORRUPT
    s3.proxy.set("status", code=416, body=b"", match="^GET")
    for start, end in ((10, 20), (-5, None)):
        assert subject.ask("get", "key", start, end)[0] is Outcome.CORRUPT


def test_a_listing_that_never_ends_is_given_up(monkeypatch, s3, subject):
    monkeypatch.setattr(flat, "PAGE_KEYS", 1)
    for key in "abc":
        subject.put(key, b"1")
    pages = []

    def again(_, head, body):
        pages.append(body)
        return head, body if len(pages) == 1 else pages[0]

    s3.proxy.set("rewrite", answer=again)
    assert subject.ask("list", "", recursive=True)[0] is Outcome.UNAVAILABLE
    assert len(pages) == 2


def test_who_may_not_list_is_told_of_an_absent_key_by_the_read(s3, subject):
    """Where a store answers so; Amazon's own calls it denied."""
    s3.proxy.deny = lambda line: "list-type" in line
    assert subject.ask("info", "absent")[0] is Outcome.NOT_FOUND
    assert subject.ask("get", "absent", None, None)[0] is Outcome.NOT_FOUND


def test_an_upload_that_has_ended_meanwhile_does_not_stop_a_sweep(s3, bucket, subject):
    for key in ("a", "b"):
        subject.upload(key, os.urandom(5 * MIB))
    client = s3.bare()
    (ended, _) = client.call_s3("list_multipart_uploads", Bucket=bucket)["Uploads"]
    real = subject.family.ask

    async def ask(operation, **given):
        if operation == "abort_multipart_upload" and given["Key"] == ended["Key"]:
            await real(operation, **given)  # by its owner, just before
        return await real(operation, **given)

    subject.family.ask = ask
    assert sorted(subject.run(subject.family.abandon_uploads(LATER))) == ["a", "b"]
    assert "Uploads" not in client.call_s3("list_multipart_uploads", Bucket=bucket)


def test_unfinished_uploads_are_listed_to_the_last_page(subject):
    """Moto knows one page only."""
    asked = []

    async def ask(operation, **given):
        if operation == "list_multipart_uploads":
            asked.append(given.get("KeyMarker"))
            number = len(asked)
            upload = {"Key": f"in/side/{number}", "UploadId": "u", "Initiated": LATER}
            more = {"NextKeyMarker": str(number), "NextUploadIdMarker": "u"}
            return {"Uploads": [upload], "IsTruncated": number < 3, **more}
        return {}

    subject.family.ask = ask
    after = LATER + dt.timedelta(days=1)
    assert subject.run(subject.family.abandon_uploads(after)) == ["1", "2", "3"]
    assert asked == [None, "1", "2"]


def test_ten_thousand_parts_make_a_large_object():
    lengths = [part_bytes(number) for number in range(s3_parts.MOST_PARTS)]
    assert sum(lengths) > 400 * 1024**3
    assert max(lengths) <= 80 * MIB, "a few of them are held in memory"
    assert lengths == sorted(lengths)


def test_metadata_of_that_name_that_others_wrote_stays_as_it_is(s3, bucket, subject):
    s3.write(bucket, f"{PREFIX}/key", b"1", metadata={"resilientmetadata": "no base64!"})
    assert subject.ask("info", "key")[1].headers.metadata == {"resilientmetadata": "no base64!"}
