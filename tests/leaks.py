"""Looks for the made-up credentials in all that a run of the tests has printed and written.

Searched are the output, log and error of every report, whether the test passed or not, the
warnings, every file in pytest's temporary folder, and what is new in `build/`. A find fails the
run, which then tells the place and the canary's name, and nothing more.
"""

from __future__ import annotations

import fnmatch
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import pytest

from tests.servers import canaries

CHUNK_BYTES = 1024 * 1024
# A file system's clock may lag a little behind the one that we look at.
CLOCKS_DIFFER_S = 2.0
# Compiled, `canaries.py` still holds what it defines.
HOLDS_THEM_BY_NATURE = ("canaries.*.pyc",)


class Leaks:
    """Fails a run that shows a credential; the process that gathers reports asks it."""

    def __init__(self, config: pytest.Config, secrets: Mapping[str, str]) -> None:
        self.config = config
        self.marks = marks_of(secrets)
        self.begun_s = time.time()
        self.found: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._search_report(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._search_report(report)

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, nodeid: str
    ) -> None:
        self._search_text(str(warning_message.message), f"{nodeid}, a warning")

    @pytest.hookimpl(trylast=True)  # all has been written by then
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        for path in self._written():
            with open(path, "rb") as file:
                self._add(names_in(file, self.marks), str(path))
        if self.found and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.found:
            terminalreporter.section("credentials were shown", red=True, bold=True)
            for line in sorted(self.found):
                terminalreporter.line(line)

    def _search_report(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        for name, text in [*report.sections, ("the error", report.longreprtext)]:
            self._search_text(text, f"{report.nodeid}, {name}")

    def _search_text(self, text: str, place: str) -> None:
        data = text.encode("utf-8", "replace")
        self._add({name for mark, name in self.marks.items() if mark in data}, place)

    def _add(self, names: set[str], place: str) -> None:
        self.found |= {f"{name} is in {place}" for name in names}

    def _written(self) -> Iterator[Path]:
        basetemp = self.config._tmp_path_factory._basetemp
        if basetemp is not None:
            yield from files_in(basetemp)
        since_s = self.begun_s - CLOCKS_DIFFER_S
        yield from files_in(self.config.rootpath / "build", since_s)


def marks_of(secrets: Mapping[str, str]) -> dict[bytes, str]:
    """Name each half of each secret, as it is and as URLs have it: half of one tells too much."""
    marks = {}
    for name, secret in secrets.items():
        for form in (secret, quote(secret, safe="")):
            middle = len(form) // 2
            marks[form[:middle].encode()] = marks[form[middle:].encode()] = name
    return marks


def names_in(file: BinaryIO, marks: Mapping[bytes, str]) -> set[str]:
    """Search a file piece by piece, and across the cuts."""
    overlap = max(map(len, marks), default=1) - 1
    found: set[str] = set()
    end = b""
    while piece := file.read(CHUNK_BYTES):
        window = end + piece
        found |= {name for mark, name in marks.items() if mark in window}
        end = window[-overlap:] if overlap else b""
    return found


def files_in(folder: Path, since_s: float = 0.0) -> Iterator[Path]:
    """List the readable files in a folder, at any depth, that changed since then."""
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where, name)
            if any(fnmatch.fnmatch(name, pattern) for pattern in HOLDS_THEM_BY_NATURE):
                continue
            if path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK):
                continue
            if path.stat().st_mtime >= since_s:
                yield path


def pytest_configure(config: pytest.Config) -> None:
    on_a_worker = hasattr(config, "workerinput")
    if not on_a_worker:
        config.pluginmanager.register(Leaks(config, canaries.SECRETS), "leaks")
