"""Stores that each break one promise, and what the machine says of each."""

from __future__ import annotations

import contextlib

import attrs

import resilient_store as rs
from resilient_store.errors import BackendsUnavailableError
from resilient_store.io.delete import look_everywhere


class SaysAbsent(rs.ResilientFileSystem):
    """Reports an outage as absence."""

    async def _read(self, path, **options):
        try:
            return await super()._read(path, **options)
        except BackendsUnavailableError:
            raise FileNotFoundError(path) from None


class Blank(rs.ResilientFileSystem):
    """Hands out nothing, without an error."""

    async def _read(self, path, **options):
        try:
            return await super()._read(path, **options)
        except BackendsUnavailableError:
            return rs.ReadResult(data=b"", path=path, backend="aws")


class Unflagged(rs.ResilientFileSystem):
    """Hands out a preview as if it were the original."""

    async def _read(self, path, **options):
        result = await super()._read(path, **options)
        return rs.ReadResult(data=result.data, path=path, backend=result.backend)


class Boasts(rs.ResilientFileSystem):
    """Acknowledges what too few backends took."""

    async def _write(self, path, data, **options):
        try:
            return await super()._write(path, data, **options)
        except rs.InsufficientCopiesError:
            return rs.WriteReceipt(path=path, checksum="", size=len(data), copies=("aws",))


class GivesUp(rs.ResilientFileSystem):
    """Takes no writes when a single backend fails, whatever was asked for."""

    async def _write(self, path, data, **options):
        receipt = await super()._write(path, data, **options)
        if receipt.pending:
            raise BackendsUnavailableError(path, ())
        return receipt


class ListsNothing(rs.ResilientFileSystem):
    """Lists nothing where nothing can be listed."""

    async def _find(self, path, *args, **options):
        try:
            return await super()._find(path, *args, **options)
        except BackendsUnavailableError:
            return []


class Resurrects(rs.ResilientFileSystem):
    """Hands out what was deleted."""

    async def _rm_file(self, path, **options):
        self.kept = {path: await self._cat_file(path)}
        await super()._rm_file(path, **options)

    async def _read(self, path, **options):
        try:
            return await super()._read(path, **options)
        except FileNotFoundError:
            if path in getattr(self, "kept", ()):
                return rs.ReadResult(data=self.kept[path], path=path, backend="aws")
            raise


# What each claims, and does not keep


class ServesFromOne(rs.ResilientFileSystem):
    """Reads from the first backend only, whatever else holds the object."""

    async def _read(self, path, **options):
        result = await super()._read(path, **options)
        if result.backend != "aws":
            raise BackendsUnavailableError(path, ())
        return result


class Loses(rs.ResilientFileSystem):
    """Loses what it has acknowledged, and admits it."""

    async def _write(self, path, data, **options):
        receipt = await super()._write(path, data, **options)
        for backend in self.store.configuration.backends:
            backend.target.faults.lose(backend.name, path)
        return receipt


class NeverDegrades(rs.ResilientFileSystem):
    """Raises, where a preview could stand in."""

    async def _read(self, path, **options):
        return await super()._read(path, **{**options, "degraded": False})


class BringsTheSmallest(rs.ResilientFileSystem):
    """Hands out a thumbnail, where a preview could stand in."""

    async def _read(self, path, **options):
        result = await super()._read(path, **options)
        small = path.replace("originals/", "thumbs/")
        if not result.original_missing or not await self._exists(small):
            return result
        data = (await super()._read(small)).data
        return attrs.evolve(result, data=data, derivative=small)


class WritesAnyway(rs.ResilientFileSystem):
    """Acknowledges as on a good day what some backends did not take."""

    async def _write(self, path, data, **options):
        try:
            return await super()._write(path, data, **options)
        except rs.InsufficientCopiesError:
            return rs.WriteReceipt(
                path=path, checksum="", size=len(data), copies=tuple(self.store.clients)
            )


class CountsAnyCopy(rs.ResilientFileSystem):
    """Counts copies on backends that no placement names."""

    async def _write(self, path, data, **options):
        return attrs.evolve(
            await super()._write(path, data, **options), copies=tuple(self.store.clients)
        )


class SaysTaken(rs.ResilientFileSystem):
    """Refuses new paths as if they were taken."""

    async def _write(self, path, data, **options):
        await super()._write(path, data, **options)
        raise FileExistsError(path)


class DeletesOnGoodDays(rs.ResilientFileSystem):
    """Deletes only while every backend answers, though a catalog would remember who did not."""

    async def _rm_file(self, path, **options):
        await look_everywhere(self.store, path)
        await super()._rm_file(path, **options)


class DeletesAnyway(rs.ResilientFileSystem):
    """Acknowledges deletions of which nobody remembers who missed them."""

    async def _rm_file(self, path, **options):
        with contextlib.suppress(BackendsUnavailableError):
            await super()._rm_file(path, **options)


class DeletesNothing(rs.ResilientFileSystem):
    """Says that what is to be deleted is lost already."""

    async def _rm_file(self, path, **options):
        raise rs.OriginalMissingError(path)


class LooksNowhere(rs.ResilientFileSystem):
    """Never knows whether an object is there."""

    async def _exists(self, path, **options):
        raise BackendsUnavailableError(path, ())


class NeverLists(rs.ResilientFileSystem):
    """Never knows what is there."""

    async def _find(self, path, *args, **options):
        raise BackendsUnavailableError(path, ())


class Replaces(rs.ResilientFileSystem):
    """Writes once in name only: on a good day it replaces what is there."""

    async def _write(self, path, data, **options):
        stand_ins = [backend.target for backend in self.store.configuration.backends]
        try:
            return await super()._write(path, data, **options)
        except FileExistsError:
            if stand_ins[0].faults.active:
                raise
        for stand_in in stand_ins:
            stand_in.inner.pipe_file(f"/store/{path}", data)
        names = tuple(self.store.clients)
        return rs.WriteReceipt(path=path, checksum="", size=len(data), copies=names)


class ReplacesAndRefuses(Replaces):
    """Replaces what is there, and says that it is taken."""

    async def _write(self, path, data, **options):
        receipt = await super()._write(path, data, **options)
        if not receipt.checksum:
            raise FileExistsError(path)
        return receipt


class TakesNothing(rs.ResilientFileSystem):
    """Calls every path taken."""

    async def _write(self, path, data, **options):
        raise FileExistsError(path)


class ListsItsOwn(rs.ResilientFileSystem):
    """Lists what it keeps for itself."""

    async def _find(self, path, *args, **options):
        return [*await super()._find(path, *args, **options), ".resilient/store.json"]


class ListsWhatNeverWas(rs.ResilientFileSystem):
    """Lists a path that nobody ever wrote."""

    async def _find(self, path, *args, **options):
        return [*await super()._find(path, *args, **options), "never/written.jpg"]


LIARS = [
    (SaysAbsent, "stateless", "P5 is broken: .*called absent"),
    (Blank, "placed", "P2 to P4 is broken: .*not the object's"),
    (Unflagged, "placed", "P2 to P4 is broken: .*not the object's"),
    (Boasts, "catalog", "P1 is broken: .*copies on .* only"),
    (GivesUp, "catalog", "P1 is broken: .*promised to be acknowledged .*writes acknowledged"),
    (ListsNothing, "stateless", "P5 is broken: .*the listing lacks it"),
    (Resurrects, "catalog", "P2 to P4 is broken: .*not the object's"),
    (ServesFromOne, "catalog", "P1 is broken: .*promised to be read"),
    (Loses, "catalog", "P1 is broken: .*an acknowledged object is lost"),
    (NeverDegrades, "pictures", "P5 is broken: .*promised to stand in for it, and nothing was"),
    (
        BringsTheSmallest,
        "pictures",
        "P5 is broken: .*promised to stand in for it, and only 'thumbs/",
    ),
    (WritesAnyway, "stateless", "P1 is broken: .*promised to be refused .*writes refused"),
    (CountsAnyCopy, "placed", "P1 is broken: .*where it has no place"),
    (SaysTaken, "once", "P1 is broken: .*it is called taken"),
    (
        DeletesOnGoodDays,
        "catalog",
        "P1 is broken: .*promised to be acknowledged .*deletions acknowledged",
    ),
    (DeletesAnyway, "stateless", "P3 is broken: .*promised to be refused .*deletions refused"),
    (DeletesNothing, "catalog", "P5 is broken: .*called lost, and lies intact"),
    (TakesNothing, "once", "P1 is broken: .*it is called taken"),
    (TakesNothing, "unique", "P1 is broken: .*it is called taken"),
    (Replaces, "once", "P1 is broken: what lay on .* was for ever, and is replaced"),
    (ReplacesAndRefuses, "once", "P1 is broken: what lay on .* was for ever, and is replaced"),
    (LooksNowhere, "stateless", "P[15] is broken: .*(called unreachable|promised to be read)"),
    (LooksNowhere, "catalog", "P[15] is broken: .*(called unreachable|promised to be read)"),
    (NeverLists, "stateless", "P5 is broken: .*a listing ends in"),
    (NeverLists, "catalog", "P5 is broken: .*a listing ends in"),
    (ListsItsOwn, "stateless", "P5 is broken: .*is the store's own, and the listing has it"),
    (ListsItsOwn, "catalog", "P5 is broken: .*is the store's own, and the listing has it"),
    (ListsWhatNeverWas, "stateless", "P5 is broken: .*was never written, and the listing has it"),
    (ListsWhatNeverWas, "catalog", "P5 is broken: .*was never written, and the listing has it"),
]
