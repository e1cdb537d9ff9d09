"""What calls return: results of reads, receipts of writes, listings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

Reason = Literal["lost", "unreachable"]


@attrs.frozen(kw_only=True)
class ReadResult:
    """What a read came to: the original's bytes, or a derivative's with the flag (P5).

    Attributes
    ----------
    data
        The bytes of the original, or of the derivative that stands in for it.
    path
        The object that was asked for.
    original_missing
        True where `data` is a derivative's. Look at it, or call `original`.
    reason
        ``"lost"`` (every replica is known missing), ``"unreachable"`` (one may be intact but
        cannot be had now), or None.
    derivative
        The path of the derivative in `data`, or None.
    derivative_stale
        Whether the derivative was made from another version of the original; False where
        nothing is known of versions (no catalog).
    backend
        Which backend the bytes came from.
    version
        The object's version; None without a catalog.
    verified
        Whether the bytes were held against the object's checksum; False without a catalog.
    content_type
        As stored with the bytes in `data`, or guessed from the path's ending.
    """

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    path: str
    original_missing: bool = False
    reason: Reason | None = None
    derivative: str | None = None
    derivative_stale: bool = False
    backend: str
    version: int | None = None
    verified: bool = False
    content_type: str | None = None
    refusal: Exception | None = attrs.field(default=None, repr=False, eq=False)

    def original(self) -> bytes:
        """Return the original's bytes, or raise: for a print job, which must not take a preview.

        Raises
        ------
        OriginalMissingError
            The original is lost.
        BackendsUnavailableError
            The original may be intact but cannot be had now.

        Notes
        -----
        Promises: P5.
        """
        if self.refusal is not None:
            raise self.refusal from None
        return self.data


@attrs.frozen(kw_only=True)
class WriteReceipt:
    """What an acknowledged write left where (P1).

    Attributes
    ----------
    path
        The object.
    version
        Its new version; None without a catalog.
    checksum
        ``blake3-1MiB:`` and BLAKE3 over the BLAKE3 of each 1 MiB chunk, in hexadecimal.
    size
        Bytes.
    copies
        Backends that hold these bytes.
    pending
        Backends that do not, or did not say so: write the same bytes again to complete them.
    domains
        The failure domains of `copies`.
    headers_not_kept
        Backends that hold the bytes but cannot hold the content type and metadata.
    """

    path: str
    version: int | None = None
    checksum: str
    size: int
    copies: tuple[str, ...]
    pending: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    headers_not_kept: tuple[str, ...] = ()


class Listing(list[Any]):
    """A list of names or entries that says which backends could not be asked.

    Attributes
    ----------
    missing_backends
        Names of backends that did not answer; empty where the listing is certain to be whole.
        Only a call with ``partial=True`` returns one that is not.
    """

    missing_backends: tuple[str, ...]

    def __init__(self, items: Iterable[Any] = (), missing_backends: Iterable[str] = ()) -> None:
        super().__init__(items)
        self.missing_backends = tuple(missing_backends)


class DetailedListing(dict[str, Any]):
    """A listing with ``detail=True``: name to entry, and `missing_backends` as in `Listing`."""

    missing_backends: tuple[str, ...]

    def __init__(
        self, items: Mapping[str, Any] | None = None, missing_backends: Iterable[str] = ()
    ) -> None:
        super().__init__(items or {})
        self.missing_backends = tuple(missing_backends)


@attrs.frozen(kw_only=True)
class DegradedEvent:
    """A derivative stood in for its original; given to the ``on_degraded`` hook.

    Attributes
    ----------
    path
        The original that was asked for.
    derivative
        What was handed out, flagged.
    reason
        ``"lost"`` or ``"unreachable"``.
    backend
        Where the derivative came from.
    """

    path: str
    derivative: str
    reason: Reason
    backend: str


@attrs.frozen(kw_only=True)
class BackendState:
    """A change in how a backend is judged, given to the ``on_backend_state`` hook.

    Attributes
    ----------
    backend
        The backend's name.
    kind
        ``"read"`` or ``"write"``: each has a circuit breaker of its own.
    state
        ``"closed"`` (in use), ``"open"`` (left alone), or ``"half-open"`` (being probed).
    reason
        The outcome that tipped it; ``"credentials"`` where everything is denied.
    """

    backend: str
    kind: str
    state: str
    reason: str = ""
