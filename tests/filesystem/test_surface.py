"""Every public method of fsspec's asynchronous filesystem is ours, or inherited on purpose."""

# ruff: noqa: PT012 - a block that raises is what is tested

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import itertools
import json
import pickle
import warnings

import fsspec
import pytest
import upath
from fsspec.asyn import AsyncFileSystem

import resilient_store as rs
from tests.traps.faulty import Faulty, directories, over

# Inherited, because all they do is call a method of ours: which one.
ON_PURPOSE = {
    **dict.fromkeys(("cp", "move", "rename"), "copy and mv"),
    **dict.fromkeys(("delete",), "rm"),
    **dict.fromkeys(("disk_usage",), "du"),
    **dict.fromkeys(("download", "upload"), "get and put"),
    **dict.fromkeys(("listdir", "tree"), "ls"),
    **dict.fromkeys(("lexists",), "exists"),
    **dict.fromkeys(("makedir", "mkdirs"), "mkdir and makedirs"),
    **dict.fromkeys(("stat", "size", "sizes"), "info"),
    **dict.fromkeys(("pipe",), "pipe_file"),
    **dict.fromkeys(("read_bytes", "write_bytes"), "cat_file and pipe_file"),
    **dict.fromkeys(("head", "tail", "read_block", "read_text", "write_text"), "open"),
    "get_mapper": "cat, pipe, rm, find, isfile",
}
# Inherited, because they touch no object.
EXCEPTIONS = {
    "blocksize": "a number",
    "root_marker": "the empty string",
    "sep": "the slash",
    "async_impl": "yes",
    "transaction_type": "never used: transactions are refused",
    "disable_throttling": "fsspec's own limit on coroutines, which has no meaning for a backend",
    "mirror_sync_methods": "makes the blocking methods from the coroutines",
    "fsid": "raises NotImplementedError, as fsspec defines for who has none",
    "clear_instance_cache": "nothing is cached",
    "current": "fsspec's cached instance, and there is none",
    "from_dict": "reads what our to_dict wrote",
    "from_json": "reads what our to_json wrote",
}


def home(name: str) -> str:
    """Where the code of a public name is."""
    for owner in rs.ResilientFileSystem.__mro__:
        if name in vars(owner) or f"_{name}" in vars(owner):
            private = vars(owner).get(f"_{name}")
            if name in vars(owner) and private is None:
                overridden = any(
                    f"_{name}" in vars(above) and above.__module__.startswith("resilient_store")
                    for above in rs.ResilientFileSystem.__mro__
                )
                return "resilient_store" if overridden else owner.__module__
            return owner.__module__
    raise AssertionError(name)


def test_every_public_method_is_ours_or_inherited_on_purpose():
    public = {name for name, _ in inspect.getmembers_static(AsyncFileSystem) if name[0] != "_"}
    inherited = {name for name in public if not home(name).startswith("resilient_store")}
    assert inherited == ON_PURPOSE.keys() | EXCEPTIONS.keys()


def test_every_coroutine_of_fsspec_is_ours_or_built_on_ours():
    theirs = {
        name
        for name, value in inspect.getmembers_static(AsyncFileSystem)
        if inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value)
    }
    ours = {
        name
        for owner in rs.ResilientFileSystem.__mro__
        if owner.__module__.startswith("resilient_store")
        for name in vars(owner)
    }
    assert theirs - ours == {"_pipe", "_process_limits", "_size", "_sizes"}


@pytest.fixture
def fs(tmp_path):
    with rs.ResilientFileSystem(directories(tmp_path / "platforms")) as fs:
        yield fs


DATA = b"zero\none\ntwo\nthree\n"


def test_ranges_of_many_objects(fs):
    fs.pipe({"a": DATA, "b": DATA[::-1]})
    paths, starts, ends = ["a", "b", "a", "a", "a"], [0, 2, -4, None, 5], [4, -1, None, -6, 5]
    expected = [
        (DATA if p == "a" else DATA[::-1])[s:e] for p, s, e in zip(paths, starts, ends, strict=True)
    ]
    assert fs.cat_ranges(paths, starts, ends) == expected
    assert fs.cat_ranges(["a", "b"], 1, 3) == [DATA[1:3], DATA[::-1][1:3]]
    with pytest.raises(ValueError, match="length"):
        fs.cat_ranges(["a"], [1, 2], [3, 4])
    with pytest.raises(TypeError):
        fs.cat_ranges("a", 1, 2)


def test_parts_of_one_object(fs):
    fs.pipe("a", DATA)
    assert fs.cat_file("a", start=-6) == fs.cat_file("a", -6, 100) == DATA[-6:]
    assert fs.cat_file("a", end=-3) == DATA[:-3]
    assert (fs.head("a", 4), fs.tail("a", 6), fs.head("a"), fs.tail("a")) == (
        *(b"zero", b"three\n"),
        *(DATA, DATA),
    )
    assert fs.read_block("a", 3, 4, b"\n") == b"one\n"
    assert fs.read_block("a", 0, 2) == b"ze"


def test_files_are_read_like_any_file(fs):
    fs.pipe("a", DATA)
    with fs.open("a") as file:
        assert (file.size, file.path, file.original_missing) == (len(DATA), "a", False)
        assert (file.readline(), file.tell(), file.seek(-6, 2), file.read()) == (
            *(b"zero\n", 5),
            *(len(DATA) - 6, b"three\n"),
        )
        assert file.read() == b""
        file.seek(0)
        assert list(file) == DATA.splitlines(keepends=True)
        assert file.info()["size"] == len(DATA)
        with pytest.raises(ValueError, match="seek"):
            file.seek(-1)
        with pytest.raises(OSError, match="write"):
            file.write(b"x")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "latin-1"])
def test_text_is_encoded_and_decoded(fs, encoding):
    text = "äöü\r\nß\n"
    fs.write_text("t", text, encoding=encoding, newline="")
    assert fs.cat("t") == text.encode(encoding)
    assert fs.read_text("t", encoding=encoding, newline="") == text
    with fs.open("t", "r", encoding=encoding) as file:
        assert file.readlines() == ["äöü\n", "ß\n"]
    with fs.open("t", "wt", encoding=encoding, newline="\r\n") as file:
        file.write("a\nb")
    assert fs.cat("t") == "a\r\nb".encode(encoding)
    with fs.open("ascii", "w", encoding="ascii", errors="replace") as file:
        file.write("ä")
    assert fs.cat("ascii") == b"?"
    with pytest.raises(UnicodeEncodeError), fs.open("bad", "w", encoding="ascii") as file:
        file.write("ä")
    assert not fs.exists("bad")


@pytest.mark.parametrize("name", ["a.gz", "a.bz2", "a.xz"])
def test_compression_is_told_from_the_name_or_given(fs, name):
    with fs.open(name, "w", compression="infer") as file:
        file.write("text" * 1000)
    assert fs.size(name) < 1000
    with fs.open(name, "r", compression="infer") as file:
        assert file.read() == "text" * 1000
    with fs.open(name, "rb") as file:
        assert len(file.read()) == fs.size(name)


@pytest.mark.parametrize("mode", ["ab", "a", "r+b", "r+", "w+b", "wb+", "x+", "", "q"])
def test_other_modes_are_refused_with_what_to_do(fs, mode):
    fs.pipe("a", DATA)
    with pytest.raises(rs.UnsupportedOperationError, match="written whole"):
        fs.open("a", mode)
    assert fs.cat("a") == DATA


def test_exclusive_creation_in_every_spelling(fs):
    for mode in ("xb", "x", "xt"):
        with fs.open(f"new {mode}", mode) as file:
            file.write(b"1" if "b" in mode else "1")
        with pytest.raises(FileExistsError):
            fs.open(f"new {mode}", mode)
    for create in (
        lambda: fs.pipe_file("new x", b"2", mode="create"),
        lambda: fs.write("new x", b"2", mode="create"),
    ):
        with pytest.raises(FileExistsError):
            create()
    with pytest.raises(ValueError, match="mode"):
        fs.write("a", b"", mode="append")
    assert fs.cat("new x") == b"1"


def test_a_degraded_file_says_so_through_every_wrapper(tmp_path):
    rules = {"originals/{name}": ["previews/{name}"]}
    seen = []
    with rs.ResilientFileSystem(
        directories(tmp_path), degraded=rules, on_degraded=seen.append
    ) as fs:
        fs.write("previews/a.txt", b"preview")
        with fs.open("previews/a.gz", "wb", compression="gzip") as file:
            file.write(b"preview")
        for name, mode, options in (
            ("a.txt", "rb", {}),
            ("a.txt", "r", {}),
            ("a.gz", "rb", {"compression": "gzip"}),
            ("a.gz", "r", {"compression": "gzip"}),
        ):
            with fs.open(f"originals/{name}", mode, degraded=True, **options) as file:
                assert file.read() in (b"preview", "preview")
                assert (file.original_missing, file.reason) == (True, "lost")
                assert file.derivative == f"previews/{name}"
            with pytest.raises(rs.OriginalMissingError):
                fs.open(f"originals/{name}", mode, **options)
        assert fs.info("originals/a.txt")["original_missing"]
        assert fs.exists("originals/a.txt")
        assert fs.isfile("originals/a.txt")
        assert fs.size("originals/a.txt") is None


HEADERS = {
    "content_type": "image/jpeg",
    "cache_control": "max-age=1",
    "content_disposition": "inline",
    "content_encoding": "identity",
    "metadata": {"camera": "M3"},
}


def test_info_has_what_is_promised(fs):
    receipt = fs.write("d/a.jpg", DATA, **HEADERS)
    assert (receipt.path, receipt.size, receipt.version) == ("d/a.jpg", len(DATA), None)
    assert (receipt.copies, receipt.pending) == (("first", "second", "third"), ())
    assert receipt.checksum.startswith("blake3-1MiB:")
    found = fs.info("d/a.jpg")
    assert {name: found[name] for name in HEADERS} == HEADERS
    assert (found["name"], found["size"], found["type"]) == ("d/a.jpg", len(DATA), "file")
    assert (found["original_missing"], found["verified"], found["version"]) == (False, False, None)
    assert found["mtime"] == found["modified"].timestamp()
    assert {"checksum", "replicas", "backend", "tag"} <= found.keys()
    folder = fs.info("d")
    assert (folder["name"], folder["type"], folder["size"]) == ("d", "directory", 0)
    assert fs.info("")["type"] == "directory"
    listed = {name: found[name] for name in ("name", "size", "type", "tag")}
    (entry,) = fs.ls("d")
    assert {name: entry[name] for name in listed} == listed


def test_headers_are_kept_by_overwrite_copy_and_move(fs):
    fs.write("a.bin", DATA, **HEADERS)
    fs.write("a.bin", DATA[::-1])
    fs.cp("a.bin", "b.txt")
    fs.mv("b.txt", "c.txt")
    for path in ("a.bin", "c.txt"):
        assert {name: fs.info(path)[name] for name in HEADERS} == HEADERS
    fs.write("a.bin", DATA, content_type="text/plain")
    assert fs.info("a.bin")["content_type"] == "text/plain"
    assert fs.info("a.bin")["metadata"] == {"camera": "M3"}
    fs.pipe_file("p.png", b"", content_type=None)
    assert fs.info("p.png")["content_type"] == "image/png"
    with fs.open("o.bin", "wb", metadata={"x": "y"}) as file:
        file.write(b"1")
    assert fs.info("o.bin")["metadata"] == {"x": "y"}
    with pytest.raises(TypeError, match="content_typ"):
        fs.write("a", b"", content_typ="x")


def test_marks_change_with_the_bytes(fs):
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=2)
    fs.write("a", b"1")
    marks = fs.ukey("a"), fs.checksum("a")
    assert (fs.ukey("a"), fs.checksum("a")) == marks
    for when in (fs.created("a"), fs.modified("a")):
        assert before < when < dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    fs.write("a", b"22")
    assert fs.ukey("a") != marks[0]
    assert fs.checksum("a") != marks[1]
    assert isinstance(marks[1], int)
    for call in (fs.ukey, fs.checksum, fs.created, fs.modified, fs.sign):
        with pytest.raises(FileNotFoundError):
            call("absent")


@pytest.fixture
def tree(fs):
    for path in ("a", "d/b", "d/e/c", "d/e/f/g"):
        fs.write(path, b"x" * len(path))
    return fs


def test_sizes_are_added_up(tree):
    assert tree.du("") == 1 + 3 + 5 + 7
    assert tree.du("d", total=False) == {"d/b": 3, "d/e/c": 5, "d/e/f/g": 7}
    assert tree.du("d", total=False, maxdepth=1) == {"d/b": 3}
    assert tree.disk_usage("d/e") == 12
    assert tree.sizes(["a", "d/b"]) == [1, 3]
    assert tree.size("d") == 0
    assert tree.du("absent") == 0


def test_walking_goes_down_or_up_and_can_be_pruned(tree):
    down = [("", ["d"], ["a"]), ("d", ["e"], ["b"]), ("d/e", ["f"], ["c"]), ("d/e/f", [], ["g"])]
    assert list(tree.walk("")) == down
    assert list(tree.walk("", topdown=False)) == down[::-1]
    assert list(tree.walk("", maxdepth=2)) == down[:2]
    assert list(tree.walk("", maxdepth=2, topdown=False)) == down[1::-1]
    steps = []
    for step in tree.walk("d"):
        steps.append(step[0])
        step[1].clear()
    assert steps == ["d"]
    (_, dirs, files) = next(iter(tree.walk("", detail=True)))
    assert (dirs["d"]["type"], files["a"]["size"]) == ("directory", 1)
    assert list(tree.walk("absent")) == [("absent", [], [])] or list(tree.walk("absent")) == []
    with pytest.raises(FileNotFoundError):
        list(tree.walk("absent", on_error="raise"))
    for call in (tree.walk, tree.find, tree.glob, tree.expand_path):
        with pytest.raises(ValueError, match="maxdepth"):
            list(call("d", maxdepth=0))


def test_finding_and_globbing(tree):
    assert tree.find("", maxdepth=2) == ["a", "d/b"]
    assert tree.find("d", withdirs=True) == ["d", "d/b", "d/e", "d/e/c", "d/e/f", "d/e/f/g"]
    assert tree.find("d/b") == ["d/b"]
    assert tree.find("d", detail=True)["d/b"]["size"] == 3
    assert tree.find("absent") == []
    assert tree.glob("d/*") == ["d/b", "d/e"]
    assert tree.glob("**/c") == ["d/e/c"]
    assert tree.glob("d/[be]") == ["d/b", "d/e"]
    assert tree.glob("nothing/*") == []
    assert tree.glob("d/*", detail=True)["d/b"]["type"] == "file"
    assert tree.glob("d/*").missing_backends == ()
    assert tree.expand_path("d/e", recursive=True, maxdepth=1) == ["d/e", "d/e/c", "d/e/f"]
    assert "e" in tree.tree("d")
    assert tree.ls("d/b", detail=False) == ["d/b"]
    with pytest.raises(FileNotFoundError):
        tree.ls("absent")


def test_touch_writes_an_empty_object_or_refuses(fs):
    fs.touch("a")
    assert (fs.cat("a"), fs.size("a")) == (b"", 0)
    fs.write("a", b"1")
    fs.touch("a")
    assert fs.cat("a") == b""
    with pytest.raises(rs.UnsupportedOperationError, match="set times"):
        fs.touch("a", truncate=False)
    fs.touch("b", truncate=False)
    assert fs.exists("b")


def test_a_disk_signs_nothing_and_says_so(fs):
    fs.write("a", b"1")
    for call in (fs.sign, fs.url):
        with pytest.raises(rs.UnsupportedOperationError, match="sign"):
            call("a")


def test_directories(fs):
    fs.mkdir("d/e")
    assert fs.isdir("d/e")
    assert fs.ls("d/e") == []
    for call in (lambda: fs.mkdir("d"), lambda: fs.makedirs("d/e")):
        with pytest.raises(FileExistsError):
            call()
    fs.makedirs("d/e", exist_ok=True)
    with pytest.raises(FileNotFoundError):
        fs.mkdir("x/y", create_parents=False)
    fs.write("d/e/a", b"1")
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir("d/e")
    with pytest.raises(FileExistsError):
        fs.makedirs("d/e/a", exist_ok=True)
    for call in (fs.rm, fs.rm_file):
        with pytest.raises(IsADirectoryError):
            call("d/e")
    fs.rm("d/e/a")
    fs.rmdir("d/e")
    assert not fs.exists("d/e")
    with pytest.raises(FileNotFoundError):
        fs.rmdir("d/e")


def test_what_is_written_may_be_anything_that_has_bytes(fs, tmp_path):
    local = tmp_path / "local"
    local.write_bytes(DATA)
    for source in (DATA, bytearray(DATA), memoryview(DATA), [DATA[:5], DATA[5:]], iter([DATA])):
        fs.write("a", source)
        assert fs.cat("a") == DATA
    with local.open("rb") as file:
        fs.write("a", file)
        assert not file.closed
    assert fs.cat("a") == DATA
    fs.write("big", (bytes([n]) * (1 << 20) for n in range(20)))
    assert fs.size("big") == 20 << 20
    assert fs.cat_file("big", (9 << 20) - 1, (9 << 20) + 1) == b"\x08\x09"


def test_stores_travel(fs, tmp_path):
    fs.write("a", b"1")
    for twin in (
        pickle.loads(pickle.dumps(fs)),
        rs.ResilientFileSystem.from_json(fs.to_json()),
        fsspec.AbstractFileSystem.from_json(fs.to_json()),
        rs.ResilientFileSystem.from_dict(fs.to_dict()),
        rs.ResilientFileSystem(**fs.storage_options, backends=fs.store.configuration.backends),
    ):
        assert twin.cat("a") == b"1"
        assert twin == fs
        assert hash(twin) == hash(fs)
        twin.close()
    assert json.loads(fs.to_json())["protocol"] == "resilient"
    with rs.ResilientFileSystem(directories(tmp_path / "other")) as other:
        assert other != fs


def test_fsspec_opens_it_by_its_url(fs, tmp_path):
    backends = [str(tmp_path / "platforms" / name) for name in ("first", "second")]
    with fsspec.open("resilient://d/a", "wb", backends=backends) as file:
        file.write(b"1")
    with fsspec.open("resilient://d/a", backends=backends) as file:
        assert file.read() == b"1"
    with fsspec.open("resilient://d/a", "rt", backends=[{"target": backends[0]}]) as file:
        assert file.read() == "1"
    opened, path = fsspec.url_to_fs("resilient://d/a", backends=backends)
    assert (type(opened), path) == (rs.ResilientFileSystem, "d/a")
    assert fsspec.filesystem("resilient", backends=backends).find("") == ["d/a"]
    mapping = fsspec.get_mapper("resilient://d", backends=backends)
    mapping["b"] = b"2"
    assert dict(mapping) == {"a": b"1", "b": b"2"}
    del mapping["a"]
    assert list(mapping) == ["b"]
    mapping.clear()
    assert len(mapping) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = upath.UPath("resilient://d", backends=backends) / "p"
        path.write_text("3")
        assert [found.name for found in path.parent.iterdir()] == ["p"]
        assert path.read_text() == "3"


def test_an_asynchronous_store_has_the_same_calls(tmp_path):
    async def use() -> None:
        async with rs.ResilientFileSystem(directories(tmp_path), asynchronous=True) as fs:
            receipt = await fs._write("d/a", DATA, content_type="text/plain")
            assert receipt.copies == ("first", "second", "third")
            assert (await fs._read("d/a")).data == await fs._cat_file("d/a") == DATA
            assert await fs._ls("d", detail=False) == await fs._find("d") == ["d/a"]
            assert [step async for step in fs._walk("d")] == [("d", [], ["a"])]
            await fs._cp_file("d/a", "b")
            await fs._mv("b", "c")
            await fs._rm("d", recursive=True)
            assert await fs._find("") == ["c"]
            async with await fs.open_async("big", "wb") as file:
                for _ in range(10):
                    await file.write(b"x" * (1 << 20))
            assert file.receipt.size == 10 << 20
            async with await fs.open_async("big") as file:
                file.seek(-3, 2)
                assert (await file.read(2), await file.read(), await file.read()) == (
                    *(b"xx", b"x"),
                    b"",
                )
            with pytest.raises(ZeroDivisionError):
                async with await fs.open_async("never", "wb") as file:
                    await file.write(b"x")
                    raise ZeroDivisionError
            assert not await fs._exists("never")
            with pytest.raises(FileExistsError):
                await fs.open_async("c", "xb")
            with pytest.raises(rs.UnsupportedOperationError):
                await fs.open_async("c", "ab")

    asyncio.run(use())


CONFIG = """
[stores.photos]
write_once = "unique-names"
write = { min_copies = 1 }
degraded = { "originals/{name}" = ["previews/{name}"] }

[[stores.photos.backends]]
target = { env = "ONE" }
name = "one"
domain = "aws/us-east-1"

[[stores.photos.backends]]
target = "memory://from-config"
name = "two"

[stores.other]
backends = ["memory://other"]
"""


def test_a_store_is_read_from_a_file(tmp_path, monkeypatch):
    file = tmp_path / "photos.toml"
    file.write_text(CONFIG)
    (tmp_path / "one").mkdir()
    with pytest.raises(rs.ConfigurationError, match="ONE"):
        rs.from_config(file, "photos")
    monkeypatch.setenv("ONE", str(tmp_path / "one"))
    with rs.from_config(file, store="photos") as fs:
        fs.write("originals/a", b"1")
        assert (tmp_path / "one" / "originals" / "a").read_bytes() == b"1"
        assert fs.store.domains == {"one": "aws/us-east-1", "two": "memory"}
    with rs.from_config(file, "other", write_once=True) as fs:
        assert fs.store.configuration.write_once is True
    for store in (None, "absent"):
        with pytest.raises(rs.ConfigurationError, match="photos, other"):
            rs.from_config(file, store)
    for content in ("", "[", "\xff"):
        file.write_text(content, encoding="latin-1")
        with pytest.raises(rs.ConfigurationError):
            rs.from_config(file)


# Hooks


def test_hooks_are_told_and_cannot_harm():
    one = Faulty()
    degraded, states = [], []

    def on_degraded(result):
        degraded.append(result)
        raise ZeroDivisionError

    def on_backend_state(state):
        states.append(state)
        raise ZeroDivisionError

    with over(
        one, degraded={"a": ["b"]}, on_degraded=on_degraded, on_backend_state=on_backend_state
    ) as fs:
        one.behind("b", b"preview")
        result = fs.read("a")
        assert (result.data, result.original_missing, result.reason) == (b"preview", True, "lost")
        assert [found.derivative for found in degraded] == ["b"]
        with pytest.raises(rs.OriginalMissingError):
            result.original()
        one.fail("unavailable")
        for _ in range(6):
            with pytest.raises(rs.BackendsUnavailableError):
                fs.read("c")
        assert [(s.backend, s.kind, s.state) for s in states] == [("one", "read", "open")]
        one.heal()


# How often backends are asked


def test_p6_a_healthy_read_is_one_request_to_one_backend():
    one, other = Faulty("one"), Faulty("other")
    for held in (one, other):
        held.behind("a", DATA)
    with over(one, other) as fs:
        for call in (lambda: fs.cat("a"), lambda: fs.read("a"), lambda: fs.cat_file("a", 2, 5)):
            one.calls.clear()
            call()
            assert one.asked("cat_file") == ["a"]
            assert len(one.asked("info")) <= 1
        one.calls.clear()
        assert fs.info("a")["size"] == len(DATA)
        assert fs.exists("a")
        assert one.calls == [("info", "a")] * 2
    assert other.calls == []


def test_p6_an_absent_path_is_asked_for_once_everywhere_and_after_the_first_at_once():
    filesystems = [Faulty(name) for name in ("one", "two", "three")]
    ticks = itertools.count()
    order = {}

    def plan(label):
        def note(verb, path):
            if path == "a":
                order.setdefault(label, []).append(next(ticks))

        return note

    for filesystem in filesystems:
        filesystem.plan = plan(filesystem.label)
    with over(*filesystems) as fs:
        assert not fs.exists("a")
        assert {label: len(asked) for label, asked in order.items()} == {
            "one": 1,
            "two": 1,
            "three": 1,
        }
        assert order["one"] == [0]
        with pytest.raises(FileNotFoundError):
            fs.cat("a")


def test_p6_one_that_holds_all_is_asked_alone():
    one, other = Faulty("one"), Faulty("other")
    backends = [rs.Backend(f, root="/root", name=f.label, holds_all=f is one) for f in (one, other)]
    with rs.ResilientFileSystem(backends) as fs:
        assert not fs.exists("a")
        assert other.calls == []


def test_a_sweep_takes_only_what_is_old_and_the_stores_own():
    one = Faulty()
    with over(one) as fs:
        one.behind("a", b"1")
        one.behind(".resilient/staging/x", b"1")
        one.behind(".resilient/other", b"1")
        one.behind("d/.resilient-y", b"1")
        assert rs.sweep(fs).removed == {"one": ()}
        report = rs.sweep(fs, older_than=0)
        assert sorted(report.removed["one"]) == [".resilient/staging/x", "d/.resilient-y"]
        assert one.keys() == [".resilient/other", "a"]
        one.fail("unavailable")
        assert [reply.backend for reply in rs.sweep(fs).failed] == ["one"]
        with pytest.raises(rs.ConfigurationError):
            rs.sweep(fs, older_than=-1)
