"""Memory as an object store has it: a key and one below it may both be there."""

from __future__ import annotations

from typing import Any

import attrs
from fsspec.implementations.memory import MemoryFile

from resilient_store.backends.contract import Family, Moves
from resilient_store.backends.families.memory import MemoryFamily
from resilient_store.model.info import ObjectInfo
from resilient_store.model.path import above
from resilient_store.testing.faulty import PrivateMemory


class FlatMemory(PrivateMemory):
    """Memory in which directories are only prefixes of keys, as on S3, GCS and Azure."""

    async def resilient_family(self, root: str) -> Family:
        """Be taken for what it is."""
        return FlatMemoryFamily(self, root)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Say what lies at a key: the object, if there is one, whatever lies below it."""
        path = self._strip_protocol(path)
        found = self.ls(path)[0] if path in self.store else super().info(path, **options)
        return dict(found)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Store an object, whatever lies above it."""
        path = self._strip_protocol(path)
        if mode == "create" and path in self.store:
            raise FileExistsError(path)
        MemoryFile(self, path, value).commit()


class FlatMemoryFamily(MemoryFamily):
    """The family of such a memory."""

    traits = attrs.evolve(MemoryFamily.traits, directories=False)

    def _require_place(self, key: str) -> None:
        """Take every key."""

    async def list(self, key: str, *, recursive: bool, moves: Moves) -> list[ObjectInfo]:
        """List one level, or everything below; where nothing lies below, the object itself."""
        start = f"{key}/" if key else ""
        places = (place.removeprefix(self._root).strip("/") for place in self._fs.store)
        objects = [place for place in places if place.startswith(start)]
        folders = {above_it for one in objects for above_it in above(one) if above_it > start}
        if not objects and key:
            return [self._info(key)]
        found = [
            *(self._info(name) for name in objects),
            *(ObjectInfo(key=name, directory=True) for name in sorted(folders)),
        ]
        deep = start.count("/")
        return [info for info in found if recursive or info.key.count("/") == deep]

    async def mkdir(self, key: str) -> None:
        """Do nothing: directories do not exist by themselves."""

    async def rmdir(self, key: str) -> None:
        """Do nothing: directories do not exist by themselves."""
