"""The table for HTTP statuses, and for the errors of aiohttp, which all platforms' clients use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from resilient_store.model.outcome import Outcome

# What it means for a read, and for a change; None: the same.
Row = tuple[Outcome, Outcome | None]

NOT_THERE: Row = (Outcome.NOT_FOUND, None)
TAKEN: Row = (Outcome.EXISTS, None)
DENIED: Row = (Outcome.DENIED, None)
BUSY: Row = (Outcome.THROTTLED, None)
FULL: Row = (Outcome.FULL, None)
BROKEN: Row = (Outcome.CORRUPT, None)
NEVER: Row = (Outcome.REFUSED, None)
AWAY: Row = (Outcome.UNAVAILABLE, None)  # it certainly was not done
LOST: Row = (Outcome.UNAVAILABLE, Outcome.TIMED_OUT)  # it may have been done
LATE: Row = (Outcome.TIMED_OUT, None)

# Where no code says more. A bare 404 is nobody's word on a key: a proxy or a wrong address
# answers so too. The families, who know what a platform's own answer looks like, turn it into
# "not found". A bare 503 to a change may be a gateway's, behind which it was done.
BY_STATUS: Mapping[int, Row] = {
    301: AWAY,
    302: AWAY,
    307: AWAY,
    400: NEVER,
    401: DENIED,
    403: DENIED,
    404: AWAY,
    405: NEVER,
    407: DENIED,
    408: LOST,
    409: TAKEN,
    410: AWAY,
    411: NEVER,
    412: TAKEN,
    413: NEVER,
    414: NEVER,
    415: NEVER,
    416: NEVER,
    429: BUSY,
    431: NEVER,
    499: LOST,
    500: LOST,
    501: NEVER,
    502: LOST,
    503: (Outcome.THROTTLED, Outcome.TIMED_OUT),
    504: LOST,
    507: FULL,
}

BY_AIOHTTP_ERROR: Mapping[str, Row] = {
    "aiohttp.ClientConnectorError": AWAY,
    "aiohttp.ClientConnectorDNSError": AWAY,
    "aiohttp.ClientConnectorCertificateError": AWAY,
    "aiohttp.ClientProxyConnectionError": AWAY,
    "aiohttp.ClientHttpProxyError": AWAY,
    "aiohttp.ClientSSLError": AWAY,
    "aiohttp.ServerFingerprintMismatch": AWAY,
    "aiohttp.ConnectionTimeoutError": AWAY,
    "aiohttp.InvalidURL": NEVER,
    "aiohttp.ServerTimeoutError": LATE,
    "aiohttp.ServerDisconnectedError": LOST,
    "aiohttp.ClientOSError": LOST,
    "aiohttp.ClientPayloadError": LOST,
    "aiohttp.ClientResponseError": LOST,
    "aiohttp.ClientConnectionError": LOST,
    "aiohttp.ClientError": LOST,
    "aiohttp.HttpProcessingError": LOST,
}

_SERVERS_FAULT = 500
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def known_as(error: BaseException) -> Iterator[str]:
    """Return an error's names, the nearest first: its package, and each of its classes."""
    for kind in type(error).__mro__:
        yield f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def row_for(error: BaseException, table: Mapping[str, Row]) -> Row | None:
    """Find an error in a table of names, by the nearest of its classes."""
    return next((table[name] for name in known_as(error) if name in table), None)


def read_row(row: Row, *, changing: bool) -> Outcome:
    """Return what a row means for this call."""
    reading, writing = row
    return writing if changing and writing is not None else reading


def classify_aiohttp(error: BaseException, *, changing: bool) -> tuple[Outcome, str] | None:
    """Read an error of aiohttp; None where it is none."""
    row = row_for(error, BY_AIOHTTP_ERROR)
    return None if row is None else (read_row(row, changing=changing), type(error).__name__)


def by_status(status: int) -> Row | None:
    """Return what a status means where no code says more."""
    return BY_STATUS.get(status) or (LOST if status >= _SERVERS_FAULT else None)


def clean_code(code: object) -> str:
    """Return an error's code if it can be shown: it came from whoever answered."""
    text = str(code or "")
    return text if _CODE.fullmatch(text) else ""
