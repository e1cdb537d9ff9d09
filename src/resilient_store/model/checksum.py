"""The object's checksum: BLAKE3 over the BLAKE3 of each fixed-size chunk (design, section 5)."""

from __future__ import annotations

CHUNK_BYTES = 1024 * 1024


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
        self.size = 0

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes, of any length."""
        view = memoryview(data)
        self.size += len(view)
        while view:
            taken = view[: CHUNK_BYTES - self._filled]
            self._chunk.update(taken)
            self._filled += len(taken)
            view = view[len(taken) :]
            if self._filled == CHUNK_BYTES:
                self._close_chunk()

    def _close_chunk(self) -> None:
        self._whole.update(self._chunk.digest())
        self._chunk = self._new()
        self._filled = 0

    def hexdigest(self) -> str:
        """Return the object's checksum so far, as hexadecimal digits."""
        whole = self._whole.copy()
        if self._filled or self.size == 0:
            whole.update(self._chunk.digest())
        return str(whole.hexdigest())
