"""The commands: each is an operation over the store that a configuration file names."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

import resilient_store as rs
from resilient_store import runtime
from resilient_store.cli.endings import DONE, LEFT, UNAVAILABLE, end, say, told
from resilient_store.cli.files import check_place, write_whole
from resilient_store.cli.output import fields, show
from resilient_store.cli.progress import progress
from resilient_store.model.checksum import ChunkedChecksum

app = typer.Typer(
    name="resilient-store",
    help="Look after a store: its state, repair, what was lost, and what would be.",
    epilog="Exit codes: 0 done, 1 something is left or damaged, 2 wrong command or configuration, "
    "3 a platform or the catalog does not answer, 130 interrupted: the same command goes on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Settings:
    """What stands before the command."""

    config: Path = Path("resilient_store.toml")
    store: str | None = None
    as_json: bool = False


_settings = Settings()


@app.callback()
def before(
    config: Annotated[
        Path, typer.Option(envvar="RESILIENT_STORE_CONFIG", help="The configuration file.")
    ] = Settings.config,
    store: Annotated[
        str | None, typer.Option(help="Which store of the file, where it has several.")
    ] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look after a store: its state, repair, what was lost, and what would be."""
    _settings.config, _settings.store, _settings.as_json = config, store, json


@contextlib.contextmanager
def opened() -> Iterator[Any]:
    """Open the store that was named; its errors end the command with a sentence."""
    with told(as_json=_settings.as_json):
        fs = rs.from_config(_settings.config, _settings.store, asynchronous=False)
        with fs:
            yield fs


def finish(report: Any, *, well: bool, dry_run: bool = False) -> None:
    """Print a report, and end with the code that says whether anything is left."""
    if dry_run and not _settings.as_json:
        typer.echo("dry run: no object was changed; this is what would be done or is left to do")
    show(report, as_json=_settings.as_json)
    end(DONE if well else LEFT)


# --- options that several commands take ---------------------------------------------------

AtOnce = Annotated[int, typer.Option(help="Objects that are worked on at one time.")]
Requests = Annotated[
    float | None, typer.Option("--requests-per-s", help="At most so many to each platform.")
]
Bytes = Annotated[
    float | None, typer.Option("--bytes-per-s", help="At most so many to each platform.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")]


# --- how it is, and how it would be -------------------------------------------------------


@app.command()
def status() -> None:
    """Say on one screen how the store is, and what to do."""
    with opened() as fs:
        found = rs.status(fs)
    show(found, as_json=_settings.as_json)
    end({"ONLINE": DONE, "UNAVAILABLE": UNAVAILABLE}.get(found.state, LEFT))


@app.command(name="what-if")
def what_if(
    lose: Annotated[
        list[str] | None, typer.Option(help="A failure domain; may be repeated. None: every one.")
    ] = None,
) -> None:
    """Say what a loss would cost: what is lost, degraded, and still writable."""
    with opened() as fs, progress("looked through") as callback:
        found: Any = rs.what_if(fs, lose=lose, callback=callback)
        show(found, as_json=_settings.as_json)


@app.command(name="damage-report")
def damage_report(
    group_by: Annotated[
        str | None, typer.Option(help="Such as 'originals/{customer}/...'.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page for people.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a table.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write JSON, to compare with later.")] = None,
    since: Annotated[Path | None, typer.Option(help="Compare with what --save wrote.")] = None,
    *,
    quarantine: Annotated[
        bool, typer.Option(help="List what was kept aside on each backend.")
    ] = True,
) -> None:
    """Say which objects are lost, unreachable, at risk or somebody else's."""
    with opened() as fs, progress("looked through") as callback:
        for file in filter(None, (html, csv, save)):
            check_place(file)
        before = None if since is None else _saved(since)  # it may be what --save writes over
        report = rs.damage_report(fs, group_by=group_by, quarantine=quarantine, callback=callback)
        forms = ((html, report.to_html), (csv, report.to_csv), (save, report.to_json))
        for path, write in forms:
            if path is not None:
                write_whole(path, write)
        show(report, as_json=_settings.as_json)
        if before is not None:
            for name, some in fields(report.since(before)).items():
                typer.echo(f"{name.replace('_', ' ')}: {len(some)}", err=_settings.as_json)
        well = not any(report.found.values())
    end(DONE if well else LEFT)


def _saved(path: Path) -> rs.DamageReport:
    with path.open(encoding="utf-8") as file:
        return rs.DamageReport.from_json(file)


# --- every day ----------------------------------------------------------------------------


@app.command()
def repair(
    at_once: AtOnce = 8, requests: Requests = None, size: Bytes = None, *, dry_run: DryRun = False
) -> None:
    """Bring every backend to what its placement asks: the most endangered first."""
    with opened() as fs, progress("repaired") as callback:
        report = rs.repair(
            fs,
            at_once=at_once,
            requests_per_s=requests,
            bytes_per_s=size,
            dry_run=dry_run,
            callback=callback,
        )
    finish(report, well=report.done, dry_run=dry_run)


@app.command()
def scrub(
    sample: Annotated[float | None, typer.Option(help="The share to verify; none: all.")] = None,
    max_age_days: Annotated[
        float | None, typer.Option(help="Only what was not verified for so many days.")
    ] = None,
    at_once: AtOnce = 8,
    requests: Requests = None,
    size: Bytes = None,
    *,
    shallow: Annotated[
        bool, typer.Option("--shallow", help="Trust the platforms' own checksums.")
    ] = False,
) -> None:
    """Read replicas and verify them; what is bad goes to the repair queue."""
    with opened() as fs, progress("looked through") as callback:
        report = rs.scrub(
            fs,
            sample=sample,
            max_age=None if max_age_days is None else max_age_days * 86400,
            deep=not shallow,
            at_once=at_once,
            requests_per_s=requests,
            bytes_per_s=size,
            callback=callback,
        )
    finish(report, well=report.clean and not report.unknown and not report.unlisted)


@app.command()
def sweep(
    older_than_hours: Annotated[float, typer.Option(help="Longer than any write takes.")] = 1.0,
    *,
    dry_run: DryRun = False,
) -> None:
    """Remove what killed processes left in staging."""
    with opened() as fs, progress("looked at") as callback:
        age_s = older_than_hours * 3600
        report = rs.sweep(fs, older_than=age_s, dry_run=dry_run, callback=callback)
    finish(report, well=not report.failed, dry_run=dry_run)


@app.command()
def verify(file: Annotated[Path, typer.Argument(help="A file, on this machine.")]) -> None:
    """Print a file's checksum as the catalog has it; needs no store and no network."""
    checksum = ChunkedChecksum()
    with told(as_json=_settings.as_json), file.open("rb") as opened_file:
        while block := opened_file.read(1 << 22):
            checksum.update(block)
    said = {"file": str(file), "size": checksum.size, "checksum": checksum.text}
    show(said, as_json=_settings.as_json)


# --- while something is wrong -------------------------------------------------------------


@app.command()
def freeze(
    why: Annotated[str, typer.Argument(help="Shown to everybody who is refused.")],
    wait: Annotated[float, typer.Option(help="Seconds to wait for changes under way.")] = 60.0,
) -> None:
    """Refuse every change in every process; reads go on."""
    with opened() as fs:
        left = rs.freeze(fs, why, wait=wait)
    finish({"frozen": why, "still_under_way": left}, well=not left)


@app.command()
def thaw() -> None:
    """Allow changes again."""
    with opened() as fs:
        rs.thaw(fs)
    finish({"frozen": None}, well=True)


@app.command()
def evacuate(
    from_: Annotated[list[str], typer.Option("--from", help="A failure domain; may be repeated.")],
    at_once: AtOnce = 8,
    requests: Requests = None,
    size: Bytes = None,
    *,
    dry_run: DryRun = False,
) -> None:
    """Copy away what a failure domain holds: what has no copy elsewhere first."""
    with opened() as fs, progress("saved") as callback:
        report = rs.evacuate(
            fs,
            from_=from_,
            at_once=at_once,
            requests_per_s=requests,
            bytes_per_s=size,
            dry_run=dry_run,
            callback=callback,
        )
    finish(report, well=report.done, dry_run=dry_run)


@app.command()
def drain(
    backend: str,
    *,
    force: Annotated[bool, typer.Option("--force", help="Though writes will be refused.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Neither read from a backend nor write to it, until it rejoins."""
    with opened() as fs:
        rs.drain(fs, backend, force=force, dry_run=dry_run)
    said = {"would_be_drained" if dry_run else "drained": backend}
    finish(said, well=True, dry_run=dry_run)


@app.command()
def rejoin(
    backend: str,
    target: Annotated[
        str | None, typer.Option(help="Where it is found now, if not where it was.")
    ] = None,
    *,
    dry_run: DryRun = False,
) -> None:
    """Take a backend back; what is not as it was remembered is verified before it is read."""
    with opened() as fs, progress("compared") as callback:
        unknown = rs.rejoin(fs, backend, target, dry_run=dry_run, callback=callback)
        report = None if target is None or dry_run else rs.repair(fs)
    if report is not None:
        say(f"now put the new place of {backend} into the configuration of every process")
    finish(
        {
            "rejoined": None if dry_run else backend,
            "to_be_verified": unknown,
            "repaired": report,
        },
        well=not unknown if report is None else report.done,
        dry_run=dry_run,
    )


@app.command()
def adopt(
    on_conflict: Annotated[str, typer.Option(help="report, or newest.")] = "report",
    path: Annotated[list[str] | None, typer.Option(help="Only this; may be repeated.")] = None,
    *,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Others still write to a backend.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Bring into the catalog what lies in the backends already."""
    with opened() as fs, progress("gone through") as callback:
        report = rs.adopt(
            fs,
            paths=path or None,
            on_conflict=on_conflict,  # type: ignore[arg-type]
            complete=not incomplete,
            dry_run=dry_run,
            callback=callback,
        )
    well = not (report.conflicts or report.failed or report.refused)
    finish(report, well=well, dry_run=dry_run)


@app.command()
def snapshot() -> None:
    """Write the catalog to every backend, where it survives the catalog's own loss."""
    with opened() as fs, progress("written") as callback:
        report = rs.snapshot(fs, callback=callback)
    finish(report, well=not report.failed)


@app.command()
def restore(*, dry_run: DryRun = False) -> None:
    """Bring a lost catalog back from the newest snapshot, and what is newer from the backends."""
    with opened() as fs, progress("restored") as callback:
        report = rs.restore(fs, dry_run=dry_run, callback=callback)
    doubts = (report.doubtful, report.vanished, report.partly, report.unclear, report.away)
    finish(report, well=not (report.failed or any(doubts)), dry_run=dry_run)


# --- for ever -----------------------------------------------------------------------------


@app.command()
def maintain(
    every_hours: Annotated[float, typer.Option(help="From one round to the next.")] = 1.0,
    max_age_days: Annotated[float, typer.Option(help="Verify each replica so often.")] = 30.0,
    requests: Requests = None,
    size: Bytes = None,
    lease: Annotated[
        float, typer.Option(help="Seconds without a word after which a machine counts as dead.")
    ] = 60.0,
    *,
    once: Annotated[bool, typer.Option("--once", help="One round, and no more.")] = False,
) -> None:
    """Repair, scrub, snapshot and sweep, round after round; on as many machines as you like."""
    every_s = every_hours * 3600
    options: Any = {
        "every": 0.0 if once else every_s,
        "max_age": max_age_days * 86400,
        "requests_per_s": requests,
        "bytes_per_s": size,
        "lease": lease,
    }
    with opened() as fs:
        while True:
            try:
                report = rs.maintain(fs, **options)
            except rs.ObjectError as error:
                if once:
                    raise
                say(f"this round ended early, the next one tries again: {error}")
                rest_s = every_s
            else:
                at = runtime.wall().astimezone(dt.UTC).isoformat(timespec="seconds")
                show({"at": at, **fields(report)}, as_json=_settings.as_json)
                if once:
                    end(DONE if report.done else LEFT)
                rest_s = report.next_in_s
            runtime.rest(rest_s)
