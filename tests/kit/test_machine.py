"""The machine passes over honest stores, and tells a short story of each that breaks a promise."""

from __future__ import annotations

import contextlib

import attrs
import fsspec.asyn
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

import resilient_store as rs
from resilient_store.errors import BackendsUnavailableError
from resilient_store.io.delete import look_everywhere
from resilient_store.testing import (
    Fault,
    PromiseBrokenError,
    ResilienceStateMachine,
    rehearse,
    virtual_time,
)

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
NAMES = [backend.name for backend in BACKENDS]
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
}


def machine(kind, cls=rs.ResilientFileSystem):
    class Machine(ResilienceStateMachine):
        def build(self):
            return cls(BACKENDS, **OPTIONS[kind])

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


class SaysAbsent(rs.ResilientFileSystem):
    """Reports an outage as absence."""

    async def _read(self, path, **options):
        try:
            return await super()._read(path, **options)
        except BackendsUnavailableError:
            raise FileNotFoundError(path) from None


class Blank(rs.ResilientFileSystem):
    """Hands out nothing, without an error."""

    async def _read(self, path, **options):
        try:
            return await super()._read(path, **options)
        except BackendsUnavailableError:
            return rs.ReadResult(data=b"", path=path, backend="aws")


class Unflagged(rs.ResilientFileSystem):
    """Hands out a preview as if it were the original."""

    async def _read(self, path, **options):
        result = await super()._read(path, **options)
        return rs.ReadResult(data=result.data, path=path, backend=result.backend)


class Boasts(rs.ResilientFileSystem):
    """Acknowledges what too few backends took."""

    async def _write(self, path, data, **options):
        try:
            return await super()._write(path, data, **options)
        except rs.InsufficientCopiesError:
            return rs.WriteReceipt(path=path, checksum="", size=len(data), copies=("aws",))


class GivesUp(rs.ResilientFileSystem):
    """Takes no writes when a single backend fails, whatever was asked for."""

    async def _write(self, path, data, **options):
        receipt = await super()._write(path, data, **options)
        if receipt.pending:
            raise BackendsUnavailableError(path, ())
        return receipt


class ListsNothing(rs.ResilientFileSystem):
    """Lists nothing where nothing can be listed."""

    async def _find(self, path, *args, **options):
        try:
            return await super()._find(path, *args, **options)
        except BackendsUnavailableError:
            return []


class Resurrects(rs.ResilientFileSystem):
    """Hands out what was deleted."""

    async def _rm_file(self, path, **options):
        self.kept = {path: await self._cat_file(path)}
        await super()._rm_file(path, **options)

    async def _read(self, path, **options):
        try:
            return await super()._read(path, **options)
        except FileNotFoundError:
            if path in getattr(self, "kept", ()):
                return rs.ReadResult(data=self.kept[path], path=path, backend="aws")
            raise


# What each claims, and does not keep


class ServesFromOne(rs.ResilientFileSystem):
    """Reads from the first backend only, whatever else holds the object."""

    async def _read(self, path, **options):
        result = await super()._read(path, **options)
        if result.backend != "aws":
            raise BackendsUnavailableError(path, ())
        return result


class Loses(rs.ResilientFileSystem):
    """Loses what it has acknowledged, and admits it."""

    async def _write(self, path, data, **options):
        receipt = await super()._write(path, data, **options)
        for backend in self.store.configuration.backends:
            for place in backend.target.places(path):
                backend.target.lose(place)
        return receipt


class NeverDegrades(rs.ResilientFileSystem):
    """Raises, where a preview could stand in."""

    async def _read(self, path, **options):
        return await super()._read(path, **{**options, "degraded": False})


class BringsTheSmallest(rs.ResilientFileSystem):
    """Hands out a thumbnail, where a preview could stand in."""

    async def _read(self, path, **options):
        result = await super()._read(path, **options)
        small = path.replace("originals/", "thumbs/")
        if not result.original_missing or not await self._exists(small):
            return result
        data = (await super()._read(small)).data
        return attrs.evolve(result, data=data, derivative=small)


class WritesAnyway(rs.ResilientFileSystem):
    """Acknowledges as on a good day what some backends did not take."""

    async def _write(self, path, data, **options):
        try:
            return await super()._write(path, data, **options)
        except rs.InsufficientCopiesError:
            return rs.WriteReceipt(path=path, checksum="", size=len(data), copies=tuple(NAMES))


class CountsAnyCopy(rs.ResilientFileSystem):
    """Counts copies on backends that no placement names."""

    async def _write(self, path, data, **options):
        return attrs.evolve(await super()._write(path, data, **options), copies=tuple(NAMES))


class SaysTaken(rs.ResilientFileSystem):
    """Refuses new paths as if they were taken."""

    async def _write(self, path, data, **options):
        await super()._write(path, data, **options)
        raise FileExistsError(path)


class DeletesOnGoodDays(rs.ResilientFileSystem):
    """Deletes only while every backend answers, though a catalog would remember who did not."""

    async def _rm_file(self, path, **options):
        await look_everywhere(self.store, path)
        await super()._rm_file(path, **options)


class DeletesAnyway(rs.ResilientFileSystem):
    """Acknowledges deletions of which nobody remembers who missed them."""

    async def _rm_file(self, path, **options):
        with contextlib.suppress(BackendsUnavailableError):
            await super()._rm_file(path, **options)


class DeletesNothing(rs.ResilientFileSystem):
    """Says that what is to be deleted is lost already."""

    async def _rm_file(self, path, **options):
        raise rs.OriginalMissingError(path)


class LooksNowhere(rs.ResilientFileSystem):
    """Never knows whether an object is there."""

    async def _exists(self, path, **options):
        raise BackendsUnavailableError(path, ())


class NeverLists(rs.ResilientFileSystem):
    """Never knows what is there."""

    async def _find(self, path, *args, **options):
        raise BackendsUnavailableError(path, ())


LIARS = [
    (SaysAbsent, "stateless", "P5 is broken: .*called absent"),
    (Blank, "placed", "P2 to P4 is broken: .*not the object's"),
    (Unflagged, "placed", "P2 to P4 is broken: .*not the object's"),
    (Boasts, "catalog", "P1 is broken: .*copies on .* only"),
    (GivesUp, "catalog", "P1 is broken: .*promised to be acknowledged .*writes acknowledged"),
    (ListsNothing, "stateless", "P5 is broken: .*the listing lacks it"),
    (Resurrects, "catalog", "P2 to P4 is broken: .*not the object's"),
    (ServesFromOne, "catalog", "P1 is broken: .*promised to be read"),
    (Loses, "catalog", "P1 is broken: .*an acknowledged object is lost"),
    (NeverDegrades, "pictures", "P5 is broken: .*promised to stand in for it, and nothing was"),
    (
        BringsTheSmallest,
        "pictures",
        "P5 is broken: .*promised to stand in for it, and only 'thumbs/",
    ),
    (WritesAnyway, "stateless", "P1 is broken: .*promised to be refused .*writes refused"),
    (CountsAnyCopy, "placed", "P1 is broken: .*where it has no place"),
    (SaysTaken, "once", "P1 is broken: .*it is called taken"),
    (
        DeletesOnGoodDays,
        "catalog",
        "P1 is broken: .*promised to be acknowledged .*deletions acknowledged",
    ),
    (DeletesAnyway, "stateless", "P3 is broken: .*promised to be refused .*deletions refused"),
    (DeletesNothing, "catalog", "P5 is broken: .*called lost, and lies intact"),
    (LooksNowhere, "catalog", "P[15] is broken: .*(called unreachable|promised to be read)"),
    (NeverLists, "catalog", "P5 is broken: .*a listing ends in"),
]


@pytest.mark.parametrize(("cls", "kind", "said"), LIARS, ids=[c[0].__name__ for c in LIARS])
def test_a_store_that_lies_is_found_out(cls, kind, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PromiseBrokenError, match=said):
        run_state_machine_as_test(machine(kind, cls), settings=AT_ALL)


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
        scope = {"clock": clock, "fs": rehearsal.fs, "faults": rehearsal.faults, "Fault": Fault}
        for line in lines[:-1]:
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
            scope = {"clock": clock, "fs": rehearsal.fs, "faults": rehearsal.faults, "Fault": Fault}
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
