"""Every error that this library raises: what was asked, what each backend said, what to do.

None of them is a ``FileNotFoundError``: layers above take that for "never written" and fill
in a blank (P5). That a path is *certainly* absent is said with the builtin error.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from resilient_store.model.outcome import Reply

_SHOWN = 5  # paths in a message; all are in `failed`


class ResilientStoreError(Exception):
    """Root of everything that this library raises.

    Attributes
    ----------
    code
        A stable name for programs; the text may change.
    """

    code = "resilient-store"


class ConfigurationError(ResilientStoreError, ValueError):
    """A store, backend or policy that cannot work; the text says what to change."""

    code = "configuration"


class MissingExtraError(ConfigurationError):
    """A backend needs a package that is not installed; the text has the command."""

    code = "missing-extra"


class StoreIdentityError(ConfigurationError):
    """A backend belongs to another store."""

    code = "store-identity"


class UnsupportedOperationError(ResilientStoreError, NotImplementedError):
    """A call that this library refuses on purpose; the text says what to use instead."""

    code = "unsupported-operation"


class ObjectError(ResilientStoreError, OSError):
    """Root of what is raised about one object.

    Attributes
    ----------
    path
        The object that was asked for.
    replies
        What each backend answered, without bytes, in the order they answered.
    note
        What this library adds: which backends were left with what.
    failed
        In a call over many paths: every path that failed.
    """

    code = "object"
    summary = "the call failed"
    advice = ""
    number = errno.EIO

    def __init__(
        self,
        path: str,
        replies: Iterable[Reply[object]] = (),
        note: str = "",
        failed: Iterable[str] = (),
    ) -> None:
        super().__init__(self.number, self.summary, path)
        self.path = path
        self.replies = tuple(reply.bare() for reply in replies)
        self.note = note
        self.failed = tuple(failed)

    def __str__(self) -> str:
        said = "; ".join(reply.words() for reply in self.replies)
        about = f"{self.path!r}: " if self.path else ""  # else of the store
        parts = [f"{about}{self.summary}" + (f" ({said})" if said else "")]
        if len(self.failed) > 1:
            shown = ", ".join(repr(path) for path in self.failed[:_SHOWN])
            more = f" and {left} more" if (left := len(self.failed) - _SHOWN) > 0 else ""
            parts.append(f"{len(self.failed)} paths failed: {shown}{more}")
        parts += [text for text in (self.note, self.advice) if text]
        return ". ".join(part.rstrip(".") for part in parts) + "."

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.replies, self.note, self.failed)


class OriginalMissingError(ObjectError):
    """The object existed, and every replica is known lost (P5)."""

    code = "original-missing"
    summary = "the original is lost"
    advice = "read() returns its preview with original_missing=True where one is left"


class BackendsUnavailableError(ObjectError):
    """The object cannot be had, or cannot be known, now (P5). It may be intact."""

    code = "backends-unavailable"
    summary = "cannot be had or known now"
    advice = "Try again when a backend is back; nothing says that the object is gone"


class CatalogUnavailableError(BackendsUnavailableError):
    """The catalog could not be asked."""

    code = "catalog-unavailable"
    summary = "the catalog cannot be asked now"
    advice = "Try again when the catalog is back; nothing says that the object is gone"


class InsufficientCopiesError(ObjectError):
    """A change did not reach as many backends as the policy asks for (P1)."""

    code = "insufficient-copies"
    summary = "too few backends took the change, so it is not acknowledged"
    advice = "Call again with the same data when the backends are back"


class ConcurrentWriteError(ObjectError):
    """Somebody else changed the path at the same time."""

    code = "concurrent-write"
    summary = "another writer changed the path at the same time"
    advice = "Look at what is there now, then decide"
    number = errno.EBUSY


class ObjectChangedError(ObjectError):
    """The object changed while a file of it was being read: never a mix of two versions."""

    code = "object-changed"
    summary = "the object changed while it was being read"
    advice = "Open it again"
    number = errno.ESTALE


class StoreFrozenError(ObjectError):
    """The store is frozen: no change is accepted."""

    code = "store-frozen"
    summary = "the store is frozen"
    number = errno.EROFS


class IntegrityError(ObjectError):
    """A snapshot's bytes do not match its checksum."""

    code = "integrity"
    summary = "the bytes do not match their checksum"


class BlankObjectError(ObjectError, ValueError):
    """An empty object was to be written where an empty original counts as missing (P5)."""

    code = "blank-object"
    summary = "an empty original is refused: a degraded rule would take it for missing"
    advice = "Write the bytes, or choose a path that no degraded rule matches"
    number = errno.EINVAL


class InvalidPathError(ObjectError, ValueError):
    """A path that not every platform can hold; nothing was written."""

    code = "invalid-path"
    summary = "the path is refused"
    number = errno.EINVAL
