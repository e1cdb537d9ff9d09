"""Content type, HTTP headers and user metadata, as platforms can hold them.

Two of three platforms carry metadata in HTTP headers: names of few signs, values of plain
ASCII. What does not fit goes, whole, into one entry as JSON, and comes back as it was.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping

from resilient_store.backends.contract import RefusedError
from resilient_store.model.info import Headers

# "No type" as all platforms can say it: S3's own default. It reads back as no type.
NO_TYPE = "binary/octet-stream"
PACKED = "resilientmetadata"

_PLAIN_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_PLAIN_FIELD = re.compile(r"[ -~]*")


def pack(metadata: Mapping[str, str], plain_name: re.Pattern[str]) -> dict[str, str]:
    """Return metadata that a platform can hold whose names look like this."""
    fits = all(
        plain_name.fullmatch(name) and name != PACKED and _PLAIN_VALUE.fullmatch(value)
        for name, value in metadata.items()
    )
    if fits:
        return dict(metadata)
    return {PACKED: base64.urlsafe_b64encode(json.dumps(dict(metadata)).encode()).decode()}


def unpack(held: Mapping[str, str] | None) -> dict[str, str]:
    """Return metadata as it was given."""
    plain = dict(held or {})
    if PACKED not in plain:
        return plain
    try:
        unpacked = json.loads(base64.urlsafe_b64decode(plain[PACKED]))
        return {str(name): str(value) for name, value in unpacked.items()}
    except (ValueError, AttributeError):
        return plain  # somebody else's entry of that name


def require_plain_fields(headers: Headers) -> None:
    """Refuse what cannot travel in an HTTP header.

    Raises
    ------
    RefusedError
        A field holds more than printable ASCII.
    """
    for name in ("content_type", "cache_control", "content_disposition", "content_encoding"):
        value = getattr(headers, name)
        if value is not None and not _PLAIN_FIELD.fullmatch(value):
            raise RefusedError(
                f"{name} holds more than printable ASCII; write file names as filename*=UTF-8''..."
            )


def type_or_none(content_type: str | None) -> str | None:
    """Return a content type as it was given: what stands for none is none."""
    return None if content_type in (None, "", NO_TYPE) else content_type
