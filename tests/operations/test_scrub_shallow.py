"""A shallow scrub on the platforms' servers: their own checksums stand in for the bytes."""

from __future__ import annotations

import os

import pytest

import resilient_store as rs
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, TWO, converge, states
from tests.catalogued.test_server_side import has_bytes

LONG = 9 << 20  # sent in parts


def forget(shop):
    """Forget what the platforms were asked so far."""
    for name in NAMES:
        shop._platforms[name].proxy.log.clear()


def asked_for_bytes(shop):
    """Return which platforms were asked for the bytes of an object, and not for headers alone."""
    logs = {name: shop._platforms[name].proxy.log for name in NAMES}
    asked = {name: [one for one in log if ".jpg" in one.path] for name, log in logs.items()}
    assert all(asked.values()), "each was asked for something"
    return {name for name, some in asked.items() if any(has_bytes(one) for one in some)}


@pytest.mark.parametrize("size", [len(ONE), LONG], ids=["short", "long"])
def test_what_a_platform_states_of_good_replicas_is_believed_without_their_bytes(on_servers, size):
    fs = on_servers.open()
    fs.write(CAT, os.urandom(size))
    forget(on_servers)
    shallow = rs.scrub(fs, deep=False)
    assert (shallow.clean, shallow.checked, shallow.bytes_read) == (True, 3, 0)
    assert asked_for_bytes(on_servers) == set()
    assert rs.scrub(fs, max_age=3600).checked == 0, "it counts as verified"
    deep = rs.scrub(fs)
    assert (deep.clean, deep.bytes_read) == (True, 3 * size), deep
    assert asked_for_bytes(on_servers) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_p4_what_was_changed_or_removed_is_found_by_its_headers_and_repaired(on_servers, name):
    fs = on_servers.open()
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    on_servers.flip(name, CAT)  # of the same size
    on_servers.remove_behind(name, DOG)
    forget(on_servers)
    report = rs.scrub(fs, deep=False)
    assert (report.corrupt, report.missing, report.bad) == ({CAT: (name,)}, {DOG: (name,)}, 2)
    assert asked_for_bytes(on_servers) <= {name}, "the others are believed"
    bad = {states(fs, path)[name] for path in (CAT, DOG)}
    assert bad == {"corrupt", "missing"}
    converge(fs)
    assert on_servers.held(CAT) == dict.fromkeys(NAMES, ONE)
    assert on_servers.held(DOG) == dict.fromkeys(NAMES, TWO)
    assert rs.scrub(fs, deep=False).clean
