"""What befell others on Azure, and on platforms where a directory is three different things."""

from __future__ import annotations

import asyncio
import os

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

import resilient_store as rs
from resilient_store.backends.tables.http import by_status
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome
from tests.servers import canaries
from tests.servers.subjects import PREFIX, backend

MIB = 1024 * 1024
NONE = Headers()
STAGED = ".resilient/staging/1-a/key"


@pytest.fixture
def bucket(azure):
    return azure.new_bucket()


@pytest.fixture
def subject(azure, bucket, open_on):
    return open_on(azure, bucket)


# One refusal, one outcome

STATUSES = (401, 403, 404, 408, 409, 412, 416, 429, 499, 500, 502, 503, 504)
PAGES = {
    "nothing": b"",
    "a page": b"<html><body>Bad gateway</body></html>",
    "no text": b"\xff\xfe\x00<",
    "a code": b"<?xml version='1.0'?><Error><Code>Odd</Code><Message>m</Message></Error>",
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("status", STATUSES)
def test_a_status_means_the_same_whatever_is_written_below_it(azure, subject, status, page, caplog):
    headers = {"Content-Encoding": "gzip"} if page == "no text" else {}
    azure.proxy.set("status", code=status, body=PAGES[page], headers=headers)
    reading, changing = by_status(status)
    if status == 404:
        changing = Outcome.TIMED_OUT  # somebody else's, so who knows what became of the change
    for verb, outcome in (
        ("info", reading),
        ("get", reading),
        ("put", changing or reading),
        ("delete", changing or reading),
    ):
        if verb == "put":
            said, error = subject.put("key", b"bytes")
        else:
            more = (None, None) if verb == "get" else ()
            said, error = subject.ask(verb, "key", *more)
        assert said is outcome, (verb, error)
        assert "gateway" not in str(error)
    assert caplog.records == []


# Overwriting


@pytest.mark.parametrize("way", ["put", "upload", "publish"])
def test_p2_an_overwrite_never_deletes_what_lies_there(azure, subject, way):
    old, new = os.urandom(4 * MIB), os.urandom(5 * MIB)
    subject.put("key", old)
    seen: set[bytes] = set()
    azure.proxy.log.clear()

    async def overwrite() -> None:
        family = subject.family
        for data in (new, old) * 3:
            if way == "put":
                await family.put("key", data, exclusive=False, headers=NONE)
            elif way == "upload":
                upload = await family.upload("key", exclusive=False, headers=NONE)
                await upload.write(data[: 4 * MIB])
                await upload.write(data[4 * MIB :])
                await upload.finish()
            else:
                await family.put(STAGED, data, exclusive=True, headers=NONE)
                tag = (await family.info("key")).tag
                await family.publish(STAGED, "key", expected=tag)

    async def read_until(done: asyncio.Task) -> None:
        while not done.done():
            seen.add((await subject.family.get("key", None, None, lambda _: None)).data)

    async def both() -> None:
        writing = asyncio.create_task(overwrite())
        await asyncio.gather(writing, *(read_until(writing) for _ in range(3)))

    subject.run(both())
    assert seen == {old, new}
    deleted = [one.path for one in azure.proxy.log if one.method == "DELETE"]
    assert all("/.resilient/" in path for path in deleted)
    assert len(deleted) == (6 if way == "publish" else 0)


@pytest.mark.parametrize("way", ["upload", "publish"])
def test_p2_an_overwrite_that_stops_between_any_two_calls_leaves_old_or_new(azure, subject, way):
    data = os.urandom(4 * MIB)

    def overwrite() -> bool:
        if way == "upload":
            upload = subject.run(subject.family.upload("key", exclusive=False, headers=NONE))
            steps = (lambda: upload.write(data), upload.finish)
            return all(subject.outcome(step())[0] is Outcome.OK for step in steps)
        outcome, info = subject.ask("info", "key")
        steps = (
            lambda: subject.put(STAGED, data),
            lambda: subject.ask("publish", STAGED, "key", expected=info.tag),
        )
        return outcome is Outcome.OK and all(step()[0] is Outcome.OK for step in steps)

    for number in range(10):
        subject.write("key", b"old")
        left = let_through(azure.proxy, number)
        done = overwrite()
        azure.proxy.deny = None
        assert subject.read("key") in ((data,) if done else (b"old", data)), number
        if left[0] >= 0:
            break
    assert (done, number) == (True, 2 if way == "upload" else 4)


def let_through(proxy, number: int) -> list[int]:
    """Let so many requests through, and none after those; return how many are still let."""
    left = [number]

    def denied(_: str) -> bool:
        left[0] -= 1
        return left[0] < 0

    proxy.deny = denied
    return left


# Two writers


@pytest.mark.parametrize("exclusive", [False, True])
def test_p2_of_two_uploads_to_one_key_one_is_there_whole(azure, bucket, subject, exclusive):
    """Whoever commits first throws away the other's blocks, who is told that he lost."""
    datas = [os.urandom(4 * MIB) + bytes([n]) for n in range(2)]
    for number in range(20):
        key = f"key-{number}"

        async def write(data: bytes, key: str = key) -> str:
            upload = await subject.family.upload(key, exclusive=exclusive, headers=NONE)
            await upload.write(data[: 4 * MIB])
            await upload.write(data[4 * MIB :])
            return (await upload.finish()).tag

        async def both() -> list:
            return await asyncio.gather(*map(write, datas), return_exceptions=True)

        results = subject.run(both())
        won = [n for n, result in enumerate(results) if not isinstance(result, Exception)]
        lost = [result for result in results if isinstance(result, Exception)]
        assert won
        for error in lost:
            assert subject.outcome(_raise(error))[0] is Outcome.EXISTS, error
        assert len(won) == 1 or not exclusive
        body = subject.ask("get", key, None, None)[1]
        assert body.data in [datas[n] for n in won]
        assert body.tag in [results[n] for n in won]


async def _raise(error: Exception) -> None:
    raise error


def test_p2_an_upload_that_another_one_overtook_is_told_so(subject):
    theirs, ours = os.urandom(4 * MIB), os.urandom(4 * MIB)
    first = subject.upload("key", theirs)
    second = subject.upload("key", ours)
    assert subject.outcome(second.finish())[0] is Outcome.OK
    assert subject.outcome(first.finish())[0] is Outcome.EXISTS
    assert subject.read("key") == ours


# Removals, and what is a directory


def test_a_removal_that_fails_for_one_key_hides_no_other_deletion(azure, bucket):
    with rs.ResilientFileSystem([backend(azure, bucket, name="one")]) as fs:
        for name in "abc":
            fs.pipe(f"d/{name}", b"bytes")
        assert fs.ls("d", detail=False) == ["d/a", "d/b", "d/c"]
        azure.proxy.deny = lambda line: line.startswith("DELETE") and line.endswith("/d/b")
        with pytest.raises(rs.BackendsUnavailableError, match="d/b"):
            fs.rm(["d/a", "d/b", "d/c"])
        azure.proxy.deny = None
        assert fs.ls("d", detail=False) == fs.find("d") == ["d/b"]
        assert [fs.exists(f"d/{name}") for name in "abc"] == [False, True, False]


@pytest.mark.parametrize("marked", [False, True], ids=["flat", "hierarchical"])
def test_an_emptied_directory_is_one_thing_to_every_call(azure, bucket, subject, marked):
    """By itself a prefix vanishes; what a hierarchical account keeps is there until removed."""
    if marked:
        azure.write(bucket, f"{PREFIX}/d", b"", metadata={"hdi_isfolder": "true"})
    with rs.ResilientFileSystem([backend(azure, bucket, name="one")]) as fs:
        fs.pipe("d/key", b"bytes")
        assert (fs.isdir("d"), fs.ls("", detail=False)) == (True, ["d"])
        fs.rm("d/key")
        assert fs.isdir("d") is fs.exists("d") is marked
        assert fs.ls("", detail=False) == ["d"] * marked
        assert [top for top, _, _ in fs.walk("")] == [""] + ["d"] * marked
        if marked:
            assert fs.ls("d") == []
            fs.rmdir("d")
        assert (fs.isdir("d"), fs.exists("d"), fs.ls("", detail=False)) == (False, False, [])


# Rights


def test_who_may_do_the_work_need_not_look_at_the_container(azure, bucket):
    """Reads, writes and deletions get along without listing, and without the container."""
    azure.proxy.deny = lambda line: "restype=" in line
    one = backend(azure, bucket, name="one")
    with rs.ResilientFileSystem([one]) as fs:
        fs.pipe("d/key", b"old")
        fs.pipe("d/key", b"bytes")
        fs.pipe("large", os.urandom(9 * MIB))
        assert (fs.cat("d/key"), fs.info("d/key")["size"]) == (b"bytes", 5)
        assert fs.cat("d/key", start=1, end=3) == b"yt"
        assert not fs.exists("absent")
        with pytest.raises(FileNotFoundError):
            fs.cat("absent")
        fs.mv("d/key", "other")
        fs.rm("other")
        assert not fs.exists("other")
        with pytest.raises(rs.BackendsUnavailableError, match="permission List") as caught:
            fs.ls("d")
        assert "denied" in str(caught.value)
    assert not [one.line for one in azure.proxy.log if one.method == "PUT" and one.action == "deny"]


def signed(azure, bucket, rights: str) -> rs.Backend:
    """Return a container as its owner lends it: by a signature that allows so much."""
    proof = generate_container_sas(
        canaries.AZURE_ACCOUNT,
        bucket,
        account_key=canaries.AZURE_KEY,
        permission=ContainerSasPermissions.from_string(rights),
        expiry="2999-01-01T00:00:00Z",
    )
    endpoint = f"{azure.proxy.url}/{canaries.AZURE_ACCOUNT}"
    options = {"connection_string": f"BlobEndpoint={endpoint};SharedAccessSignature={proof}"}
    return rs.Backend(azure.url(bucket, PREFIX), name="one", storage_options=options)


def test_a_signature_to_read_is_enough_to_read(azure, bucket):
    azure.write(bucket, f"{PREFIX}/key", b"bytes")
    with rs.ResilientFileSystem([signed(azure, bucket, "r")]) as fs:
        assert (fs.cat("key"), fs.size("key"), fs.exists("absent")) == (b"bytes", 5, False)
        for call, right in (
            (lambda: fs.pipe("new", b"1"), "permission Write, or Create"),
            (lambda: fs.rm("key"), "permission Delete"),
            (lambda: fs.ls(""), "permission List"),
        ):
            with pytest.raises(rs.ResilientStoreError, match=right):
                call()
    assert azure.names(bucket) == [f"{PREFIX}/key"]


def test_a_signature_without_listing_is_enough_to_work(azure, bucket):
    with rs.ResilientFileSystem([signed(azure, bucket, "rwdc")]) as fs:
        fs.pipe("key", b"old")
        fs.pipe("key", b"new")
        assert fs.cat("key") == b"new"
        fs.rm("key")
        assert not fs.exists("key")
    assert azure.names(bucket) == []


def test_p5_who_brings_no_proof_is_not_told_that_objects_are_absent(azure, bucket):
    """Azure hides from strangers what is there, and says that it is not."""
    azure.write(bucket, f"{PREFIX}/key", b"bytes")
    hides = {"x-ms-error-code": "ResourceNotFound", "x-ms-request-id": "1"}
    azure.proxy.set("status", code=404, headers=hides)
    with rs.ResilientFileSystem([backend(azure, bucket, name="one")]) as fs:
        for call in (fs.cat, fs.info, fs.exists, fs.ls, fs.rm):
            with pytest.raises(rs.BackendsUnavailableError, match="denied"):
                call("key")


@pytest.mark.parametrize("way", ["put", "upload"])
def test_who_may_create_and_not_overwrite_is_told_that_a_key_is_taken(azure, subject, way):
    """Azure says "denied" of a creation that would overwrite, whatever its condition says."""
    says = {"x-ms-error-code": "UnauthorizedBlobOverwrite", "x-ms-request-id": "1"}
    azure.proxy.set("status", code=403, headers=says, match=r"^PUT [^?]*(\?comp=blocklist)?$")

    def write(*, exclusive: bool) -> Outcome:
        if way == "put":
            return subject.put("key", b"bytes", exclusive=exclusive)[0]
        upload = subject.upload("key", os.urandom(4 * MIB), exclusive=exclusive)
        return subject.outcome(upload.finish())[0]

    assert write(exclusive=True) is Outcome.EXISTS
    assert write(exclusive=False) is Outcome.DENIED
