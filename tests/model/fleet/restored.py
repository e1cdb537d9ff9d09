"""What a restore may bring back, and what it must not lose: from the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from resilient_store.operations.restore import RestoreReport
from tests.model.fleet.judges import Called
from tests.model.fleet.plan import CHANGES
from tests.model.fleet.world import FleetModel
from tests.model.world import shown


@attrs.frozen
class Before:
    """What was true when the catalog was lost.

    Attributes
    ----------
    truth
        Path to its object; None: there is none.
    lying
        Path to what lay at its own keys, or staged for it, and on which backends.
    unsettled
        Paths that somebody changed, or tried to, since the snapshot.
    """

    truth: dict[str, bytes | None]
    lying: dict[str, dict[bytes, set[str]]]
    unsettled: frozenset[str]

    @classmethod
    def of(cls, model: FleetModel, calls: Iterable[Called]) -> Before:
        """Note it."""
        changed = [
            path
            for call in calls
            if call.step.verb in CHANGES and call.ended_s >= model.snapshot_s
            for path in call.paths
        ]
        return cls(
            truth={path: model.now(model.record(path)) for path in model.paths},
            lying={path: model.lying(path) for path in model.paths},
            unsettled=frozenset(changed),
        )

    def judge(self, model: FleetModel, report: RestoreReport) -> Iterator[str]:
        """Return what a restore has lost or brought back, and must not; note what it may."""
        away = (model.away,) if model.away else ()
        if report.failed or report.away != away or report.complete is bool(away):
            yield f"P1: all is well, and a restore comes to {report}"
        if model.away:  # what it held alone is found by and by, and nobody can say what it is
            objects = model.disks[model.away].objects
            model.unsure |= {one.data for one in objects.values()} - {*self.truth.values()}
            model.unheard = {key: {one.data} for key, one in objects.items()}
        for path in self.truth:  # what no label says is known of what the snapshot knew, alone
            record = model.record(path)
            if record.entry is not None and record.entry.derived_from is None:
                model.origins.pop(model.now(record) or b"", None)
        for path in self.truth:
            now = None if path in report.vanished else model.now(model.record(path))
            yield from self._a_path(model, report, path, now)

    def _a_path(
        self, model: FleetModel, report: RestoreReport, path: str, now: bytes | None
    ) -> Iterator[str]:
        truth, lying = self.truth[path], self.lying[path]
        if now == truth:
            return
        holders = set() if now is None else lying.get(now, set())
        silent = {model.away} - {""}  # who does not answer may hold it as well
        is_newer = path in self.unsettled and model.is_enough(holders | silent)
        if truth is None and path not in self.unsettled:
            yield f"P3: {shown(now)} was deleted before the snapshot, and is back"
        if truth is None and not holders:
            yield f"P3: {shown(now)} is back, and lay nowhere"
        if truth is not None and truth in lying and not is_newer:
            yield f"P1: {shown(truth)} is {shown(now)} on {holders} after a restore"
        if now is None:
            return
        model.unsure.add(now)
        # Of what the snapshot knew, who is away holds what it held: so the report says.
        was_known = now in [one for when_s, one in model.truths[path] if when_s <= model.snapshot_s]
        held = holders | silent if was_known else holders
        if not model.is_enough(held) and path not in (*report.doubtful, *report.partly):
            yield f"P8: {path} is {shown(now)} on {held}, and nobody is told"
