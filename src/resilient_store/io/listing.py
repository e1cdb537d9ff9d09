"""Listings: the union of the backends, whole or refused; shorter only when the caller says so."""

from __future__ import annotations

import logging

import attrs

from resilient_store import runtime
from resilient_store.errors import BackendsUnavailableError
from resilient_store.io.drive import drive
from resilient_store.io.read import candidates
from resilient_store.model.outcome import Outcome
from resilient_store.model.path import is_hidden, problem
from resilient_store.protocol.listing import ListMachine, Merged, merge
from resilient_store.store import Store

logger = logging.getLogger("resilient_store")


async def list_union(store: Store, path: str, *, recursive: bool, partial: bool) -> Merged:
    """List what all backends hold under a path.

    Parameters
    ----------
    store, path
        What to list.
    recursive
        Everything below, or one level.
    partial
        Whether backends that do not answer may be left out, named in ``missing``.

    Raises
    ------
    FileNotFoundError
        It is certain that there is no such directory.
    BackendsUnavailableError
        A backend did not answer, and `partial` was not asked for; or none did.

    Notes
    -----
    Promises: P5.
    """
    machine = ListMachine(candidates(store, path), store.configuration.read.hedge_after, partial)
    replies = await drive(
        machine, lambda name: store.clients[name].list(path, recursive=recursive), store.signal
    )
    for name in machine.given_up(replies):
        health = store.clients[name].health
        health.record("read", Outcome.TIMED_OUT, runtime.now_s(), key=path, slow=True)
    merged = _of_paths(path, merge(tuple(store.clients), store.holds_all, replies))
    nobody = len(merged.missing) == len(store.clients)
    if nobody or (merged.missing and not partial):
        raise BackendsUnavailableError(
            path,
            replies.values(),
            "" if nobody else "Pass partial=True to list what the others hold",
        )
    if merged.absent and path:
        raise FileNotFoundError(2, "no such directory", path)
    return merged


def _of_paths(path: str, merged: Merged) -> Merged:
    """Leave out what is the store's own, and others' keys that are no paths.

    Under such a key another object would be read, or what lies outside of a disk's root.
    """
    entries = {key: words for key, words in merged.entries.items() if problem(key) is None}
    left_out = [key for key in merged.entries if key not in entries and not is_hidden(key)]
    objects = [k for k in left_out if not all(i.directory for i in merged.entries[k].values())]
    strange = tuple(objects or left_out)
    if strange:
        text = "listing %r: %d keys are left out that no object of a store may have, such as %r"
        logger.warning(text, path, len(strange), strange[0])
    return attrs.evolve(merged, entries=entries, strange=strange)
