"""A credential that a run shows or writes fails it, and is not shown once more."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest

from tests import leaks
from tests.servers import canaries

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
# Of its own, so that what is planted here is no find in this run.
PLANTED = "s3cret/of+the=inner+run!"

CONFTEST = f"""
import sys

sys.path.insert(0, {str(ROOT)!r})
from tests.leaks import Leaks


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Leaks(config, {{"PLANTED": {PLANTED!r}}}))
"""
SHOWN_IN = {
    "stdout": "print(PLANTED)",
    "stderr": "print(PLANTED, file=sys.stderr)",
    "log": "logging.getLogger('x').warning('with %s', PLANTED)",
    "error": "raise ValueError(PLANTED)",
    "warning": "warnings.warn(PLANTED, stacklevel=1)",
    "half": "print(PLANTED[: len(PLANTED) // 2])",
    "url": "print(quote(PLANTED, safe=''))",
    "file": "(tmp_path / 'deep').mkdir(); (tmp_path / 'deep' / 'x').write_text(PLANTED)",
    "built": "(ROOT / 'build').mkdir(); (ROOT / 'build' / 'x').write_text(PLANTED)",
    "nothing": "(tmp_path / 'x').write_text('nothing'); print('nothing')",
}
START = f"""
import logging
import sys
import warnings
from pathlib import Path
from urllib.parse import quote

PLANTED = "".join({list(PLANTED)!r})
ROOT = Path(__file__).parent
"""
TEST = """
def test_{place}(tmp_path):
    {statement}
"""
BOTH_WAYS = pytest.mark.parametrize(
    "options", [(), ("-p", "xdist", "-n", "2")], ids=["here", "on workers"]
)


@pytest.fixture
def guarded(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]")
    pytester.makeconftest(CONFTEST)
    return pytester


def played(pytester, places, *options):
    """Run a test for each place; return its exit code and what it tells of leaks."""
    tests = [TEST.format(place=place, statement=SHOWN_IN[place]) for place in places]
    pytester.makepyfile(test_x=START + "".join(tests))
    result = pytester.runpytest_subprocess(*options)
    return result.ret, [line for line in result.outlines if line.startswith("PLANTED is in ")]


# --- a run --------------------------------------------------------------------------------


@BOTH_WAYS
def test_every_leak_is_told_by_its_place(guarded, options):
    _, told = played(guarded, SHOWN_IN, *options)
    for place, where in {
        "stdout": "test_x.py::test_stdout, Captured stdout call",
        "stderr": "test_x.py::test_stderr, Captured stderr call",
        "log": "test_x.py::test_log, Captured log call",
        "error": "test_x.py::test_error, the error",
        "warning": "test_x.py::test_warning, a warning",
        "half": "test_x.py::test_half, Captured stdout call",
        "url": "test_x.py::test_url, Captured stdout call",
        "file": "test_file0/deep/x",
        "built": "build/x",
    }.items():
        assert any(line.endswith(where) for line in told), place
    assert not any("nothing" in line or PLANTED in line for line in told)


@BOTH_WAYS
@pytest.mark.parametrize("place", ["stdout", "file"])
def test_a_leak_fails_a_run_that_has_passed(guarded, place, options):
    code, told = played(guarded, [place], *options)
    assert (code, len(told)) == (pytest.ExitCode.TESTS_FAILED, 1)


@BOTH_WAYS
def test_a_run_without_one_is_let_be(guarded, options):
    assert played(guarded, ["nothing"], *options) == (pytest.ExitCode.OK, [])


def test_a_leak_while_collecting_counts(guarded):
    guarded.makepyfile(test_collected=f"raise ValueError({PLANTED!r})")
    result = guarded.runpytest_subprocess()
    result.stdout.fnmatch_lines(["PLANTED is in test_collected.py, the error"])


def test_this_run_is_guarded(request):
    if hasattr(request.config, "workerinput"):
        pytest.skip("the process that hands out the tests is")
    guard = request.config.pluginmanager.getplugin("leaks")
    assert set(guard.marks.values()) == set(canaries.SECRETS)


# --- its parts ----------------------------------------------------------------------------


def test_every_half_is_a_mark_and_tells_nothing_else():
    marks = leaks.marks_of(canaries.SECRETS)
    assert min(map(len, marks)) >= 10
    assert len(marks) >= 2 * len(canaries.SECRETS)
    for name, secret in canaries.SECRETS.items():
        assert leaks.names_in(io.BytesIO(f"<{secret}>".encode()), marks) == {name}


@pytest.mark.parametrize("before", [0, 1, 3, 4, 5, 7, 8, 100])
def test_a_file_is_searched_across_the_cuts(before, monkeypatch):
    monkeypatch.setattr(leaks, "CHUNK_BYTES", 4)
    marks = {b"planted": "PLANTED"}
    file = io.BytesIO(b"." * before + b"planted" + b"." * 9)
    assert leaks.names_in(file, marks) == {"PLANTED"}
    assert leaks.names_in(io.BytesIO(b"." * before + b"plante"), marks) == set()


def test_what_is_searched(tmp_path):
    for name in ("a", "deep/b", "old", "canaries.cpython-311.pyc", "other.cpython-311.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "pipe")
    now_s = time.time()
    os.utime(tmp_path / "old", (now_s - 100, now_s - 100))
    found = {path.name for path in leaks.files_in(tmp_path, now_s - 50)}
    assert found == {"a", "b", "other.cpython-311.pyc"}
    assert {path.name for path in leaks.files_in(tmp_path)} == found | {"old"}
