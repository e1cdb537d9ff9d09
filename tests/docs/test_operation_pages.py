"""The pages about operations show what the code prints, and the numbers that are in it."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from pathlib import Path

import pytest

import resilient_store as rs
from conftest import close_stage, open_stage
from resilient_store.catalog.catalog import WITHIN_S
from resilient_store.catalog.database import WINDOW
from resilient_store.model.status import A_DAY_S
from resilient_store.protocol.bill import GB

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("what-if", "status")
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}")


def page(name):
    return (DOCS / f"{name}.md").read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_shows_is_what_its_examples_print(name):
    namespace, shown = {}, []
    open_stage(namespace)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            for kind, text in BLOCK.findall(page(name)):
                if kind == "python":
                    exec(compile(text, f"{name}.md", "exec"), namespace)
                else:
                    shown.append(text)
    finally:
        for fs in namespace.values():
            if isinstance(fs, rs.ResilientFileSystem):
                fs.close()
        close_stage(namespace)
    assert len(shown) >= 2
    assert MOMENT.sub("then", "".join(shown)) == MOMENT.sub("then", said.getvalue())


def test_the_numbers_on_the_pages_are_those_in_the_code():
    within = inspect.signature(rs.status).parameters["within"].default
    text = " ".join(page("status").split())
    assert f"in steps of {WINDOW:,} objects, for `within` seconds ({within:g} by default)" in text
    assert f"ends within {WITHIN_S:g} s" in text
    assert A_DAY_S == 24 * 3600
    assert GB == 10**9
    assert "10**9 bytes" in page("what-if")


def test_the_table_of_prices_has_its_date_and_says_whose_word_counts():
    text = page("what-if")
    assert re.search(r"written down on \d{4}-\d{2}-\d{2}", text)
    assert "Check your provider's" in text
    rows = re.findall(
        r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE
    )
    fields = ("storage", "put", "get", "egress")
    table = {
        name: rs.Price(**dict(zip(fields, map(float, row), strict=True))) for name, *row in rows
    }
    assert set(table) == {"aws", "gcp", "azure"}
    for name in ("aws", "gcp"):
        for field in fields:
            assert re.search(rf'"{name}".*{field}\W+{getattr(table[name], field)}', text)
