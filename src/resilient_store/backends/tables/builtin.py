"""The table for Python's own exceptions: disks, memory, and filesystems that raise like them."""

from __future__ import annotations

import errno

from resilient_store.model.outcome import Outcome

# What a change came to where a read would say something else: None means "the same".
_BY_ERRNO: dict[int, tuple[Outcome, Outcome | None]] = {
    errno.ENOENT: (Outcome.NOT_FOUND, None),
    errno.ENOTDIR: (Outcome.NOT_FOUND, Outcome.REFUSED),
    errno.EISDIR: (Outcome.NOT_FOUND, Outcome.REFUSED),
    errno.ELOOP: (Outcome.NOT_FOUND, Outcome.REFUSED),
    errno.ENAMETOOLONG: (Outcome.NOT_FOUND, Outcome.REFUSED),
    errno.ENOTEMPTY: (Outcome.REFUSED, None),
    errno.EINVAL: (Outcome.REFUSED, None),
    errno.ENOTSUP: (Outcome.REFUSED, None),
    errno.EFBIG: (Outcome.REFUSED, None),
    errno.EXDEV: (Outcome.REFUSED, None),
    errno.EEXIST: (Outcome.EXISTS, None),
    errno.EACCES: (Outcome.DENIED, None),
    errno.EPERM: (Outcome.DENIED, None),
    errno.EROFS: (Outcome.DENIED, None),
    errno.ENOSPC: (Outcome.FULL, None),
    errno.EDQUOT: (Outcome.FULL, None),
    errno.EBUSY: (Outcome.THROTTLED, Outcome.TIMED_OUT),
    errno.EMFILE: (Outcome.UNAVAILABLE, None),
    errno.ENFILE: (Outcome.UNAVAILABLE, None),
    errno.ECONNREFUSED: (Outcome.UNAVAILABLE, None),
    errno.EHOSTUNREACH: (Outcome.UNAVAILABLE, None),
    errno.ENETUNREACH: (Outcome.UNAVAILABLE, None),
    errno.EHOSTDOWN: (Outcome.UNAVAILABLE, None),
    errno.ECONNRESET: (Outcome.UNAVAILABLE, Outcome.TIMED_OUT),
    errno.ECONNABORTED: (Outcome.UNAVAILABLE, Outcome.TIMED_OUT),
    errno.EPIPE: (Outcome.UNAVAILABLE, Outcome.TIMED_OUT),
    errno.EIO: (Outcome.UNAVAILABLE, Outcome.TIMED_OUT),
    errno.ESTALE: (Outcome.UNAVAILABLE, Outcome.TIMED_OUT),
    errno.ENODEV: (Outcome.UNAVAILABLE, Outcome.TIMED_OUT),
    errno.ETIMEDOUT: (Outcome.TIMED_OUT, None),
}

# Only where no errno says more.
_BY_TYPE: tuple[tuple[type[BaseException], tuple[Outcome, Outcome | None]], ...] = (
    (FileNotFoundError, (Outcome.NOT_FOUND, None)),
    (FileExistsError, (Outcome.EXISTS, None)),
    (PermissionError, (Outcome.DENIED, None)),
    (NotADirectoryError, (Outcome.NOT_FOUND, Outcome.REFUSED)),
    (IsADirectoryError, (Outcome.NOT_FOUND, Outcome.REFUSED)),
    (TimeoutError, (Outcome.TIMED_OUT, None)),
    (ConnectionRefusedError, (Outcome.UNAVAILABLE, None)),
    (ConnectionError, (Outcome.UNAVAILABLE, Outcome.TIMED_OUT)),
    (NotImplementedError, (Outcome.REFUSED, None)),
    (OSError, (Outcome.UNAVAILABLE, Outcome.TIMED_OUT)),
)


def classify(error: BaseException, *, changing: bool) -> tuple[Outcome, str] | None:
    """Read a builtin exception's errno, then its type; None where it is neither."""
    row = None
    if isinstance(error, OSError) and error.errno is not None:
        row = _BY_ERRNO.get(error.errno)
    if row is None:
        row = next((row for kind, row in _BY_TYPE if isinstance(error, kind)), None)
    if row is None:
        return None
    reading, writing = row
    return (writing if changing and writing is not None else reading), describe(error)


def describe(error: BaseException) -> str:
    """Return type and errno name of an error: nothing that could hold a secret."""
    number = getattr(error, "errno", None)
    name = errno.errorcode.get(number, "") if isinstance(number, int) else ""
    return f"{type(error).__name__} {name}".strip()
