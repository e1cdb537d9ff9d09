"""Listings from a catalog: whole where it knows all paths, else united with the backends."""

from __future__ import annotations

import functools
import operator
import posixpath
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from typing import Any, TypeVar

import attrs

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError, Summary
from resilient_store.errors import BackendsUnavailableError, OriginalMissingError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.objects import described, known, listed
from resilient_store.io.drive import each
from resilient_store.io.entries import entry
from resilient_store.io.listing import list_union
from resilient_store.model.outcome import Outcome
from resilient_store.model.path import above
from resilient_store.model.result import DetailedListing, Listing
from resilient_store.model.state import Record
from resilient_store.protocol.listing import Merged, best
from resilient_store.store import Store

PAGE = 1000
LONG_PAGE = 10_000
LOOK_UP_AT_ONCE = 16
_LAST = "\U0010ffff"  # after every character that a path may hold

T = TypeVar("T")
Ask = Callable[[str, int], Awaitable[list[T]]]


@attrs.frozen
class Listed:
    """What lies under a path.

    Attributes
    ----------
    entries
        Name to entry.
    missing
        Who could not be asked.
    absent
        Whether it is certain that there is no such directory.
    strange
        Keys that are no paths.
    twofold
        Names of objects, in a listing of one level, that are directories too.
    """

    entries: dict[str, dict[str, Any]]
    missing: tuple[str, ...] = ()
    absent: bool = False
    strange: tuple[str, ...] = ()
    twofold: Collection[str] = ()

    def parted(self, path: str) -> tuple[DetailedListing, DetailedListing]:
        """Return the directories and the objects of one level, by their last names."""
        dirs, files = {}, {}
        for full, one in self.entries.items():
            name = posixpath.basename(full) if full != path else ""
            if one["type"] != "directory":
                files[name] = one
            if one["type"] == "directory" or full in self.twofold:
                dirs[name] = directory(full)
        return DetailedListing(dirs, self.missing), DetailedListing(files, self.missing)


async def list_known(store: Store, path: str, *, recursive: bool, partial: bool) -> Listed:
    """List what lies under a path.

    Raises
    ------
    FileNotFoundError
        It is certain that there is no such directory.
    BackendsUnavailableError
        The catalog does not know all paths, a backend did not answer, and `partial` was not
        asked for.

    Notes
    -----
    Promises: P3, P5. Source: design, section 4.
    """
    try:
        in_catalog = await _from_catalog(store, path, recursive=recursive)
        found = in_catalog.entries
        if path and not found and (itself := await _itself(store, path)):
            return await _itself_or_below(store, path, itself, recursive=recursive)
        if not store.knows_all(await store.known.state()):
            return await _united(store, path, in_catalog, recursive=recursive, partial=partial)
        if found or not path:
            return in_catalog
    except CatalogDownError as error:
        raise unavailable(path, error) from None
    raise FileNotFoundError(2, "no such directory", path)


async def _itself(store: Store, path: str) -> dict[str, dict[str, Any]]:
    """Describe the object at a path; of those that the path begins, its own comes first."""
    page = await store.known.page(path, "", 1)
    return {_path_of(one): listed(one) for one in page if _path_of(one) == path}


async def _itself_or_below(
    store: Store, path: str, itself: dict[str, dict[str, Any]], *, recursive: bool
) -> Listed:
    """List an object, or what only backends know to lie below it; who is away hides no object."""
    if store.knows_all(await store.known.state()):
        return Listed(itself)
    try:
        below = await _united(store, path, Listed(itself), recursive=recursive, partial=True)
    except BackendsUnavailableError:
        return Listed(itself, tuple(store.clients))
    others = {name: one for name, one in below.entries.items() if name != path}
    return attrs.evolve(below, entries=others or itself)


async def names_known(store: Store, path: str, *, recursive: bool, partial: bool) -> Listing:
    """Return the names of what lies under a path; raises as `list_known` does.

    Directories are among them only where one level is asked for.
    """
    if store.knows_all(store.known.seen):
        found = await _names_from_catalog(store, path, recursive=recursive)
        if found is not None:
            return Listing(found)
    listed = await list_known(store, path, recursive=recursive, partial=partial)
    return names_in(listed, recursive=recursive)


def names_in(found: Listed, *, recursive: bool) -> Listing:
    """Return the names in a listing, in order where they are of more than one level."""
    if not recursive:
        return Listing(found.entries, found.missing)
    names = (name for name, one in found.entries.items() if one["type"] == "file")
    return Listing(sorted(names), found.missing)


async def _names_from_catalog(store: Store, path: str, *, recursive: bool) -> list[str] | None:
    """Return the names, in order; None where the catalog alone cannot tell."""
    prefix = f"{path}/" if path else ""
    ask = functools.partial(store.known.names, prefix)
    try:
        if recursive:
            found = [name async for page in _pages(ask, str) for name in page]
        else:
            found = list((await _one_level(ask, prefix, str))[0])
        if path and not found:
            return await store.known.present([path]) or None
        return found if store.knows_all(await store.known.state()) else None
    except CatalogDownError as error:
        raise unavailable(path, error) from None


async def _from_catalog(store: Store, path: str, *, recursive: bool) -> Listed:
    prefix = f"{path}/" if path else ""
    ask = functools.partial(store.known.page, prefix)
    if not recursive:
        level, twofold = await _one_level(ask, prefix, _path_of)
        entries = {n: directory(n) if one is None else listed(one) for n, one in level.items()}
        return Listed(entries, twofold=twofold)
    found = {one.path: listed(one) async for page in _pages(ask, _path_of) for one in page}
    _add_directories(found, path)
    return Listed(found)


_path_of: Callable[[Summary], str] = operator.itemgetter(0)


async def _pages(ask: Ask[T], path_of: Callable[[T], str]) -> AsyncIterator[list[T]]:
    """Read everything, page by page."""
    after, limit = "", runtime.page(PAGE)
    while page := await ask(after, limit):
        yield page
        if len(page) < limit:
            return
        after, limit = path_of(page[-1]), runtime.page(LONG_PAGE)


async def _one_level(
    ask: Ask[T], prefix: str, path_of: Callable[[T], str]
) -> tuple[dict[str, T | None], set[str]]:
    """List one level, and say which objects on it are folders too.

    A folder, None, costs one step, however much is in it.
    """
    found: dict[str, T | None] = {}
    twofold: set[str] = set()
    after, limit = "", runtime.page(PAGE) + 1
    while page := await ask(after, limit):
        for one in page:
            after = path_of(one)
            name, slash, _ = after[len(prefix) :].partition("/")
            if not slash:
                found[after] = one
            elif found.setdefault(prefix + name, None) is not None:
                twofold.add(prefix + name)
        if len(page) < limit:
            return found, twofold
        name, slash, _ = after[len(prefix) :].partition("/")
        if slash:
            after = max(after, f"{prefix}{name}/{_LAST}")
    return found, twofold


def directory(path: str) -> dict[str, Any]:
    """Describe a directory: a prefix that has something under it."""
    return {"name": path, "size": 0, "type": "directory", "backend": None}


def _add_directories(found: dict[str, dict[str, Any]], path: str) -> None:
    depth = len(path)
    names = {folder for name in found for folder in _folders(name) if len(folder) > depth}
    for name in names:
        found.setdefault(name, directory(name))


@functools.lru_cache(maxsize=4096)
def _folders_of(folder: str) -> tuple[str, ...]:
    return (folder, *above(folder))


def _folders(name: str) -> tuple[str, ...]:
    folder = name.rpartition("/")[0]
    return _folders_of(folder) if folder else ()


async def _united(
    store: Store, path: str, in_catalog: Listed, *, recursive: bool, partial: bool
) -> Listed:
    """Unite what the catalog knows with what backends list, less what it knows to be gone."""
    try:
        merged = await list_union(store, path, recursive=recursive, partial=partial)
    except FileNotFoundError:
        if in_catalog.entries:
            return in_catalog
        raise
    found = {n: one for n, one in in_catalog.entries.items() if one["type"] != "directory"}
    hidden = await store.known.hidden(f"{path}/" if path else "")
    believed = {
        key: {name: info for name, info in words.items() if not store.came_back(name)}
        for key, words in merged.entries.items()
        if key and key not in found
    }
    shown = {key: best(words) for key, words in believed.items() if words}
    hidden.add(path)  # what lies at the path itself is told as any reader tells it
    doubtful = [key for key, (_, info) in shown.items() if key in hidden and not info.directory]
    told = await _looked_up(store, doubtful, partial=partial)
    entries = {key: entry(key, *word) for key, word in shown.items() if key not in doubtful}
    entries |= told.entries
    if not recursive:
        beside = (key for key in merged.twofold if believed.get(key) and key not in entries)
        entries |= {key: directory(key) for key in beside}
    folders = {folder for key in (*found, *entries) for folder in _folders(key)}
    kept = {
        name: info
        for name, info in entries.items()
        if info["type"] != "directory" or not recursive or name in folders
    }
    both = {**in_catalog.entries, **kept, **found}
    if path in doubtful and not both:
        raise FileNotFoundError(2, "no such file or directory", path)
    missing = tuple(dict.fromkeys((*merged.missing, *told.missing)))
    return Listed(
        entries=dict(sorted(both.items())),
        missing=missing,
        strange=merged.strange,
        twofold={*merged.twofold, *in_catalog.twofold, *_of_two_kinds(in_catalog, merged)},
    )


def _of_two_kinds(in_catalog: Listed, merged: Merged) -> Iterator[str]:
    """Find what the catalog calls an object and a backend a directory, or the other way round."""
    for key, words in merged.entries.items():
        if (one := in_catalog.entries.get(key)) is not None:
            is_folder = one["type"] == "directory"
            if any(info.directory != is_folder for info in words.values()):
                yield key


async def _looked_up(store: Store, paths: list[str], *, partial: bool) -> Listed:
    """Look each path up at which a backend shows what a change may have left, or an object (R14).

    Somebody's change is under way there, or has failed, or deleted the object: what lies there is
    told from an object in the same way as by whoever reads it.
    """
    entries, missing = {}, []
    calls = [functools.partial(known, store, path) for path in paths]
    for path, one in zip(paths, await each(calls, LOOK_UP_AT_ONCE), strict=True):
        if isinstance(one, Record):
            entries[path] = described(one)
        elif isinstance(one, BackendsUnavailableError) and partial:
            missing += [r.backend for r in one.replies if r.outcome is not Outcome.NOT_FOUND]
        elif not isinstance(one, (FileNotFoundError, IsADirectoryError, OriginalMissingError)):
            raise one
    return Listed(entries, tuple(missing))
