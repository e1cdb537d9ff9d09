"""Headers travel unchanged; what a write does not give is taken from what was there before."""

from __future__ import annotations

import pickle

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.model.info import Body, Headers, ObjectInfo

FIELDS = ["content_type", "cache_control", "content_disposition", "content_encoding", "metadata"]
values = st.none() | st.sampled_from(["image/jpeg", "no-cache", "x"])
headers = st.builds(
    Headers,
    **dict.fromkeys(FIELDS[:-1], values),
    metadata=st.none() | st.dictionaries(st.sampled_from("ab"), st.text(max_size=2)),
)


@given(headers)
def test_headers_cross_processes(given_headers):
    again = pickle.loads(pickle.dumps(given_headers))
    assert again == given_headers
    assert hash(again) == hash(given_headers)


@given(headers)
def test_a_write_takes_what_headers_are_made_of(given_headers):
    plain = given_headers.as_dict()
    assert list(plain) == FIELDS
    assert type(plain["metadata"]) is dict
    assert Headers.given(plain) == given_headers


def test_a_write_refuses_any_other_argument_and_names_those_there_are():
    with pytest.raises(TypeError, match="no argument 'mime'; it takes content_type, cache_control"):
        Headers.given({"content_type": "x", "mime": "x"})


@pytest.mark.parametrize(
    ("given_options", "words"),
    [
        ({"content_type": 7}, "content_type must be text, and 7 is a int"),
        ({"metadata": {"a": 7}}, "metadata must be text, and 7 is a int"),
        ({"metadata": {b"a": "x"}}, "metadata must be text, and b'a' is a bytes"),
        ({"metadata": "x"}, "metadata must be a mapping of text to text, and is 'x'"),
    ],
)
def test_a_write_refuses_what_is_no_text(given_options, words):
    with pytest.raises(TypeError) as caught:
        Headers.given(given_options)
    assert str(caught.value) == words


@given(headers, st.none() | headers)
def test_what_was_given_wins_and_the_rest_stays(given_headers, earlier):
    over = given_headers.over(earlier, "no-ending")
    before = earlier or Headers()
    for name in FIELDS:
        assert getattr(over, name) == (getattr(given_headers, name) or getattr(before, name))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/cat.jpg", "image/jpeg"),
        ("a/cat", None),
        ("a.jpg/cat", None),
        ("x.unheard-of", None),
        ("x.csv.gz", None),
    ],
)
def test_the_ending_is_the_last_to_be_asked(path, expected):
    assert Headers().over(None, path).content_type == expected
    assert Headers().over(Headers(content_type="x/y"), path).content_type == "x/y"
    assert Headers(content_type="x/z").over(Headers(content_type="x/y"), path).content_type == "x/z"


@given(st.text(max_size=10))
def test_any_path_has_a_type_or_none(path):
    Headers().over(None, path)


def test_metadata_cannot_be_changed_from_outside():
    given_metadata = {"a": "1"}
    kept = Headers(metadata=given_metadata)
    given_metadata["a"] = "2"
    assert kept.metadata == {"a": "1"}
    with pytest.raises(TypeError):
        kept.metadata["a"] = "2"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        kept.content_type = "x"


@given(st.none() | st.integers(0, 2), st.booleans())
def test_blank_is_exactly_an_object_of_no_bytes(size, directory):
    info = ObjectInfo(key="a", size=size, directory=directory)
    assert info.blank is (size == 0 and not directory)


def test_a_body_does_not_show_its_bytes():
    assert "CANARY" not in repr(Body(data=b"CANARY", size=6))
