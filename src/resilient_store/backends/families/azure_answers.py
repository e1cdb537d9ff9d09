"""What Azure's answers say: of a key, a tag, headers, and whether an object is whole."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import attrs
from azure.storage.blob import ContentSettings, StandardBlobTier

from resilient_store.backends.contract import (
    ChangedError,
    CorruptBodyError,
    RefusedError,
    RootMissingError,
    WrongOptionError,
)
from resilient_store.backends.families.bodies import BeyondTheEndError
from resilient_store.backends.families.fields import (
    NO_TYPE,
    pack,
    require_plain_fields,
    type_or_none,
    unpack,
)
from resilient_store.model.info import MD5, Headers, ObjectInfo

# What Azure says of itself in every answer, and of what went wrong in every refusal.
PLATFORM_HEADERS = ("x-ms-request-id", "x-ms-version")
CODE_HEADER = "x-ms-error-code"

# Not "ResourceNotFound": so Azure answers whoever brings no proof, of what is there too.
_ABSENT = frozenset({"BlobNotFound", "PathNotFound"})
_GONE = frozenset({"ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"})
NOT_MET = frozenset({"ConditionNotMet", "TargetConditionNotMet"})
_NOT_SATISFIABLE = 416
# So a hierarchical account marks its directories; no user's metadata may say that.
FOLDER = "hdi_isfolder"
_PLAIN_NAME = re.compile(rf"(?!{FOLDER}$)[a-z_][a-z0-9_]*")


def code_of(error: BaseException) -> str:
    """Return the code of an error that Azure itself has given; empty where it gave none."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return str(headers.get(CODE_HEADER) or "")


def about_key(error: Exception, key: str) -> Exception:
    """Turn an error about a key into what it says of the key."""
    if code_of(error) in _ABSENT:
        return FileNotFoundError(2, "no such object", key)
    return about_container(error)


def about_source(error: Exception, key: str) -> Exception:
    """Turn an error about a copy into what it says of its source."""
    if code_of(error) == "CannotVerifyCopySource":
        return RefusedError("its source cannot be read")
    return about_key(error, key)


def about_range(error: Exception, key: str) -> Exception:
    """Turn an error about a range of a key into what it says of either."""
    if getattr(error, "status_code", 0) == _NOT_SATISFIABLE:
        return BeyondTheEndError()
    return about_key(error, key)


def about_container(error: Exception) -> Exception:
    """Turn an error about the container into what it says of the container."""
    return RootMissingError() if code_of(error) in _GONE else error


def about_commit(error: Exception, *, exclusive: bool) -> Exception:
    """Turn an error of a write into what it says of others who wrote to the key.

    Whoever writes to a key throws away the blocks of all others that were not committed; and
    who may create and not overwrite is told that, and not that the key is taken.
    """
    code = code_of(error)
    if code == "InvalidBlockList" or (exclusive and code == "UnauthorizedBlobOverwrite"):
        return ChangedError()
    return about_container(error)


def tag_of(etag: object) -> str | None:
    """Return an ETag without its quotes."""
    return str(etag or "").strip('"') or None


def digest_header(digest: bytes) -> str:
    """Say an MD5 digest as HTTP does."""
    return base64.b64encode(digest).decode()


def require_copied(status: object) -> None:
    """Refuse what a copy has not filled yet, or never will: it reads as an empty object.

    Raises
    ------
    CorruptBodyError
        The last copy to the key is under way, or has failed.
    """
    if status not in (None, "", "success"):
        raise CorruptBodyError


def info_of(key: str, found: Any) -> ObjectInfo:
    """Return what an object's properties say."""
    metadata = found.metadata or {}
    if is_folder(metadata):
        return ObjectInfo(key=key, directory=True)
    settings = found.content_settings
    return ObjectInfo(
        key=key,
        size=found.size,
        tag=tag_of(found.etag),
        created=found.creation_time,
        modified=found.last_modified,
        headers=Headers(
            content_type=type_or_none(settings.content_type),
            cache_control=settings.cache_control or None,
            content_disposition=settings.content_disposition or None,
            content_encoding=settings.content_encoding or None,
            metadata=unpack(metadata),
        ),
        native=(f"{MD5}{bytes(settings.content_md5).hex()}",) if settings.content_md5 else (),
    )


def md5_of(info: ObjectInfo) -> bytes | None:
    """Return the digest that Azure states of an object's bytes."""
    return next((bytes.fromhex(text.removeprefix(MD5)) for text in info.native), None)


def same_fields(info: ObjectInfo, headers: Headers) -> bool:
    """Say whether a copy, which keeps all fields but metadata, would have these headers."""
    held = info.headers or Headers()
    return attrs.evolve(held, metadata={}) == attrs.evolve(headers, metadata={})


def is_folder(metadata: Mapping[str, str]) -> bool:
    """Say whether metadata is that of a hierarchical account's directory."""
    return any(n.lower() == FOLDER and v.lower() == "true" for n, v in metadata.items())


def settings_for(headers: Headers, digest: bytes) -> dict[str, Any]:
    """Return headers, and the digest that reads are checked by, as a write takes them."""
    require_plain_fields(headers)
    return {
        "content_settings": ContentSettings(
            content_type=headers.content_type or NO_TYPE,
            cache_control=headers.cache_control,
            content_disposition=headers.content_disposition,
            content_encoding=headers.content_encoding,
            content_md5=bytearray(digest),
        ),
        "metadata": pack(headers.metadata, _PLAIN_NAME),
    }


def checked_options(write_options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that every way of writing can keep.

    Raises
    ------
    RefusedError
        There is another one.
    """
    options = dict(write_options)
    for name in options:
        if name not in ("standard_blob_tier", "tags"):
            raise WrongOptionError(
                f"write_options: Azure's writes take standard_blob_tier and tags, and no {name}; "
                "make an encryption scope or a retention policy the container's own"
            )
    tier = options.get("standard_blob_tier")
    if isinstance(tier, str):
        try:
            options["standard_blob_tier"] = StandardBlobTier(tier)
        except ValueError:
            known = ", ".join(one.value for one in StandardBlobTier)
            raise WrongOptionError(f"write_options: standard_blob_tier is one of {known}") from None
    return options
