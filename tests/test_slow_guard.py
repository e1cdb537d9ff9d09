"""The guard against slow tests sees them, here and on workers, and lets the others be."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TWO_TESTS = """
    import time

    import pytest


    def test_quick():
        pass


    {mark}
    def test_that_dawdles():
        time.sleep(0.3)
"""


@pytest.fixture
def guarded(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("HYPOTHESIS_PROFILE", "dev")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text("utf-8"))
    pytester.makeini("[pytest]\nmarkers = matrix")
    return pytester


def played(pytester: pytest.Pytester, *options: str, mark: str = "") -> pytest.RunResult:
    pytester.makepyfile(TWO_TESTS.format(mark=mark))
    return pytester.runpytest_subprocess("--slow-after=0.02", *options)


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["here", "on workers"])
def test_a_slow_test_fails_the_run(guarded, options):
    result = played(guarded, *options)
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*allowed are 0.* s: *::test_that_dawdles"])
    result.stdout.no_fnmatch_line("*allowed are*test_quick*")


def test_the_mark_excuses_it(guarded):
    result = played(guarded, mark="@pytest.mark.matrix")
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.OK


def test_the_matrix_takes_the_time_it_takes(guarded, monkeypatch):
    monkeypatch.setenv("HYPOTHESIS_PROFILE", "matrix")
    assert played(guarded).ret == pytest.ExitCode.OK
