"""Which account of Azure, and what proves who asks: taken from adlfs, which is asked no more."""

from __future__ import annotations

import datetime as dt
import weakref
from typing import Any

import attrs
from azure.core.credentials import AzureSasCredential
from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from resilient_store import runtime
from resilient_store.backends.contract import RefusedError

LENT_FOR_S = 900  # longer than any copy may take


@attrs.frozen
class Account:
    """Whom to ask, and how.

    Attributes
    ----------
    url
        With a shared access signature, where that is the proof.
    credential
        As azure-storage-blob takes it.
    owned
        Credentials that adlfs made, so that nobody else closes them.
    """

    url: str = attrs.field(repr=False)
    credential: Any = attrs.field(repr=False)
    owned: tuple[Any, ...] = attrs.field(default=(), repr=False)

    @classmethod
    def of(cls, filesystem: Any) -> Account:
        """Take them from a filesystem that nobody else uses, and let go of it."""
        # They keep it for ever, and would wait in a forked child for a thread that is not there.
        for reference in weakref.getweakrefs(filesystem):
            if isinstance(reference.__callback__, weakref.finalize):
                reference.__callback__.detach()
        made = (filesystem.credential, filesystem.sync_credential)
        owned = made if filesystem.sync_credential is not None else ()
        client = filesystem.service_client
        return cls(client.url, client.credential, owned)

    def source(self, blob: Any) -> str:
        """Return a blob's URL, by which the account itself can read it."""
        url: str = blob.url
        if isinstance(self.credential, AzureSasCredential):
            url += f"?{self.credential.signature.lstrip('?')}"
        return url

    def lent(self, blob: Any) -> str:
        """Return a URL by which the account lets itself read a blob for one copy.

        Raises
        ------
        RefusedError
            Neither a shared access signature nor the account's key is known.
        """
        url = self.source(blob)
        return url if url != blob.url else self.sign(blob, LENT_FOR_S)

    def sign(self, blob: Any, expiration: int) -> str:
        """Return a URL by which anybody can read a blob for so many seconds.

        Raises
        ------
        RefusedError
            The account's key, which signs it, is not known.
        """
        key = getattr(self.credential, "account_key", None)
        if key is None:
            raise RefusedError(
                "only the account's key signs a URL; give account_key, or a connection string "
                "with AccountKey"
            )
        proof = generate_blob_sas(
            self.credential.account_name,
            blob.container_name,
            blob.blob_name,
            account_key=key,
            permission=BlobSasPermissions(read=True),
            expiry=runtime.wall() + dt.timedelta(seconds=expiration),
        )
        return f"{blob.url}?{proof}"

    async def close(self) -> None:
        """Close what was made for it alone."""
        for credential in self.owned:
            closing = credential.close()
            if closing is not None:
                await closing
