"""S3's table: every code, status and error of its client has one meaning, and none is a guess."""

from __future__ import annotations

import botocore.exceptions as botocore_errors
import pytest
from aiohttp import client_exceptions
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.backends.classify import classify
from resilient_store.backends.tables import http, s3
from resilient_store.model.outcome import Outcome

OK, NOT_FOUND, EXISTS = Outcome.OK, Outcome.NOT_FOUND, Outcome.EXISTS
DENIED, THROTTLED, UNAVAILABLE = Outcome.DENIED, Outcome.THROTTLED, Outcome.UNAVAILABLE
TIMED_OUT, FULL, CORRUPT, REFUSED = (
    Outcome.TIMED_OUT,
    Outcome.FULL,
    Outcome.CORRUPT,
    Outcome.REFUSED,
)


def answered(code, status, operation="GetObject"):
    return botocore_errors.ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation
    )


@pytest.mark.parametrize(
    ("code", "status", "reading", "writing"),
    [
        ("AccessDenied", 403, DENIED, DENIED),
        ("ExpiredToken", 400, DENIED, DENIED),
        ("NoSuchKey", 404, NOT_FOUND, NOT_FOUND),
        ("NoSuchBucket", 404, UNAVAILABLE, UNAVAILABLE),
        ("PreconditionFailed", 412, EXISTS, EXISTS),
        ("ConditionalRequestConflict", 409, EXISTS, EXISTS),
        ("SlowDown", 503, THROTTLED, THROTTLED),
        ("ServiceUnavailable", 503, THROTTLED, THROTTLED),
        ("TooManyRequests", 429, THROTTLED, THROTTLED),
        ("RequestTimeout", 400, UNAVAILABLE, UNAVAILABLE),
        ("InternalError", 500, UNAVAILABLE, TIMED_OUT),
        ("InternalError", 200, UNAVAILABLE, TIMED_OUT),
        ("BadDigest", 400, CORRUPT, CORRUPT),
        ("KeyTooLongError", 400, REFUSED, REFUSED),
        ("EntityTooLarge", 400, REFUSED, REFUSED),
        ("InvalidObjectState", 403, REFUSED, REFUSED),
        ("QuotaExceeded", 403, FULL, FULL),
        # no code, or one that nobody knows: the status speaks
        ("401", 401, DENIED, DENIED),
        ("403", 403, DENIED, DENIED),
        ("404", 404, UNAVAILABLE, UNAVAILABLE),
        ("", 408, UNAVAILABLE, TIMED_OUT),
        ("", 409, EXISTS, EXISTS),
        ("", 412, EXISTS, EXISTS),
        ("", 416, REFUSED, REFUSED),
        ("", 429, THROTTLED, THROTTLED),
        ("", 499, UNAVAILABLE, TIMED_OUT),
        ("NeverHeardOf", 500, UNAVAILABLE, TIMED_OUT),
        ("<html>", 502, UNAVAILABLE, TIMED_OUT),
        ("", 503, THROTTLED, TIMED_OUT),
        ("", 504, UNAVAILABLE, TIMED_OUT),
        ("", 507, FULL, FULL),
        ("NeverHeardOf", 599, UNAVAILABLE, TIMED_OUT),
        ("NeverHeardOf", 418, UNAVAILABLE, TIMED_OUT),
    ],
)
def test_what_s3_answers_means_one_thing(code, status, reading, writing):
    assert classify(answered(code, status), changing=False)[0] is reading
    assert classify(answered(code, status), changing=True)[0] is writing


ENDPOINT = {"endpoint_url": "https://sig=secret@host"}


RAISED = [
    (botocore_errors.ConnectTimeoutError(**ENDPOINT), UNAVAILABLE, UNAVAILABLE),
    (botocore_errors.ReadTimeoutError(**ENDPOINT), TIMED_OUT, TIMED_OUT),
    (botocore_errors.ConnectionClosedError(**ENDPOINT), UNAVAILABLE, TIMED_OUT),
    (
        botocore_errors.EndpointConnectionError(
            **ENDPOINT, error=client_exceptions.ClientConnectorError(None, OSError(111, "x"))
        ),
        UNAVAILABLE,
        UNAVAILABLE,
    ),
    (
        botocore_errors.EndpointConnectionError(
            endpoint_url="reset", error=client_exceptions.ClientOSError(104, "reset")
        ),
        UNAVAILABLE,
        TIMED_OUT,
    ),
    (botocore_errors.EndpointConnectionError(endpoint_url="?"), UNAVAILABLE, TIMED_OUT),
    (botocore_errors.NoCredentialsError(), DENIED, DENIED),
    (botocore_errors.ParamValidationError(report="x"), REFUSED, REFUSED),
    (botocore_errors.FlexibleChecksumError(error_msg="x"), CORRUPT, CORRUPT),
    (botocore_errors.HTTPClientError(error="x"), UNAVAILABLE, TIMED_OUT),
    (botocore_errors.ResponseStreamingError(error="x"), UNAVAILABLE, TIMED_OUT),
    (ResponseParserError("<html>"), UNAVAILABLE, TIMED_OUT),
    (client_exceptions.ClientPayloadError("x"), UNAVAILABLE, TIMED_OUT),
    (client_exceptions.SocketTimeoutError("x"), TIMED_OUT, TIMED_OUT),
    (client_exceptions.ConnectionTimeoutError("x"), UNAVAILABLE, UNAVAILABLE),
    (client_exceptions.ServerDisconnectedError("x"), UNAVAILABLE, TIMED_OUT),
]


@pytest.mark.parametrize(
    ("error", "reading", "writing"),
    RAISED,
    ids=[f"{number}-{type(error).__name__}" for number, (error, _, _) in enumerate(RAISED)],
)
def test_what_its_client_raises_means_one_thing(error, reading, writing):
    assert classify(error, changing=False)[0] is reading
    assert classify(error, changing=True)[0] is writing


@given(
    code=st.text(max_size=80) | st.sampled_from(sorted(s3.BY_CODE)),
    status=st.integers(100, 599),
    changing=st.booleans(),
)
def test_p5_absence_is_never_a_guess_and_no_answer_is_shown(code, status, changing):
    outcome, detail = classify(answered(code, status), changing=changing)
    assert outcome is not OK
    assert (outcome is NOT_FOUND) == (code in ("NoSuchKey", "NoSuchVersion"))
    assert len(detail) < 160
    assert code in detail or not http.clean_code(code) or code == str(status)


@given(code=st.sampled_from(sorted(s3.BY_CODE)), status=st.integers(400, 599))
def test_a_change_that_may_have_happened_is_never_called_undone(code, status):
    """What is unavailable to a change certainly was not carried out."""
    reading = classify(answered(code, status), changing=False)[0]
    writing = classify(answered(code, status), changing=True)[0]
    assert writing in (reading, TIMED_OUT)


@pytest.mark.parametrize("operation", sorted(s3.RIGHTS))
def test_what_is_denied_names_the_missing_right(operation):
    outcome, detail = classify(answered("AccessDenied", 403, operation), changing=False)
    assert outcome is DENIED
    assert "it needs the right s3:" in detail
