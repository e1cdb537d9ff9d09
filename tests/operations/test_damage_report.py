"""The damage report says what a read would say, of every object, from the catalog alone."""

from __future__ import annotations

import functools
import itertools
import time

import attrs
import pytest
from fsspec.asyn import sync
from fsspec.callbacks import Callback

import resilient_store as rs
from resilient_store.catalog.contract import CatalogDownError, single
from resilient_store.model import naming
from resilient_store.model.damage import KINDS
from resilient_store.model.state import Replica, State
from resilient_store.operations.damage import collect
from tests.catalogued.stage import (
    CAT,
    CONVERGES_WITHIN_S,
    DOG,
    FOREIGN,
    NAMES,
    ONE,
    PAUSE_S,
    TWO,
    converge,
    told,
    well_again,
)
from tests.operations.test_restore import brought_back

RULES = {"originals/{path...}": ["previews/{path...}", "thumbs/{path...}"]}
PREVIEW, THUMB = "previews/cat.jpg", "thumbs/cat.jpg"


def paths(items):
    return [item.path for item in items]


def found(report):
    """Return all that a report says, as kind to paths, without what is empty."""
    said = {kind: paths(report.found[kind]) for kind in KINDS}
    return {kind: some for kind, some in said.items() if some}


def damage(shop, name, path, how):
    if how == "gone":
        (shop.disk(name) / path).unlink()
    elif how == "flipped":
        shop.flip(name, path)


def lose_everywhere(fs, shop, *lost):
    """Remove objects from all disks, and let the catalog notice."""
    for path, name in itertools.product(lost, NAMES):
        damage(shop, name, path, "gone")
    for path in lost:
        with pytest.raises(rs.OriginalMissingError):
            fs.cat(path)


def end_of(fs, path):
    """Say how a read ends."""
    try:
        fs.cat(path)
    except rs.OriginalMissingError:
        return "lost"
    except rs.BackendsUnavailableError:
        return "unreachable"
    return "read"


def change(fs, path, function):
    def apply(record, _):
        return function(record), None

    sync(fs.loop, fs.store.known.change, (path,), single(apply))


def set_row(fs, path, name, **changes):
    def with_row(record):
        row = record.replicas.get(name, Replica(backend=name))
        return record.with_replicas(attrs.evolve(row, **changes))

    change(fs, path, with_row)


def set_backend(fs, name, **changes):
    def apply(state, _):
        row = attrs.evolve(state.backend(name), **changes)
        return attrs.evolve(state, backends={**state.backends, name: row})

    sync(fs.loop, fs.store.known.change_state, apply)


# --- what is found ------------------------------------------------------------------------


def test_a_healthy_store_has_no_damage(fs):
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    fs.rm(DOG)
    report = rs.damage_report(fs)
    assert found(report) == {}
    assert (report.complete, dict(report.away)) == (True, {})


def test_a_lost_original_is_told_with_what_stands_in_and_what_each_backend_said(shop):
    fs = shop.open(degraded=RULES)
    for path in (CAT, PREVIEW, THUMB):
        fs.write(path, ONE)
    written = fs.info(CAT)["modified"]
    lose_everywhere(fs, shop, CAT)
    report = rs.damage_report(fs)
    assert found(report) == {"lost": [CAT]}
    (item,) = report.lost
    assert (item.derivative, item.derivatives) == (PREVIEW, (PREVIEW, THUMB))
    assert (item.kind, item.size, item.platforms) == ("lost", len(ONE), ())
    assert [(one.backend, one.state, one.away) for one in item.replicas] == [
        (name, "missing", False) for name in sorted(NAMES)
    ]
    assert all("not found" in one.error for one in item.replicas)
    assert item.since == written


def test_a_derivative_that_is_lost_is_told_and_stands_in_for_nothing(shop):
    fs = shop.open(degraded=RULES)
    for path in (CAT, PREVIEW, THUMB):
        fs.write(path, ONE)
    lose_everywhere(fs, shop, PREVIEW, CAT)
    report = rs.damage_report(fs)
    assert paths(report.lost) == [CAT, PREVIEW]
    assert report.lost[0].derivatives == (THUMB,)


def test_an_empty_derivative_stands_in_for_nothing(shop):
    fs = shop.open(degraded=RULES)
    fs.write(CAT, ONE)
    fs.write(PREVIEW, b"")
    lose_everywhere(fs, shop, CAT)
    assert rs.damage_report(fs).lost[0].derivative is None


def test_p5_the_report_says_of_every_object_what_a_read_says(fs, shop):
    objects = {
        "whole": ("ok", "ok", "ok"),
        "first": ("ok", "gone", "flipped"),
        "last": ("gone", "flipped", "ok"),
        "gone": ("gone", "gone", "gone"),
        "spoilt": ("flipped", "gone", "flipped"),
    }
    for path, hows in objects.items():
        fs.write(path, ONE)
        for name, how in zip(NAMES, hows, strict=True):
            damage(shop, name, path, how)
    said = set()
    for away in ((), ("aws",), ("gcp", "azure")):
        if away:
            shop.lose(*away)
        [end_of(fs, path) for path in objects]  # the catalog hears of what is not as it should be
        told(fs)
        report = rs.damage_report(fs)
        assert set(report.away) == set(away)
        ends = dict.fromkeys(objects, "read") | dict.fromkeys(paths(report.lost), "lost")
        ends |= dict.fromkeys(paths(report.unreachable), "unreachable")
        assert ends == {path: end_of(fs, path) for path in objects}, away
        said |= set(ends.values())
        shop.bring_back(*away)
        well_again(fs)
    assert said == {"read", "lost", "unreachable"}


def test_p5_a_new_process_finds_out_by_itself_who_is_away(fs, shop):
    """Every row is good, so nothing is owed; and no breaker of the new process is open."""
    for path in (CAT, DOG):
        fs.write(path, ONE)
    shop.lose()
    fresh = shop.open()
    report = rs.damage_report(fresh)
    assert found(report) == {"unreachable": [CAT, DOG]}
    assert all(one.away and one.state == "good" for one in report.unreachable[0].replicas)
    assert report.unreachable[0].since is not None
    assert report.unreachable[0].since == max(report.away.values())


def test_with_one_platform_left_everything_is_at_risk(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("aws", "azure")
    report = rs.damage_report(shop.open())
    assert found(report) == {"at_risk": [CAT]}
    assert report.at_risk[0].platforms == ("gcp",)
    assert report.at_risk[0].derivative is None
    shop.bring_back("aws")
    assert found(rs.damage_report(shop.open())) == {}  # two of two that min_domains asks for


def test_an_object_that_a_new_backend_never_got_is_at_risk_while_it_is_the_only_one(shop):
    alone = shop.open(("aws",), write=rs.WriteToAll())
    alone.write(CAT, ONE)
    assert found(rs.damage_report(alone)) == {}
    both = shop.open(("aws", "gcp"), write=rs.WriteToAll())
    report = rs.damage_report(both)
    assert found(report) == {"at_risk": [CAT]}
    assert [(one.backend, one.state) for one in report.at_risk[0].replicas] == [
        ("aws", "good"),
        ("gcp", "absent"),
    ]
    converge(both)
    assert found(rs.damage_report(both)) == {}


def test_a_backend_that_is_about_to_go_is_no_safety(shop):
    fs = shop.open(("aws", "gcp"), write=rs.WriteToAll(min_copies=1))
    fs.write(CAT, ONE)
    rs.drain(fs, "gcp")
    fs.write(DOG, ONE)
    assert found(rs.damage_report(fs)) == {"at_risk": [CAT, DOG]}
    rs.rejoin(fs, "gcp")
    converge(fs)
    assert found(rs.damage_report(fs)) == {}


def test_a_backend_that_never_had_an_object_is_not_said_to_hold_an_older_one(shop):
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    fs.exists(CAT)
    shop.lose("gcp", "azure")
    fs.write(CAT, ONE)
    shop.bring_back()
    assert "azure: not up to date" in str(rs.damage_report(shop.open()))


def test_p5_what_only_a_drained_backend_holds_is_unreachable_as_a_read_says(shop):
    fs = shop.open(("aws", "gcp"))
    fs.write(CAT, ONE)
    for name in ("aws", "gcp"):
        rs.drain(fs, name, force=True)
    with pytest.raises(rs.BackendsUnavailableError):
        fs.read(CAT)
    report = rs.damage_report(fs)
    assert found(report) == {"unreachable": [CAT]}
    assert "aws: away (intact before)" in str(report)


@pytest.mark.parametrize("changes", [{"suspect": True}, {"away_from_s": 1e9, "back_s": 0.0}])
def test_what_a_backend_holds_that_is_suspect_or_away_is_unreachable(fs, changes):
    fs.write(CAT, ONE)
    for name in NAMES:
        set_backend(fs, name, **changes)
    report = rs.damage_report(fs)
    assert found(report) == {"unreachable": [CAT]}
    assert set(report.away) == set(NAMES)


def test_p5_what_a_backend_holds_that_is_configured_no_more_is_not_lost(fs, shop):
    fs.write(CAT, ONE)
    for name in NAMES[1:]:
        set_row(fs, CAT, name, state=State.MISSING)
    fewer = shop.open(NAMES[1:])
    report = rs.damage_report(fewer)
    assert found(report) == {"unreachable": [CAT]}
    by_name = {one.backend: one for one in report.unreachable[0].replicas}
    assert (by_name["aws"].state, by_name["aws"].away) == ("good", True)


def test_bytes_of_others_are_foreign_beside_an_object_and_a_conflict_without_one(shop):
    for name in NAMES:
        shop.put_behind(name, CAT, FOREIGN if name == "gcp" else ONE)
    fs = shop.open()
    fs.write(DOG, ONE)
    assert not rs.damage_report(fs).complete
    rs.adopt(fs, on_conflict="newest")
    theirs = [name for name, said in fs.info(CAT)["replicas"].items() if said == "foreign"]
    assert theirs
    report = rs.damage_report(fs)
    assert (paths(report.foreign), paths(report.conflicts)) == ([CAT], [])
    assert [one.backend for one in report.foreign[0].replicas if one.state == "foreign"] == theirs
    fs.rm(DOG)
    set_row(fs, DOG, "aws", state=State.FOREIGN)
    for name in set(NAMES) - set(theirs):
        set_row(fs, CAT, name, state=State.MISSING)
    report = rs.damage_report(fs)
    assert (paths(report.foreign), paths(report.conflicts)) == ([], [CAT, DOG])
    assert (paths(report.lost), report.conflicts[1].size) == ([CAT], None)
    assert report.complete


def test_what_repair_has_kept_aside_is_listed_on_each_backend_that_answers(fs, shop, monkeypatch):
    fs.write(CAT, ONE)
    fs.write(DOG, ONE)
    converge(fs)
    assert rs.damage_report(fs).quarantine == rs.Quarantine()
    for name, path in (("gcp", CAT), ("aws", CAT), ("aws", DOG)):
        shop.put_behind(name, path, FOREIGN)
    rs.scrub(fs)
    converge(fs)
    kept = rs.damage_report(fs).quarantine
    assert {(one.path, one.backend) for one in kept.files} == {
        (CAT, "aws"),
        (CAT, "gcp"),
        (DOG, "aws"),
    }
    assert all(shop.read_behind(one.backend, one.key) == FOREIGN for one in kept.files)
    assert all(one.size == len(FOREIGN) and one.kept_at is not None for one in kept.files)
    monkeypatch.setattr(naming, "NAMED", 1)
    shop.lose("gcp")
    kept = rs.damage_report(fs).quarantine
    assert ([one.path for one in kept.files], kept.unnamed, kept.unlisted) == ([CAT], 1, ("gcp",))
    assert rs.damage_report(fs, quarantine=False).quarantine is None


def test_repair_ends_what_is_at_risk(fs, shop):
    fs.write(CAT, ONE)
    for name in NAMES[1:]:
        damage(shop, name, CAT, "gone")
        set_row(fs, CAT, name, state=State.MISSING)
    assert found(rs.damage_report(fs)) == {"at_risk": [CAT]}
    converge(fs)
    assert found(rs.damage_report(fs)) == {}


# --- in groups ----------------------------------------------------------------------------


def test_the_shop_can_write_to_each_customer(shop):
    fs = shop.open(degraded=RULES)
    lost = ["originals/meier/1.jpg", "originals/meier/sub/2.jpg", "originals/smith/1.jpg"]
    for path in lost:
        fs.write(path, ONE)
    fs.write("thumbs/smith/1.jpg", ONE, derived_from=lost[2])
    fs.write("orders/list.csv", ONE)
    everything = [*lost, "orders/list.csv", "thumbs/smith/1.jpg"]
    lose_everywhere(fs, shop, *everything)
    report = rs.damage_report(fs, group_by="originals/{customer}/...")
    assert {group: paths(items) for group, items in report.by_group()} == {
        "": ["orders/list.csv"],
        "meier": lost[:2],
        "smith": [lost[2], "thumbs/smith/1.jpg"],
    }
    assert report.group_by == "originals/{customer}/..."


@pytest.mark.parametrize("group_by", ["", "originals/...", "{customer", 7])
def test_a_pattern_that_groups_nothing_is_refused_with_what_to_write(fs, group_by):
    with pytest.raises(rs.ConfigurationError, match="group_by"):
        rs.damage_report(fs, group_by=group_by)


# --- page by page -------------------------------------------------------------------------


def test_pages_of_any_length_find_the_same_each_once(fs, shop, monkeypatch):
    for number in range(9):
        fs.write(f"{number}", ONE)
        for name in NAMES[: number % 4]:
            set_row(fs, f"{number}", name, state=State.MISSING)
    shop.lose("azure")
    fresh = shop.open()
    whole = found(rs.damage_report(fresh))
    assert whole["unreachable"] == ["2", "3", "6", "7"]
    assert whole["at_risk"] == ["1", "5"]
    monkeypatch.setattr(collect, "PAGE", 2)
    for records in (1, 2, 3):
        monkeypatch.setattr(collect, "RECORDS", records)
        assert found(rs.damage_report(fresh)) == whole


def test_progress_counts_what_was_looked_at(fs):
    for number in range(5):
        fs.write(f"{number}", ONE)
        set_row(fs, f"{number}", "aws", state=State.MISSING)
    callback = Callback()
    rs.damage_report(fs, callback=callback)
    assert callback.value == 5


def test_what_a_backend_need_not_hold_is_not_looked_at(shop):
    fs = shop.open(placements=[rs.Placement("{path...}", backends=["aws", "gcp"])])
    fs.write(CAT, ONE)
    callback = Callback()
    assert found(rs.damage_report(fs, callback=callback)) == {}
    assert callback.value == 0


# --- what cannot be had -------------------------------------------------------------------


def test_without_a_catalog_the_error_says_to_add_one(shop):
    fs = rs.ResilientFileSystem(shop.backends())
    with pytest.raises(rs.ConfigurationError, match="catalog="):
        rs.damage_report(fs)
    fs.close()


@pytest.mark.parametrize("call", ["state", "owed", "without", "records", "held_by", "now_s"])
def test_a_catalog_that_goes_away_is_said_so(fs, shop, monkeypatch, call):
    fs.write(CAT, ONE)
    set_row(fs, CAT, "aws", state=State.MISSING)
    set_backend(fs, "gcp", suspect=True)

    async def away(*_):
        raise CatalogDownError("it is away")

    monkeypatch.setattr(fs.store.known, call, away)
    with pytest.raises(rs.CatalogUnavailableError):
        rs.damage_report(fs)


# --- compared with an earlier one ---------------------------------------------------------


def test_a_later_report_says_what_was_lost_since_and_what_came_back(fs, shop):
    names = ["again", "deleted", "lost", "now", "well"]
    for path in names:
        fs.write(path, ONE)
    lose_everywhere(fs, shop, "again", "deleted", "lost")
    earlier = rs.damage_report(fs)
    fs.write("again", TWO)
    fs.rm("deleted")
    lose_everywhere(fs, shop, "now")
    later = rs.damage_report(fs)
    both = [later.since(earlier), later.since(rs.DamageReport.from_json(earlier.to_json()))]
    for changes in both:
        assert paths(changes.newly_lost) == ["now"]
        assert paths(changes.recovered) == ["again"]
        assert paths(changes.deleted) == ["deleted"]
        assert len(changes.newly_unreachable) == len(changes.reachable_again) == 0
    from_files = rs.DamageReport.from_json(later.to_json()).since(earlier)
    assert paths(from_files.recovered) == ["again", "deleted"]


def test_an_outage_and_its_end_are_told_apart_from_a_loss(fs, shop):
    for path in (CAT, DOG):
        fs.write(path, ONE)
    lose_everywhere(fs, shop, DOG)
    before = rs.damage_report(fs)
    shop.lose()
    during = rs.damage_report(shop.open())
    assert paths(during.since(before).newly_unreachable) == [CAT, DOG]
    assert len(during.since(before).newly_lost) == len(during.since(before).recovered) == 0
    shop.bring_back()
    after = rs.damage_report(shop.open()).since(during)
    assert (paths(after.reachable_again), paths(after.newly_lost)) == ([CAT], [DOG])


def test_a_report_compared_with_itself_has_no_news(fs, shop):
    fs.write(CAT, ONE)
    lose_everywhere(fs, shop, CAT)
    report = rs.damage_report(fs)
    changes = attrs.asdict(report.since(report), recurse=False)
    assert {name: len(items) for name, items in changes.items()} == dict.fromkeys(changes, 0)


def test_whether_what_was_lost_is_there_again_takes_the_catalog(fs, shop, monkeypatch):
    fs.write(CAT, ONE)
    lose_everywhere(fs, shop, CAT)
    earlier = rs.damage_report(fs)
    fs.write(CAT, TWO)
    later = rs.damage_report(fs)

    async def away(*_):
        raise CatalogDownError("it is away")

    monkeypatch.setattr(fs.store.known, "present", functools.partial(away))
    with pytest.raises(rs.CatalogUnavailableError):
        later.since(earlier)


def test_what_is_lost_since_a_restore_may_have_been_deleted_and_the_counter_is_told_so(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    fs.rm(CAT)  # after the snapshot
    again, report = brought_back(shop, fs)
    assert report.vanished == [CAT]
    until_s = time.monotonic() + CONVERGES_WITHIN_S
    while not rs.status(again).lost:  # when nothing can arrive any more that was under way
        assert time.monotonic() < until_s
        time.sleep(PAUSE_S)
        rs.repair(again)
    now = rs.damage_report(again)
    assert paths(now.lost) == [CAT]
    assert now.restored_at is not None
    assert all("itself lost" in text for text in (str(now), now.to_html()))
