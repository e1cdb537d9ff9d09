"""From the store to a local file: whole under its final name, or not at all."""

from __future__ import annotations

import contextlib
import os
from typing import Any, BinaryIO

from resilient_store import runtime
from resilient_store.io.copy import blocks, run_local
from resilient_store.io.drive import protected
from resilient_store.io.verbs import open_reader
from resilient_store.store import Store


async def get_file(store: Store, path: str, target: str | BinaryIO, callback: Any) -> None:
    """Copy an object into a local file, or into an open one.

    The bytes go to a temporary file beside the target, which takes its name when it is whole.
    """
    reader = await open_reader(store, path)
    callback.set_size(reader.size)
    if not isinstance(target, str):
        async for block in blocks(reader):
            await run_local(lambda block=block: target.write(block))
            callback.relative_update(len(block))
        return
    directory = os.path.dirname(target)
    temporary = os.path.join(directory, f".resilient-{runtime.new_id()}.part")

    def discard() -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)

    def let_go(file: BinaryIO) -> None:
        file.close()
        discard()

    try:
        file: BinaryIO = await run_local(lambda: open(temporary, "xb"), let_go)  # noqa: SIM115
        try:
            async for block in blocks(reader):
                await run_local(lambda block=block: file.write(block))
                callback.relative_update(len(block))
        finally:
            await protected(run_local(file.close))
        await run_local(lambda: os.replace(temporary, target))
    except BaseException:
        await protected(run_local(discard))
        raise
