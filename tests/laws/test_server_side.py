"""Which replica a platform may copy by itself, and between which backends one account can."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.backends.contract import RefusedError, RootMissingError, UnknownOutcomeError
from resilient_store.backends.families.realm import about_copy, realm_of
from resilient_store.backends.families.s3_copies import part_bytes_of
from resilient_store.io.catalogued.server_side import source_for
from resilient_store.model.state import OWN, Content, Entry, Record, Replica, State

NAMES = ("east", "north", "west")
MIB = 1024 * 1024

rows = st.builds(
    Replica,
    backend=st.just("?"),
    version=st.sampled_from([1, 2]),
    state=st.sampled_from(list(State)),
    place=st.sampled_from([OWN, "2-7", None]),
    looked=st.booleans(),
    tag=st.sampled_from([None, "tag"]),
)
records = st.builds(
    lambda rows, kind: Record(
        path="p",
        entry=Entry(path="p", version=2, content=Content(size=1, kind=kind, checksum="c")),
        replicas={n: attrs.evolve(row, backend=n) for n, row in rows.items()},
    ),
    st.dictionaries(st.sampled_from(NAMES), rows),
    st.sampled_from(["chunked", "native", "none"]),
)
realms = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["", "one", "other"]))
pairs = st.sets(st.tuples(st.sampled_from(NAMES), st.just("west")))


@given(records, realms, pairs)
def test_p4_only_what_this_store_knows_by_its_tag_is_copied(record, realms, declined):
    """Whatever is chosen meets every condition, and one is chosen wherever one meets them."""

    def fits(row: Replica) -> bool:
        is_own = row.backend != "west" and row.state is State.GOOD and row.version == 2
        is_known = row.place == OWN and row.looked and row.tag == "tag"
        is_alike = realms.get(row.backend, "") == realms.get("west", "") != ""
        return is_own and is_known and is_alike and (row.backend, "west") not in declined

    chunked = record.entry.content.kind == "chunked"
    fitting = [row for row in record.replicas.values() if chunked and fits(row)]
    chosen = source_for(record, "west", realms, declined)
    assert chosen in fitting if fitting else chosen is None


def test_nothing_is_copied_of_what_was_deleted():
    row = Replica(backend="east", version=2, state=State.GOOD, place=OWN, looked=True, tag="tag")
    buried = Record(
        path="p", entry=Entry(path="p", version=2, content=None), replicas={"east": row}
    )
    assert source_for(buried, "west", dict.fromkeys(NAMES, "one"), ()) is None


OPTIONS = {"key": "me", "secret": "hush", "endpoint_url": "http://here"}


@pytest.mark.parametrize(
    ("changed", "alike"),
    [
        ({"client_kwargs": {"region_name": "eu-west-1"}}, True),
        ({"asynchronous": True, "skip_instance_cache": True, "session": None}, True),
        ({"key": "you"}, False),
        ({"secret": "loud"}, False),
        ({"endpoint_url": "http://there"}, False),
        ({"client_kwargs": {"region_name": "eu-west-1", "verify": False}}, False),
        ({"token": object()}, False),
    ],
)
def test_alike_is_who_asks_the_same_with_the_same_proof(changed, alike):
    mine, others = (realm_of(dict, (), {**OPTIONS, **more}) for more in ({}, changed))
    assert (mine == others) is alike
    assert "hush" not in mine


def test_another_class_or_another_argument_is_another_account():
    marks = {
        realm_of(dict, (), OPTIONS),
        realm_of(list, (), OPTIONS),
        realm_of(dict, (1,), OPTIONS),
    }
    assert len(marks) == 3


@given(st.integers(1, 20 * 1024 * MIB), st.sampled_from([8 * MIB, 512 * MIB]))
def test_an_upload_of_this_library_is_copied_in_its_own_parts(size, length):
    count = -(-size // length)
    found = part_bytes_of(f"{'a' * 32}-{count}", size)
    assert found is not None
    assert -(-size // found) == count


def test_only_a_clear_no_is_a_refusal():
    assert isinstance(about_copy(PermissionError(13, "no")), RefusedError)
    assert isinstance(about_copy(RootMissingError()), RefusedError)
    late = UnknownOutcomeError()
    assert about_copy(late) is late
