"""What `info` and listings hand out: fsspec's dictionaries, with what this library adds."""

from __future__ import annotations

from typing import Any

from resilient_store.io.read import headers_of
from resilient_store.model.info import ObjectInfo


def entry(path: str, backend: str | None, info: ObjectInfo) -> dict[str, Any]:
    """Describe one path: name, size in bytes, type, and what a listing knows of it."""
    if info.directory:
        return {"name": path, "size": 0, "type": "directory", "backend": backend}
    return {
        "name": path,
        "size": info.size,
        "type": "file",
        "created": info.created,
        "modified": info.modified,
        "mtime": info.modified.timestamp() if info.modified else None,
        "tag": info.tag,
        "backend": backend,
    }


def full_entry(path: str, backend: str, info: ObjectInfo) -> dict[str, Any]:
    """Describe one path as `info` does: with headers, and what only a catalog could know."""
    found = entry(path, backend, info)
    if info.directory:
        return found
    headers = headers_of(info).as_dict()
    return {**found, **headers, **_without_catalog(), "original_missing": False}


def missing_entry(path: str) -> dict[str, Any]:
    """Describe an original that is lost: its size is unknown, and it says so."""
    return {
        "name": path,
        "size": None,
        "type": "file",
        "backend": None,
        **_without_catalog(),
        "original_missing": True,
    }


def _without_catalog() -> dict[str, Any]:
    return {"version": None, "checksum": None, "verified": False, "replicas": None}
