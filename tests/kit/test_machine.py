"""The machine passes over honest stores, and tells a short story of each that breaks a promise."""

from __future__ import annotations

import contextlib

import fsspec.asyn
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

import resilient_store as rs
from resilient_store.testing import (
    Fault,
    PromiseBrokenError,
    ResilienceStateMachine,
    rehearse,
    virtual_time,
)
from tests.kit.liars import LIARS, Blank, ListsNothing

ONCE = settings(
    max_examples=25, stateful_step_count=15, deadline=None, database=None, derandomize=True
)
AT_ALL = settings(ONCE, max_examples=200, phases=[Phase.generate])
SHORTLY = settings(ONCE, max_examples=200, phases=[Phase.generate, Phase.shrink])
DEGRADED = rs.DegradedRead({"originals/{name}": ["previews/{name}"]})
BACKENDS = [
    rs.Backend("memory://aws", name="aws", domain="aws/us-east-1"),
    rs.Backend("memory://gcp", name="gcp", domain="gcp/europe-west1"),
    rs.Backend("memory://azure", name="azure", domain="azure/westeurope"),
]
ARCHIVE = rs.Backend("memory://archive", name="archive", domain="archive", read_only=True)
BUCKETS = [
    rs.Backend("s3://photos", name="aws"),
    rs.Backend("gs://photos", name="gcp"),
    rs.Backend("abfs://photos", name="azure"),
]
NESTED = rs.DegradedRead({"photos/{name}": ["photos/{name}/preview"]})
OPTIONS = {
    "stateless": {"degraded": DEGRADED},
    "once": {
        "write_once": True,
        "write": rs.WriteToAll(min_copies=2, min_domains=2),
        "degraded": DEGRADED,
    },
    "unique": {
        "write_once": "unique-names",
        "write": rs.WriteToAll(min_copies=1),
        "degraded": DEGRADED,
    },
    "catalog": {
        "catalog": "sqlite:///photos.db",
        "write": rs.WriteToAll(min_copies=2, min_domains=2),
        "degraded": DEGRADED,
    },
    "placed": {
        "catalog": "sqlite:///photos.db",
        "write": rs.WriteToAll(min_copies=1),
        "degraded": DEGRADED,
        "placements": [rs.Placement("originals/{name}", backends=["aws"])],
    },
    "pictures": {  # without aws no original is promised, and both derivatives are
        "catalog": "sqlite:///photos.db",
        "degraded": rs.DegradedRead({"originals/{name}": ["previews/{name}", "thumbs/{name}"]}),
        "placements": [rs.Placement("originals/{name}", backends=["aws"])],
    },
    "narrow": {  # of the derivatives of one pattern, some are promised and some are not
        "catalog": "sqlite:///photos.db",
        "degraded": DEGRADED,
        "placements": [
            rs.Placement("originals/{name}", backends=["aws"]),
            rs.Placement("previews/{name}.jpg", backends=["aws"]),
        ],
    },
    "nested": {"backends": BUCKETS, "catalog": "sqlite:///photos.db", "degraded": NESTED},
    "nested, stateless": {"backends": BUCKETS, "degraded": NESTED},
    "archive": {"backends": [*BACKENDS[:2], ARCHIVE]},
    "archive only": {"backends": [ARCHIVE]},
}


def machine(kind, cls=rs.ResilientFileSystem):
    class Machine(ResilienceStateMachine):
        def build(self):
            return cls(**{"backends": BACKENDS, **OPTIONS[kind]})

    return Machine


@pytest.mark.parametrize("kind", OPTIONS)
def test_an_honest_store_breaks_no_promise(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_state_machine_as_test(machine(kind), settings=ONCE)
    assert not list(tmp_path.iterdir()), "the rehearsal touched the application's catalog"


def test_a_machine_that_cannot_be_built_leaves_the_clock_alone():
    class Wrong(ResilienceStateMachine):
        def build(self):
            return rs.ResilientFileSystem([])

    before = fsspec.asyn.loop[0]
    with pytest.raises(rs.ConfigurationError, match="no backend"):
        Wrong()
    with pytest.raises(NotImplementedError, match="define `build`"):
        type("Bare", (ResilienceStateMachine,), {})()
    assert fsspec.asyn.loop[0] is before


@pytest.mark.parametrize(
    ("cls", "kind", "said"), LIARS, ids=[f"{c[0].__name__}-{c[1]}" for c in LIARS]
)
def test_a_store_that_lies_is_found_out(cls, kind, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PromiseBrokenError, match=said):
        run_state_machine_as_test(machine(kind, cls), settings=AT_ALL)


def test_no_name_is_used_twice_where_the_configuration_says_so():
    unique = machine("unique")()
    try:
        unique.begins_with(["other/a.jpg"])
        for data in (b"new", b"object 0", b"newer"):
            unique.writes("other/a.jpg", data)
        unique.deletes("other/a.jpg")
        unique.writes("other/a.jpg", b"object 0")
        calls = [line.partition("  #")[0] for line in unique.ledger.story]
        write = "fs.write('other/a.jpg', b'object 0')"  # again: this completes it, if need be
        assert calls == [write, write, "fs.rm_file('other/a.jpg')"]
    finally:
        unique.teardown()


def test_what_an_application_writes_by_itself_may_be_listed():
    shop = machine("catalog")()
    try:
        shop.begins_with(["other/a.jpg"])
        shop.fs.pipe_file("orders/1", b"1 cat")
        for platform in shop.platforms:
            shop.is_destroyed(platform)
        shop.looks("other/a.jpg", "find")
        assert "orders/1" in shop.ledger.story[-1]
    finally:
        shop.teardown()


def scope_of(rehearsal, clock):
    """Return what the lines of a story name."""
    faults = rehearsal.faults
    return {"clock": clock, "fs": rehearsal.fs, "faults": faults, "Fault": Fault, "rs": rs}


def test_the_story_is_short(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PromiseBrokenError) as told:
        run_state_machine_as_test(machine("placed", Blank), settings=SHORTLY)
    claimed, _, story = str(told.value).partition("To see it again")
    assert "without aws, originals/{name}: reads refused" in claimed
    lines = [line.strip() for line in story.splitlines()[1:]]
    assert 2 <= len(lines) <= 6, story
    with virtual_time() as clock:
        rehearsal = rehearse(Blank(BACKENDS, **OPTIONS["placed"]))
        scope = scope_of(rehearsal, clock)
        for line in lines[:-1]:
            with contextlib.suppress(rs.ResilientStoreError):  # the line says that it was refused
                exec(line, scope)
        assert eval(lines[-1].partition("  #")[0], scope).data == b""
        rehearsal.fs.close()


def test_the_story_of_a_destroyed_platform_ends_where_the_machine_did(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = machine("placed")()
    try:
        told.begins_with(["other/a.jpg"])
        told.is_destroyed("aws")
        told.go_away(["gcp"], "hang")
        told.all_return()
        told.writes("other/a.jpg", b"new")
        told.reads("other/a.jpg")
        with virtual_time() as clock:
            rehearsal = rehearse(told.build())
            scope = scope_of(rehearsal, clock)
            for line in told.ledger.story:
                exec(line, scope)
            assert rehearsal.faults.active == told.faults.active == [Fault("down", "aws")]
            assert clock.now_s == told.clock.now_s
            assert rehearsal.fs.read("other/a.jpg").backend == "gcp"
            assert {n: rehearsal.held(n, "other/a.jpg") for n in rehearsal.backends} == {
                n: told.rehearsal.held(n, "other/a.jpg") for n in rehearsal.backends
            }
            rehearsal.fs.close()
    finally:
        told.teardown()


class Forgets:
    """A teardown that leaves out what the machine does in its own."""

    def teardown(self):
        self.seen = self.fs.find("")


class Remembers:
    """A teardown that calls the machine's own, and looks at the store before."""

    def teardown(self):
        self.seen = self.fs.find("")
        super().teardown()


@pytest.mark.parametrize("mixin", [Forgets, Remembers])
@pytest.mark.parametrize("further", [False, True], ids=["", "further below"])
def test_a_teardown_of_ones_own_leaves_out_neither_the_checks_nor_the_clock(mixin, further):
    class Mine(mixin, machine("stateless", ListsNothing)):
        pass

    cls = type("Further", (Mine,), {}) if further else Mine
    before = fsspec.asyn.get_loop()
    mine = cls()
    mine.begins_with(["other/a.jpg"])
    with pytest.raises(PromiseBrokenError, match="the listing lacks it"):
        mine.teardown()
    assert mine.seen == ["other/a.jpg"]
    assert fsspec.asyn.loop[0] is before


def test_a_teardown_that_fails_gives_the_clock_back():
    class Fails(machine("stateless")):
        def teardown(self):
            raise ZeroDivisionError

    before = fsspec.asyn.get_loop()
    fails = Fails()
    with pytest.raises(ZeroDivisionError):
        fails.teardown()
    assert fsspec.asyn.loop[0] is before


def test_a_class_above_does_not_hide_the_teardown_of_one_beside():
    seen = []

    class Beside(ResilienceStateMachine):
        def teardown(self):
            seen.append("beside")

    class Both(machine("stateless"), Beside):
        pass

    Both().teardown()
    assert seen == ["beside"]
