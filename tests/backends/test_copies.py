"""One family copies from another: on conditions, which it never takes for more than they are."""

from __future__ import annotations

import asyncio
import functools
import os

import pytest

from resilient_store.backends.contract import Origin
from resilient_store.backends.families import flat
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome
from tests.servers.subjects import PREFIX
from tests.servers.waiting import until

MIB = 1024 * 1024
HEADERS = Headers(content_type="image/jpeg", metadata={"owner": "ana"})


@pytest.fixture(params=["s3", "gcs", "azure"])
def pair(request, open_on):
    platform = request.getfixturevalue(request.param)
    here, there = (open_on(platform, platform.new_bucket()) for _ in range(2))
    return platform, here, there


def copied(here, there, *, tag="", size=5, exclusive=False):
    """Ask for a copy of "key"; return its outcome and what was stored."""
    origin = Origin(family=here.family, key="key", tag=tag or here.tag("key"), size=size)
    given = {"exclusive": exclusive, "headers": HEADERS}
    return there.outcome(there.family.copy_from(origin, "key", **given))


def test_two_buckets_of_one_account_are_one_realm(pair):
    _, here, there = pair
    assert here.family.traits.realm == there.family.traits.realm != ""


def test_a_copy_is_proven_and_has_the_headers_that_were_asked_for(pair):
    _, here, there = pair
    here.put("key", b"bytes", HEADERS)
    outcome, stored = copied(here, there)
    assert (outcome, stored.proven, there.read("key")) == (Outcome.OK, True, b"bytes")
    assert there.ask("info", "key")[1].headers == HEADERS
    assert stored.tag == there.tag("key")


def test_an_exclusive_copy_goes_over_nothing(pair):
    platform, here, there = pair
    here.put("key", b"bytes", HEADERS)
    there.put("key", b"others")
    if platform.family == "gcs":  # fake-gcs-server knows no condition here
        copied(here, there, exclusive=True)
        assert "ifGenerationMatch=0" in platform.proxy.log[-1].path
        return
    assert copied(here, there, exclusive=True)[0] is Outcome.EXISTS
    assert there.read("key") == b"others"


def test_what_has_another_tag_is_never_proven(pair):
    _, here, there = pair
    here.put("key", b"bytes", HEADERS)
    tag = here.tag("key")
    here.put("key", b"other", HEADERS)
    outcome, stored = copied(here, there, tag=tag)
    assert outcome is Outcome.OK
    assert stored is None or not stored.proven


@pytest.mark.parametrize("pair", ["gcs", "azure"], indirect=True)
def test_what_is_replaced_after_the_look_is_not_copied(pair, monkeypatch):
    """Azurite knows the condition; of fake-gcs-server's copies, as of moto's, the tag tells."""
    platform, here, there = pair
    here.put("key", b"bytes", HEADERS)
    tag = here.tag("key")
    look = flat.FlatFamily.still

    async def replaced(family, origin):
        found = await look(family, origin)
        await family.put("key", b"other", exclusive=False, headers=HEADERS)
        return found

    monkeypatch.setattr(flat.FlatFamily, "still", replaced)
    outcome, stored = copied(here, there, tag=tag)
    if platform.family == "gcs":
        assert (outcome, stored.proven) == (Outcome.OK, False)
    else:
        assert (outcome, there.names()) == (Outcome.EXISTS, [])


def test_a_source_that_is_not_there_is_no_refusal(pair):
    platform, here, there = pair
    here.put("key", b"bytes")
    tag = here.tag("key")
    here.ask("delete", "key")
    if platform.family == "s3":
        assert copied(here, there, tag=tag)[0] is Outcome.NOT_FOUND
    else:
        assert copied(here, there, tag=tag) == (Outcome.OK, None)


def test_a_source_bucket_that_is_not_there_is_a_refusal(pair):
    _, here, there = pair
    here.put("key", b"bytes")
    tag = here.tag("key")
    here.lose_root()
    assert copied(here, there, tag=tag)[0] is Outcome.REFUSED


def test_what_azure_cannot_copy_at_once_is_sent(azure, open_on):
    here, there = (open_on(azure, azure.new_bucket()) for _ in range(2))
    azure.proxy.log.clear()
    assert copied(here, there, tag="any", size=257 * MIB) == (Outcome.OK, None)
    here.put("key", b"bytes", Headers(content_type="image/png"))  # its copies keep that
    assert copied(here, there) == (Outcome.OK, None)
    assert not [one for one in azure.proxy.log if "x-ms-copy-source" in one.headers]


def test_what_s3_would_give_another_tag_is_sent(s3, open_on):
    here, there = (open_on(s3, s3.new_bucket()) for _ in range(2))
    s3.proxy.log.clear()
    assert copied(here, there, tag=f"{'a' * 32}-7") == (Outcome.OK, None)
    assert s3.proxy.log == []


def test_google_goes_on_until_a_copy_is_done(gcs, open_on):
    here, there = (open_on(gcs, gcs.new_bucket()) for _ in range(2))
    here.put("key", b"bytes", HEADERS)

    def not_yet(line, head, body):
        if "rewriteTo" not in line or "rewriteToken=" in line:
            return None
        body = b'{"kind": "storage#rewriteResponse", "done": false, "rewriteToken": "t"}'
        lines = [b"HTTP/1.1 200 OK", b"Content-Type: application/json"]
        lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join(lines) + b"\r\n\r\n", body

    gcs.proxy.set("rewrite", answer=not_yet)
    outcome, stored = copied(here, there)
    assert (outcome, stored.proven, there.read("key")) == (Outcome.OK, True, b"bytes")
    assert [one for one in gcs.proxy.log if "rewriteToken=t" in one.path]


def test_a_copy_in_parts_that_is_cancelled_leaves_none(s3, open_on, run):
    bucket = s3.new_bucket()
    here, there = open_on(s3, s3.new_bucket()), open_on(s3, bucket)
    upload = here.upload("key", os.urandom(8 * MIB), os.urandom(MIB))
    run(upload.finish())
    origin = Origin(family=here.family, key="key", tag=here.tag("key"), size=9 * MIB)
    s3.proxy.set("blackhole", match="partNumber=2")

    async def cancelled():
        copy = there.family.copy_from(origin, "key", exclusive=False, headers=HEADERS)
        task = asyncio.get_running_loop().create_task(copy)
        asked = functools.partial(until, lambda: "partNumber=2" in str(s3.proxy.log))
        assert await asyncio.to_thread(asked)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    s3.proxy.log.clear()
    run(cancelled())
    found = s3.bare().call_s3("list_multipart_uploads", Bucket=bucket, Prefix=PREFIX)
    assert (found.get("Uploads", []), there.names()) == ([], [])
