"""What was true: what lay where in the course of a history, and what may be concluded from it."""

from __future__ import annotations

from resilient_store.testing.simulation.workload import Call, History
from resilient_store.testing.simulation.world import Change, Request

# How long after a fault a breaker may keep its backend out of use: the longest interval
# between two probes, and the probe.
AFTERMATH_S = 75.0
DEGRADED = {"originals": ("previews", "thumbs")}
OF_FAULTS = ("lost",)


class Truth:
    """Answers what an oracle asks about one history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.names = list(history.world.disks)
        self._disks = history.world.disks
        self._requests: dict[str, list[Request]] = {}
        for request in history.world.requests:
            self._requests.setdefault(request.call, []).append(request)
        keys = [key for disk in self._disks.values() for key in disk.history]
        self.paths = [key for key in dict.fromkeys(keys) if not key.startswith(".resilient")]

    def requests(self, call: Call) -> list[Request]:
        """Return what a call asked the disks, probes that it set off included."""
        return self._requests.get(call.name, [])

    def derivatives(self, path: str) -> tuple[str, ...]:
        """Return what may stand in for a path."""
        folder, _, name = path.partition("/")
        if not self.history.setup.rule:
            return ()
        return tuple(f"{other}/{name}" for other in DEGRADED.get(folder, ()))

    def bound_s(self, call: Call) -> float:
        """Return how long a call may take, at most."""
        count = len(self.names)
        size = len(call.facts.get("data") or b"") / 1e6
        timeout_s = self.history.setup.timeout_s + size + 9.5
        looked_for = 1 + len(self.derivatives(call.path))
        if call.kind in ("find", "delete"):
            return 3 * timeout_s
        if call.kind in ("write", "stream-write", "create"):
            return (8 + 3 * count) * timeout_s
        streamed = 3 if call.kind == "stream" else 1
        return looked_for * streamed * 2 * count * timeout_s

    # What lay where

    def values(self, name: str, path: str, call: Call) -> list[bytes | None]:
        """Return what a backend held in the course of a call."""
        return self._disks[name].held(path, call.started_s, call.ended_s)

    def held(self, name: str, path: str, at_s: float) -> bytes | None:
        """Return what a backend held at a moment."""
        return self._disks[name].held(path, at_s, at_s)[-1]

    def everything(self, path: str, call: Call, names: list[str] | None = None) -> list[bytes]:
        """Return all different bytes that these backends held in the course of a call."""
        found = [data for name in names or self.names for data in self.values(name, path, call)]
        return [data for data in dict.fromkeys(found) if data is not None]

    def ever_empty(self, path: str, call: Call) -> bool:
        """Say whether a backend held an empty object."""
        return b"" in self.everything(path, call)

    def may_look_blank(self, path: str, call: Call) -> bool:
        """Say whether a backend held an empty object, or lied that it did."""
        lied = any(
            request.fault == "blank" and request.key == path for request in self.requests(call)
        )
        return lied or self.ever_empty(path, call)

    def is_steady(self, call: Call) -> bool:
        """Say whether no backend changed, all that hold the path agree, and none lied."""
        values = [self.values(name, call.path, call) for name in self.names]
        lied = any(request.fault in ("blank", "cut") for request in self.requests(call))
        sure = [self.values(name, call.path, call) for name in self.history.setup.holds_all]
        agree = len(self.everything(call.path, call)) <= 1 and [None] not in sure
        return agree and not lied and all(len(one) == 1 for one in values)

    # What may be concluded

    def _said_absent(self, name: str, path: str, call: Call) -> bool:
        asked = any(
            request.disk == name and request.key == path and request.outcome == "FileNotFoundError"
            for request in self.requests(call)
        )
        return asked and None in self.values(name, path, call)

    def is_absent(self, path: str, call: Call) -> bool:
        """Say whether everybody, or one who holds everything, said "not found", and truly so."""
        sure = any(self._said_absent(n, path, call) for n in self.history.setup.holds_all)
        return sure or all(self._said_absent(name, path, call) for name in self.names)

    def is_lost(self, path: str, call: Call) -> bool:
        """Say whether everybody said "not found" or showed an empty object."""
        if self.is_absent(path, call):
            return True
        return all(
            self._said_absent(name, path, call) or self._looked_blank(name, path, call)
            for name in self.names
        )

    def _looked_blank(self, name: str, path: str, call: Call) -> bool:
        asked = [r for r in self.requests(call) if r.disk == name and r.key == path]
        lied = any(request.fault == "blank" for request in asked)
        return lied or (bool(asked) and b"" in self.values(name, path, call))

    def intact_bytes(self, call: Call) -> bytes | None:
        """Return bytes that a backend, well in all that time, held all the time; None: nobody."""
        holder = self.intact_holder(call)
        return None if holder is None else self.held(holder, call.path, call.ended_s)

    def intact_holder(self, call: Call) -> str | None:
        """Return who held the whole object all the time, well, while nobody could overrule it."""
        for name in self.history.setup.holds_all:
            if None in self.values(name, call.path, call):
                return None
        for name in self.names:
            values = self.values(name, call.path, call)
            if len(values) == 1 and values[0] and self.is_well(name, call):
                return name
        return None

    def is_well(self, name: str, call: Call) -> bool:
        """Say whether a backend had no fault in the course of a call."""
        return self._disks[name].is_well(call.started_s, call.ended_s)

    def nothing_was_wrong(self, call: Call) -> bool:
        """Say whether no backend had a fault, nor was still left alone because of one."""
        return all(
            disk.is_well(call.started_s - AFTERMATH_S, call.ended_s)
            for disk in self._disks.values()
        )

    def nothing_changed_it(self, call: Call) -> bool:
        """Say whether nothing was wrong, and no object at the path got lost meanwhile."""
        lost = any(
            change.cause in OF_FAULTS and call.started_s <= change.at_s <= call.ended_s
            for name in self.names
            for change in self._changes(name, call.path)
        )
        return not lost and self.nothing_was_wrong(call)

    def certainly_listed(self, path: str, call: Call) -> bool:
        """Say whether a listing must show a path: somebody held it all the time."""
        sure = self.history.setup.holds_all
        names = sure or self.names
        return any(None not in self.values(name, path, call) for name in names)

    # What became of a write

    def _changes(self, name: str, path: str) -> list[Change]:
        return self._disks[name].history.get(path, [])

    def was_destroyed(self, name: str, path: str, call: Call, data: bytes | None) -> bool:
        """Say whether a backend held this in the course of a call, and a fault changed it."""
        if data not in self.values(name, path, call):
            return False
        last = [change for change in self._changes(name, path) if change.at_s <= call.ended_s][-1]
        return last.cause in OF_FAULTS or last.call != call.name

    def appears_later(self, name: str, call: Call) -> bool:
        """Say whether a write's bytes come to lie at their path after it ended."""
        return any(
            change.at_s > call.ended_s
            and change.call == call.name
            and change.data == call.facts["data"]
            for change in self._changes(name, call.path)
        )

    def staged_by(self, call: Call) -> list[tuple[str, str]]:
        """Return what a write left in the store's own area and under way, backend by backend."""
        left = []
        for name, disk in self._disks.items():
            for key, held in disk.objects.items():
                if key.startswith(".resilient/") and held.call == call.name:
                    left.append((name, key))
            for key, owner in disk.uploads.values():
                if owner == call.name:
                    left.append((name, f"an upload to {key}"))
        return left
