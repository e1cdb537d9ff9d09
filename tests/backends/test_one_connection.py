"""SFTP and its like: the one connection breaks, hangs or is somebody else's, and is made anew."""

from __future__ import annotations

import asyncio
import threading

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from paramiko.ssh_exception import AuthenticationException, BadAuthenticationType, SSHException

import resilient_store as rs
from resilient_store.backends.classify import classify
from resilient_store.backends.families import one_connection
from resilient_store.backends.families.one_connection import OneConnectionFamily
from resilient_store.backends.opening import opener
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome
from tests.servers import processes
from tests.servers.platforms import sftp_filesystem
from tests.servers.waiting import until

DATA = b"a photograph"


@pytest.fixture
def server(tmp_path):
    with processes.sftp(tmp_path) as server:
        yield server


async def get(family, key="photo"):
    return (await family.get(key, None, None, lambda _: None)).data


async def restarted(server, filesystem):
    server.kill()
    transport = filesystem.client.get_transport()
    assert await asyncio.to_thread(until, lambda: not transport.is_active())
    server.start()


def test_p8_a_server_that_was_restarted_serves_again(server, tmp_path):
    (tmp_path / "below").mkdir()
    filesystem = sftp_filesystem(server)
    inside = DirFileSystem("/below", filesystem)

    async def main():
        for target, root in ((filesystem, "/below"), (inside, "")):
            family = await opener(rs.Backend(target, root=root), "sftp")()
            assert isinstance(family, OneConnectionFamily)
            await family.put("photo", DATA, exclusive=False, headers=Headers())
            await restarted(server, filesystem)
            assert await get(family) == DATA  # nobody was told that the connection had ended
            server.kill()
            # Whether paramiko has noticed by then or not, and then it is no `OSError`.
            with pytest.raises((OSError, SSHException), match=r"closed|connect|dropped") as refused:
                await get(family)
            assert classify(refused.value, changing=False)[0] is Outcome.UNAVAILABLE
            server.start()
            assert await get(family) == DATA
            await family.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "changing", "outcome"),
    [
        (SSHException("Server connection dropped: "), False, Outcome.UNAVAILABLE),
        (SSHException("Server connection dropped: "), True, Outcome.TIMED_OUT),
        (AuthenticationException("no"), True, Outcome.DENIED),
        (BadAuthenticationType("no", ["password"]), False, Outcome.DENIED),
    ],
)
def test_p5_what_paramiko_says_is_known(error, changing, outcome, caplog):
    assert classify(error, changing=changing) == (outcome, type(error).__name__)
    assert caplog.text == ""


def test_p8_a_store_goes_on_with_a_server_that_was_restarted(server, tmp_path_factory):
    disk, filesystem = tmp_path_factory.mktemp("disk"), sftp_filesystem(server)
    backends = [
        rs.Backend(filesystem, root="/", name="sftp", domain="sftp"),
        rs.Backend(str(disk), name="disk", domain="disk"),
    ]
    with rs.ResilientFileSystem(backends) as fs:
        fs.write("photo", DATA)
        asyncio.run(restarted(server, filesystem))
        assert fs.read("photo").backend == "sftp"
        assert fs.write("another", DATA).pending == ()


class Line(MemoryFileSystem):
    """Of which an instance hangs until it is told to end."""

    protocol = "sftp"
    cachable = False
    made: list[Line]

    def __init__(self, host, **options):
        super().__init__(host, **options)
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.made.append(self)

    @classmethod
    def _strip_protocol(cls, path):
        return path

    def info(self, path, **_):
        assert self.goes_on.wait(30)
        return {"name": path, "type": "file", "size": len(path), "host": self.storage_args[0]}


@pytest.fixture
def line(monkeypatch):
    monkeypatch.setattr(Line, "made", [], raising=False)
    monkeypatch.setattr(one_connection, "STUCK_AFTER_S", 0.0)
    yield Line("host", port=7)
    for one in Line.made:
        one.goes_on.set()


async def given_up(family):
    """Begin a call, and wait for it no more once it is under way; return its connection."""
    call = asyncio.create_task(family.info("photo"))
    await asyncio.sleep(0)
    connection = family._connection
    assert await asyncio.to_thread(until, lambda: connection.told is not None)
    call.cancel()
    await asyncio.wait([call])
    return connection


def test_p6_a_call_that_never_ends_takes_no_other_with_it(line):
    async def main():
        family = OneConnectionFamily(line, "/root", "line")
        line.goes_on.clear()
        await given_up(family)
        assert (await family.info("photo")).size == len("/root/photo")
        (_, again) = Line.made
        assert (again.storage_args, again.storage_options["port"]) == (("host",), 7)
        await family.info("photo")
        assert len(Line.made) == 2
        await family.close()

    asyncio.run(main())


def test_p6_a_call_that_is_stuck_in_a_hung_server_ends_with_its_connection(server, monkeypatch):
    monkeypatch.setattr(one_connection, "STUCK_AFTER_S", 0.0)

    async def main():
        family = await opener(rs.Backend(sftp_filesystem(server), root="/"), "sftp")()
        await family.put("photo", DATA, exclusive=False, headers=Headers())
        server.pause()
        stuck = await given_up(family)
        again = asyncio.create_task(get(family))
        assert await asyncio.to_thread(until, lambda: stuck.told is None)
        server.resume()
        assert await again == DATA
        assert family._connection is not stuck
        await family.close()

    asyncio.run(main())


def test_p6_a_call_that_was_given_up_and_ended_breaks_nothing(line):
    async def main():
        family = OneConnectionFamily(line, "/root", "line")
        line.goes_on.clear()
        await given_up(family)
        line.goes_on.set()
        assert await asyncio.to_thread(until, lambda: family._connection.told is None)
        await family.info("photo")
        assert Line.made == [line]
        await family.close()

    asyncio.run(main())


def test_p6_no_more_connections_than_a_few_are_stuck(line, monkeypatch):
    monkeypatch.setattr(one_connection, "MOST_STUCK", 2)
    hangs = threading.Event()

    def info(self, path, **_):
        assert hangs.wait(30)
        return {"name": path, "type": "file", "size": 1}

    monkeypatch.setattr(Line, "info", info)

    async def main():
        family = OneConnectionFamily(line, "/root", "line")
        for _ in range(3):
            await given_up(family)
        with pytest.raises(ConnectionError, match="do not end"):
            await family.info("photo")
        assert len(Line.made) == 3
        hangs.set()
        assert await asyncio.to_thread(until, lambda: family._connection.told is None)
        assert (await family.info("photo")).size == 1
        await family.close()

    asyncio.run(main())


def test_a_forked_child_does_not_use_its_parents_connection(line):
    async def main():
        family = OneConnectionFamily(line, "/root", "line")
        await family.info("photo")
        family._connection.pid -= 1
        await family.info("photo")
        assert len(Line.made) == 2
        await family.close()

    asyncio.run(main())
