"""The pages say what the code says: errors, outcomes, promises, defaults, files, costs."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import attrs
import pytest

import resilient_store as rs
from resilient_store.backends.client import LAST_RESORT_S
from resilient_store.backends.contract import RefusedError
from resilient_store.backends.families.azure_answers import checked_options
from resilient_store.backends.families.flat import CHECK_AGAIN_AFTER, PAGE_KEYS
from resilient_store.backends.families.gcs_answers import Options
from resilient_store.backends.tables import gcs, s3
from resilient_store.backends.upload import RATE_BYTES_PER_S
from resilient_store.catalog.catalog import WITHIN_S
from resilient_store.io.catalogued.holder import ASKED_FOR_S
from resilient_store.io.parts import PART_BYTES
from resilient_store.io.stream import BLOCK_BYTES
from resilient_store.model.path import LONGEST_BYTES
from resilient_store.protocol import breaker, hedge
from resilient_store.runtime import GRACE_S
from resilient_store.testing import plugin
from tests.servers.faults import with_the_id_that_s3_sends

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
    assert f"cannot be had | {WITHIN_S:g} s |" in said
    assert f"the catalog goes away | {2 * WITHIN_S:g} s |" in said
    assert f"it is asked for again | {ASKED_FOR_S + WITHIN_S:g} s |" in said


def test_p6_the_time_outs_on_the_page_are_those_in_the_code():
    said = page("docs/timeouts.md")
    timeout_s, stall_s = (default_of(rs.Backend, name) for name in ("timeout", "stall_timeout"))
    assert f"| `Backend(timeout=)` | {timeout_s:g} s |" in said
    assert f"| `Backend(stall_timeout=)` | {stall_s:g} s |" in said
    assert f"(max_concurrency=)` | {default_of(rs.Backend, 'max_concurrency')} |" in said
    hedge_s = default_of(rs.ReadFromFirstHealthy, "hedge_after")
    assert f"(hedge_after=)` | {hedge_s} s |" in said
    assert f"a block of 4 MiB: {timeout_s + BLOCK_BYTES / RATE_BYTES_PER_S:.3g} s" in said
    assert f"| 8 MiB: {stall_s + PART_BYTES / RATE_BYTES_PER_S:.3g} s |" in said
    failures = f"After {breaker.IN_A_ROW} failures in a row, or {breaker.WINDOW // 2} of the last"
    assert failures in said
    probes = f"{breaker.PROBE_AFTER_S:g} s later, then after 10, 20, 40 and "
    assert f"{probes}{breaker.PROBE_AT_MOST_S:g} s" in said
    assert f"gives it {LAST_RESORT_S:g} s to begin" in said
    extra = f"{hedge.AT_ONCE} at once, and one more for each {hedge.CALLS_PER_EXTRA} calls"
    assert extra in said
    assert f"given up after {GRACE_S:g} s" in said
    flowing = " ".join(said.split())
    asked = f"later than {ASKED_FOR_S:g} s after the commit: after {ASKED_FOR_S + WITHIN_S:g} s"
    assert asked in flowing
    assert f"is acknowledged, after {2 * WITHIN_S:g} s at most" in flowing


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
    "name",
    ["README.md", *(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))],
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


# The platforms' pages


@pytest.mark.parametrize(("name", "rights"), [("s3", s3.RIGHTS), ("gcs", gcs.RIGHTS)])
def test_every_right_that_an_error_names_is_on_the_platforms_page(name, rights):
    named = re.findall(r"s3:[A-Za-z]+|storage\.objects\.[a-z]+", " ".join(rights.values()))
    assert [right for right in named if f"`{right}`" not in page(f"docs/platforms/{name}.md")] == []


@pytest.mark.parametrize(("name", "accept"), [("gcs", Options.of), ("azure", checked_options)])
def test_the_write_options_on_a_platforms_page_are_those_in_the_code(name, accept):
    said = re.search(r"are known: (.+?\.)\s", page(f"docs/platforms/{name}.md"), re.DOTALL)
    known = re.findall(r"`([A-Za-z_]+)`", said[1])
    assert accept(dict.fromkeys(known, "Cool"))
    with pytest.raises(RefusedError) as caught:
        accept({"other": 1})
    assert [option for option in known if option not in str(caught.value)] == []


def requests_said(name: str) -> dict[str, int]:
    """Read a page's table: what a call costs that is not special in any way."""
    table = page(f"docs/platforms/{name}.md").partition("| call | requests |")[2].partition("\n\n")
    cells = re.findall(r"^\| (.+?) \| (\d+).* \|$", table[0], re.MULTILINE)
    said = {call: int(number) for call, number in cells}
    assert f"list | {said['list']} for each {PAGE_KEYS} keys" in table[0]
    said["open as a file"] += 1  # for the only block
    said["copy"] += said["write a new path"]
    return said


@pytest.mark.parametrize("name", ["s3", "gcs", "azure"])
def test_a_call_takes_as_many_requests_as_the_platforms_page_says(request, name):
    platform = request.getfixturevalue(name)
    one = rs.Backend(
        platform.url(platform.new_bucket()), storage_options=platform.storage_options()
    )
    said = requests_said(name)
    if name == "s3":  # and moto does not, of what is absent
        platform.proxy.set("rewrite", answer=with_the_id_that_s3_sends)
    if name == "gcs":  # this server's "not found" is not worded as Google's
        said["read of what is absent"] += 1
    with (
        rs.ResilientFileSystem([one]) as fs,
        rs.ResilientFileSystem([one], write_once="unique-names") as once,
    ):
        with pytest.raises(FileNotFoundError):
            fs.read("absent")  # the bucket is there
        counted = {}
        for call, make in {
            "write a new path": lambda: fs.pipe_file("photo", b"bytes"),
            "overwrite": lambda: fs.pipe_file("photo", b"other"),
            "read": lambda: fs.cat_file("photo"),
            "range": lambda: fs.cat_file("photo", 1, 3),
            "open as a file": lambda: fs.open("photo").read(),
            "`info`, `exists`": lambda: fs.info("photo"),
            "read of what is absent": lambda: fs.cat_file("absent"),
            "write with `write_once`": lambda: once.pipe_file("new", b"bytes"),
            "copy": lambda: fs.cp_file("photo", "copied"),
            "delete": lambda: fs.rm_file("copied"),
            "list": lambda: fs.ls(""),
        }.items():
            platform.proxy.log.clear()
            with contextlib.suppress(FileNotFoundError):
                make()
            counted[call] = len(platform.proxy.log)
    assert counted == said


@pytest.mark.parametrize("name", ["s3", "azure"])
def test_how_often_the_bucket_is_looked_at_again_is_on_the_page(name):
    assert f"for every {CHECK_AGAIN_AFTER + 1}st after it" in page(f"docs/platforms/{name}.md")


def test_the_prices_of_the_arithmetic_are_those_of_the_example():
    table = re.findall(
        r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$",
        (ROOT / "docs" / "what-if.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert len(table) == 3
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    for name, storage, put, get, egress in table:
        said = f'"{name}": rs.Price(storage={storage}, put={put}, get={get}, egress={egress}),'
        assert said in page


@pytest.mark.parametrize("name", ["docs/test-your-outage.md", "docs/reference-testing.md"])
def test_the_fixtures_of_the_pytest_plugin_are_on_its_pages(name):
    fixtures = [n for n, what in vars(plugin).items() if isinstance(what, type(plugin.outage))]
    missing = [n for n in fixtures if not n.startswith("_") and f"\n| `{n}` |" not in page(name)]
    assert len(fixtures) > 4
    assert missing == []


def test_the_settings_of_the_pytest_plugin_are_on_its_page():
    forms = re.findall(r"[\w.]+\.(?:toml(?::\w+)?|\w+:\w+)", plugin._HELP)
    assert forms == ["photos.toml", "photos.toml:store", "myapp.storage:make_store"]
    assert [form for form in forms if f"`{form}`" not in page("docs/reference-testing.md")] == []
