"""Parts that do not fit together are refused when a store is built, with the way out (P1)."""

from __future__ import annotations

import importlib.util

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.config import configure
from resilient_store.errors import ConfigurationError, MissingExtraError
from resilient_store.model.info import Headers
from resilient_store.policies import Backend, DegradedRead, ReadFromFirstHealthy, WriteToAll


def refused(**options):
    """Return why it was refused, or None."""
    try:
        configure(options)
    except ConfigurationError as error:
        return str(error)
    return None


def backend(name, domain=None, **options):
    return Backend(f"memory://{name}", name=name, domain=domain, **options)


# --- copies -------------------------------------------------------------------------------


@st.composite
def stores(draw):
    count = draw(st.integers(1, 4))
    backends = [
        backend(
            name,
            draw(st.sampled_from(["aws/a", "aws/b", "gcp", "file"])),
            holds_all=draw(st.sampled_from([False, False, True])),
            read_only=draw(st.sampled_from([False, False, True])),
        )
        for name in "abcd"[:count]
    ]
    copies = draw(st.none() | st.integers(1, 5))
    platforms = draw(st.integers(1, min(3, copies or 3)))
    write_once = draw(st.sampled_from([False, True, "unique-names"]))
    return backends, WriteToAll(min_copies=copies, min_domains=platforms), write_once


@given(stores())
def test_p1_refused_exactly_when_a_promise_could_not_be_kept_without_a_catalog(store):
    backends, write, write_once = store
    places = [b.domain.partition("/")[0] for b in backends if not b.read_only]
    copies = write.min_copies or len(places)
    if not places:
        kept = write.min_copies is None and not write_once
    else:
        fewer = copies < len(places)
        kept = (
            copies <= len(places)
            and write.min_domains <= len(set(places))
            and (write_once or not fewer)
            and not (fewer and any(b.holds_all for b in backends))
            and (write_once is not True or 2 * copies > len(places))
        )
    said = refused(backends=backends, write=write, write_once=write_once)
    assert (said is None) is bool(kept), said


TWO = [backend("a", "aws/a"), backend("b", "aws/b")]
THREE = [*TWO, backend("c", "gcp")]
FOUR = [*THREE, backend("d", "file")]
READ_ONLY = [backend("r", read_only=True)]
ONE_HOLDS_ALL = [*TWO, backend("c", "gcp", holds_all=True)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no backend: give at least one, such as"),
        ({"backends": []}, "no backend: give at least one, such as"),
        ({"backends": THREE, "write": {"min_copies": 2}}, "min_copies=2 of 3 without a catalog"),
        ({"backends": THREE, "write": {"min_copies": 2}}, "set write_once=True where"),
        ({"backends": TWO, "write": {"min_copies": 3}}, "lower min_copies to 2, or add backends"),
        ({"backends": TWO, "write": {"min_domains": 2}}, "lie on 1 (aws): lower min_domains"),
        (
            {"backends": FOUR, "write": {"min_copies": 2}, "write_once": True},
            "two different contents could both be acknowledged. Raise min_copies to 3, or set",
        ),
        (
            {"backends": ONE_HOLDS_ALL, "write": {"min_copies": 2}, "write_once": True},
            "holds_all beside fewer copies than all",
        ),
        ({"backends": READ_ONLY, "write": {"min_copies": 1}}, "every backend is read-only"),
        ({"backends": READ_ONLY, "write_once": True}, "every backend is read-only"),
        ({"backends": TWO, "write": {"copies": 3}}, "WriteToAll: there is no option 'copies'"),
        ({"backends": TWO, "write": WriteToAll}, "a policy is a WriteToAll or a mapping"),
        ({"backends": TWO, "read": WriteToAll()}, "a policy is a ReadFromFirstHealthy or"),
        ({"backends": TWO, "degraded": ["x"]}, "degraded is a DegradedRead, a mapping of its"),
        ({"backends": TWO, "write_once": "yes"}, "must be True, False or 'unique-names'"),
        ({"backends": TWO, "write_once": 1}, "must be True, False or 'unique-names'"),
        ({"backends": [{"target": "memory://a", "read_only": "false"}]}, "must be true or false"),
        ({"backends": [{"target": "memory://a", "holds_all": "no"}]}, "must be true or false"),
        ({"backends": TWO, "degraded": {"/o/{n}": ["p/{n}"]}}, "write 'o/{n}'"),
        ({"backends": TWO, "degraded": {"o/{n}": ["../p/{n}"]}}, "no path inside the store"),
        ({"backends": TWO, "hedge": 1}, "ResilientFileSystem: there is no option 'hedge'"),
        ({"backends": TWO, "degradd": {}}, "did you mean 'degraded'?"),
        ({"backends": TWO, "catalog": 7}, "catalog is a URL such as"),
        ({"backends": TWO, "catalog": "mysql://x"}, "this catalog's URL has no form"),
        ({"backends": TWO, "catalog": "sqlite:///no/such/folder/x.db"}, "does not exist"),
        ({"backends": TWO, "placements": [1]}, "a placement is a Placement or a mapping"),
        ({"backends": TWO, "placements": [{"pattern": "a"}]}, "a placement is a Placement"),
        ({"backends": TWO, "placements": [{"patern": "a"}]}, "did you mean 'pattern'?"),
        ({"backends": TWO, "placements": [{"pattern": "a", "backends": ["x"]}]}, "need a catalog"),
        (
            {"backends": TWO, "catalog": "sqlite://", "write_once": True},
            "write_once is for stores without a catalog",
        ),
        ({"backends": TWO, "on_degraded": 7}, "on_degraded must be callable"),
        ({"backends": TWO, "on_backend_state": 7}, "on_backend_state must be callable"),
        ({"backends": [{"name": "a"}]}, "needs a target"),
        ({"backends": [{"target": "memory://a", "nam": "x"}]}, "did you mean 'name'?"),
        ({"backends": ["memory://a", 7]}, "target is a int"),
    ],
)
def test_a_refusal_says_what_to_change(options, words):
    assert words in (refused(**options) or "accepted")


# --- places and names ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("memory://x", "memory://x"),
        ("memory://x", "memory://x/"),
        ("memory://x", "memory://x/y"),
        ("memory://x/y", "memory://x"),
        ("/srv/x", "file:///srv/x"),
        ("/srv/x", "/srv/x/../x/y"),
        ("ftp://me:pw@host/x", "ftp://you@host/x"),
        (Backend(MemoryFileSystem(), root="x", name="m"), "memory://x"),
    ],
)
def test_two_backends_at_one_place_are_one_copy(one, other):
    backends = [one, other if isinstance(other, Backend) else Backend(other, name="other")]
    assert "at one place or inside each other" in (refused(backends=backends) or "accepted")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("memory://x", "memory://y"),
        ("memory://x/photos", "memory://x/photos-private"),
        ("/srv/photos", "/srv/photos-private"),
        ("ftp://a/x", "ftp://b/x"),
    ],
)
def test_a_root_prefix_without_its_separator(one, other):
    assert refused(backends=[one, other]) is None


def test_one_name_twice_is_refused_and_names_are_made_from_urls():
    twice = [Backend("memory://x", name="m"), Backend("memory://y", name="m")]
    assert "two backends have the name 'm'" in refused(backends=twice)
    made = configure({"backends": ["memory://x", {"target": "memory://y/z", "name": "why"}]})
    assert made.names == ("memory-x", "why")
    assert made.domains == {"memory-x": "memory", "why": "memory"}


def test_two_buckets_of_one_provider_are_one_platform_until_somebody_says_otherwise():
    two = ["memory://x", "memory://y"]
    assert "lie on 1 (memory)" in refused(backends=two, write={"min_domains": 2})
    said = [Backend("memory://x", domain="here"), Backend("memory://y", domain="there")]
    assert refused(backends=said, write={"min_domains": 2}) is None


# --- protocols and packages ---------------------------------------------------------------


def test_an_unknown_protocol_is_refused():
    assert "no fsspec filesystem has the protocol 'sss'" in refused(backends=["sss://bucket"])


@pytest.mark.parametrize("url", ["simplecache::memory://x", "zip://a::http://10.0.0.1/x"])
def test_urls_and_backends_from_data(url):
    assert "chained URL" in refused(backends=[url])


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("s3://b", 'pip install "resilient_store[s3]"'),
        ("gs://b", 'pip install "resilient_store[gcs]"'),
        ("abfs://b", 'pip install "resilient_store[azure]"'),
        ("oss://b", "pip install ossfs"),
    ],
)
def test_a_missing_package_is_named_with_the_command(monkeypatch, url, command):
    # `fsspec.registry` as an attribute is the mapping in that module, not the module
    monkeypatch.setattr(importlib.import_module("fsspec.registry"), "registry", {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        configure({"backends": [url]})
    assert str(caught.value).endswith(command)


@pytest.mark.parametrize("url", ["/srv/x", "memory://x"])
def test_options_that_mean_nothing_there_are_refused_by_name_alone(url):
    said = refused(backends=[Backend(url, storage_options={"password": "CANARY"})])
    assert "'password' was given; remove it" in said
    assert "CANARY" not in said


# --- what a configuration is --------------------------------------------------------------


def test_mappings_and_policies_say_the_same():
    one = configure(
        {
            "backends": "memory://x",
            "write": {"min_copies": 1},
            "read": {"hedge_after": 0.5},
            "degraded": {"o/{n}": "p/{n}"},
        }
    )
    other = configure(
        {
            "backends": [Backend("memory://x")],
            "write": WriteToAll(min_copies=1),
            "read": ReadFromFirstHealthy(hedge_after=0.5),
            "degraded": DegradedRead({"o/{n}": ["p/{n}"]}),
        }
    )
    assert one == other
    assert configure({"backends": "memory://x"}).write == WriteToAll()


@pytest.mark.parametrize(
    "given_backend",
    [
        {"target": "ftp://user:CANARY@host/x?token=CANARY"},
        {"target": "ftp://host/x", "storage_options": {"password": "CANARY"}},
        {"target": "ftp://host/x", "write_options": {"key": "CANARY"}},
        {"target": "s3://b", "storage_options": {"endpoint_url": "http://me:CANARY@host:9"}},
    ],
    ids=["url", "options", "write options", "endpoint"],
)
def test_a_configuration_and_its_errors_never_show_a_secret(given_backend):
    made = configure({"backends": [given_backend]})
    shown = repr(made) + str(made) + repr(made.names) + repr(made.domains)
    assert "CANARY" not in shown
    for wrong in ({"write": {"min_copies": 7}}, {"write": {"min_domains": 7}}, {"reed": 1}):
        assert "CANARY" not in (refused(backends=[given_backend], **wrong) or "CANARY")
    twice = refused(backends=[given_backend, given_backend | {"name": "other"}])
    assert "CANARY" not in (twice or "CANARY")


@pytest.mark.parametrize(
    ("returned", "found"),
    [
        (["resilient://p/a/", "p/a", "b"], ("p/a", "b")),
        ("p/a", ("p/a",)),
        (None, ()),
        (["p/" * 500, "b"], ("b",)),
    ],
)
def test_what_a_callable_returns_is_named_as_every_path_is(returned, found):
    assert DegradedRead(lambda _: returned).derivatives("a") == found


@pytest.mark.parametrize("returned", [[7], ["a//b"], ["/"], [b"a"]])
def test_what_it_returns_and_no_path_is_refused(returned):
    with pytest.raises(ConfigurationError, match="the callable returned"):
        DegradedRead(lambda _: returned).derivatives("a")


@pytest.mark.parametrize(
    "options",
    [{"metadata": 7}, {"metadata": {"a": 1}}, {"metadata": {1: "a"}}, {"cache_control": 1}],
)
def test_headers_are_text(options):
    with pytest.raises(TypeError, match="text"):
        Headers.given(options)
    assert Headers.given({"metadata": {"a": "b"}, "cache_control": None}).metadata == {"a": "b"}
