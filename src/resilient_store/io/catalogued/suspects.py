"""Paths that a restore has to look at, on the local disk: there may be more than memory holds."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from typing import Self

Staged = list[tuple[str, str]]  # backends and tokens

_TABLES = (
    "CREATE TABLE suspects (path TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE staged (path TEXT, backend TEXT, token TEXT,"
    " PRIMARY KEY (path, backend, token)) WITHOUT ROWID;"
)
_NEXT = "SELECT path FROM suspects WHERE path > ? ORDER BY path LIMIT ?"
_STAGED = "SELECT path, backend, token FROM staged WHERE path > ? AND path <= ? ORDER BY 1, 2, 3"


class Suspects:
    """Paths to look at, and what is staged of them; the file ends with it, or with the process.

    Blocking calls, from any thread: one whose caller was cancelled may still be at work.
    """

    def __init__(self) -> None:
        # No name: a private file, of which some 2 MB are held in memory.
        self._lock = threading.Lock()
        self._file = sqlite3.connect("", check_same_thread=False)
        self._file.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._file.close()

    def add(self, paths: Iterable[str], staged: Iterable[tuple[str, str, str]] = ()) -> None:
        """Add paths, and what is staged: path, backend and token, each path suspect as well."""
        staged = list(staged)
        every = {*paths, *(path for path, _, _ in staged)}
        with self._lock:
            self._file.executemany("INSERT OR IGNORE INTO suspects VALUES (?)", zip(every))
            self._file.executemany("INSERT OR IGNORE INTO staged VALUES (?, ?, ?)", staged)

    def keep(self) -> None:
        """Keep what was added since the last word."""
        with self._lock:
            self._file.commit()

    def forget(self) -> None:
        """Forget what was added since the last word."""
        with self._lock:
            self._file.rollback()

    def count(self) -> int:
        """Return how many paths there are."""
        with self._lock:
            ((count,),) = self._file.execute("SELECT count(*) FROM suspects")
        return int(count)

    def page(self, after: str, limit: int) -> dict[str, Staged]:
        """Return the next paths after one, in order, each with what is staged of it."""
        with self._lock:
            found: dict[str, Staged] = {p: [] for (p,) in self._file.execute(_NEXT, (after, limit))}
            for path, backend, token in self._file.execute(
                _STAGED, (after, max(found, default=""))
            ):
                found[path].append((backend, token))
        return found
