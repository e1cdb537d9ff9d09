"""The tree keeps its shape: sizes, names, one door to time and chance, docs in step with code."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests import layout

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "resilient_store"
MODULES = {
    path.relative_to(SRC).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(SRC.rglob("*.py"))
}
CHECKS = [
    layout.too_long_module,
    layout.too_long_functions,
    layout.name_that_says_nothing,
    layout.no_docstring,
    layout.past_the_door,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_no_module_offends(check):
    complaints = [said for path, source in MODULES.items() for said in check(path, source)]
    assert not complaints, "\n".join(complaints)


def test_every_folder_of_code_is_a_package():
    folders = {path.parent for path in SRC.rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("module", ["resilient_store", "resilient_store.testing"])
def test_the_reference_documents_what_is_public_and_nothing_else(module):
    exported = getattr(importlib.import_module(module), "__all__", ())
    public = {f"{module}.{name}" for name in exported}
    pages = "\n".join(page.read_text("utf-8") for page in ROOT.glob("docs/reference*.md"))
    documented = {name for name in layout.documented_names(pages) if _is_directly_in(name, module)}
    assert documented == public


def _is_directly_in(name: str, module: str) -> bool:
    return name.rpartition(".")[0] == module


def test_the_package_says_what_is_public():
    assert importlib.import_module("resilient_store").__all__


# --- each check can fail ------------------------------------------------------------------


def test_a_long_module_is_seen():
    assert list(layout.too_long_module("x.py", "a = 1\n" * 401))
    assert not list(layout.too_long_module("x.py", "a = 1\n" * 400))


def test_the_facade_may_be_a_little_longer():
    assert list(layout.too_long_module("filesystem.py", "a = 1\n" * 501))
    assert not list(layout.too_long_module("filesystem.py", "a = 1\n" * 500))
    assert list(layout.too_long_module("io/filesystem.py", "a = 1\n" * 500))


@pytest.mark.parametrize("start", ["def f():\n", "async def f():\n", "class C:\n def f(self):\n"])
def test_a_long_function_is_seen(start):
    indent = " " * start.count("def") + " " * start.count("class")
    assert list(layout.too_long_functions("x.py", start + f"{indent}a = 1\n" * 60))
    assert not list(layout.too_long_functions("x.py", start + f"{indent}a = 1\n" * 59))


def test_a_docstring_does_not_make_a_function_long():
    docstring = ' """Say.\n' + " much.\n" * 100 + ' """\n'
    source = "def f():\n" + docstring + " a = 1\n" * 59
    assert not list(layout.too_long_functions("x.py", source))
    assert list(layout.too_long_functions("x.py", source + " a = 1\n"))


@pytest.mark.parametrize("path", ["utils.py", "io/path_helpers.py", "manager/write.py"])
def test_a_name_that_says_nothing_is_seen(path):
    assert list(layout.name_that_says_nothing(path, ""))


def test_a_name_that_says_something_is_let_be():
    assert not list(layout.name_that_says_nothing("protocol/settle.py", ""))


def test_a_missing_docstring_is_seen():
    assert list(layout.no_docstring("io/__init__.py", "from x import y\n"))
    assert list(layout.no_docstring("io/__init__.py", ""))
    assert not list(layout.no_docstring("io/__init__.py", '"""Carry it out."""\n'))


PAST_THE_DOOR = [
    "import time\ntime.time()",
    "import time as t\nt.monotonic()",
    "from time import perf_counter as clock\nclock()",
    "import time\ntime.sleep(1)",
    "import datetime\ndatetime.datetime.now()",
    "import datetime as dt\nnow = dt.datetime.now(dt.UTC)",
    "from datetime import datetime\ndatetime.utcnow()",
    "from datetime import date\ndate.today()",
    "import asyncio\nclock = asyncio.get_running_loop().time",
    "def f(loop):\n return loop.time()",
    "import asyncio\nasyncio.create_task(f())",
    "from asyncio import ensure_future",
    "def f(self):\n self.loop.create_task(f())",
    "import asyncio\nasync def f():\n async with asyncio.TaskGroup() as group: ...",
    "def f(group):\n group.create_task(f())",
    "import asyncio\nasyncio.gather(f(), g())",
    "import asyncio as aio\naio.sleep(0)",
    "import asyncio\nasyncio.run_coroutine_threadsafe(f(), loop)",
    "import random\nrandom.random()",
    "from random import Random",
    "import secrets\nsecrets.token_hex()",
    "import uuid\nuuid.uuid4()",
    "from uuid import uuid1",
    "import os\nos.urandom(8)",
]


@pytest.mark.parametrize("source", PAST_THE_DOOR)
def test_what_comes_in_past_the_door_is_seen(source):
    assert list(layout.past_the_door("io/write.py", source))
    for door in ("runtime.py", "io/drive.py", "testing/simulation/loop.py"):
        assert not list(layout.past_the_door(door, source))


@pytest.mark.parametrize(
    "source",
    [
        "import datetime as dt\ndt.datetime.fromtimestamp(0, dt.UTC)",
        "import datetime as dt\nnoon = dt.time(12)",
        "import asyncio\nasyncio.timeout(3)\nasyncio.wait([])",
        "import uuid\nuuid.UUID(int=1)",
        "import os\nos.getpid()",
        "def f(now):\n return now.time_s",
        "from resilient_store import runtime\nruntime.now_s()",
    ],
)
def test_what_needs_no_door_is_let_be(source):
    assert not list(layout.past_the_door("io/write.py", source))


def test_only_backends_may_reach_another_threads_loop():
    source = "import asyncio\nasyncio.run_coroutine_threadsafe(f(), loop)"
    assert not list(layout.past_the_door("backends/threads.py", source))
    assert list(layout.past_the_door("operations/repair.py", source))


def test_a_page_documents_what_its_directives_name():
    page = """
.. currentmodule:: shop

.. autoclass:: Till
   :members:
.. autofunction:: sell

.. currentmodule:: shop.testing
.. autoclass:: FaultyTill

`autoclass:: Prose` is not a directive.
"""
    expected = {"shop.Till", "shop.sell", "shop.testing.FaultyTill"}
    assert layout.documented_names(page) == expected
