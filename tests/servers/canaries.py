"""Made-up credentials in the shape of the real ones, so that a leak is seen for what it is.

Whatever a test hands over as a credential comes from here. At the end of a run
`tests.leaks` looks for each of them, and for either half, in all that the run has printed
and written.
"""

from __future__ import annotations

S3_KEY_ID = "AKIAC4NARYC4NARYKEY7"
S3_SECRET = "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"

AZURE_ACCOUNT = "canaryaccount"
# 64 bytes and 32 bytes, in base64
AZURE_KEY = (
    "Y2FuYXJ5OiBrZXkgb2YgYW4gYXp1cmUgYWNjb3VudCB0aGF0IG5vYm9keSBtYXkgZXZlciBzZWUu7u7u7u7u7g=="
)
AZURE_SAS_SIGNATURE = "Y2FuYXJ5OiBzaWduYXR1cmUgb2YgYW4gdXJsLCAzMi4="

GCS_TOKEN = "ya29.c4nary0AccessTokenOfGoogle-never_to_be_seen_in_any_report"

SFTP_USER = "canary"
SFTP_PASSWORD = "c4nary-passw0rd-Of-sFtP-never-to-be-seen"

# An account's name is no secret: Azure shows it in every URL.
SECRETS = {
    "S3_KEY_ID": S3_KEY_ID,
    "S3_SECRET": S3_SECRET,
    "AZURE_KEY": AZURE_KEY,
    "AZURE_SAS_SIGNATURE": AZURE_SAS_SIGNATURE,
    "GCS_TOKEN": GCS_TOKEN,
    "SFTP_PASSWORD": SFTP_PASSWORD,
}
