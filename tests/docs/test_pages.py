"""The pages say what the code says: errors, outcomes, promises, defaults, files, commands."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

import resilient_store as rs
from resilient_store.backends.client import LAST_RESORT_S, RATE_BYTES_PER_S
from resilient_store.io.write import PART_BYTES
from resilient_store.model.path import LONGEST_BYTES
from resilient_store.protocol import breaker, hedge
from resilient_store.runtime import GRACE_S

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "resilient_store"
ERRORS = [getattr(rs, name) for name in rs.__all__ if name.endswith("Error")]


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_explained_with_its_code(error):
    text = page("docs/errors.md")
    assert f"`{error.__name__}`" in text
    assert f"`{error.code}`" in text


@pytest.mark.parametrize("outcome", rs.Outcome, ids=lambda outcome: outcome.value)
def test_every_outcome_has_its_row(outcome):
    assert f"\n| {outcome.value} |" in page("docs/errors.md")


@pytest.mark.parametrize("number", range(1, 10))
def test_every_promise_has_its_row_and_its_section(number):
    text = page("docs/promises.md")
    assert f"\n| P{number} |" in text
    assert f"\n## P{number}: " in text


def default_of(policy, name):
    return attrs.fields_dict(policy)[name].default


def test_p6_the_bounds_on_the_page_are_those_in_the_code():
    said = page("docs/promises.md")
    assert f"without a body | {default_of(rs.Backend, 'timeout'):g} s |" in said
    assert f"long upload | {default_of(rs.Backend, 'stall_timeout'):g} s," in said
    assert f"one backend | {default_of(rs.Backend, 'max_concurrency')}, each" in said
    assert f"asked | {default_of(rs.ReadFromFirstHealthy, 'hedge_after')} s |" in said
    assert RATE_BYTES_PER_S == 1_000_000
    assert f"retries | {hedge.AT_ONCE} at once, then 1 for each {hedge.CALLS_PER_EXTRA}" in said
    assert f"a breaker | {breaker.IN_A_ROW} in a row, or {breaker.WINDOW // 2} of the last" in said
    probes = f"after {breaker.PROBE_AFTER_S:g} s, doubling up to {breaker.PROBE_AT_MOST_S:g} s"
    assert probes in said
    assert f"left alone | {LAST_RESORT_S:g} s to begin" in said
    assert f"given up after {GRACE_S:g} s |" in said
    assert f"parts of {PART_BYTES >> 20} MiB" in said


def test_the_longest_path_on_the_page_is_that_in_the_code():
    assert f"more than {LONGEST_BYTES} bytes" in page("docs/limits.md")


def test_the_files_that_internals_names_are_there():
    named = re.findall(r"`([a-z_/]+(?:\.py|/))`", page("docs/internals.md"))
    assert len(named) > 40
    missing = [
        name
        for name in named
        if not name.startswith(".resilient")
        and not (ROOT / name).exists()
        and not list(SRC.rglob(name.rstrip("/")))
    ]
    assert missing == []


def test_the_readme_has_the_two_commands_to_the_letter():
    readme = page("README.md")
    for command in (
        "python -m venv .venv && . .venv/bin/activate",
        'python -m pip install ".[demo]" && python examples/outage_drill.py',
        "python -m pip install nox && nox",
    ):
        assert f"\n$ {command}\n" in readme


@pytest.mark.parametrize(
    "name", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_links_to_files_lead_somewhere(name):
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page(name))
    missing = [one for one in targets if not ((ROOT / name).parent / one).exists()]
    assert missing == []


def test_every_decision_is_one_short_page_with_its_reason():
    for path in (ROOT / "docs" / "decisions").glob("*.md"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("# "), path.name
        assert len(lines) <= 60, path.name
        if path.name != "index.md":
            assert "**What it costs.**" in "\n".join(lines), path.name
