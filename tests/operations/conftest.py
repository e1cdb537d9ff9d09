"""The photo shop of the catalogued tests, for what an operator runs."""

from tests.catalogued.conftest import _loaded, fs, place, shop
from tests.catalogued.servers import on_servers

__all__ = ["_loaded", "fs", "on_servers", "place", "shop"]
