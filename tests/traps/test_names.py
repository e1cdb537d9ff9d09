"""Names that are patterns, paths, URLs, markup, or the store's own."""

from __future__ import annotations

import logging

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import resilient_store as rs
from resilient_store.model import path as paths
from tests.traps.faulty import Faulty, directories, files_below, over, two

SIGNS = "*?[]{}!^$+()| #%&ab1"
quick = settings(max_examples=12, suppress_health_check=list(HealthCheck))


def is_name(text: str) -> bool:
    return paths.problem(text) is None and text == text.strip("/")


names = st.text(SIGNS, min_size=1, max_size=8).filter(is_name)


@pytest.fixture
def fs(tmp_path):
    with rs.ResilientFileSystem(directories(tmp_path / "platforms", ("one", "two"))) as fs:
        yield fs


@pytest.fixture
def other(tmp_path):
    return tmp_path / "other"


@given(name=names)
@example("test?file.txt")
@example("file[1].txt")
@example("**")
@example("[!a]")
@example("{a,b}")
@quick
def test_a_name_is_never_read_as_a_pattern(fs, tmp_path, name):
    """Whatever it matches as one stands beside it, and stays."""
    bystanders = {"test_file.txt", "file1.txt", "a", "b", "aa", "b1"} - {name}
    for path in bystanders:
        fs.write(f"d/{path}", b"bystander")
    path = f"d/{name}"
    fs.write(path, b"mine")
    assert fs.cat(path) == fs.read(path).data == b"mine"
    assert fs.info(path)["name"] == path
    assert fs.expand_path(path) == [path]
    assert fs.sizes([path]) == [4]
    target = tmp_path / "got"
    fs.get(path, str(target))
    assert target.read_bytes() == b"mine"
    fs.put(str(target), f"e/{name}")
    fs.cp(path, f"f/{name}")
    fs.mv(f"f/{name}", f"g/{name}")
    assert fs.cat(f"e/{name}") == fs.cat(f"g/{name}") == b"mine"
    assert fs.find("f") == []
    mapping = fs.get_mapper("d")
    assert mapping[name] == b"mine"
    fs.rm(path)
    assert {found.removeprefix("d/") for found in fs.find("d")} == bystanders
    fs.rm(["e", "g"], recursive=True)
    assert {fs.cat(found) for found in fs.find("")} == {b"bystander"}
    fs.rm("d", recursive=True)


@given(name=names)
@quick
def test_a_folder_with_signs_is_copied_and_removed_as_it_is_written(fs, tmp_path, name):
    for folder in (name, "a", "b1", "aa"):
        fs.write(f"{folder}/x", folder.encode())
    fs.cp(name, "to", recursive=True)
    assert fs.cat("to/x") == name.encode()
    fs.rm(name, recursive=True)
    left = {"a", "b1", "aa", "to"} - {name}
    assert set(fs.ls("", detail=False)) == left
    for folder in left:
        fs.rm(folder, recursive=True)


def test_a_pattern_is_still_a_pattern_where_no_such_name_is(fs):
    for path in ("d/a1", "d/a2", "d/b"):
        fs.write(path, path.encode())
    assert fs.cat("d/a?") == {"d/a1": b"d/a1", "d/a2": b"d/a2"}
    fs.rm("d/a*")
    assert fs.find("") == ["d/b"]


# Names that climb, hide, or lead elsewhere

REFUSED = [
    *("..", "../secret", "a/../b", "a/..", "./a", "a/./b", ".", "a//b", "a\\b", "..\\secret"),
    *("C:\\x", "a\x00b", "a\nb", "a\x1b[31m", "s3://bucket/a", "file:///etc/passwd", "a\ud800"),
    *(".resilient", ".resilient/store.json", ".resilient/staging/x", "a/.resilient-x/b"),
    *(".resilient-x", "x" * 897, "é" * 449),
]
KEPT = [
    *(
        "...",
        "a/...",
        "..a",
        "a..",
        "a.",
        "a ",
        " a",
        "%2e%2e/a",
        "%2e%2e",
        "x::$DATA",
        "~",
        "~root",
    ),
    *("file:x", "C:x", "-rf", "a/.resilient/b", ".Resilient/a", "resilient", ".resilien", "'; --"),
    *(
        "<script>alert(1)</script>",
        "=1+1",
        "\u202egpj",
        "日本/é",
        "e\u0301",
        "x" * 200,
        "$HOME",
        "`a`",
    ),
]


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_one_platform_reads_in_another_way_is_refused_everywhere(name):
    fs, one, other = two()
    with fs:
        calls = (
            *(lambda: fs.cat(name), lambda: fs.write(name, b"1"), lambda: fs.rm(name)),
            *(lambda: fs.info(name), lambda: fs.exists(name), lambda: fs.open(name, "wb")),
            *(lambda: fs.open(name), lambda: fs.cp("a", name), lambda: fs.mv("a", name)),
            *(lambda: fs.cp(name, "a"), lambda: fs.mkdir(name), lambda: fs.ls(name)),
            *(lambda: fs.find(name), lambda: fs.touch(name), lambda: fs.pipe({name: b""})),
            *(lambda: fs.rm([name]), lambda: fs.put_file("/etc/hostname", name)),
        )
        for call in calls:
            with pytest.raises(rs.InvalidPathError) as caught:
                call()
            assert caught.value.note
    assert one.calls == other.calls == [], "a backend was asked"


@pytest.mark.parametrize("name", KEPT)
def test_a_name_that_only_looks_odd_is_kept_as_it_is(fs, tmp_path, name):
    fs.write(name, b"1")
    assert fs.find("") == [name]
    assert fs.cat(name) == b"1"
    assert files_below(tmp_path / "platforms") == [f"one/{name}", f"two/{name}"]


@given(name=st.text(min_size=1, max_size=20))
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_no_backend_is_asked_for_anything_outside_its_root(name):
    fs, one, other = two()
    with fs:
        for call in (lambda: fs.write(name, b"1"), lambda: fs.cat(name), lambda: fs.rm(name)):
            try:
                call()
            except (rs.ResilientStoreError, FileNotFoundError, IsADirectoryError):
                continue
    for held in (one, other):
        for key in [*held.store, *(path for _, path in held.calls if path != "/root")]:
            inside = key.removeprefix("/root/")
            assert ".." not in inside.split("/")
            assert not inside.startswith("/")


def test_a_root_that_begins_like_another_is_another(tmp_path):
    for folder in ("photos", "photos-private"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_bytes(folder.encode())
    one = Faulty()
    one.pseudo_dirs += ["/root/photos", "/root/photos-private"]
    one.behind("photos/a", b"photos")
    one.behind("photos-private/a", b"photos-private")
    for target, root in ((str(tmp_path / "photos"), ""), (one, "/root/photos")):
        with rs.ResilientFileSystem([rs.Backend(target, root=root, name="photos")]) as fs:
            assert (fs.find(""), fs.cat("a")) == (["a"], b"photos")
            fs.rm("a")
            assert fs.find("") == []
    assert (tmp_path / "photos-private" / "a").exists()
    assert one.keys() == ["photos-private/a"]
    rs.ResilientFileSystem([str(tmp_path / "photos"), str(tmp_path / "photos-private")])


def test_the_stores_own_area_is_in_no_listing(fs, tmp_path):
    fs.write("a", b"1")
    for root in ("one", "two"):
        own = tmp_path / "platforms" / root / ".resilient" / "staging"
        own.mkdir(parents=True)
        (own / "x").write_bytes(b"own")
        (tmp_path / "platforms" / root / ".resilient-y").write_bytes(b"own")
    assert fs.find("") == ["a"]
    assert fs.glob("**") == ["a"]
    assert fs.glob(".*") == []
    assert fs.ls("", detail=False) == ["a"]
    assert fs.du("") == 1
    assert fs.cat("*") == {"a": b"1"}
    fs.rm("*")
    assert len(files_below(tmp_path / "platforms")) == 4


def test_a_backend_is_a_registered_protocol_and_never_a_chain():
    for url in ("simplecache::memory://a", "zip://a::http://10.0.0.1/x", "os.path:join://x", "::"):
        with pytest.raises(rs.ConfigurationError):
            rs.ResilientFileSystem([url])


def test_a_name_in_an_error_is_quoted_and_can_be_copied(fs, caplog):
    caplog.set_level(logging.DEBUG, "resilient_store")
    for name in ("\u202egpj.exe", "<script>alert('1')</script>", 'it\'s "quoted"'):
        with pytest.raises(rs.InvalidPathError) as caught:
            fs.write(f"{name}\x1b[31m", b"")
        assert "\x1b" not in str(caught.value)
        assert ascii("\u202e")[1:-1] in str(caught.value) or "\u202e" not in name
        with pytest.raises(FileNotFoundError) as absent:
            fs.cat(name)
        assert absent.value.filename == name
    assert "\x1b" not in caplog.text


# One object, one spelling

spelling = st.sampled_from(["{}", "/{}", "//{}", "{}/", "resilient://{}", "resilient:///{}"])


@given(key=names, spelled=spelling, again=spelling)
@settings(max_examples=200)
def test_every_spelling_means_one_key(key, spelled, again):
    strip = rs.ResilientFileSystem._strip_protocol
    text = again.format(spelled.format(key))
    assert strip(text) == strip(strip(text)) == key
    assert strip([text, key]) == [key, key]


@pytest.mark.filterwarnings("ignore:UPath 'resilient' filesystem:UserWarning")
def test_every_entry_takes_every_spelling(tmp_path):
    upath = pytest.importorskip("upath")
    fs = over(Faulty())
    with fs:
        fs.write("/images/a.jpg", b"1")
        for path in ("images/a.jpg", "/images/a.jpg", "resilient://images/a.jpg", "images/a.jpg/"):
            assert fs.exists(path)
            assert fs.cat(path) == fs.read(path).data == fs.open(path).read() == b"1"
            assert fs.info(path)["name"] == "images/a.jpg"
            assert fs.cat([path]) == {"images/a.jpg": b"1"}
        assert fs.get_mapper("/images")["a.jpg"] == fs.get_mapper("resilient://images")["a.jpg"]
        backends = fs.store.configuration.backends
        assert upath.UPath("resilient://images/a.jpg", backends=backends).read_bytes() == b"1"
        assert fs.unstrip_protocol("/images/a.jpg") == "resilient://images/a.jpg"
        fs.rm("resilient:///images/a.jpg")
        assert fs.find("") == []
