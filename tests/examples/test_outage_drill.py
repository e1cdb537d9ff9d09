"""The drill passes while the library keeps its promises, and fails when it breaks one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest

import resilient_store as rs

DRILL = Path(__file__).parents[2] / "examples" / "outage_drill.py"
AT_MOST_S = 40
LOST = ("Wine_by_Jakkub_Mede.jpg", "friends_by_Aitzol_Berasategi.jpg")


# --- as a user runs it: takes its time, so it is run once, and before the test begins ------


@pytest.fixture(params=["directories", "servers"])
def finished(request, tmp_path):
    more = ["--servers"] if request.param == "servers" else []
    begun_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(DRILL), "--keep", "gallery", *more],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=AT_MOST_S,
        check=False,
    )
    return done, time.monotonic() - begun_s


def test_p5_the_drill_passes_in_time_and_says_which_originals_are_lost(finished, tmp_path):
    done, took_s = finished
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "every promise was kept" in done.stdout
    assert took_s < AT_MOST_S
    said = " ".join(done.stdout.split())
    for code in ("backends-unavailable", "original-missing"):
        assert f"the print order is refused for {' and '.join(LOST)} ({code})" in said
    assert_goes_on_with_a_catalog(said)
    assert [path.name for path in tmp_path.iterdir()] == ["gallery"]
    assert_flags_the_lost_and_no_other(tmp_path / "gallery" / "index.html")
    assert_holds_previews_of_the_lost(tmp_path / "gallery" / "pictures")


def assert_goes_on_with_a_catalog(said):
    assert "acknowledged without north: 3 writes and a deletion" in said
    assert "north is back, and still holds originals/Fossa_by_Jasper_Roks.jpg" in said
    for event in ("the shop takes a catalog", "north returns", "the queue is worked through"):
        assert f"{event} ..." in said


def assert_flags_the_lost_and_no_other(page):
    figures = page.read_text(encoding="utf-8").split("<figure")[1:]
    flagged = [name for figure in figures for name in LOST if name in figure and "flag" in figure]
    assert sorted(flagged) == sorted(LOST)
    assert sum("original lost" in figure for figure in figures) == len(LOST)
    assert len(figures) == 6


def assert_holds_previews_of_the_lost(pictures):
    photos = {path.name: path.stat().st_size for path in (DRILL.parent / "photos").iterdir()}
    shown = {path.name: path.stat().st_size for path in pictures.iterdir()}
    assert shown.keys() == photos.keys()  # the licences go with the copies
    assert {name for name in shown if shown[name] != photos[name]} == set(LOST)


def test_the_photographs_have_their_licences():
    photos = DRILL.parent / "photos"
    named = (photos / "LICENCES.md").read_text(encoding="utf-8")
    pictures = [path.name for path in photos.glob("*.jpg")]
    assert len(pictures) == 6
    assert named.count(".jpg |") == 6
    assert all(f"| {name} |" in named for name in pictures)


# --- it can fail --------------------------------------------------------------------------


@pytest.fixture
def drill(monkeypatch):
    """Load the drill as a module, its story cut down to what needs no waiting."""
    spec = importlib.util.spec_from_file_location("outage_drill", DRILL)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.syspath_prepend(str(DRILL.parent))
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look it up
    spec.loader.exec_module(module)

    def short_story(shop):
        def lose():
            for platform in shop.platforms:
                for name in module.DOOMED:
                    platform.lose(f"originals/{name}")
            return shop.fills_gallery("lost")

        def order():
            return shop.prints_order(rs.OriginalMissingError)

        return [
            module.Step("stored", "copies", shop.opens),
            module.Step("destroyed", "flagged", lose),
            module.Step("order", "refused", order),
        ]

    monkeypatch.setattr(module, "story", short_story)
    monkeypatch.setattr(module, "sequel", lambda _: [])
    return module


class Lying(rs.ResilientFileSystem):
    """Hands out what `lie` makes of every result."""

    def read(self, path, **options):
        return self.lie(super().read(path, **options))


class Unflagged(Lying):
    def lie(self, result):
        return attrs.evolve(result, original_missing=False, reason=None, refusal=None)


class WrongReason(Lying):
    def lie(self, result):
        return attrs.evolve(result, reason="unreachable") if result.reason else result


class Blank(Lying):
    def lie(self, result):
        return attrs.evolve(result, data=b"") if result.reason else result


class PrintsPreviews(Lying):
    def lie(self, result):
        return attrs.evolve(result, refusal=None)


def test_the_short_story_passes_with_an_honest_store(drill, capsys):
    assert drill.main([]) == 0
    assert "every promise was kept" in capsys.readouterr().out


@pytest.mark.parametrize("store_class", [Unflagged, WrongReason, Blank, PrintsPreviews])
def test_p5_a_store_that_lies_makes_the_drill_fail(drill, capsys, store_class):
    assert drill.main([], store_class) == 1
    out = capsys.readouterr().out
    assert "BROKEN" in out
    assert "✘" in out


@pytest.fixture
def drill_with_catalog(drill, monkeypatch):
    """Cut the story down to what the catalog's part begins with; leave its queue undrained."""

    def begins(shop):
        return [
            drill.Step("stored", "copies", shop.opens),
            drill.Step("uploaded", "copies", shop.upload_works),
        ]

    def short_sequel(shop):
        return [
            drill.Step("adopted", "known", shop.takes_catalog),
            drill.Step("down", "goes on", shop.works_without_north),
            drill.Step("back", "nothing stale", shop.north_returns),
        ]

    monkeypatch.setattr(drill, "story", begins)
    monkeypatch.setattr(drill, "sequel", short_sequel)
    return drill


class Stale(rs.ResilientFileSystem):
    """Hands out what the first backend has, whatever it has missed."""

    def read(self, path, **options):
        result = super().read(path, **options)
        lying = Path(self.store.configuration.backends[0].target) / path
        return attrs.evolve(result, data=lying.read_bytes()) if lying.exists() else result


class Resurrecting(rs.ResilientFileSystem):
    """Shows what the first backend has, whatever was deleted."""

    def exists(self, path, **options):
        lying = Path(self.store.configuration.backends[0].target) / path
        return lying.exists() or super().exists(path, **options)


def test_the_short_sequel_passes_with_an_honest_store(drill_with_catalog, capsys):
    assert drill_with_catalog.main([]) == 0
    assert "every promise was kept" in capsys.readouterr().out


@pytest.mark.parametrize("store_class", [Stale, Resurrecting])
def test_p2_p3_a_store_that_trusts_who_returns_makes_the_drill_fail(
    drill_with_catalog, capsys, store_class
):
    assert drill_with_catalog.main([], store_class) == 1
    assert "1 of 5 promises BROKEN" in capsys.readouterr().out


def test_a_folder_that_holds_something_is_not_overwritten(drill, tmp_path, capsys):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(SystemExit) as stopped:
        drill.main(["--keep", str(tmp_path)])
    assert stopped.value.code == 2
    assert "is not empty" in capsys.readouterr().err
    assert (tmp_path / "index.html").read_text() == "mine"


def test_names_are_escaped_on_the_page(drill, tmp_path):
    name = "a<b>&'\"#?.jpg"
    result = rs.ReadResult(
        data=b"jpeg",
        path=f"originals/{name}",
        original_missing=True,
        reason="lost",
        derivative=f"previews/{name}",
        backend="north",
    )
    drill.write_page(tmp_path / "page", [result])
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert 'src="pictures/a%3Cb%3E%26%27%22%23%3F.jpg"' in page
    assert (tmp_path / "page" / "pictures" / name).read_bytes() == b"jpeg"
