"""The pytest plugin: a rehearsed store, its switchboard, virtual time, and `outage` tests.

Everything heavy is imported by the fixture that needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.junitxml import xml_key

if TYPE_CHECKING:
    from resilient_store.filesystem import ResilientFileSystem
    from resilient_store.testing.faults import Faults
    from resilient_store.testing.rehearsal import Rehearsal
    from resilient_store.testing.simulation.virtual import VirtualTime

INI = "resilient_store"
LOST = "resilient_store_lost"
SURVIVES = "resilient_store_survives"
_PARAMETER = "_platforms_lost"
_HELP = (
    "the store that tests rehearse: a configuration file (photos.toml, photos.toml:store) or "
    "what builds it (myapp.storage:make_store)"
)
_MARKER = (
    "outage(lose=None): run the test once for every platform of the store, each time without "
    "that one; lose=['aws', 'gcp']: once, without those"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the project say which store it has."""
    parser.addini(INI, _HELP, default="")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and let the process that gathers the reports keep count."""
    config.addinivalue_line("markers", _MARKER)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Survival())


@pytest.fixture
def resilient_store_target(request: pytest.FixtureRequest) -> Any:
    """Return what is rehearsed: a store, or its configuration file; projects may override it."""
    return _target(request.config)


@pytest.fixture
def virtual_time() -> Iterator[VirtualTime]:
    """Give virtual time to every fsspec filesystem that the test makes."""
    from resilient_store.testing.simulation.virtual import virtual_time as begin

    with begin() as clock:
        yield clock


@pytest.fixture
def rehearsal(
    request: pytest.FixtureRequest, virtual_time: VirtualTime, resilient_store_target: Any
) -> Iterator[Rehearsal]:
    """Rehearse the project's store, with its platforms in memory and in virtual time."""
    del virtual_time  # it is there before the store is made, and after it is closed
    rehearsed = _rehearsed(resilient_store_target)
    request.node.stash[_REHEARSAL] = rehearsed
    yield rehearsed
    rehearsed.faults.heal()
    rehearsed.fs.close()


@pytest.fixture
def resilient_store(rehearsal: Rehearsal) -> ResilientFileSystem:
    """Return the project's store, with its platforms in memory."""
    return rehearsal.fs


@pytest.fixture
def outage(rehearsal: Rehearsal) -> Faults:
    """Return the switchboard of `resilient_store`."""
    return rehearsal.faults


@pytest.fixture(name=_PARAMETER)
def _platforms_lost(request: pytest.FixtureRequest) -> tuple[str, ...]:
    lost: tuple[str, ...] = request.param
    return lost


_REHEARSAL: pytest.StashKey[Rehearsal] = pytest.StashKey()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test with the marker run once for every loss."""
    marker = metafunc.definition.get_closest_marker("outage")
    if marker is None:
        return
    losses = _outage(*marker.args, **marker.kwargs) or _each(metafunc.config)
    metafunc.fixturenames.append(_PARAMETER)
    ids = [f"without {' and '.join(lost)}" for lost in losses]
    metafunc.parametrize(_PARAMETER, losses, ids=ids, indirect=True)


def _outage(lose: str | Sequence[str] | None = None) -> list[tuple[str, ...]]:
    """Return the losses that a marker names, by the signature that `_MARKER` shows."""
    if not lose:
        return []
    return [(lose,) if isinstance(lose, str) else tuple(lose)]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Begin the outage when every fixture has done its work, and the test itself begins."""
    callspec = getattr(pyfuncitem, "callspec", None)
    lost: Sequence[str] = () if callspec is None else callspec.params.get(_PARAMETER, ())
    if not lost:
        return
    rehearsed = pyfuncitem.stash.get(_REHEARSAL, None)
    if rehearsed is None:
        raise pytest.UsageError(
            f"{pyfuncitem.name} is marked `outage` and uses no store: take the fixture "
            "resilient_store, or one that does"
        )
    for platform in lost:
        rehearsed.faults.down(platform)
    pyfuncitem.user_properties.append((LOST, " and ".join(lost)))


class Survival:
    """Which losses the application survives, wherever its tests ran: a table, and properties."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, bool]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended: one run of it that fails is enough."""
        lost = dict(report.user_properties).get(LOST)
        if lost is None or report.outcome not in ("passed", "failed"):
            return
        if report.failed or report.when == "call":
            results = self.found.setdefault(str(lost), {})
            test = report.nodeid.partition("[")[0]
            results[test] = results.get(test, True) and report.passed

    @pytest.hookimpl(tryfirst=True)  # before the report is written
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write it into a JUnit report, where there is one."""
        report = session.config.stash.get(xml_key, None)
        if report is None:
            return
        for lost, results in sorted(self.found.items()):
            report.add_global_property(f"{SURVIVES}:{lost}", _yes(all(results.values())))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show it as a table."""
        if not self.found:
            return
        terminalreporter.section("outages")
        terminalreporter.write_line(f"{'without':<20} survived  tests that fail")
        for lost, results in sorted(self.found.items()):
            failing = sorted(test for test, passed in results.items() if not passed)
            survived = _yes(not failing)
            terminalreporter.write_line(f"{lost:<20} {survived:<8}  {', '.join(failing) or '-'}")


def _yes(survived: bool) -> str:
    return "yes" if survived else "no"


def _target(config: pytest.Config) -> Any:
    said = str(config.getini(INI)).strip()
    if not said:
        raise pytest.UsageError(
            f"no store to rehearse: set `{INI}` in pytest's configuration to a file "
            '("photos.toml") or to what builds the store ("myapp.storage:make_store"), or '
            "override the fixture resilient_store_target (and give `outage` its lose=[...])"
        )
    if ".toml" in said:
        return str(config.rootpath / said)
    from importlib import import_module

    module, _, name = said.partition(":")
    build = getattr(import_module(module), name)
    return build()


def _rehearsed(target: Any) -> Rehearsal:
    from resilient_store.testing.rehearsal import rehearse

    return rehearse(*_divided(target))


def _divided(target: Any) -> tuple[Any, str | None]:
    """Divide ``photos.toml:store`` into the file and the store's name in it."""
    if isinstance(target, str) and ".toml:" in target:
        file, _, name = target.rpartition(":")
        return file, name
    return target, None


def _each(config: pytest.Config) -> list[tuple[str, ...]]:
    from resilient_store.model.domain import platforms
    from resilient_store.testing.rehearsal import as_built

    configuration = as_built(*_divided(_target(config))).store.configuration
    return [(one,) for one in platforms(configuration.names, configuration.domains)]
