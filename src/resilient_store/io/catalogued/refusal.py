"""The error of a write that too few backends took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resilient_store.errors import InsufficientCopiesError, InvalidPathError, ObjectError
from resilient_store.model.outcome import Outcome, Reply


def refusal(
    path: str, replies: Mapping[str, Reply[Any]], note: str, *, everybody: bool
) -> ObjectError:
    """Make the error: what each backend said, what was left where, what would have taken it.

    Parameters
    ----------
    everybody
        Whether the policy asks all of several backends to hold it.
    """
    outcomes = {reply.outcome for reply in replies.values()}
    if Outcome.REFUSED in outcomes:
        return InvalidPathError(path, replies.values(), note)
    if Outcome.DENIED in outcomes:
        note += ". A backend denies the write: give its credentials the right to put and delete"
    elif everybody:
        note += ". All backends must hold a write here: min_copies may be lower"
    return InsufficientCopiesError(path, replies.values(), note)
