"""The table for the reasons of Google Cloud Storage's JSON API, and for errors of signing in.

Source: https://cloud.google.com/storage/docs/json_api/v1/status-codes; google.auth.exceptions;
gcsfs.retry; requests.exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from resilient_store.backends.tables.http import (
    AWAY,
    BUSY,
    DENIED,
    LOST,
    NEVER,
    TAKEN,
    Row,
    by_status,
    known_as,
    read_row,
    row_for,
)
from resilient_store.model.outcome import Outcome


def _rows(row: Row, names: str) -> Iterable[tuple[str, Row]]:
    return ((name, row) for name in names.split())


# Where one reason stands for several statuses, and they differ (`required`, `backendError`), the
# status tells more. "notFound" is also said of a bucket, and of what is to be copied: the
# family, who knows what it has asked, turns it into "not found".
BY_REASON: Mapping[str, Row] = dict(
    [
        *_rows(TAKEN, "conditionNotMet"),
        *_rows(
            DENIED,
            "AuthenticationRequiredRequesterPays UserProjectAccessDenied UserProjectAccountProblem "
            "accessNotConfigured accountDisabled authError cloudKmsBadKey "
            "cloudKmsDecryptionKeyNotFound cloudKmsDisabledKey cloudKmsEncryptionKeyNotFound "
            "cloudKmsKeyLocationNotAllowed countryBlocked forbidden insufficientPermissions "
            "lockedDomainExpired userProjectInconsistent userProjectInvalid userProjectMissing",
        ),
        *_rows(
            BUSY,
            "conflict dailyLimitExceeded quotaExceeded rateLimitExceeded userRateLimitExceeded",
        ),
        *_rows(AWAY, "found mediaDownloadRedirect notFound temporaryRedirect"),
        *_rows(LOST, "gone uploadBrokenConnection"),
        *_rows(
            NEVER,
            "badRequest badRequestException cloudKmsCannotChangeKeyName corsRequestWithXOrigin "
            "customerEncryptionAlgorithmIsInvalid customerEncryptionKeyFormatIsInvalid "
            "customerEncryptionKeyIsIncorrect customerEncryptionKeySha256IsInvalid invalid "
            "invalidAltValue invalidArgument invalidParameter methodNotAllowed notDownload "
            "notModified notUpload objectNotSoftDeleted objectUnderActiveHold "
            "orgPolicyConstraintFailed parseError requestedRangeNotSatisfiable "
            "resourceIsEncryptedWithCustomerEncryptionKey "
            "resourceNotEncryptedWithCustomerEncryptionKey retentionPolicyNotMet "
            "softDeletePolicyNotSet sslRequired stopChannelCallerNotOwner turnedDown "
            "uploadTooLarge wrongUrlForUpload",
        ),
    ]
)

# All of them come from asking for a token: nothing was sent to the bucket yet.
BY_ERROR: Mapping[str, Row] = {
    "gcsfs.HttpError": DENIED,
    "gcsfs.NonRetryableError": DENIED,
    "google.RefreshError": DENIED,
    "google.TransportError": AWAY,
    "google.GoogleAuthError": DENIED,
    "requests.RequestException": AWAY,
}

# What a caller needs for each kind of request; said where it is denied.
RIGHTS: Mapping[str, str] = {
    "get": "storage.objects.get (and storage.objects.list, without which an absent key is denied "
    "too)",
    "list": "storage.objects.list",
    "create": "storage.objects.create (and storage.objects.delete, where an object lies there)",
    "rewrite": "storage.objects.get and storage.objects.create (and storage.objects.delete, where "
    "an object lies there)",
    "delete": "storage.objects.delete",
}

_UNAUTHORISED = 401
_REDIRECTIONS = range(300, 400)


def classify(error: BaseException, *, changing: bool) -> tuple[Outcome, str] | None:
    """Read an error that carries Google's answer, or one of signing in; None for others."""
    if "resilient_store.GcsError" in known_as(error):
        return _read_answer(error, changing=changing)
    row = row_for(error, BY_ERROR)
    if row is None:
        return None
    if row is DENIED and _is_out_of_reach(error):
        row = AWAY
    said = "no new token" if row is DENIED else "whoever gives tokens cannot be reached"
    return read_row(row, changing=changing), f"{type(error).__name__}; {said}"


def _read_answer(error: BaseException, *, changing: bool) -> tuple[Outcome, str]:
    status: int = getattr(error, "status", 0)
    reason: str = getattr(error, "reason", "")
    otherwise = AWAY if status in _REDIRECTIONS else LOST
    outcome = read_row(BY_REASON.get(reason) or by_status(status) or otherwise, changing=changing)
    detail = f"{reason} {status}" if reason else f"status {status}"
    needed = RIGHTS.get(getattr(error, "right", ""))
    if outcome is Outcome.DENIED and status != _UNAUTHORISED and needed:
        detail += f"; it needs the permission {needed}"
    return outcome, detail


def _is_out_of_reach(error: BaseException) -> bool:
    """Say whether a token was refused only because nobody could be asked, or had an outage."""
    return any(
        getattr(cause, "retryable", False) or row_for(cause, BY_ERROR) is AWAY
        for cause in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
