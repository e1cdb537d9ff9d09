"""Every error says what was asked, what each backend said, what to do; and shows no secret."""

from __future__ import annotations

import copy
import errno
import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_store import errors
from resilient_store.errors import (
    BackendsUnavailableError,
    BlankObjectError,
    CatalogUnavailableError,
    ConfigurationError,
    InvalidPathError,
    MissingExtraError,
    ObjectError,
    ResilientStoreError,
    StoreIdentityError,
    UnsupportedOperationError,
)
from resilient_store.model.outcome import Outcome, Reply

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, ResilientStoreError)
]
OF_OBJECTS = [kind for kind in ALL if issubclass(kind, ObjectError)]
PLAIN = [kind for kind in ALL if not issubclass(kind, ObjectError)]

replies = st.lists(
    st.builds(
        Reply,
        st.sampled_from(["aws", "gcp", "azure"]),
        st.sampled_from(Outcome),
        st.just("CANARY") | st.none(),
        st.sampled_from(["", "ClientError 503"]),
        st.booleans(),
    ),
    max_size=3,
)
paths = st.text(st.characters(codec=None, categories=None), max_size=8)
notes = st.sampled_from(["", "gcp was left with the older bytes."])
failures = st.lists(st.sampled_from(["a", "b", "c"]), max_size=7)


@st.composite
def object_errors(draw):
    kind = draw(st.sampled_from(OF_OBJECTS))
    return kind(draw(paths), draw(replies), draw(notes), draw(failures))


def test_there_are_errors_to_look_at():
    assert len(OF_OBJECTS) == 11
    assert len(PLAIN) == 5


def test_the_codes_are_these_for_ever():
    assert sorted(kind.code for kind in ALL) == [
        "backends-unavailable",
        "blank-object",
        "catalog-unavailable",
        "concurrent-write",
        "configuration",
        "insufficient-copies",
        "integrity",
        "invalid-path",
        "missing-extra",
        "object",
        "object-changed",
        "original-missing",
        "resilient-store",
        "store-frozen",
        "store-identity",
        "unsupported-operation",
    ]


@pytest.mark.parametrize("kind", ALL)
def test_p5_none_is_taken_for_never_written(kind):
    assert not issubclass(kind, (FileNotFoundError, KeyError, LookupError))
    assert issubclass(kind, ResilientStoreError)
    assert type(kind("a")) is kind, "an errno must not turn it into another class"


@given(object_errors())
def test_they_cross_processes_whole(error):
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        for name in ("path", "replies", "note", "failed", "errno", "filename", "args"):
            assert getattr(again, name) == getattr(error, name)


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_ones_cross_processes_too(kind):
    again = pickle.loads(pickle.dumps(kind("say this")))
    assert (type(again), str(again)) == (kind, "say this")


@given(object_errors())
def test_the_text_names_the_path_each_backends_word_and_what_to_do(error):
    text = str(error)
    about = f"{error.path!r}: " if error.path else ""
    assert text.startswith(f"{about}{error.summary}")
    said = "; ".join(reply.words() for reply in error.replies)
    assert (f" ({said})" in text) if said else " ()" not in text
    assert error.advice in text
    assert error.note.rstrip(".") in text
    assert text.endswith(".")
    assert not text.endswith("..")


@given(object_errors())
def test_paths_that_failed_are_counted_when_there_are_several(error):
    counted = f"{len(error.failed)} paths failed: {', '.join(map(repr, error.failed[:5]))}"
    text = str(error)
    assert (counted in text) is (len(error.failed) > 1)
    assert (" more." in text or " more. " in text) is (len(error.failed) > 5)
    if len(error.failed) > 5:
        assert f" and {len(error.failed) - 5} more" in text


@given(object_errors())
def test_programs_find_number_and_name_where_the_system_puts_them(error):
    assert isinstance(error, OSError)
    assert error.filename == error.path
    assert error.errno == type(error).number
    assert error.strerror == error.summary


def test_the_numbers_that_mean_something():
    numbers = {kind.code: kind.number for kind in OF_OBJECTS if kind.number != errno.EIO}
    assert numbers == {
        "concurrent-write": errno.EBUSY,
        "object-changed": errno.ESTALE,
        "store-frozen": errno.EROFS,
        "blank-object": errno.EINVAL,
        "invalid-path": errno.EINVAL,
    }


@given(object_errors())
def test_what_backends_brought_is_not_in_it(error):
    assert all(reply.value is None for reply in error.replies)
    assert b"CANARY" not in pickle.dumps(error)
    assert "CANARY" not in str(error) + repr(error)


def test_their_places_among_the_builtin_ones():
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(MissingExtraError, ConfigurationError)
    assert issubclass(StoreIdentityError, ConfigurationError)
    assert issubclass(InvalidPathError, ValueError)
    assert issubclass(BlankObjectError, ValueError)
    assert issubclass(UnsupportedOperationError, NotImplementedError)
    assert issubclass(CatalogUnavailableError, BackendsUnavailableError)
    values = {kind for kind in OF_OBJECTS if issubclass(kind, ValueError)}
    assert values == {InvalidPathError, BlankObjectError}
    assert not any(issubclass(kind, OSError) for kind in PLAIN)


@pytest.mark.parametrize(
    ("given_options", "text"),
    [
        ({}, "'a': the call failed."),
        ({"path": "", "note": "See plan X."}, "the call failed. See plan X."),
        ({"note": "See plan X"}, "'a': the call failed. See plan X."),
        (
            {"replies": [Reply("aws", Outcome.TIMED_OUT, None)]},
            "'a': the call failed (aws: timed out).",
        ),
        ({"failed": "xy"}, "'a': the call failed. 2 paths failed: 'x', 'y'."),
        (
            {"failed": "vwxyz"},
            "'a': the call failed. 5 paths failed: 'v', 'w', 'x', 'y', 'z'.",
        ),
        (
            {"failed": "tuvwxyz"},
            "'a': the call failed. 7 paths failed: 't', 'u', 'v', 'w', 'x' and 2 more.",
        ),
    ],
)
def test_the_whole_text(given_options, text):
    assert str(ObjectError(**{"path": "a", **given_options})) == text
