"""Google Cloud Storage as its documentation has it, where fake-gcs-server 1.54 is laxer.

That one ignores conditions on all but plain uploads, digests, permissions to resend, tokens of
rewrites, and the `fields` of an answer; and it words its errors in its own way. This one holds
what is in memory, serves one loopback port from a thread, and can be told to misbehave.

with DocumentedGcs() as google:
    google.keep = lambda sent: sent // 2 // GRAIN * GRAIN  # of each chunk of an upload
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import unquote

import attrs
import google_crc32c
from aiohttp import web

import resilient_store as rs
from resilient_store.testing.conformance import Subject
from tests.servers import canaries
from tests.servers.ports import LOOPBACK
from tests.servers.subjects import PREFIX

GRAIN = 256 * 1024
_TIME = "2026-01-02T03:04:05.678Z"
_FIELDS = re.compile(r"([A-Za-z0-9]+)(?:\(([^()]*(?:\([^()]*\))?[^()]*)\))?,?")


@attrs.define
class Stored:
    """An object: its resource, less what follows from its bytes, and its bytes."""

    fields: dict[str, Any]
    data: bytes
    generation: int


@attrs.define
class Session:
    """A resumable upload under way."""

    fields: dict[str, Any]
    query: Mapping[str, str]
    data: bytearray = attrs.field(factory=bytearray)


class SubjectAt(Subject):
    """A family at a bucket of this server, and ways around it."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.family.place.bucket


def subject_at(server: DocumentedGcs, family: Any, run: Callable[..., Any]) -> SubjectAt:
    """Return a family that was opened at an empty bucket of the server."""
    bucket = family.place.bucket

    def write(key: str, data: bytes) -> None:
        server.store(bucket, {"name": f"{PREFIX}/{key}"}, data)

    def read(key: str) -> bytes | None:
        found = server.find(bucket, f"{PREFIX}/{key}")
        return None if found is None else found.data

    def names() -> list[str]:
        return [name.removeprefix(f"{PREFIX}/") for name in server.buckets.get(bucket, ())]

    def lose_root() -> None:
        del server.buckets[bucket]

    return SubjectAt(family, run, write, read, names, lose_root)


class RefusedError(Exception):
    """Becomes an error as the JSON API words it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class DocumentedGcs:
    """A server with one bucket after another.

    Attributes
    ----------
    buckets
        The objects of each, by name.
    sessions
        Resumable uploads that were begun and have not ended.
    log
        Method, path, query and headers of each request.
    keep
        Of so many bytes of a chunk, how many are kept.
    says_kept
        What the answer to a chunk says is kept, of what is.
    loses
        Says of a request, once it was carried out, whether its answer is lost.
    arrives_as, leaves_as
        What the network makes of bytes on their way here, and from here.
    compares
        Whether digests that are sent along are compared.
    rewrite_calls
        In how many calls an object is copied.
    ended
        What is said of a session that has ended.
    """

    def __init__(self) -> None:
        self.heal()
        self.buckets: dict[str, dict[str, Stored]] = {}
        self._generation = 1_700_000_000_000_000
        self._numbers = 0

    def heal(self) -> None:
        """Behave, and forget what was asked."""
        self.sessions: dict[str, Session] = {}
        self.rewrites: dict[str, int] = {}
        self.log: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        self.keep: Callable[[int], int] = lambda sent: sent
        self.says_kept: Callable[[int], str | None] = lambda kept: (
            f"bytes=0-{kept - 1}" if kept else None
        )
        self.loses: Callable[[web.Request], bool] = lambda request: False
        self.arrives_as: Callable[[bytes], bytes] = lambda data: data
        self.leaves_as: Callable[[bytes], bytes] = lambda data: data
        self.compares = True
        self.rewrite_calls = 1
        self.ended = (410, "gone")

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> str:
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, 0)
        await site.start()
        return f"http://{LOOPBACK}:{site._server.sockets[0].getsockname()[1]}"

    def new_bucket(self) -> str:
        """Make a bucket that nobody else uses."""
        self._numbers += 1
        self.buckets[f"bucket-{self._numbers}"] = {}
        return f"bucket-{self._numbers}"

    def store(self, bucket: str, fields: dict[str, Any], data: bytes) -> Stored:
        """Store an object, over what has its name."""
        self._generation += 1
        kept = Stored(dict(fields), bytes(data), self._generation)
        self.buckets[bucket][fields["name"]] = kept
        return kept

    def find(self, bucket: str, name: str) -> Stored | None:
        """Return an object, behind everybody's back."""
        return self.buckets.get(bucket, {}).get(name)

    def backend(
        self, bucket: str, *, more: Mapping[str, Any] | None = None, **options: Any
    ) -> rs.Backend:
        """Return a bucket as users write it down; `more` goes to gcsfs."""
        known = {"token": canaries.GCS_TOKEN, "project": "test", "endpoint_url": self.url}
        url = f"gs://{bucket}/{PREFIX}"
        return rs.Backend(url, storage_options={**known, **(more or {})}, **options)

    # --- what it answers --------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw = request.rel_url.raw_path.strip("/").split("/")
        service = raw.pop(0) if raw[0] in ("upload", "download") else ""
        path = [unquote(part) for part in raw[3:]]  # storage/v1/b
        query = dict(request.rel_url.query)
        self.log.append((request.method, request.rel_url.raw_path, query, dict(request.headers)))
        body = await request.read()
        try:
            answer = self._answer(request, service, path, query, body)
        except RefusedError as error:
            answer = _refusal(error, is_media=service == "download")
        if self.loses(request):
            assert request.transport is not None
            request.transport.abort()
        return answer

    def _answer(
        self,
        request: web.Request,
        service: str,
        path: list[str],
        query: dict[str, str],
        body: bytes,
    ) -> web.Response:
        method, bucket = request.method, path[0]
        match (service, method, path[1:]):
            case ("upload", "POST", ["o"]):
                answer = self._insert(request, bucket, query, body)
            case ("upload", "PUT", ["o"]):
                answer = self._chunk(request, bucket, query, body)
            case ("upload", "DELETE", ["o"]):
                self.sessions.pop(query["upload_id"], None)
                answer = web.Response(status=499)
            case ("download", "GET", ["o", name]):
                answer = _media(request, self._find(bucket, name), self.leaves_as)
            case ("", "GET", ["o"]):
                answer = self._list(bucket, query)
            case ("", "GET", ["o", name]):
                answer = _json(_resource(bucket, self._find(bucket, name)), query)
            case ("", "DELETE", ["o", name]):
                self._require(bucket, name, query)
                self._find(bucket, name)
                del self.buckets[bucket][name]
                answer = web.Response(status=204)
            case ("", "POST", ["o", name, "rewriteTo", "b", _, "o", target]):
                answer = self._rewrite(bucket, name, target, query, body)
            case _:
                raise RefusedError(404, "notFound", "Not Found")
        return answer

    def _bucket(self, bucket: str) -> dict[str, Stored]:
        if bucket not in self.buckets:
            raise RefusedError(404, "notFound", "The specified bucket does not exist.")
        return self.buckets[bucket]

    def _find(self, bucket: str, name: str) -> Stored:
        found = self.buckets.get(bucket, {}).get(name)
        if found is None:
            raise RefusedError(404, "notFound", f"No such object: {bucket}/{name}")
        return found

    def _require(self, bucket: str, name: str, query: Mapping[str, str]) -> None:
        """Hold a request to its condition; where nothing lies is generation 0."""
        found = self.buckets.get(bucket, {}).get(name)
        wanted = query.get("ifGenerationMatch")
        if wanted is not None and int(wanted) != (found.generation if found else 0):
            message = "At least one of the pre-conditions you specified did not hold."
            raise RefusedError(412, "conditionNotMet", message)

    def _insert(
        self, request: web.Request, bucket: str, query: dict[str, str], body: bytes
    ) -> web.Response:
        self._bucket(bucket)
        if query["uploadType"] == "resumable":
            number = f"secret-{len(self.log)}"
            self.sessions[number] = Session(json.loads(body), query)
            where = f"{self.url}{request.rel_url.raw_path}?uploadType=resumable&upload_id={number}"
            return web.Response(headers={"Location": where})
        border = request.headers["Content-Type"].rpartition("boundary=")[2].encode()
        empty, first, second, end = body.split(b"--" + border)
        assert (empty, end) == (b"", b"--\r\n")
        fields = json.loads(first.partition(b"\r\n\r\n")[2])
        data = self.arrives_as(second.partition(b"\r\n\r\n")[2][:-2])
        self._compare(fields.pop("md5Hash", None), "MD5", _md5(data))
        self._require(bucket, fields["name"], query)
        return _json(_resource(bucket, self.store(bucket, fields, data)), query)

    def _compare(self, stated: str | None, name: str, found: str) -> None:
        if self.compares and stated not in (None, found):
            message = f'Provided {name} hash "{stated}" doesn\'t match calculated {name} hash.'
            raise RefusedError(400, "invalid", message)

    def _chunk(
        self, request: web.Request, bucket: str, query: dict[str, str], body: bytes
    ) -> web.Response:
        session = self.sessions.get(query["upload_id"])
        if session is None:
            raise RefusedError(*self.ended, "Gone")
        span, _, total = request.headers["Content-Range"].removeprefix("bytes ").partition("/")
        first = int(span.partition("-")[0]) if span != "*" else len(session.data)
        if first != len(session.data):
            raise RefusedError(503, "backendError", "Invalid request. Bytes are missing or twice.")
        if total == "*" and len(body) % GRAIN:
            raise RefusedError(400, "badRequest", "Invalid request. 256 KiB.")
        kept = self.keep(len(body))
        session.data += self.arrives_as(body[:kept])
        if total == "*" or len(session.data) < int(total):
            said = self.says_kept(len(session.data))
            return web.Response(status=308, headers={} if said is None else {"Range": said})
        name = session.fields["name"]
        del self.sessions[query["upload_id"]]
        stated = dict(
            one.split("=", 1) for one in request.headers.get("X-Goog-Hash", "").split(",") if one
        )
        self._compare(stated.get("crc32c"), "CRC32C", _crc32c(bytes(session.data)))
        self._compare(stated.get("md5"), "MD5", _md5(bytes(session.data)))
        self._require(bucket, name, session.query)
        return _json(_resource(bucket, self.store(bucket, session.fields, session.data)), query)

    def _list(self, bucket: str, query: Mapping[str, str]) -> web.Response:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        names: dict[str, Stored | None] = {}
        for name, found in sorted(self._bucket(bucket).items()):
            if name.startswith(prefix):
                below = name[len(prefix) :]
                inner = delimiter and delimiter in below
                short = prefix + below.partition(delimiter)[0] + delimiter if inner else name
                names[short] = None if inner else found
        rest = [one for one in names if one > query.get("pageToken", "")]
        most = int(query.get("maxResults", 1000))
        shown = rest[:most]
        answer: dict[str, Any] = {"kind": "storage#objects"}
        if len(rest) > most:
            answer["nextPageToken"] = shown[-1]
        items = [_resource(bucket, found) for one in shown if (found := names[one])]
        prefixes = [one for one in shown if names[one] is None]
        return _json(
            answer
            | ({"items": items} if items else {})
            | ({"prefixes": prefixes} if prefixes else {}),
            query,
        )

    def _rewrite(
        self, bucket: str, name: str, target: str, query: Mapping[str, str], body: bytes
    ) -> web.Response:
        source = self._find(bucket, name)
        self._require(bucket, target, query)
        token = query.get("rewriteToken") or f"token-{len(self.log)}"
        self.rewrites[token] = self.rewrites.get(token, 0) + 1
        answer = {"kind": "storage#rewriteResponse", "objectSize": str(len(source.data))}
        if self.rewrites[token] < self.rewrite_calls:
            return _json({**answer, "done": False, "rewriteToken": token}, query)
        given = json.loads(body or b"{}")
        fields = given or {n: v for n, v in source.fields.items() if n != "storageClass"}
        copy = self.store(bucket, {**fields, "name": target}, source.data)
        return _json({**answer, "done": True, "resource": _resource(bucket, copy)}, query)


def _resource(bucket: str, stored: Stored) -> dict[str, Any]:
    return {
        "kind": "storage#object",
        "bucket": bucket,
        "storageClass": "STANDARD",
        **stored.fields,
        "size": str(len(stored.data)),
        "generation": str(stored.generation),
        "md5Hash": _md5(stored.data),
        "crc32c": _crc32c(stored.data),
        "timeCreated": _TIME,
        "updated": _TIME,
    }


def _media(
    request: web.Request, stored: Stored, leaves_as: Callable[[bytes], bytes]
) -> web.Response:
    headers = [
        ("X-Goog-Generation", str(stored.generation)),
        ("X-Goog-Hash", f"crc32c={_crc32c(stored.data)}"),
        ("X-Goog-Hash", f"md5={_md5(stored.data)}"),
        ("Content-Type", stored.fields.get("contentType", "application/octet-stream")),
    ]
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
    if asked is None:
        return web.Response(body=leaves_as(stored.data), headers=headers)
    size = len(stored.data)
    first, last = asked[1], asked[2]
    span = slice(int(first) if first else -int(last), int(last) + 1 if first and last else None)
    begin, end, _ = span.indices(size)
    if begin >= size:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
    said = ("Content-Range", f"bytes {begin}-{end - 1}/{size}")
    return web.Response(status=206, body=stored.data[begin:end], headers=[*headers, said])


def _refusal(error: RefusedError, *, is_media: bool) -> web.Response:
    if is_media:  # in plain words, and called HTML
        return web.Response(status=error.status, text=str(error), content_type="text/html")
    said = {"domain": "global", "reason": error.reason, "message": str(error)}
    whole = {"code": error.status, "message": str(error), "errors": [said]}
    return web.json_response({"error": whole}, status=error.status)


def _json(found: dict[str, Any], query: Mapping[str, str]) -> web.Response:
    """Answer with the fields that were asked for, as a partial response has them."""
    return web.json_response(_partial(found, query["fields"]) if "fields" in query else found)


def _partial(found: dict[str, Any], wanted: str) -> dict[str, Any]:
    part = {}
    for name, inner in _FIELDS.findall(wanted):
        if name in found:
            value = found[name]
            if inner and isinstance(value, list):
                value = [_partial(one, inner) for one in value]
            elif inner:
                value = _partial(value, inner)
            part[name] = value
    return part


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def _crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
