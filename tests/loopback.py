"""Keeps the tests on this machine: who connects to another, or asks for its address, fails.

The run fails as well, even if the error was swallowed on its way to the test. A program that a
test starts is not watched, nor is code in C that asks the kernel itself.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import Any

import pytest

WORKERS_WORD = "went_outside"


class OutsideError(RuntimeError):
    """A test turned to another machine; no kind of OSError, which would count as an outage."""


class Loopback:
    """Watches one process from its making on: what Python calls back for cannot be taken back."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.watching = True
        sys.addaudithook(self.audit)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuse a call of the socket module that leads outside."""
        if not event.startswith("socket.") or not self.watching:
            return
        host = asked_for(event, arguments)
        if host is None or is_here(host):
            return
        # pytest keeps it up to date in the process that runs the test
        test = os.environ.get("PYTEST_CURRENT_TEST", "outside of any test")
        self.seen.append(f"{event} {host} ({test})")
        raise OutsideError(f"{event} to {host!r}: tests may only talk to this machine")

    # --- the run as a whole ---------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker of pytest-xdist has seen."""
        self.seen += getattr(node, "workeroutput", {}).get(WORKERS_WORD, [])

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[WORKERS_WORD] = self.seen
        elif self.seen and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.seen:
            terminalreporter.section("turned to another machine", red=True, bold=True)
            for line in sorted(set(self.seen)):
                terminalreporter.line(line)

    def pytest_unconfigure(self) -> None:
        self.watching = False


def asked_for(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return the host that a call of the socket module names, or None where it names none."""
    match event:
        case "socket.connect" | "socket.sendto" | "socket.sendmsg":
            # (socket, address); other than for IP, an address is a path, or a number in the kernel
            address = arguments[1]
            host = address[0] if isinstance(address, tuple) and address else None
        case "socket.getaddrinfo" | "socket.gethostbyname" | "socket.gethostbyaddr":
            host = arguments[0]
        case _:
            host = None
    if isinstance(host, bytes | bytearray):
        host = host.decode("latin-1")
    return host if isinstance(host, str) else None


def is_here(host: str) -> bool:
    """Whether a host is this machine, by its loopback address or the name of that."""
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Loopback(), "loopback")
