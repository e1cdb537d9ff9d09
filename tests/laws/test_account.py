"""What lies at an own key is ours exactly when something says so; else it is kept, not replaced."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resilient_store.model.info import Headers, ObjectInfo
from resilient_store.model.state import Content, Entry, Intent, Record, Replica, State, Void
from resilient_store.protocol.account import (
    CHECKSUM_KEY,
    VERSION_KEY,
    Verdict,
    described_checksum,
    described_version,
    is_all_remembered,
    verdict,
    verdict_of_bytes,
)
from tests.laws.records import PATH, names, records, replicas, tags

stated_checksums = st.sampled_from([None, "", "c1", "c2", "c3", "theirs"])
stated_versions = st.sampled_from([None, "", "1", "2", "3", "v2", "²", "-2", " 2", "9" * 5000])


def described(checksum, version, **info):
    """Return what a look tells of an object that states this of itself."""
    said = {CHECKSUM_KEY: checksum, VERSION_KEY: version, "colour": "red"}
    metadata = {key: value for key, value in said.items() if value is not None}
    return ObjectInfo(key=PATH, headers=Headers(metadata=metadata), **info)


infos = st.builds(
    described, stated_checksums, stated_versions, size=st.integers(0, 2), tag=tags
) | st.builds(ObjectInfo, key=st.just(PATH), size=st.integers(0, 2), tag=tags)

ENTRY = Entry(path=PATH, version=4, content=Content(size=1, checksum="c1"), past=("c2",))
INTENT = Intent(id=9, version=7, kind="write", token="7-7", checksum="c4")
RECORD = Record(path=PATH, entry=ENTRY, voids=(Void(id=1, checksum="c3"),), intent=INTENT)
UNLOOKED = Replica(backend="aws", looked=False, tag="t1")


def says(info):
    return (described_checksum(info), described_version(info))


# --- the verdict of a look ----------------------------------------------------------------


@given(records(), names.flatmap(replicas), infos)
def test_r9_ours_exactly_when_remembered_or_described_as_written_by_this_store(record, row, info):
    checksum, version = says(info)
    remembered = row.looked and row.tag is not None and row.tag == info.tag
    known = set(record.checksums)
    if record.intent is not None and record.intent.checksum:
        known.add(record.intent.checksum)
    by_intent = record.intent is not None and version == record.intent.version
    judged = verdict(record, row, info)
    assert (judged is Verdict.OURS) is (remembered or checksum in known or by_intent)
    if judged is not Verdict.OURS:
        assert judged is (Verdict.UNSURE if known else Verdict.FOREIGN)


@given(records(), names.flatmap(replicas))
def test_r9_an_empty_key_is_nobodys(record, row):
    assert verdict(record, row, None) is Verdict.EMPTY


@given(records(), names.flatmap(replicas), infos)
def test_r9_a_folder_was_never_written_by_this_store(record, row, info):
    assert verdict(record, row, attrs.evolve(info, directory=True)) is Verdict.FOREIGN


@pytest.mark.parametrize(
    ("row", "tag", "ours"),
    [
        (Replica(backend="aws", looked=True, tag="t1"), "t1", True),
        (Replica(backend="aws", looked=True, tag="t1"), "t2", False),
        (Replica(backend="aws", looked=True, tag=None), None, False),
        (Replica(backend="aws", looked=False, tag="t1"), "t1", False),
    ],
    ids=["remembered", "another", "none remembered", "never looked at"],
)
def test_r9_what_was_looked_at_is_known_again_by_its_tag_and_by_nothing_less(row, tag, ours):
    info = ObjectInfo(key=PATH, size=1, tag=tag)
    assert verdict(RECORD, row, info) is (Verdict.OURS if ours else Verdict.UNSURE)
    assert verdict(Record(path=PATH), row, info) is (Verdict.OURS if ours else Verdict.FOREIGN)


@pytest.mark.parametrize("checksum", ["c1", "c2", "c3", "c4"])
def test_r9_present_past_failed_and_intended_contents_are_ours_by_their_own_word(checksum):
    assert verdict(RECORD, UNLOOKED, described(checksum, None)) is Verdict.OURS


@pytest.mark.parametrize(
    ("checksum", "version"), [("c5", None), ("", "4"), (None, "9"), (None, "")]
)
def test_r9_any_other_word_is_not_enough(checksum, version):
    """Not even the current version's number: whoever copies metadata copies that too."""
    assert verdict(RECORD, UNLOOKED, described(checksum, version)) is Verdict.UNSURE


def test_r11_a_streams_bytes_are_known_by_the_version_that_they_carry():
    """Its checksum is not known before it ends, so a crash leaves nothing else to go by."""
    stream = attrs.evolve(INTENT, checksum="")
    record = Record(path=PATH, intent=stream)
    assert verdict(record, UNLOOKED, described(None, "7")) is Verdict.OURS
    assert verdict(record, UNLOOKED, described("c9", "7")) is Verdict.OURS
    for unknown in (described("", None), described(None, "8"), ObjectInfo(key=PATH, size=1)):
        assert verdict(record, UNLOOKED, unknown) is Verdict.FOREIGN


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (Record(path=PATH), Verdict.FOREIGN),
        (Record(path=PATH, entry=ENTRY), Verdict.UNSURE),
        (Record(path=PATH, voids=(Void(id=1, checksum="c3"),)), Verdict.UNSURE),
        (Record(path=PATH, voids=(Void(id=1),)), Verdict.FOREIGN),
        (Record(path=PATH, intent=INTENT), Verdict.UNSURE),
        (Record(path=PATH, intent=attrs.evolve(INTENT, checksum="")), Verdict.FOREIGN),
    ],
    ids=["nothing", "entry", "void", "void of a stream", "intent", "intent of a stream"],
)
def test_r9_bytes_are_read_and_hashed_exactly_when_there_is_a_checksum_to_compare(record, expected):
    assert verdict(record, UNLOOKED, ObjectInfo(key=PATH, size=1, tag="t9")) is expected


# --- the verdict of the bytes -------------------------------------------------------------


@given(records(), st.sampled_from(["c1", "c2", "c3", "c4"]))
def test_r9_bytes_are_ours_exactly_when_their_checksum_is_known_or_intended(record, checksum):
    intended = record.intent is not None and record.intent.checksum == checksum
    ours = checksum in record.checksums or intended
    assert verdict_of_bytes(record, checksum) is (Verdict.OURS if ours else Verdict.FOREIGN)


# --- what an object says of itself --------------------------------------------------------


@given(stated_checksums, stated_versions)
@example("c1", "7")
def test_r18_an_objects_own_word_is_read_and_other_peoples_words_are_let_be(checksum, version):
    expected = int(version) if version in {"1", "2", "3", "7"} else None
    assert says(described(checksum, version)) == (checksum or None, expected)


def test_an_object_without_metadata_says_nothing():
    assert says(ObjectInfo(key=PATH, size=1)) == (None, None)
    assert says(ObjectInfo(key=PATH, size=1, headers=Headers())) == (None, None)


def test_a_version_as_large_as_a_database_can_hold_is_read():
    assert described_version(described(None, str(2**63 - 1))) == 2**63 - 1


@given(records(), st.dictionaries(names, infos, max_size=3))
def test_a_known_object_is_passed_over_exactly_where_nothing_else_is_listed(record, listed):
    """By tag, wherever it is listed; and by size, where the current version lies."""
    holders = {row.backend for row in record.holders()}
    expected = all(
        (row := record.replica(name)).looked
        and row.tag is not None
        and row.tag == info.tag
        and (name not in holders or info.size == record.present.content.size)
        for name, info in listed.items()
    )
    assert is_all_remembered(record, listed) is expected


@pytest.mark.parametrize(
    ("version", "size", "passed_over"),
    [(4, 1, True), (4, 2, False), (3, 2, True)],
    ids=["as it is", "cut short", "of an older version"],
)
def test_a_known_tag_is_not_enough_where_the_current_version_lies_in_another_size(
    version, size, passed_over
):
    row = Replica(backend="aws", version=version, state=State.GOOD, looked=True, tag="t1")
    listed = {"aws": ObjectInfo(key=PATH, size=size, tag="t1")}
    assert is_all_remembered(RECORD.with_replicas(row), listed) is passed_over


def test_of_a_deleted_object_the_tag_is_enough():
    row = Replica(backend="aws", version=4, state=State.STALE, looked=True, tag="t1")
    gone = Record(path=PATH, entry=attrs.evolve(ENTRY, content=None)).with_replicas(row)
    assert is_all_remembered(gone, {"aws": ObjectInfo(key=PATH, size=9, tag="t1")})
    assert not is_all_remembered(gone, {"aws": ObjectInfo(key=PATH, size=9, tag="t2")})
