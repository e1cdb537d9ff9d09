"""The command line `resilient-store`, for the person on call."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command line; the extra ``cli`` must be installed."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that a terminal cannot show is no error
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        from resilient_store.cli.commands import app
    except KeyboardInterrupt:
        sys.stderr.write("resilient-store: stopped before it began\n")
        sys.exit(130)
    except ImportError as error:
        if error.name not in ("typer", "rich", "click"):
            raise
        print(  # noqa: T201 - there is nobody else to tell
            "resilient-store needs more: pip install 'resilient_store[cli]'", file=sys.stderr
        )
        sys.exit(2)
    app()
