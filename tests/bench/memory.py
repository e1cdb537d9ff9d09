"""Stream a large object in a process of its own, and print how much more memory that took."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import resilient_store as rs

MIB = 1024 * 1024
BLOCK_BYTES = MIB


def peak() -> int:
    """Return the most memory that this program has held (`ru_maxrss` counts its parent's, too)."""
    with open("/proc/self/status") as status:
        (line,) = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


async def stream(what: str, size: int, backends: list[dict[str, object]]) -> int:
    fs = rs.ResilientFileSystem(backends, asynchronous=True)
    block = os.urandom(BLOCK_BYTES)
    await fs._write("warm", block)
    async with await fs.open_async("warm") as file:
        while await file.read(BLOCK_BYTES):
            pass
    before = peak()
    if what == "write":
        async with await fs.open_async("big", "wb") as file:
            for _ in range(size // BLOCK_BYTES):
                await file.write(block)
    else:
        got = 0
        async with await fs.open_async("big") as file:
            while piece := await file.read(BLOCK_BYTES):
                got += len(piece)
        assert got == size, got
    more = peak() - before
    await fs._close()
    return more


if __name__ == "__main__":
    what, size, backends = sys.argv[1], int(sys.argv[2]), json.loads(sys.stdin.read())
    print(asyncio.run(stream(what, size, backends)))
