"""aiobotocore's HTTP session, sending each request once."""

from __future__ import annotations

from typing import Any

from aiobotocore.httpsession import AIOHTTPSession


class OneTrySession(AIOHTTPSession):  # type: ignore[misc]
    """Does not let aiohttp send a request again whose connection broke.

    The first one may have been carried out, and then the second one fails on the condition that
    the first has met: an object would be there of which its writer was told that it is not.
    """

    async def _get_session(self, proxy_url: Any) -> Any:
        session = await super()._get_session(proxy_url)
        session._retry_connection = False
        return session
