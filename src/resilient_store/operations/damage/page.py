"""A damage report as one HTML page that needs nothing else, for people at the counter."""

from __future__ import annotations

import html
from typing import TextIO

from resilient_store.model.damage import KINDS, DamagedObject, Kind, Quarantine
from resilient_store.operations.damage.facts import Facts
from resilient_store.operations.damage.pictures import AT_ONCE, Pictures
from resilient_store.operations.damage.spool import in_batches
from resilient_store.operations.damage.words import (
    INCOMPLETE,
    MEANINGS,
    ORIGINAL_AWAY,
    ORIGINAL_MISSING,
    QUARANTINE,
    QUARANTINE_MEANS,
    RESTORED,
    TITLES,
    away,
    condition,
    kept,
    minute,
    not_before,
    not_told,
    printable,
)

# The policy forbids whatever a name might have smuggled in after all.
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; }}
article {{ border-top: 1px solid #bbb; overflow: hidden; padding: .7em 0; }}
h4 {{ margin: 0; overflow-wrap: anywhere; }}
p, ul {{ margin: .3em 0; }}
figure {{ float: right; margin: 0 0 .5em 1em; width: 14em; }}
img {{ display: block; max-height: 14em; max-width: 100%; }}
.flag {{ background: #a00; color: #fff; font-weight: bold; padding: .2em .5em; }}
</style>
</head>
<body>
<h1>{title}</h1>
"""


def write(facts: Facts, pictures: Pictures, file: TextIO) -> None:
    """Write the page, a few objects at a time."""
    file.write(_HEAD.format(title=f"Damage report of {minute(facts.made_at)}"))
    if not facts.complete:
        file.write(f"<p>{INCOMPLETE}</p>\n")
    if facts.restored_at is not None and facts.found["lost"]:
        file.write(f"<p>{RESTORED.format(minute(facts.restored_at))}</p>\n")
    file.writelines(
        f"<p>{escaped(away(name, facts.away[name]))}.</p>\n" for name in sorted(facts.away)
    )
    file.write("<ul>\n")
    for kind in KINDS:
        number = len(facts.found[kind])
        entry = f'<a href="#{kind}">{TITLES[kind]}</a>: {number}'
        file.write(f"<li>{entry if number else f'{TITLES[kind]}: none'}</li>\n")
    file.write("</ul>\n")
    for kind in KINDS:
        if facts.found[kind]:
            _write_kind(facts, kind, pictures, file)
    if (quarantine := facts.quarantine) and (quarantine.files or quarantine.unlisted):
        _write_quarantine(quarantine, file)
    file.writelines(f"<p>{one}</p>\n" for one in pictures.not_shown())
    file.write("</body>\n</html>\n")


def _write_kind(facts: Facts, kind: Kind, pictures: Pictures, file: TextIO) -> None:
    items = facts.found[kind]
    file.write(f'<section>\n<h2 id="{kind}">{TITLES[kind]} ({len(items)})</h2>\n')
    file.write(f"<p>{MEANINGS[kind]}</p>\n")
    for group, members in facts.groups(items):
        if facts.group_by is not None:
            file.write(f"<h3>{escaped(group) or 'In no group'}</h3>\n")
        for batch in in_batches(members, AT_ONCE):
            for item, uri in zip(batch, pictures.of(batch), strict=True):
                _write_item(item, uri, file)
    file.write("</section>\n")


def _write_item(item: DamagedObject, uri: str, file: TextIO) -> None:
    file.write("<article>\n")
    flag = ORIGINAL_MISSING if item.kind == "lost" else ORIGINAL_AWAY
    if uri:
        file.write(
            f'<figure><img src="{uri}" alt="{flag}">'
            f'<figcaption class="flag">{flag}</figcaption></figure>\n'
        )
    file.write(f"<h4>{escaped(item.path)}</h4>\n<p>{not_before(item.since)}</p>\n")
    if item.derivative is not None:
        file.write(f'<p><span class="flag">{flag}</span> {escaped(item.derivative)}</p>\n')
    elif item.kind == "lost":
        file.write("<p>No preview of it is left.</p>\n")
    file.write("<ul>\n")
    file.writelines(f"<li>{escaped(condition(one))}</li>\n" for one in item.replicas)
    file.write("</ul>\n</article>\n")


def _write_quarantine(quarantine: Quarantine, file: TextIO) -> None:
    number = len(quarantine.files) + quarantine.unnamed
    file.write(f"<section>\n<h2>{QUARANTINE} ({number})</h2>\n")
    if number:
        file.write(f"<p>{QUARANTINE_MEANS}</p>\n")
    for one in quarantine.files:
        file.write(f"<article>\n<h4>{escaped(one.path)}</h4>\n")
        file.write(f"<p>{escaped(kept(one))}</p>\n</article>\n")
    file.writelines(f"<p>{escaped(line)}</p>\n" for line in not_told(quarantine))
    file.write("</section>\n")


def escaped(text: str) -> str:
    """Return text that is only text in HTML, whatever it holds."""
    return html.escape(printable(text))
