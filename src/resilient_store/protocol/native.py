"""Checksums that platforms state themselves, for objects that this store did not write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from resilient_store.model.info import CRC32C, MD5, ObjectInfo
from resilient_store.model.state import Content


class NativeChecksum:
    """Holds bytes that come in order against what a platform stated: a checksum, or a size."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._is_stated = content.checksum.startswith(MD5)

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
        self._size += len(data)
        if self._is_stated:
            self._md5.update(data)

    @property
    def verifies(self) -> bool:
        """Whether all that came is the object, as far as the platform's words can tell."""
        if self._size != self._content.size:
            return False
        return not self._is_stated or MD5 + self._md5.hexdigest() == self._content.checksum


def verifies_natively(content: Content, data: bytes) -> bool:
    """Hold whole bytes against a platform's checksum; without one, against the size alone."""
    native = NativeChecksum(content)
    native.update(data)
    return native.verifies


def stated_content(info: ObjectInfo) -> Content:
    """Return what a platform says of an object's bytes, as far as a reader can hold them to it."""
    checksum = _stated(info, MD5)
    return Content(
        size=info.size or 0, kind="native" if checksum else "none", checksum=checksum or ""
    )


def told_apart(infos: Mapping[str, ObjectInfo]) -> dict[str, str] | None:
    """Give each backend's bytes a mark, the same for the same bytes, by what platforms state.

    Returns
    -------
    dict or None
        None: some are of one size and have no checksum in common, so that only the bytes tell.
    """
    marks: dict[str, str] = {}
    for size in {info.size for info in infos.values()}:
        alike = {name: info for name, info in infos.items() if info.size == size}
        if len(alike) == 1:
            marks.update(dict.fromkeys(alike, f"{size}"))
            continue
        for kind in (MD5, CRC32C):
            stated = {name: _stated(info, kind) for name, info in alike.items()}
            if all(stated.values()):
                marks.update({name: f"{size}-{checksum}" for name, checksum in stated.items()})
                break
        else:
            return None
    return marks


def _stated(info: ObjectInfo, kind: str) -> str | None:
    return next((one for one in info.native if one.startswith(kind)), None)
