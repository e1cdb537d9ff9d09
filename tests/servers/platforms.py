"""The three cloud families as tests see them: a server, a proxy before it, and a way around both.

with Platform("s3", moto()) as s3:
    bucket = s3.new_bucket()
    options = s3.storage_options()  # through the proxy
    s3.proxy.set("blackhole")
    s3.read(bucket, "photo.jpg")  # behind the subject's back: straight from the server
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Any, Literal, Self

from tests.servers import canaries
from tests.servers.processes import Server
from tests.servers.proxy import FaultProxy

# gcsfs looks at these when it is imported, and when it is given a token. Without the first it
# asks by gRPC, which no server here speaks, what kind of bucket each is; without the second it
# sends the token to Google to learn when it ends.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
os.environ["FETCH_RAW_TOKEN_EXPIRY"] = "false"

Family = Literal["s3", "gcs", "azure"]
SCHEMES: dict[Family, str] = {"s3": "s3", "gcs": "gs", "azure": "abfs"}

# A time-out for tests of which none is the subject: their machine may do other things meanwhile.
PATIENT_S = 50.0

# rclone answers a request for a part with the checksum of the whole, and botocore compares.
RCLONE_OPTIONS = {
    "config_kwargs": {
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
}


class Platform:
    """One platform: the server, the proxy that its users go through, and the way behind.

    Parameters
    ----------
    family
        Which of fsspec's filesystems talks to it.
    server
        Started with the platform, ended with it.
    more
        What this server needs in `storage_options` beside the usual.
    """

    def __init__(
        self, family: Family, server: Server, more: Mapping[str, Any] | None = None
    ) -> None:
        self.family = family
        self.server = server
        self.proxy: FaultProxy
        self._more = dict(more or {})
        self._bare: Any = None

    def start(self) -> Self:
        """Start server and proxy."""
        self.server.start()
        self.proxy = FaultProxy(self.server.port).start()
        return self

    def end(self) -> None:
        """End both."""
        self.proxy.stop()
        self.server.end()

    def heal(self) -> None:
        """Undo what a test has done: the server answers, the proxy passes and has seen nothing.

        Connections are reset: a plain client that a test made keeps its own until it is collected.
        """
        self.proxy.set("pass", drop=True)
        self.proxy.reset()
        self.server.heal()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.end()

    # --- for the subject ------------------------------------------------------------------

    def url(self, bucket: str, prefix: str = "") -> str:
        """Name a bucket, or a folder in it, as fsspec does."""
        return f"{SCHEMES[self.family]}://{bucket}" + (f"/{prefix}" if prefix else "")

    def storage_options(self, *, direct: bool = False) -> dict[str, Any]:
        """Return what fsspec's filesystem needs to reach the proxy, or the server itself."""
        where = self.server.url if direct else self.proxy.url
        match self.family:
            case "s3":
                account = {"key": canaries.S3_KEY_ID, "secret": canaries.S3_SECRET}
                return {**account, "endpoint_url": where, **self._more}
            case "gcs":
                return {
                    "token": canaries.GCS_TOKEN,
                    "project": "test",
                    "endpoint_url": where,
                    **self._more,
                }
            case "azure":
                parts = {
                    "DefaultEndpointsProtocol": "http",
                    "AccountName": canaries.AZURE_ACCOUNT,
                    "AccountKey": canaries.AZURE_KEY,
                    "BlobEndpoint": f"{where}/{canaries.AZURE_ACCOUNT}",
                }
                joined = ";".join(f"{name}={value}" for name, value in parts.items())
                return {"connection_string": joined, **self._more}

    # --- behind the subject's back --------------------------------------------------------

    def bare(self, **more: Any) -> Any:
        """Open the plain filesystem, straight to the server, without any cache."""
        options = self.storage_options(direct=True)
        private = {"use_listings_cache": False, "skip_instance_cache": True}
        return self._class()(**{**options, **private, **more})

    def new_bucket(self) -> str:
        """Make a bucket that nobody else uses."""
        bucket = f"bucket-{uuid.uuid4().hex[:16]}"
        self._behind.mkdir(bucket)
        return bucket

    def remove_bucket(self, bucket: str) -> None:
        """Remove a bucket with all that is in it."""
        if self.family == "azure":
            self._behind.rmdir(bucket)  # Azure's own call removes what is in it, in one go
            return
        keys = self._behind.find(bucket)
        if keys:
            self._behind.rm(keys)
        self._behind.rmdir(bucket)

    def names(self, bucket: str) -> list[str]:
        """List the keys in a bucket."""
        return sorted(path.partition("/")[2] for path in self._behind.find(bucket))

    def read(self, bucket: str, key: str) -> bytes:
        """Read an object."""
        if self.family == "azure":
            return self._read_blob(bucket, key)
        return self._behind.cat_file(f"{bucket}/{key}")

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object."""
        self._behind.rm_file(f"{bucket}/{key}")

    def write(
        self,
        bucket: str,
        key: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write an object with its headers, over what has that key."""
        match self.family:
            case "s3":
                headers = {"ContentType": content_type, "Metadata": dict(metadata or {})}
            case "gcs":
                headers = {"content_type": content_type, "metadata": dict(metadata or {})}
            case "azure":
                self._write_blob(bucket, key, data, content_type, dict(metadata or {}))
                return
        self._behind.pipe_file(f"{bucket}/{key}", data, **headers)

    def _read_blob(self, bucket: str, key: str) -> bytes:
        """Read any key: adlfs 2026.8 takes a question mark off the end of a name."""
        from azure.core.exceptions import ResourceNotFoundError
        from fsspec.asyn import sync

        async def download() -> bytes:
            client = self._behind.service_client.get_blob_client(container=bucket, blob=key)
            async with client:
                return await (await client.download_blob()).readall()

        try:
            return sync(self._behind.loop, download)
        except ResourceNotFoundError as error:
            raise FileNotFoundError(f"{bucket}/{key}") from error

    def _write_blob(
        self, bucket: str, key: str, data: bytes, content_type: str, metadata: dict[str, str]
    ) -> None:
        """Write with metadata, which adlfs 2026.8 does not let through."""
        from azure.storage.blob import ContentSettings
        from fsspec.asyn import sync

        async def upload() -> None:
            client = self._behind.service_client.get_blob_client(container=bucket, blob=key)
            async with client:
                settings = ContentSettings(content_type=content_type)
                await client.upload_blob(
                    data, overwrite=True, metadata=metadata, content_settings=settings
                )

        sync(self._behind.loop, upload)

    @property
    def _behind(self) -> Any:
        if self._bare is None:
            self._bare = self.bare()
        return self._bare

    def _class(self) -> type[Any]:
        match self.family:
            case "s3":
                from s3fs import S3FileSystem

                return S3FileSystem
            case "gcs":
                from gcsfs.core import GCSFileSystem  # the one that speaks no gRPC

                return GCSFileSystem
            case "azure":
                from adlfs import AzureBlobFileSystem

                return AzureBlobFileSystem


def sftp_filesystem(server: Server) -> Any:
    """Connect to a server of SFTP, as an application does."""
    from fsspec.implementations.sftp import SFTPFileSystem

    return SFTPFileSystem(
        "127.0.0.1",
        port=server.port,
        username=canaries.SFTP_USER,
        password=canaries.SFTP_PASSWORD,
        look_for_keys=False,
        allow_agent=False,
        skip_instance_cache=True,
    )
