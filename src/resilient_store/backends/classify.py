"""Exception to outcome: the one place that looks at a backend's errors.

Asks the tables in turn and ends in a pessimistic default: what nobody recognises
is *unavailable* for a read and *timed out* (it may have happened) for a change. "Not found"
is never a default.
"""

from __future__ import annotations

import logging
import threading

from resilient_store.backends import contract
from resilient_store.backends.tables import azure, builtin, gcs, http, s3, ssh
from resilient_store.errors import ConfigurationError, StoreIdentityError
from resilient_store.model.outcome import Outcome

logger = logging.getLogger("resilient_store")

_OURS: dict[type[Exception], Outcome] = {
    contract.RootMissingError: Outcome.UNAVAILABLE,
    contract.CorruptBodyError: Outcome.CORRUPT,
    contract.ChangedError: Outcome.EXISTS,
    contract.RefusedError: Outcome.REFUSED,
    contract.UnknownOutcomeError: Outcome.TIMED_OUT,
}
_DETAILS: dict[type[Exception], str] = {
    contract.RootMissingError: "the root is not there",
    contract.CorruptBodyError: "not the bytes that the answer speaks of",
    contract.ChangedError: "changed since it was looked at",
    contract.UnknownOutcomeError: "it may have happened",
}
_SPEAKING = (contract.RefusedError, contract.RootMissingError)
_TABLES = (
    azure.classify,
    gcs.classify,
    s3.classify,
    http.classify_aiohttp,
    ssh.classify,
    builtin.classify,
)
_reported: set[str] = set()
_lock = threading.Lock()


def classify(error: BaseException, *, changing: bool) -> tuple[Outcome, str]:
    """Say what an error means, and a detail that cannot hold a secret.

    Parameters
    ----------
    error
        What a family raised.
    changing
        Whether the call was a change, so that it may have happened all the same.

    Returns
    -------
    tuple
        The outcome, and the error's type, code and status: never its text.
    """
    for ours, outcome in _OURS.items():
        if isinstance(error, ours):
            said = str(error) if isinstance(error, _SPEAKING) else ""
            return outcome, said or _DETAILS.get(ours, "")
    if isinstance(error, contract.StrangerError):
        return (Outcome.TIMED_OUT if changing else Outcome.UNAVAILABLE), "not the platform's answer"
    for table in _TABLES:
        known = table(error, changing=changing)
        if known is not None:
            return known
    _report_once(error)
    return Outcome.TIMED_OUT if changing else Outcome.UNAVAILABLE, builtin.describe(error)


def _report_once(error: BaseException) -> None:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    with _lock:
        if kind in _reported:
            return
        _reported.add(kind)
    logger.warning("no table knows the error %s; the backend counts as unavailable", kind)


def for_who_configured(name: str, error: Exception) -> ConfigurationError:
    """Make the error for a wrong option or a wrong identity: it is for who configured it."""
    if isinstance(error, StoreIdentityError):
        return error
    return ConfigurationError(f"backend {name}: {error}")
