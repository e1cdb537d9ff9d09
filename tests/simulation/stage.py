"""A store on simulated disks, as the tests of this folder set it up."""

from __future__ import annotations

import asyncio

import resilient_store as rs
from resilient_store.testing.simulation.loop import SimulatedLoop
from resilient_store.testing.simulation.world import CALL, Fault, World

FOR_EVER = 1e9


class Stage:
    """Disks named a, b, c ... that answer after `latency_s`, and a store over them."""

    def __init__(
        self, count=3, seed=1, latency_s=0.01, *, disk=None, backend=None, sure=False, **options
    ):
        self.loop = SimulatedLoop(seed)
        self.world = World(seed)
        self.disks = [
            self.world.disk(name, latency_s=(latency_s, latency_s), **(disk or {}))
            for name in "abcdefgh"[:count]
        ]
        self.states = []
        self.fs = rs.ResilientFileSystem(
            [
                rs.Backend(
                    d.filesystem,
                    name=d.name,
                    domain=d.name,
                    holds_all=sure and d is self.disks[0],
                    **(backend or {}),
                )
                for d in self.disks
            ],
            asynchronous=True,
            on_backend_state=lambda state: self.states.append((self.loop.time(), state)),
            **options,
        )

    def run(self, call):
        return self.loop.run_until_complete(call)

    def break_disk(self, index, kind, seconds=FOR_EVER, **options):
        now_s = self.loop.time()
        self.disks[index].faults.append(Fault(now_s, now_s + seconds, kind, **options))

    def repair_disk(self, index):
        self.disks[index].faults.clear()

    def health(self, index):
        return self.fs.store.clients[self.disks[index].name].health

    def breaker(self, index, kind="read"):
        return self.health(index).statistics()[kind]

    def held(self, path):
        return [d.objects[path].data if path in d.objects else None for d in self.disks]

    def requests(self, index, since=0, verbs=("info", "get")):
        name = self.disks[index].name
        found = self.world.requests[since:]
        return [r for r in found if r.disk == name and r.verb in verbs]

    def staged(self):
        keys = [key for d in self.disks for key in d.objects if key.startswith(".resilient")]
        return keys + [key for d in self.disks for key, _ in d.uploads.values()]

    async def timed(self, call):
        """Return how long a call took, and what it brought: its value or its error."""
        start_s = self.loop.time()
        try:
            value = await call
        except Exception as error:  # noqa: BLE001 - the test looks at it
            value = error
        return self.loop.time() - start_s, value

    async def together(self, calls):
        tasks = [self.loop.create_task(call) for call in calls]
        await asyncio.wait(tasks)
        return [task.result() for task in tasks]

    def close(self):
        """Close the store: nothing may be left of it."""
        self.run(self.fs._close())
        assert [task.get_name() for task in self.loop.tasks_left()] == []
        assert self.loop.complaints == [], self.loop.complaints


__all__ = ["CALL", "FOR_EVER", "Fault", "Stage"]
