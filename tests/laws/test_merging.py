"""Sorted listings become one in order, however they are cut into pages and whoever is quicker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.info import ObjectInfo
from resilient_store.protocol.merging import Merging

KEYS = st.sampled_from(["A", "a", "a-b", "a/b", "b", "é", "\uff5e", "🎈"])
NAMES = ("aws", "gcp", "azure")
LISTINGS = st.dictionaries(st.sampled_from(NAMES), st.sets(KEYS), min_size=1)


def infos(keys):
    return [ObjectInfo(key=key, size=len(key)) for key in sorted(keys)]


def walked(listings, data):
    """Feed pages of any size, those that are wanted; return all that was ready, in turn."""
    merging = Merging(listings)
    left = {name: infos(keys) for name, keys in listings.items()}
    found, held = [], 0
    while wanted := merging.wanted():
        for name in wanted:
            size = data.draw(st.sampled_from([3, 2, 1, 0]))
            page, left[name] = left[name][:size], left[name][size:]
            merging.take(name, page, ended=not left[name] and not data.draw(st.booleans()))
        found += merging.ready()
        held = sum(len(one.waiting) for one in merging._listings.values())
        assert held <= 3 * len(listings)
    assert held == 0
    return found


@given(LISTINGS, st.data())
def test_every_key_comes_once_in_order_with_all_who_list_it(listings, data):
    expected = {
        key: {
            name: ObjectInfo(key=key, size=len(key)) for name in listings if key in listings[name]
        }
        for key in sorted(set().union(*listings.values()), key=str.encode)
    }
    found = walked(listings, data)
    assert found == list(expected.items())
    assert [list(words) for _, words in found] == [list(words) for words in expected.values()]


@given(LISTINGS, st.data())
def test_nobody_is_asked_who_has_come_further_than_another(listings, data):
    merging = Merging(listings)
    reach = dict.fromkeys(listings, "")
    left = {name: infos(keys) for name, keys in listings.items()}
    while wanted := merging.wanted():
        assert {reach[name] for name in wanted} == {min(reach[name] for name in left)}
        name = data.draw(st.sampled_from(wanted))
        page, left[name] = left[name][:1], left[name][1:]
        reach[name] = page[0].key if page else reach[name]
        merging.take(name, page, ended=not left[name])
        if not left[name]:
            del left[name]
        merging.ready()
    assert not left


@given(LISTINGS, KEYS)
def test_listings_may_begin_in_the_middle(listings, after):
    merging = Merging(listings, after)
    for name, keys in listings.items():
        merging.take(name, infos(key for key in keys if key > after), ended=True)
    expected = sorted({key for keys in listings.values() for key in keys if key > after})
    assert [key for key, _ in merging.ready()] == expected
    assert (merging.ready(), merging.wanted()) == ([], ())


def test_pages_that_come_before_anything_is_handed_out_add_up():
    merging = Merging(["aws", "gcp"])
    merging.take("aws", infos("A"), ended=False)
    assert merging.ready() == []  # the other may have it too
    merging.take("aws", infos("b"), ended=True)
    merging.take("gcp", infos("A"), ended=True)
    found = [(key, list(words)) for key, words in merging.ready()]
    assert found == [("A", ["aws", "gcp"]), ("b", ["aws"])]
