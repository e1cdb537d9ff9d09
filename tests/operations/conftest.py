"""The photo shop of the catalogued tests, for what an operator runs."""

from tests.catalogued.conftest import _loaded, fs, place, shop

__all__ = ["_loaded", "fs", "place", "shop"]
