"""How a program ends that used a platform, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from tests.servers.platforms import Platform
from tests.servers.subjects import PREFIX

ENDS_WITHIN_S = 20
# Options come by standard input: what is in a command line, everybody on the machine can see.
SCRIPT = """
import asyncio, json, sys
import resilient_store as rs
options, url, how = json.loads(sys.stdin.read())
def store(**more):
    return rs.ResilientFileSystem([rs.Backend(url, storage_options=options)], **more)
async def use(close):
    fs = store(asynchronous=True)
    assert await fs._cat_file("key") == b"bytes"
    if close:
        await fs._close()
if how.startswith("async"):
    for _ in range(2):
        asyncio.run(use(how == "async closed"))
else:
    fs = store()
    assert fs.cat_file("key") == b"bytes"
    if how == "closed":
        fs.close()
    if how == "dropped":
        del fs
"""


def complaints_of_a_program(
    platform: Platform, bucket: str, how: str, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program that reads one object and ends so; return what it complained of."""
    platform.write(bucket, f"{PREFIX}/key", b"bytes")
    given = [platform.storage_options(), platform.url(bucket, PREFIX), how]
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", SCRIPT],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    return done.stderr
