"""Files that a command writes: whole, or as they were."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from resilient_store.errors import ConfigurationError


def check_place(path: Path) -> None:
    """Refuse a file that could not be written, before hours are spent on what it is to hold.

    Raises
    ------
    ConfigurationError
        Its folder is not there, it is a folder itself, or may not be written.
    """
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder: name a file in it")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ConfigurationError(f"{path}: there is no folder {folder}: make it first")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise ConfigurationError(f"{path} cannot be written: ask for the right to, or name another")


def write_whole(path: Path, write: Callable[[TextIO], object]) -> None:
    """Write a file beside the one that is there, and put it in its place when it is whole.

    A pipe or a device, and a file in whose folder none can be made, are written to as they are.
    """
    place = path.resolve()  # where a link leads
    is_special = path.is_relative_to("/dev") or (path.exists() and not path.is_file())
    beside = not is_special and os.access(place.parent, os.W_OK)
    target = place.with_name(f".{place.name}.part") if beside else path
    try:
        with target.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            write(file)
        if beside:
            target.replace(place)
    finally:
        if beside:
            target.unlink(missing_ok=True)
