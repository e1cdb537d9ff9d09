"""The table for Azure's error codes, and for the errors of azure-core and azure-identity.

Source: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and
.../common-rest-api-error-codes; those of a hierarchical account from the StorageErrorCode of
azure-storage-blob; azure.core.exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from resilient_store.backends.tables.http import (
    AWAY,
    BROKEN,
    BUSY,
    BY_AIOHTTP_ERROR,
    DENIED,
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
        *_rows(NOT_THERE, "BlobNotFound PathNotFound"),
        *_rows(
            TAKEN,
            "AppendPositionConditionNotMet BlobAlreadyExists BlobOverwritten ConditionNotMet "
            "MaxBlobSizeConditionNotMet PathAlreadyExists ResourceAlreadyExists "
            "SequenceNumberConditionNotMet SourceConditionNotMet TargetConditionNotMet",
        ),
        *_rows(
            DENIED,
            "AccountIsDisabled AuthenticationFailed AuthorizationFailure "
            "AuthorizationPermissionMismatch AuthorizationProtocolMismatch "
            "AuthorizationResourceTypeMismatch AuthorizationServiceMismatch "
            "AuthorizationSourceIPMismatch InsufficientAccountPermissions "
            "InvalidAuthenticationInfo KeyVaultAccessTokenCannotBeAcquired "
            "KeyVaultEncryptionKeyNotFound KeyVaultVaultNotFound NoAuthenticationInformation "
            "PublicAccessNotPermitted UnauthorizedBlobOverwrite "
            "ResourceNotFound",  # so it answers whoever brings no proof, of what is there too
        ),
        *_rows(
            BUSY,
            "BlobBeingRehydrated PendingCopyOperation ServerBusy "
            "SnapshotOperationRateExceeded TooManyRequests",
        ),
        *_rows(
            AWAY,
            "AccountBeingCreated CannotVerifyCopySource ContainerBeingDeleted ContainerDisabled "
            "ContainerNotFound DestinationPathIsBeingDeleted FilesystemBeingDeleted "
            "FilesystemNotFound InvalidBlockList ParentNotFound PreviousSnapshotNotFound "
            "RenameDestinationParentPathNotFound SourcePathIsBeingDeleted SourcePathNotFound "
            "SystemInUse",
        ),
        *_rows(LOST, "InternalError OperationTimedOut"),
        *_rows(BROKEN, "Crc64Mismatch Md5Mismatch"),
        *_rows(
            NEVER,
            "AccountAlreadyExists BlobAccessTierNotSupportedForAccountType BlobArchived "
            "BlobImmutableDueToLegalHold BlobImmutableDueToPolicy BlobNotArchived "
            "BlobOperationNotSupported BlobTierInadequateForContentLength "
            "BlobUsesCustomerSpecifiedEncryption BlockCountExceedsLimit BlockListTooLong "
            "CannotChangeToLowerTier ConditionHeadersNotSupported ContainerAlreadyExists "
            "ContainerHasLegalHold ContainerImmutabilityPolicyLocked "
            "ContentLengthLargerThanTierLimit ContentLengthMustBeZero "
            "CopyAcrossAccountsNotSupported CopyIdMismatch DirectoryIsNotEmpty DirectoryNotEmpty "
            "EmptyMetadataKey FeatureVersionMismatch FilesystemAlreadyExists "
            "IncrementalCopyBlobMismatch IncrementalCopyOfEarlierSnapshotNotAllowed "
            "IncrementalCopyOfEarlierVersionSnapshotNotAllowed "
            "IncrementalCopySourceMustBeSnapshot InfiniteLeaseDurationRequired "
            "InvalidBlobOrBlock InvalidBlobTier InvalidBlobType InvalidBlockId "
            "InvalidDestinationPath InvalidFlushPosition InvalidHeaderValue InvalidHttpVerb "
            "InvalidInput InvalidMarker InvalidMd5 InvalidMetadata InvalidOperation "
            "InvalidPageRange InvalidPropertyName InvalidQueryParameterValue InvalidRange "
            "InvalidRenameSourcePath InvalidResourceName InvalidSourceBlobType "
            "InvalidSourceBlobUrl InvalidSourceOrDestinationResourceType InvalidSourceUri "
            "InvalidUri InvalidVersionForPageBlobOperation InvalidXmlDocument "
            "InvalidXmlNodeValue LeaseAlreadyBroken LeaseAlreadyPresent "
            "LeaseIdMismatchWithBlobOperation LeaseIdMismatchWithContainerOperation "
            "LeaseIdMismatchWithLeaseOperation LeaseIdMissing LeaseIsAlreadyBroken "
            "LeaseIsBreakingAndCannotBeAcquired LeaseIsBreakingAndCannotBeChanged "
            "LeaseIsBrokenAndCannotBeRenewed LeaseLost LeaseNameMismatch "
            "LeaseNotPresentWithBlobOperation LeaseNotPresentWithContainerOperation "
            "LeaseNotPresentWithLeaseOperation MetadataTooLarge MissingContentLengthHeader "
            "MissingRequiredHeader MissingRequiredQueryParameter MissingRequiredXmlNode "
            "MultipleConditionHeadersNotSupported NoPendingCopyOperation "
            "OperationNotAllowedOnIncrementalCopyBlob OutOfRangeInput "
            "OutOfRangeQueryParameterValue PathConflict PreviousSnapshotCannotBeNewer "
            "PreviousSnapshotOperationNotSupported RequestBodyTooLarge RequestUrlFailedToParse "
            "ResourceTypeMismatch SequenceNumberIncrementTooLarge SnapshotCountExceeded "
            "SnapshotsPresent UnsupportedHeader UnsupportedHttpVerb UnsupportedQueryParameter "
            "UnsupportedRestVersion UnsupportedXmlNode",
        ),
    ]
)

BY_ERROR: Mapping[str, Row] = {
    "azure.ClientAuthenticationError": DENIED,  # of a credential too, before anything was sent
    "azure.ServiceRequestTimeoutError": AWAY,
    "azure.ServiceRequestError": LOST,
    "azure.ServiceResponseTimeoutError": LATE,
    "azure.ServiceResponseError": LOST,
    "azure.TooManyRedirectsError": AWAY,
    "azure.SerializationError": NEVER,
    "azure.AzureError": LOST,
}

_CODE_HEADER = "x-ms-error-code"
_READER, _WRITER = "Storage Blob Data Reader", "Storage Blob Data Contributor"


def classify(error: BaseException, *, changing: bool) -> tuple[Outcome, str] | None:
    """Read an error of Azure's libraries: its code, its status, or its class; None for others."""
    row = row_for(error, BY_ERROR)
    if row is None:
        return None
    answer = getattr(error, "response", None)
    if hasattr(answer, "status_code"):
        return _read_answer(answer, row, changing=changing)
    inner = getattr(error, "inner_exception", None)
    if isinstance(inner, BaseException):  # "could not connect" is also said of a broken answer
        row = row_for(inner, BY_AIOHTTP_ERROR) or row
    return read_row(row, changing=changing), type(error).__name__


def _read_answer(answer: Any, otherwise: Row, *, changing: bool) -> tuple[Outcome, str]:
    # In the head only: anybody may write a body.
    code = clean_code(answer.headers.get(_CODE_HEADER))
    known = BY_CODE.get(code)
    if known is None and otherwise is not DENIED:
        known = by_status(answer.status_code)
    outcome = read_row(known or otherwise, changing=changing)
    detail = f"{code} {answer.status_code}" if code else f"status {answer.status_code}"
    if outcome is Outcome.DENIED and (right := _right(getattr(answer, "request", None))):
        detail += f"; it needs the permission {right}"
    return outcome, detail


def _right(request: Any) -> str:
    """Name the permission of a signature, and the role, that a request takes."""
    method, url = getattr(request, "method", ""), str(getattr(request, "url", ""))
    if method in ("GET", "HEAD"):
        is_listing = "comp=list" in url.partition("?")[2].split("&")
        return f"{'List' if is_listing else 'Read'} (role {_READER})"
    if method == "DELETE":
        return f"Delete (role {_WRITER})"
    return f"Write, or Create for what is new (role {_WRITER})" if method == "PUT" else ""
