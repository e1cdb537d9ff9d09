"""The pages about the catalog say what the code says: moments, rules, defaults, requests."""

from __future__ import annotations

import inspect
import os
import re
import time
from pathlib import Path

import pytest
from fsspec.asyn import sync

import resilient_store as rs
from resilient_store.catalog import schema
from resilient_store.catalog.catalog import WITHIN_S
from resilient_store.model.step import Step
from resilient_store.protocol.quiet import BREAK_SHARE, is_quiet
from resilient_store.protocol.suspicion import LOSSES, LOSSES_SHARE, LOSSES_WITHIN_S
from tests.servers.faults import with_the_id_that_s3_sends

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "resilient_store"
WRITE_PATH = (ROOT / "docs" / "write-path.md").read_text(encoding="utf-8")
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
CATALOG = (ROOT / "docs" / "catalog.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("step", Step, ids=lambda step: step.name)
def test_p8_every_moment_at_which_a_process_may_die_has_its_row(step):
    rows = [line for line in WRITE_PATH.splitlines() if line.startswith("| ")]
    assert any(f"`{step.name}`" in row.split(" | ")[0] for row in rows)


def test_the_page_names_no_moment_that_is_not_there():
    named = set(re.findall(r"\b[A-Z]+_[A-Z]+\b|`(?:QUARANTINED)`", WRITE_PATH))
    assert {name.strip("`") for name in named} <= {step.name for step in Step}


@pytest.mark.parametrize("number", range(1, 26))
def test_every_rule_is_on_its_page_once(number):
    assert len(re.findall(rf"^- \*\*R{number}\. ", PROTOCOL, re.MULTILINE)) == 1


def test_the_rules_that_the_code_names_are_those_of_the_page():
    named = {
        int(number)
        for path in SRC.rglob("*.py")
        for number in re.findall(r"\bR(\d+)\b", path.read_text(encoding="utf-8"))
    }
    assert named <= set(range(1, 26))
    assert len(named) > 15


def test_the_defaults_on_the_page_are_those_in_the_code():
    given = inspect.signature(rs.ResilientFileSystem.__init__).parameters
    for name in ("lock_timeout", "lease", "late_window"):
        assert f"\n| `{name}` | {given[name].default:g} s |" in CATALOG
    assert f'\n| `catalog_down` | `"{given["catalog_down"].default}"` |' in CATALOG
    assert f"within {WITHIN_S:g} s" in CATALOG
    losses = f"more than {LOSSES} objects, and more than {100 * LOSSES_SHARE:g} %"
    assert losses in " ".join(CATALOG.split())
    assert LOSSES_WITHIN_S == 600
    assert "run it every few minutes. Once an hour is enough too" in " ".join(CATALOG.split())
    assert BREAK_SHARE == 1.0


def test_the_schemas_on_the_page_are_those_in_the_code():
    said = f"makes schema {schema.SCHEMA}, and lets releases use it that know schema "
    assert f"{said}{schema.OLDEST_ALLOWED} or more" in " ".join(CATALOG.split())


# --- requests -----------------------------------------------------------------------------

COLUMNS = ("s3", "gcs", "azure")
Z_S = 0.4
BLOCK = 4 << 20
BLOCKS = 2
OPEN, STREAM = "open as a file, before the first block", "each block of 4 MiB that is read"
QUESTIONS = "`info`, `exists`, `ls`, `find`, read of what is absent"
FIRST_USE = "first use of a known backend in a process"
HEARING = "repair: each backend, for each pass over the queue"
STAGING = "repair: one missing replica, to staging"
PUBLISHING = "repair: from staging to its own key"
SERVER_SIDE = "repair: one new replica, copied by the platform"
REPAIR = "both"


def requests_said(platform: str) -> dict[str, int]:
    """Read one platform's column of the table."""
    table = WRITE_PATH.partition("| call | S3 | Google | Azure |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.+?) \| (\d+) \| (\d+) \| (\d+) \|$", table, re.MULTILINE)
    column = COLUMNS.index(platform)
    said = {call: int(numbers[column]) for call, *numbers in rows}
    said[REPAIR] = said.pop(STAGING) + said.pop(PUBLISHING)
    return said


class Counting:
    """One platform behind its proxy, and how many requests each call sent to it."""

    def __init__(self, platform, folder):
        self.platform, self.folder = platform, folder
        self.counted: dict[str, int] = {}

    def heal(self):
        if self.platform.family == "s3":  # and moto does not, of what is absent
            self.platform.proxy.set("rewrite", answer=with_the_id_that_s3_sends)
        else:
            self.platform.proxy.set("pass")

    def backend(self, name="cloud"):
        return rs.Backend(
            self.platform.url(self.platform.new_bucket()),
            name=name,
            domain=name,
            storage_options=self.platform.storage_options(),
        )

    def store(self, backends, name, late_window, **options):
        where = f"sqlite:///{self.folder / name}"
        return rs.ResilientFileSystem(backends, catalog=where, late_window=late_window, **options)

    def count(self, call, make):
        self.platform.proxy.log.clear()
        made = make()
        self.counted[call] = len(self.platform.proxy.log)
        return made

    def calls_on_busy_keys(self):
        one = self.backend()
        with self.store([one], "busy.db", 900) as fs:
            fs.pipe_file("first", b"bytes")  # the backend is met
        with self.store([one], "busy.db", 900) as fs:
            self.count(FIRST_USE, lambda: fs.cat_file("first"))
            self.count("read", lambda: fs.cat_file("first"))
            self.counted[FIRST_USE] -= self.counted["read"]
            self.count("range", lambda: fs.cat_file("first", 1, 3))
            self.count("write a new path", lambda: fs.pipe_file("photo", b"bytes"))
            self.count("copy", lambda: fs.cp_file("photo", "copied"))
            self.count("move", lambda: fs.mv("copied", "moved"))
            self.count("delete", lambda: fs.rm_file("moved"))
            self.count("overwrite on a busy key", lambda: fs.pipe_file("photo", b"other"))
            self.count(QUESTIONS, lambda: ask_much(fs))
            fs.pipe_file("long", os.urandom(BLOCKS * BLOCK))
            with self.count(OPEN, lambda: fs.open("long")) as file:
                self.count(STREAM, lambda: read_all(file))
            self.counted[STREAM] /= BLOCKS

    def an_overwrite_on_a_quiet_key(self):
        with self.store([self.backend()], "quiet.db", Z_S) as fs:
            fs.pipe_file("photo", b"bytes")
            repair_until_quiet(fs, "photo")
            self.count("overwrite on a quiet key", lambda: fs.pipe_file("photo", b"other"))
            assert rs.repair(fs).done

    def a_repair(self):
        (self.folder / "disk").mkdir()
        disk = rs.Backend(str(self.folder / "disk"), name="disk", domain="disk")
        policy = rs.WriteToAll(min_copies=1)
        with self.store([disk, self.backend()], "repair.db", Z_S, write=policy) as fs:
            fs.pipe_file("first", b"bytes")
            self.platform.proxy.set("refuse")
            fs.pipe_file("photo", b"bytes")
            self.heal()
            self.counted[REPAIR] = self.beside_hearing(lambda: repair_until_done(fs))
            self.count(HEARING, lambda: rs.repair(fs))

    def a_copy_by_the_platform(self):
        here, there = self.backend(), self.backend("other")
        policy = rs.WriteToAll(min_copies=1)
        with self.store([here], "copies.db", Z_S, write=policy) as fs:
            fs.pipe_file("photo", b"bytes")
        self.platform.proxy.log.clear()
        with self.store([here, there], "copies.db", Z_S, write=policy) as fs:
            repair_until_done(fs)
        asked = [one for one in self.platform.proxy.log if "photo" in one.path]
        self.counted[SERVER_SIDE] = len(asked)

    def beside_hearing(self, make):
        self.platform.proxy.log.clear()
        make()
        return sum("store.json" not in request.path for request in self.platform.proxy.log)


def ask_much(fs):
    assert fs.info("photo")["size"] == 5
    assert not fs.exists("absent")
    assert fs.ls("")
    assert fs.find("")
    with pytest.raises(FileNotFoundError):
        fs.cat_file("absent")


def read_all(file):
    while file.read(BLOCK):
        pass


def repair_until_done(fs):
    end_s = time.monotonic() + 10 * Z_S
    while not rs.repair(fs).done:
        assert time.monotonic() < end_s
        time.sleep(Z_S / 8)


def repair_until_quiet(fs, path):
    """Wait for a key of the cloud's; somebody has to ask it, or it never is."""
    end_s = time.monotonic() + 20 * Z_S
    while not rs.repair(fs).done or not sync(fs.loop, is_quiet_now, fs.store.known, path):
        assert time.monotonic() < end_s
        time.sleep(Z_S / 8)


async def is_quiet_now(catalog, path):
    record, _ = await catalog.find(path)
    state, now_s = await catalog.state(), await catalog.now_s()
    return is_quiet(record.replica("cloud"), state.backend("cloud"), now_s, Z_S)


@pytest.mark.parametrize("name", COLUMNS)
def test_with_a_catalog_a_call_takes_as_many_requests_as_the_page_says(request, tmp_path, name):
    counting = Counting(request.getfixturevalue(name), tmp_path)
    counting.heal()
    counting.calls_on_busy_keys()
    counting.an_overwrite_on_a_quiet_key()
    counting.a_repair()
    counting.a_copy_by_the_platform()
    assert counting.counted == requests_said(name)
