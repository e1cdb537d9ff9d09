"""An outage is never "no", empty, shorter, or a blank."""

from __future__ import annotations

import asyncio
import itertools

import pytest

import resilient_store as rs
from tests.traps.faulty import ANSWERS, Faulty, directories, over, two

DATA = b"0123456789"

# Every call that a layer above may take for an answer.
LOOKS = {
    "exists": lambda fs, to: fs.exists("d/a"),
    "lexists": lambda fs, to: fs.lexists("d/a"),
    "isfile": lambda fs, to: fs.isfile("d/a"),
    "isdir": lambda fs, to: fs.isdir("d"),
    "info": lambda fs, to: fs.info("d/a"),
    "stat": lambda fs, to: fs.stat("d/a"),
    "size": lambda fs, to: fs.size("d/a"),
    "sizes": lambda fs, to: fs.sizes(["d/a", "d/b"]),
    "ls": lambda fs, to: fs.ls("d"),
    "ls root": lambda fs, to: fs.ls(""),
    "listdir": lambda fs, to: fs.listdir("d"),
    "find": lambda fs, to: fs.find("d"),
    "glob": lambda fs, to: fs.glob("d/*"),
    "glob all": lambda fs, to: fs.glob("**"),
    "walk": lambda fs, to: list(fs.walk("d")),
    "walk, omit": lambda fs, to: list(fs.walk("", on_error="omit")),
    "du": lambda fs, to: fs.du("d"),
    "disk_usage": lambda fs, to: fs.disk_usage("d", total=False),
    "tree": lambda fs, to: fs.tree("d"),
    "expand_path": lambda fs, to: fs.expand_path("d", recursive=True),
    "expand_path of a pattern": lambda fs, to: fs.expand_path("d/*"),
    "cat": lambda fs, to: fs.cat("d/a"),
    "cat of a pattern": lambda fs, to: fs.cat("d/*"),
    "cat recursive": lambda fs, to: fs.cat("d", recursive=True),
    "cat recursive, omit": lambda fs, to: fs.cat("d", recursive=True, on_error="omit"),
    "cat, omit": lambda fs, to: fs.cat(["d/a", "d/b"], on_error="omit"),
    "cat_ranges": lambda fs, to: fs.cat_ranges(["d/a"], [1], [2]),
    "open": lambda fs, to: fs.open("d/a"),
    "open degraded": lambda fs, to: fs.open("d/a", degraded=True),
    "read": lambda fs, to: fs.read("d/a"),
    "head": lambda fs, to: fs.head("d/a"),
    "tail": lambda fs, to: fs.tail("d/a"),
    "read_block": lambda fs, to: fs.read_block("d/a", 0, 2),
    "read_text": lambda fs, to: fs.read_text("d/a"),
    "read_bytes": lambda fs, to: fs.read_bytes("d/a"),
    "get": lambda fs, to: fs.get("d/a", to),
    "get recursive": lambda fs, to: fs.get("d", to, recursive=True),
    "get of a pattern": lambda fs, to: fs.get("d/*", to),
    "cp": lambda fs, to: fs.cp("d/a", "e"),
    "cp recursive": lambda fs, to: fs.cp("d", "e", recursive=True),
    "mv": lambda fs, to: fs.mv("d", "e", recursive=True),
    "rm": lambda fs, to: fs.rm("d/a"),
    "rm recursive": lambda fs, to: fs.rm("d", recursive=True),
    "rm_file": lambda fs, to: fs.rm_file("d/a"),
    "rmdir": lambda fs, to: fs.rmdir("d"),
    "mkdir": lambda fs, to: fs.mkdir("f"),
    "makedirs": lambda fs, to: fs.makedirs("f", exist_ok=True),
    "ukey": lambda fs, to: fs.ukey("d/a"),
    "checksum": lambda fs, to: fs.checksum("d/a"),
    "created": lambda fs, to: fs.created("d/a"),
    "modified": lambda fs, to: fs.modified("d/a"),
    "sign": lambda fs, to: fs.sign("d/a"),
    "mapping item": lambda fs, to: fs.get_mapper("d")["a"],
    "mapping get": lambda fs, to: fs.get_mapper("d").get("a"),
    "mapping items": lambda fs, to: fs.get_mapper("d").getitems(["a", "b"]),
    "mapping in": lambda fs, to: "a" in fs.get_mapper("d"),
    "mapping list": lambda fs, to: list(fs.get_mapper("d")),
    "mapping len": lambda fs, to: len(fs.get_mapper("d")),
}


@pytest.fixture(autouse=True)
def _retries_do_not_wait(monkeypatch):
    monkeypatch.setattr("resilient_store.protocol.read.RETRY_AFTER_S", 0.001)


@pytest.mark.parametrize("answer", ANSWERS)
def test_p5_no_call_takes_an_outage_for_an_answer(answer, tmp_path, subtests_fail_together):
    fs, one, other = two()
    with fs:
        for held in (one, other):
            held.behind("d/a", DATA)
            held.behind("d/b", DATA)
            held.fail(answer)
        for name, look in LOOKS.items():
            with subtests_fail_together(name), pytest.raises(rs.BackendsUnavailableError):
                raise AssertionError(f"it answered {look(fs, str(tmp_path / 'to'))!r}")
    assert one.keys() == other.keys() == ["d/a", "d/b"]


@pytest.mark.parametrize("answer", ANSWERS)
def test_p5_one_that_cannot_say_is_enough_to_be_uncertain(answer, tmp_path, subtests_fail_together):
    fs, one, other = two()
    skip = {"created", "modified", "sign"}
    with fs:
        other.fail(answer)
        for name, look in LOOKS.items():
            if name not in skip:
                with subtests_fail_together(name), pytest.raises(rs.BackendsUnavailableError):
                    raise AssertionError(f"it answered {look(fs, str(tmp_path / 'to'))!r}")
    assert one.keys() == []


@pytest.fixture
def subtests_fail_together():
    """Go on after a failure, and fail in the end with all their names."""
    failed = []

    class Together:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            return self

        def __exit__(self, kind, error, trace):
            if kind is not None and issubclass(kind, Exception | pytest.fail.Exception):
                failed.append(f"{self.name}: {kind.__name__}: {str(error)[:200]}")
                return True
            return False

    yield Together
    assert not failed, "\n".join(failed)


def test_p5_a_listing_is_whole_or_refused_or_says_who_is_missing():
    fs, one, other = two()
    with fs:
        one.behind("d/a", DATA)
        other.behind("d/b", DATA)
        assert fs.find("d") == ["d/a", "d/b"]
        other.fail("unavailable")
        for look in (fs.ls, fs.find, lambda path: fs.glob(f"{path}/*")):
            with pytest.raises(rs.BackendsUnavailableError):
                look("d")
        for listing in (
            fs.ls("d", detail=False, partial=True),
            fs.find("d", partial=True),
            fs.glob("d/*", partial=True),
        ):
            assert (list(listing), listing.missing_backends) == (["d/a"], ("other",))
        (_, _, files) = next(iter(fs.walk("d", partial=True)))
        assert (list(files), files.missing_backends) == (["a"], ("other",))


def test_what_another_tool_creates_is_seen_after_the_prefix_was_listed():
    fs, one, other = two()
    with fs:
        one.behind("d/a", DATA)
        assert (fs.ls("d", detail=False), fs.exists("d/b")) == (["d/a"], False)
        other.behind("d/b", DATA)
        assert fs.exists("d/b")
        assert fs.cat("d/b") == DATA
        assert fs.ls("d", detail=False) == ["d/a", "d/b"]


def test_every_change_is_seen_at_once_by_what_was_asked_before(tmp_path):
    local = tmp_path / "local"
    local.write_bytes(DATA)
    backends = directories(tmp_path / "platforms", ("one", "two"))
    changes = [
        lambda fs: fs.write("d/new", DATA),
        lambda fs: fs.touch("d/touched"),
        lambda fs: fs.cp("d/new", "d/copied"),
        lambda fs: fs.mv("d/copied", "e/moved"),
        lambda fs: fs.pipe({"d/piped": DATA}),
        lambda fs: fs.put(str(local), "d/put"),
        lambda fs: fs.write("d/new", DATA * 2),
        lambda fs: fs.rm("d/piped"),
        lambda fs: fs.rm("e", recursive=True),
    ]

    def seen(fs):
        paths = ["d/new", "d/touched", "d/copied", "e/moved", "d/piped", "d/put"]
        sizes = {path: fs.info(path)["size"] for path in paths if fs.exists(path)}
        return fs.find(""), fs.isdir("e"), sizes, fs.glob("*/*"), fs.du("")

    with rs.ResilientFileSystem(backends) as fs:
        seen(fs)
        for change in changes:
            change(fs)
            with rs.ResilientFileSystem(backends) as fresh:
                assert seen(fs) == seen(fresh)


def test_bulk_reads_omit_what_is_absent_and_never_what_is_unreachable():
    fs, one, other = two()
    with fs:
        for path in ("a", "b"):
            one.behind(path, path.encode())
        sick = ConnectionRefusedError("no")
        one.plan = other.plan = lambda verb, path: sick if path == "b" else None
        with pytest.raises(rs.BackendsUnavailableError):
            fs.cat(["a", "b", "c"], on_error="omit")
        assert fs.cat(["a", "c"], on_error="omit") == {"a": b"a"}
        with pytest.raises((rs.BackendsUnavailableError, FileNotFoundError)):
            fs.cat(["a", "b", "c"])
        returned = fs.cat(["a", "b", "c"], on_error="return")
        assert returned["a"] == b"a"
        assert isinstance(returned["b"], rs.BackendsUnavailableError)
        assert returned["b"].path == "b"
        assert isinstance(returned["c"], FileNotFoundError)


def test_ranges_raise_by_default_instead_of_handing_out_errors():
    fs, one, other = two()
    with fs:
        for path in "abcde":
            one.behind(path, DATA)
        sick = ConnectionRefusedError("no")
        one.plan = other.plan = lambda verb, path: sick if path == "c" else None
        with pytest.raises(rs.BackendsUnavailableError):
            fs.cat_ranges(list("abcde"), 2, 5)
        pieces = fs.cat_ranges(list("abcde"), 2, 5, on_error="return")
        assert [*pieces[:2], *pieces[3:]] == [b"234"] * 4
        assert (type(pieces[2]), pieces[2].path) == (rs.BackendsUnavailableError, "c")


def test_p5_a_cut_range_is_no_short_answer():
    one = Faulty()
    one.behind("a", DATA)
    whole = one.cat_file
    one.cat_file = lambda path, start=None, end=None: whole(path, start, end)[:3]
    with over(one) as fs:
        for start, end in ((2, 9), (2, None), (0, 10), (None, None), (-5, None)):
            with pytest.raises(rs.BackendsUnavailableError):
                fs.cat_file("a", start, end)
        assert fs.cat_file("a", 7, 20) == b"789"
        assert fs.cat_file("a", 50, 60) == b""


def test_p5_an_object_of_unknown_size_is_no_empty_file(tmp_path):
    one = Faulty()
    one.behind("a", DATA)
    info = one.info
    one.info = lambda path: info(path) | ({"size": None} if path.endswith("a") else {})
    with over(one) as fs:
        assert fs.cat("a") == DATA
        calls = (
            lambda: fs.open("a"),
            lambda: fs.get("a", str(tmp_path / "a")),
            lambda: fs.cp("a", "b"),
        )
        for call in calls:
            with pytest.raises(rs.UnsupportedOperationError):
                call()
    assert list(tmp_path.iterdir()) == []


# What stands on top

RULE = {"array/c/{n}": ["previews/{n}"]}


def chunked(zarr, fs, fill=7):
    store = zarr.storage.FsspecStore(fs, path="array")
    return zarr.create_array(
        store,
        shape=(8,),
        chunks=(2,),
        dtype="i4",
        fill_value=fill,
        compressors=None,
        overwrite=True,
    )


def test_p5_zarr_fills_in_only_what_was_never_written():
    zarr = pytest.importorskip("zarr")
    one, other = Faulty("one"), Faulty("other")
    with over(one, other, degraded=RULE) as setup:
        setup.write("previews/2", b"preview")
    fs = over(one, other, degraded=RULE, asynchronous=True)
    array = chunked(zarr, fs)
    array[:6] = [1, 2, 3, 4, 5, 6]
    assert list(array[:]) == [1, 2, 3, 4, 5, 6, 7, 7]
    sick = ConnectionRefusedError("no")
    one.plan = other.plan = lambda verb, path: sick if path == "array/c/1" else None
    with pytest.raises(rs.BackendsUnavailableError):
        array[:]
    assert list(array[:2]) == [1, 2]
    one.heal()
    other.heal()
    for held in (one, other):
        del held.store["/root/array/c/2"]
    with pytest.raises(rs.OriginalMissingError):
        array[:]
    zarr.core.sync.sync(fs._close())


def test_p5_a_mapping_says_key_error_only_for_what_is_absent():
    fs, one, _ = two(degraded={"lost": ["preview"]})
    with fs:
        one.behind("preview", b"p")
        mapping = fs.get_mapper("")
        assert mapping.getitems(["nothing"], on_error="omit") == {}
        with pytest.raises(KeyError):
            mapping["nothing"]
        for call in (lambda: mapping["lost"], lambda: mapping.getitems(["lost", "nothing"])):
            with pytest.raises((rs.OriginalMissingError, KeyError)) as caught:
                call()
            assert caught.type is rs.OriginalMissingError
        assert "lost" in mapping


def test_p5_a_table_of_several_files_is_whole_or_refused():
    pandas, parquet = pytest.importorskip("pandas"), pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    fs, one, other = two()
    with fs:
        for number in range(3):
            table = pyarrow.table({"n": [number]})
            with fs.open(f"t/{number}.parquet", "wb") as file:
                parquet.write_table(table, file)
        fs.write("t.csv", b"n\n1\n2\n")
        assert sorted(parquet.read_table("t", filesystem=fs)["n"].to_pylist()) == [0, 1, 2]
        assert list(pandas.read_parquet("t", filesystem=fs)["n"]) == [0, 1, 2]
        with fs.open("t.csv") as file:
            assert list(pandas.read_csv(file)["n"]) == [1, 2]
        sick = ConnectionRefusedError("no")
        one.plan = other.plan = lambda verb, path: sick if path == "t/1.parquet" else None
        with pytest.raises(rs.BackendsUnavailableError):
            parquet.read_table("t", filesystem=fs)
        one.plan = other.plan = lambda verb, path: sick if verb == "ls" else None
        with pytest.raises(rs.BackendsUnavailableError):
            pandas.read_parquet("t", filesystem=fs)


def test_none_of_our_errors_is_taken_for_never_written():
    for name in rs.__all__:
        one = getattr(rs, name)
        if isinstance(one, type) and issubclass(one, rs.ResilientStoreError):
            taken = (FileNotFoundError, IsADirectoryError, NotADirectoryError, KeyError)
            assert not issubclass(one, taken)


def test_the_async_calls_say_the_same():
    one, other = Faulty("one"), Faulty("other")
    one.fail("unavailable")
    other.fail("denied")

    async def ask():
        fs = over(one, other, asynchronous=True)
        calls = itertools.chain(
            (fs._exists("a"), fs._isfile("a"), fs._isdir("a"), fs._info("a"), fs._ls("a")),
            (fs._find("a"), fs._glob("a/*"), fs._du("a"), fs._cat("a"), fs._size("a")),
            (fs._expand_path("a", recursive=True), fs._cat_ranges(["a"], [0], [1])),
        )
        for call in calls:
            with pytest.raises(rs.BackendsUnavailableError):
                await call
        with pytest.raises(rs.BackendsUnavailableError):
            [step async for step in fs._walk("a")]
        await fs._close()

    asyncio.run(ask())


def test_headers_that_a_silent_backend_may_keep_are_not_left_without_a_word(tmp_path, caplog):
    (disk, *_), memory = directories(tmp_path), Faulty("memory")
    fs = rs.ResilientFileSystem(
        [disk, rs.Backend(memory, root="/root", name="memory", domain="memory")],
        write=rs.WriteToAll(min_copies=1),
        write_once="unique-names",
    )
    fs.write("a", DATA, content_type="image/png")
    fs.cp("a", "b")
    assert fs.info("b")["content_type"] == "image/png"
    (tmp_path / "first").rename(tmp_path / "unmounted")
    assert not caplog.messages
    fs.cp_file("a", "c")
    assert fs.cat("c") == DATA
    (said,) = (text for text in caplog.messages if "headers" in text)
    assert said.startswith("a is copied without what first may keep")
