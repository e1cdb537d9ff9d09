"""Find everything in a process of its own; print how long it took, and what it held at most."""

from __future__ import annotations

import json
import sqlite3
import sys
import time

from resilient_store.catalog.schema import PREFIX
from tests.bench.catalog import store_over
from tests.bench.memory import peak

EVERYTHING = f"SELECT path FROM {PREFIX}entries WHERE deleted = 0 ORDER BY path"


def by_sqlite(url: str) -> tuple[list[str], float, int]:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute(f"{EVERYTHING} LIMIT 1").fetchall()
    before, began_s = peak(), time.perf_counter()
    found = [path for (path,) in connection.execute(EVERYTHING)]
    return found, time.perf_counter() - began_s, before


def by_store(url: str) -> tuple[list[str], float, int]:
    fs = store_over(url)
    assert fs.exists("photos/0000/000000.jpg")
    before, began_s = peak(), time.perf_counter()
    found: list[str] = fs.find("")
    return found, time.perf_counter() - began_s, before


if __name__ == "__main__":
    how, url = sys.argv[1:]
    found, took_s, before = (by_store if how == "store" else by_sqlite)(url)
    size = sys.getsizeof(found) + sum(map(sys.getsizeof, found))
    print(json.dumps({"took_s": took_s, "more": peak() - before, "list": size}))
