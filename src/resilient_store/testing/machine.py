"""A Hypothesis state machine that writes, reads, deletes, breaks and heals a store at will."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from resilient_store.errors import (
    BackendsUnavailableError,
    ConfigurationError,
    InsufficientCopiesError,
    ObjectError,
    OriginalMissingError,
)
from resilient_store.filesystem import ResilientFileSystem
from resilient_store.model.domain import platforms
from resilient_store.model.result import ReadResult
from resilient_store.operations.repair import repair
from resilient_store.testing.faults import Fault, FaultKind
from resilient_store.testing.ledger import Ledger
from resilient_store.testing.rehearsal import Rehearsal, as_built, rehearse
from resilient_store.testing.simulation.virtual import VirtualTime, virtual_time
from resilient_store.testing.strategies import contents, paths_of

# After this time a platform that is back is in use again, and no late request is under way.
WELL_AGAIN_S = 1000.0
PHASES = tuple(phase for phase in Phase if phase is not Phase.explain)
AWAY_AS: tuple[FaultKind, ...] = ("down", "hang", "denied", "throttled")


def _of_machine(draw: Callable[[Any], st.SearchStrategy[Any]]) -> Any:
    """Draw from what the machine at hand has, and not from what the class knows."""
    return st.runner().flatmap(draw)


PATHS = _of_machine(lambda machine: st.sampled_from(machine.paths()))
KNOWN = _of_machine(lambda machine: st.sampled_from(machine.ledger.known))
CONTENTS = _of_machine(lambda machine: machine.contents())
PLATFORMS = _of_machine(lambda machine: st.sampled_from(machine.platforms))
SOME_PLATFORMS = _of_machine(lambda machine: st.sampled_from(machine.losses))
BACKENDS = _of_machine(lambda machine: st.sampled_from(sorted(machine.rehearsal.backends)))
BEGINNINGS = _of_machine(lambda machine: st.sampled_from(machine.beginnings()))


class ResilienceStateMachine(RuleBasedStateMachine):
    """Tries a store's configuration, with every platform in memory, on its worst days.

    Subclass it, and say how the store is built: `build`, or `config`. Then hand its
    ``TestCase`` to pytest or unittest. It checks the promises that the configuration makes
    (`claims`) after every step, whatever went down before. Rules and invariants of your own
    join in: `fs` is the store, `faults` the switchboard.

    Attributes
    ----------
    config
        A configuration file; `store` names the table where it has several.
    fs
        The rehearsed store, a filesystem like any other.
    faults
        What switches platforms off.
    platforms
        The platforms of the configuration.
    destroyed
        Those that are gone for ever.
    ledger
        What was acknowledged, and the story so far.

    Raises
    ------
    PromiseBrokenError
        A promise was broken; the text says which, and tells what led there.
    """

    config: str | os.PathLike[str] | None = None
    store: str | None = None

    _built: ResilientFileSystem

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Before Python 3.12 the phase that explains a failure traces every line: ten times slower.
        cls.TestCase.settings = settings(cls.TestCase.settings, phases=PHASES)
        if cls.teardown is not ResilienceStateMachine.teardown:
            cls.teardown = _followed(cls.teardown)  # type: ignore[assignment, method-assign]

    def __init__(self) -> None:
        super().__init__()
        if "_built" not in type(self).__dict__:  # once: nothing of it but its settings is used
            type(self)._built = as_built(self.build(), self.store)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_quietly())
            self.clock: VirtualTime = stack.enter_context(virtual_time())
            self.rehearsal: Rehearsal = rehearse(self._built)
            self._until_teardown = stack.pop_all()
        self.fs: ResilientFileSystem = self.rehearsal.fs
        self.faults = self.rehearsal.faults
        self.ledger = Ledger(self.rehearsal)
        store = self.fs.store
        self.platforms = platforms(store.clients, store.domains)
        sizes = sorted({1, 2, len(self.platforms)} & set(range(len(self.platforms) + 1)))
        self.losses = [list(lost) for n in sizes for lost in combinations(self.platforms, n)]
        self.destroyed: list[str] = []
        self._has_ended = False
        self._around = sys.exception()  # what Hypothesis may be handling meanwhile

    @property
    def away(self) -> list[str]:
        """The platforms that cannot be reached now."""
        return self.ledger.away

    # What a subclass says

    def build(self) -> ResilientFileSystem | str | os.PathLike[str]:
        """Return the store as the application builds it, or its configuration file."""
        if self.config is None:
            raise NotImplementedError("set `config`, or define `build` and return your store")
        return self.config

    def paths(self) -> list[str]:
        """List the paths that are used: few, and such as the store's own patterns match."""
        return paths_of(self.fs)

    def beginnings(self) -> list[list[str]]:
        """List what may be there from the beginning: one object, or (often) one at every path."""
        paths = self.paths()
        return [*([path] for path in paths), *([paths] * len(paths))]

    def contents(self) -> st.SearchStrategy[bytes]:
        """Draw what is written."""
        return contents()

    # What happens

    @initialize(paths=BEGINNINGS)
    def begins_with(self, paths: list[str]) -> None:
        """Store objects, of which no two are alike, while every platform is well."""
        for number, path in enumerate(paths):
            self.writes(path, f"object {number}".encode())

    @rule(path=PATHS, data=CONTENTS)
    def writes(self, path: str, data: bytes) -> None:
        """Somebody writes an object."""
        if self.ledger.takes_no_name_twice and self.ledger.may_be_taken(path, data):
            return
        before, lay = self.ledger.held(path), self.ledger.lying(path)
        self.ledger.tried.setdefault(path, set()).add(data)
        words = f"fs.write({path!r}, {data!r})"
        outcome = self.ledger.call(words, lambda: self.fs.write(path, data))
        self.ledger.check_kept(path, lay)
        if not isinstance(outcome, Exception):
            self.ledger.objects[path] = frozenset({data})
            self.ledger.hurt.discard(path)
            self.ledger.check_receipt(outcome)
            return
        if isinstance(outcome, FileExistsError) and self.ledger.is_once:
            if not self.ledger.may_be_taken(path, data):
                self.ledger.broken("P1", "nothing else was ever there, and it is called taken")
            if self.ledger.may_be_half_done:  # a backend that lacked the object has taken these
                self.ledger.objects[path] = before | {data}
            return
        if not isinstance(outcome, InsufficientCopiesError | BackendsUnavailableError):
            self.ledger.broken("P5", f"a write ends in {outcome!r}")
        if self.ledger.may_be_half_done:
            self.ledger.objects[path] = before | {data}
        self.ledger.check_refusal(path, "writes", outcome)

    @rule(path=KNOWN)
    def deletes(self, path: str) -> None:
        """Somebody deletes an object."""
        before = self.ledger.held(path)
        outcome = self.ledger.call(f"fs.rm_file({path!r})", lambda: self.fs.rm_file(path))
        if outcome is None or isinstance(outcome, FileNotFoundError):
            if outcome is not None and None not in before:
                self.ledger.broken("P5", "an object that is there is called absent")
            if outcome is None:
                self.ledger.check_acknowledged(path, "deletes")
            self.ledger.objects[path] = frozenset({None})
            return
        if isinstance(outcome, IsADirectoryError) and self.ledger.is_a_directory(path):
            return
        if not isinstance(outcome, ObjectError):
            self.ledger.broken("P5", f"a deletion ends in {outcome!r}")
        if isinstance(outcome, OriginalMissingError):
            self.ledger.check_lost(path)
        elif before != {None}:
            self.ledger.check_refusal(path, "deletes", outcome)
        if self.ledger.may_be_half_done:
            self.ledger.objects[path] = before | {None}

    @rule(path=KNOWN)
    def reads(self, path: str) -> None:
        """Somebody reads an object."""
        outcome = self.ledger.call(f"fs.read({path!r})", lambda: self.fs.read(path))
        if isinstance(outcome, ReadResult):
            self.ledger.check_result(path, outcome)
        elif isinstance(outcome, FileNotFoundError):
            if None not in self.ledger.held(path):
                self.ledger.broken("P5", "an object that is there is called absent")
        elif isinstance(outcome, OriginalMissingError):
            self.ledger.check_lost(path)
            self.ledger.check_stand_in(path)
        elif isinstance(outcome, BackendsUnavailableError):
            self.ledger.check_unread(path)
            self.ledger.check_stand_in(path)
        elif not (isinstance(outcome, IsADirectoryError) and self.ledger.is_a_directory(path)):
            self.ledger.broken("P5", f"a read ends in {outcome!r}")

    @rule(path=PATHS, how=st.sampled_from(["exists", "find"]))
    def looks(self, path: str, how: str) -> None:
        """Somebody asks whether an object is there, or lists all of them."""
        if how == "find":
            self._lists()
            return
        outcome = self.ledger.call(f"fs.exists({path!r})", lambda: self.fs.exists(path))
        if outcome is False and None not in self.ledger.held(path):
            self.ledger.broken("P5", "an object that is there is called absent")
        if (
            outcome is True
            and self.ledger.held(path) == {None}
            and not self.ledger.has_evidence(path)
            and not self.ledger.is_a_directory(path)
        ):
            self.ledger.broken("P3", "an object that is not there is said to be")
        if isinstance(outcome, BackendsUnavailableError):
            self.ledger.check_unread(path)
        elif isinstance(outcome, Exception):
            self.ledger.broken("P5", f"exists ends in {outcome!r}")

    def _lists(self) -> None:
        outcome = self.ledger.call('fs.find("")', lambda: self.fs.find(""))
        if isinstance(outcome, BackendsUnavailableError) and self.ledger.away:
            return
        if isinstance(outcome, Exception):
            self.ledger.broken("P5", f"a listing ends in {outcome!r}")
        else:
            self.ledger.check_listing(outcome)

    @precondition(lambda machine: len(machine.ledger.away) < len(machine.platforms))
    @rule(platforms=SOME_PLATFORMS, how=st.sampled_from(AWAY_AS))
    def go_away(self, platforms: list[str], how: FaultKind) -> None:
        """Platforms fail, with every backend on them."""
        for platform in platforms:
            if platform not in self.ledger.away:
                self.ledger.note(f"faults.begin(Fault({how!r}, {platform!r}))")
                self.faults.begin(Fault(how, platform))
                self.ledger.away.append(platform)

    @precondition(lambda machine: len(machine.ledger.away) > len(machine.destroyed))
    @rule()
    def all_return(self) -> None:
        """Every platform is well again, and some time passes."""
        gone = "".join(f"faults.down({platform!r}); " for platform in self.destroyed)
        self.ledger.note(f"faults.heal(); {gone}clock.advance({WELL_AGAIN_S})")
        self.faults.heal()
        self.ledger.away = list(self.destroyed)
        for platform in self.destroyed:
            self.faults.down(platform)
        self.clock.advance(WELL_AGAIN_S)

    @precondition(lambda machine: not machine.ledger.away)
    @rule(platforms=SOME_PLATFORMS, how=st.sampled_from(AWAY_AS), path=PATHS, data=CONTENTS)
    def has_a_bad_day(self, platforms: list[str], how: FaultKind, path: str, data: bytes) -> None:
        """Platforms fail, somebody writes and reads, and they return."""
        self.go_away(platforms, how)
        self.writes(path, data)
        self.reads(path)
        self.all_return()

    @precondition(lambda machine: not machine.ledger.away)
    @rule(platform=PLATFORMS)
    def is_destroyed(self, platform: str) -> None:
        """Take a platform away for ever, with all that it held."""
        self.ledger.note(f"faults.domain_lost({platform!r})")
        self.ledger.see_what_lies_there()
        self.faults.domain_lost(platform)
        self.ledger.away.append(platform)
        self.destroyed.append(platform)

    @precondition(lambda machine: machine.fs.store.catalog is not None)
    @rule(path=KNOWN, backend=BACKENDS)
    def is_damaged(self, path: str, backend: str) -> None:
        """One replica of an object changes a bit."""
        try:
            self.faults.corrupt(backend, path)
        except ConfigurationError:
            return  # nothing of it lies there
        self.ledger.note(f"faults.corrupt({backend!r}, {path!r})")
        self.ledger.hurt.add(path)

    @precondition(lambda machine: machine.fs.store.catalog is not None)
    @rule()
    def is_repaired(self) -> None:
        """Let an operator run repair."""
        outcome = self.ledger.call("rs.repair(fs)", lambda: repair(self.fs))
        unforeseen = not (self.ledger.away and isinstance(outcome, ObjectError))
        if isinstance(outcome, Exception) and unforeseen:
            self.ledger.broken("P7", f"repair ends in {outcome!r}")

    def teardown(self) -> None:
        """Try every bad day on what is left, close the store, give the real clock back.

        Where a subclass defines a `teardown` of its own, this follows it, called or not.
        """
        if self._has_ended:
            return
        self._has_ended = True
        try:
            if sys.exception() is self._around:  # else a failure is on its way already
                self._has_bad_days()
            self.faults.heal()
            self.fs.close()
        finally:
            self._until_teardown.close()

    def _has_bad_days(self) -> None:
        """Look at everything: as it is, when all is well again, and without some platforms."""
        self._looks_at_everything()
        if len(self.ledger.away) > len(self.destroyed):
            self.all_return()
            self._looks_at_everything()
        for lost in self.losses:
            if not set(lost) & set(self.destroyed):
                with self._told_if_broken():
                    self.go_away(lost, "down")
                    self._looks_at_everything()
                    self.all_return()

    def _looks_at_everything(self) -> None:
        for path in self.ledger.known:
            with self._told_if_broken():
                self.reads(path)
        with self._told_if_broken():
            self._lists()

    @contextlib.contextmanager
    def _told_if_broken(self) -> Iterator[None]:
        """Keep in the story only what breaks a promise: nothing else shortens what is told."""
        length = len(self.ledger.story)
        yield
        del self.ledger.story[length:]


def _followed(teardown: Callable[[Any], None]) -> Callable[[Any], None]:
    """Let the machine's own teardown follow a subclass's, which may not have called it."""

    @functools.wraps(teardown)
    def both(machine: ResilienceStateMachine) -> None:
        try:
            teardown(machine)
        finally:
            ResilienceStateMachine.teardown(machine)

    return both


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep what the store logs of its outages: the story tells it, and there are thousands."""
    logger = logging.getLogger("resilient_store")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
