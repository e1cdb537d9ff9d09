"""The part of the filesystem that works on many paths: listings, expansion, bulk calls.

fsspec's own versions turn an outage into an empty directory; none of these does. A certain
absence may be left out where fsspec leaves it out, an outage never.
"""

from __future__ import annotations

import functools
import posixpath
from collections.abc import AsyncIterator, Mapping, Sequence
from glob import has_magic
from typing import Any

from fsspec.asyn import AsyncFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.implementations.local import make_path_posix, trailing_sep
from fsspec.utils import other_paths

from resilient_store.errors import InvalidPathError
from resilient_store.io import verbs
from resilient_store.io.catalogued.listing import Listed
from resilient_store.io.copy import run_local
from resilient_store.io.delete import check_deletable
from resilient_store.io.drive import each
from resilient_store.io.together import by_depth, raise_together
from resilient_store.model.path import above, problem
from resilient_store.model.result import DetailedListing, Listing
from resilient_store.store import Store

AT_ONCE = 32  # as many places as a backend has by default; who waits for one loses time


class TreeFileSystem(AsyncFileSystem):
    """Listings, patterns, and calls over many paths."""

    store: Store

    async def _type(self, path: str) -> str | None:
        """Return what a path is, or None where it certainly is nothing; an outage raises."""
        try:
            return str((await self._info(path))["type"])
        except FileNotFoundError:
            return None

    async def _ls(
        self, path: str, detail: bool = True, *, partial: bool = False, **_: Any
    ) -> Listing:
        path = self._strip_protocol(path)
        if not detail:
            return await verbs.names(self.store, path, recursive=False, partial=partial)
        listed = await verbs.listing(self.store, path, recursive=False, partial=partial)
        return Listing(listed.entries.values(), listed.missing)

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        *,
        detail: bool = False,
        partial: bool = False,
        missing: list[str] | None = None,
        strange: list[str] | None = None,
        **_: Any,
    ) -> Listing | DetailedListing:
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)
        plain = not (detail or withdirs or maxdepth or missing is not None)
        try:
            if plain:
                return await verbs.names(self.store, path, recursive=True, partial=partial)
            listed = await verbs.listing(self.store, path, recursive=True, partial=partial)
        except FileNotFoundError:
            listed = Listed({}, absent=True)
        if missing is not None:
            missing += listed.missing
        if strange is not None:
            strange += listed.strange
        found = listed.entries
        if withdirs and path and not listed.absent and path not in found:
            found[path] = {"name": path, "size": 0, "type": "directory", "backend": None}
        depth = path.count("/") + 1 if path else 0
        kept = {
            name: info
            for name, info in sorted(found.items())
            if (withdirs or info["type"] == "file")
            and (maxdepth is None or name.count("/") < depth + maxdepth)
        }
        if detail:
            return DetailedListing(kept, listed.missing)
        return Listing(kept, listed.missing)

    async def _walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: Any = "omit",
        *,
        detail: bool = False,
        partial: bool = False,
        **_: Any,
    ) -> AsyncIterator[tuple[str, Any, Any]]:
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)
        try:
            found = await verbs.listing(self.store, path, recursive=False, partial=partial)
        except OSError as error:
            if callable(on_error):
                on_error(error)
            elif on_error == "raise" or not isinstance(error, FileNotFoundError):
                raise
            found = Listed({})
        kinds = found.parted(path)
        dirs, files = kinds if detail else [Listing(names, found.missing) for names in kinds]
        if topdown:
            yield path, dirs, files
        if maxdepth is None or maxdepth > 1:
            for name in list(dirs):
                below = f"{path}/{name}" if path else name
                async for step in self._walk(
                    below,
                    maxdepth and maxdepth - 1,
                    topdown,
                    on_error,
                    detail=detail,
                    partial=partial,
                ):
                    yield step
        if not topdown:
            yield path, dirs, files

    async def _glob(
        self, path: str, maxdepth: int | None = None, *, partial: bool = False, **kwargs: Any
    ) -> Listing | DetailedListing:
        detail = kwargs.pop("detail", False)
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        missing: list[str] = []  # filled by the `_find` that fsspec's version calls
        found = await super()._glob(
            path, maxdepth, detail=True, partial=partial, missing=missing, **kwargs
        )
        return DetailedListing(found, missing) if detail else Listing(found, missing)

    async def _du(
        self, path: str, total: bool = True, maxdepth: int | None = None, **kwargs: Any
    ) -> int | dict[str, int]:
        kwargs["withdirs"] = kwargs.get("withdirs", False)
        found: Any = await self._find(path, maxdepth, detail=True, **kwargs)
        sizes = {name: info["size"] or 0 for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    async def _expand_path(
        self,
        path: str | Sequence[str],
        recursive: bool = False,
        maxdepth: int | None = None,
        assume_literal: bool = False,
    ) -> list[str]:
        """Expand patterns; a path that exists as it is written is that path and no pattern."""
        found = await self._expand(path, recursive, maxdepth, assume_literal=assume_literal)
        return sorted(found)

    async def _expand(
        self,
        path: str | Sequence[str],
        recursive: bool,
        maxdepth: int | None,
        *,
        assume_literal: bool = False,
        whole: bool = True,
    ) -> dict[str, str | None]:
        """Expand patterns into paths and their types, where the expansion tells the type.

        With `whole`, keys below that no path leads to are an error: they would be left out.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        given = [path] if isinstance(path, str) else list(path)
        out: dict[str, str | None] = {}
        strange: list[str] = []
        for pattern in (self._strip_protocol(one) for one in given):
            depth, roots = maxdepth, {pattern: None}
            is_pattern = not assume_literal and has_magic(pattern)
            if is_pattern and not await self._exists(pattern):
                matches: Any = await self._glob(pattern, maxdepth=maxdepth, detail=True)
                out |= {name: info["type"] for name, info in matches.items()}
                depth, roots = None if maxdepth is None else maxdepth - 1, matches
            elif not recursive:
                out.setdefault(pattern, None)
            elif (kind := await self._type(pattern)) is not None:
                out[pattern] = kind
            for root in roots if recursive and depth != 0 else ():
                below: Any = await self._find(
                    root, depth, withdirs=True, detail=True, strange=strange
                )
                out |= {name: info["type"] for name, info in below.items()}
        if strange and whole:
            more = f" ({len(strange) - 1} more lie there)" if strange[1:] else ""
            note = (
                f"{problem(strange[0])}; others have put it there, and it would be left out{more}"
            )
            raise InvalidPathError(strange[0], note=note)
        if not out:
            raise FileNotFoundError(2, "no such object", str(given[0]) if given else "")
        return out

    async def _cat(
        self,
        path: str | Sequence[str],
        recursive: bool = False,
        on_error: str = "raise",
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Read many objects; with ``on_error="omit"`` only certain absences are left out."""
        kinds = await self._expand(path, recursive, None, whole=on_error == "raise")
        names = sorted(n for n, kind in kinds.items() if not recursive or kind != "directory")
        results = await each(
            [functools.partial(self._cat_file, name, **kwargs) for name in names],
            batch_size or AT_ONCE,
        )
        for result in results:
            fatal = not isinstance(result, FileNotFoundError) if on_error == "omit" else True
            if isinstance(result, Exception) and fatal and on_error != "return":
                raise result
        if isinstance(path, str) and names == [self._strip_protocol(path)]:
            return results[0]
        return {
            name: result
            for name, result in zip(names, results, strict=True)
            if on_error != "omit" or not isinstance(result, Exception)
        }

    async def _cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "raise",
        **kwargs: Any,
    ) -> list[bytes | Exception]:
        """Read ranges; unlike fsspec's, it raises by default: no error among the bytes."""
        if not isinstance(paths, list):
            raise TypeError("paths is a list")
        starts = list(starts) if isinstance(starts, Sequence) else [starts] * len(paths)
        ends = list(ends) if isinstance(ends, Sequence) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("paths, starts and ends differ in length")
        calls = [
            functools.partial(self._cat_file, p, start=s, end=e, **kwargs)
            for p, s, e in zip(paths, starts, ends, strict=True)
        ]
        results = await each(calls, batch_size or AT_ONCE)
        for result in results:
            if isinstance(result, Exception) and on_error != "return":
                raise result
        return results

    async def _rm(
        self,
        path: str | Sequence[str],
        recursive: bool = False,
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **_: Any,
    ) -> None:
        """Delete; an error names every path that failed, and only those."""
        kinds = await self._expand(path, recursive, maxdepth)
        await self._remove(kinds, batch_size, folders=recursive, emptied=maxdepth is None)

    async def _remove(
        self,
        kinds: Mapping[str, str | None],
        batch_size: int | None,
        *,
        folders: bool,
        emptied: bool,
    ) -> None:
        """Delete objects, then the directories that this has emptied."""
        dirs = sorted((n for n, kind in kinds.items() if kind == "directory"), reverse=True)
        names = sorted(kinds.keys() - set(dirs)) if folders else sorted(kinds)
        calls = [functools.partial(verbs.delete, self.store, name) for name in names]
        raise_together(names, await each(calls, batch_size or AT_ONCE))
        for folder in dirs if folders and emptied else ():
            if folder:
                await verbs.remove_directory(self.store, folder)

    async def _copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        on_error: str | None = None,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy; raises by default what fsspec's would leave out of a recursive copy."""
        sources, targets, kinds = await self._pairs(path1, path2, recursive, maxdepth)
        await self._copy_pairs(sources, targets, kinds, on_error=on_error or "raise", **kwargs)

    async def _copy_pairs(
        self,
        sources: Sequence[str],
        targets: Sequence[str],
        kinds: Mapping[str, str | None],
        **kwargs: Any,
    ) -> None:
        """Make directories, which else may or may not be there when they are empty; then copy."""
        pairs = list(zip(sources, targets, strict=True))
        folders = [target for source, target in pairs if kinds[source] == "directory"]
        for names in by_depth(folders):
            calls = [functools.partial(self._makedirs, name, exist_ok=True) for name in names]
            raise_together(names, await each(calls, AT_ONCE))
        others = [pair for pair in pairs if kinds[pair[0]] != "directory"]
        await super()._copy([one for one, _ in others], [to for _, to in others], **kwargs)

    async def _mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **_: Any,
    ) -> None:
        """Move each object at one moment; without a catalog copy and delete. Never onto itself."""
        if self._strip_protocol(path1) == self._strip_protocol(path2):
            return
        sources, targets, kinds = await self._pairs(path1, path2, recursive, maxdepth)
        if not sources and not recursive and isinstance(path1, str):  # all it names is directories
            raise IsADirectoryError(21, "is a directory; recursive=True moves it", path1)
        for target in targets:
            if any(place in kinds for place in (target, *above(target))):
                raise InvalidPathError(target, note="it would be moved onto or into itself")
        if self.store.catalog is None:
            objects = [name for name in sources if kinds[name] != "directory"]
            checks = [functools.partial(check_deletable, self.store, name) for name in objects]
            raise_together(objects, await each(checks, batch_size or AT_ONCE))
            await self._copy_pairs(sources, targets, kinds, on_error="raise", batch_size=batch_size)
        else:
            pairs = [p for p in zip(sources, targets, strict=True) if kinds[p[0]] != "directory"]
            calls = [functools.partial(self._mv_file, *pair) for pair in pairs]
            raise_together([pair[0] for pair in pairs], await each(calls, batch_size or AT_ONCE))
            kinds = {name: kind for name, kind in kinds.items() if kind == "directory"}
        await self._remove(kinds, batch_size, folders=recursive, emptied=True)

    async def _get(self, rpath: Any, lpath: Any, recursive: bool = False, **kwargs: Any) -> None:
        is_one = isinstance(rpath, str) and not recursive and has_magic(rpath)
        if is_one and await self._exists(rpath):  # the name as it is written, not a pattern
            lpath = make_path_posix(lpath)
            if trailing_sep(lpath) or await run_local(lambda: posixpath.isdir(lpath)):
                lpath = posixpath.join(lpath, posixpath.basename(rpath))
            rpath, lpath = [self._strip_protocol(rpath)], [lpath]
        await super()._get(rpath, lpath, recursive=recursive, **kwargs)

    async def _put(self, lpath: Any, rpath: Any, recursive: bool = False, **kwargs: Any) -> None:
        is_one = isinstance(lpath, str) and not recursive and has_magic(lpath)
        if is_one and await run_local(lambda: posixpath.isfile(lpath)):
            if trailing_sep(rpath) or await self._isdir(rpath):
                rpath = posixpath.join(rpath, posixpath.basename(lpath))
            lpath, rpath = [lpath], [self._strip_protocol(rpath)]
        kwargs.setdefault("callback", DEFAULT_CALLBACK)
        await super()._put(lpath, rpath, recursive=recursive, **kwargs)

    async def _pairs(
        self, path1: Any, path2: Any, recursive: bool, maxdepth: int | None
    ) -> tuple[list[str], list[str], dict[str, str | None]]:
        """Say what goes where, as fsspec does, and what each source is.

        A path that exists as it is written is no pattern.
        """
        self._strip_protocol(path2)  # refused before anything is asked
        if isinstance(path1, list) and isinstance(path2, list):
            sources = self._strip_protocol(path1)
            return sources, self._strip_protocol(path2), dict.fromkeys(sources)
        is_one = isinstance(path1, str)
        is_pattern = is_one and has_magic(path1) and not await self._exists(path1)
        kinds = dict(sorted((await self._expand(path1, recursive, maxdepth)).items()))
        if is_one and (not recursive or maxdepth is not None):
            known = {name: kind or await self._type(name) for name, kind in kinds.items()}
            kinds = {name: kind for name, kind in known.items() if kind != "directory"}
        if not kinds:
            return [], [], {}
        into = isinstance(path2, str) and (trailing_sep(path2) or await self._isdir(path2))
        below = len(kinds) == 1 if is_pattern else is_one and into and not trailing_sep(path1)
        targets = other_paths(list(kinds), path2, exists=below, flatten=not is_one)
        return list(kinds), self._strip_protocol(targets), kinds
