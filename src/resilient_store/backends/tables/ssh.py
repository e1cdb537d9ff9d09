"""The table for paramiko's errors, of SFTP, that are no `OSError`.

Source: paramiko.ssh_exception.
"""

from __future__ import annotations

from collections.abc import Mapping

from resilient_store.backends.tables.http import DENIED, LOST, Row, read_row, row_for
from resilient_store.model.outcome import Outcome

BY_ERROR: Mapping[str, Row] = {
    "paramiko.AuthenticationException": DENIED,
    "paramiko.SSHException": LOST,  # such as: the connection ended before an answer
}


def classify(error: BaseException, *, changing: bool) -> tuple[Outcome, str] | None:
    """Read an error of paramiko; None where it is none."""
    row = row_for(error, BY_ERROR)
    return None if row is None else (read_row(row, changing=changing), type(error).__name__)
