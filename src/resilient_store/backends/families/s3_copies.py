"""Copies that S3 makes by itself in parts, and how long the parts were of what is copied."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from resilient_store.backends.families.s3_answers import tag_of
from resilient_store.backends.families.s3_parts import S3Parts
from resilient_store.model.info import Headers

if TYPE_CHECKING:
    from resilient_store.backends.families.s3 import S3Family

logger = logging.getLogger("resilient_store")

# Source: Amazon S3 API reference, CopyObject.
LARGEST_COPY_BYTES = 5 * 1024**3
COPY_PART_BYTES = 512 * 1024**2

_OWN_PART_BYTES = 8 * 1024**2
_TAG = re.compile(r"[0-9a-f]{32}(?:-(\d+))?")


def part_bytes_of(tag: str, size: int) -> int | None:
    """Return how long the parts must be for a copy to get this tag again; 0 for no parts.

    Returns
    -------
    int or None
        None: it was not written as this library writes, so that no copy's tag would prove it.

    Examples
    --------
    >>> digest = "0" * 32
    >>> part_bytes_of(digest, 100), part_bytes_of(f"{digest}-3", 20 * 1024**2)
    (0, 8388608)
    >>> part_bytes_of(f"{digest}-7", 20 * 1024**2), part_bytes_of("opaque", 100)
    (None, None)
    """
    written = _TAG.fullmatch(tag)
    if written is None:
        return None
    if written[1] is None:
        return 0 if size <= LARGEST_COPY_BYTES else None
    lengths = (_OWN_PART_BYTES, COPY_PART_BYTES)
    return next((one for one in lengths if -(-size // one) == int(written[1])), None)


async def copied_in_parts(
    parts: S3Parts,
    source: Mapping[str, Any],
    sizes: tuple[int, int],
    condition: Mapping[str, str],
    name: str,
) -> str | None:
    """Copy an object part by part, and complete it on a condition; return its tag.

    Parameters
    ----------
    sizes
        In bytes, of the object and of each part but the last.
    name
        Of the backend, which is named where parts stay behind.
    """
    size, part_bytes = sizes
    try:
        for first in range(0, size, part_bytes):
            await parts.copy(source, first, min(size, first + part_bytes))
        return await parts.complete(condition)
    except BaseException:
        try:
            await parts.abort()
        except Exception as error:  # the first one is the one to hear of
            logger.warning("backend %s: parts stay until a sweep (%s)", name, type(error).__name__)
        raise


async def copied(
    family: S3Family, staged: str, key: str, size: int, condition: Mapping[str, str]
) -> str | None:
    """Copy one key to another on a condition, in parts where it is large; return the copy's tag."""
    if size > LARGEST_COPY_BYTES:
        headers = (await family._head(staged)).headers or Headers()
        parts = await family._begin(key, exclusive=False, headers=headers)
        sizes, name = (size, COPY_PART_BYTES), family.place.name
        return await copied_in_parts(parts, family.source(staged), sizes, condition, name)
    more = await family._params("CopyObject")
    answer = await family.ask(
        "copy_object", Key=family.at(key), **family.source(staged), **more, **condition
    )
    return tag_of(answer.get("CopyObjectResult", {}))
