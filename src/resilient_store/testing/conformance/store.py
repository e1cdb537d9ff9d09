"""Is this fsspec filesystem fit to be a backend? Subclass `StoreConformance`, and see.

class TestTape(StoreConformance):
@pytest.fixture
def filesystem(self):
return TapeFileSystem(...)

@pytest.fixture
def root(self, filesystem):
return "a/folder/that/is/empty"
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from resilient_store.backends.opening import opener
from resilient_store.policies import Backend
from resilient_store.testing.conformance.backend import BackendConformance
from resilient_store.testing.conformance.subject import Subject

LARGE = 4 * 1024 * 1024
ROUNDS = 20


class StoreConformance(BackendConformance):
    """Subclass it and give it the fixtures `filesystem` and `root`.

    It asks what `BackendConformance` asks of a family (honest "not found", ranges, odd names,
    creation, listings, what a cancelled call leaves), by way of the family that a store would take
    for this filesystem; and whether an object appears whole. The filesystem's own calls are the
    way around it.
    """

    @pytest.fixture
    def filesystem(self) -> Any:
        """Return the filesystem to try."""
        raise NotImplementedError("define the fixture `filesystem`")

    @pytest.fixture
    def root(self) -> str:
        """Return where it may write: a folder that is there, and empty."""
        raise NotImplementedError("define the fixture `root`")

    @pytest.fixture
    def subject(self, filesystem: Any, root: str) -> Iterator[Subject]:
        """Open it as a store would."""
        loop = asyncio.new_event_loop()
        family = loop.run_until_complete(opener(Backend(filesystem, root=root), "subject")())

        def place(key: str) -> str:
            return f"{root.rstrip('/')}/{key}"

        def write(key: str, data: bytes) -> None:
            filesystem.makedirs(place(key).rpartition("/")[0], exist_ok=True)
            filesystem.pipe_file(place(key), data)

        def read(key: str) -> bytes | None:
            try:
                return bytes(filesystem.cat_file(place(key)))
            except FileNotFoundError:
                return None

        def names() -> list[str]:
            start = len(str(filesystem._strip_protocol(root)).rstrip("/")) + 1
            return [str(name)[start:] for name in filesystem.find(root)]

        try:
            yield Subject(family, loop.run_until_complete, write, read, names)
        finally:
            loop.run_until_complete(family.close())
            loop.close()

    def test_an_object_is_never_seen_half_written(self, subject: Subject) -> None:
        """A reader beside a writer sees one whole version (P8)."""
        versions = [bytes([number]) * LARGE for number in (1, 2)]
        assert subject.put("key", versions[0])[1] is not None
        seen: list[bytes | None] = []
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                seen.append(subject.read("key"))

        reader = threading.Thread(target=look)
        reader.start()
        try:
            for number in range(ROUNDS):
                subject.put("key", versions[number % 2])
        finally:
            done.set()
            reader.join()
        halves = {None if data is None else len(data) for data in seen if data not in versions}
        assert not halves, f"a reader saw objects of {halves} bytes"
