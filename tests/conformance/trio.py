"""A store over three backends, one of which can be taken away."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from fsspec.implementations.memory import MemoryFileSystem

import resilient_store as rs
from resilient_store.backends.health import Health

NAMES = ("first", "second", "third")


class Trio:
    """A store over three backends, of which the second can be taken away.

    Parameters
    ----------
    fs
        The store.
    lose, give_back
        Take the second backend away, and bring it back.
    """

    def __init__(
        self,
        fs: rs.ResilientFileSystem,
        lose: Callable[[], object],
        give_back: Callable[[], object],
    ) -> None:
        self.fs = fs
        self.lose_second = lose
        self._give_back = give_back

    def bring_back(self) -> None:
        """Bring it back."""
        self._give_back()
        for client in self.fs.store.clients.values():  # as if the probe had come at once
            client.health = Health(client.name, lambda _: None)


class DyingMemory(MemoryFileSystem):
    """Memory under a label, which refuses everything while the label is dead."""

    dead: ClassVar[set[str]] = set()
    cachable = False

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label
        self.store: dict[str, object] = {}
        self.pseudo_dirs = [""]


def _refusing(name: str) -> object:
    def call(self: DyingMemory, *arguments: object, **options: object) -> object:
        if self.label in self.dead:
            raise ConnectionRefusedError(f"{self.label} is dead")
        return getattr(MemoryFileSystem, name)(self, *arguments, **options)

    return call


for _name in ("info", "ls", "cat_file", "pipe_file", "rm_file", "rmdir", "makedirs", "cp_file"):
    setattr(DyingMemory, _name, _refusing(_name))


class WithOneDead:
    """Marks a suite whose test bodies run while the second backend is away.

    Attributes
    ----------
    changes
        Names of tests that change something, or True for all of them: each must end in a
        typed error.
    """

    changes: ClassVar[bool | tuple[str, ...]] = ()
