"""The interface as a program's type checker sees it: read by mypy and pyright, never run."""

from typing import assert_type

import resilient_store as rs

store = rs.ResilientFileSystem(
    [
        rs.Backend("s3://print-photos", name="aws", domain="aws/us-east-1"),
        rs.Backend("gs://print-photos", name="gcp", domain="gcp/europe-west1", timeout=5.0),
        "file:///mnt/photos",
    ],
    write=rs.WriteToAll(min_copies=2, min_domains=2),
    read=rs.ReadFromFirstHealthy(hedge_after=0.5),
    degraded=rs.DegradedRead({"originals/{name}": ["previews/{name}", "thumbs/{name}"]}),
    write_once="unique-names",
)

receipt = store.write("originals/cat.jpg", b"meow", content_type="image/jpeg")
assert_type(receipt, rs.WriteReceipt)
assert_type(receipt.path, str)
assert_type(receipt.copies, tuple[str, ...])
assert_type(receipt.pending, tuple[str, ...])

result = store.read("originals/cat.jpg")
assert_type(result, rs.ReadResult)
assert_type(result.data, bytes)
assert_type(result.original_missing, bool)
assert_type(result.derivative, str | None)
assert_type(result.original(), bytes)


assert_type(rs.what_if(store, lose=["aws"]), rs.WhatIf)
assert_type(rs.what_if(store), rs.Scenarios)
assert_type(rs.status(store), rs.StoreStatus)


async def read_without_a_thread() -> rs.ReadResult:
    """Await the coroutine below `read`."""
    return await store._read("originals/cat.jpg")


def ways_out() -> None:
    """Catch what a read can end in, and ask each error what it knows."""
    try:
        store.read("originals/cat.jpg")
    except rs.OriginalMissingError as error:
        assert_type(error.path, str)
    except rs.BackendsUnavailableError as error:
        as_error_about_an_object: rs.ObjectError = error
        as_error_of_the_system: OSError = as_error_about_an_object
        print(as_error_of_the_system)


def wrong_uses() -> None:
    """Each line is an error; a checker that accepts one reports the unneeded comment."""
    store.read(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    store.read("a.jpg", None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    rs.WriteToAll(2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
