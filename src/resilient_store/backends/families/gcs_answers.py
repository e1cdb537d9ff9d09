"""What Google Cloud Storage answers: whose word it is, and what it tells of an object."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from resilient_store.backends.contract import (
    CorruptBodyError,
    RootMissingError,
    StrangerError,
    WrongOptionError,
)
from resilient_store.backends.families.fields import (
    NO_TYPE,
    pack,
    require_plain_fields,
    type_or_none,
    unpack,
)
from resilient_store.backends.tables.http import clean_code
from resilient_store.model.info import CRC32C, MD5, Headers, ObjectInfo

try:
    import google_crc32c

    _CRC32C: Any = google_crc32c.Checksum if google_crc32c.implementation == "c" else None
except ImportError:
    _CRC32C = None

OBJECT, LISTING, REWRITE = "storage#object", "storage#objects", "storage#rewriteResponse"
_BRIEF = "name,size,generation,timeCreated,updated"
_HEADERS = "contentType,cacheControl,contentDisposition,contentEncoding,metadata"
INFO = f"kind,{_BRIEF},md5Hash,crc32c,{_HEADERS}"
PAGE = f"kind,nextPageToken,prefixes,items({_BRIEF})"
WRITTEN = "kind,size,generation,md5Hash,crc32c"
REWRITTEN = f"kind,done,rewriteToken,resource({WRITTEN})"

FIELDS = {
    "contentType": "content_type",
    "cacheControl": "cache_control",
    "contentDisposition": "content_disposition",
    "contentEncoding": "content_encoding",
}
# JSON would carry any, but others read with metadata in HTTP headers, and fail on odd names.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

NOT_FOUND, NOT_MET, BEYOND_THE_END = 404, 412, 416
RESUME_INCOMPLETE = 308


class GcsError(Exception):
    """Google said no.

    Attributes
    ----------
    status
        Of the answer.
    reason
        As the API words it; empty where it gave none.
    right
        What the request needed a permission for.
    """

    def __init__(self, status: int, reason: str, right: str) -> None:
        super().__init__(status, reason, right)
        self.status = status
        self.reason = reason
        self.right = right


@attrs.frozen
class Answer:
    """An answer that was read."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether it says that it was done."""
        return self.status in (200, 201, 204)

    def json(self) -> Mapping[str, Any]:
        """Return the object that the body spells; empty where it is something else."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def error_in(answer: Answer, right: str) -> Exception:
    """Return what a refusal says; a 404 only where it is Google's own."""
    said = answer.json().get("error")
    if not isinstance(said, dict) or not isinstance(said.get("errors"), list):
        said = {}
    if answer.status == NOT_FOUND and said.get("code") != NOT_FOUND:
        return StrangerError("an absence that nobody vouches for")
    if answer.status == 400 and "doesn't match calculated" in str(said.get("message")):  # noqa: PLR2004 - "Bad Request"
        return CorruptBodyError()  # a digest was sent along, and other bytes arrived
    reasons = [one.get("reason") for one in said.get("errors", ()) if isinstance(one, dict)]
    return GcsError(answer.status, clean_code(reasons[0]) if reasons else "", right)


def is_not_met(error: Exception) -> bool:
    """Say whether a condition was not met, and not what an organisation demands."""
    return (
        isinstance(error, GcsError)
        and error.status == NOT_MET
        and error.reason in ("", "conditionNotMet")
    )


def found_in(answer: Answer, kind: str) -> Mapping[str, Any]:
    """Return the resource in an answer.

    Raises
    ------
    StrangerError
        It is not Google's answer.
    """
    found = answer.json()
    if found.get("kind") != kind:
        raise StrangerError("not Google's answer")
    return found


def about_key(error: Exception, key: str) -> Exception:
    """Turn an error about a key into what it says of the key."""
    is_absent = isinstance(error, GcsError) and error.status == NOT_FOUND
    return FileNotFoundError(2, "no such object", key) if is_absent else error


def about_bucket(error: Exception) -> Exception:
    """Turn an error about the bucket into what it says of the bucket."""
    is_absent = isinstance(error, GcsError) and error.status == NOT_FOUND
    return RootMissingError() if is_absent else error


def info_of(key: str, found: Mapping[str, Any]) -> ObjectInfo:
    """Return what an object's resource says."""
    fields = {field: found.get(name) for name, field in FIELDS.items()}
    fields["content_type"] = type_or_none(fields["content_type"])
    headers = Headers(**fields, metadata=unpack(found.get("metadata")))
    return attrs.evolve(brief_of(key, found), headers=headers, native=native_of(found))


def native_of(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the checksums that an object's resource states."""
    return tuple(
        f"{kind}{base64.b64decode(text).hex()}"
        for kind, name in ((MD5, "md5Hash"), (CRC32C, "crc32c"))
        if (text := found.get(name))
    )


def brief_of(key: str, found: Mapping[str, Any]) -> ObjectInfo:
    """Return what a listing says of an object."""
    return ObjectInfo(
        key=key,
        size=int(found["size"]),
        tag=tag_of(found),
        created=_time(found.get("timeCreated")),
        modified=_time(found.get("updated")),
    )


def _time(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def tag_of(found: Mapping[str, Any]) -> str | None:
    """Return an object's generation, which no other write ever gets."""
    generation = str(found.get("generation") or "")
    return generation if generation.isdecimal() else None


def is_clear(found: Mapping[str, Any], digests: Mapping[str, str]) -> bool:
    """Say whether an answer to a write carries what tells that it landed."""
    return (
        found.get("kind") == OBJECT
        and tag_of(found) is not None
        and all(found.get(name) for name in digests)
    )


def is_of(found: Mapping[str, Any], size: int, digests: Mapping[str, str]) -> bool:
    """Say whether an object is made of these bytes."""
    return found.get("size") == str(size) and digests.items() <= found.items()


def resource_of(headers: Headers) -> dict[str, Any]:
    """Return headers as a write takes them."""
    require_plain_fields(headers)
    fields = {name: getattr(headers, field) for name, field in FIELDS.items()}
    fields["contentType"] = fields["contentType"] or NO_TYPE
    given = {name: value for name, value in fields.items() if value is not None}
    return {**given, "metadata": pack(headers.metadata, _PLAIN_NAME)}


@attrs.frozen
class Options:
    """A backend's own options for writes: fields of the object, and what goes into the query."""

    fields: Mapping[str, Any]
    query: Mapping[str, str]

    @classmethod
    def of(cls, write_options: Mapping[str, Any]) -> Options:
        """Take those that every way of writing can keep.

        Raises
        ------
        RefusedError
            There is another one.
        """
        fields, query = {}, {}
        for name, value in write_options.items():
            if name in ("storageClass", "customTime", "contentLanguage"):
                fields[name] = value
            elif name in ("predefinedAcl", "kmsKeyName"):
                query[name] = str(value)
            else:
                raise WrongOptionError(
                    "write_options: writes to Google Cloud Storage take storageClass, customTime, "
                    f"contentLanguage, predefinedAcl and kmsKeyName, and no {name}; make a hold or "
                    "a retention policy the bucket's own"
                )
        return cls(fields, query)

    def for_rewrite(self) -> dict[str, str]:
        """Return the query's part under the names that a rewrite has for it."""
        return {f"destination{name[0].upper()}{name[1:]}": v for name, v in self.query.items()}


class Checksum:
    """What Google states of every object: CRC32C where that is quick, else MD5.

    Attributes
    ----------
    name
        In the header X-Goog-Hash.
    field
        Of the object's resource.
    inline_bytes
        Of more than this (1 ms) it would hold up the loop.
    """

    def __init__(self) -> None:
        self._sum: Any
        if _CRC32C is None:
            self.name, self.field, self.inline_bytes = "md5", "md5Hash", 512 * 1024
            self._sum = hashlib.md5(usedforsecurity=False)
        else:
            self.name, self.field, self.inline_bytes = "crc32c", "crc32c", 8 * 1024**2
            self._sum = _CRC32C()

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self._sum.update(data)

    @property
    def text(self) -> str:
        """The checksum so far, as Google writes it."""
        return encoded(self._sum.digest())


def encoded(digest: bytes) -> str:
    """Write a digest as Google does."""
    return base64.b64encode(digest).decode()


def stated_in(headers: Any) -> dict[str, str]:
    """Return the checksums that an answer states of the whole object."""
    stated = ",".join(headers.getall("X-Goog-Hash", ())).split(",")
    pairs = (one.strip().partition("=") for one in stated)
    return {name: value for name, _, value in pairs}
