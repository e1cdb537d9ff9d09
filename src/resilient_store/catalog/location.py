"""Where a catalog is, by its URL, and whether SQLite may work there; nothing is opened."""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from collections.abc import Mapping
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from resilient_store.errors import ConfigurationError

FORMS = "sqlite:///relative.db, sqlite:////absolute.db or postgresql+psycopg://host/database"
SQLITE, POSTGRESQL = "sqlite://", "postgresql+psycopg://"

# SQLite's write-ahead log needs memory that all its processes share: one machine, and a file
# system that has it. Source: https://sqlite.org/wal.html. FUSE ones are many: those named here
# show a file of another machine, whatever the test of shared memory says.
MOUNTS = "/proc/self/mountinfo"
NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "ceph", "coda", "glusterfs"),
    *("lustre", "gpfs", "beegfs", "orangefs", "pvfs2", "ocfs2", "gfs2", "panfs", "wekafs"),
    *("vboxsf", "prl_fs", "vmhgfs", "sshfs"),
}
NETWORK_FUSE = {
    *("sshfs", "glusterfs", "ceph", "s3fs", "rclone", "juicefs", "goofys", "gcsfuse", "davfs"),
    *("davfs2", "blobfuse", "blobfuse2", "cifs", "smbnetfs", "mount-s3", "cvmfs2", "curlftpfs"),
    *("moosefs", "mfs", "lizardfs", "seaweedfs", "vmhgfs-fuse", "grpcfuse", "osxfs", "quobyte"),
}


@attrs.frozen(kw_only=True)
class Location:
    """Where a catalog is.

    Attributes
    ----------
    file
        SQLite's file, absolute; empty for one in memory.
    server
        What psycopg is told; holds the password.
    shown
        What messages call it: no user, no password.
    """

    kind: Literal["sqlite", "postgresql"]
    file: str = ""
    server: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    shown: str = ""


def locate(url: str) -> Location:
    """Take a catalog's URL apart.

    Raises
    ------
    ConfigurationError
        No catalog can be reached by it. The text does not repeat it: it may hold a password.
    """
    if url == SQLITE:
        return Location(kind="sqlite", shown="the catalog in memory")
    if url.startswith(f"{SQLITE}/"):
        return _file(url.removeprefix(f"{SQLITE}/"))
    if url.startswith(POSTGRESQL):
        return _server(url)
    raise ConfigurationError(f"this catalog's URL has no form that is known: use {FORMS}")


def _file(name: str) -> Location:
    if not name or name == ":memory:" or name.endswith("/") or "?" in name or "\0" in name:
        raise ConfigurationError("a SQLite catalog's URL names a file, and nothing else")
    return Location(
        kind="sqlite", file=os.path.abspath(name), shown=f"the catalog {os.path.basename(name)}"
    )


def _server(url: str) -> Location:
    server = _server_options(url)
    where = server.get("host", "") or "the local server"
    return Location(
        kind="postgresql",
        server=server,
        shown=f"PostgreSQL at {where}" + (f":{server['port']}" if "port" in server else ""),
    )


def _server_options(url: str) -> dict[str, str]:
    try:
        parts = urlsplit(url)
        server = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        given = {"host": unquote(parts.hostname or ""), "port": str(parts.port or "")}
        given |= {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
        given["dbname"] = unquote(parts.path.removeprefix("/"))
        return server | {name: value for name, value in given.items() if value}
    except ValueError:
        pass  # its text may repeat what is secret
    raise ConfigurationError(
        "the PostgreSQL catalog's URL cannot be read: quote what is special in it"
    )


def check_place(location: Location) -> None:
    """Refuse a place where SQLite would lose or spoil what it is given.

    Raises
    ------
    ConfigurationError
        The text says what to use.
    """
    if not location.file:
        return
    folder = os.path.dirname(os.path.realpath(location.file))
    if not os.path.isdir(folder):
        raise ConfigurationError(
            f"the folder of {location.shown} does not exist: create it, or mount its disk"
        )
    kind = file_system_of(folder)
    if kind in NETWORK or (kind.startswith("fuse.") and kind[5:] in NETWORK_FUSE):
        raise ConfigurationError(
            f"{location.shown} lies on {kind}, where SQLite's file can be spoilt: "
            "use PostgreSQL, or a disk of this machine"
        )
    if not shares_memory(folder):
        raise ConfigurationError(
            f"the folder of {location.shown} cannot be written to, or has no memory that "
            "processes share, which SQLite needs: use PostgreSQL, or a disk of this machine"
        )


def file_system_of(folder: str) -> str:
    """Return the type of the file system that a folder lies on; empty where nobody says."""
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as lines:
            rows = [line.split() for line in lines]
    except OSError:
        return ""
    best, kind = "", ""
    for row in rows:
        point = _unescaped(row[4])
        inside = point in ("/", folder) or folder.startswith(f"{point}/")
        if inside and len(point) >= len(best):  # of two at one place the later lies on top
            best, kind = point, row[row.index("-") + 1]
    return kind


def _unescaped(point: str) -> str:
    for sign in " \t\n\\":
        point = point.replace(f"\\{ord(sign):03o}", sign)
    return point


def shares_memory(folder: str) -> bool:
    """Try to map a new file of a folder into memory, shared, and write there.

    The page is written to the file first: to touch one that a full disk has no room for ends the
    process. What a full disk can do nobody can try; the calls themselves will say that it is full.
    """
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            if file.write(bytes(mmap.PAGESIZE)) < mmap.PAGESIZE:
                return True
            with mmap.mmap(file.fileno(), mmap.PAGESIZE) as memory:
                memory[0] = 1
                memory.flush()
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return True
