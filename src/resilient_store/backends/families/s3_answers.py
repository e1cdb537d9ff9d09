"""What S3's answers say: whose they are, and what they tell of a key, a tag and headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from resilient_store.backends.contract import CorruptBodyError, RootMissingError, StrangerError
from resilient_store.backends.families.bodies import BeyondTheEndError
from resilient_store.backends.families.fields import type_or_none, unpack
from resilient_store.model.info import Headers

FIELDS = {
    "ContentType": "content_type",
    "CacheControl": "cache_control",
    "ContentDisposition": "content_disposition",
    "ContentEncoding": "content_encoding",
}
_NOT_SATISFIABLE = 416
_MD5 = re.compile(r"[0-9a-f]{32}")
_PLATFORM_TAG = re.compile(r'"?[0-9a-fA-F]{32,}(-\d+)?"?')
_PLATFORM_HEADERS = ("x-amz-", "x-goog-", "x-guploader-")


def answer_of(error: BaseException) -> Mapping[str, Any]:
    """Return the answer that an error carries, empty where it carries none."""
    found = getattr(error, "response", None)
    return found if isinstance(found, dict) else {}


def code_of(error: BaseException) -> str:
    """Return an error's code, empty where S3 gave none."""
    return str(answer_of(error).get("Error", {}).get("Code", ""))


def status_of(answer: Mapping[str, Any]) -> int:
    """Return an answer's HTTP status, 0 where it has none."""
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def is_s3s(answer: Mapping[str, Any]) -> bool:
    """Say whether an answer looks like S3's own, and not like a portal's page."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if any(name.startswith(_PLATFORM_HEADERS) for name in headers):
        return True
    return bool(_PLATFORM_TAG.fullmatch(headers.get("etag", "")))


def require_s3s(answer: Mapping[str, Any]) -> None:
    """Refuse an answer that somebody else gave."""
    if not is_s3s(answer):
        raise StrangerError("not S3's answer")


def about_key(error: Exception, key: str) -> Exception:
    """Turn an error about a key into what it says of the key."""
    code = code_of(error)
    if code in ("NoSuchKey", "NoSuchVersion"):
        return FileNotFoundError(2, "no such object", key)
    if code == "InvalidRange" or status_of(answer_of(error)) == _NOT_SATISFIABLE:
        return BeyondTheEndError()
    return about_bucket(error)


def about_bucket(error: Exception) -> Exception:
    """Turn an error about the bucket into what it says of the bucket."""
    return RootMissingError() if code_of(error) == "NoSuchBucket" else error


def tag_of(answer: Mapping[str, Any]) -> str | None:
    """Return an answer's ETag without its quotes."""
    return str(answer.get("ETag") or "").strip('"') or None


def tag_for(digest: bytes, answer: Mapping[str, Any]) -> str | None:
    """Return the tag in S3's answer to a write of these bytes; None where it has none.

    Raises
    ------
    CorruptBodyError
        It is that of other bytes.
    """
    tag = tag_of(answer) if is_s3s(answer) else None
    if is_md5(answer, tag) and tag != digest.hex():
        raise CorruptBodyError
    return tag


def is_md5(answer: Mapping[str, Any], tag: str | None) -> bool:
    """Say whether a tag must be the MD5 of the bytes: not of parts, not of what KMS encrypted."""
    encrypted = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
    return (
        not encrypted and "SSECustomerAlgorithm" not in answer and bool(_MD5.fullmatch(tag or ""))
    )


def headers_of(found: Mapping[str, Any]) -> Headers:
    """Return the headers that an object is stored with."""
    fields = {field: found.get(name) for name, field in FIELDS.items()}
    fields["content_type"] = type_or_none(fields["content_type"])
    return Headers(**fields, metadata=unpack(found.get("Metadata")))
