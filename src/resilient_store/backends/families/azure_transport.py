"""How Azure's requests travel: in pieces, once, and with nothing left open when given up.

azure-core's own transport hands a whole body to the socket, so that an upload that was cancelled
is still sent to its end; and it forgets to close the answer of a call that is cancelled while it
reads it, so that after a hundred of those no connection is left.
"""

from __future__ import annotations

from typing import Any

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport

from resilient_store.backends.contract import StrangerError
from resilient_store.backends.families.azure_answers import CODE_HEADER, PLATFORM_HEADERS
from resilient_store.backends.families.sessions import (
    PIECE_BYTES,
    Connector,
    Pieces,
    drop_session,
    proxy_for,
)

_NO_WORDS = b"<Error><Message>refused</Message></Error>"
_REDIRECTION = 300
_NOT_FOUND = 404


class AzureTransport(AioHttpTransport):  # type: ignore[misc]  # loaded lazily: Any to mypy
    """A session of aiohttp, made in the running loop.

    Parameters
    ----------
    url
        Where it leads.
    connections
        How many there may be at once.
    connect_s, silence_s
        For a connection to be made, and between two pieces of an answer.
    """

    def __init__(self, url: str, *, connections: int, connect_s: float, silence_s: float) -> None:
        session = aiohttp.ClientSession(
            connector=Connector(limit=connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=proxy_for(url),
            auto_decompress=False,
        )
        # Else aiohttp sends a change again when a connection breaks that was in use before, and
        # the second one fails on the condition that the first one has met.
        session._retry_connection = False
        super().__init__(session=session, connection_timeout=connect_s, read_timeout=silence_s)

    async def send(self, request: Any, *, stream: bool = False, **config: Any) -> Any:
        """Send a request; return Azure's answer, which is read but where a stream is wanted.

        Raises
        ------
        StrangerError
            Somebody else answered.
        """
        response = await super().send(request, stream=True, **config)
        answer = response.internal_response
        try:
            _require_azures(answer)
            if answer.status >= _REDIRECTION:
                await _silence(response)
            elif not stream:
                await response.read()
        except BaseException:
            answer.close()
            raise
        return response

    def _get_request_data(self, request: Any) -> Any:
        data = super()._get_request_data(request)
        is_large = isinstance(data, bytes) and len(data) > PIECE_BYTES
        return Pieces.of(data) if is_large else data

    def drop(self) -> None:
        """Close the sockets where no loop can any more."""
        if self.session is not None:
            drop_session(self.session)


async def _silence(response: Any) -> None:
    """Leave out what is written below a refusal: its code is in the head.

    The client logs what strangers write there, or stumbles over it.
    """
    if CODE_HEADER in response.headers:
        await response.read()  # so that the connection can be used again
    else:
        response.internal_response.close()
    response.headers.pop("Content-Encoding", None)
    response._content_type = "application/xml"
    response._content = _NO_WORDS


def _require_azures(answer: aiohttp.ClientResponse) -> None:
    """Refuse what looks like success or absence and is not Azure's word on it."""
    headers, status = answer.headers, answer.status
    if status < _REDIRECTION and not any(name in headers for name in PLATFORM_HEADERS):
        raise StrangerError("not Azure's answer")
    if status == _NOT_FOUND and CODE_HEADER not in headers:
        raise StrangerError("an absence that nobody vouches for")
