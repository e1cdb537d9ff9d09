"""FaultyFileSystem: a filesystem like any other, whose requests meet what is switched on."""

from __future__ import annotations

import asyncio

import fsspec.tests.abstract as suites
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

import resilient_store as rs
from resilient_store.backends.opening import opener
from resilient_store.testing import Fault, Faults, FaultyFileSystem, Outage, virtual_time
from resilient_store.testing.faulty import PrivateMemory


@pytest.fixture
def clock():
    with virtual_time() as clock:
        yield clock


@pytest.fixture
def faults():
    return Faults()


@pytest.fixture
def aws(clock, faults):
    fs = FaultyFileSystem(faults=faults, name="aws", domain="aws/us-east-1")
    fs.pipe_file("/cat", b"meow")
    return fs


@pytest.fixture
def gcp(clock, faults):
    return FaultyFileSystem(faults=faults, name="gcp", domain="gcp/europe-west1")


# Without a fault it is what it wraps


class _Fixtures(suites.AbstractFixtures):
    @pytest.fixture
    def fs(self):
        return FaultyFileSystem(name="memory")

    @pytest.fixture
    def fs_join(self):
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def fs_path(self):
        return ""


class TestCopy(suites.AbstractCopyTests, _Fixtures):
    pass


class TestOpen(suites.AbstractOpenTests, _Fixtures):
    pass


class TestPipe(suites.AbstractPipeTests, _Fixtures):
    pass


@pytest.mark.matrix
class TestGet(suites.AbstractGetTests, _Fixtures):
    pass


@pytest.mark.matrix
class TestPut(suites.AbstractPutTests, _Fixtures):
    pass


def test_it_wraps_any_filesystem(tmp_path):
    fs = FaultyFileSystem(LocalFileSystem(), name="disk")
    with fs.open(f"{tmp_path}/cat", "wb") as file:
        file.write(b"me")
        file.write(b"ow")
    assert (tmp_path / "cat").read_bytes() == b"meow"
    assert fs.cat_file(f"{tmp_path}/cat", start=1, end=3) == b"eo"
    with fs.faults.down("disk"), pytest.raises(ConnectionRefusedError):
        fs.ls(f"{tmp_path}")
    assert fs.ls(f"{tmp_path}", detail=False) == [f"{tmp_path}/cat"]


@pytest.mark.parametrize("inner", [LocalFileSystem(), MemoryFileSystem(), None])
def test_a_store_may_ask_of_it_what_the_wrapped_one_can_do(inner, tmp_path):
    async def traits(filesystem):
        family = await opener(rs.Backend(filesystem, root=str(tmp_path)), "one")()
        await family.close()
        return family.traits

    wrapped = PrivateMemory() if inner is None else inner
    ours = asyncio.run(traits(FaultyFileSystem(inner)))
    assert ours == asyncio.run(traits(wrapped))
    assert ours.exclusive_create


def test_a_directory_is_fetched_with_all_that_is_in_it(aws, tmp_path):
    aws.pipe_file("/album/2024/cat", b"meow")
    aws.get("/album", f"{tmp_path}/", recursive=True)
    assert (tmp_path / "album" / "2024" / "cat").read_bytes() == b"meow"
    with pytest.raises(FileNotFoundError):
        aws.get_file("/nothing", str(tmp_path / "nothing"))


def test_two_memories_share_nothing():
    one, two = FaultyFileSystem(), FaultyFileSystem()
    one.pipe_file("/cat", b"meow")
    assert not two.exists("/cat")
    assert not MemoryFileSystem().exists("/cat")


# Each kind of fault


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("down", ConnectionRefusedError),
        ("throttled", OSError),
        ("denied", PermissionError),
        ("unknown", ConnectionResetError),
    ],
)
def test_a_fault_raises_what_a_platform_would(aws, faults, kind, error):
    for call in (lambda: aws.cat_file("/cat"), lambda: aws.pipe_file("/dog", b"woof")):
        with faults.begin(Fault(kind, "aws")), pytest.raises(error, match="aws"):
            call()
    assert aws.exists("/dog") == (kind == "unknown"), "only a lost answer leaves the work done"
    assert faults.met == {kind: 2}


def test_an_outage_is_no_answer(aws, faults):
    with faults.down("aws"):
        for ask in (aws.exists, aws.isfile, aws.isdir, aws.info):
            with pytest.raises(ConnectionRefusedError):
                ask("/cat")


def test_a_full_backend_takes_no_bytes_and_is_read(aws, faults):
    faults.begin(Fault("full", "aws"))
    assert aws.cat_file("/cat") == b"meow"
    with pytest.raises(OSError, match="full"):
        aws.pipe_file("/dog", b"woof")


def test_a_slow_backend_takes_its_time(aws, faults, clock):
    with faults.slow("aws", seconds=30):
        assert aws.cat_file("/cat") == b"meow"
    assert clock.now_s == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize(("kind", "data"), [("cut", b"me"), ("flip", b"menw"), ("blank", b"")])
def test_an_answer_is_spoilt_on_its_way(aws, faults, kind, data):
    with faults.begin(Fault(kind, "aws", path="cat")):
        assert aws.cat_file("/cat") == data
    assert aws.cat_file("/cat") == b"meow"


def test_a_blank_object_says_that_it_is_empty(aws, faults):
    faults.begin(Fault("blank", "aws"))
    assert aws.info("/cat")["size"] == 0


def test_a_late_request_is_carried_out_after_it_was_given_up(aws, faults, clock):
    faults.begin(Fault("late", "aws", seconds=100))
    with pytest.raises(TimeoutError):
        clock.run(asyncio.wait_for(aws._pipe_file("/dog", b"woof"), 10))
    faults.heal()
    assert not aws.exists("/dog")
    clock.advance(200)
    assert aws.cat_file("/dog") == b"woof"


# Where, and when


def test_a_domain_hits_everything_in_it(aws, gcp, faults):
    faults.down("aws")
    gcp.pipe_file("/cat", b"meow")
    with pytest.raises(ConnectionRefusedError):
        aws.info("/cat")
    faults.heal("aws/us-east-1")
    assert aws.cat_file("/cat") == b"meow"


def test_a_lost_domain_comes_back_empty(aws, gcp, faults):
    gcp.pipe_file("/cat", b"meow")
    faults.domain_lost("aws")
    with pytest.raises(ConnectionRefusedError):
        aws.info("/cat")
    faults.heal()
    assert not aws.exists("/cat")
    assert gcp.cat_file("/cat") == b"meow"


def test_one_object_is_damaged_or_lost(aws, faults):
    faults.corrupt("aws", "cat")
    assert aws.cat_file("/cat") == b"menw"
    faults.lose("aws", "cat")
    assert not aws.exists("/cat")


class Recording(LocalFileSystem):
    """A disk of which nothing is ever deleted or changed: it says what would have been."""

    cachable = False

    def __init__(self):
        super().__init__()
        self.touched = []

    def rm_file(self, path):
        self.touched.append(path)

    def pipe_file(self, path, value, **options):
        self.touched.append(path)


@pytest.fixture
def disk(faults, tmp_path, monkeypatch):
    """Return a disk with two files, of which the process stands beside one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "cat").write_bytes(b"meow")
    (tmp_path / "precious").write_bytes(b"mine")
    return FaultyFileSystem(Recording(), faults=faults, name="disk")


@pytest.mark.parametrize("root", [None, "", "/", "/tmp/..", "."])
def test_nothing_is_lost_of_a_disk_whose_root_nobody_said(disk, faults, root):
    if root is not None:
        rs.ResilientFileSystem([rs.Backend(disk, root=root, name="disk")])
    for act in (faults.domain_lost, lambda where: faults.lose(where, "precious")):
        with pytest.raises(rs.ConfigurationError, match=r"nothing was touched: .* root="):
            act("disk")
    with pytest.raises(rs.ConfigurationError, match="nothing was touched"):
        faults.corrupt("disk", "precious")
    assert disk.inner.touched == []
    assert faults.active == []


def test_nothing_is_lost_of_a_domain_where_one_root_is_not_known(disk, aws, faults):
    FaultyFileSystem(disk.inner, faults=faults, name="other", domain="aws/us-east-1/az2")
    with pytest.raises(rs.ConfigurationError, match="nothing was touched: other"):
        faults.domain_lost("aws/us-east-1")
    assert aws.exists("/cat")


def test_a_store_that_was_never_used_says_where_its_objects_lie(disk, faults, tmp_path):
    fs = rs.ResilientFileSystem([rs.Backend(disk, root="shop", name="disk")])
    faults.domain_lost("disk")
    assert disk.inner.touched == [f"{tmp_path}/shop/cat"]
    fs.close()


def test_a_root_may_be_said_where_there_is_no_store(disk, faults, tmp_path):
    FaultyFileSystem(disk.inner, faults=faults, name="other", root=f"{tmp_path}/shop")
    faults.lose("other", "cat")
    faults.corrupt("other", "cat")
    faults.domain_lost("other")
    assert disk.inner.touched == [f"{tmp_path}/shop/cat"] * 3


def test_faults_end_with_their_block(aws, faults):
    with faults.down("aws") as down, pytest.raises(ConnectionRefusedError):
        aws.info("/cat")
    assert faults.active == []
    down.end()


def test_a_script_hits_single_requests(aws, faults):
    faults.script((2, Fault("down", "aws")))
    assert aws.exists("/cat")
    with pytest.raises(ConnectionRefusedError):
        aws.exists("/cat")
    assert aws.exists("/cat")


def test_what_was_scripted_or_planned_is_healed_as_well(aws, faults):
    faults.script((1, Fault("down", "aws")))
    faults.plan(Outage(Fault("down", "aws"), 0, 1000))
    faults.heal()
    assert aws.exists("/cat")


def test_a_plan_comes_and_goes_with_the_time(aws, faults, clock):
    faults.plan(Outage(Fault("down", "aws"), 10, 20))
    assert aws.exists("/cat")
    clock.advance(15)
    with pytest.raises(ConnectionRefusedError):
        aws.exists("/cat")
    clock.advance(15)
    assert aws.exists("/cat")


@pytest.mark.parametrize("where", ["azure", "aw", "aws/eu"])
def test_a_name_that_nobody_has_is_refused(aws, faults, where):
    with pytest.raises(rs.ConfigurationError, match=r"there are aws \(aws/us-east-1\)"):
        faults.down(where)


def test_a_kind_that_does_not_exist_is_refused():
    with pytest.raises(rs.ConfigurationError, match="there is no kind 'gone'"):
        Fault("gone", "aws")


def test_two_of_one_name_are_refused(aws, faults):
    with pytest.raises(rs.ConfigurationError, match="give name="):
        FaultyFileSystem(faults=faults, name="aws")
