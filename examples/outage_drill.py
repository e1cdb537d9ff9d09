"""An outage, rehearsed: three platforms fail one after another, and a photo shop works on.

    python examples/outage_drill.py [--servers] [--keep DIR]

Three directories stand for the platforms, so no server and no account is needed; with
``--servers`` they are S3, Google Cloud Storage and Azure, as servers on this machine that are
killed and stopped for real (in a checkout, with the environment that ``nox`` builds).

``north`` and ``west`` go *down*; ``south`` *hangs*: it takes calls and ends none. First the shop
has no catalog, and writes are refused; then it takes one, and they go on.

Every step is checked against what the library promises; the exit status is 0 only if all were
kept. ``--keep DIR`` leaves the shop's gallery there as a web page.
"""

from __future__ import annotations

import argparse
import html
import io
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from outage_platforms import HangingPlatform, Platform, directories, servers

import resilient_store as rs

try:
    from PIL import Image
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text
except ImportError:
    sys.exit('the drill needs pillow and rich; run: python -m pip install ".[demo]"')

PHOTOS = Path(__file__).parent / "photos"
DOOMED = ("Wine_by_Jakkub_Mede.jpg", "friends_by_Aitzol_Berasategi.jpg")
RULES = {"originals/{name}": ["previews/{name}", "thumbs/{name}"]}
LONGEST_SIDE = {"previews": 1024, "thumbs": 256}  # pixels
TIMEOUT_S = 1.5  # the default is 10; a drill has no patience
UPLOAD = "originals/upload.jpg"
LATE_WINDOW_S = 0.6  # the default is 15 minutes
RETOUCHED, UNWANTED = "originals/Fossa_by_Jasper_Roks.jpg", "originals/free_by_Peter_Nerlich.jpg"
COLOR = {True: "green", False: "bold red"}  # of a promise, kept or not


class BrokenPromiseError(Exception):
    """A step did not end as promised."""


def expect(kept: object, otherwise: str) -> None:
    """Go on if the promise was kept."""
    if not kept:
        raise BrokenPromiseError(otherwise)


def shrink(photo: bytes, pixels: int) -> bytes:
    """Make a preview or a thumbnail."""
    with Image.open(io.BytesIO(photo)) as image:
        image.thumbnail((pixels, pixels))
        out = io.BytesIO()
        image.convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue()


# --- the shop, and what happens to it -----------------------------------------------------


class Shop:
    """A photo shop over three platforms.

    Each method that is a step of the drill checks what came of it and returns that in words.
    """

    def __init__(
        self,
        platforms: tuple[Platform, HangingPlatform, Platform],
        store_class: type[rs.ResilientFileSystem],
        console: Console,
    ) -> None:
        self.north, self.south, self.west = self.platforms = platforms
        self.store_class = store_class
        self.store = store_class(
            [platform.backend(TIMEOUT_S) for platform in platforms],
            write=rs.WriteToAll(min_domains=3),
            degraded=rs.DegradedRead(RULES),
        )
        self.console = console
        self.photos = {photo.name: photo.read_bytes() for photo in sorted(PHOTOS.glob("*.jpg"))}
        self.previews: dict[str, bytes] = {}
        self.gallery: list[rs.ReadResult] = []

    def say(self, said: str) -> None:
        self.console.print(Padding(Text(said), (0, 0, 0, 4)))

    def opens(self) -> str:
        """Store originals, previews and thumbnails, each on every platform."""
        objects = {f"originals/{name}": photo for name, photo in self.photos.items()}
        for folder, pixels in LONGEST_SIDE.items():
            for name, photo in self.photos.items():
                objects[f"{folder}/{name}"] = shrink(photo, pixels)
        for path, data in objects.items():
            receipt = self.store.write(path, data)
            expect(len(receipt.domains) == len(self.platforms), f"{path}: {receipt.copies}")
        self.previews = {name: objects[f"previews/{name}"] for name in self.photos}
        return f"{len(objects)} files, 3 copies each"

    def north_goes_down(self) -> str:
        self.north.go_down()
        return self.reads_all_from("south")

    def south_hangs(self) -> str:
        self.south.hang()
        return self.reads_all_from("west")

    def reads_all_from(self, backend: str) -> str:
        """Read every original; no read may wait for a platform until that times out."""
        slowest_s = 0.0
        for name, photo in self.photos.items():
            begun_s = time.monotonic()
            result = self.store.read(f"originals/{name}")
            slowest_s = max(slowest_s, time.monotonic() - begun_s)
            expect(result.original() == photo, f"{name}: these bytes are not the photograph's")
            expect(result.backend == backend, f"{name} came from {result.backend}")
        expect(slowest_s < TIMEOUT_S, f"a read took {slowest_s:.2f} s")
        return f"all read from {backend}, the slowest in {slowest_s:.2f} s"

    def upload_fails(self) -> str:
        """Write, and get the error; nothing of it may be left anywhere."""
        begun_s = time.monotonic()
        try:
            self.store.write(UPLOAD, self.photos[DOOMED[0]])
        except rs.InsufficientCopiesError as error:
            expect(time.monotonic() - begun_s < 3 * TIMEOUT_S, "the refusal took its time")
            self.say(f"the customer's upload ends in {type(error).__name__}: {error}")
            left = [one.name for one in self.platforms if one.holds(UPLOAD) is not None]
            expect(not left, f"the refused upload was left on {', '.join(left)}")
            return "refused, nothing left behind"
        raise BrokenPromiseError("the write was acknowledged without its copies")

    def originals_are_destroyed(self) -> str:
        for platform in self.platforms:
            for name in DOOMED:
                platform.lose(f"originals/{name}")
        return self.fills_gallery("unreachable")

    def fills_gallery(self, reason: str) -> str:
        """Show every picture: its original, or a preview that says what it is."""
        self.gallery = [self.store.read(f"originals/{name}") for name in self.photos]
        for name, result in zip(self.photos, self.gallery, strict=True):
            if name in DOOMED:
                expect(result.original_missing, f"{name}: a stand-in without its flag")
                expect(result.reason == reason, f"{name} is said to be {result.reason}")
                expect(result.data == self.previews[name], f"{name}: not its preview")
            else:
                expect(not result.original_missing, f"{name}: flagged, and its original is there")
                expect(result.data == self.photos[name], f"{name}: not its original")
        return f"4 originals, 2 previews flagged {reason!r}, nothing blank"

    def prints_order(self, refusal: type[rs.ObjectError]) -> str:
        """Collect originals for the press, which must never get a preview."""
        refused = []
        for name, photo in self.photos.items():
            try:
                original = self.store.read(f"originals/{name}").original()
                expect(original == photo, f"{name}: not its original, and it went to the press")
            except refusal:
                refused.append(name)
        expect(tuple(refused) == DOOMED, f"refused were: {', '.join(refused) or 'none'}")
        self.say(f"the print order is refused for {' and '.join(refused)} ({refusal.code})")
        return "4 printed, those 2 refused"

    def west_goes_down(self) -> str:
        """With everything away, nothing may be called absent, and no listing empty."""
        self.west.go_down()
        path = next(f"originals/{name}" for name in self.photos if name not in DOOMED)
        for ask in (self.store.read, self.store.exists, self.store.find):
            try:
                answer = ask(path)
            except rs.BackendsUnavailableError:
                continue
            raise BrokenPromiseError(f"{ask.__name__} claims to know: {answer!r}")
        return "read, exists and find say that it cannot be known now"

    def all_return(self) -> str:
        for platform in self.platforms:
            platform.come_back()
        return self.fills_gallery("lost")

    def upload_works(self) -> str:
        """Write what was refused; any other program finds it on every platform."""
        photo = self.photos[DOOMED[0]]
        receipt = self.store.write(UPLOAD, photo)
        for platform in self.platforms:
            expect(platform.holds(UPLOAD) == photo, f"no copy on {platform.name}")
        return f"copies on {', '.join(receipt.copies)}"


class CatalogedShop:
    """The same shop with a catalog: it remembers what a platform missed.

    Each method that is a step of the drill checks what came of it and returns that in words.
    """

    def __init__(self, shop: Shop, catalog: Path) -> None:
        self.shop = shop
        self.catalog = catalog
        self.current: dict[str, bytes] = {}  # what every read has to bring
        self.earlier: dict[str, bytes] = {}  # what no read may bring any more

    def takes_catalog(self) -> str:
        """Adopt what lies on the platforms."""
        self.store = self.shop.store_class(
            [platform.backend(TIMEOUT_S) for platform in self.shop.platforms],
            catalog=f"sqlite:///{self.catalog}",
            write=rs.WriteToAll(min_copies=2, min_domains=2),
            degraded=rs.DegradedRead(RULES),
            late_window=LATE_WINDOW_S,
        )
        report = rs.adopt(self.store)
        expect(report.complete, f"failed: {report.failed}, conflicts: {report.conflicts}")
        for path in report.adopted:
            lying = self.shop.west.holds(path)
            expect(lying is not None, f"{path} was adopted, and is not on west")
            self.current[path] = lying or b""
        expect(UPLOAD in self.current, "the customer's upload was not adopted")
        return f"{report.new} objects adopted, no byte moved"

    def works_without_north(self) -> str:
        """Write, overwrite and delete while a platform is away."""
        self.shop.north.go_down()
        photos = self.shop.photos
        written = {f"originals/{name}": photos[name] for name in DOOMED}  # sent in once more
        written[RETOUCHED] = shrink(self.current[RETOUCHED], 1600)
        self.earlier = {path: self.current[path] for path in (RETOUCHED, UNWANTED)}
        for path, data in written.items():
            receipt = self.store.write(path, data)
            expect(receipt.pending == ("north",), f"{path}: on {receipt.copies}")
        self.store.rm_file(UNWANTED)
        self.current.update(written)
        del self.current[UNWANTED]
        self.say(f"acknowledged without north: {len(written)} writes and a deletion")
        return self.reads_nothing_stale()

    def north_returns(self) -> str:
        """Bring it back with the old bytes, for it has missed all that; nobody may see them."""
        self.shop.north.come_back()
        for path, data in self.earlier.items():
            expect(self.shop.north.holds(path) == data, f"{path}: north has not kept it")
        self.say(f"north is back, and still holds {' and '.join(self.earlier)} as they were")
        return self.reads_nothing_stale()

    def reads_nothing_stale(self) -> str:
        """Read everything, several times, and look for what was deleted."""
        for _ in range(3):
            for path, data in self.current.items():
                result = self.store.read(path)
                expect(not result.original_missing, f"{path}: flagged, and it is there")
                expect(result.data == data, f"{path}: {result.backend} has other bytes")
        expect(not self.store.exists(UNWANTED), "the deleted photograph exists again")
        listed = self.store.find("")
        expect(listed == sorted(self.current), "the listing is not what the shop holds")
        return f"{len(self.current)} objects read, none of them old, nothing deleted came back"

    def queue_drains(self) -> str:
        """Repair, until every platform holds what it should, under the objects' own names."""
        end_s = time.monotonic() + 10 * LATE_WINDOW_S
        while not (report := rs.repair(self.store)).done:
            expect(time.monotonic() < end_s, f"left: {report.waiting} {report.failed}")
            time.sleep(LATE_WINDOW_S / 10)
        for platform in self.shop.platforms:
            for path, data in self.current.items():
                expect(platform.holds(path) == data, f"{path} is not on {platform.name}")
            expect(platform.holds(UNWANTED) is None, f"{UNWANTED} is still on {platform.name}")
        return "all three platforms hold the same, and nothing waits any more"

    def say(self, said: str) -> None:
        self.shop.say(said)


# --- the drill ----------------------------------------------------------------------------


@dataclass
class Step:
    """What happens, what was promised, and what came of it."""

    event: str
    promise: str
    run: Callable[[], str]
    outcome: str = ""
    kept: bool = False
    took_s: float = 0.0

    def take(self) -> None:
        begun_s = time.monotonic()
        try:
            self.outcome, self.kept = self.run(), True
        except Exception as error:  # noqa: BLE001 - whatever it is, it was not promised
            self.outcome = f"{type(error).__name__}: {error}"
        self.took_s = time.monotonic() - begun_s


def story(shop: Shop) -> list[Step]:
    """Write the script of the drill."""
    away, lost = rs.BackendsUnavailableError, rs.OriginalMissingError
    return [
        Step("six photographs are stored", "a copy on every platform", shop.opens),
        Step("north goes down", "reads go on", shop.north_goes_down),
        Step("a customer uploads a photograph", "stored everywhere or refused", shop.upload_fails),
        Step("south hangs too", "reads go on and do not hang", shop.south_hangs),
        Step("the customer tries again", "refused in bounded time", shop.upload_fails),
        Step("two originals are destroyed", "previews, flagged", shop.originals_are_destroyed),
        Step("a print order", "refused for those two", lambda: shop.prints_order(away)),
        Step("west goes down: all are away", "nobody says 'not there'", shop.west_goes_down),
        Step("all return", "those two are known to be lost", shop.all_return),
        Step("a print order", "refused for those two", lambda: shop.prints_order(lost)),
        Step("the customer tries again", "writes work again", shop.upload_works),
    ]


def sequel(shop: CatalogedShop) -> list[Step]:
    """Write the script of what changes with a catalog."""
    return [
        Step("the shop takes a catalog", "what is there is known", shop.takes_catalog),
        Step("north goes down again", "writes and deletions go on", shop.works_without_north),
        Step("north returns", "nothing stale is read", shop.north_returns),
        Step("the queue is worked through", "every platform is whole", shop.queue_drains),
    ]


def main(
    arguments: Sequence[str] | None = None,
    store_class: type[rs.ResilientFileSystem] = rs.ResilientFileSystem,
) -> int:
    """Run the drill; return 0 if every promise was kept."""
    parser = argparse.ArgumentParser(description="Rehearse an outage of three platforms.")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="leave the gallery page here")
    parser.add_argument("--servers", action="store_true", help="S3, GCS and Azure, as servers here")
    given = parser.parse_args(arguments)
    keep: Path | None = given.keep
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        parser.error(f"{keep} is not empty; name a new directory")
    logging.getLogger("resilient_store").addHandler(logging.NullHandler())  # the drill says it
    console = Console(highlight=False)
    with (
        servers() if given.servers else directories() as platforms,
        tempfile.TemporaryDirectory(prefix="outage-drill-") as folder,
    ):
        shop = Shop(platforms, store_class, console)
        steps = [*story(shop), *sequel(CatalogedShop(shop, Path(folder) / "photos.db"))]
        for step in steps:
            console.print(Text(f"{step.event} ...", style="bold"))
            step.take()
        console.print(summary(steps))
        if keep is not None:
            write_page(keep, shop.gallery)
            console.print(Text(f"the gallery is in {keep / 'index.html'}"))
    broken = sum(not step.kept for step in steps)
    verdict = f"{broken} of {len(steps)} promises BROKEN" if broken else "every promise was kept"
    took = f"in {sum(step.took_s for step in steps):.0f} s"
    console.print(Text(f"{verdict}, {took}", style=COLOR[not broken]))
    return 1 if broken else 0


def summary(steps: Sequence[Step]) -> Table:
    """Lay the steps out so that one look is enough."""
    table = Table(title="What happened", show_lines=True)
    for heading in ("", "event", "promise", "outcome", "s"):
        table.add_column(heading, overflow="fold")
    for step in steps:
        style = COLOR[step.kept]
        table.add_row(
            Text("✔" if step.kept else "✘", style=style),
            Text(step.event),
            Text(step.promise),
            Text(step.outcome, style=style),
            f"{step.took_s:4.1f}",
        )
    return table


# --- the gallery as a page ----------------------------------------------------------------

STYLE = """
body { font: 16px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem }
body { background: #f6f5f2; color: #222 }
main { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)) }
figure { margin: 0; background: #fff; border-radius: 6px; overflow: hidden; position: relative }
img { display: block; width: 100%; height: 14rem; object-fit: cover }
figcaption { padding: .6rem .8rem; overflow-wrap: anywhere }
.missing { outline: 3px solid #b00020 }
.flag { position: absolute; top: 0; left: 0; background: #b00020; color: #fff }
.flag { padding: .3rem .8rem; font-weight: 600 }
small { display: block; color: #666 }
"""


def write_page(folder: Path, gallery: Sequence[rs.ReadResult]) -> None:
    """Write the gallery as a web page, its pictures beside it."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    shutil.copy(PHOTOS / "LICENCES.md", pictures)  # goes with every copy
    figures = []
    for result in gallery:
        name = result.path.rpartition("/")[2]
        (pictures / name).write_bytes(result.data)
        figures.append(figure(result, name))
    (folder / "index.html").write_text(
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Gallery</title>\n'
        f"<style>{STYLE}</style>\n<h1>The gallery after the outage</h1>\n"
        f"<main>\n{''.join(figures)}</main>\n</html>\n",
        encoding="utf-8",
    )


def figure(result: rs.ReadResult, name: str) -> str:
    """Lay out one picture; a stand-in says so on the picture itself."""
    kind, flag, note = "", "", f"original, from {result.backend}"
    if result.original_missing:
        kind, flag = ' class="missing"', f'<span class="flag">original {result.reason}</span>'
        note = f"{result.derivative}, from {result.backend}; cannot be printed"
    source, shown = html.escape(f"pictures/{quote(name)}"), html.escape(name)
    return (
        f'<figure{kind}><img src="{source}" alt="{shown}">{flag}'
        f"<figcaption>{shown}<small>{html.escape(note)}</small></figcaption></figure>\n"
    )


if __name__ == "__main__":
    sys.exit(main())
