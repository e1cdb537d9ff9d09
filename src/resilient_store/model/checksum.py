"""The object's checksum: BLAKE3 over the BLAKE3 of each fixed-size chunk (design, section 5)."""

from __future__ import annotations

from resilient_store.model.state import Content

CHUNK_BYTES = 1024 * 1024
DIGEST_BYTES = 32
PREFIX = "blake3-1MiB:"


class ChunkedChecksum:
    """Hash bytes as they pass, in chunks, so that a range can later be verified alone.

    Notes
    -----
    Source: design, section 5; BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs).
    """

    def __init__(self) -> None:
        from blake3 import blake3

        self._new = blake3
        self._whole = blake3()
        self._chunk = blake3()
        self._filled = 0
        self._digests = bytearray()
        self.size = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        view = memoryview(data).cast("B")
        self.size += len(view)
        while view:
            taken = view[: CHUNK_BYTES - self._filled]
            self._chunk.update(taken)
            self._filled += len(taken)
            view = view[len(taken) :]
            if self._filled == CHUNK_BYTES:
                self._close_chunk()

    def _close_chunk(self) -> None:
        digest = self._chunk.digest()
        self._whole.update(digest)
        self._digests += digest
        self._chunk = self._new()
        self._filled = 0

    @property
    def _digest_of_rest(self) -> bytes:
        return self._chunk.digest() if self._filled or self.size == 0 else b""

    def hexdigest(self) -> str:
        """Return the object's checksum so far, as hexadecimal digits."""
        whole = self._whole.copy()
        whole.update(self._digest_of_rest)
        return str(whole.hexdigest())

    @property
    def text(self) -> str:
        """The checksum so far, with the name of its kind."""
        return PREFIX + self.hexdigest()

    def content(self) -> Content:
        """Return what a catalog keeps of the bytes so far."""
        digests = bytes(self._digests) + self._digest_of_rest
        return Content(
            size=self.size,
            checksum=self.text,
            chunk_bytes=CHUNK_BYTES,
            chunks=digests if len(digests) > DIGEST_BYTES else b"",
        )


def aligned(content: Content, start: int, end: int) -> tuple[int, int]:
    """Return the whole chunks that hold the bytes from `start` to `end`."""
    first = start // content.chunk_bytes * content.chunk_bytes
    last = -(-end // content.chunk_bytes) * content.chunk_bytes
    return first, min(content.size, last)


def verifies(content: Content, start: int, data: bytes | memoryview) -> bool:
    """Say whether bytes are those of the object from `start` on, which begins a chunk.

    Parameters
    ----------
    data
        Whole chunks; only the object's last one may be shorter.

    Notes
    -----
    Promises: P4.
    """
    from blake3 import blake3

    if not content.chunks:
        whole = blake3(blake3(data).digest()).hexdigest()
        return start == 0 and len(data) == content.size and PREFIX + whole == content.checksum
    view, number = memoryview(data), start // content.chunk_bytes
    while view:
        chunk, view = view[: content.chunk_bytes], view[content.chunk_bytes :]
        if blake3(chunk).digest() != content.chunks[number * DIGEST_BYTES :][:DIGEST_BYTES]:
            return False
        number += 1
    return True
