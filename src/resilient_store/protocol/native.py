"""Checksums that platforms state themselves, for objects that this store did not write."""

from __future__ import annotations

import hashlib

from resilient_store.model.info import MD5
from resilient_store.model.state import Content


def verifies_natively(content: Content, data: bytes) -> bool:
    """Hold whole bytes against a platform's checksum; without one, against the size alone."""
    if len(data) != content.size:
        return False
    if content.checksum.startswith(MD5):
        return hashlib.md5(data, usedforsecurity=False).hexdigest() == content.checksum[len(MD5) :]
    return True
