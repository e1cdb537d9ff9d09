"""How a command ends: its exit code, and what is said on stderr where it could not do its work."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import NoReturn

import typer

from resilient_store.errors import (
    ConfigurationError,
    IntegrityError,
    InvalidPathError,
    ResilientStoreError,
)

DONE = 0
LEFT = 1  # something is not as it should be: it is in the output
WRONG = 2  # the command or the configuration; nothing was done
UNAVAILABLE = 3  # a platform or the catalog does not answer; call again
INTERRUPTED = 130  # by Ctrl-C; call again to go on
STOPPED = "stopped; what was done is kept, and the same command goes on from there"


def end(code: int) -> NoReturn:
    """End the command."""
    raise typer.Exit(code)


@contextlib.contextmanager
def told(*, as_json: bool = False) -> Iterator[None]:
    """Say in a sentence what an error means, and end with its code.

    Parameters
    ----------
    as_json
        Whether to print it as JSON, too.
    """
    try:
        yield
    except (ResilientStoreError, OSError) as error:
        say(str(error))
        if as_json:
            _print(getattr(error, "code", "os"), str(error))
        end(_code_of(error))
    except KeyboardInterrupt:
        say(STOPPED)
        if as_json:
            _print("interrupted", STOPPED)
        end(INTERRUPTED)


def _code_of(error: Exception) -> int:
    if isinstance(error, IntegrityError):
        return LEFT
    if isinstance(error, (ConfigurationError, InvalidPathError)):
        return WRONG
    return UNAVAILABLE if isinstance(error, ResilientStoreError) else WRONG


def _print(code: str, text: str) -> None:
    typer.echo(json.dumps({"error": code, "text": text}))


def say(text: str) -> None:
    """Say something on stderr."""
    print(f"resilient-store: {text}", file=sys.stderr)  # noqa: T201 - it is a program
