"""The damage report itself: what was found, as sequences of objects and in four forms."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Self, TextIO

import attrs

from resilient_store.model.damage import KINDS, DamagedObject
from resilient_store.operations.damage import document, page, table, text
from resilient_store.operations.damage.changes import DamageChanges, changes
from resilient_store.operations.damage.facts import Facts, Groups
from resilient_store.operations.damage.pictures import Pictures
from resilient_store.operations.damage.words import minute
from resilient_store.store import StoreOwner


@attrs.frozen(kw_only=True, eq=False, repr=False)
class DamageReport(Facts):
    """What a store has lost, may lose, or cannot reach, as its catalog knows it.

    However many objects are damaged, only few are held in memory: the others wait in temporary
    files, which go when the report is closed or forgotten. It can be used in a ``with``.

    Attributes
    ----------
    made_at
        When, on the catalog's clock.
    complete
        Whether the catalog knew all paths of its store; else there may be more.
    restored_at
        When the catalog was last restored; None for never. What is lost may have been deleted
        after the snapshot.
    away
        Backends that could not be asked, and since when, where that is known.
    group_by
        The pattern that the objects were grouped by; None where they were not.
    quarantine
        What was found in other objects' places and kept aside; None: nobody looked.
    found
        The objects by kind, as the five sequences below.
    """

    _owner: StoreOwner | None = None

    @property
    def lost(self) -> Sequence[DamagedObject]:
        """Objects that a read calls lost, by path; no backend has a copy of them."""
        return self.found["lost"]

    @property
    def unreachable(self) -> Sequence[DamagedObject]:
        """Objects that cannot be had now, and of which a copy may be intact, by path."""
        return self.found["unreachable"]

    @property
    def at_risk(self) -> Sequence[DamagedObject]:
        """Objects that can be read, and for which little more has to happen, by path.

        Intact copies that can be had now lie on fewer platforms than ``min_domains``; or there
        is one copy, or one platform, left of several.
        """
        return self.found["at_risk"]

    @property
    def foreign(self) -> Sequence[DamagedObject]:
        """Objects in the place of which somebody else's bytes lie on some backend, by path.

        An intact copy of them is at hand elsewhere: the next repair keeps those bytes aside and
        puts a copy in their place.
        """
        return self.found["foreign"]

    @property
    def conflicts(self) -> Sequence[DamagedObject]:
        """Paths where somebody else's bytes lie and no copy of ours is at hand, by path.

        The object is deleted, lost or unreachable, and a person has to choose:
        ``rs.adopt(fs, paths=[path], on_conflict="newest")`` makes the newest of those bytes the
        next version of an object that is not deleted.
        """
        return self.found["conflict"]

    def by_group(self, items: Iterable[DamagedObject] | None = None) -> Groups:
        """Yield each group with its objects, by path; use those before asking for the next.

        Parameters
        ----------
        items
            Which; None: the lost ones.
        """
        return self.groups(self.lost if items is None else items)

    def since(self, earlier: DamageReport) -> DamageChanges:
        """Compare with an earlier report, which may come from `from_json`."""
        return changes(earlier.found, self.found, self._owner)

    # Forms

    def to_text(self, file: TextIO | None = None) -> str | None:
        """Write it for a terminal; return it where there is no file to write to."""
        return _written(file, lambda to: text.write(self, to))

    def to_csv(self, file: TextIO | None = None) -> str | None:
        """Write a row for each object and kind of damage; return it where there is no file.

        Notes
        -----
        As RFC 4180 says: open files with ``newline=""``. Spreadsheets take none of it for a
        formula: what looks like one begins with an apostrophe.
        """
        return _written(file, lambda to: table.write(self, to))

    def to_json(self, file: TextIO | None = None) -> str | None:
        """Write all of it, for `from_json` and other programs; return it without a file."""
        return _written(file, lambda to: document.write(self, to))

    def to_html(self, file: TextIO | None = None, *, pictures: int = 200) -> str | None:
        """Write one page that needs nothing else; return it where there is no file.

        What stands in for the originals that are missing is read from the store, and shown with
        a flag. A report that was read by `from_json` shows no pictures.

        Parameters
        ----------
        file
            A text file in UTF-8.
        pictures
            How many at most; the page says how many more there are.
        """
        shown = Pictures(self._owner, pictures)
        return _written(file, lambda to: page.write(self, shown, to))

    @classmethod
    def from_json(cls, source: TextIO | str) -> DamageReport:
        """Read a report that `to_json` wrote: from a file that is open, or from its text.

        Raises
        ------
        ConfigurationError
            It is no damage report, not whole, or of a later version.
        """
        facts = document.read(io.StringIO(source) if isinstance(source, str) else source)
        return cls(**attrs.asdict(facts, recurse=False))

    def __str__(self) -> str:
        return self.to_text() or ""

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.found[kind])} {kind}" for kind in KINDS)
        return f"<DamageReport of {minute(self.made_at)}: {counts}>"

    def close(self) -> None:
        """Remove the temporary files; the objects are gone then."""
        for spool in self.found.values():
            spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _written(file: TextIO | None, write: Callable[[TextIO], None]) -> str | None:
    if file is not None:
        write(file)
        return None
    text_of_it = io.StringIO(newline="")
    write(text_of_it)
    return text_of_it.getvalue()
