"""Every fault does what its name says, and nothing else; the proxy leaves nothing behind."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from tests.servers import upstream
from tests.servers.overload import TokenBucket, every
from tests.servers.proxy import FaultProxy
from tests.servers.upstream import ask, connected
from tests.servers.waiting import until

SHORT_S = 0.2
LARGE = 48 * 2**20
MIB = 2**20


@pytest.fixture
def server():
    with upstream.running() as server:
        yield server


@pytest.fixture
def proxy(server):
    with FaultProxy(server.port) as proxy:
        yield proxy


# --- what passes --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 100_000])
@pytest.mark.parametrize("way", ["", "chunked/", "until-closed/"])
def test_answers_pass_unchanged(proxy, way, size):
    assert ask(proxy, f"/{way}{size}") == (200, upstream.bytes_of(size))


@pytest.mark.parametrize("chunked", [False, True])
def test_requests_pass_unchanged(server, proxy, chunked):
    body = iter([b"a" * 70_000, b"b" * 30_000]) if chunked else b"a" * 100_000
    assert ask(proxy, "/0?x=1", "PUT", body, {"If-Match": "tag"})[0] == 200
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.size) == ("PUT", "/0?x=1", 100_000)
    assert seen.headers["host"] == f"127.0.0.1:{proxy.port}"
    assert seen.headers["if-match"] == "tag"


def test_one_connection_carries_many_requests(server, proxy):
    with connected(proxy) as connection:
        for method, path in [
            ("HEAD", "/100"),
            ("GET", "/5"),
            ("DELETE", "/status/204"),
            ("GET", "/status/304"),
            ("PUT", "/0"),
            ("GET", "/chunked/250"),
        ]:
            connection.request(method, path)
            connection.getresponse().read()
        assert (proxy.accepted, proxy.live) == (1, 1)
    assert len(server.seen) == len(proxy.log) == 6
    assert until(lambda: proxy.live == 0)


def test_small_answers_wait_for_nothing(proxy):
    begun_s = time.monotonic()
    with connected(proxy) as connection:
        for _ in range(50):  # 40 ms each where one side waits for the other's acknowledgement
            connection.request("PUT", "/5", b"body")
            connection.getresponse().read()
    assert time.monotonic() - begun_s < 1


def test_a_body_waits_for_100_continue(server, proxy):
    with (
        socket.create_connection(("127.0.0.1", proxy.port), 5) as client,
        client.makefile("rb") as answers,
    ):
        client.sendall(b"PUT /3 HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert answers.readline() + answers.readline() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert not server.seen
        client.sendall(b"body")
        assert b" 200 " in answers.readline()
    assert server.seen[0].size == 4


def test_the_log_tells_what_was_asked_but_not_by_whom(proxy):
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=me", "If-None-Match": "*"}
    proxy.set("status", code=412, match="^PUT")
    ask(proxy, "/0?comp=block&sig=abc%3D&b=1", "PUT", b"", headers)
    ask(proxy, "/1")
    first, second = proxy.log
    assert (first.method, first.action) == ("PUT", "status")
    assert first.path == "/0?comp=block&sig=-&b=1"
    assert first.headers["if-none-match"] == "*"
    assert first.headers["authorization"] == "AWS4-HMAC-SHA256"
    assert (second.line, second.action) == ("GET /1", "pass")


@pytest.mark.parametrize("mode", ["pass", "latency"])
def test_large_bodies_take_little_memory(server, proxy, mode):
    proxy.set(mode)
    block = b"x" * (64 * 1024)
    tracemalloc.start()
    try:
        blocks = (block for _ in range(LARGE // len(block)))
        ask(proxy, "/0", "PUT", blocks, {"Content-Length": str(LARGE)})
        with connected(proxy) as connection:
            connection.request("GET", f"/{LARGE}")
            answer, size = connection.getresponse(), 0
            while piece := answer.read(len(block)):
                size += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (server.seen[0].size, size) == (LARGE, LARGE)
    assert peak < 2 * MIB  # of which half is the client's, and the server's


# --- what does not ------------------------------------------------------------------------


def test_refuse(server, proxy):
    with connected(proxy) as connection:
        connection.request("GET", "/1")
        connection.getresponse().read()
        proxy.set("refuse")
        with pytest.raises(ConnectionResetError):
            connection.sock.recv(1)
    with pytest.raises(ConnectionRefusedError):
        ask(proxy, "/2")
    proxy.set("pass")
    assert ask(proxy, "/3")[0] == 200
    assert [seen.path for seen in server.seen] == ["/1", "/3"]


@pytest.mark.parametrize("expect", [{}, {"Expect": "100-continue"}])
def test_blackhole(server, proxy, expect):
    proxy.set("blackhole")
    with connected(proxy, SHORT_S) as connection:
        connection.request("PUT", "/0", b"" if expect else b"body", expect)
        with pytest.raises(TimeoutError):
            connection.sock.recv(1)
        assert proxy.live == 1
    assert until(lambda: proxy.live == 0)
    assert not server.seen


def test_a_blackhole_swallows_no_large_body(proxy):
    proxy.set("blackhole")
    with connected(proxy, SHORT_S) as connection, pytest.raises(TimeoutError):
        connection.request("PUT", "/0", b"x" * (64 * MIB))


def test_what_hangs_is_reset_when_the_mode_changes(proxy):
    proxy.set("blackhole")
    with connected(proxy) as connection:
        connection.request("GET", "/1")
        assert until(lambda: len(proxy.log) == 1)
        proxy.set("pass")
        with pytest.raises(ConnectionResetError):
            connection.getresponse()


def test_swallow(server, proxy):
    proxy.set("swallow")
    with pytest.raises(TimeoutError):
        ask(proxy, "/0", "PUT", b"body", timeout_s=SHORT_S)
    assert server.seen[0].size == 4
    assert until(lambda: proxy.live == 0)


def test_hold_forwards_what_its_client_gave_up(server, proxy):
    proxy.set("hold", seconds=60, match="^PUT")
    with pytest.raises(TimeoutError):
        ask(proxy, "/0", "PUT", b"body", timeout_s=SHORT_S)
    proxy.set("pass")
    assert ask(proxy, "/1")[0] == 200
    assert [seen.path for seen in server.seen] == ["/1"]
    proxy.release()
    assert server.wait_for("/0")


def test_hold_answers_who_is_still_there(server, proxy):
    proxy.set("hold", seconds=SHORT_S)
    begun_s = time.monotonic()
    status, _ = ask(proxy, "/7", "PUT", b"body", {"Expect": "100-continue"})
    assert status == 200
    assert time.monotonic() - begun_s >= SHORT_S


def test_a_reset_forgets_what_is_on_hold(server, proxy):
    proxy.set("hold", seconds=60)
    with connected(proxy) as connection:
        connection.request("PUT", "/0", b"body")
        assert until(lambda: len(proxy.log) == 1)
        proxy.reset()
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            connection.getresponse()
    assert (proxy.log, proxy.accepted) == ([], 0)
    assert ask(proxy, "/1")[0] == 200
    assert [seen.path for seen in server.seen] == ["/1"]


def test_reset_before_the_answer(server, proxy):
    proxy.set("reset", after=0)
    with pytest.raises(ConnectionResetError):
        ask(proxy, "/1000", "PUT", b"body")
    assert server.seen[0].size == 4


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("reset", ConnectionResetError),
        ("truncate", http.client.IncompleteRead),
        ("trickle", TimeoutError),
    ],
)
@pytest.mark.parametrize("way", ["", "chunked/"])
def test_an_answer_is_cut(proxy, mode, error, way):
    proxy.set(mode, after=700)
    with connected(proxy, 2 * SHORT_S) as connection:
        connection.request("GET", f"/{way}1000")
        answer = connection.getresponse()
        assert answer.read(700) == upstream.bytes_of(700)
        with pytest.raises(error):
            assert answer.read() == b"more"
    assert ask(proxy, f"/{way}700") == (200, upstream.bytes_of(700))  # not longer: passes


def test_slow(proxy):
    proxy.set("slow", rate=10_000)
    begun_s = time.monotonic()
    assert ask(proxy, "/5000") == (200, upstream.bytes_of(5000))
    assert 0.4 < time.monotonic() - begun_s < 3


def test_latency(proxy):
    proxy.set("latency", seconds=SHORT_S)
    begun_s = time.monotonic()
    assert ask(proxy, "/5") == (200, upstream.bytes_of(5))
    assert time.monotonic() - begun_s >= SHORT_S


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST"])
def test_status(server, proxy, method):
    proxy.set("status", code=429, body=b"later", headers={"Retry-After": "1"})
    with connected(proxy) as connection:
        for _ in range(2):  # the connection stays
            connection.request(method, "/9", b"body")
            answer = connection.getresponse()
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            assert answer.read() == (b"" if method == "HEAD" else b"later")
    assert (proxy.accepted, server.seen) == (1, [])


def test_a_status_has_the_body_that_s3_would_send(proxy):
    proxy.set("status", code=503)
    status, body = ask(proxy, "/1")
    assert (status, b"<Code>SlowDown</Code>" in body) == (503, True)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST"])
def test_captive(server, proxy, method):
    proxy.set("captive")
    with connected(proxy) as connection:
        connection.request(method, "/9", b"body")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html")
        assert (b"<form" in answer.read()) == (method != "HEAD")
    assert not server.seen


@pytest.mark.parametrize("way", ["", "chunked/"])
def test_flip(proxy, way):
    proxy.set("flip", at=150)
    _, body = ask(proxy, f"/{way}300")
    good = upstream.bytes_of(300)
    assert [at for at in range(300) if body[at] != good[at]] == [150]
    assert body[150] ^ good[150] == 1


@pytest.mark.parametrize("way", ["", "chunked/", "until-closed/"])
def test_rewrite(proxy, way):
    asked = []

    def answer(line, head, body):
        asked.append((line, body))
        return re.sub(rb" 200 ", b" 206 ", head), b"<Error/>"

    proxy.set("rewrite", answer=answer, match="GET")
    with connected(proxy) as connection:
        connection.request("GET", f"/{way}300")
        first = connection.getresponse()
        assert (first.status, first.read()) == (206, b"<Error/>")
    assert asked == [(f"GET /{way}300", upstream.bytes_of(300))]


@pytest.mark.parametrize("way", ["", "chunked/"])
def test_rewrite_may_let_an_answer_be(proxy, way):
    proxy.set("rewrite", answer=lambda line, head, body: None)
    assert ask(proxy, f"/{way}300") == (200, upstream.bytes_of(300))
    assert ask(proxy, "/300", "HEAD") == (200, b"")


def test_deny_counts_in_every_mode(server, proxy):
    proxy.deny = lambda line: line.startswith("DELETE")
    proxy.set("latency", seconds=0)
    assert ask(proxy, "/1", "DELETE")[0] == 403
    assert ask(proxy, "/1")[0] == 200
    assert [request.action for request in proxy.log] == ["deny", "latency"]
    proxy.reset()
    assert ask(proxy, "/1", "DELETE")[0] == 200


def test_what_is_too_much_is_refused_in_every_mode(server, proxy):
    proxy.overload = every(3)
    proxy.set("latency", seconds=0)
    assert [ask(proxy, "/1")[0] for _ in range(6)] == [200, 200, 503] * 2
    assert [request.action for request in proxy.log][1:3] == ["latency", "overload"]
    proxy.reset()
    assert [ask(proxy, "/1")[0] for _ in range(3)] == [200] * 3


def test_a_bucket_takes_so_many_a_second_and_counts_them():
    times_s = (number / 16 for number in range(32))  # of which every second one has a token
    bucket = TokenBucket(8, burst=2, clock=lambda: next(times_s))
    for _ in range(32):
        bucket()
    assert (bucket.taken, bucket.refused) == ({0: 9, 1: 8}, {0: 7, 1: 8})


def test_a_fault_may_be_picky(proxy):
    proxy.set("status", code=500, match=r"^GET /[12]$", times=2)
    assert [ask(proxy, f"/{n}")[0] for n in (1, 3, 2, 1)] == [500, 200, 500, 200]


def test_a_changed_mode_may_drop_connections(proxy):
    with connected(proxy) as connection:
        connection.request("GET", "/1")
        connection.getresponse().read()
        proxy.set("pass", drop=True)
        with pytest.raises(ConnectionResetError):
            connection.sock.recv(1)


def test_a_client_whose_server_is_down_is_reset(server, proxy):
    ask(proxy, "/1")
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionResetError):
        ask(proxy, "/1")


# --- nothing stays ------------------------------------------------------------------------


def test_a_stop_leaves_no_thread_and_no_socket(server):
    before = own_sockets()
    proxy = FaultProxy(server.port).start()
    ask(proxy, "/1")
    with contextlib.ExitStack() as clients:
        for mode in ("pass", "hold", "latency", "blackhole"):
            proxy.set(mode, **({"seconds": 60} if mode in {"hold", "latency"} else {}))
            connection = clients.enter_context(connected(proxy))
            connection.request("GET", "/1")
        assert until(lambda: proxy.live == 4)
        proxy.stop()
    assert not [thread for thread in threading.enumerate() if str(proxy.port) in thread.name]
    assert until(lambda: own_sockets() <= before)


def test_a_stop_while_refusing_frees_the_port(server):
    proxy = FaultProxy(server.port).start()
    proxy.set("refuse")
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", proxy.port))
    proxy.stop()
    with socket.socket() as other:
        other.bind(("127.0.0.1", proxy.port))


def own_sockets():
    links = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            name = os.readlink(link)
            links |= {name} if name.startswith("socket:") else set()
    return links
