"""Progress is told to fsspec callbacks, and shown by those that others have written."""

from __future__ import annotations

import sys
import types

import pytest
from fsspec.callbacks import Callback, TqdmCallback

import resilient_store as rs
from tests.catalogued.stage import CAT, ONE

COUNT = 5


class Shown:
    """What tqdm is made with, and told."""

    bars: list[Shown]

    def __init__(self, total=None, **how):
        self.totals, self.how, self.n, self.closed = {total}, how, 0, False
        self.bars.append(self)

    def update(self, by):
        self.n += by

    def refresh(self):
        self.totals.add(self.total)  # set anew for each pass; the last may find nothing

    def close(self):
        self.closed = True


@pytest.fixture
def bars(monkeypatch):
    """Let bars of tqdm be noted; return them."""
    monkeypatch.setattr(Shown, "bars", [], raising=False)
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Shown))
    return Shown.bars


def told(values):
    return Callback(hooks={"tell": lambda size, value: values.append((size, value))})


def write_some(fs):
    for number in range(COUNT):
        fs.write(f"p/{number}", ONE)


def test_repair_moves_a_bar_of_tqdm(shop, bars):
    fs = shop.open(write=rs.WriteToAll(min_copies=2))
    fs.exists("anything")
    shop.lose("azure")
    write_some(fs)
    shop.bring_back("azure")
    with TqdmCallback(tqdm_kwargs={"desc": "repaired"}, tqdm_cls=Shown) as callback:
        rs.repair(shop.open(), callback=callback)
    (bar,) = bars
    assert COUNT in bar.totals
    assert (bar.n >= COUNT, bar.how["desc"]) == (True, "repaired")
    assert bar.closed


def test_rejoin_tells_of_what_was_compared(fs):
    write_some(fs)
    values = []
    rs.rejoin(fs, "aws", dry_run=True, callback=told(values))
    assert values[-1] == (None, COUNT)


def test_sweep_tells_of_what_was_looked_at(fs, shop):
    fs.write(CAT, ONE)
    shop.put_behind("aws", ".resilient/staging/1-x/left", ONE)
    values = []
    assert rs.sweep(fs, older_than=0, dry_run=True, callback=told(values)).removed
    assert values[-1][1] >= 2
