"""What a customer sees."""

import resilient_store as rs


def page(photos: rs.ResilientFileSystem, name: str) -> tuple[bytes, str]:
    """Return a picture, and what to write below it: a preview will do, and says so."""
    try:
        shown = photos.read(f"originals/{name}")
    except rs.BackendsUnavailableError:
        return b"", "cannot be shown now"
    return shown.data, "a preview" if shown.original_missing else ""
