"""The switchboard: what goes wrong where, when, and with which object."""

from __future__ import annotations

import asyncio

import pytest
from fsspec.implementations.local import LocalFileSystem

import resilient_store as rs
from resilient_store.testing import Fault, FaultyFileSystem, Outage, rehearse


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


# A name that is also a domain's


@pytest.fixture
def both(aws, faults):
    """Return two backends of one platform, of which one is named like it."""
    eu = FaultyFileSystem(faults=faults, name="aws-eu", domain="aws/eu")
    eu.pipe_file("/cat", b"meow")
    return aws, eu


def test_a_platform_is_destroyed_whole_also_where_a_backend_has_its_name(both, faults):
    faults.domain_lost("aws")
    faults.heal()
    assert [fs.exists("/cat") for fs in both] == [False, False]


def test_an_object_is_hit_on_every_backend_of_a_domain(both, faults):
    faults.corrupt("aws", "cat")
    assert [fs.cat_file("/cat") for fs in both] == [b"menw"] * 2
    faults.lose("aws", "cat")
    assert [fs.exists("/cat") for fs in both] == [False, False]


def test_what_hit_a_whole_domain_is_healed_by_the_domain_alone(both, faults):
    faults.down("aws")
    faults.heal("aws-eu")
    for fs in both:
        with pytest.raises(ConnectionRefusedError):
            fs.exists("/cat")
    faults.heal("aws")
    assert all(fs.exists("/cat") for fs in both)


def test_healing_a_domain_ends_what_was_planned_and_scripted_for_it(aws, gcp, faults):
    faults.plan(Outage(Fault("down", "aws"), 0, 1000), Outage(Fault("down", "gcp"), 0, 1000))
    faults.script((1, Fault("hang", "aws")))
    faults.heal("aws")
    assert aws.exists("/cat")
    with pytest.raises(ConnectionRefusedError):
        gcp.exists("/cat")


# Where a store has put it


@pytest.fixture
def overwritten(clock):
    """Return a rehearsal where an object's second version counts in staging, for a while."""
    backends = [rs.Backend(f"memory://{name}", name=name) for name in ("aws", "gcp")]
    rehearsal = rehearse(rs.ResilientFileSystem(backends, catalog="sqlite:///never.db"))
    rehearsal.fs.write("cat", b"meow")
    rehearsal.fs.write("cat", b"purr")
    staged = [place for place in rehearsal.backends["aws"].inner.store if "/staging/" in place]
    assert staged
    assert rehearsal.held("aws", "cat") == b"purr"
    yield rehearsal
    rehearsal.fs.close()


@pytest.mark.parametrize("act", ["corrupt", "lose"])
def test_an_object_is_hit_also_where_it_is_staged(overwritten, act):
    fs, faults = overwritten.fs, overwritten.faults
    getattr(faults, act)("aws", "/cat")
    assert fs.read("cat").backend == "gcp"
    getattr(faults, act)("gcp", "cat")
    with pytest.raises(rs.OriginalMissingError):
        fs.read("cat")


def test_a_fault_of_one_object_hits_it_also_where_it_is_staged(overwritten):
    with overwritten.faults.begin(Fault("down", "aws", path="/cat")):
        assert overwritten.fs.read("cat").backend == "gcp"
    assert overwritten.faults.met == {"down": 1}


@pytest.mark.parametrize("act", ["corrupt", "lose"])
@pytest.mark.parametrize("path", ["dog", "", "ca"])
def test_an_object_that_lies_nowhere_is_not_passed_over(aws, faults, act, path):
    with pytest.raises(rs.ConfigurationError, match=f"no object '{path}' lies on 'aws'"):
        getattr(faults, act)("aws", path)
    assert aws.cat_file("/cat") == b"meow"


# Several at once


@pytest.mark.parametrize("strong", ["down", "denied"])
@pytest.mark.parametrize("weak", ["slow", "flip", "cut", "blank", "unknown", "late", "throttled"])
def test_what_refuses_is_not_hidden_by_what_delays_or_spoils(aws, faults, weak, strong):
    faults.begin(Fault(weak, "aws"))
    faults.begin(Fault(strong, "aws/us-east-1"))
    with pytest.raises((ConnectionRefusedError, PermissionError)):
        aws.cat_file("/cat")
    assert faults.met == {strong: 1}


def test_a_lost_domain_that_was_slow_is_lost(aws, faults):
    faults.slow("aws")
    faults.domain_lost("aws")
    with pytest.raises(ConnectionRefusedError):
        aws.exists("/cat")


def test_a_hung_backend_that_was_slow_hangs(aws, faults, clock):
    faults.slow("aws")
    faults.hang("aws")
    with pytest.raises(TimeoutError):
        clock.run(asyncio.wait_for(aws._cat_file("/cat"), 60))
    assert faults.met == {"hang": 1}


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


def test_a_misspelt_name_is_refused_in_a_plan_and_a_script_as_well(aws, faults):
    faults.plan(Outage(Fault("down", "aws"), 0, 1000))
    with pytest.raises(rs.ConfigurationError, match="called 'awz'"):
        faults.plan(Outage(Fault("slow", "aws"), 0, 1000), Outage(Fault("down", "awz"), 0, 1000))
    with pytest.raises(rs.ConfigurationError, match="called 'awz'"):
        faults.script((1, Fault("hang", "aws")), (2, Fault("down", "awz")))
    with pytest.raises(ConnectionRefusedError):
        aws.exists("/cat")
    assert faults.met == {"down": 1}, "what was planned before goes on"


def test_a_fault_of_one_object_may_be_given_its_path_with_a_slash(aws, faults):
    aws.pipe_file("/dog", b"woof")
    faults.begin(Fault("down", "aws", path="/cat"))
    assert aws.cat_file("/dog") == b"woof"
    with pytest.raises(ConnectionRefusedError):
        aws.cat_file("/cat")


def test_a_kind_that_does_not_exist_is_refused():
    with pytest.raises(rs.ConfigurationError, match="there is no kind 'gone'"):
        Fault("gone", "aws")


def test_two_of_one_name_are_refused(aws, faults):
    with pytest.raises(rs.ConfigurationError, match="give name="):
        FaultyFileSystem(faults=faults, name="aws")
