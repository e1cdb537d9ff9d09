"""When a late request can no longer land: busy keys, quiet keys, and breaks in the answers."""

from __future__ import annotations

import attrs

from resilient_store.model.state import BackendRow, Replica

# How much of the late window may pass without an answer before it counts as a break, and how
# often an answer is written down. A shorter silence is none: what was queued in it was carried
# out before the next answer, within Z. (With half of the window, a repair that is run every ten
# minutes would prolong one break for ever.)
BREAK_SHARE = 1.0
NOTED_SHARE = 0.125
AHEAD_S = 600.0  # a look is judged by answers that came since, of no more than that later


def is_quiet(row: Replica, backend: BackendRow, now_s: float, late_window_s: float) -> bool:
    """Say whether no request that could change this own key can still be under way.

    A server that hung carries out what was queued when it wakes, so the late window counts only
    while the backend has answered: what was sent within Z of a break is waited for until Z after
    its end.

    Notes
    -----
    Rules: "busy / quiet", R2.
    """
    if row.busy_until_s <= 0:
        return True
    if now_s < row.busy_until_s or _is_ahead(backend, now_s, late_window_s):
        return False
    silent = now_s - backend.answered_s >= BREAK_SHARE * late_window_s
    if silent and row.busy_until_s >= backend.answered_s:
        return False  # nobody knows that it has answered since
    if now_s < backend.back_s:
        return False  # asked of the past: breaks before the last one may be forgotten
    if backend.away_from_s <= 0 or row.busy_until_s < backend.away_from_s:
        return True
    over_s = backend.back_s + late_window_s
    # It woke, and was seen to hang again too soon.
    prolonged = backend.failed_s > backend.answered_s and backend.answered_s < over_s
    return backend.back_s > 0 and now_s >= over_s and not prolonged


def failed(backend: BackendRow, now_s: float) -> BackendRow:
    """Return a backend's row after it was seen not to answer; once is enough in each break."""
    if backend.failed_s > backend.answered_s:
        return backend
    return attrs.evolve(backend, failed_s=now_s)


def answered(backend: BackendRow, now_s: float, late_window_s: float) -> BackendRow:
    """Return a backend's row after it has answered; the same row where nothing is worth noting.

    Nobody asked for a while: that is a break, too, for what was sent before. But two answers
    with more than Z between them, and no failure, show that it was well when the first came,
    and has had its time; else a repair that is run once in an hour would never see a quiet key.
    """
    if _is_ahead(backend, now_s, late_window_s):
        return attrs.evolve(
            backend,
            answered_s=now_s,
            failed_s=min(now_s, backend.failed_s),
            away_from_s=min(now_s, backend.away_from_s),
            back_s=min(now_s, backend.back_s),
        )
    silent_s = now_s - backend.answered_s
    if backend.answered_s > 0 and silent_s < NOTED_SHARE * late_window_s:
        return backend
    if backend.answered_s <= 0 or silent_s < BREAK_SHARE * late_window_s:
        return attrs.evolve(backend, answered_s=now_s)
    failed = backend.failed_s > backend.answered_s
    well_until_s = backend.answered_s if failed else now_s
    earlier_matters = backend.back_s > 0 and well_until_s < backend.back_s + late_window_s
    away_from_s = backend.away_from_s if earlier_matters else backend.answered_s
    return attrs.evolve(backend, answered_s=now_s, away_from_s=away_from_s, back_s=now_s)


def _is_ahead(backend: BackendRow, now_s: float, late_window_s: float) -> bool:
    return was_put_back(backend.answered_s, now_s, late_window_s)


def was_put_back(since_s: float, now_s: float, late_window_s: float) -> bool:
    """Say whether the clock was put back since a time: how long ago that was, is lost."""
    return since_s - now_s > max(AHEAD_S, late_window_s)
