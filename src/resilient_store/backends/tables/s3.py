"""The table for S3's error codes, and for botocore's own errors.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, "List of error
codes"; botocore.exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from resilient_store.backends.tables.http import (
    AWAY,
    BROKEN,
    BUSY,
    BY_AIOHTTP_ERROR,
    DENIED,
    FULL,
    LATE,
    LOST,
    NEVER,
    NOT_THERE,
    TAKEN,
    Row,
    by_status,
    clean_code,
    read_row,
    row_for,
)
from resilient_store.model.outcome import Outcome


def _rows(row: Row, names: str) -> Iterable[tuple[str, Row]]:
    return ((name, row) for name in names.split())


BY_CODE: Mapping[str, Row] = dict(
    [
        *_rows(NOT_THERE, "NoSuchKey NoSuchVersion"),
        *_rows(TAKEN, "PreconditionFailed ConditionalRequestConflict"),
        *_rows(
            DENIED,
            "AccessDenied AccountProblem AllAccessDisabled AuthorizationHeaderMalformed "
            "CrossLocationLoggingProhibited ExpiredToken InvalidAccessKeyId InvalidAccessPoint "
            "InvalidPayer InvalidSecurity InvalidToken KMS.DisabledException "
            "KMS.InvalidKeyUsageException KMS.KMSInvalidStateException KMS.NotFoundException "
            "MissingAuthenticationToken MissingSecurityHeader NotSignedUp "
            "RequestTimeTooSkewed SignatureDoesNotMatch TokenRefreshRequired "
            "UnauthorizedAccess UnauthorizedAccessError InvalidCredentials",
        ),
        *_rows(
            BUSY,
            "SlowDown ServiceUnavailable Throttling ThrottlingException RequestThrottled "
            "RequestLimitExceeded TooManyRequests TooManyRequestsException BandwidthLimitExceeded "
            "OperationAborted RestoreAlreadyInProgress ServerBusy Busy",
        ),
        *_rows(
            AWAY,
            "NoSuchBucket NoSuchAccessPoint NotDeviceOwnerError PermanentRedirect "
            "PermanentRedirectControlError Redirect RequestTimeout TemporaryRedirect "
            "IllegalLocationConstraintException IncompleteBody IncorrectEndpoint InvalidPart "
            "InvalidPartOrder",
        ),
        *_rows(LOST, "InternalError InternalServerError InternalFailure NoSuchUpload"),
        *_rows(BROKEN, "BadDigest XAmzContentSHA256Mismatch XAmzContentChecksumMismatch"),
        *_rows(FULL, "QuotaExceeded XMinioStorageFull InsufficientStorage"),
        *_rows(
            NEVER,
            "AmbiguousGrantByEmailAddress BadRequest BucketAlreadyExists BucketAlreadyOwnedByYou "
            "BucketNotEmpty CredentialsNotSupported EntityTooLarge EntityTooSmall "
            "InvalidArgument InvalidBucketName InvalidBucketState "
            "InvalidDigest InvalidEncryptionAlgorithmError InvalidLocationConstraint "
            "InvalidObjectState InvalidRange InvalidRequest InvalidStorageClass "
            "InvalidTag InvalidURI KeyTooLongError MalformedACLError MalformedPOSTRequest "
            "MalformedXML MaxMessageLengthExceeded MetadataTooLarge MethodNotAllowed "
            "MissingAttachment MissingContentLength MissingRequestBodyError "
            "MissingSecurityElement NotImplemented NotModified "
            "RequestHeaderSectionTooLarge RequestIsNotMultiPartContent TooManyBuckets "
            "TooManyParts UnexpectedContent UnresolvableGrantByEmailAddress "
            "UserKeyMustBeSpecified XMinioInvalidObjectName",
        ),
    ]
)

BY_ERROR: Mapping[str, Row] = {
    "botocore.ConnectTimeoutError": AWAY,
    "botocore.ProxyConnectionError": AWAY,
    "botocore.SSLError": AWAY,
    "botocore.ReadTimeoutError": LATE,
    "botocore.ConnectionClosedError": LOST,
    "botocore.EndpointConnectionError": LOST,
    "botocore.ConnectionError": LOST,
    "botocore.HTTPClientError": LOST,
    "botocore.IncompleteReadError": LOST,
    "botocore.ResponseStreamingError": LOST,
    "botocore.ResponseParserError": LOST,
    "botocore.FlexibleChecksumError": BROKEN,
    "botocore.NoCredentialsError": DENIED,
    "botocore.PartialCredentialsError": DENIED,
    "botocore.CredentialRetrievalError": DENIED,
    "botocore.UnauthorizedSSOTokenError": DENIED,
    "botocore.SSOError": DENIED,
    "botocore.TokenRetrievalError": DENIED,
    "botocore.NoAuthTokenError": DENIED,
    "botocore.ProfileNotFound": DENIED,
    "botocore.ParamValidationError": NEVER,
    "botocore.InvalidRegionError": NEVER,
    "botocore.NoRegionError": NEVER,
    "botocore.UnsupportedS3Error": NEVER,
}

# What a caller needs for each operation; said where it is denied.
RIGHTS: Mapping[str, str] = {
    "GetObject": "s3:GetObject (and s3:ListBucket, without which an absent key is denied too)",
    "HeadObject": "s3:GetObject (and s3:ListBucket, without which an absent key is denied too)",
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:GetObject and s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "CopyObject": "s3:GetObject and s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
}


def classify(error: BaseException, *, changing: bool) -> tuple[Outcome, str] | None:
    """Read an error of botocore: its code, its status, or its class; None where it is none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "ResponseMetadata" in response:
        return _read_answer(error, response, changing=changing)
    row = row_for(error, BY_ERROR)
    if row is None:
        return None
    inner = getattr(error, "kwargs", {}).get("error")
    if isinstance(inner, BaseException):  # "could not connect" is also said of a broken answer
        row = row_for(inner, BY_AIOHTTP_ERROR) or row
    return read_row(row, changing=changing), type(error).__name__


def _read_answer(
    error: BaseException, response: Mapping[str, Mapping[str, object]], *, changing: bool
) -> tuple[Outcome, str]:
    code = clean_code(response.get("Error", {}).get("Code"))
    status = response["ResponseMetadata"].get("HTTPStatusCode")
    number = status if isinstance(status, int) else 0
    row = BY_CODE.get(code) or by_status(number) or LOST
    outcome = read_row(row, changing=changing)
    detail = f"{code} {number}" if code and code != str(number) else f"status {number}"
    needed = RIGHTS.get(getattr(error, "operation_name", ""))
    if outcome is Outcome.DENIED and needed:
        detail += f"; it needs the right {needed}"
    return outcome, detail
