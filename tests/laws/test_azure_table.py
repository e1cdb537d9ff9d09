"""What Azure's refusals mean, as the client of azure-storage-blob raises them."""

from __future__ import annotations

import io
import itertools

import aiohttp
import pytest
import requests
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import HttpTransport
from azure.core.rest._requests_basic import RestRequestsTransportResponse
from azure.identity import CredentialUnavailableError
from azure.storage.blob import BlobServiceClient, StorageErrorCode
from hypothesis import given
from hypothesis import strategies as st

from resilient_store.backends import classify as one_place
from resilient_store.backends.tables import azure
from resilient_store.backends.tables.http import by_status
from resilient_store.model.outcome import Outcome
from tests.servers import canaries

DENIED, TAKEN, NOT_FOUND = Outcome.DENIED, Outcome.EXISTS, Outcome.NOT_FOUND
AWAY, LATE, BUSY = Outcome.UNAVAILABLE, Outcome.TIMED_OUT, Outcome.THROTTLED
NEVER, BROKEN, FULL = Outcome.REFUSED, Outcome.CORRUPT, Outcome.FULL

VERBS = {
    "info": lambda container: container.get_blob_client("key").get_blob_properties(),
    "get": lambda container: container.get_blob_client("key").download_blob(),
    "list": lambda container: list(container.list_blobs()),
    "put": lambda container: container.get_blob_client("key").upload_blob(b"1", overwrite=True),
    "delete": lambda container: container.get_blob_client("key").delete_blob(),
}


class Refusing(HttpTransport):
    """Answers every request in one way."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.answer = status, headers, body

    def send(self, request, **_):
        status, headers, body = self.answer
        answer = requests.Response()
        answer.status_code, answer.raw = status, io.BytesIO(body)
        answer.headers.update(headers)
        return RestRequestsTransportResponse(internal_response=answer, request=request)

    def open(self):
        pass

    def close(self):
        pass

    def __exit__(self, *_):
        pass


def refusal(
    status: int, code: str | None, verb: str = "info", *, in_header: bool = True
) -> HttpResponseError:
    """Return what the client raises when a call is refused so."""
    headers = {"Content-Type": "application/xml", "x-ms-request-id": "1"}
    if code and in_header:
        headers["x-ms-error-code"] = code
    body = f"<Error><Code>{code or ''}</Code><Message>said so</Message></Error>".encode()
    service = BlobServiceClient(
        f"https://shop.blob.core.windows.net/?sig={canaries.AZURE_SAS_SIGNATURE}",
        transport=Refusing(status, headers, b"" if verb == "info" else body),
        retry_total=0,
        permit_redirects=False,
    )
    with pytest.raises(HttpResponseError) as caught:
        VERBS[verb](service.get_container_client("photos"))
    return caught.value


def both(error: BaseException) -> tuple[Outcome, Outcome]:
    """Return what an error means to a read, and to a change."""
    return tuple(one_place.classify(error, changing=changing)[0] for changing in (False, True))


@pytest.mark.parametrize(
    ("status", "code", "reading", "changing"),
    [
        (404, "BlobNotFound", NOT_FOUND, NOT_FOUND),
        (404, "PathNotFound", NOT_FOUND, NOT_FOUND),
        (404, "ResourceNotFound", DENIED, DENIED),
        (404, "ContainerNotFound", AWAY, AWAY),
        (404, "CannotVerifyCopySource", AWAY, AWAY),
        (409, "ContainerBeingDeleted", AWAY, AWAY),
        (409, "ContainerDisabled", AWAY, AWAY),
        (409, "BlobAlreadyExists", TAKEN, TAKEN),
        (412, "ConditionNotMet", TAKEN, TAKEN),
        (412, "TargetConditionNotMet", TAKEN, TAKEN),
        (412, "LeaseIdMissing", NEVER, NEVER),
        (409, "BlobArchived", NEVER, NEVER),
        (409, "BlobImmutableDueToPolicy", NEVER, NEVER),
        (409, "DirectoryIsNotEmpty", NEVER, NEVER),
        (409, "SnapshotsPresent", NEVER, NEVER),
        (400, "InvalidBlobOrBlock", NEVER, NEVER),
        (400, "InvalidBlockList", AWAY, AWAY),
        (413, "RequestBodyTooLarge", NEVER, NEVER),
        (400, "Md5Mismatch", BROKEN, BROKEN),
        (401, "NoAuthenticationInformation", DENIED, DENIED),
        (400, "InvalidAuthenticationInfo", DENIED, DENIED),
        (403, "AuthenticationFailed", DENIED, DENIED),
        (403, "AuthorizationPermissionMismatch", DENIED, DENIED),
        (403, "AccountIsDisabled", DENIED, DENIED),
        (409, "PublicAccessNotPermitted", DENIED, DENIED),
        (503, "ServerBusy", BUSY, BUSY),
        (409, "PendingCopyOperation", BUSY, BUSY),
        (500, "InternalError", AWAY, LATE),
        (500, "OperationTimedOut", AWAY, LATE),
    ],
)
@pytest.mark.parametrize("verb", VERBS)
def test_a_code_says_more_than_a_status(verb, status, code, reading, changing):
    assert both(refusal(status, code, verb)) == (reading, changing)


@pytest.mark.parametrize("code", [None, "NeverHeardOf"])
@pytest.mark.parametrize(
    ("status", "reading", "changing"),
    [
        (301, AWAY, AWAY),
        (400, NEVER, NEVER),
        (401, DENIED, DENIED),
        (403, DENIED, DENIED),
        (404, AWAY, AWAY),
        (407, DENIED, DENIED),
        (408, AWAY, LATE),
        (409, TAKEN, TAKEN),
        (412, TAKEN, TAKEN),
        (416, NEVER, NEVER),
        (429, BUSY, BUSY),
        (499, AWAY, LATE),
        (500, AWAY, LATE),
        (501, NEVER, NEVER),
        (502, AWAY, LATE),
        (503, BUSY, LATE),
        (504, AWAY, LATE),
        (507, FULL, FULL),
        (511, AWAY, LATE),
    ],
)
def test_where_no_code_is_known_the_status_speaks(code, status, reading, changing):
    assert both(refusal(status, code, "put")) == (reading, changing)


FOREIGN = ("Queue", "Share", "File", "Message", "PopReceipt", "Client", "Delete", "Total", "Read")


def test_every_code_of_blobs_that_the_client_knows_has_a_row():
    codes = {code.value for code in StorageErrorCode}
    others = {"CannotDeleteFileOrDirectory", "ContainerQuotaDowngradeNotAllowed"} | {
        "InvalidFileOrDirectoryPathName",
        "SharingViolation",
    }
    of_blobs = {code for code in codes - others if not code.startswith(FOREIGN)}
    of_blobs |= {"FilesystemNotFound", "FilesystemAlreadyExists", "FilesystemBeingDeleted"}
    assert of_blobs - set(azure.BY_CODE) == set()


def test_not_found_is_said_by_two_codes_of_azures_own_and_by_nothing_else():
    said = {code for code, row in azure.BY_CODE.items() if NOT_FOUND in row}
    assert said == {"BlobNotFound", "PathNotFound"}
    for verb, code in itertools.product(("get", "delete"), said):
        error = refusal(404, code, verb, in_header=False)
        assert both(error) == (AWAY, AWAY), "a body alone proves nobody's word"
    assert NOT_FOUND not in [
        outcome for row in azure.BY_ERROR.values() for outcome in row if outcome
    ]


@given(st.integers(300, 599), st.sampled_from(["", "NeverHeardOf", "A B", "x" * 65, "é"]))
def test_no_status_alone_is_an_absence_or_a_success(status, code):
    try:
        code.encode("ascii")
        error = refusal(status, code, "put")
    except UnicodeEncodeError:
        error = refusal(status, code, "put", in_header=False)
    for changing, outcome in zip((False, True), both(error), strict=True):
        assert outcome not in (NOT_FOUND, Outcome.OK)
        known = by_status(status)
        if known is not None and status != 401:
            assert outcome is (known[changing] or known[0])


@given(st.sampled_from(sorted(azure.BY_CODE)), st.sampled_from(sorted(VERBS)))
def test_what_a_change_may_have_done_is_never_certain(code, verb):
    """What Azure itself has failed at is the only thing that a change is told otherwise of."""
    reading, changing = both(refusal(500, code, verb))
    if code in ("InternalError", "OperationTimedOut"):
        assert (reading, changing) == (AWAY, LATE)
    else:
        assert reading is changing


# Errors without an answer


def connection_error(inner: Exception) -> ServiceRequestError:
    return ServiceRequestError(inner, error=inner)


KEY = aiohttp.client_reqrep.ConnectionKey("h", 1, True, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "reading", "changing"),
    [
        (connection_error(aiohttp.ClientConnectorError(KEY, OSError(111, "no"))), AWAY, AWAY),
        (connection_error(aiohttp.ClientOSError(104, "reset")), AWAY, LATE),
        (connection_error(aiohttp.ServerDisconnectedError()), AWAY, LATE),
        (connection_error(aiohttp.ClientPayloadError("cut")), AWAY, LATE),
        (connection_error(ValueError("odd")), AWAY, LATE),
        (ServiceRequestError("nobody says why"), AWAY, LATE),
        (ServiceRequestTimeoutError("not connected"), AWAY, AWAY),
        (ServiceResponseTimeoutError("silent"), LATE, LATE),
        (ServiceResponseError("odd"), AWAY, LATE),
        (HttpResponseError("no answer at all"), AWAY, LATE),
        (ClientAuthenticationError("no token"), DENIED, DENIED),
        (CredentialUnavailableError("no credential"), DENIED, DENIED),
    ],
)
def test_could_not_connect_is_also_said_of_what_was_delivered(error, reading, changing):
    assert both(error) == (reading, changing)


def test_a_refused_token_is_denied_whatever_the_status_of_whoever_gives_tokens():
    error = ClientAuthenticationError(response=refusal(400, None).response)
    assert both(error) == (DENIED, DENIED)


@pytest.mark.parametrize("error", [ValueError("x"), OSError(2, "x"), TimeoutError()])
def test_errors_of_others_are_others(error):
    assert azure.classify(error, changing=False) is None


# Words


@pytest.mark.parametrize(
    ("verb", "right"),
    [
        ("info", "Read (role Storage Blob Data Reader)"),
        ("get", "Read (role Storage Blob Data Reader)"),
        ("list", "List (role Storage Blob Data Reader)"),
        ("put", "Write, or Create for what is new (role Storage Blob Data Contributor)"),
        ("delete", "Delete (role Storage Blob Data Contributor)"),
    ],
)
def test_a_denial_names_the_right_that_is_missing(verb, right):
    _, detail = one_place.classify(
        refusal(403, "AuthorizationPermissionMismatch", verb), changing=False
    )
    assert detail == f"AuthorizationPermissionMismatch 403; it needs the permission {right}"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("code", ["ServerBusy", "NeverHeardOf", "<b>x</b>", None])
def test_a_detail_has_code_and_status_and_no_text(verb, code):
    for status in (403, 503):
        _, detail = one_place.classify(refusal(status, code, verb), changing=False)
        shown = f"{code} " if code in ("ServerBusy", "NeverHeardOf") else "status "
        assert detail.partition(";")[0] == f"{shown}{status}"
        for secret in ("sig", canaries.AZURE_SAS_SIGNATURE, "said so", "https", "photos"):
            assert secret not in detail
