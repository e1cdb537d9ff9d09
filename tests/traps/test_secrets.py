"""A credential is never shown, and two credentials are two stores."""

# ruff: noqa: PT017, RUF012, TRY301 - any error counts here, and every store is one vault

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import traceback

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry as registered

import resilient_store as rs

CANARY = "c4n4ry-0f-a-s3cret"
OPTIONS = ("key", "secret", "token", "connection_string", "sas_token", "password", "client_kwargs")


class Vault(MemoryFileSystem):
    """Takes any option, remembers who came, and tells secrets in its errors."""

    protocol = "vault"
    cachable = False
    store = {}
    pseudo_dirs = [""]
    visitors: list[object] = []
    answer: Exception | None = None

    def __init__(self, **options):
        super().__init__(**{n: v for n, v in options.items() if n == "use_listings_cache"})
        self.secret = options.get("secret")

    @classmethod
    def _strip_protocol(cls, path):
        if path in ("", "/", "/root"):
            return path.rstrip("/")
        text = path.partition("://")[2] if "://" in path else path
        return "/root/" + text.partition("?")[0].rpartition("@")[2].removeprefix("/root/").strip(
            "/"
        )

    def __repr__(self):
        return f"<vault {CANARY}>"


def _asked(verb):
    def call(self, *arguments, **options):
        Vault.visitors.append(self.secret)
        if Vault.answer is not None:
            try:
                raise ValueError(f"signed with {CANARY}")
            except ValueError as error:
                raise Vault.answer from error
        return getattr(MemoryFileSystem, verb)(self, *arguments, **options)

    return call


for _verb in ("info", "ls", "cat_file", "pipe_file", "rm_file", "makedirs", "cp_file", "sign"):
    setattr(Vault, _verb, _asked(_verb))


@pytest.fixture(autouse=True)
def vault():
    fsspec.register_implementation("vault", Vault, clobber=True)
    Vault.store.clear()
    Vault.pseudo_dirs[:] = ["", "/root", "/root/host", "/root/other"]
    Vault.visitors.clear()
    Vault.answer = None
    yield
    registered.pop("vault")


def backend(host="host", name="vault", secret=CANARY) -> rs.Backend:
    options = dict.fromkeys(OPTIONS, secret) | {"client_kwargs": {"key": secret}}
    return rs.Backend(
        f"vault://user:{secret}@{host}?sig={secret}",
        name=name,
        storage_options=options,
        write_options={"sse_key": secret},
    )


def said_by(error: BaseException) -> str:
    out = io.StringIO()
    while error is not None:
        out.write("".join(traceback.format_exception(error)))
        out.write(f"{error!r} {error} {getattr(error, '__notes__', '')} {error.__dict__}")
        for reply in getattr(error, "replies", ()):
            out.write(repr(reply))
        out.write(repr(pickle.dumps(error)))
        error = error.__cause__ or error.__context__
    return out.getvalue()


def test_no_credential_is_shown_by_anything_that_is_printed():
    fs = rs.ResilientFileSystem([backend()])
    with fs:
        shown = [
            *(repr(fs), str(fs), repr(fs.store.configuration), repr(backend()), fs.to_json()),
            *(repr(fs.to_dict()), repr(fs.store), repr(fs.store.clients), str(fs.store.domains)),
            *(repr(fs.store.clients["vault"].health.statistics()), fs._fs_token, str(hash(fs))),
        ]
        assert not [text for text in shown if CANARY in text]
        assert CANARY in fs.to_json(include_password=True)
    assert "user" not in fs.to_json()


ERRORS = (
    PermissionError(13, f"denied, see https://x?sig={CANARY}"),
    ConnectionError(f"https://user:{CANARY}@host"),
    FileNotFoundError(f"no {CANARY}"),
    TimeoutError(CANARY),
    RuntimeError(CANARY),
    OSError(28, CANARY, f"/{CANARY}"),
    KeyError(CANARY),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_no_credential_is_in_an_error_or_in_the_log(error, caplog):
    caplog.set_level(logging.DEBUG, logger="resilient_store")
    states = []
    with rs.ResilientFileSystem([backend()], on_backend_state=states.append) as fs:
        fs.write("b", b"1")
        Vault.answer = error
        calls = (
            *(lambda: fs.cat("b"), lambda: fs.info("b"), lambda: fs.ls(""), lambda: fs.find("")),
            *(lambda: fs.write("b", b"2"), lambda: fs.rm("b"), lambda: fs.open("b").read()),
            *(lambda: fs.write("c", b"2"), lambda: fs.sign("b"), lambda: fs.mkdir("d")),
        )
        for call in calls:
            try:
                call()
            except (rs.ResilientStoreError, FileNotFoundError) as caught:
                assert CANARY not in said_by(caught)
    assert CANARY not in caplog.text + repr(states)


def test_a_configuration_that_is_refused_shows_no_credential():
    def build(**options):
        return rs.ResilientFileSystem([backend()], **options)

    mistakes = (
        *(lambda: backend(name="a b"), lambda: build(write={"min_copies": 9})),
        lambda: rs.ResilientFileSystem([backend(), backend(name="b")]),
        lambda: rs.ResilientFileSystem([backend(name="a"), backend("other", name="a")]),
        lambda: (
            rs.Backend(f"nothing://u:{CANARY}@host", storage_options={"secret": CANARY})
            and rs.ResilientFileSystem([rs.Backend(f"nothing://u:{CANARY}@host")])
        ),
        lambda: rs.ResilientFileSystem([f"simplecache::s3://u:{CANARY}@bucket"]),
        lambda: rs.Backend(f"s3://u:{CANARY}@bucket", root="x"),
        lambda: rs.Backend(Vault(secret=CANARY), storage_options={"secret": CANARY}),
        lambda: rs.ResilientFileSystem([rs.Backend("/x", storage_options={"secret": CANARY})]),
        lambda: rs.ResilientFileSystem([{"secret": CANARY}]),
        lambda: rs.ResilientFileSystem([rs.Backend(Vault(secret=CANARY))]).to_json(),
    )
    for mistake in mistakes:
        with pytest.raises(rs.ConfigurationError) as caught:
            mistake()
        assert CANARY not in said_by(caught.value)


def test_the_url_of_a_store_without_secrets_keeps_its_place():
    given = {
        "s3://key:secret@bucket/x?versionId=1": "s3://bucket/x",
        "s3://bucket/x": "s3://bucket/x",
        "abfs://photos@shop.dfs.core.windows.net/x": "abfs://photos@shop.dfs.core.windows.net/x",
        "abfs://photos/x?sig=1": "abfs://photos/x",
        "memory://a": "memory://a",
        "/mnt/what? a @dir": "/mnt/what? a @dir",
    }
    for url, kept in given.items():
        with rs.ResilientFileSystem([url]) as fs:
            assert json.loads(fs.to_json())["backends"][0]["target"] == kept


def test_two_containers_of_one_account_are_two_places():
    url = "abfs://{}@shop.dfs.core.windows.net/x"
    rs.ResilientFileSystem([url.format("one"), url.format("two")])
    with pytest.raises(rs.ConfigurationError, match="one place"):
        rs.ResilientFileSystem(
            [rs.Backend(url.format("one"), name="a"), rs.Backend(url.format("one"), name="b")]
        )


def test_stores_that_differ_only_in_a_secret_share_nothing():
    one, other = (rs.ResilientFileSystem([backend(secret=secret)]) for secret in ("aaa", "bbb"))
    same = rs.ResilientFileSystem([backend(secret="aaa")])
    assert one != other
    assert one == same
    assert len({hash(one), hash(other)}) == 2
    assert one._fs_token != other._fs_token
    assert one is not same
    assert one.store is not same.store
    for fs in (one, other, same):
        fs.close()


def test_each_backend_comes_with_its_own_credential():
    backends = [backend("host", "one", "aaa"), backend("other", "two", "bbb")]
    with rs.ResilientFileSystem(backends) as fs:
        fs.write("a", b"1")
        Vault.visitors.clear()
        fs.cat("a")
        assert set(Vault.visitors) == {"aaa"}
        Vault.visitors.clear()
        del Vault.store["/root/host/a"]
        assert fs.cat("a") == b"1"
        assert set(Vault.visitors) == {"aaa", "bbb"}


def test_pickles_carry_credentials_and_work():
    with rs.ResilientFileSystem([backend()]) as fs:
        fs.write("a", b"1")
        for twin in (pickle.loads(pickle.dumps(fs)), copy.copy(fs)):
            assert (twin == fs, twin.cat("a")) == (True, b"1")
