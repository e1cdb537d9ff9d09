"""The command line: what it prints, and the code it ends with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import resilient_store as rs
from resilient_store.cli.commands import app
from resilient_store.cli.endings import DONE, INTERRUPTED, LEFT, UNAVAILABLE, WRONG
from resilient_store.cli.files import check_place, write_whole
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, TWO, converge, states
from tests.operations.conftest import _loaded, fs, place, shop

__all__ = ["_loaded", "fs", "place", "shop"]

BACKEND = '[[stores.photos.backends]]\ntarget = "{target}"\nname = "{name}"\ndomain = "{name}"\n\n'


def config(shop, least: int = 2) -> Path:
    """Write the shop's configuration."""
    path = shop.folder / "photos.toml"
    head = f'[stores.photos]\ncatalog = "sqlite:///{shop.catalog}"\nlate_window = 0.05\n\n'
    policy = f"[stores.photos.write]\nmin_copies = {least}\nmin_domains = {least}\n\n"
    backends = "".join(BACKEND.format(target=shop.disk(n), name=n) for n in shop.names)
    path.write_text(head + policy + backends)
    return path


@pytest.fixture
def run(shop):
    """Run a command over the shop's store."""

    def command(*words, as_json=False):
        before = ["--config", str(config(shop)), *(["--json"] if as_json else [])]
        return CliRunner().invoke(app, [*before, *words])

    return command


def test_repair_says_what_it_did_and_what_is_left(fs, shop, run):
    shop.lose("aws")
    fs.write(CAT, ONE)
    left = run("repair")
    assert (left.exit_code, "failed: 1" in left.output, CAT in left.output) == (LEFT, True, True)
    shop.bring_back("aws")
    done = run("repair", "--at-once", "2", "--requests-per-s", "1000", as_json=True)
    assert done.exit_code in (DONE, LEFT)
    said = json.loads(done.stdout)
    assert (said["copied"] >= 1, said["failed"]) == (True, {})
    converge(fs)
    assert run("repair").exit_code == DONE
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)


def test_scrub_ends_with_one_where_something_is_bad(fs, shop, run):
    fs.write(CAT, ONE)
    assert run("scrub").exit_code == DONE
    shop.flip("gcp", CAT)
    found = run("scrub", "--max-age-days", "0.0000001", as_json=True)
    assert (found.exit_code, json.loads(found.stdout)["corrupt"]) == (LEFT, {CAT: ["gcp"]})
    converge(fs)
    shop.put_behind("aws", "left/here", ONE)
    unknown = run("scrub", "--shallow", "--sample", "1")
    assert (unknown.exit_code, "left/here" in unknown.stdout) == (LEFT, True)


def test_freeze_and_thaw(fs, run):
    fs.write(CAT, ONE)
    assert run("freeze", "moving house").exit_code == DONE
    with pytest.raises(rs.StoreFrozenError, match="moving house"):
        fs.write(CAT, TWO)
    assert run("thaw").exit_code == DONE
    fs.write(CAT, TWO)


def test_evacuate_can_be_tried_first(shop, run):
    shop.lose("gcp", "azure")
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    fs.write(CAT, ONE)
    shop.bring_back()
    tried = run("evacuate", "--from", "aws", "--dry-run")
    assert (tried.exit_code, "1 objects" in tried.stdout) == (LEFT, True)
    assert shop.held(CAT) == {"aws": ONE, "gcp": None, "azure": None}
    assert run("evacuate", "--from", "aws").exit_code == DONE
    assert states(fs, CAT) == dict.fromkeys(NAMES, "good")


def test_drain_and_rejoin(fs, run):
    fs.write(CAT, ONE)
    assert "would be drained: aws" in run("drain", "aws", "--dry-run").stdout
    assert fs.read(CAT).backend == "aws"
    refused = run("drain", "aws")
    assert refused.exit_code == DONE
    fs.exists("anything")
    assert fs.read(CAT).backend == "gcp"
    back = run("rejoin", "aws", as_json=True)
    assert (back.exit_code, json.loads(back.stdout)["to_be_verified"]) == (DONE, 0)
    fs.exists("anything")
    assert fs.read(CAT).backend == "aws"


def test_a_drive_at_another_place_is_repaired_by_the_process_that_knows_of_it(fs, shop, run):
    fs.write(CAT, ONE)
    shop.disk("aws").rename(shop.folder / "elsewhere")
    said = run("rejoin", "aws", "--target", str(shop.folder / "elsewhere"), as_json=True)
    assert json.loads(said.stdout)["repaired"]["failed"] == {}
    assert "put the new place of aws into the configuration" in said.stderr


def test_adopt_reports_conflicts(shop, run):
    shop.put_behind("aws", CAT, ONE)
    shop.put_behind("gcp", CAT, TWO)
    shop.put_behind("gcp", DOG, TWO)
    conflict = run("adopt", as_json=True)
    said = json.loads(conflict.stdout)
    assert (conflict.exit_code, said["adopted"]) == (LEFT, [DOG])
    assert said["conflicts"] == {CAT: ["aws", "gcp"]}
    assert run("adopt", "--on-conflict", "newest", "--path", CAT, "--incomplete").exit_code == DONE


def test_a_dry_run_of_adopt_or_rejoin_says_what_would_be_and_does_nothing(shop, run):
    shop.put_behind("aws", CAT, ONE)
    said = json.loads(run("adopt", "--dry-run", as_json=True).stdout)
    assert (said["new"], said["adopted"], said["complete"]) == (1, [CAT], False)
    assert run("adopt").exit_code == DONE
    (shop.disk("aws") / CAT).unlink()
    assert run("drain", "aws").exit_code == DONE
    back = json.loads(run("rejoin", "aws", "--dry-run", as_json=True).stdout)
    assert (back["rejoined"], back["to_be_verified"]) == (None, 1)
    back = json.loads(run("rejoin", "aws", as_json=True).stdout)
    assert (back["rejoined"], back["to_be_verified"]) == ("aws", 1)


def test_status_is_one_screen_and_its_code_says_whether_it_is_well(fs, shop, run):
    fs.write(CAT, ONE)
    converge(fs)
    well = run("status")
    assert (well.exit_code, "no known data errors" in well.stdout) == (DONE, True)
    shop.flip("aws", CAT)
    rs.scrub(fs)
    bad = run("status", as_json=True)
    assert (bad.exit_code, json.loads(bad.stdout)["state"]) == (LEFT, "DEGRADED")


def test_what_if_says_what_a_loss_would_cost(shop, run):
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    fs.exists("anything")
    shop.lose("gcp", "azure")
    fs.write(CAT, ONE)
    shop.bring_back()
    one = json.loads(run("what-if", "--lose", "aws", as_json=True).stdout)
    assert one["lost"]["count"] == 1
    every = json.loads(run("what-if", as_json=True).stdout)
    assert every["aws"]["lost"]["count"] == 1
    assert "aws" in run("what-if").stdout


def test_a_damage_report_in_all_its_forms(fs, shop, run, tmp_path):
    fs.write(CAT, ONE)
    fs.write(DOG, ONE)
    converge(fs)
    words = ("--group-by", "originals/{name}", "--save", str(tmp_path / "then.json"))
    assert run("damage-report", *words).exit_code == DONE
    for name in NAMES:
        (shop.disk(name) / CAT).unlink()
    rs.scrub(fs)
    files = [str(tmp_path / name) for name in ("a.html", "a.csv", "now.json")]
    bad = run("damage-report", "--html", files[0], "--csv", files[1], "--save", files[2])
    assert (bad.exit_code, CAT in bad.stdout, DOG in bad.stdout) == (LEFT, True, False)
    assert all(CAT in Path(file).read_text() for file in files)
    then = run("damage-report", "--since", str(tmp_path / "then.json"))
    assert "newly lost: 1" in then.stdout
    assert json.loads(run("damage-report", as_json=True).stdout)


def test_a_file_that_cannot_be_written_is_refused_before_the_work(fs, run, tmp_path, monkeypatch):
    fs.write(CAT, ONE)
    monkeypatch.setattr(rs, "damage_report", lambda *_, **__: pytest.fail("all that for nothing"))
    for wrong in (tmp_path, tmp_path / "none" / "now.json"):
        found = run("damage-report", "--save", str(wrong))
        assert (found.exit_code, str(wrong) in found.stderr) == (WRONG, True)


def test_a_report_that_breaks_off_leaves_the_earlier_file(tmp_path):
    file = tmp_path / "then.json"
    file.write_text("of then")

    def breaks_off(opened):
        opened.write("half of n")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(file, breaks_off)
    assert file.read_text() == "of then"
    assert list(tmp_path.iterdir()) == [file]
    write_whole(file, lambda opened: opened.write("of now"))
    assert file.read_text() == "of now"


def test_a_report_goes_where_a_link_leads(tmp_path):
    (tmp_path / "of-record").write_text("of then")
    (tmp_path / "link").symlink_to("of-record")
    write_whole(tmp_path / "link", lambda opened: opened.write("of now"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "of-record").read_text() == "of now"


def test_a_report_goes_where_a_descriptor_does(tmp_path):
    """As ``--csv /dev/stdout`` asks; nothing there may be replaced, least of all by root."""
    with (tmp_path / "file").open("w") as opened:
        place = Path(f"/dev/fd/{opened.fileno()}")
        check_place(place)
        write_whole(place, lambda file: file.write("of now"))
    assert (tmp_path / "file").read_text() == "of now"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
    into, out_of = os.pipe()
    write_whole(Path(f"/dev/fd/{out_of}"), lambda file: file.write("of now"))
    os.close(out_of)
    with open(into) as read:
        assert read.read() == "of now"


def test_a_report_replaces_a_file_whose_folder_takes_no_other(tmp_path, monkeypatch):
    file = tmp_path / "report"
    file.write_text("of then, and longer")
    monkeypatch.setattr(os, "access", lambda path, _: path == file)
    check_place(file)
    write_whole(file, lambda opened: opened.write("of now"))
    assert file.read_text() == "of now"
    with pytest.raises(rs.ConfigurationError, match="cannot be written"):
        check_place(tmp_path / "another")


def test_a_report_goes_into_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        write_whole(tmp_path / "pipe", lambda opened: opened.write("of now"))
        assert reader.communicate(timeout=10)[0] == b"of now"
    assert (tmp_path / "pipe").is_fifo()


def test_a_lost_catalog_is_brought_back(fs, shop, run):
    fs.write(CAT, ONE)
    assert run("snapshot").exit_code == DONE
    shop.leave(fs)
    for file in shop.folder.glob("photos.db*"):
        file.unlink()
    lost = run("repair")
    assert (lost.exit_code, "restore" in lost.stderr) == (WRONG, True)
    assert run("restore", "--dry-run").exit_code == DONE
    assert not shop.catalog.exists() or run("repair").exit_code == WRONG
    assert run("restore").exit_code == DONE
    assert shop.open().read(CAT).data == ONE


def test_sweep_and_maintain(fs, shop, run):
    fs.write(CAT, ONE)
    assert run("sweep", "--older-than-hours", "2").exit_code == DONE
    left = ".resilient/staging/1-x/left"
    shop.put_behind("aws", left, ONE)
    tried = run("sweep", "--older-than-hours", "0", "--dry-run", as_json=True)
    assert json.loads(tried.stdout)["removed"]["aws"] == [left]
    assert shop.read_behind("aws", left) == ONE
    assert run("sweep", "--older-than-hours", "0").exit_code == DONE
    assert shop.read_behind("aws", left) is None
    shop.flip("aws", CAT)
    said = json.loads(run("maintain", "--once", as_json=True).stdout)
    assert said["scrubbed"]["corrupt"] == {CAT: ["aws"]}
    assert (said["parts"]["repair"], said["snapshot"]["objects"], said["swept"]["failed"]) == (
        1,
        1,
        [],
    )


def test_verify_prints_the_checksum_that_the_catalog_has(fs, run, tmp_path):
    data = os.urandom(3 << 20)
    fs.write(CAT, data)
    (tmp_path / "cat.jpg").write_bytes(data)
    said = json.loads(run("verify", str(tmp_path / "cat.jpg"), as_json=True).stdout)
    assert (said["checksum"], said["size"]) == (fs.info(CAT)["checksum"], len(data))
    assert run("verify", str(tmp_path / "none")).exit_code == WRONG
    assert run("verify", str(tmp_path)).exit_code == WRONG  # it is no file


def test_what_is_wrong_with_the_command_is_said_in_a_sentence(run, tmp_path):
    missing = CliRunner().invoke(app, ["--config", str(tmp_path / "none.toml"), "repair"])
    assert missing.exit_code == WRONG
    assert "none.toml" in missing.stderr
    unknown = run("drain", "mars")
    assert (unknown.exit_code, "no backend 'mars'" in unknown.stderr) == (WRONG, True)
    assert "Traceback" not in missing.output + unknown.output
    assert run("no-such-command").exit_code == WRONG


def test_what_does_not_answer_ends_with_a_code_of_its_own(fs, shop, run):
    fs.write(CAT, ONE)
    shop.lose("aws")
    away = run("rejoin", "aws")
    assert (away.exit_code, "aws" in away.stderr) == (UNAVAILABLE, True)


def test_paths_that_are_no_text_are_printed(shop, run):
    shop.put_behind("aws", "odd \udcff name", ONE)
    assert "\\udcff" in run("adopt").output


def test_maintain_goes_on_after_a_round_that_could_not_be_ended(fs, shop, run, monkeypatch):
    fs.write(CAT, ONE)
    rounds = []

    def rest(_):
        rounds.append(shop.catalog.exists())
        if len(rounds) == 1:
            monkeypatch.undo()
        if len(rounds) == 2:
            raise KeyboardInterrupt

    def away(*_, **__):
        raise rs.CatalogUnavailableError(CAT)

    with monkeypatch.context() as patched:
        patched.setattr("resilient_store.runtime.rest", rest)
        monkeypatch.setattr(rs, "maintain", away)
        said = run("maintain")
    assert said.exit_code == INTERRUPTED
    assert "the next one tries again" in said.stderr
    assert "repaired" in said.stdout


SLOW = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
import resilient_store as rs
from resilient_store.cli import endings
from resilient_store.operations import repair as module

async def hang(store, path):
    print("began", flush=True)
    try:
        await store.clients["aws"].info("x")
        import asyncio
        await asyncio.get_running_loop().create_future()
    finally:
        print("cleaned up", flush=True)

module.repair_path = hang
sys.argv = ["resilient-store", "--config", sys.argv[1], "repair"]
from resilient_store.cli import main
main()
"""


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(fs, shop):
    shop.lose("aws")
    fs.write(CAT, ONE)
    shop.bring_back("aws")
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, str(config(shop))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "began\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (out, process.returncode) == ("cleaned up\n", INTERRUPTED)
    assert err.strip().splitlines()[-1].endswith("the same command goes on from there")
    assert "Traceback" not in err


def test_progress_is_said_in_lines_where_there_is_no_terminal(fs, shop, run, monkeypatch):
    monkeypatch.setattr("resilient_store.cli.progress.EVERY_S", 0.0)
    shop.lose("aws")
    fs.write(CAT, ONE)
    shop.bring_back("aws")
    assert "repaired: 1 of 1" in run("repair").stderr


def test_a_bar_is_shown_on_a_terminal(fs, shop, run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    shop.lose("aws")
    fs.write(CAT, ONE)
    shop.bring_back("aws")
    assert "\x1b[" in run("repair").stderr


def test_without_its_extra_it_says_what_to_install():
    script = (
        "import sys; sys.modules['typer'] = None\nfrom resilient_store.cli import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "resilient_store[cli]" in done.stderr) == (WRONG, True)


def test_what_is_nested_is_no_number_and_what_was_removed_is_counted(fs, shop, run):
    fs.write(CAT, ONE)
    converge(fs)
    for name in ("1-x/left", "1-y/left"):
        shop.put_behind("aws", f".resilient/staging/{name}", ONE)
    round_ = run("maintain", "--once").stdout.splitlines()
    assert ("repaired:" in round_, "  copied: 0" in round_, "  repair: 1" in round_) == (True,) * 3
    assert "removed: 0" in run("sweep").stdout.splitlines()
    swept = run("sweep", "--older-than-hours", "0").stdout.splitlines()
    assert "removed: 2" in swept
    assert "  aws: .resilient/staging/1-x/left" in swept
    assert run("thaw").stdout == "frozen: no\n"


def test_no_name_is_taken_for_a_line_or_obeyed_by_a_terminal(fs, shop, run):
    fs.exists(CAT)
    shop.put_behind("aws", "a\nfailed: 0\x1b[2J", ONE)
    said = run("adopt")
    assert (said.exit_code, "  a\\nfailed: 0\\x1b[2J: " in said.stdout) == (LEFT, True)
    assert "state: ONLINE" not in run("freeze", "x\nstate: ONLINE").stdout.splitlines()
    assert "state: ONLINE" not in run("status").stdout.splitlines()


def test_what_no_backend_has_was_not_adopted(fs, run):
    fs.exists(CAT)
    said = run("adopt", "--path", DOG, as_json=True)
    found = json.loads(said.stdout)
    assert (said.exit_code, found["known"]) == (LEFT, 0)
    assert found["failed"] == {DOG: "no backend has it"}


def test_a_report_is_compared_with_the_one_that_it_replaces(fs, shop, run, tmp_path):
    fs.write(CAT, ONE)
    converge(fs)
    file = str(tmp_path / "last.json")
    assert run("damage-report", "--save", file).exit_code == DONE
    for name in NAMES:
        (shop.disk(name) / CAT).unlink()
    rs.scrub(fs)
    said = run("damage-report", "--since", file, "--save", file, as_json=True)
    assert len(json.loads(said.stdout)["items"]) == 1
    assert "newly lost: 1" in said.stderr
    assert "newly lost: 0\nnewly unreachable: 0" in run("damage-report", "--since", file).stdout
    wrong = run("damage-report", "--since", str(tmp_path / "none"))
    assert (wrong.exit_code, wrong.stdout) == (WRONG, "")


def test_a_restore_that_leaves_something_to_look_at_says_so(fs, shop, run):
    fs.write(CAT, ONE)
    converge(fs)
    assert run("snapshot").exit_code == DONE
    shop.leave(fs)
    for file in shop.folder.glob("photos.db*"):
        file.unlink()
    assert json.loads(run("restore", "--dry-run", as_json=True).stdout)["objects"] == 1
    shop.lose("azure")
    restored = run("restore", as_json=True)
    found = json.loads(restored.stdout)
    assert (restored.exit_code, found["away"], found["taken"][:2]) == (LEFT, ["azure"], "20")


def test_snapshots_that_are_all_damaged_are_no_reason_to_call_again(fs, shop, run):
    fs.write(CAT, ONE)
    assert run("snapshot").exit_code == DONE
    for name in NAMES:
        for file in shop.disk(name).glob(".resilient/snapshots/*/*"):
            file.write_bytes(b"rot")
    shop.leave(fs)
    for file in shop.folder.glob("photos.db*"):
        file.unlink()
    lost = run("restore", as_json=True)
    assert (lost.exit_code, json.loads(lost.stdout)["error"]) == (LEFT, "integrity")


def test_a_lost_catalog_is_not_called_a_well_store(fs, shop, run):
    fs.write(CAT, ONE)
    shop.leave(fs)
    for file in shop.folder.glob("photos.db*"):
        file.unlink()
    gone = run("repair", as_json=True)  # which makes the file anew, and nothing in it
    assert json.loads(gone.stdout)["error"] == "store-identity"
    said = run("status")
    assert (said.exit_code, "restore" in said.stdout) == (UNAVAILABLE, True)
    assert "no known data errors" not in said.stdout


def test_what_is_left_unverified_after_rejoin_ends_with_one(fs, shop, run):
    fs.write(CAT, ONE)
    (shop.disk("aws") / ".resilient/store.json").unlink()
    said = run("rejoin", "aws")
    assert (said.exit_code, "to be verified: 1" in said.stdout) == (LEFT, True)


def test_a_round_whose_snapshot_failed_somewhere_is_not_done(fs, shop, run):
    fs.write(CAT, ONE)
    converge(fs)
    assert run("maintain", "--once").exit_code == DONE
    shop.lose("azure")
    assert run("maintain", "--once").exit_code == LEFT


def test_errors_of_the_whole_store_name_no_path_and_say_what_is_away(fs, shop, run):
    fs.write(CAT, ONE)
    shop.lose("aws")
    away = run("rejoin", "aws", as_json=True)
    assert "''" not in away.stderr
    assert json.loads(away.stdout)["error"] == "backends-unavailable"
    shop.leave(fs)
    shop.catalog.write_bytes(b"no database" * 1000)
    down = run("repair", as_json=True)
    assert (down.exit_code, json.loads(down.stdout)["error"]) == (
        UNAVAILABLE,
        "catalog-unavailable",
    )
    assert "when the catalog is back" in down.stderr
    assert "move it away with its -wal and -shm, then call restore" in down.stderr


@pytest.mark.parametrize("hours", ["inf", "1e300", "1e12", "nan"])
def test_an_age_beyond_all_time_is_refused(run, hours):
    said = run("sweep", "--older-than-hours", hours)
    assert (said.exit_code, "older_than" in said.stderr) == (WRONG, True)


WRONG_FILES = {
    "[stores.photos\nx = 1": "line 1",
    "stores = 5": "[stores.NAME]",
    "[stores]\nphotos = 5": "[stores.photos]",
    "[stores.photos]\nbackends = 5": "backends must be a list",
    "[stores.photos]\nbackends = ['a']\nplacements = 5": "placements must be a list",
    "[stores.photos]\nbackends = [{target = 'a', storage_options = 5}]": "storage_options",
}


@pytest.mark.parametrize(("text", "said"), WRONG_FILES.items())
def test_a_configuration_that_is_wrong_is_said_to_be(tmp_path, text, said):
    path = tmp_path / "photos.toml"
    path.write_text(text)
    done = CliRunner().invoke(app, ["--config", str(path), "status"])
    assert (done.exit_code, said in done.stderr) == (WRONG, True)


def test_the_configuration_of_an_asynchronous_application_is_taken(fs, shop):
    fs.exists(CAT)
    path = config(shop)
    path.write_text(path.read_text().replace("late_window", "asynchronous = true\nlate_window"))
    assert CliRunner().invoke(app, ["--config", str(path), "status"]).exit_code == DONE


def test_ctrl_c_before_it_has_begun_is_no_traceback():
    script = """
import sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "resilient_store.cli.commands":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from resilient_store.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        INTERRUPTED,
        "resilient-store: stopped before it began\n",
    )


def test_a_name_that_the_terminal_cannot_show_is_written_out(fs, shop):
    fs.exists(CAT)
    shop.put_behind("aws", "łódź.jpg", ONE)
    words = ("--config", str(config(shop)), "adopt")
    done = subprocess.run(
        [sys.executable, "-m", "resilient_store.cli", *words],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert (done.returncode, b"\\u0142\xf3d\\u017a.jpg" in done.stdout) == (DONE, True)


def test_a_dry_run_says_that_it_is_one(fs, shop, run):
    fs.write(CAT, ONE)
    shop.put_behind("aws", ".resilient/staging/1-x/left", ONE)
    for words in (
        ("sweep", "--older-than-hours", "0"),
        ("evacuate", "--from", "aws"),
        ("adopt",),
        ("rejoin", "aws"),
        ("drain", "aws"),
    ):
        assert run(*words, "--dry-run").stdout.startswith("dry run: no object was changed")
        assert "dry run" not in run(*words, "--dry-run", as_json=True).stdout
    assert "dry run" not in run("sweep").stdout


def test_an_evacuation_names_what_failed_and_why(shop, run):
    shop.lose("gcp", "azure")
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    fs.write(CAT, ONE)
    shop.bring_back("azure")
    left = run("evacuate", "--from", "aws")
    assert (left.exit_code, "failed: 1" in left.stdout, f"  {CAT}: gcp" in left.stdout) == (
        LEFT,
        True,
        True,
    )
