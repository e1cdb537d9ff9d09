"""The pytest plugin: a rehearsed store, its switchboard, virtual time, and `outage` tests.

Everything heavy is imported by the fixture that needs it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
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
    "that one; lose=['aws', 'gcp']: once, without those. Of several markers each counts"
)
_NOT_RUN_SO = (
    "is marked `outage`, and pytest cannot run it once for each loss: make it a plain test "
    "function, or a method of a class that is no unittest.TestCase, marked where it is written"
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
    """Let a test with the marker run once for every loss that one of its markers names."""
    losses: dict[tuple[str, ...], None] = {}
    for marker in metafunc.definition.iter_markers("outage"):
        lose = _lose(marker)
        losses.update(dict.fromkeys(_each(metafunc.config) if lose is None else [lose]))
    if losses:
        metafunc.fixturenames.append(_PARAMETER)
        ids = [f"without {' and '.join(lost)}" for lost in losses]
        metafunc.parametrize(_PARAMETER, list(losses), ids=ids, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse what has the marker and would run on a good day only, as a `TestCase` would."""
    report = yield
    found = [node for node in report.result or () if isinstance(node, pytest.Item)]
    if refused := [item.nodeid for item in found if _is_marked(item) and not _lost(item)]:
        report.outcome, report.result = "failed", []
        report.longrepr = "\n".join(f"{nodeid} {_NOT_RUN_SO}" for nodeid in refused)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say what the test is without, also where it never comes to the test itself."""
    lost = (LOST, " and ".join(_lost(item)))
    if _lost(item) and lost not in item.user_properties:
        item.user_properties.append(lost)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Begin the outage when every fixture has done its work, whatever runs the test itself."""
    lost = _lost(item)
    if _is_marked(item) and not lost:  # marked after it was collected
        pytest.fail(f"{item.nodeid} {_NOT_RUN_SO}", pytrace=False)
    if lost:
        rehearsed = item.stash.get(_REHEARSAL, None)
        if rehearsed is None:
            raise pytest.UsageError(
                f"{item.name} is marked `outage` and uses no store: take the fixture "
                "resilient_store, or one that does"
            )
        for platform in lost:
            rehearsed.faults.down(platform)
    yield


def _is_marked(item: pytest.Item) -> bool:
    return item.get_closest_marker("outage") is not None


def _lost(item: pytest.Item) -> tuple[str, ...]:
    """Return the platforms that a run of a test is without."""
    callspec = getattr(item, "callspec", None)
    return () if callspec is None else callspec.params.get(_PARAMETER, ())


def _lose(marker: pytest.Mark) -> tuple[str, ...] | None:
    """Return the platforms that a marker names, sorted; None where it means every single one."""
    lose = marker.kwargs.get("lose")
    named = [lose] if isinstance(lose, str) else lose
    if marker.args or set(marker.kwargs) - {"lose"} or not _are_names(named):
        said = [*map(repr, marker.args), *(f"{k}={v!r}" for k, v in marker.kwargs.items())]
        raise pytest.Collector.CollectError(
            f"outage({', '.join(said)}) is not understood: the marker takes nothing, for every "
            "single platform, or lose= with the names of those that are lost together, as in "
            "outage(lose=['aws', 'gcp'])"
        )
    return None if named is None else tuple(sorted(set(named)))


def _are_names(named: Any) -> bool:
    if named is None:
        return True
    return bool(named) and isinstance(named, Iterable) and all(isinstance(n, str) for n in named)


class Survival:
    """Which losses the application survives, wherever its tests ran: a table, and properties."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, bool]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended: one run of it that fails, at whatever time, is enough."""
        lost = dict(report.user_properties).get(LOST)
        is_known_to_fail = report.skipped and hasattr(report, "wasxfail")
        if lost is None or (report.skipped and not is_known_to_fail):
            return
        if report.when == "call" or not report.passed:
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
