"""What a bare install must do; `nox -s package` runs it where nothing else is installed."""

import sys
import tempfile
from pathlib import Path

import resilient_store as rs

NOT_AT_IMPORT = (
    *("adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "s3fs"),
    *("sqlalchemy", "psycopg", "PIL", "hypothesis", "pytest", "typer", "rich", "dask"),
)


def main() -> None:
    """Import without what is heavy, then keep one object on three disks."""
    loaded = [name for name in NOT_AT_IMPORT if name in sys.modules]
    assert not loaded, f"a plain import loads {', '.join(loaded)}"

    with tempfile.TemporaryDirectory() as folder:
        disks = [Path(folder, name) for name in ("one", "two", "three")]
        for disk in disks:
            disk.mkdir()
        with rs.ResilientFileSystem([disk.as_uri() for disk in disks]) as store:
            store.write("albums/cat.txt", b"meow")
            assert store.read("albums/cat.txt").data == b"meow"
            assert store.cat_file("albums/cat.txt") == b"meow"
        for disk in disks:
            assert (disk / "albums" / "cat.txt").read_bytes() == b"meow", disk

    print("a bare install stores and reads an object on three disks")


main()
