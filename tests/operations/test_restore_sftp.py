"""A lost catalog comes back where one of the backends is SFTP, which keeps no metadata."""

from __future__ import annotations

import shutil
import time

import pytest

import resilient_store as rs
from resilient_store.io.catalogued import snapshots
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, PAUSE_S, THREE, TWO, Shop, converge
from tests.operations.test_restore import brought_back
from tests.servers import processes
from tests.servers.platforms import sftp_filesystem

BEHIND = "azure"  # the last in the order of reading


class SftpShop(Shop):
    """The directories, of which one is reached by SFTP."""

    def backends(self, names=None, **options):
        if not hasattr(self, "server"):
            self.server = processes.sftp(self.disk(BEHIND)).start()
        found = super().backends(tuple(n for n in names or self.names if n != BEHIND), **options)
        there = sftp_filesystem(self.server)
        return [*found, rs.Backend(there, root="/", name=BEHIND, domain=BEHIND, **options)]

    def close(self):
        super().close()
        self.server.end()


@pytest.fixture
def shop(tmp_path):
    shop = SftpShop(tmp_path)
    yield shop
    shop.close()


def test_what_was_written_since_the_snapshot_is_taken_from_all_backends(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, ONE)
    report = rs.snapshot(fs)
    assert report.backends == NAMES
    fs.write(CAT, TWO)
    fs.write("originals/new.jpg", THREE)
    again, restored = brought_back(shop, fs)
    assert (restored.newer, restored.failed) == (2, {})
    assert [again.cat(path) for path in (CAT, DOG, "originals/new.jpg")] == [TWO, ONE, THREE]
    time.sleep(PAUSE_S)
    converge(again)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)
    assert shop.held("originals/new.jpg") == dict.fromkeys(NAMES, THREE)
    assert [shop.staged(name) + shop.sidecars(name) for name in NAMES] == [[], [], []]


def test_the_snapshot_that_sftp_holds_is_enough(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    for name in ("aws", "gcp"):
        shutil.rmtree(shop.disk(name) / snapshots.FOLDER)
    again, restored = brought_back(shop, fs)
    assert (restored.backend, restored.objects, restored.complete) == (BEHIND, 1, True)
    assert again.cat(CAT) == ONE
    time.sleep(PAUSE_S)
    converge(again)  # nothing but its bytes says that what lies there is what it was
    assert again.info(CAT)["replicas"] == dict.fromkeys(NAMES, "good")


def written_to_sftp_alone(shop, path, *, staged):
    """Overwrite or create where only SFTP is left, after the snapshot; then lose the catalog."""
    one_copy = rs.WriteToAll(min_copies=1)
    fs = shop.open(write=one_copy, **({"late_window": 60.0} if staged else {}))
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    if not staged:
        time.sleep(PAUSE_S)
        rs.repair(fs)  # which hears that it answers
        time.sleep(PAUSE_S)
    shop.lose("aws", "gcp")
    fs.write(path, TWO, content_type="image/x-cat")
    assert bool(shop.staged(BEHIND)) == staged
    shop.bring_back("aws", "gcp")
    return brought_back(shop, fs, write=one_copy)


def test_a_new_path_that_sftp_alone_has_is_known_again(shop):
    again, restored = written_to_sftp_alone(shop, DOG, staged=False)
    assert (restored.newer, restored.unclear) == (1, {})
    time.sleep(PAUSE_S)
    converge(again)
    assert again.cat(DOG) == TWO
    assert shop.held(DOG) == dict.fromkeys(NAMES, TWO)


def test_an_overwrite_that_sftp_alone_has_is_named_and_a_person_may_take_it(shop):
    again, restored = written_to_sftp_alone(shop, CAT, staged=False)
    assert (restored.unclear, restored.complete) == ({CAT: (BEHIND,)}, False)
    rs.adopt(again, paths=[CAT], on_conflict="newest")
    time.sleep(PAUSE_S)
    converge(again)
    assert again.cat(CAT) == TWO
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)


def test_an_overwrite_that_sftp_alone_has_staged_is_taken_with_all_that_was_said_of_it(shop):
    again, restored = written_to_sftp_alone(shop, CAT, staged=True)
    assert (restored.newer, restored.unclear, restored.doubtful) == (1, {}, [])
    assert again.cat(CAT) == TWO
    assert again.info(CAT)["content_type"] == "image/x-cat"
