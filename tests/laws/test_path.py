"""One spelling for one object; what some platform would read differently is refused on all."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resilient_store.model.path import (
    LONGEST_BYTES,
    above,
    is_hidden,
    join,
    parent,
    problem,
    strip_protocol,
)

# Texts in which everything that matters is likely, lone surrogates included.
LOOKS = ["a", "b.jpg", ".", "..", "...", "", " ", "C:", "x::$DATA", "%2e%2e", "file:", "http://h"]
SIGNS = ["é", "e\u0301", "😀", "\u2028", "\ud800", "\\", "\x00", "\x1f", "\x7f", "\x9f"]
OURS = [".resilient", ".resilient-x", ".resilientx", ".Resilient", "x.resilient-", "resilient::"]
pieces = st.sampled_from([*LOOKS, *SIGNS, *OURS, "resilient:"])
signs = st.characters(codec=None, categories=None)
paths = st.lists(pieces, max_size=5).map("/".join) | st.text(signs, max_size=8)
urls = st.tuples(
    st.lists(st.sampled_from(["resilient://", "resilient::", "/", "//"]), max_size=4).map("".join),
    paths,
).map("".join)


def acceptable(key):
    """Say it again in other words: the definition of a key."""
    try:
        encoded = key.encode("utf-8")
    except UnicodeError:
        return False
    if key == "":
        return True
    return (
        len(encoded) <= LONGEST_BYTES
        and "\\" not in key
        and not any(unicodedata.category(sign) == "Cc" for sign in key)
        and not any(part in {"", ".", ".."} for part in key.split("/"))
        and not key.startswith(".resilient/")
        and key != ".resilient"
        and "/.resilient-" not in f"/{key}"
    )


@given(urls)
@example("resilient://resilient://x")
@example("/resilient::resilient://x")
def test_stripping_twice_is_stripping_once(path):
    once = strip_protocol(path)
    assert strip_protocol(once) == once


@given(urls)
def test_what_is_stripped_is_the_protocol_and_slashes_around_it(path):
    stripped = strip_protocol(path)
    assert path.rstrip("/").endswith(stripped)
    front = path.rstrip("/").removesuffix(stripped)
    assert front.replace("resilient://", "").replace("resilient::", "").strip("/") in {
        "",
        "resilient:",  # the rest of a protocol whose slashes were all there was
    }
    assert not stripped.startswith(("/", "resilient://", "resilient::"))
    assert not stripped.endswith("/")


@pytest.mark.parametrize("path", ["a/b", "/a/b", "a/b/", "resilient://a/b", "resilient:///a/b/"])
def test_five_spellings_of_one_key(path):
    assert strip_protocol(path) == "a/b"
    assert strip_protocol(path.replace("a/b", "X/a/X")) == "X/a/X"


@given(paths.map(strip_protocol))
def test_exactly_these_keys_are_accepted(key):
    assert (problem(key) is None) is acceptable(key)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20))
def test_ordinary_names_are_accepted_as_they_are(name):
    key = strip_protocol(name)
    if not set(key) & {"\\", "/"} and key not in {".", "..", ".resilient"}:
        hidden = key.startswith(".resilient-")
        assert (problem(key) is None) is not hidden


@given(st.integers(LONGEST_BYTES - 3, LONGEST_BYTES + 3), st.sampled_from("aé€😀"))
def test_length_counts_in_bytes(length, sign):
    width = len(sign.encode())
    key = sign * (length // width) + "a" * (length % width)
    assert (problem(key) is None) is (length <= LONGEST_BYTES)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (
            "http://h/x",
            "it is a URL of another protocol; give the path inside this store alone",
        ),
        (
            "s3+x.y-z://h",
            "it is a URL of another protocol; give the path inside this store alone",
        ),
        ("a\nb", "it holds a control character; remove it"),
        ("a\\b", "it holds a backslash, which is a separator on some platforms; use '/'"),
        ("a\udc80", "it is not valid Unicode (a lone surrogate); decode the name properly"),
        ("a" * 900, "it is 900 bytes long; no more than 896 can be stored"),
        ("a//b", "it has an empty part ('//'); remove one slash"),
        ("a/../b", "it has a part '.' or '..'; give the path without it"),
        (".", "it has a part '.' or '..'; give the path without it"),
        (".resilient/store.json", "'.resilient/' is the store's own area; choose another name"),
        (
            "a/.resilient-x",
            "names that begin with '.resilient-' are the store's own; choose another name",
        ),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_to_change(key, words):
    assert problem(key) == words


@pytest.mark.parametrize("key", ["../secret", "a/../../secret", "./a", "a/./b", "a\\..\\b", ".."])
def test_dot_dot_climbs_out_of_the_root(key):
    assert problem(strip_protocol(key))


@pytest.mark.parametrize(
    "key", ["C:/x", "x::$DATA", "file:x", "%2e%2e/x", "...", "a/..b", "a..", ".a", "a/.b", "a:b"]
)
def test_what_only_looks_dangerous_is_kept_as_it_is(key):
    assert problem(key) is None
    assert strip_protocol(key) == key


# --- the store's own area -----------------------------------------------------------------


@given(paths.map(strip_protocol))
def test_hidden_is_exactly_what_is_refused_as_the_stores_own(key):
    said = problem(key) or ""
    if "store's own" in said:
        assert is_hidden(key)
    if is_hidden(key):
        assert said


@pytest.mark.parametrize(
    "key",
    [".resilient", ".resilient/store.json", ".resilient-tmp", "a/.resilient-1/b", "a/.resilient-"],
)
def test_the_reserved_area_is_writable_by_name(key):
    assert is_hidden(key)
    assert "store's own" in problem(key)


@pytest.mark.parametrize(
    "key", [".Resilient/x", ".resilientx", "a/.resilient/x", "resilient/x", "x.resilient-y", "a/b"]
)
def test_what_only_looks_like_the_reserved_area_is_ordinary(key):
    assert not is_hidden(key)
    assert problem(key) is None


# --- parts --------------------------------------------------------------------------------

names = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=3)


@given(st.lists(names, max_size=4), names)
def test_parent_undoes_join(folders, name):
    folder = join(*folders)
    assert parent(join(folder, name)) == folder
    assert join(*folders, "", name) == "/".join([*folders, name])


@given(st.lists(names, min_size=1, max_size=4))
def test_above_are_all_parents_but_the_root_the_nearest_first(parts):
    expected = ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]
    assert above("/".join(parts)) == expected
    assert above("") == []


def test_the_root_is_its_own_parent():
    assert parent("") == parent("a") == ""
