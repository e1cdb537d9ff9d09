"""What the errors of Google Cloud Storage, and those of signing in, mean."""

from __future__ import annotations

import google.auth.exceptions as auth
import pytest
import requests
from gcsfs.retry import HttpError, NonRetryableError
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.backends.classify import classify
from resilient_store.backends.families.gcs_answers import Answer, GcsError, error_in
from resilient_store.backends.tables import gcs
from resilient_store.model.outcome import Outcome

UNAVAILABLE, TIMED_OUT = Outcome.UNAVAILABLE, Outcome.TIMED_OUT
DENIED, THROTTLED, REFUSED = Outcome.DENIED, Outcome.THROTTLED, Outcome.REFUSED
AWAY, LOST = (UNAVAILABLE, UNAVAILABLE), (UNAVAILABLE, TIMED_OUT)

# Every status of the documented list, its reasons, and what they mean for a read and a change.
ROWS = (
    (302, AWAY, "found"),
    (303, AWAY, "mediaDownloadRedirect"),
    (304, REFUSED, "notModified"),
    (307, AWAY, "temporaryRedirect"),
    (400, REFUSED, "badRequest badRequestException cloudKmsCannotChangeKeyName parseError"),
    (400, REFUSED, "corsRequestWithXOrigin customerEncryptionAlgorithmIsInvalid required"),
    (400, REFUSED, "customerEncryptionKeyFormatIsInvalid customerEncryptionKeyIsIncorrect"),
    (400, REFUSED, "customerEncryptionKeySha256IsInvalid invalid invalidAltValue turnedDown"),
    (400, REFUSED, "invalidArgument invalidParameter notDownload notUpload wrongUrlForUpload"),
    (400, REFUSED, "resourceIsEncryptedWithCustomerEncryptionKey"),
    (400, REFUSED, "resourceNotEncryptedWithCustomerEncryptionKey"),
    (400, DENIED, "cloudKmsBadKey cloudKmsDecryptionKeyNotFound cloudKmsDisabledKey"),
    (400, DENIED, "cloudKmsEncryptionKeyNotFound cloudKmsKeyLocationNotAllowed"),
    (400, DENIED, "userProjectInconsistent userProjectInvalid userProjectMissing"),
    (401, DENIED, "AuthenticationRequiredRequesterPays authError lockedDomainExpired required"),
    (403, DENIED, "UserProjectAccessDenied UserProjectAccountProblem accessNotConfigured"),
    (403, DENIED, "accountDisabled countryBlocked forbidden insufficientPermissions"),
    (403, REFUSED, "objectUnderActiveHold retentionPolicyNotMet"),
    (403, REFUSED, "sslRequired stopChannelCallerNotOwner"),
    (403, THROTTLED, "dailyLimitExceeded quotaExceeded rateLimitExceeded userRateLimitExceeded"),
    (404, AWAY, "notFound"),
    (405, REFUSED, "methodNotAllowed"),
    (408, LOST, "uploadBrokenConnection"),
    (409, THROTTLED, "conflict"),
    (410, LOST, "gone"),
    (411, REFUSED, ""),
    (412, Outcome.EXISTS, "conditionNotMet"),
    (412, REFUSED, "orgPolicyConstraintFailed softDeletePolicyNotSet objectNotSoftDeleted"),
    (413, REFUSED, "uploadTooLarge"),
    (416, REFUSED, "requestedRangeNotSatisfiable"),
    (429, THROTTLED, "rateLimitExceeded"),
    (499, LOST, ""),
    (500, LOST, "backendError internalError"),
    (502, LOST, ""),
    (503, (THROTTLED, TIMED_OUT), "backendError"),
    (504, LOST, "gatewayTimeout"),
)
DOCUMENTED = {
    (status, reason): meaning for status, meaning, row in ROWS for reason in row.split() or [""]
}


@pytest.mark.parametrize(("said", "meaning"), DOCUMENTED.items(), ids=str)
def test_every_documented_reason_has_its_meaning(said, meaning):
    status, reason = said
    reading, writing = meaning if isinstance(meaning, tuple) else (meaning, meaning)
    error = GcsError(status, reason, "get")
    assert classify(error, changing=False)[0] is reading
    assert classify(error, changing=True)[0] is writing


def test_the_table_holds_nothing_else():
    documented = {reason for _, reason in DOCUMENTED}
    assert set(gcs.BY_REASON) <= documented
    # where one reason stands for several statuses, these tell more
    by_status = {"", "required", "backendError", "internalError", "gatewayTimeout"}
    assert documented - set(gcs.BY_REASON) == by_status


@given(
    status=st.integers(100, 999),
    reason=st.sampled_from(["", "nobodyKnowsIt", *gcs.BY_REASON]),
    right=st.sampled_from(["", *gcs.RIGHTS]),
    changing=st.booleans(),
)
def test_no_answer_is_ever_taken_for_absence_or_success(status, reason, right, changing):
    outcome, detail = classify(GcsError(status, reason, right), changing=changing)
    assert outcome not in (Outcome.NOT_FOUND, Outcome.OK)
    assert str(status) in detail
    assert reason in detail


@given(status=st.integers(500, 599), reason=st.sampled_from(["", "backendError", "new"]))
def test_a_change_that_a_server_could_not_answer_may_have_happened(status, reason):
    outcome, _ = classify(GcsError(status, reason, "create"), changing=True)
    assert outcome in (TIMED_OUT, Outcome.REFUSED, Outcome.FULL)
    assert outcome is TIMED_OUT or status in (501, 507)


@pytest.mark.parametrize(
    ("right", "permission"),
    [
        ("get", "storage.objects.get "),
        ("list", "storage.objects.list"),
        ("create", "storage.objects.create "),
        ("rewrite", "storage.objects.get and storage.objects.create "),
        ("delete", "storage.objects.delete"),
    ],
)
def test_a_denial_names_the_permission(right, permission):
    said = classify(GcsError(403, "forbidden", right), changing=False)[1]
    assert said.startswith(f"forbidden 403; it needs the permission {permission}")
    for status in (401, 429, 500):  # where no permission would help
        assert "permission" not in classify(GcsError(status, "", right), changing=False)[1]


# From an answer to an error


def answer(status, body=b""):
    return Answer(status, {}, body)


def worded(code, reason="notFound", message="m"):
    said = {"domain": "global", "reason": reason, "message": message}
    errors = "[" + ", ".join(f'"{n}": "{v}"' for n, v in said.items()).join("{}") + "]"
    return f'{{"error": {{"code": {code}, "message": "{message}", "errors": {errors}}}}}'.encode()


def test_an_absence_is_googles_word_or_nobodys():
    assert error_in(answer(404, worded(404)), "get").reason == "notFound"
    for body in (
        b"",
        b"<html>404</html>",
        b'{"error": {"code": 404, "message": "route not found"}}',
        b'{"error": "notFound"}',
        b'[{"error": {"code": 404, "errors": []}}]',
        worded(405),
    ):
        error = error_in(answer(404, body), "get")
        assert not isinstance(error, GcsError), body
        assert classify(error, changing=False)[0] is UNAVAILABLE


def test_a_digest_that_does_not_fit_is_corruption_and_no_refusal():
    message = "Provided MD5 hash 1 doesn't match calculated MD5 hash 2."
    error = error_in(answer(400, worded(400, "invalid", message)), "create")
    assert classify(error, changing=True)[0] is Outcome.CORRUPT
    error = error_in(answer(400, worded(400, "invalid", "Invalid argument.")), "create")
    assert classify(error, changing=True)[0] is REFUSED


@given(body=st.binary(max_size=200), status=st.integers(300, 599))
def test_no_word_of_an_answer_is_shown_but_its_reason(body, status):
    error = error_in(answer(status, body), "get")
    assert not getattr(error, "reason", "")
    assert not body or body.decode("latin-1") not in repr(error) or len(body) < 6


def test_a_reason_that_could_hold_anything_is_not_shown():
    for reason in ("a b", "x" * 65, "<html>", "Not Found", "https://h/?sig=1"):
        error = error_in(answer(403, worded(403, reason)), "get")
        assert (error.reason, reason in classify(error, changing=False)[1]) == ("", False)


# Signing in


def caused(error, *causes):
    """Chain errors as `raise ... from ...` does."""
    last = error
    for cause in causes:
        last.__cause__ = cause
        last = cause
    return error


@pytest.mark.parametrize("changing", [False, True])
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (HttpError({"code": 401, "message": "Invalid Credentials"}), DENIED),
        (NonRetryableError("Got error while refreshing credentials."), DENIED),
        (auth.RefreshError("invalid_grant"), DENIED),
        (auth.DefaultCredentialsError("default"), DENIED),
        (auth.MutualTLSChannelError("tls"), DENIED),
        (auth.GoogleAuthError("none"), DENIED),
        (auth.TransportError("unreachable"), UNAVAILABLE),
        (requests.ConnectionError("refused"), UNAVAILABLE),
        (requests.Timeout("late"), UNAVAILABLE),
        (requests.HTTPError("503"), UNAVAILABLE),
        (caused(HttpError({"code": 1}), auth.RefreshError("no")), DENIED),
        (caused(HttpError({"code": 2}), auth.RefreshError("no", retryable=True)), UNAVAILABLE),
        (
            # how a virtual machine's own server of tokens that is gone comes through
            caused(HttpError({"code": 3}), auth.RefreshError("no"), auth.TransportError("gone")),
            UNAVAILABLE,
        ),
    ],
    ids=str,
)
def test_what_asks_for_a_token_has_sent_nothing_yet(error, outcome, changing):
    found, detail = classify(error, changing=changing)
    assert found is outcome
    assert detail.startswith(type(error).__name__)
    assert str(error) not in detail


def test_others_errors_are_left_to_others():
    for error in (ValueError("x"), FileNotFoundError(2, "x"), RuntimeError("x")):
        assert gcs.classify(error, changing=False) is None
