"""What all tests share: how hard Hypothesis tries, and a limit on what one test may cost."""

from __future__ import annotations

import os
import time

import hypothesis
import pytest

# In CI the examples are the same every time and no database remembers earlier runs: what is
# green stays green. New examples are looked for at a desk, and by the hour in the matrix.
hypothesis.settings.register_profile(
    "ci", derandomize=True, database=None, deadline=None, print_blob=True
)
hypothesis.settings.register_profile("dev", deadline=None, print_blob=True)
hypothesis.settings.register_profile(
    "matrix", max_examples=2000, deadline=None, print_blob=True, database=None
)
# A changed decision must be noticed, and nobody reads by which example: none is made simpler.
hypothesis.settings.register_profile(
    "mutate",
    parent=hypothesis.settings.get_profile("ci"),
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
)

PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
hypothesis.settings.load_profile(PROFILE)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow-after",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="fail the run when a test without the mark `matrix` takes longer (default: 10)",
    )


def pytest_configure(config: pytest.Config) -> None:
    on_a_worker = hasattr(config, "workerinput")
    if PROFILE != "matrix" and not on_a_worker:
        config.pluginmanager.register(SlowTests(config.getoption("--slow-after")))


# How long the machine takes for it on which the limits were set.
SUM_OF, SUM_S = 5_000_000, 0.085


def slower_by() -> float:
    """Say how many times slower this machine is now than the one that the limits are for."""
    took_s = []
    for _ in range(3):
        began_s = time.process_time()
        sum(range(SUM_OF))
        took_s.append(time.process_time() - began_s)
    return max(1.0, min(took_s) / SUM_S)


@pytest.fixture
def slowness() -> float:
    """How many times slower this machine is now: what a bound on real time is stretched by."""
    return slower_by()


class SlowTests:
    """Fails a run in which a test took too long; the process that gathers reports asks it."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.found: list[tuple[float, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        excused = report.when != "call" or "matrix" in report.keywords
        if not excused and report.duration > self.limit_s:
            self.found.append((report.duration, report.nodeid))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if not self.found:
            return
        self.limit_s *= slower_by()
        self.found = [found for found in self.found if found[0] > self.limit_s]
        if self.found and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.found:
            return
        terminalreporter.section("too slow", red=True, bold=True)
        for duration_s, test in sorted(self.found, reverse=True):
            terminalreporter.line(f"{duration_s:.1f} s, allowed are {self.limit_s:.3g} s: {test}")
        terminalreporter.line("Make it quicker, or mark it `matrix` if it tries combinations.")
