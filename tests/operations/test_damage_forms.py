"""A damage report as text, table, document and page: whole, in order, and harmless."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import json
import re
from html.parser import HTMLParser
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import resilient_store as rs
from resilient_store.model.damage import (
    KINDS,
    DamagedObject,
    Quarantine,
    QuarantinedFile,
    ReplicaCondition,
)
from resilient_store.operations.damage import page as page_of
from resilient_store.operations.damage import pictures, spool
from resilient_store.operations.damage.spool import Spool, in_order
from resilient_store.operations.damage.table import COLUMNS
from resilient_store.operations.damage.words import QUARANTINE_MEANS
from tests.catalogued.stage import CAT, DOG, ONE
from tests.operations.test_damage_report import RULES, lose_everywhere, paths

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
AT = dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.UTC)
NASTY = [
    "=1+1",
    "-2",
    "\t=1",
    " =1",
    '=HYPERLINK("http://evil")',
    "＝1",  # noqa: RUF001
    '<script>alert("x")</script>',
    "a'b\"c&d",
    "\udc80\udfff",
    "line\nbreak\r\x00\x1b[2J",
    "\u202egpj.exe",
    "a,b;c",
    "x;=1+1",
    'x; "=1+1',
]

words = st.text(st.characters() | st.sampled_from('=+-@\t\r\n<>&"\ud800'), max_size=8)
moments = st.none() | st.datetimes(timezones=st.just(dt.UTC))
conditions = st.builds(
    ReplicaCondition,
    backend=words,
    state=st.sampled_from(["good", "missing", "absent"]),
    away=st.booleans(),
    error=words,
    verified_at=moments,
)
objects = st.builds(
    DamagedObject,
    path=words,
    kind=st.sampled_from(KINDS),
    group=words,
    since=moments,
    derivatives=st.lists(words, max_size=2).map(tuple),
    derived_from=st.none() | words,
    size=st.none() | st.integers(0, 9),
    platforms=st.lists(words, max_size=2).map(tuple),
    replicas=st.lists(conditions, max_size=2).map(tuple),
)
many = st.lists(objects, max_size=6)
quarantined = st.builds(
    QuarantinedFile,
    backend=words,
    path=words,
    key=words,
    size=st.none() | st.integers(0, 9),
    kept_at=moments,
)
quarantines = st.none() | st.builds(
    Quarantine,
    files=st.lists(quarantined, max_size=3).map(tuple),
    unnamed=st.integers(0, 2),
    unlisted=st.lists(words, max_size=2).map(tuple),
)


def report_of(items, **facts):
    report = rs.DamageReport(made_at=AT, **facts)
    for item in sorted(items, key=attrgetter("path")):
        report.found[item.kind].add(item)
    return report


def listed(report):
    return {kind: list(report.found[kind]) for kind in KINDS}


def nasty_report():
    items = [
        DamagedObject(
            path=text,
            kind=kind,
            group=text,
            derivatives=(text,),
            replicas=(ReplicaCondition(backend=text, state="missing", error=text),),
        )
        for text in NASTY
        for kind in KINDS
    ]
    return report_of(items, group_by="{customer}", complete=False, away={"=aws": None, "gcp": AT})


# --- the sequences ------------------------------------------------------------------------


def item(number, group=""):
    return DamagedObject(path=f"{number:06d}", kind="lost", group=group)


@given(many)
def test_a_spool_is_a_sequence_of_what_was_added(items):
    held = Spool(items)
    assert list(held) == items
    assert (len(held), bool(held)) == (len(items), bool(items))
    assert [held[n] for n in range(-len(items), len(items))] == items * 2
    assert held[1:] == items[1:]
    assert held[::-1] == items[::-1]
    for beyond in (len(items), -len(items) - 1):
        with pytest.raises(IndexError):
            held[beyond]


def test_a_spool_is_read_in_pieces_from_the_disk(monkeypatch):
    monkeypatch.setattr(spool, "IN_MEMORY_BYTES", 100)
    count = 3 * spool.BLOCK + 5
    held = Spool(map(item, range(count)))
    one, other = iter(held), iter(held)
    assert list(itertools.islice(one, spool.BLOCK + 1)) == held[: spool.BLOCK + 1]
    assert paths(other) == [f"{number:06d}" for number in range(count)]
    assert paths(one) == [f"{number:06d}" for number in range(spool.BLOCK + 1, count)]
    assert held[2 * spool.BLOCK] == item(2 * spool.BLOCK)


def test_what_is_added_later_is_read_too():
    items = [item(number) for number in range(2 * spool.BLOCK + 1)]
    held = Spool(items[:-1])
    reader = iter(held)
    assert next(reader) == items[0]
    held.add(items[-1])
    assert list(held) == items
    assert list(reader) == items[1:]


def test_a_closed_report_holds_no_file():
    with report_of([item(1)]) as report:
        assert len(report.lost) == 1
    assert not report.lost.close.alive
    with pytest.raises(ValueError, match="closed"):
        list(report.lost)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab")), max_size=30))
def test_any_number_of_items_is_sorted_on_the_disk(drawn):
    items = [item(number, group) for number, group in drawn]
    key = attrgetter("group", "path")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "RUN", 4)
        assert list(in_order(items, key)) == sorted(items, key=key)


def test_groups_hold_all_of_a_group_wherever_its_paths_are():
    items = [item(1, "b"), item(2, "a"), item(3, "b"), item(4, "")]
    report = report_of(items, group_by="{year}/{customer}/...")
    said = {group: paths(members) for group, members in report.by_group()}
    assert said == {"": ["000004"], "a": ["000002"], "b": ["000001", "000003"]}


# --- JSON ---------------------------------------------------------------------------------


circumstances = st.fixed_dictionaries(
    {
        "complete": st.booleans(),
        "restored_at": moments,
        "away": st.dictionaries(words, moments, max_size=2),
        "group_by": st.none() | words,
        "quarantine": quarantines,
    }
)


@given(many, circumstances)
def test_a_report_is_the_same_after_json(items, said):
    report = report_of(items, **said)
    text = report.to_json()
    again = rs.DamageReport.from_json(text)
    assert listed(again) == listed(report)
    assert again.made_at == AT
    assert {name: getattr(again, name) for name in said} == said
    assert again.to_json() == text


@given(many)
def test_any_program_can_read_the_json_and_may_write_it_anew(items):
    report = report_of(items)
    plain = json.loads(report.to_json())
    assert [one["path"] for one in plain["items"]] == [
        one.path for kind in KINDS for one in report.found[kind]
    ]
    assert plain["counts"] == {kind: len(report.found[kind]) for kind in KINDS}
    for indent in (None, 2):
        again = rs.DamageReport.from_json(json.dumps(plain, indent=indent))
        assert listed(again) == listed(report)


def test_the_json_is_of_this_form():
    report = report_of([DamagedObject(path="cat.jpg", kind="lost", since=AT, size=3)])
    assert report.to_json() == (
        '{"format": "resilient_store damage report", "version": 1, '
        '"made_at": "2026-03-01T12:30:00+00:00", "complete": true, "restored_at": null, '
        '"away": {}, "group_by": null, "quarantine": null, "items": [\n'
        '{"path": "cat.jpg", "kind": "lost", "group": "", "since": "2026-03-01T12:30:00+00:00", '
        '"derivatives": [], "derived_from": null, "size": 3, "platforms": [], "replicas": []}\n'
        '], "counts": {"lost": 1, "unreachable": 0, "at_risk": 0, "foreign": 0, "conflict": 0}}\n'
    )


def test_a_document_that_was_cut_off_is_refused_wherever_that_was():
    text = report_of([item(1), item(2)]).to_json()
    for length in range(len(text.rstrip())):
        with pytest.raises(rs.ConfigurationError, match="not all of one"):
            rs.DamageReport.from_json(text[:length])


SPOILT = {
    "another format": lambda plain: plain.update(format="another"),
    "out of order": lambda plain: plain.update(items=plain["items"][::-1]),
    "an item less": lambda plain: plain["items"].pop(),
    "an item without its kind": lambda plain: plain["items"][0].pop("kind"),
    "an item of no kind": lambda plain: plain["items"][0].update(kind="found"),
    "no time": lambda plain: plain.update(made_at=None),
    "no items": lambda plain: plain.update(items=7),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_is_no_report_is_refused(spoil):
    plain = json.loads(report_of([item(1), item(2)]).to_json())
    spoil(plain)
    with pytest.raises(rs.ConfigurationError, match="no damage report"):
        rs.DamageReport.from_json(json.dumps(plain))


def test_a_report_of_a_later_version_says_which_release_reads_it():
    text = report_of([]).to_json().replace('"version": 1', '"version": 2')
    with pytest.raises(rs.ConfigurationError, match="version 2"):
        rs.DamageReport.from_json(text)


# --- CSV ----------------------------------------------------------------------------------


@given(many, st.none() | st.just("{a}"), quarantines)
@example([DamagedObject(path=text, kind="lost", group=text) for text in NASTY], "{a}", None)
def test_no_cell_is_a_formula_and_every_row_is_there(items, group_by, quarantine):
    report = report_of(items, group_by=group_by, quarantine=quarantine)
    rows = list(csv.reader(io.StringIO(report.to_csv(), newline="")))
    assert tuple(rows[0]) == COLUMNS
    kept = Quarantine() if quarantine is None else quarantine
    aside = len(kept.files) + bool(kept.unnamed) + len(kept.unlisted)
    kinds = [one.kind for one in items] + ["quarantine"] * aside
    assert sorted(row[0] for row in rows[1:]) == sorted(kinds)
    for row in rows[1:]:
        assert len(row) == len(COLUMNS)
        for cell in row:
            assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))
            cell.encode()
    for row in csv.reader(io.StringIO(report.to_csv(), newline=""), delimiter=";"):
        assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in row)


def test_the_csv_is_as_rfc_4180_says():
    report = report_of([DamagedObject(path='a,"b"', kind="lost", since=AT, size=3)])
    head, row, rest = report.to_csv().split("\r\n")
    assert head == ",".join(COLUMNS)
    assert row == 'lost,,"a,""b""",2026-03-01T12:30:00+00:00,,,3,,'
    assert rest == ""


# --- text and HTML ------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser makes of a page: elements that were opened and closed, and text."""

    EMPTY = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.sources, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attributes)
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def harmless(text):
    """Say that a file takes it, and a terminal or browser obeys nothing in it."""
    text.encode()
    return all(sign.isprintable() or sign == "\n" for sign in text)


@given(many, st.none() | st.just("{a}"), quarantines)
def test_no_path_spoils_a_page_or_a_terminal(items, group_by, quarantine):
    report = report_of(
        items,
        group_by=group_by,
        away={"=<b>\x1b": None},
        complete=False,
        quarantine=quarantine,
    )
    assert harmless(str(report))
    assert harmless(report.to_html())
    page = Page(report.to_html())
    aside = () if quarantine is None else quarantine.files
    assert page.tags.count("article") == len(items) + len(aside)
    assert not {"script", "link", "iframe", "b"} & set(page.tags)
    assert [one for one in page.sources if not one.startswith("#")] == []


def test_where_nobody_could_look_nothing_is_said_to_be_kept_aside():
    report = report_of([], quarantine=Quarantine(unlisted=("aws",)))
    for said in (str(report), report.to_html()):
        assert "Kept aside (0)" in said
        assert "Nobody could look on aws" in said
        assert QUARANTINE_MEANS not in said


def test_nasty_paths_are_told_as_they_are():
    report = nasty_report()
    page = Page(report.to_html())
    assert '<script>alert("x")</script>' in page.text
    assert "\\udc80\\udfff" in page.text
    assert "line\\nbreak\\r\\x00\\x1b[2J" in str(report)
    assert listed(rs.DamageReport.from_json(report.to_json())) == listed(report)


def test_the_text_says_what_is_wrong_since_when_where_and_what_is_left():
    replicas = (
        ReplicaCondition(backend="aws", state="missing", error="aws: not found"),
        ReplicaCondition(backend="gcp", state="good", away=True),
    )
    one = DamagedObject(
        path="originals/smith/1.jpg",
        kind="unreachable",
        group="smith",
        since=AT,
        derivatives=("previews/smith/1.jpg",),
        replicas=replicas,
    )
    report = report_of([one], group_by="originals/{customer}/...", away={"gcp": AT})
    text, page = report.to_text(), Page(report.to_html()).text
    assert ("aws: not there" in page, "[" in page) == (True, False)  # nothing of machines
    lines = text.splitlines()
    assert lines[0] == "Damage report of 2026-03-01 12:30 UTC"
    assert lines[2] == "gcp is away since 2026-03-01 12:30 UTC"
    assert lines[5:] == [
        "smith:",
        "  originals/smith/1.jpg (since 2026-03-01 12:30 UTC, or later)",
        "    left of it: previews/smith/1.jpg",
        "    aws: not there [aws: not found]",
        "    gcp: away (intact before)",
    ]


def test_what_was_kept_aside_is_told_and_where_it_lies():
    key = ".resilient/quarantine/1/cat.jpg"
    file = QuarantinedFile(backend="aws", path="cat.jpg", key=key, size=1234, kept_at=AT)
    report = report_of([], quarantine=Quarantine(files=(file,), unnamed=2, unlisted=("gcp",)))
    assert report.to_text().splitlines()[3:] == [
        f"Kept aside (3). {QUARANTINE_MEANS}",
        "  cat.jpg",
        f"    on aws since 2026-03-01 12:30 UTC, 1,234 bytes: {key}",
        "  And 2 more.",
        "  Nobody could look on gcp: there may be more.",
    ]
    page = Page(report.to_html())
    for said in ("Kept aside (3)", key, "And 2 more.", "Nobody could look on gcp"):
        assert said in page.text
    rows = list(csv.reader(io.StringIO(report.to_csv(), newline="")))
    assert rows[1:] == [
        ["quarantine", "", "cat.jpg", AT.isoformat(), "", "", "1234", "", f"aws: {key}"],
        ["quarantine", *[""] * 7, "And 2 more."],
        ["quarantine", *[""] * 7, "Nobody could look on gcp: there may be more."],
    ]
    assert "Kept aside" not in str(report_of([], quarantine=Quarantine()))


def test_every_form_may_go_into_a_file(tmp_path):
    report = nasty_report()
    for form in ("text", "csv", "json", "html"):
        write = getattr(report, f"to_{form}")
        with (tmp_path / form).open("w", encoding="utf-8", newline="") as file:
            assert write(file) is None
        with (tmp_path / form).open(encoding="utf-8", newline="") as file:
            assert file.read() == write()


def test_a_report_shows_its_counts_and_no_more():
    assert "1 lost, 0 unreachable" in repr(report_of([item(1)]))
    assert repr(report_of([item(1)]).lost) == "<1 damaged objects>"


# --- pictures -----------------------------------------------------------------------------


@pytest.fixture
def lost(shop):
    """Open a shop that has lost its originals, and has a photograph of some of them left."""
    fs = shop.open(degraded=RULES)
    photo = min(PHOTOS.glob("*.jpg"), key=lambda path: path.stat().st_size).read_bytes()
    names = [f"{number}.jpg" for number in range(4)]
    for name in names:
        fs.write(f"originals/{name}", ONE)
        fs.write(f"previews/{name}", photo)
    fs.write("thumbs/0.jpg", photo[: len(photo) // 2])
    lose_everywhere(fs, shop, *(f"originals/{name}" for name in names))
    return fs


def shown(page):
    return [one for one in Page(page).sources if one.startswith("data:image/jpeg;base64,")]


def test_p5_what_is_left_is_shown_with_the_flag_on_it(lost):
    page = rs.damage_report(lost).to_html()
    assert len(shown(page)) == 4
    assert len(set(shown(page))) == 2  # the smaller of two is taken
    flags = re.findall(r'<figcaption class="flag">(.*?)</figcaption>', page)
    assert flags == ["Original missing. This is a smaller copy."] * 4
    assert "so that this page stays small" not in page


def test_p5_while_a_backend_is_away_the_flag_does_not_say_missing(shop):
    with_both = {"placements": [rs.Placement("originals/{path...}", backends=["aws", "gcp"])]}
    fs = shop.open(degraded=RULES, **with_both)
    fs.write(CAT, ONE)
    fs.write("previews/cat.jpg", ONE)
    shop.lose("aws", "gcp")
    report = rs.damage_report(shop.open(degraded=RULES, **with_both))
    assert paths(report.unreachable) == [CAT]
    assert "Original missing" not in report.to_html()
    assert "Original not to be had at the moment" in report.to_html()


def test_more_pictures_than_asked_for_are_counted(lost, monkeypatch):
    monkeypatch.setattr(page_of, "AT_ONCE", 1)
    page = rs.damage_report(lost).to_html(pictures=1)
    assert len(shown(page)) == 1
    assert "Pictures that are left and not shown, so that this page stays small: 3." in page


@pytest.mark.parametrize(("limit", "left_out"), [("LARGEST_BYTES", 3), ("ALL_BYTES", 2)])
def test_pictures_beyond_a_size_are_counted(lost, monkeypatch, limit, left_out):
    """One of them takes 200 kB in a page, and three take 400 kB."""
    sizes = {"LARGEST_BYTES": 200_000, "ALL_BYTES": 800_000}
    monkeypatch.setattr(pictures, limit, sizes[limit])
    page = rs.damage_report(lost).to_html()
    assert len(shown(page)) == 4 - left_out
    assert f"stays small: {left_out}." in page


def test_a_picture_that_went_meanwhile_or_is_none_is_counted(lost, shop):
    lost.write("originals/5.jpg", ONE)
    lost.write("previews/5.jpg", ONE, content_type="image/svg+xml")
    lose_everywhere(lost, shop, "originals/5.jpg")
    report = rs.damage_report(lost)
    lost.rm("previews/1.jpg")
    page = report.to_html()
    assert len(shown(page)) == 3
    assert "Pictures that are left and could not be shown: 2." in page


def test_a_report_from_a_file_shows_no_picture_and_says_so(lost):
    report = rs.DamageReport.from_json(rs.damage_report(lost).to_json())
    page = report.to_html()
    assert shown(page) == []
    assert "Pictures are left, and not shown: this report was read from a file." in page


def test_what_is_at_risk_has_no_flag(shop):
    fs = shop.open(("aws",), degraded=RULES, write=rs.WriteToAll())
    fs.write(CAT, ONE)
    fs.write(DOG, ONE)
    report = rs.damage_report(shop.open(("aws", "gcp"), degraded=RULES, write=rs.WriteToAll()))
    assert paths(report.at_risk) == [CAT, DOG]
    assert 'class="flag"' not in report.to_html()


@pytest.mark.parametrize(
    ("restored", "kind", "is_told"),
    [(None, "lost", False), (AT, "lost", True), (AT, "at_risk", False)],
)
def test_after_a_restore_what_is_lost_may_have_been_deleted(restored, kind, is_told):
    one = DamagedObject(path="cat.jpg", kind=kind, since=AT, size=3)
    report = report_of([one], restored_at=restored)
    assert ["itself lost" in text for text in (str(report), report.to_html())] == [is_told] * 2
