"""The photo shop on servers in processes of their own, in the place of the directories."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import resilient_store as rs
from tests.catalogued.stage import NAMES, Shop
from tests.servers import canaries, processes
from tests.servers.faults import with_the_id_that_s3_sends
from tests.servers.overload import Overload, every
from tests.servers.platforms import PATIENT_S, Platform


class ServerShop(Shop):
    """Three servers in the place of the directories."""

    def __init__(self, folder: Path, platforms: Mapping[str, Platform]) -> None:
        super().__init__(folder, tuple(platforms))
        self._platforms = dict(platforms)
        self._copied: dict[str, Platform] = {}
        self._buckets = {name: one.new_bucket() for name, one in platforms.items()}
        self._copies = contextlib.ExitStack()
        self.bring_back()

    def backends(self, names: tuple[str, ...] | None = None, **options: Any) -> list[rs.Backend]:
        return [
            self._backend(name, self._platforms[name], **options) for name in names or self.names
        ]

    def _backend(self, name: str, platform: Platform, **options: Any) -> rs.Backend:
        return rs.Backend(
            platform.url(self._buckets[name]),
            name=name,
            domain=name,
            storage_options=platform.storage_options(),
            **{"timeout": PATIENT_S, "stall_timeout": PATIENT_S, **options},
        )

    def close(self) -> None:
        super().close()
        self._copies.close()

    def lose(self, *names: str, leave: bool = True) -> None:
        for name in names or self.names:
            self._platforms[name].proxy.set("refuse")

    def bring_back(self, *names: str) -> None:
        for name in names or self.names:
            as_the_real_one_answers(self._platforms[name])

    def die(self, name: str) -> None:
        self._platforms[name].server.kill()

    def copy_of(self, name: str) -> rs.Backend:
        """Copy S3 with a tool that knows nothing of the store, to a server of its own."""
        platform = self._platforms[name]
        assert platform.family == "s3"
        other = self._copies.enter_context(Platform("s3", processes.moto()))
        as_the_real_one_answers(other)
        bucket = self._buckets[name]
        copy_s3(platform.server.url, other.server.url, bucket)
        self._copied[name] = other
        return self._backend(name, other)

    def look_at_the_copy_of(self, name: str) -> None:
        self._platforms[name] = self._copied[name]

    @contextlib.contextmanager
    def overloaded(self, name: str, overload: Overload | None = None) -> Iterator[None]:
        proxy = self._platforms[name].proxy
        proxy.overload = overload or every(3)
        try:
            yield
        finally:
            proxy.overload = None
        assert any(request.action == "overload" for request in proxy.log)

    def remove_behind(self, name: str, key: str) -> None:
        self._platforms[name].remove(self._buckets[name], key)

    def put_behind(self, name: str, key: str, data: bytes) -> None:
        self._platforms[name].write(self._buckets[name], key, data)

    def empty(self, name: str) -> None:
        for key in self._files(name):
            self.remove_behind(name, key)

    def remember(self, name: str) -> Callable[[], None]:
        kept = {key: self.read_behind(name, key) or b"" for key in self._files(name)}

        def go_back() -> None:
            self.empty(name)
            for key, data in kept.items():
                self.put_behind(name, key, data)

        return go_back

    def flip(self, name: str, key: str, at: int = 3) -> None:
        data = bytearray(self.read_behind(name, key) or b"")
        data[at] ^= 1
        self.put_behind(name, key, bytes(data))

    def read_behind(self, name: str, key: str) -> bytes | None:
        try:
            return self._platforms[name].read(self._buckets[name], key)
        except FileNotFoundError:
            return None

    def _files(self, name: str) -> list[str]:
        return self._platforms[name].names(self._buckets[name])


def as_the_real_one_answers(platform: Platform) -> None:
    """Let a proxy pass everything, and mend what moto leaves out."""
    if platform.family == "s3":
        platform.proxy.set("rewrite", answer=with_the_id_that_s3_sends)
    else:
        platform.proxy.set("pass")


def copy_s3(source: str, target: str, bucket: str) -> None:
    """Copy a bucket from server to server with its metadata, by rclone."""
    environment = {"PATH": os.defpath, "RCLONE_CONFIG": os.devnull}
    for name, url in (("HERE", source), ("THERE", target)):
        options = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": url,
            "ACCESS_KEY_ID": canaries.S3_KEY_ID,
            "SECRET_ACCESS_KEY": canaries.S3_SECRET,
        }
        environment |= {f"RCLONE_CONFIG_{name}_{key}": value for key, value in options.items()}
    subprocess.run(
        [
            *(processes.program("rclone"), "copy", "--metadata", "--fast-list"),
            *("--transfers", "8", "--retries", "1", "--quiet"),
            *(f"here:{bucket}", f"there:{bucket}"),
        ],
        env=environment,
        check=True,
        timeout=300,
    )


@pytest.fixture
def on_servers(
    tmp_path: Path, s3: Platform, gcs: Platform, azure: Platform
) -> Iterator[ServerShop]:
    shop = ServerShop(tmp_path, dict(zip(NAMES, (s3, gcs, azure), strict=True)))
    yield shop
    shop.close()
