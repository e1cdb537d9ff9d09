"""Ten outcomes, and a reply that says itself without showing what it brought."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.outcome import Outcome, Reply

replies = st.builds(
    Reply,
    st.sampled_from(["aws", "gcp"]),
    st.sampled_from(Outcome),
    st.none() | st.just("CANARY"),
    st.sampled_from(["", "ClientError 503"]),
    st.booleans(),
)


def test_there_are_ten_and_each_says_its_own_words():
    assert len(Outcome) == len({outcome.value for outcome in Outcome}) == 10


def test_four_of_them_say_something_true_of_the_object():
    answers = {outcome for outcome in Outcome if outcome.answers}
    assert answers == {Outcome.OK, Outcome.NOT_FOUND, Outcome.EXISTS, Outcome.REFUSED}


@given(replies)
def test_ok_is_exactly_ok(reply):
    assert reply.ok is (reply.outcome is Outcome.OK)


@given(replies)
def test_its_words_name_the_backend_the_outcome_and_the_detail(reply):
    said = "empty" if reply.blank else reply.outcome.value
    detail = f" ({reply.detail})" if reply.detail else ""
    assert reply.words() == f"{reply.backend}: {said}{detail}"


@given(replies)
def test_what_it_brought_is_never_shown_and_left_behind_on_the_way_out(reply):
    assert "CANARY" not in repr(reply) + reply.words()
    bare = reply.bare()
    assert bare.value is None
    assert (bare.backend, bare.outcome, bare.detail, bare.blank) == (
        *(reply.backend, reply.outcome),
        *(reply.detail, reply.blank),
    )
    assert pickle.loads(pickle.dumps(bare)) == bare


@pytest.mark.parametrize("outcome", Outcome)
def test_by_itself_a_reply_brings_nothing_and_is_not_blank(outcome):
    assert Reply("aws", outcome) == Reply("aws", outcome, None, "", blank=False)
