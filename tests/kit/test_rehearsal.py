"""Virtual time, the rehearsal of a configuration, and what it claims."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import sys
import threading

import fsspec.asyn
import pytest
from hypothesis import Phase, find, given, settings

import resilient_store as rs
from resilient_store.testing import claims, rehearse, strategies, virtual_time
from resilient_store.threads import DaemonPool

SEARCH = settings(max_examples=2000, database=None, phases=[Phase.generate])
CONFIG = """
[stores.photos]
catalog = "sqlite:///photos.db"
write = {min_copies = 1}
degraded = {"originals/{name}" = ["previews/{name}"]}
placements = [{pattern = "originals/{name}", backends = ["aws"]}]

[[stores.photos.backends]]
target = "s3://print-photos"
name = "aws"
storage_options = {key = {env = "PHOTOS_KEY"}, secret = {env = "PHOTOS_SECRET"}}

[[stores.photos.backends]]
target = "gs://print-photos"
name = "gcp"
timeout = 7
"""


def over(count, **options):
    names = ["aws", "gcp", "azure"][:count]
    backends = [rs.Backend(f"memory://{n}", name=n, domain=f"{n}/somewhere") for n in names]
    return rs.ResilientFileSystem(backends, **options)


# Virtual time


def test_a_hung_backend_costs_virtual_time_only():
    with virtual_time() as clock:
        rehearsal = rehearse(over(2))
        rehearsal.fs.write("cat", b"meow")
        rehearsal.faults.hang("aws")
        rehearsal.faults.hang("gcp")
        with pytest.raises(rs.BackendsUnavailableError, match="timed out"):
            rehearsal.fs.read("cat")
        assert 10 <= clock.now_s < 60
        clock.advance(3 * 3600)
        rehearsal.faults.heal()
        assert rehearsal.fs.read("cat").data == b"meow"
        assert clock.now_s > 3 * 3600
        rehearsal.fs.close()


def test_virtual_time_needs_no_thread_and_ends():
    before, threads = fsspec.asyn.loop[0], threading.active_count()
    with virtual_time() as clock:
        fs = rehearse(over(1, catalog="sqlite:///never.db")).fs
        fs.write("cat", b"meow")
        assert fs.cat_file("cat") == b"meow"
        assert threading.active_count() == threads
        fs.close()
        assert fs.loop is clock.loop
    assert fsspec.asyn.loop[0] is before
    with pytest.raises(RuntimeError, match="not running"):
        fs.read("cat")


def test_asynchronous_stores_run_in_virtual_time():
    async def story(fs):
        await fs._write("cat", b"meow")
        return (await fs._read("cat")).data

    with virtual_time() as clock:
        fs = rehearse(over(2)).fs
        assert clock.run(story(fs)) == b"meow"
        fs.close()


def test_what_nobody_retrieves_is_logged(caplog):
    async def fails():
        raise ValueError("nobody hears of it")

    async def leaves_it():
        asyncio.get_running_loop().create_task(fails())
        await asyncio.sleep(1)

    with virtual_time() as clock:
        clock.run(leaves_it())
        gc.collect()
    (told,) = caplog.records
    assert (told.name, told.levelname) == ("asyncio", "ERROR")
    caplog.clear()


def test_what_still_runs_ends_with_the_clock():
    ended = []

    async def goes_on():
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)
            ended.append(True)

    async def leaves_it():
        asyncio.get_running_loop().create_task(goes_on())
        await asyncio.sleep(1)

    with virtual_time() as clock:
        clock.run(leaves_it())
    assert ended


def test_what_a_blocking_call_brings_when_it_was_given_up_is_disposed_of():
    pool, tasks, closed = DaemonPool("one", 1), [], []

    def opens(_):
        asyncio.get_running_loop().call_soon(tasks[0].cancel)  # before the caller has it, or after
        return "a file"

    async def gives_up():
        tasks[:] = [asyncio.get_running_loop().create_task(pool.run(opens, closed.append))]
        await asyncio.wait(tasks)
        return tasks[0].cancelled()

    ended = set()
    for seed in range(50):
        with virtual_time(seed) as clock:
            closed.clear()
            given_up = clock.run(gives_up())
            assert closed == (["a file"] if given_up else [])
            ended.add(given_up)
    assert ended == {True, False}


@pytest.fixture
def _switches_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_switches_often")
def test_threads_read_while_another_lets_the_time_pass():
    def reads(fs, began, came):
        began.wait(timeout=5)
        for _ in range(30):
            try:
                came.append(fs.read("cat").data)
            except BaseException as error:  # noqa: BLE001 - judged below
                came.append(error)

    with virtual_time() as clock:
        fs = rehearse(over(2, catalog="sqlite:///never.db")).fs
        fs.write("cat", b"meow")
        began, came = threading.Barrier(3), []
        readers = [
            threading.Thread(target=reads, args=(fs, began, came), daemon=True) for _ in range(2)
        ]
        for reader in readers:
            reader.start()
        began.wait(timeout=5)
        for _ in range(100):
            clock.advance(60)
            clock.run(fs._exists("cat"))
        for reader in readers:
            reader.join(timeout=5)
        assert came == [b"meow"] * 60
        assert clock.now_s >= 6000
        fs.close()


def test_nothing_begins_when_the_time_is_over():
    began = []
    with virtual_time() as clock:
        clock.loop.call_soon_threadsafe(began.append, "in time")
    with pytest.raises(RuntimeError, match="is over"):
        clock.loop.call_soon_threadsafe(began.append, "too late")
    assert began == ["in time"]


def test_one_seed_does_the_same_again():
    def played(seed):
        with virtual_time(seed) as clock:
            rehearsal = rehearse(over(3, write_once=True, write={"min_copies": 2}))
            rehearsal.faults.hang("gcp")
            for number in range(5):
                rehearsal.fs.write(f"{number}", b"x")
            rehearsal.fs.close()
            return clock.loop.steps, clock.now_s

    assert played(3) == played(3)


# The rehearsal


def test_a_file_is_rehearsed_without_its_secrets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PHOTOS_KEY", raising=False)
    (tmp_path / "photos.toml").write_text(CONFIG)
    with virtual_time():
        rehearsal = rehearse("photos.toml")
        store = rehearsal.fs.store
        assert list(store.domains.items()) == [("aws", "s3"), ("gcp", "gs")]
        assert store.clients["gcp"].backend.timeout == 7
        receipt = rehearsal.fs.write("originals/cat", b"meow")
        assert receipt.copies == ("aws",)
        assert rehearsal.held("aws", "originals/cat") == b"meow"
        assert rehearsal.held("gcp", "originals/cat") is None
        rehearsal.fs.close()
    assert [path.name for path in tmp_path.iterdir()] == ["photos.toml"]
    with pytest.raises(rs.ConfigurationError, match="PHOTOS_KEY"):
        rs.from_config("photos.toml")


class InItsOwnPlace(rs.ResilientFileSystem):
    """A store whose constructor knows better where its objects lie."""

    def __init__(self, region="eu", **options):
        super().__init__([rs.Backend(f"file://{self.folder}", name="disk")])


class WithItsOwnCatalog(rs.ResilientFileSystem):
    """A store whose constructor knows better where its catalog is."""

    def __init__(self, backends, **options):
        super().__init__(backends, **{**options, "catalog": f"sqlite:///{self.folder}/own.db"})


@pytest.mark.parametrize(
    ("cls", "real"),
    [(InItsOwnPlace, "disk"), (WithItsOwnCatalog, "the catalog")],
)
def test_a_store_that_does_not_take_its_stand_ins_is_not_rehearsed(
    cls, real, tmp_path, monkeypatch
):
    monkeypatch.setattr(cls, "folder", tmp_path, raising=False)
    built = cls([rs.Backend("memory://aws", name="aws", domain="aws/somewhere")])
    with virtual_time(), pytest.raises(rs.ConfigurationError, match=rf"real: {real}; nothing"):
        rehearse(built)
    assert not list(tmp_path.iterdir())


def test_a_class_that_hands_on_what_it_is_given_is_rehearsed():
    class Shop(rs.ResilientFileSystem):
        """A store that says more."""

    with virtual_time():
        fs = rehearse(Shop([rs.Backend("memory://aws", name="aws")])).fs
        assert type(fs) is Shop
        fs.close()


# What is claimed


def words(fs):
    return str(claims(fs)).splitlines()


def test_claims_without_a_catalog():
    assert words(over(2)) == [
        "without aws, every path: reads served; writes refused; deletions refused",
        "without gcp, every path: reads served; writes refused; deletions refused",
    ]


def test_claims_of_a_backend_that_is_read_only_but_must_be_looked_at():
    backends = ["memory://aws", rs.Backend("memory://gcp", domain="gcp", read_only=True)]
    assert words(rs.ResilientFileSystem(backends))[-1] == (
        "without gcp, every path: reads served; writes refused; deletions refused"
    )


def test_claims_of_a_catalog_on_three_platforms():
    fs = over(3, catalog="sqlite:///c.db", write=rs.WriteToAll(min_copies=2, min_domains=2))
    assert words(fs)[0] == (
        "without aws, every path: reads served; writes acknowledged; deletions acknowledged"
    )


def test_claims_of_one_copy():
    fs = over(2, catalog="sqlite:///c.db", write=rs.WriteToAll(min_copies=1))
    assert words(fs)[0] == (
        "without aws, every path: reads refused; writes acknowledged; deletions acknowledged"
    )


def test_claims_of_placements_name_what_stands_in():
    fs = over(
        3,
        catalog="sqlite:///c.db",
        placements=[rs.Placement("originals/{name}", backends=["aws"])],
        write=rs.WriteToAll(),
        degraded={"originals/{name}": ["previews/{name}"]},
    )
    assert words(fs)[:3] == [
        "without aws, originals/{name}: reads refused, or degraded to previews/{name}; writes refused; deletions acknowledged",  # noqa: E501 - as it is printed
        "without aws, every other path: reads served; writes refused; deletions acknowledged",
        "without gcp, originals/{name}: reads served; writes acknowledged; deletions acknowledged",
    ]


# The strategies


@given(strategies.configurations())
def test_valid_configurations_are_built_and_claim_something(options):
    assert claims(rs.ResilientFileSystem(**options))


@given(strategies.broken_configurations())
def test_broken_configurations_are_refused(options):
    with pytest.raises(rs.ConfigurationError):
        rs.ResilientFileSystem(**options)


def copies_of(options):
    return options["write"].get("min_copies") or len(options["backends"])


VALID = {
    "a catalog": lambda o: o["catalog"] == "sqlite://",
    "a catalog of one's own": lambda o: o["catalog"] == "sqlite:///photos.db",
    "no catalog": lambda o: o["catalog"] is None,
    "fewer copies, with a catalog": lambda o: o["catalog"] and copies_of(o) < len(o["backends"]),
    "two platforms, placed": lambda o: o.get("placements") and o["write"]["min_domains"] == 2,
    "placed on some": lambda o: any(
        len(one["backends"]) < len(o["backends"]) for one in o.get("placements", ())
    ),
    "stateless reads": lambda o: o.get("catalog_down") == "read",
    "unique names": lambda o: o.get("write_once") == "unique-names",
    "one content for ever": lambda o: o.get("write_once") is True and copies_of(o) == 2,
}


@pytest.mark.parametrize("kind", VALID)
def test_valid_configurations_are_of_every_kind(kind):
    drawn = strategies.configurations(catalogs=["sqlite://", "sqlite:///photos.db"])
    found = find(drawn, VALID[kind], settings=SEARCH)
    assert rs.ResilientFileSystem(**found)


@pytest.mark.matrix
@pytest.mark.parametrize(
    "mistake",
    [
        "min_copies=.* backends can be written to",
        "min_domains=.* backends lie on",
        "needs as many copies",
        "without a catalog: nobody would remember",
        "could both be acknowledged",
        "write_once is for stores without a catalog",
        "this catalog's URL has no form",
        "the folder of .* does not exist",
        "catalog_down='write'",
        "lease=0",
        "placements need a catalog",
        "there is no backend 'nosuch'",
        "and none twice",
        "Placement .*: WriteToAll: min_copies=",
        "Placement .*: WriteToAll: min_domains=",
    ],
)
def test_broken_configurations_make_every_mistake(mistake):
    def is_made(options):
        with pytest.raises(rs.ConfigurationError) as refused:
            rs.ResilientFileSystem(**options)
        return re.search(mistake, str(refused.value)) is not None

    assert find(strategies.broken_configurations(), is_made, settings=SEARCH)


@given(strategies.object_paths())
def test_paths_are_taken_as_they_are(path):
    with virtual_time():
        rehearsal = rehearse(over(1))
        rehearsal.fs.write(path, b"meow")
        assert rehearsal.fs.find("") == [path]
        assert rehearsal.held("aws", path) == b"meow"
        rehearsal.fs.close()


@given(strategies.outages(["aws", "gcp"], within_s=100))
def test_a_read_during_any_outage_ends_as_it_must(outages):
    with virtual_time():
        rehearsal = rehearse(over(2))
        rehearsal.fs.write("cat", b"meow")
        rehearsal.faults.plan(*outages)
        for _ in range(5):
            with contextlib.suppress(rs.BackendsUnavailableError):
                assert len(rehearsal.fs.read("cat").data) == 4
        rehearsal.fs.close()
