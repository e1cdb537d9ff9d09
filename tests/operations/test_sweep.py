"""A sweep goes through backends page by page, whatever lies there and whatever fails."""

from __future__ import annotations

import os
import tracemalloc

import pytest

import resilient_store as rs
from resilient_store.io import pages
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.operations import sweep as module
from tests.catalogued.stage import CAT, NAMES, ONE


@pytest.fixture
def short_pages(monkeypatch):
    monkeypatch.setattr(pages, "PAGE", 2)
    monkeypatch.setattr(pages, "ASKED_AGAIN", 0)


@pytest.fixture
def littered(fs, shop):
    """Leave ten files behind on one backend, in staging and beside objects; return their keys."""
    fs.write(CAT, ONE)
    keys = {f".resilient/staging/9-{number}/cat" for number in range(5)}
    keys |= {f"{folder}/.resilient-{folder}" for folder in ("+", "a", "originals", "z", "é")}
    for key in keys:
        shop.put_behind("aws", key, ONE)
        shop.put_behind("aws", f"{key.partition('/')[0]}s/theirs", ONE)
    return sorted(keys)


def test_all_that_is_left_is_found_page_by_page(fs, littered, shop, short_pages):
    said = rs.sweep(fs, older_than=0.0, dry_run=True)
    assert said.removed == {"aws": tuple(littered), "gcp": (), "azure": ()}
    assert rs.sweep(fs, older_than=0.0) == said
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)
    assert rs.sweep(fs, older_than=0.0).removed == dict.fromkeys(NAMES, ())
    assert "as/theirs" in rs.scrub(fs).unknown


def test_a_report_names_no_more_than_it_says(fs, littered, monkeypatch, short_pages):
    monkeypatch.setattr(module, "NAMED", 4)
    report = rs.sweep(fs, older_than=0.0)
    assert (len(report.removed["aws"]), report.unnamed) == (4, len(littered) - 4)


def test_removals_that_fail_are_counted(fs, littered, shop, monkeypatch, short_pages):
    monkeypatch.setattr(module, "NAMED", 4)

    async def refuse(key):
        return Reply("aws", Outcome.DENIED)

    monkeypatch.setattr(fs.store.clients["aws"], "delete", refuse)
    report = rs.sweep(fs, older_than=0.0)
    assert (len(report.failed), report.unnamed) == (4, len(littered) - 4)
    assert report.removed == dict.fromkeys(NAMES, ())


def test_a_listing_that_breaks_off_is_told_and_what_it_came_to_is_swept(
    fs, littered, monkeypatch, short_pages
):
    client = fs.store.clients["aws"]
    page = client.page

    async def breaks_off(after, cursor, limit):
        if after >= "o":
            return Reply("aws", Outcome.TIMED_OUT)
        return await page(after, cursor, limit)

    monkeypatch.setattr(client, "page", breaks_off)
    report = rs.sweep(fs, older_than=0.0)
    assert [reply.backend for reply in report.failed] == ["aws"]
    assert 0 < len(report.removed["aws"]) < len(littered)


def test_a_name_that_is_no_text_stops_no_sweep(fs, shop):
    fs.write(CAT, ONE)
    key = os.fsdecode(b".resilient/staging/9-9\xff/cat")
    shop.put_behind("aws", key, ONE)
    assert rs.sweep(fs, older_than=0.0).removed["aws"] == (key,)


def test_p6_objects_are_not_held(fs, shop):
    for number in range(20_000):
        folder = shop.disk("aws") / f"{number // 1000}"
        folder.mkdir(exist_ok=True)
        (folder / f"a photograph {number}.jpg").touch()
    fs.exists(CAT)
    tracemalloc.start()
    try:
        assert rs.sweep(fs).removed["aws"] == ()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4_000_000
