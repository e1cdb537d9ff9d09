"""An object that was adopted gets checksums of its own when somebody has read it whole."""

from __future__ import annotations

import functools
import logging

from resilient_store.catalog.contract import CatalogDownError, single
from resilient_store.io.catalogued.read import Had
from resilient_store.io.drive import leave_to_finish
from resilient_store.model.checksum import ChunkedChecksum
from resilient_store.protocol import findings
from resilient_store.store import Store

logger = logging.getLogger("resilient_store")


def enrich(store: Store, had: Had, start: int | None, end: int | None) -> None:
    """Keep the checksums of bytes that were read whole, after the caller has them.

    Notes
    -----
    Promises: P4. Source: design, section 5, "Checksums".
    """
    content = had.entry.content
    assert content is not None
    if content.kind == "chunked":
        return
    first, last, _ = slice(start, end).indices(content.size)
    if first > 0 or last < content.size:
        return
    checksum = ChunkedChecksum()
    checksum.update(had.data)
    change = functools.partial(
        findings.enrich, version=had.entry.version, content=checksum.content()
    )

    async def record() -> None:
        try:
            await store.known.change((had.entry.path,), single(change))
        except CatalogDownError as error:
            logger.warning("checksums of %s could not be kept: %s", had.entry.path, error)

    leave_to_finish(store.tails, record())
