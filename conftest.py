"""Run the examples in README, pages and docstrings as tests; `nox -s docs` collects them.

The examples of one document share a namespace and an empty folder to stand in. In the pages
`s3://`, `gs://` and `abfs://` lead to memory, so that an example may name real platforms.

Named here as well, since pytest wants it at the root: what watches every run, and what lends
tests their servers.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry as registered
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.integration.pytest import SybilItem
from sybil.parsers import myst, rest

pytest_plugins = ["tests.loopback", "tests.leaks", "tests.servers.fixtures"]

CLOUDS = ("s3", "gs", "abfs")


class CloudInMemory(MemoryFileSystem):
    """A platform that needs no account, where a bucket is there as soon as a URL names it."""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        scheme, separator, rest = path.partition("://")
        if scheme != cls.protocol or not separator:
            return super()._strip_protocol(path)
        bucket = f"/{rest.partition('/')[0]}"
        if bucket not in cls.pseudo_dirs:
            cls.pseudo_dirs.append(bucket)
        return super()._strip_protocol(rest)


@contextlib.contextmanager
def clouds_in_memory() -> Iterator[None]:
    """Let the platforms' URLs lead to memory."""
    for name in CLOUDS:
        own = {"protocol": name, "store": {}, "pseudo_dirs": [""], "__doc__": f"{name}: here."}
        cloud = type(f"{name.title()}InMemory", (CloudInMemory,), own)
        fsspec.register_implementation(name, cloud, clobber=True)
    try:
        yield
    finally:
        for name in CLOUDS:
            registered.pop(name)


@contextlib.contextmanager
def empty_folder() -> Iterator[None]:
    """Stand in a folder of one's own, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="example-") as folder, contextlib.chdir(folder):
        yield


def open_stage(namespace: dict[str, Any]) -> None:
    """Prepare what the examples of one document share."""
    stage = namespace["_stage"] = contextlib.ExitStack()
    stage.enter_context(empty_folder())
    stage.enter_context(clouds_in_memory())


def close_stage(namespace: dict[str, Any]) -> None:
    """Undo it."""
    namespace["_stage"].close()


pages = Sybil(
    parsers=[myst.PythonCodeBlockParser(), myst.SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/*/*.md"],
    setup=open_stage,
    teardown=close_stage,
)
docstrings = Sybil(
    parsers=[rest.DocTestParser(), rest.SkipParser()],
    path="src",
    patterns=["*.py"],
    document_types={".py": PythonDocStringDocument},
    setup=open_stage,
    teardown=close_stage,
)

pytest_collect_file = (pages + docstrings).pytest()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the examples of one document in their order, whatever shuffles the tests."""
    examples = [item for item in items if isinstance(item, SybilItem)]
    examples.sort(key=lambda item: (str(item.path), item.example.line))
    items[:] = [item for item in items if not isinstance(item, SybilItem)] + examples
