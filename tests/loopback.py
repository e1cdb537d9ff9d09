"""Keeps the tests on this machine: who connects to another, or asks for its address, fails.

The run fails as well, even if the error was swallowed on its way to the test. A program that a
test starts is not watched, nor is code in C that asks the kernel itself.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
from collections.abc import Mapping
from typing import Any

import pytest

WORKERS_WORD = "went_outside"


class OutsideError(RuntimeError):
    """A test turned to another machine; no kind of OSError, which would count as an outage."""


class Loopback:
    """Watches the socket module of one process.

    No audit hook: the interpreter asks one on each ``sys.settrace`` as well, and may change threads
    there, on which the next thread that a tracer (coverage) greets dies before it has begun.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._patches = pytest.MonkeyPatch()
        for name in ("connect", "connect_ex", "sendto", "sendmsg"):
            self._watch(socket.socket, name)
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
            self._watch(socket, name)

    def _watch(self, owner: Any, name: str) -> None:
        call = getattr(owner, name)

        @functools.wraps(call)
        def watched(*arguments: Any, **named: Any) -> Any:
            self._check(name, asked_for(name, arguments, named))
            return call(*arguments, **named)

        self._patches.setattr(owner, name, watched)

    def _check(self, name: str, host: str | None) -> None:
        if host is None or is_here(host):
            return
        # pytest keeps it up to date in the process that runs the test
        test = os.environ.get("PYTEST_CURRENT_TEST", "outside of any test")
        self.seen.append(f"socket.{name} {host} ({test})")
        raise OutsideError(f"socket.{name} to {host!r}: tests may only talk to this machine")

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
        self._patches.undo()


def asked_for(name: str, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> str | None:
    """Return the host that a call of the socket module names, or None where it names none.

    The arguments are as given; a socket's own call has the socket as its first.
    """
    match name, arguments:
        case (("connect" | "connect_ex"), (_, address)) | ("sendto", (_, _, *_, address)):
            host = host_of(address)
        case "sendmsg", (_, _, _, _, address):
            host = host_of(address)
        case (("getaddrinfo" | "gethostbyname" | "gethostbyname_ex" | "gethostbyaddr"), (host, *_)):
            pass
        case _:
            host = named.get("host")
    if isinstance(host, bytes | bytearray):
        host = host.decode("latin-1")
    return host if isinstance(host, str) else None


def host_of(address: Any) -> Any:
    """Return an address's host; other than for IP, it is a path, or a number in the kernel."""
    return address[0] if isinstance(address, tuple) and address else None


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
