"""Copies that a platform makes by itself between two of its buckets: asked for, proven, refused.

Of the servers here only Azurite knows the condition that the source still has its tag; of copies by
moto, rclone and fake-gcs-server nothing tells but their own tag. Azurite says a digest back that it
has not compared, and rclone copies no parts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.asyn import sync

import resilient_store as rs
from resilient_store.io.catalogued.labels import unlabelled
from resilient_store.model.info import Headers, ObjectInfo
from tests.catalogued.servers import ServerShop
from tests.catalogued.stage import CAT, DOG, ONE, TWO, record, states
from tests.servers.faults import Request, with_the_id_that_s3_sends
from tests.servers.platforms import Platform

LONG = 9 << 20
CONDITIONS = {"s3": "x-amz-copy-source-if-match", "azure": "x-ms-source-if-match"}
REFUSALS: dict[str, dict[str, Any]] = {
    "s3": {"code": 403, "body": b"<Error><Code>AccessDenied</Code></Error>"},
    "gcs": {"code": 403, "body": b'{"error": {"code": 403, "errors": [{"reason": "forbidden"}]}}'},
    "azure": {
        "code": 403,
        "body": b"<Error/>",
        "headers": {"x-ms-error-code": "CannotVerifyCopySource", "x-ms-version": "1"},
    },
}
# The first change of the cat on the way, which is its copy.
COPY_OF_THE_CAT = r"^(PUT|POST) .*cat\.jpg"


class TwoBuckets(ServerShop):
    """East and west are buckets of one platform; a disk is beside them."""

    def __init__(self, folder: Path, platform: Platform) -> None:
        self.platform = platform
        super().__init__(folder, {"east": platform, "west": platform})
        self.disk("disk").mkdir()

    def backends(self, names: tuple[str, ...] | None = None, **options: Any) -> list[rs.Backend]:
        names = names or self.names
        chosen = super().backends(tuple(n for n in names if n != "disk"), **options)
        if "disk" in names:
            chosen.append(rs.Backend(str(self.disk("disk")), name="disk", domain="disk"))
        return chosen

    def settings(self, catalog: str = "", **options: Any) -> dict[str, Any]:
        return super().settings(catalog, **{"write": rs.WriteToAll(min_copies=1), **options})

    def begin(self, *names: str, **objects: bytes) -> None:
        """Write objects while there is no west."""
        fs = self.open(names)
        for name, data in objects.items():
            fs.write(f"originals/{name}.jpg", data, content_type="image/x-a", metadata={"A": "é"})
        self.leave(fs)
        self.platform.proxy.log.clear()

    def asked(self, path: str) -> list[Request]:
        return [one for one in self.platform.proxy.log if path in one.path]

    def copies(self) -> list[Request]:
        """Return the requests for copies from east to west."""
        west = self._buckets["west"]
        requests = self.platform.proxy.log
        return [one for one in requests if is_copy(one) and not is_copy_within(one, west)]


def is_copy(request: Request) -> bool:
    named = any(name.endswith("copy-source") for name in request.headers)
    return named or "rewriteTo" in request.path


def is_copy_within(request: Request, bucket: str) -> bool:
    source = next((v for n, v in request.headers.items() if n.endswith("copy-source")), "")
    return f"{source}{request.path}".count(bucket) > 1


def has_bytes(request: Request) -> bool:
    """Whether it brings an object's bytes, or asks for them."""
    is_read = request.method == "GET" and re.search(r"\.jpg($|\?alt=media)", request.path)
    sent = int(request.headers.get("content-length", 0))
    return bool(is_read) or (sent > 0 and not is_copy(request) and "uploadId" not in request.path)


def info(fs: rs.ResilientFileSystem, name: str, path: str) -> ObjectInfo:
    found: ObjectInfo = sync(fs.loop, fs.store.clients[name].info, path).value
    return found


def repaired(fs: rs.ResilientFileSystem) -> None:
    """Repair one object after another until nothing is left to do."""
    for _ in range(30):
        if rs.repair(fs, at_once=1).done:
            return
    raise AssertionError(rs.repair(fs))


@pytest.fixture(params=["s3", "gcs", "azure"])
def buckets(request: Any, tmp_path: Path) -> Iterator[TwoBuckets]:
    shop = TwoBuckets(tmp_path, request.getfixturevalue(request.param))
    yield shop
    shop.close()


@pytest.fixture
def on_s3(tmp_path: Path, s3: Platform) -> Iterator[TwoBuckets]:
    shop = TwoBuckets(tmp_path, s3)
    yield shop
    shop.close()


@pytest.mark.parametrize("size", [len(ONE), LONG], ids=["short", "long"])
def test_no_byte_travels_between_two_buckets_of_one_platform(buckets, size):
    data = os.urandom(size)
    buckets.begin("east", cat=data)
    fs = buckets.open()
    repaired(fs)
    assert not [one for one in buckets.asked("cat.jpg") if has_bytes(one)]
    assert buckets.held(CAT) == {"east": data, "west": data}
    assert (states(fs, CAT), buckets.staged("west")) == ({"east": "good", "west": "good"}, [])
    copied, there = (unlabelled(info(fs, name, CAT).headers) for name in ("west", "east"))
    assert copied == there == Headers(content_type="image/x-a", metadata={"A": "é"})
    assert record(fs, CAT).replica("west").tag == info(fs, "west", CAT).tag


def test_a_copy_carries_the_tag_that_the_source_must_have(buckets):
    buckets.begin("east", cat=os.urandom(LONG))
    fs = buckets.open()
    repaired(fs)
    tag = record(fs, CAT).replica("east").tag
    copies = buckets.copies()
    assert copies
    for one in copies:
        if buckets.platform.family == "gcs":
            assert f"ifSourceGenerationMatch={tag}&" in one.path
        else:
            assert one.headers[CONDITIONS[buckets.platform.family]] == f'"{tag}"'


def test_a_short_copy_is_two_requests(buckets):
    buckets.begin("east", cat=ONE)
    repaired(buckets.open())
    assert len(buckets.asked("cat.jpg")) == 2


@pytest.mark.parametrize("size", [len(ONE), LONG], ids=["short", "long"])
def test_p4_a_source_that_was_replaced_behind_our_back_is_not_counted(buckets, size):
    data = os.urandom(size)
    buckets.begin("east", "disk", cat=data)
    buckets.put_behind("east", CAT, data[::-1])
    fs = buckets.open(("east", "west", "disk"))
    rs.repair(fs, at_once=1)
    assert states(fs, CAT).get("west") != "good" or buckets.read_behind("west", CAT) == data
    repaired(fs)
    assert buckets.read_behind("west", CAT) == data
    assert states(fs, CAT) == dict.fromkeys(("east", "west", "disk"), "good")


def without_proof(line: str, head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Let the answer to a copy say nothing that compares, as where a key service encrypts."""
    if not re.match(COPY_OF_THE_CAT, line):
        return with_the_id_that_s3_sends(line, head, body)
    more = b"x-amz-request-id: 1\r\nx-amz-server-side-encryption: aws:kms\r\n"
    head = re.sub(rb"(?i)content-md5: [^\r]*\r\n", b"", head)
    body = re.sub(rb'"(md5Hash|crc32c)": ?"[^"]*"', rb'"\1":"AAAAAA=="', body)
    head = re.sub(rb"(?i)(content-length: )\d+", rb"\g<1>%d" % len(body), head)
    return head.replace(b"\r\n\r\n", b"\r\n" + more + b"\r\n"), body


def test_p4_a_copy_that_its_tag_does_not_prove_is_read_before_it_counts(buckets):
    buckets.begin("east", cat=ONE)
    fs = buckets.open()
    buckets.platform.proxy.set("rewrite", answer=without_proof)
    repaired(fs)
    assert (states(fs, CAT)["west"], buckets.read_behind("west", CAT)) == ("good", ONE)
    (read,) = [one for one in buckets.asked("cat.jpg") if has_bytes(one)]
    assert (read.method, fs.store.declined) == ("GET", set())


def test_a_refusal_is_met_once_and_all_is_done_the_usual_way(buckets):
    buckets.begin("east", cat=ONE, dog=TWO)
    fs = buckets.open()
    refusal = REFUSALS[buckets.platform.family]
    buckets.platform.proxy.set("status", match=r"^(PUT|POST) .*\.jpg", times=1, **refusal)
    assert rs.repair(fs, at_once=1).done
    assert len(buckets.copies()) == 1
    assert (buckets.read_behind("west", CAT), buckets.read_behind("west", DOG)) == (ONE, TWO)
    assert fs.store.declined == {("east", "west")}
    assert not fs.store.clients["west"].health.reason("write")


def test_a_source_bucket_that_is_not_there_is_a_refusal(on_s3):
    on_s3.begin("east", "disk", cat=ONE)
    fs = on_s3.open(("east", "west", "disk"))
    gone = b"<Error><Code>NoSuchBucket</Code></Error>"
    on_s3.platform.proxy.set("status", code=404, body=gone, match=COPY_OF_THE_CAT, times=1)
    assert rs.repair(fs, at_once=1).done
    assert (on_s3.read_behind("west", CAT), len(on_s3.copies())) == (ONE, 1)


@pytest.mark.parametrize("size", [len(ONE), LONG], ids=["short", "long"])
def test_p7_a_copy_of_which_nothing_was_heard_is_made_the_usual_way_the_next_time(buckets, size):
    data = os.urandom(size)
    buckets.begin("east", cat=data)
    fs = buckets.open()
    buckets.platform.proxy.set("reset", match=COPY_OF_THE_CAT, times=1)
    first = rs.repair(fs, at_once=1)
    assert (first.done, fs.store.declined) == (False, {("east", "west")})
    assert states(fs, CAT).get("west") != "good"
    buckets.bring_back()
    repaired(fs)
    assert (states(fs, CAT)["west"], buckets.read_behind("west", CAT)) == ("good", data)


def test_parts_that_a_server_does_not_copy_are_sent(tmp_path, rclone_s3):
    shop, data = TwoBuckets(tmp_path, rclone_s3), os.urandom(LONG)
    shop.begin("east", cat=data)
    repaired(shop.open())
    assert shop.read_behind("west", CAT) == data
    shop.close()


def test_what_is_about_to_go_is_evacuated_without_its_bytes_in_between(buckets):
    buckets.begin("east", cat=ONE)
    fs = buckets.open()
    assert rs.evacuate(fs, from_="east").done
    assert buckets.read_behind("west", CAT) == ONE
    assert not [one for one in buckets.asked("cat.jpg") if has_bytes(one)]


def test_a_disk_and_a_bucket_of_other_credentials_are_read(on_s3, monkeypatch):
    on_s3.begin("east", cat=ONE)
    options = Platform.storage_options

    def others(platform: Platform, **how: Any) -> dict[str, Any]:
        given = options(platform, **how)
        return {**given, "key": f"{given['key']}{len(opened)}"}

    opened: list[str] = []
    backend = on_s3._backend

    def counted(name: str, *given: Any, **how: Any) -> rs.Backend:
        opened.append(name)
        return backend(name, *given, **how)

    monkeypatch.setattr(Platform, "storage_options", others)
    monkeypatch.setattr(on_s3, "_backend", counted)
    repaired(on_s3.open(("east", "west", "disk")))
    assert (on_s3.held(CAT), on_s3.copies()) == ({"east": ONE, "west": ONE}, [])
    assert (on_s3.disk("disk") / CAT).read_bytes() == ONE
