"""How requests to Google Cloud Storage travel: once, in pieces, signed, and nothing left open.

gcsfs says who asks and where. Its own calls are not used: they retry six times, know no
time-out, and take every 404 and every page for Google's word.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
from gcsfs import core
from gcsfs.credentials import LOCAL_REFRESH_BUFFER
from yarl import URL

from resilient_store import runtime
from resilient_store.backends.contract import StrangerError
from resilient_store.backends.families.flat import LONGEST_SILENCE_S, Place
from resilient_store.backends.families.gcs_answers import Answer, error_in, found_in
from resilient_store.backends.families.sessions import Connector, Pieces, drop_session
from resilient_store.threads import DaemonPool

T = TypeVar("T")

JSON = "application/json; charset=UTF-8"
# Of an answer that is no object's bytes: a page of names takes less than two million.
LARGEST_ANSWER_BYTES = 16 * 1024**2


def multipart(resource: Mapping[str, Any], data: bytes) -> tuple[str, Pieces]:
    """Return type and body of a request that brings an object's resource and its bytes."""
    border = runtime.new_id()  # random: no bytes hold it
    head = (
        f"--{border}\r\nContent-Type: {JSON}\r\n\r\n{json.dumps(resource)}\r\n"
        f"--{border}\r\nContent-Type: {resource['contentType']}\r\n\r\n"
    )
    pieces = Pieces.of(head.encode(), data, f"\r\n--{border}--\r\n".encode())
    return f"multipart/related; boundary={border}", pieces


class GcsRequests:
    """What sends requests, with what a filesystem of gcsfs adds to each.

    Parameters
    ----------
    filesystem
        The recipe: credentials, address, project, and options of its session.
    place
        The bucket, and how long calls may take.
    connections
        How many there may be at once.
    """

    def __init__(self, filesystem: Any, place: Place, connections: int) -> None:
        self._fs = filesystem
        self._place = place
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._signing_in = DaemonPool(f"{place.name}-sign-in", 1)

    @property
    def credentials(self) -> Any:
        """Of google-auth; None for anonymous access."""
        return self._fs.credentials.credentials

    def address(self, *path: str, service: str = "") -> str:
        """Return the URL of something in the bucket; `service` is "upload/" or "download/"."""
        below = "".join(f"/{quote(part, safe='')}" for part in path)
        bucket = quote(self._place.bucket, safe="")
        return f"{self._fs._location}/{service}storage/v1/b/{bucket}{below}"

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run what asks Google about credentials, and blocks."""
        return await self._signing_in.run(lambda _: call())

    def signed(self, name: str, expiration: int) -> str:
        """Return an address that is open to everybody for so many seconds. May ask, and block."""
        from google.cloud.storage import Client  # type: ignore[import-untyped]

        client = Client(project=self._fs.project, credentials=self.credentials)
        url: str = (
            client.bucket(self._place.bucket)
            .blob(name)
            .generate_signed_url(
                version="v4",
                expiration=dt.timedelta(seconds=expiration),
                api_access_endpoint=self._fs._location,
                query_parameters=self._fs._get_params({}),
            )
        )
        return url

    @asynccontextmanager
    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: Pieces | bytes | None = None,
        is_signed: bool = True,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request once, and let go of its answer in the end, whatever happens.

        What carries its own proof, such as the address of an upload, is sent unsigned and as
        it is.
        """
        given = {"Accept-Encoding": "identity", **(headers or {})}
        if is_signed:
            query = urlencode(self._fs._get_params(params or {}), quote_via=quote)
            url = f"{url}?{query}" if query else url
            await self._sign(given)
        if method != "GET":
            size = data.size if isinstance(data, Pieces) else len(data or b"")
            given["Content-Length"] = str(size)
        session = await self._opened()
        answer = await session.request(
            method,
            URL(url, encoded=True),
            headers=given,
            data=data or None,
            allow_redirects=False,
            raise_for_status=False,
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=self._place.timeout_s,
                sock_read=self._place.timeout_s + LONGEST_SILENCE_S,
            ),
        )
        try:
            yield answer
        finally:
            answer.close()  # given back already where it was read to its end

    async def exchange(self, method: str, url: str, **how: Any) -> Answer:
        """Send a request as `send` does, and read its answer."""
        async with self.send(method, url, **how) as answer:
            return await read(answer)

    async def ask(
        self, right: str, method: str, url: str, *, kind: str, **how: Any
    ) -> Mapping[str, Any]:
        """Send a request; return the resource that Google answers.

        Parameters
        ----------
        right
            What the caller needs a permission for; an error names it.
        method, url, **how
            As for `send`.
        kind
            Of the resource.

        Raises
        ------
        GcsError
            Google said no.
        StrangerError
            Somebody else answered.
        """
        answer = await self.exchange(method, url, **how)
        if not answer.ok:
            raise error_in(answer, right)
        return found_in(answer, kind)

    async def close(self) -> None:
        """Close the connections."""
        self._signing_in.close()
        if self._session is not None:
            await self._session.close()

    def drop(self) -> None:
        """Close the sockets where no loop can any more."""
        self._signing_in.close()
        if self._session is not None:
            drop_session(self._session)

    async def _sign(self, headers: dict[str, str]) -> None:
        if self.credentials is None:
            return
        # What asks for a new token waits for it, in requests and without an end of its own.
        if not self._fs.credentials._credentials_valid(LOCAL_REFRESH_BUFFER):
            await self.in_thread(self._fs.credentials.maybe_refresh)
        self.credentials.apply(headers)

    async def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            certificate = await self._certificate()
        if self._session is None:  # nor has another call made it meanwhile
            options = dict(self._fs.session_kwargs)
            options |= {"cookie_jar": aiohttp.DummyCookieJar(), "auto_decompress": False}
            if "connector" not in options:
                options["connector"] = Connector(limit=self._connections, ssl=certificate)
            self._session = aiohttp.ClientSession(**options)
            # Else aiohttp sends a change again when a connection breaks that was in use before,
            # and the second one fails on the condition that the first one has met.
            self._session._retry_connection = False
        return self._session

    async def _certificate(self) -> Any:
        """Return the context with the client's certificate, where one is configured."""
        is_wanted = getattr(self._fs, "_use_client_cert", False)
        if not is_wanted or not self._fs._location.startswith("https://"):
            return True
        return await self.in_thread(core._client_cert_ssl_context)


async def read(answer: aiohttp.ClientResponse) -> Answer:
    """Read an answer that is no object's bytes.

    Raises
    ------
    StrangerError
        It does not end.
    """
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > LARGEST_ANSWER_BYTES:
            raise StrangerError("an answer without end")
    return Answer(answer.status, answer.headers, bytes(body))
