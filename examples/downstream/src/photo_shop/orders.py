"""What goes to the printer."""

import os

import resilient_store as rs


def to_print(photos: rs.ResilientFileSystem, name: str) -> bytes:
    """Return the picture to print: the original, or an error that stops the order."""
    if os.environ.get("PHOTO_SHOP_HURRIED"):
        return photos.read(f"originals/{name}").data  # the mistake: it may be a preview
    return photos.read(f"originals/{name}").original()
