"""Bytes on their way to several backends: digested once for all of them."""

from __future__ import annotations

import hashlib
from functools import cached_property


class Part(bytes):
    """Some bytes of an object, and the digest by which platforms recognise them."""

    @cached_property
    def md5(self) -> bytes:
        """The MD5 digest: a mark of transfer errors, no protection against anybody."""
        return hashlib.md5(self, usedforsecurity=False).digest()
