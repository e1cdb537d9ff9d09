"""The normal form of a key: one spelling for one object, and what is refused."""

from __future__ import annotations

import re

RESERVED = ".resilient"
PRIVATE = ".resilient-"
# S3 and Google Cloud Storage hold 1024 bytes; the rest is for the prefix of staging.
LONGEST_BYTES = 896
PROTOCOL = "resilient"

_OTHER_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def strip_protocol(path: str) -> str:
    """Return the path without ``resilient://`` and without slashes around it. Idempotent."""
    before = None
    while path != before:
        before = path
        for prefix in (f"{PROTOCOL}://", f"{PROTOCOL}::"):
            path = path.removeprefix(prefix)
        path = path.strip("/")
    return path


def problem(key: str) -> str | None:
    """Say what is wrong with a stripped key, and what to change; None if nothing is.

    A key that some platform reads in another way than the others is refused on all of them:
    ``..`` is a parent on a disk and a plain name on S3, a backslash is a separator on one
    and a character on the next.

    Notes
    -----
    Source: design, section 7; S3 and GCS object naming guidelines.
    """
    if _OTHER_URL.match(key):
        return "it is a URL of another protocol; give the path inside this store alone"
    if _CONTROL.search(key):
        return "it holds a control character; remove it"
    if "\\" in key:
        return "it holds a backslash, which is a separator on some platforms; use '/'"
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode (a lone surrogate); decode the name properly"
    if length > LONGEST_BYTES:
        return f"it is {length} bytes long; no more than {LONGEST_BYTES} can be stored"
    return _segment_problem(key.split("/")) if key else None


def _segment_problem(segments: list[str]) -> str | None:
    if "" in segments:
        return "it has an empty part ('//'); remove one slash"
    if "." in segments or ".." in segments:
        return "it has a part '.' or '..'; give the path without it"
    if segments[0] == RESERVED:
        return f"'{RESERVED}/' is the store's own area; choose another name"
    if any(segment.startswith(PRIVATE) for segment in segments):
        return f"names that begin with '{PRIVATE}' are the store's own; choose another name"
    return None


def is_hidden(key: str) -> bool:
    """Say whether a key is the store's own, and so no object of anybody's."""
    segments = key.split("/")
    return segments[0] == RESERVED or any(part.startswith(PRIVATE) for part in segments)


def parent(key: str) -> str:
    """Return the key one level up; the root is the empty string."""
    return key.rpartition("/")[0]


def above(key: str) -> list[str]:
    """Return the keys of the directories above a key, the nearest first.

    Examples
    --------
    >>> above("a/b/c")
    ['a/b', 'a']
    """
    found = []
    while key := parent(key):
        found.append(key)
    return found


def join(*parts: str) -> str:
    """Join key parts, leaving empty ones out."""
    return "/".join(part for part in parts if part)
