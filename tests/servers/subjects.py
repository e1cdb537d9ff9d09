"""A platform's bucket as the conformance suite wants to see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import resilient_store as rs
from resilient_store.backends.contract import Family
from resilient_store.backends.opening import opener
from resilient_store.testing.conformance import Subject
from tests.servers.platforms import Platform

PREFIX = "in/side"


def backend(platform: Platform, bucket: str, **options: Any) -> rs.Backend:
    """Return a bucket, behind the platform's proxy, as users write it down."""
    url = platform.url(bucket, PREFIX)
    return rs.Backend(url, storage_options=platform.storage_options(), **options)


async def opened(platform: Platform, bucket: str, **options: Any) -> Family:
    """Open its family in the running loop."""
    return await opener(backend(platform, bucket, **options), platform.family)()


def subject_in(platform: Platform, bucket: str, family: Family, run: Callable[..., Any]) -> Subject:
    """Return a family at an empty bucket, and ways around it."""
    gone: list[str] = []

    def read(key: str) -> bytes | None:
        try:
            return platform.read(bucket, f"{PREFIX}/{key}")
        except FileNotFoundError:
            return None

    def names() -> list[str]:
        found = [] if gone else platform.names(bucket)
        return [name.removeprefix(f"{PREFIX}/") for name in found]

    def lose_root() -> None:
        platform.remove_bucket(bucket)
        gone.append(bucket)

    return Subject(
        family,
        run,
        lambda key, data: platform.write(bucket, f"{PREFIX}/{key}", data),
        read,
        names,
        lose_root,
    )
