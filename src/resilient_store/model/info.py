"""What a backend says of an object: its kind, size, tag and headers."""

from __future__ import annotations

import datetime as dt
import mimetypes
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

MD5, CRC32C = "md5:", "crc32c:"  # how checksums begin that platforms state

# Python's own table only: the host's mime.types would make two machines disagree.
_BY_NAME = mimetypes.MimeTypes(filenames=())


def _frozen(metadata: Mapping[str, str] | None) -> Mapping[str, str]:
    return MappingProxyType(dict(metadata or {}))


def _check_text(name: str, value: object) -> None:
    """Refuse what no platform can keep, before anything is begun."""
    texts = [value]
    if name == "metadata" and value is not None:
        if not isinstance(value, Mapping):
            raise TypeError(f"metadata must be a mapping of text to text, and is {value!r}")
        texts = [text for pair in value.items() for text in pair]
    for text in texts:
        if text is not None and not isinstance(text, str):
            raise TypeError(f"{name} must be text, and {text!r} is a {type(text).__name__}")


@attrs.frozen(kw_only=True)
class Headers:
    """Content type, HTTP headers and user metadata that travel with an object.

    They are written to every backend that can hold them and given back alike by ``info``.
    """

    content_type: str | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    metadata: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen, hash=False)

    def __getstate__(self) -> dict[str, object]:
        return self.as_dict()

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def as_dict(self) -> dict[str, object]:
        """Return the headers as plain values, metadata as a dict."""
        plain = attrs.asdict(self, recurse=False)
        plain["metadata"] = dict(self.metadata)
        return plain

    @classmethod
    def given(cls, options: Mapping[str, Any]) -> Headers:
        """Take the keyword arguments of a write.

        Raises
        ------
        TypeError
            There is an argument that no write takes, or one that is no text.
        """
        known = [field.name for field in attrs.fields(cls)]
        for name in options:
            if name not in known:
                raise TypeError(f"a write takes no argument {name!r}; it takes {', '.join(known)}")
        for name, value in options.items():
            _check_text(name, value)
        return cls(**options)

    def over(self, earlier: Headers | None, path: str) -> Headers:
        """Fill what was not given from the earlier version, then from the path's ending."""
        base = earlier or Headers()
        content_type = self.content_type or base.content_type
        if content_type is None:
            guessed, packed = _BY_NAME.guess_type(f"file:///{path}")
            content_type = None if packed else guessed  # ".csv.gz" holds no CSV
        return Headers(
            content_type=content_type,
            cache_control=self.cache_control or base.cache_control,
            content_disposition=self.content_disposition or base.content_disposition,
            content_encoding=self.content_encoding or base.content_encoding,
            metadata=self.metadata or base.metadata,
        )


@attrs.frozen(kw_only=True)
class ObjectInfo:
    """What one backend says of one key.

    Attributes
    ----------
    key
        Relative to the backend's root.
    size
        Bytes; None for a directory.
    directory
        Whether it is a directory (or a prefix that has something under it).
    tag
        The backend's own mark of these bytes: ETag, generation, or inode, size and time.
        None where the backend has none.
    headers
        None where the backend cannot hold any.
    native
        Checksums that the platform states of the whole object: ``md5:`` or ``crc32c:``, and
        hexadecimal digits. A listing may leave them out.
    """

    key: str
    size: int | None = None
    directory: bool = False
    tag: str | None = None
    created: dt.datetime | None = None
    modified: dt.datetime | None = None
    headers: Headers | None = None
    native: tuple[str, ...] = ()

    @property
    def blank(self) -> bool:
        """Whether it is an empty object."""
        return not self.directory and self.size == 0


@attrs.frozen(kw_only=True)
class Body:
    """Bytes that a backend handed out, with what it said of the whole object.

    ``size`` is that of the whole object, in bytes, where the answer carried it.
    """

    data: bytes = attrs.field(repr=False)
    size: int | None = None
    tag: str | None = None
    content_type: str | None = None
