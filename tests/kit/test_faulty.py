"""FaultyFileSystem: a filesystem like any other, whose requests meet what is switched on."""

from __future__ import annotations

import asyncio
import copy
import pickle

import fsspec.tests.abstract as suites
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

import resilient_store as rs
from resilient_store.backends.opening import opener
from resilient_store.testing import Fault, FaultyFileSystem
from resilient_store.testing.faulty import PrivateMemory

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


@pytest.mark.parametrize("inner", [LocalFileSystem, PrivateMemory])
def test_what_is_appended_follows_what_is_there(inner, tmp_path, clock):
    fs = FaultyFileSystem(inner(), name="one")
    for data in (b"me", b"ow", b""):
        with fs.open(f"{tmp_path}/cat", "ab") as file:
            file.write(data)
    with fs.open(f"{tmp_path}/cat", "a") as file:
        file.write("!")
    assert fs.inner.cat_file(f"{tmp_path}/cat") == b"meow!"


@pytest.mark.parametrize("block_size", [2, None])
def test_nothing_is_appended_while_what_is_there_cannot_be_read(aws, faults, block_size):
    file = aws.open("/cat", "ab", block_size=block_size)
    file.write(b"!!!")
    with faults.begin(Fault("down", "aws")), pytest.raises(ConnectionRefusedError):
        file.close()
    assert aws.cat_file("/cat") == b"meow"


def test_transactions_are_refused(aws):
    for begin in (lambda: aws.transaction, aws.start_transaction, aws.end_transaction):
        with pytest.raises(rs.UnsupportedOperationError, match="transactions: "):
            begin()


@pytest.mark.parametrize("copy", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_not_copied_to_where_its_faults_are_not(aws, copy):
    for fs in (aws, FaultyFileSystem()):
        with pytest.raises(rs.UnsupportedOperationError, match=f"{fs.name} is not pickled"):
            copy(fs)


def test_no_two_are_one():
    one, two = FaultyFileSystem(), FaultyFileSystem()
    assert one == one  # noqa: PLR0124 - that is the question
    assert one != two
    assert hash(one) != hash(two)
    fs = rs.ResilientFileSystem(
        [rs.Backend(one, name="a", root="s"), rs.Backend(two, name="b", root="s")]
    )
    assert list(fs.store.clients) == ["a", "b"]
    with pytest.raises(rs.ConfigurationError, match="at one place"):
        rs.ResilientFileSystem(
            [rs.Backend(one, name="a", root="s"), rs.Backend(one, name="b", root="s")]
        )


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


@pytest.mark.parametrize("ask", ["created", "modified"])
def test_when_an_object_was_made_is_asked_like_all_else(aws, faults, ask):
    assert getattr(aws, ask)("/cat") == getattr(aws.inner, ask)("/cat")
    around = FaultyFileSystem(aws, name="around")
    assert getattr(around, ask)("/cat") == getattr(aws, ask)("/cat")
    with faults.down("aws"):
        for fs in (aws, around):
            with pytest.raises(ConnectionRefusedError):
                getattr(fs, ask)("/cat")


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
