"""Deleting without a catalog: ask every backend first, then delete; what is gone stays gone."""

from __future__ import annotations

from collections.abc import Mapping

from resilient_store.errors import BackendsUnavailableError
from resilient_store.io.drive import protected
from resilient_store.io.fanout import away_to_write, fan_out, left_alone, take_probes
from resilient_store.io.read import look
from resilient_store.model.info import ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.store import Store


async def look_everywhere(store: Store, path: str) -> dict[str, ObjectInfo | None]:
    """Ask every backend what it holds at a path.

    Raises
    ------
    BackendsUnavailableError
        One of them did not answer, so nothing may be changed.
    """
    others = [name for name in store.clients if name not in store.writable]
    if away := left_alone(store) or take_probes(store) or away_to_write(store, others):
        raise BackendsUnavailableError(path, away.values(), "Nothing was changed")
    replies = await fan_out(store, store.clients, lambda c: c.info(path, kind="write"))
    if not all(r.ok or r.outcome is Outcome.NOT_FOUND for r in replies.values()):
        raise BackendsUnavailableError(path, replies.values(), "Nothing was changed")
    return {name: reply.value for name, reply in replies.items()}


async def delete(store: Store, path: str) -> None:
    """Delete an object from every backend.

    Raises
    ------
    FileNotFoundError
        It is certain that there is no such object.
    OriginalMissingError
        It is lost: a derivative is left, which has to be deleted to forget it.
    IsADirectoryError
        The path is a directory.
    BackendsUnavailableError
        A backend did not answer, so nothing was deleted; or it failed in between, and the
        text names who still holds the object. Calling again completes it.

    Notes
    -----
    Source: design, section 4; a deletion cannot be undone.
    """
    found = await look_everywhere(store, path)
    holders = [name for name, info in found.items() if info is not None]
    if not holders:
        if store.derivatives(path):
            await look(store, path)  # says of a lost original that it is lost
        raise FileNotFoundError(2, "no such object", path)
    if any(info is not None and info.directory for info in found.values()):
        raise IsADirectoryError(21, "is a directory; use recursive=True or rmdir", path)
    refuse_read_only(store, path, found)
    replies = await protected(fan_out(store, holders, lambda client: client.delete(path)))
    left = [
        name
        for name, reply in replies.items()
        if not reply.ok and reply.outcome is not Outcome.NOT_FOUND
    ]
    if left:
        raise BackendsUnavailableError(
            path,
            replies.values(),
            f"{', '.join(left)} still holds it, or may; calling again completes the deletion",
        )


def refuse_read_only(store: Store, path: str, found: Mapping[str, ObjectInfo | None]) -> None:
    """Refuse to delete what would stay where nobody may delete it.

    Raises
    ------
    BackendsUnavailableError
        A backend that is read-only holds it.
    """
    detail = "it is read-only and holds the path"
    left = [
        Reply[None](name, Outcome.REFUSED, detail=detail)
        for name, info in found.items()
        if info is not None and not info.directory and store.clients[name].backend.read_only
    ]
    if left:
        raise BackendsUnavailableError(path, left, "Nothing was deleted")


async def check_deletable(store: Store, path: str) -> None:
    """Refuse to move what could not be deleted afterwards; raises as `delete` does."""
    if len(store.writable) < len(store.clients):
        refuse_read_only(store, path, await look_everywhere(store, path))


async def make_directory(store: Store, path: str) -> None:
    """Make a directory on every backend on which directories exist by themselves."""
    await _on_all(store, path, "mkdir")


async def remove_directory(store: Store, path: str) -> None:
    """Remove an empty directory from every backend that has it."""
    await _on_all(store, path, "rmdir")


async def _on_all(store: Store, path: str, verb: str) -> None:
    found = await look_everywhere(store, path)
    if any(info is not None and not info.directory for info in found.values()):
        raise NotADirectoryError(20, "not a directory", path)
    names = [n for n in store.writable if verb == "mkdir" or found[n] is not None]
    replies = await protected(fan_out(store, names, lambda client: getattr(client, verb)(path)))
    if not all(reply.ok for reply in replies.values()):
        raise BackendsUnavailableError(path, replies.values(), "Calling again completes it")
