"""The worst day of a shop: a platform dies, the next loses a third of its originals.

It is overloaded before; then the first comes back as an old copy, at another address.

At the end the report names exactly the originals that are really gone, and nothing else is wrong.
"""

from __future__ import annotations

import random
import time

import pytest

import resilient_store as rs
from resilient_store.model.amount import many
from resilient_store.model.damage import KINDS
from resilient_store.model.status import WELL
from tests.catalogued.stage import PAUSE_S, converge, store_state

RULES = {"originals/{customer}/{name}": ["thumbs/{customer}/{name}"]}
PLACED = (rs.Placement("originals/{path...}", backends=["aws", "gcp"]),)
CUSTOMERS = 5


def open_store(shop):
    return shop.open(
        write=rs.WriteToAll(min_copies=1),
        degraded=rs.DegradedRead(RULES),
        placements=PLACED,
    )


def photograph(number):
    """Return a path below its folder, and bytes that are no other photograph's."""
    return f"customer-{number % CUSTOMERS}/{number:04}.jpg", f"photograph {number}".encode() * 9


def original(number):
    return f"originals/{photograph(number)[0]}"


def take(fs, numbers):
    for number in numbers:
        path, data = photograph(number)
        fs.write(f"originals/{path}", data)
        fs.write(f"thumbs/{path}", data[:10], derived_from=f"originals/{path}")


def in_matrix(*day):
    return pytest.param(*day, marks=pytest.mark.matrix)


@pytest.mark.parametrize(("count", "seed"), [(20, 1), in_matrix(20, 2), in_matrix(2000, 3)])
def test_at_the_end_of_the_worst_day_it_is_known_which_originals_are_gone(shop, count, seed):
    play_the_worst_day(shop, count, seed)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("count", "seed"), [(12, 1), in_matrix(12, 2), in_matrix(2000, 3)])
def test_it_is_known_on_the_platforms_servers_too(on_servers, count, seed):
    play_the_worst_day(on_servers, count, seed)


def play_the_worst_day(shop, count, seed):
    chance = random.Random(seed)
    quarter = count // 4
    copied, today, meanwhile = (
        range(quarter),
        range(quarter, 2 * quarter),
        range(2 * quarter, count),
    )
    fs = open_store(shop)
    take(fs, copied)
    converge(fs)
    last_night = shop.copy_of("aws")
    take(fs, today)
    converge(fs)

    # The first dies. The shop goes on; some originals are saved to the third.
    shop.die("aws")
    take(fs, meanwhile)
    with shop.overloaded("gcp"):
        saved = evacuated(fs, chance, range(count))

    # All changes stop, and the second loses a third of its originals.
    assert rs.freeze(fs, "we count what is left") == []
    with pytest.raises(rs.StoreFrozenError):
        fs.write("originals/customer-1/new.jpg", b"new")
    dropped = chance.sample(range(count), count // 3)
    for number in dropped:
        shop.remove_behind("gcp", original(number))
    rs.scrub(fs, unknown=False)
    if store_state(fs).backend("gcp").suspect:  # so much is missing that a person has to look
        rs.rejoin(fs, "gcp")
    nothing_is_called_lost(fs, {original(number) for number in set(dropped) - saved})

    # The first comes back as an old copy at another address.
    rs.thaw(fs)
    rs.rejoin(fs, "aws", target=last_night)
    time.sleep(PAUSE_S)
    until_done(fs)
    gone = set(dropped) - saved - set(copied)
    only_these_are_gone(fs, gone, count)
    the_status_says_no_more(fs, len(gone))
    shop.look_at_the_copy_of("aws")
    each_holds_what_it_should(shop, gone, saved, count)


def nothing_is_called_lost(fs, nowhere_now):
    """See that what one that is away may hold cannot be had, and that its preview can."""
    report = rs.damage_report(fs)
    assert list(report.lost) == []
    assert {item.path for item in report.unreachable} == nowhere_now
    for path in nowhere_now:
        result = fs.read(path)
        assert (result.original_missing, result.data) == (True, b"photograph")


def only_these_are_gone(fs, gone, count):
    """See that the report names them, and that every other original is there, and whole."""
    report = rs.damage_report(fs, group_by="originals/{customer}/...")
    lost = sorted(original(number) for number in gone)
    assert [item.path for item in report.lost] == lost
    assert {item.group for item in report.lost} == {path.split("/")[1] for path in lost}
    assert {item.derivative for item in report.lost} == {
        path.replace("originals", "thumbs") for path in lost
    }
    rest = {kind: list(report.found[kind]) for kind in KINDS if kind != "lost"}
    assert not any(rest.values()), rest
    for number in range(count):
        _, data = photograph(number)
        result = fs.read(original(number))
        assert result.original_missing == (number in gone)
        assert result.data == (data[:10] if number in gone else data)


def the_status_says_no_more(fs, lost):
    """See that what is lost is the only trouble, and is missing where it was placed."""
    status = rs.status(fs)
    assert (status.lost, status.counted, status.warnings) == (lost, True, ())
    words = f"Lost: {many(lost, 'object', 'objects')}." if lost else WELL
    assert (status.state, status.happened) == ("DEGRADED" if lost else "ONLINE", words)
    assert {one.name: (one.state, one.behind) for one in status.backends} == {
        "aws": ("online", lost),
        "gcp": ("online", lost),
        "azure": ("online", 0),
    }


def each_holds_what_it_should(shop, gone, saved, count):
    """See that each has every preview, and the originals that it should have, whole; no more."""
    kept = set(range(count)) - gone
    for name, numbers in {"aws": kept, "gcp": kept, "azure": saved}.items():
        expected = {f"thumbs/{path}": data[:10] for path, data in map(photograph, range(count))}
        expected |= {original(number): photograph(number)[1] for number in numbers}
        assert {key: shop.read_behind(name, key) for key in shop.objects(name)} == expected
        assert (shop.staged(name), shop.quarantined(name)) == ([], [])


def evacuated(fs, chance, numbers):
    """Save away from the second, until it is too much for it; return what was saved."""

    class EnoughError(Exception):
        pass

    most = chance.randint(len(numbers) // 4, len(numbers) // 3)

    def tell(progress):
        if progress.copied >= most:
            raise EnoughError

    with pytest.raises(EnoughError):
        rs.evacuate(fs, from_=["gcp", "aws"], at_once=1, on_progress=tell)
    holders = {n: fs.info(original(n))["replicas"] for n in numbers}
    return {number for number, rows in holders.items() if rows.get("azure") == "good"}


def until_done(fs):
    """Repair until only what nobody holds is left."""
    for _ in range(20):
        report = rs.repair(fs)
        if not report.waiting:
            return
        time.sleep(PAUSE_S)
    raise AssertionError(report)
