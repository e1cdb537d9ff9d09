"""Play one scenario by one seed: the programs, then peace, then what must be true at the end.

`python -m tests.model.run NAME --seed N` plays one, and prints what happened.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import contextvars
import logging
import math
import sys
from collections.abc import Sequence
from typing import Any

import attrs

import resilient_store as rs
from resilient_store.errors import (
    CatalogUnavailableError,
    ObjectError,
)
from resilient_store.io.prepare import prepare
from resilient_store.model.info import Headers
from resilient_store.model.state import StoreState
from resilient_store.operations.adopt import adopt_all
from resilient_store.operations.rejoin import rejoin_one
from resilient_store.operations.repair import repair_all
from resilient_store.operations.sweep import sweep_all
from resilient_store.protocol.quiet import answered
from tests.model import judge
from tests.model.scenarios import SCENARIOS, WRITES, Program, Scenario
from tests.model.world import (
    LATE_WINDOW_S,
    LEASE_S,
    OTHER,
    PATH,
    PROCESS,
    SKEW_S,
    SKEWS_S,
    TIMEOUT_S,
    Model,
    Process,
)

PEACE_ROUNDS = 8


class Play:
    """One run of one scenario."""

    model_type = Model
    rounds_at_least = PEACE_ROUNDS

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.model = model = self.model_type(
            seed, scenario.budget, conditions=scenario.conditions, paths=scenario.paths
        )
        model.min_copies = scenario.min_copies
        model.unsteady = scenario.unsteady
        self._processes: list[Process] = []
        self._ready: list[rs.ResilientFileSystem] = []

    def run(self) -> Model:
        """Play it; `Model.broken` says what was wrong."""
        loop = self.model.loop
        loop.run_until_complete(self._all(), until_s=1e6)
        self._bury()
        return self.model

    def _bury(self) -> None:
        bury(self.model, self._processes, self._ready)

    def _open(self) -> rs.ResilientFileSystem:
        return opened(self.model)

    async def _all(self) -> None:
        model, scenario = self.model, self.scenario
        await self._begin()
        self._before = {name: dict(disk.objects) for name, disk in model.disks.items()}
        model.quiet_world = False
        gap_s = model.chance.choice([0.0, 0.05, 1.0, 5.0, 30.0])
        tasks = []
        order = list(enumerate(scenario.programs))
        if model.chance.random() < 0.3:
            model.chance.shuffle(order)
        for turn, (number, program) in enumerate(order):
            start_s = turn * gap_s * model.chance.choice([0.0, 0.5, 1.0, 1.0])
            patient = 0.8 if scenario.unsteady is not None else 0.5
            if turn and model.chance.random() < patient:  # the dead and the late do harm then
                quiet_again_s = LEASE_S + LATE_WINDOW_S + 5
                extra_s = [0.0, LEASE_S + 2, quiet_again_s, quiet_again_s]
                start_s += model.chance.choice(extra_s)
            process = Process(
                f"{program[0]}{number}",
                number=number,
                crashes_at=model.chance.randint(1, 24),
                pauses_at=model.chance.randint(*scenario.pauses_between),
            )
            if scenario.starts and model.chance.random() < 0.8:
                start_s = scenario.starts[number]
            start_s += model.chance.choice([0.0, 0.0, model.chance.uniform(0.0, 0.1)])
            self._processes.append(process)
            tasks.append(model.loop.create_task(self._program(process, program, start_s)))
        tasks.append(model.loop.create_task(self._accidents()))
        others = model.loop.create_task(self._others())
        await asyncio.wait(tasks, timeout=3 * (LEASE_S + LATE_WINDOW_S) + 600)
        others.cancel()
        await self._peace()

    async def _begin(self) -> None:
        """Make what the scenario starts from."""
        model, scenario = self.model, self.scenario
        self._put_behind()
        fs = self._open()
        if scenario.init is not None:
            await fs._write(PATH, model.remember(scenario.init))
            await asyncio.sleep(LATE_WINDOW_S + 1)
            await repair_all(fs.store)
        else:
            await fs._exists("nothing")
        if scenario.newer is not None:
            await self._write_without_the_last(fs, scenario.newer)
            await self._grow_quiet()
        await fs._close()
        self._ready = [self._open() for _ in scenario.programs]
        self._skews_s = [model.skews.choice(SKEWS_S) for _ in scenario.programs]
        for ready, skew_s in zip(self._ready, self._skews_s, strict=True):
            context = contextvars.copy_context()
            context.run(SKEW_S.set, skew_s)
            await model.loop.create_task(_warm_up(ready), context=context)
        for program in scenario.programs:
            if program[0] in WRITES:
                model.remember(program[1].encode())

    def _put_behind(self) -> None:
        """Let others have put there what no catalog knows."""
        model, scenario = self.model, self.scenario
        for name, data in zip(model.names, scenario.lying, strict=True):
            if data is not None:
                model.disks[name].set(PATH, model.remember(data), Headers())
                model.foreign.append((name, data))
        if not scenario.complete and scenario.lying == (None, None):
            model.disks[model.names[0]].set("elsewhere", b"before", Headers())
        first = next((data for data in scenario.lying if data is not None), None)
        for path in model.paths:
            model.truths[path].append((0.0, first if path == PATH else None))

    async def _write_without_the_last(self, fs: rs.ResilientFileSystem, data: bytes) -> None:
        model = self.model
        model.down_until_s[model.names[-1]] = math.inf
        await fs._write(PATH, model.remember(data))
        await asyncio.gather(*fs.store.tails)
        model.down_until_s[model.names[-1]] = 0.0

    async def _grow_quiet(self) -> None:
        others = self.model.loop.create_task(self._all_along())
        await asyncio.sleep(LEASE_S + LATE_WINDOW_S + 1)
        others.cancel()

    async def _others(self) -> None:
        """Be the rest of the application: it notes, all along, which backends answer."""
        model = self.model

        def note(state: StoreState | None, now_s: float) -> StoreState:
            assert state is not None
            up = [n for n in model.names if now_s >= model.down_until_s[n]]
            rows = {n: answered(state.backend(n), now_s, LATE_WINDOW_S) for n in up}
            return attrs.evolve(state, backends={**state.backends, **rows})

        while model.chance.random() < 0.99:
            model.database.change_state(note)
            await asyncio.sleep(LATE_WINDOW_S / 10)

    async def _all_along(self) -> None:
        while True:
            await self._others()

    async def _accidents(self) -> None:
        """Let backends go down and come back, bytes rot, and strangers write."""
        model = self.model
        began_s = model.loop.true_s()
        if model.budget.get("regress"):
            await asyncio.sleep(140.0)
        for _ in range(40):
            await asyncio.sleep(model.chance.choice([0.001, 0.02, 0.3, 4.0]))
            name = model.chance.choice(model.names)
            disk = model.disks[name]
            if model.spend("down", 0.1):
                seconds = model.chance.choice([0.5, 10.0, 60.0])
                model.say(f"backend {name} is down for {seconds:g} s")
                model.down_until_s[name] = model.loop.true_s() + seconds
            if model.loop.true_s() - began_s > 130.0 and model.spend("regress", 0.5):
                self._go_back(name)
            if PATH in disk.objects and model.spend("rot", 0.1):
                model.say(f"bytes rot @{name}")
                model.excused.add(name)
                disk.set(PATH, b"#", Headers())
            if model.spend("foreign", 0.1):
                data = f"F{name}".encode()
                model.say(f"somebody else writes @{name}")
                model.excused.add(name)
                disk.set(PATH, data, Headers())
                model.foreign.append((name, data))

    def _go_back(self, name: str) -> None:
        """Let a backend return with all that it held when the programs began."""
        model = self.model
        model.say(f"backend {name} is back with an older state")
        model.excused.add(name)
        disk = model.disks[name]
        disk.objects = dict(self._before[name])
        model.gone_back.append(name)

    # The programs

    async def _program(self, process: Process, program: Program, start_s: float) -> None:
        await asyncio.sleep(start_s)
        PROCESS.set(process)
        SKEW_S.set(self._skews_s[process.number])
        model = self.model
        fs = self._ready[process.number]
        verb, *rest = program
        started_s = model.loop.true_s()
        calls = {
            "write": lambda: fs._write(PATH, rest[0].encode()),
            "stream": lambda: self._stream(fs, rest[0].encode()),
            "delete": lambda: fs._rm_file(PATH),
            "move": lambda: fs._mv_file(PATH, OTHER),
            "read": lambda: fs._cat_file(PATH),
            "open": lambda: self._read_by_pieces(fs),
            "repair": lambda: self._repair(fs),
            "adopt": lambda: adopt_all(fs.store),
        }
        value: Any = None
        error: Exception | None = None
        try:
            value = await calls[verb]()
        except Exception as raised:  # noqa: BLE001 - judged below
            error = raised
        if process.dead:
            return
        model.say(f"=> {type(error).__name__ if error else value!r}"[:150])
        judge.a_call(model, self.scenario, program, judge.End(started_s, value, error))

    async def _stream(self, fs: rs.ResilientFileSystem, data: bytes) -> None:
        async with await fs.open_async(PATH, "wb") as file:
            for at in range(len(data)):
                await file.write(data[at : at + 1])

    async def _read_by_pieces(self, fs: rs.ResilientFileSystem) -> bytes:
        async with await fs.open_async(PATH) as file:
            return b"".join([await file.read(1), await file.read(1), await file.read()])

    async def _repair(self, fs: rs.ResilientFileSystem) -> None:
        await repair_all(fs.store)
        await sweep_all(fs.store, 0.0)

    # When faults have stopped

    async def _peace(self) -> None:
        """Late requests land, repair runs until nothing is left; then all must be as it should."""
        model = self.model
        model.quiet_world = True
        model.down_until_s = dict.fromkeys(model.names, 0.0)
        for late in list(model.lates):
            model.land(late)
        fs = self._open()
        report = None
        await prepare(fs.store)
        for name in model.gone_back:  # somebody has looked at it, and says so
            await rejoin_one(fs.store, name)
        for turn in range(1, PEACE_ROUNDS + 1):
            await asyncio.sleep(LATE_WINDOW_S * 0.4)
            try:
                await scrub(model, fs, (PATH,))
                report = await repair_all(fs.store)
                await sweep_all(fs.store, 0.0)
            except CatalogUnavailableError as error:
                model.fail(f"P7: {error}")
                return
            if report.done and turn >= self.rounds_at_least:
                break
        if report is not None and not report.done:
            model.fail(f"P7: repair does not come to an end: {report}")
        judge.the_end(model, self.scenario)
        for path in model.paths:
            if not model.broken:
                await self._judge_last_read(fs, path)
        await fs._close()

    async def _judge_last_read(self, fs: rs.ResilientFileSystem, path: str) -> None:
        model = self.model
        started_s = model.loop.true_s()
        try:
            value, error = await fs._cat_file(path), None
        except (ObjectError, FileNotFoundError) as raised:
            value, error = None, raised
        judge.a_read(model, model.window(started_s, model.loop.true_s(), path), value, error)


class Awaited(rs.ResilientFileSystem):
    """A store without the methods that block, which fsspec makes anew for each that is opened."""

    mirror_sync_methods = False


def opened(model: Model) -> rs.ResilientFileSystem:
    """Open the store, as each process does."""
    backends = [
        rs.Backend(
            model.disks[name].filesystem,
            name=name,
            domain=model.domains[name],
            timeout=TIMEOUT_S,
            max_concurrency=model.places,
        )
        for name in model.configured
    ]
    return Awaited(
        backends,
        catalog=model.database,
        write=rs.WriteToAll(min_copies=model.min_copies, min_domains=model.min_domains),
        lease=LEASE_S,
        late_window=LATE_WINDOW_S,
        lock_timeout=LEASE_S + 10,
        degraded=model.degraded,
        asynchronous=True,
        loop=model.loop,
    )


def bury(
    model: Model, processes: Sequence[Process], stores: Sequence[rs.ResilientFileSystem]
) -> None:
    """Let the tasks of dead processes end, where they can do no harm any more."""
    model.over = True
    for process in processes:
        process.dead, process.paused_until_s = False, 0.0
        for handle in process.left:
            model.loop.call_soon(handle._run)
    for task in model.loop.tasks_left():
        task.cancel()
    model.loop.run_for(100.0)
    model.over = False
    for fs in stores:
        model.loop.run_until_complete(fs._close())


async def scrub(model: Model, fs: rs.ResilientFileSystem, paths: Sequence[str]) -> None:
    """Read every replica once, so that what rotted is known."""
    for name in model.names:
        for other in model.names:
            if other != name:
                model.down_until_s[other] = model.loop.true_s() + 1.0
        for path in paths:
            with contextlib.suppress(OSError, ObjectError):
                await fs._cat_file(path)
        await asyncio.sleep(1.5)


async def _warm_up(fs: rs.ResilientFileSystem) -> None:
    """Ask what a process asks once."""
    await fs._exists("nothing")
    for client in fs.store.clients.values():
        await client.open()


def play(name: str, seed: int) -> Model:
    """Play a scenario by a seed."""
    return Play(SCENARIOS[name], seed).run()


def main(arguments: list[str] | None = None) -> int:
    """Play one seed of a scenario and print what happened; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.run")
    parser.add_argument("name", choices=SCENARIOS, metavar="NAME", help="one of the scenarios")
    parser.add_argument("--seed", type=int, default=0, help="which of its runs")
    given = parser.parse_args(arguments)
    model = play(given.name, given.seed)
    print("\n".join([*model.trace, *model.broken]))
    print(f"{given.name}, seed {given.seed}: {len(model.broken)} promises were broken")
    return int(bool(model.broken))


if __name__ == "__main__":
    logging.getLogger("resilient_store").setLevel(logging.CRITICAL)  # a run meets every warning
    sys.exit(main())
