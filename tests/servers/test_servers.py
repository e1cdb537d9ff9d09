"""The servers start, keep what they promise to keep, and never outlive the tests."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers import canaries, processes
from tests.servers.platforms import RCLONE_OPTIONS, SCHEMES, Platform
from tests.servers.processes import Server, ServerError

ROOT = Path(__file__).parents[2]
LISTENS = "0A"
PLATFORMS = ["s3", "rclone_s3", "gcs", "azure"]
KEEPING = {
    "rclone": ("s3", processes.rclone, RCLONE_OPTIONS),
    "fake_gcs": ("gcs", processes.fake_gcs, {}),
    "azurite": ("azure", processes.azurite, {}),
}
FACTORIES = {
    "moto": lambda folder: processes.moto(),
    "rclone": processes.rclone,
    "fake_gcs": processes.fake_gcs,
    "azurite": processes.azurite,
}


@pytest.fixture
def platform(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def keeping(request, tmp_path):
    """Start a platform with a folder, in time that is not the test's."""
    family, factory, more = KEEPING[request.param]
    with Platform(family, factory(tmp_path / "data"), more) as platform:
        yield platform


def through_the_proxy(platform):
    from fsspec import get_filesystem_class

    options = {"use_listings_cache": False, "skip_instance_cache": True}
    cls = get_filesystem_class(SCHEMES[platform.family])
    return cls(**platform.storage_options(), **options)


def gone(pid, within_s=10.0):
    """Whether a process ends in time, by what the kernel says of it."""
    give_up_s = time.monotonic() + within_s
    while time.monotonic() < give_up_s:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":  # dead; whoever adopted it has not looked yet
            return True
        time.sleep(0.01)
    return False


# --- what is stored -----------------------------------------------------------------------


@pytest.mark.parametrize("platform", PLATFORMS, indirect=True)
def test_what_goes_in_through_the_proxy_comes_out_behind_it(platform):
    bucket, data = platform.new_bucket(), os.urandom(100_000)
    fs = through_the_proxy(platform)
    fs.pipe_file(f"{bucket}/photos/cat.jpg", data)
    assert fs.cat_file(f"{bucket}/photos/cat.jpg") == data
    assert platform.read(bucket, "photos/cat.jpg") == data
    assert platform.names(bucket) == ["photos/cat.jpg"]
    writes = {request.method for request in platform.proxy.log} & {"PUT", "POST"}
    assert writes == {"POST" if platform.family == "gcs" else "PUT"}


@pytest.mark.parametrize("platform", PLATFORMS, indirect=True)
def test_what_is_written_behind_the_proxy_is_not_in_its_log(platform):
    bucket = platform.new_bucket()
    platform.write(bucket, "a/b.txt", b"text", content_type="text/plain", metadata={"who": "me"})
    assert not platform.proxy.log
    fs = through_the_proxy(platform)
    assert fs.cat_file(f"{bucket}/a/b.txt") == b"text"
    assert "text/plain" in str(fs.info(f"{bucket}/a/b.txt"))
    assert platform.proxy.log


@pytest.mark.parametrize("platform", PLATFORMS, indirect=True)
def test_a_removed_bucket_takes_its_objects_with_it(platform):
    bucket, other = platform.new_bucket(), platform.new_bucket()
    for each in (bucket, other):
        platform.write(each, "a/b.txt", b"text")
    platform.remove_bucket(bucket)
    with pytest.raises(FileNotFoundError):
        platform.read(bucket, "a/b.txt")
    assert platform.names(other) == ["a/b.txt"]


def test_an_upload_in_parts_stays_with_the_proxy(gcs):
    """GCS answers with the address for the rest: it must not be the server's own."""
    bucket = gcs.new_bucket()
    with through_the_proxy(gcs).open(f"{bucket}/big", "wb", block_size=2**18) as file:
        file.write(os.urandom(2**20))
    assert len(gcs.read(bucket, "big")) == 2**20
    assert sum("upload" in request.path for request in gcs.proxy.log) > 2


# --- killed, stopped, started -------------------------------------------------------------


@pytest.mark.parametrize("keeping", ["rclone", "fake_gcs"], indirect=True)
def test_what_is_in_a_folder_outlives_a_kill(keeping):
    outlives(keeping, keeping.server.kill)


@pytest.mark.parametrize("keeping", ["rclone", "fake_gcs", "azurite"], indirect=True)
def test_what_is_in_a_folder_outlives_a_stop(keeping):
    outlives(keeping, keeping.server.stop)


def outlives(platform, end):
    bucket, data = platform.new_bucket(), os.urandom(100_000)
    platform.write(bucket, "photos/cat.jpg", data)
    port, pid = platform.server.port, platform.server.pid
    end()
    assert gone(pid)
    assert not platform.server.running
    platform.server.start()
    assert platform.server.port == port
    assert platform.server.pid != pid
    assert platform.bare().cat_file(f"{bucket}/photos/cat.jpg") == data


def test_what_is_in_memory_does_not(s3):
    bucket = s3.new_bucket()
    s3.server.kill()
    s3.server.start()
    assert bucket not in s3.bare().ls("")


def test_a_paused_server_takes_connections_and_says_nothing(rclone_s3):
    server = rclone_s3.server
    server.pause()
    asked = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.2)
    with contextlib.closing(asked):
        asked.request("GET", "/")
        with pytest.raises(TimeoutError):
            asked.sock.recv(1)
        server.resume()
        asked.sock.settimeout(5)
        assert asked.getresponse().status


def test_a_platform_heals(rclone_s3):
    bucket = rclone_s3.new_bucket()
    rclone_s3.write(bucket, "key", b"data")
    for harm in (rclone_s3.server.kill, rclone_s3.server.pause):
        harm()
        rclone_s3.proxy.set("refuse")
        rclone_s3.heal()
        assert through_the_proxy(rclone_s3).cat_file(f"{bucket}/key") == b"data"


def test_a_paused_server_can_be_killed():
    with processes.fake_gcs() as server:
        pid = server.pid
        server.pause()
        server.kill()
        assert gone(pid)


def test_an_end_leaves_nothing():
    server = processes.fake_gcs().start()
    pid, log = server.pid, server.log
    assert "server started" in log.read_text()
    server.end()
    assert gone(pid)
    assert not log.parent.exists()


# --- nothing outlives the tests, nothing goes out -----------------------------------------

STARTER = """
import sys
from tests.servers import processes

server = processes.{factory}.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("factory", ["moto()", "rclone({folder!r})", "fake_gcs()", "azurite()"])
def test_a_server_ends_when_who_started_it_is_killed(factory, tmp_path):
    program = STARTER.format(factory=factory.format(folder=str(tmp_path)))
    starter = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # nobody is left to remove it
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        pid = int(starter.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        starter.send_signal(signal.SIGKILL)
    assert gone(pid)


@pytest.mark.parametrize("platform", PLATFORMS, indirect=True)
def test_a_server_listens_on_loopback_only(platform):
    for port in (platform.server.port, platform.proxy.port):
        assert listening(port) == {"127.0.0.1"}
    assert sockets_of(platform.server.pid) == {("127.0.0.1", platform.server.port)}


def listening(port):
    return {host for host, other, _ in kernels_list() if other == port}


def sockets_of(pid):
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        name = os.readlink(link)
        if name.startswith("socket:["):
            inodes.add(name[8:-1])
    return {(host, port) for host, port, inode in kernels_list() if inode in inodes}


def kernels_list():
    """Yield address, port and inode of each TCP socket that listens; of IPv6 as it is."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] == LISTENS:
                packed = bytes.fromhex(address)[::-1]
                host = socket.inet_ntoa(packed) if len(packed) == 4 else address
                yield host, int(port, 16), fields[9]


@pytest.mark.parametrize("name", FACTORIES)
def test_a_server_sees_no_proxy_and_no_account(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "someone")
    server: Server = FACTORIES[name](tmp_path / "data")
    monkeypatch.setattr(server, "_wait_for_answer", lambda: None)  # its start is all we need
    with server:
        seen = set(os.environ) & {
            pair.partition("=")[0]
            for pair in Path(f"/proc/{server.pid}/environ").read_text().split("\0")
        }
    assert seen <= {"PATH", "HOME", "TMPDIR", "LANG", "NO_PROXY"}


# --- a server that does not start ---------------------------------------------------------


def test_an_error_shows_the_end_of_the_log():
    def command(port, home):
        return [sys.executable, "-c", "raise SystemExit('the disk is gone')"]

    with pytest.raises(ServerError, match=r"(?s)storage ended instead of.*the disk is gone"):
        Server(command, name="storage").start()


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(processes, "START_WITHIN_S", 0.3)

    def command(port, home):
        return [sys.executable, "-c", "import time; time.sleep(60)"]

    server = Server(command, name="storage")
    home = server.log.parent
    with pytest.raises(ServerError, match=r"storage did not answer in 0\.3 s"):
        server.start()
    assert not server.running
    assert not home.exists()


def test_a_program_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(ServerError, match=r"azurite.* is not there; any session of `nox`"):
        processes.azurite().start()


def test_the_canaries_have_the_shape_of_real_ones():
    assert len(canaries.S3_KEY_ID) == 20
    assert len(canaries.S3_SECRET) == 40
    assert len(base64.b64decode(canaries.AZURE_KEY)) == 64
    assert len(base64.b64decode(canaries.AZURE_SAS_SIGNATURE)) == 32
    assert canaries.GCS_TOKEN.startswith("ya29.")
