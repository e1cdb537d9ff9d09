"""From a catalog's URL to its database."""

from __future__ import annotations

from collections.abc import Callable

from resilient_store import runtime
from resilient_store.catalog.contract import Database
from resilient_store.catalog.location import Location
from resilient_store.errors import MissingExtraError


def database_at(location: Location, *, clock: Callable[[], float] = runtime.host_s) -> Database:
    """Open a catalog's database; nothing is asked of it yet, so it may be down or not be there.

    Parameters
    ----------
    clock
        SQLite's; PostgreSQL has its own.

    Raises
    ------
    ConfigurationError
        PostgreSQL does not know an option of its URL.
    MissingExtraError
        Its driver is not installed.
    """
    # SQLAlchemy is loaded here, and only by stores that have a catalog.
    from resilient_store.catalog.database import SqlDatabase

    if location.kind == "sqlite":
        from resilient_store.catalog.sqlite import SqliteDriver

        return SqlDatabase(SqliteDriver(location, clock))
    try:
        from resilient_store.catalog.postgres import PostgresDriver
    except ImportError:
        pass
    else:
        return SqlDatabase(PostgresDriver(location))
    raise MissingExtraError(
        "a PostgreSQL catalog needs psycopg: pip install 'resilient_store[postgres]'"
    )
