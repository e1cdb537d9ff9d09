"""Evacuation: what has no copy elsewhere is saved first, and it says what would be lost."""

from __future__ import annotations

import os
import types

import pytest

import resilient_store as rs
from resilient_store import runtime
from resilient_store.errors import ConfigurationError
from resilient_store.operations import evacuate as module
from tests.catalogued.stage import ONE, states, told


@pytest.fixture
def endangered(shop):
    """Return a store with objects of which one, two or three platforms hold a copy."""
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    fs.write("everywhere", ONE)
    shop.lose("azure")
    fs.write("a/two", ONE)
    shop.lose("gcp")
    fs.write("b/only here, large", ONE * 50)
    fs.write("c/only here", ONE)
    shop.bring_back()
    shop.leave(fs)
    return shop.open(write=rs.WriteToAll(min_copies=1))


def test_a_dry_run_says_what_would_be_lost_and_copies_nothing(shop, endangered):
    report = rs.evacuate(endangered, from_="aws", dry_run=True)
    assert (report.at_risk, report.bytes_at_risk) == (2, 51 * len(ONE))
    assert (report.left, report.bytes_left) == (3, 52 * len(ONE))
    assert (report.copied, report.done, report.remaining_s) == (0, False, None)
    assert "2 objects" in str(report)
    assert not (shop.disk("gcp") / "c").exists()


@pytest.mark.parametrize("chosen", [1, 2, 1000])
def test_what_has_no_copy_elsewhere_is_saved_first(shop, endangered, monkeypatch, chosen):
    monkeypatch.setattr(module, "CHOSEN", chosen)
    told = []
    report = rs.evacuate(
        endangered,
        from_="aws",
        at_once=1,
        on_progress=lambda now: told.append((now.at_risk, now.left, now.bytes_left)),
    )
    size = len(ONE)
    assert told == [(1, 2, 51 * size), (0, 1, size), (0, 0, 0)]
    assert (report.copied, report.bytes_copied) == (5, 103 * size)
    assert (report.done, report.failed, report.remaining_s) == (True, {}, 0.0)
    shop.lose("aws")
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    assert fs.read("c/only here").data == ONE
    assert fs.read("b/only here, large").data == ONE * 50


def test_the_seconds_to_go_are_those_that_it_takes_at_the_speed_so_far(endangered, monkeypatch):
    at_s, per_byte_s, real = [1000.0], 0.5, module.repair_path

    async def taking_its_time(store, path, wanted):
        repaired = await real(store, path, wanted)
        at_s[0] += per_byte_s * (await endangered._info(path))["size"] * len(wanted)
        return repaired

    clock = types.SimpleNamespace(now_s=lambda: at_s[0], page=runtime.page)
    monkeypatch.setattr(module, "runtime", clock)
    monkeypatch.setattr(module, "repair_path", taking_its_time)
    told = []
    report = rs.evacuate(
        endangered,
        from_="aws",
        at_once=1,
        on_progress=lambda now: told.append((at_s[0], now.remaining_s, str(now))),
    )
    ends_s = at_s[0]
    assert [left for _, left, _ in told] == pytest.approx([ends_s - then for then, _, _ in told])
    assert told[0][1] > told[1][1] > told[2][1] == 0.0, (
        "two copies of the first two, one of a third"
    )
    assert f"about {told[0][1]:.0f} s to go" in told[0][2]
    assert report.elapsed_s == ends_s - 1000.0


def test_where_all_are_empty_the_seconds_to_go_are_reckoned_by_their_number(shop, monkeypatch):
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    fs.exists("anything")
    shop.lose("gcp", "azure")
    for path in ("a", "b"):
        fs.write(path, b"")
    shop.bring_back()
    ticks = iter(range(0, 100, 10))
    clock = types.SimpleNamespace(now_s=lambda: next(ticks), page=runtime.page)
    monkeypatch.setattr(module, "runtime", clock)
    told = []
    rs.evacuate(fs, from_="aws", at_once=1, on_progress=lambda now: told.append(now.remaining_s))
    assert told == [10.0, 0.0]


def test_what_could_not_be_saved_is_still_at_risk(shop, endangered):
    shop.lose("gcp", "azure")
    report = rs.evacuate(endangered, from_="aws")
    assert (report.at_risk, report.left, report.copied) == (2, 3, 0)
    assert set(report.failed) == {"a/two", "b/only here, large", "c/only here"}


def test_nothing_is_asked_of_the_domain_but_what_must_be_copied(shop, endangered):
    (shop.disk("aws") / "everywhere").unlink()
    assert rs.evacuate(endangered, from_="aws").done
    assert states(endangered, "everywhere")["aws"] == "good"  # nobody has looked


def test_an_object_that_is_placed_there_alone_goes_to_all_others(shop):
    placements = [rs.Placement("only/{name}", backends=["aws"])]
    fs = shop.open(placements=placements, write=rs.WriteToAll(min_copies=1))
    fs.write("only/cat", ONE)
    assert rs.evacuate(fs, from_="aws").copied == 2
    assert states(fs, "only/cat") == dict.fromkeys(shop.names, "good")
    assert rs.repair(fs).done
    assert states(fs, "only/cat") == dict.fromkeys(shop.names, "good")  # and stays there


def test_p1_the_only_copy_is_at_risk_and_saved_before_it_was_verified_too(shop):
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    fs.exists("cat")
    shop.lose("gcp", "azure")
    fs.write("cat", ONE)
    fs.write("lost", ONE)
    shop.bring_back()
    shop.leave(fs)
    (shop.disk("aws") / "lost").unlink()
    os.utime(shop.disk("aws") / "cat", ns=(1, 1))  # recovered, with times of its own
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    with pytest.raises(rs.OriginalMissingError):
        fs.read("lost")
    told(fs)
    assert rs.rejoin(fs, "aws") == 1
    assert states(fs, "cat")["aws"] == "unknown"
    assert rs.evacuate(fs, from_="aws", dry_run=True).at_risk == 1
    report = rs.evacuate(fs, from_="aws")
    assert (report.copied, report.done) == (2, True)
    shop.lose("aws")
    assert fs.read("cat").data == ONE


def test_a_copy_on_a_backend_that_was_removed_is_no_source(shop):
    fs = shop.open()
    fs.write("cat", ONE)
    shop.leave(fs)
    (shop.disk("azure") / "cat").unlink()
    fs = shop.open(("gcp", "azure"), write=rs.WriteToAll(min_copies=1))
    rs.scrub(fs)
    report = rs.evacuate(fs, from_="gcp")
    assert (report.copied, report.done) == (1, True)


def test_what_others_do_meanwhile_is_in_the_last_count(shop, endangered, monkeypatch):
    real, begun = module.repair_path, []

    async def after_the_others(store, path, wanted):
        if not begun:
            begun.append(path)
            await endangered._rm_file("a/two")
            await real(store, "b/only here, large", ("gcp", "azure"))
            for name in ("gcp", "azure"):
                (shop.disk(name) / "z").write_bytes(b"")  # a folder cannot be made there
            await endangered._write("z/new", ONE)
        return await real(store, path, wanted)

    monkeypatch.setattr(module, "repair_path", after_the_others)
    report = rs.evacuate(endangered, from_="aws", at_once=1)
    assert (report.at_risk, report.left, report.done) == (1, 1, False)
    assert set(report.failed) <= {"z/new"}


def test_what_is_drained_is_no_place_to_save_to(fs):
    fs.write("cat", ONE)
    for name in ("gcp", "azure"):
        rs.drain(fs, name, force=True)
    with pytest.raises(ConfigurationError, match="no backend outside"):
        rs.evacuate(fs, from_="aws")


@pytest.mark.parametrize(
    ("from_", "says"), [("ibm", "there are aws"), (["aws", "gcp", "azure"], "no backend outside")]
)
def test_where_nothing_could_be_done_the_error_says_what_to_change(fs, from_, says):
    with pytest.raises(ConfigurationError, match=says):
        rs.evacuate(fs, from_=from_)


def test_without_a_catalog_nobody_knows_what_to_save(shop):
    fs = shop.open(write=rs.WriteToAll())
    stateless = rs.ResilientFileSystem(shop.backends())
    with pytest.raises(ConfigurationError, match="catalog"), stateless:
        rs.evacuate(stateless, from_="aws")
    assert rs.evacuate(fs, from_="aws").done


def test_p5_where_it_could_not_be_saved_nothing_is_said_to_be_held(shop):
    placements = [rs.Placement("only/{name}", backends=["aws"])]
    fs = shop.open(placements=placements, write=rs.WriteToAll(min_copies=1))
    fs.write("only/cat", ONE)
    (shop.disk("aws") / "only/cat").unlink()
    assert set(rs.evacuate(fs, from_="aws").failed) == {"only/cat"}
    assert states(fs, "only/cat") == {"aws": "missing"}
    with pytest.raises(rs.OriginalMissingError):
        fs.read("only/cat")
