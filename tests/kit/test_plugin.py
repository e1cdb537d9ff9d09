"""The pytest plugin, as an application uses it: in a run of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

SHOP = """
import resilient_store as rs

def make_store():
    return rs.ResilientFileSystem(
        [
            rs.Backend("memory://aws", name="aws", domain="aws/us-east-1"),
            rs.Backend("memory://gcp", name="gcp", domain="gcp/europe-west1"),
            rs.Backend("memory://azure", name="azure", domain="azure/westeurope"),
        ],
        catalog="sqlite:///photos.db",
        write=rs.WriteToAll(min_copies=2, min_domains=2),
    )
"""
TESTS = """
import pytest
import resilient_store as rs

@pytest.fixture
def album(resilient_store):
    resilient_store.write("cat.jpg", b"meow")
    return resilient_store

@pytest.mark.outage
def test_an_order_is_printed(album):
    assert album.read("cat.jpg").data == b"meow"
    album.write("order.txt", b"1 cat")

@pytest.mark.outage(lose=["aws", "gcp"])
def test_two_at_once(album):
    with pytest.raises(rs.InsufficientCopiesError):
        album.write("order.txt", b"1 cat")

@pytest.mark.outage
@pytest.mark.parametrize("goes_on", [False, True])
def test_aws_alone_matters(album, outage, goes_on):
    assert goes_on or not any(fault.where == "aws" for fault in outage.active)

def test_hours_go_by(album, outage, virtual_time):
    outage.hang("aws")
    for _ in range(20):
        album.write("cat.jpg", b"meow")
    virtual_time.advance(3600)
    assert album.cat("cat.jpg") == b"meow"
    assert virtual_time.now_s > 3600
"""
TOML = """
[stores.large]
backends = [
    {target = "memory://one", name = "one", domain = "one"},
    {target = "memory://two", name = "two", domain = "two"},
]

[stores.small]
backends = [{target = "memory://three", domain = "there/now"}]
"""
INI = "[pytest]\nresilient_store = shop:make_store\npythonpath = .\naddopts = --strict-markers\n"
# What others have put into this environment takes a second to load, in each process.
PLUGINS = ("-p", "no:randomly", "-p", "no:zarr", "-p", "no:asyncio", "-p", "no:platformdirs")


@pytest.fixture
def run(tmp_path):
    def run(*arguments, **files):
        for name, text in files.items():
            (tmp_path / name.replace("__", ".")).write_text(text)
        return subprocess.run(
            [sys.executable, "-m", "pytest", *PLUGINS, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return run


def survived(tmp_path):
    suite = ET.parse(tmp_path / "out.xml").getroot().find("testsuite/properties")
    return {p.get("name").removeprefix("resilient_store_survives:"): p.get("value") for p in suite}


def test_a_test_runs_once_for_every_platform_lost(run, tmp_path):
    done = run("--junitxml=out.xml", "-v", shop__py=SHOP, test_shop__py=TESTS, pytest__ini=INI)
    assert "1 failed, 10 passed" in done.stdout
    for lost in ("aws", "gcp", "azure"):
        assert f"test_an_order_is_printed[without {lost}] PASSED" in done.stdout
    assert "test_two_at_once[without aws and gcp] PASSED" in done.stdout
    table = done.stdout.partition("outages")[2]
    assert re.search(r"^aws +no +test_shop\.py::test_aws_alone_matters$", table, re.MULTILINE)
    for lost in ("gcp", "azure", "aws and gcp"):
        assert re.search(rf"^{lost} +yes +-$", table, re.MULTILINE)
    assert survived(tmp_path) == {"aws": "no", "aws and gcp": "yes", "azure": "yes", "gcp": "yes"}
    properties = ET.parse(tmp_path / "out.xml").iter("property")
    lost = [p.get("value") for p in properties if p.get("name") == "resilient_store_lost"]
    assert lost.count("aws") == 3
    assert not (tmp_path / "photos.db").exists()


@pytest.fixture
def on_a_worker(run):
    """Run on a worker; xdist takes ten seconds at times to end one, and they are not the test's."""
    text = (
        "import pytest\n@pytest.mark.outage(lose='one')\n"
        "def test_one(resilient_store, outage): assert not outage.active\n"
        "@pytest.mark.outage(lose='two')\ndef test_two(resilient_store, outage): pass\n"
    )
    ini = "[pytest]\nresilient_store = photos.toml:large\n"
    files = {"photos__toml": TOML, "test_shop__py": text, "pytest__ini": ini}
    return run("-n", "1", "--junitxml=out.xml", **files)


def test_it_works_on_a_worker(on_a_worker, tmp_path):
    done = on_a_worker
    assert re.search(r"^one +no +test_shop\.py::test_one$", done.stdout, re.MULTILINE)
    assert re.search(r"^two +yes +-$", done.stdout, re.MULTILINE)
    assert survived(tmp_path) == {"one": "no", "two": "yes"}


def test_a_loss_that_only_a_teardown_does_not_survive_is_not_survived(run):
    text = (
        "import pytest\n@pytest.fixture\ndef order(resilient_store):\n    yield\n"
        "    resilient_store.write('order', b'1 cat')\n"
        "@pytest.mark.outage(lose=['there'])\ndef test_it(order): pass\n"
    )
    ini = "[pytest]\nresilient_store = photos.toml:small\n"
    done = run(photos__toml=TOML, test_shop__py=text, pytest__ini=ini)
    assert re.search(r"^there +no +test_shop.py::test_it$", done.stdout, re.MULTILINE)


def test_a_store_is_named_in_a_file(run):
    ini = "[pytest]\nresilient_store = photos.toml:small\n"
    text = "import pytest\n@pytest.mark.outage\ndef test_it(resilient_store): pass\n"
    done = run(photos__toml=TOML, test_shop__py=text, pytest__ini=ini)
    assert "1 passed" in done.stdout
    assert re.search(r"^there +yes", done.stdout, re.MULTILINE)


def test_a_project_without_a_store_is_told_what_to_set(run):
    done = run(test_shop__py="def test_it(resilient_store): pass")
    assert "set `resilient_store` in pytest's configuration" in done.stdout


def test_an_outage_without_a_store_is_told_so(run):
    text = "import pytest\n@pytest.mark.outage\ndef test_it(): pass\n"
    done = run(shop__py=SHOP, test_shop__py=text, pytest__ini=INI)
    assert "is marked `outage` and uses no store" in done.stdout


def test_a_loss_with_a_name_that_nothing_has_fails_and_says_what_there_is(run):
    text = (
        "import pytest\n"
        "@pytest.mark.outage(lose=['one', 'tow'])\ndef test_misspelt(resilient_store): pass\n"
        "@pytest.mark.outage(lose='two')\ndef test_right(resilient_store): pass\n"
    )
    ini = "[pytest]\nresilient_store = photos.toml:large\n"
    done = run("-v", photos__toml=TOML, test_shop__py=text, pytest__ini=ini)
    assert "no backend and no domain is called 'tow'; there are one (one), two (two)" in done.stdout
    assert "test_misspelt[without one and tow] FAILED" in done.stdout
    assert "test_right[without two] PASSED" in done.stdout
    assert "test_right[without one]" not in done.stdout


MISTAKES = {
    "positional": '@outage(["aws", "gcp"])\ndef test_it(resilient_store): pass\n',
    "misspelt": '@outage(loss=["aws", "gcp"])\ndef test_it(resilient_store): pass\n',
    "nobody": "@outage(lose=[])\ndef test_it(resilient_store): pass\n",
    "nested": '@outage(lose=[["aws"], "gcp"])\ndef test_it(resilient_store): pass\n',
    "unittest": "class TestIt(TestCase):\n    @outage\n    def test_it(self): pass\n",
}


def test_a_marker_that_would_do_something_else_is_refused(run):
    head = "import pytest\nfrom unittest import TestCase\noutage = pytest.mark.outage\n"
    tests = {f"test_{name}__py": head + text for name, text in MISTAKES.items()}
    done = run(shop__py=SHOP, pytest__ini=INI, **tests)
    assert f"{len(MISTAKES)} errors" in done.stdout
    assert "passed" not in done.stdout
    assert "outage(['aws', 'gcp']) is not understood" in done.stdout
    assert "outage(loss=['aws', 'gcp']) is not understood" in done.stdout
    assert "outage(lose=[]) is not understood" in done.stdout
    assert "outage(lose=[['aws'], 'gcp']) is not understood" in done.stdout
    assert "a class that is no unittest.TestCase" in done.stdout


# As anyio's own: it comes first, and runs the test itself.
RUNS_IT = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    names = pyfuncitem._fixtureinfo.argnames
    pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    return True
"""
ENDS = """
import pytest

def is_without(outage, *platforms):
    assert sorted(fault.where for fault in outage.active) == sorted(platforms)

@pytest.mark.outage(lose=["aws", "gcp"])
@pytest.mark.outage(lose="azure")
@pytest.mark.outage(lose=["gcp", "aws", "gcp"])
def test_of_several_markers_each_counts(outage, request):
    lost = request.node.callspec.id.removeprefix("without ").split(" and ")
    is_without(outage, *lost)

@pytest.fixture
def no_order(resilient_store):
    raise RuntimeError

@pytest.mark.outage(lose="aws")
def test_it_never_begins(no_order): pass

@pytest.fixture
def order(resilient_store):
    yield
    raise RuntimeError

@pytest.mark.outage(lose="gcp")
def test_it_does_not_end(order): pass

@pytest.mark.outage(lose=["azure", "aws"])
@pytest.mark.xfail
def test_it_is_known_to_fail(resilient_store): raise RuntimeError

@pytest.mark.outage(lose=["azure", "gcp"])
@pytest.mark.skip
def test_it_is_skipped(resilient_store): pass

@pytest.fixture
def late(request):
    request.node.add_marker("outage")

def test_it_is_marked_late(late, resilient_store): pass
"""


def test_an_outage_begins_whoever_runs_the_test_and_counts_however_it_ends(run, tmp_path):
    files = {"shop__py": SHOP, "pytest__ini": INI, "conftest__py": RUNS_IT}
    done = run("--junitxml=out.xml", "-v", "-rf", test_ends__py=ENDS, **files)
    assert re.search("1 failed, 3 passed, 1 skipped, 1 xfailed, 2 errors", done.stdout)
    for lost in ("aws and gcp", "azure"):
        assert f"test_of_several_markers_each_counts[without {lost}] PASSED" in done.stdout
    assert "test_it_is_marked_late is marked `outage`, and pytest cannot run it" in done.stdout
    table = done.stdout.partition("outages")[2]
    for lost, test in [
        ("aws", "never_begins"),
        ("gcp", "does_not_end"),
        ("aws and azure", "is_known_to_fail"),
    ]:
        assert re.search(rf"^{lost} +no +test_ends\.py::test_it_{test}$", table, re.MULTILINE)
    expected = {"aws": "no", "aws and azure": "no", "aws and gcp": "yes", "azure": "yes"}
    assert survived(tmp_path) == expected | {"gcp": "no"}


def test_nothing_heavy_is_loaded_until_it_is_used():
    code = (
        "import sys, resilient_store.testing.plugin; "
        "print([m for m in ('fsspec', 'hypothesis', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_project_that_does_without_it_says_so(run):
    text = "def test_it(): pass"
    assert "virtual_time" in run("--fixtures", test_shop__py=text).stdout
    assert "virtual_time" not in run("--fixtures", "-p", "no:resilient_store").stdout
