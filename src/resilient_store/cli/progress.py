"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from fsspec.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from resilient_store import runtime

EVERY_S = 10.0


class Lines(Callback):
    """Says how far it is every few seconds."""

    def __init__(self, console: Console, what: str) -> None:
        super().__init__()
        self._console, self._what = console, what
        self._said_s = runtime.steady_s()

    def call(self, *_: Any, **__: Any) -> None:
        """Say how far it is, unless that was said just now."""
        if runtime.steady_s() - self._said_s >= EVERY_S:
            self._said_s = runtime.steady_s()
            of = f" of {self.size}" if self.size else ""
            self._console.print(f"{self._what}: {self.value}{of}", markup=False)


class Bar(Callback):
    """Moves a bar of rich's."""

    def __init__(self, progress: Progress, what: str) -> None:
        super().__init__()
        self._progress = progress
        self._task = progress.add_task(what, total=None)

    def call(self, *_: Any, **__: Any) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=self.value, total=self.size)


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callback]:
    """Show progress while something is done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(console, what)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as shown:
        yield Bar(shown, what)
