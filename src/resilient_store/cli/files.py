"""Files that a command writes: whole, or as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from resilient_store.errors import ConfigurationError


def check_place(path: Path) -> None:
    """Refuse a file that could not be written, before hours are spent on what it is to hold.

    Raises
    ------
    ConfigurationError
        Its folder is not there, or it is a folder itself.
    """
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise ConfigurationError(f"{path}: there is no folder {path.parent}: make it first")


def write_whole(path: Path, write: Callable[[TextIO], object]) -> None:
    """Write a file beside the one that is there, and put it in its place when it is whole."""
    is_file = path.is_file() or not path.exists()
    target = path.with_name(f".{path.name}.part") if is_file else path  # a pipe has no beside
    try:
        with target.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            write(file)
        if is_file:
            target.replace(path)
    finally:
        if is_file:
            target.unlink(missing_ok=True)
