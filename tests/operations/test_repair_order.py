"""What repair does first: platforms left, then copies, then the caller's priority, then size."""

from __future__ import annotations

import pytest

import resilient_store as rs
from tests.catalogued.stage import Shop, states, well_again
from tests.operations.test_repair import only, order

__all__ = ["order"]

ZONES = ("zone-1", "zone-2", "zone-3")  # of one platform
NAMES = (*ZONES, "gcp", "azure")

# Path, who holds it, what the caller says of it, its size: in the order of repair. One criterion
# puts each after the one before; what ranks below it, down to the path, says the opposite.
IN_ORDER = [
    ("f", ["zone-1"], 0, 300),
    ("e", ["zone-2"], 1, 100),
    ("d", ["zone-3"], 1, 200),
    ("c", ["zone-1", "zone-2"], 0, 10),
    ("b", list(ZONES), -1, 9),
    ("a", ["zone-3", "gcp"], -2, 1),
]


class Zones(Shop):
    """Three backends on one platform, two on platforms of their own."""

    def backends(self, names=None, **options):
        domains = {name: f"aws/{name}" for name in ZONES}
        return [
            rs.Backend(str(self.disk(n)), name=n, domain=domains.get(n, n), **options)
            for n in names or self.names
        ]


@pytest.fixture
def zones(tmp_path):
    shop = Zones(tmp_path, NAMES)
    yield shop
    shop.close()


def test_platforms_left_come_before_copies_then_the_caller_then_size(zones, order):
    fs = zones.open(write=rs.WriteToAll(min_copies=1))
    fs.exists("anything")
    for path, holders, _, size in reversed(IN_ORDER):
        with only(zones, *holders):
            fs.write(path, b"x" * size)
        well_again(fs)
        held = {name for name, state in states(fs, path).items() if state == "good"}
        assert held == set(holders)
    priorities = {path: priority for path, _, priority, _ in IN_ORDER}
    rs.repair(fs, at_once=1, priority=priorities.__getitem__)
    assert list(dict.fromkeys(order)) == [path for path, *_ in IN_ORDER]
