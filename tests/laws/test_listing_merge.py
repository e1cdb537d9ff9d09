"""Several listings become one: nothing is left out unsaid, and nothing of the store's own shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.info import ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.protocol.listing import best, merge

KEYS = ["b", "a", "d/c", ".resilient", ".resilient/x", "d/.resilient-1", ".resilientx"]
HIDDEN = {".resilient", ".resilient/x", "d/.resilient-1"}
NAMES = ["gcp", "aws", "disk"]


@st.composite
def infos(draw):
    return ObjectInfo(
        key=draw(st.sampled_from(KEYS)),
        size=draw(st.none() | st.integers(0, 2)),
        directory=draw(st.booleans()),
    )


@st.composite
def listings(draw):
    order = draw(st.permutations(NAMES))[: draw(st.integers(1, 3))]
    replies = {}
    for name in order:
        outcome = draw(st.sampled_from(Outcome))
        listed = draw(st.lists(infos(), max_size=4, unique_by=lambda info: info.key))
        replies[name] = Reply(name, outcome, listed if outcome is Outcome.OK else None)
    return order, draw(st.lists(st.sampled_from(NAMES), unique=True)), replies


@given(listings())
def test_the_union_of_what_is_not_hidden_sorted_and_in_order(listing):
    order, holds_all, replies = listing
    merged = merge(order, holds_all, replies)
    listed = [(info.key, n, info) for n in order for info in replies[n].value or ()]
    assert list(merged.entries) == sorted({key for key, _, _ in listed} - HIDDEN)
    for key, words in merged.entries.items():
        assert list(words.items()) == [(n, info) for k, n, info in listed if k == key]


@given(listings())
def test_p5_exactly_who_could_hold_more_is_missing(listing):
    order, holds_all, replies = listing
    merged = merge(order, holds_all, replies)
    spoke = {n for n in order if replies[n].outcome in (Outcome.OK, Outcome.NOT_FOUND)}
    silent = tuple(n for n in order if n not in spoke)
    assert merged.missing == (() if spoke & set(holds_all) else silent)


@given(listings())
def test_p5_a_directory_is_absent_exactly_when_nobody_can_have_it(listing):
    order, holds_all, replies = listing
    said = {n: replies[n].outcome for n in order}
    somebody = Outcome.OK in said.values()
    certain = set(said.values()) == {Outcome.NOT_FOUND} or any(
        said.get(n) is Outcome.NOT_FOUND for n in holds_all
    )
    assert merge(order, holds_all, replies).absent is (certain and not somebody)


@given(st.dictionaries(st.sampled_from(NAMES), infos(), min_size=1))
def test_an_empty_word_counts_only_where_nobody_has_bytes(words):
    name, info = best(words)
    assert words[name] is info
    full = [n for n, said in words.items() if not said.directory and said.size != 0]
    folders = [n for n, said in words.items() if said.directory]
    assert name == (full or folders or list(words))[0]


@given(listings(), st.sampled_from(NAMES))
def test_p5_who_was_not_waited_for_is_as_one_that_did_not_answer(listing, name):
    order, holds_all, replies = listing
    timed_out = {name: Reply(name, Outcome.TIMED_OUT)}
    without = {n: reply for n, reply in replies.items() if n != name}
    assert merge(order, holds_all, without) == merge(order, holds_all, replies | timed_out)


@given(st.permutations([("a", True), ("a", False), ("b", True), ("c", False)]))
def test_of_an_object_that_is_a_directory_too_the_object_is_kept_and_it_is_said(listed):
    """Whichever of the two a backend lists first."""
    infos = [ObjectInfo(key=key, directory=directory) for key, directory in listed]
    merged = merge(("a",), (), {"a": Reply("a", Outcome.OK, infos)})
    kinds = {key: words["a"].directory for key, words in merged.entries.items()}
    assert kinds == {"a": False, "b": True, "c": False}
    assert merged.twofold == {"a"}


def test_whoever_says_nothing_and_whatever_is_hidden_is_passed_over_and_no_more():
    some = [ObjectInfo(key=key, size=1) for key in (".resilient-x", "a")]
    replies = {"aws": Reply("aws", Outcome.TIMED_OUT), "gcp": Reply("gcp", Outcome.OK, some)}
    merged = merge(("disk", "aws", "gcp"), (), replies)
    assert merged.entries == {"a": {"gcp": some[1]}}
    assert merged.missing == ("disk", "aws")


def test_a_directory_counts_before_an_empty_object_that_only_one_backend_has():
    blank, folder = ObjectInfo(key="a", size=0), ObjectInfo(key="a", directory=True)
    for words in ({"aws": blank, "gcp": folder}, {"gcp": folder, "aws": blank}):
        assert best(words) == ("gcp", folder)
