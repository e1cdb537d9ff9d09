"""How a command ends: its exit code, and what is said on stderr where it could not do its work."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import NoReturn

import typer

from resilient_store.errors import ConfigurationError, ObjectError, ResilientStoreError

DONE = 0
LEFT = 1  # something is not as it should be: it is in the output
WRONG = 2  # the command or the configuration; nothing was done
UNAVAILABLE = 3  # a platform or the catalog does not answer; call again
INTERRUPTED = 130  # by Ctrl-C; call again to go on


def end(code: int) -> NoReturn:
    """End the command."""
    raise typer.Exit(code)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Say in a sentence what an error means, and end with its code."""
    try:
        yield
    except ObjectError as error:
        say(str(error))
        end(UNAVAILABLE)
    except (ConfigurationError, OSError) as error:
        say(str(error))
        end(WRONG)
    except ResilientStoreError as error:
        say(str(error))
        end(UNAVAILABLE)
    except KeyboardInterrupt:
        say("stopped; what was done is kept, and the same command goes on from there")
        end(INTERRUPTED)


def say(text: str) -> None:
    """Say something on stderr."""
    print(f"resilient-store: {text}", file=sys.stderr)  # noqa: T201 - it is a program
