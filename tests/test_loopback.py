"""Whoever turns to another machine fails, here and on workers, even if nobody hears the error."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from tests import loopback
from tests.loopback import OutsideError, asked_for, is_here

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
# Of the ranges that are set aside for documentation: nobody is there, should a guard be broken.
OUTSIDE = "192.0.2.1"
NAME = "storage.example"

CONFTEST = f"""
import sys

sys.path.insert(0, {str(ROOT)!r})
pytest_plugins = ["tests.loopback"]
"""
WATCHED = """
import contextlib
import socket


def test_stays():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def test_goes():
    with contextlib.suppress(Exception):
        {call}
"""


@pytest.fixture
def watched(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]")
    pytester.makeconftest(CONFTEST)
    return pytester


def played(pytester, call, *options):
    pytester.makepyfile(WATCHED.format(call=call))
    return pytester.runpytest_subprocess(*options)


# --- a run --------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "2")], ids=["here", "on workers"])
def test_an_error_that_nobody_heard_fails_the_run(watched, options):
    result = played(watched, f"socket.getaddrinfo({NAME!r}, 443)", *options)
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"socket.getaddrinfo {NAME} (*::test_goes (call))"])
    result.stdout.no_fnmatch_line("*::test_stays*")


def test_who_stays_here_is_let_be(watched):
    assert played(watched, "socket.getaddrinfo('localhost', 1)").ret == pytest.ExitCode.OK


# --- this run -----------------------------------------------------------------------------


@pytest.fixture
def forgiving(request):
    """Let this test offend: it is about the guard, which forgets what it has seen of it."""
    guard = request.config.pluginmanager.getplugin("loopback")
    before = list(guard.seen)
    yield guard
    guard.seen[:] = before


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_connection_is_refused(forgiving, kind):
    with socket.socket(socket.AF_INET, kind) as plain:
        with pytest.raises(OutsideError, match=r"192\.0\.2\.1.*only talk to this machine"):
            plain.connect((OUTSIDE, 443))
        with pytest.raises(OutsideError):
            plain.connect_ex((OUTSIDE, 443))
    assert len(forgiving.seen) >= 2


def test_a_datagram_is_refused(forgiving):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        with pytest.raises(OutsideError):
            plain.sendto(b"", (OUTSIDE, 53))
        with pytest.raises(OutsideError):
            plain.sendmsg([b""], [], 0, (OUTSIDE, 53))


@pytest.mark.parametrize(
    "look_up", [socket.gethostbyname, socket.gethostbyname_ex, socket.gethostbyaddr]
)
def test_a_look_up_is_refused(forgiving, look_up):
    with pytest.raises(OutsideError):
        look_up(NAME)


def test_a_loop_in_another_thread_is_refused(forgiving):
    async def go():
        with pytest.raises(OutsideError):
            await asyncio.open_connection(NAME, 443)
        with pytest.raises(OutsideError):
            await asyncio.open_connection(OUTSIDE, 443)

    asyncio.run(asyncio.wait_for(asyncio.to_thread(asyncio.run, go()), 5))
    assert len(forgiving.seen) >= 2


def test_the_refusal_is_no_outage():
    assert not issubclass(OutsideError, OSError)


# --- its parts ----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", ""])
def test_this_machine(host):
    assert is_here(host)


@pytest.mark.parametrize("host", [OUTSIDE, NAME, "10.0.0.1", "0.0.0.0", "2001:db8::1", "169.254.1"])
def test_another_machine(host):
    assert not is_here(host)


@pytest.mark.parametrize(
    ("name", "arguments", "host"),
    [
        ("connect", (None, ("h", 1)), "h"),
        ("connect_ex", (None, ("h", 1, 0, 0)), "h"),
        ("connect", (None, (b"h", 1)), "h"),
        ("connect", (None, "/run/socket"), None),
        ("connect", (None, b"\0abstract"), None),
        ("connect", (None, (4, 1)), None),
        ("sendto", (None, b"data", ("h", 1)), "h"),
        ("sendto", (None, b"data", 0, ("h", 1)), "h"),
        ("sendmsg", (None, (b"data",)), None),
        ("sendmsg", (None, [b"data"], [], 0, None), None),
        ("sendmsg", (None, [b"data"], [], 0, ("h", 1)), "h"),
        ("getaddrinfo", (None, 1), None),
        ("getaddrinfo", (b"h", 1), "h"),
        ("gethostbyname", ("h",), "h"),
    ],
)
def test_what_a_call_asks_for(name, arguments, host):
    assert asked_for(name, arguments, {}) == host


def test_a_host_that_is_named_is_asked_for():
    assert asked_for("getaddrinfo", (), {"host": "h", "port": 1}) == "h"


def test_a_guard_that_is_no_longer_needed_lets_go():
    before = socket.socket.connect, socket.getaddrinfo
    guard = loopback.Loopback()
    assert (socket.socket.connect, socket.getaddrinfo) != before
    guard.pytest_unconfigure()
    assert (socket.socket.connect, socket.getaddrinfo) == before


# Threads that begin while others do, each greeted by a tracer, as those of a run for coverage are.
STARTING = """
import sys
import threading

sys.setswitchinterval(1e-6)
sys.unraisablehook = lambda told: died.append(str(told.exc_value))
threading.settrace(lambda *_: None)
died = []


def start():
    for _ in range(2500):
        threading.Thread(target=int, daemon=True).start()


def test_every_thread_begins():
    starters = [threading.Thread(target=start) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert died == []
"""


def test_no_thread_dies_of_the_guard_where_threads_are_traced(watched):
    watched.makepyfile(STARTING)
    assert watched.runpytest_subprocess().ret == pytest.ExitCode.OK
