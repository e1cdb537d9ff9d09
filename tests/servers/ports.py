"""Ports on 127.0.0.1 that nobody else takes while their server is down."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
# Outgoing connections take their own ports from 32768 up (Linux) or 49152 up (elsewhere). One of
# those could take the port of a server that is down for the moment, or even connect to itself.
FIRST, LAST = 20000, 32000
ATTEMPTS = 100

# Its own source of chance: pytest-randomly gives all workers the same.
_chance = random.Random()


def free_port() -> int:
    """Draw a port on which nobody listens now."""
    for _ in range(ATTEMPTS):
        port = _chance.randint(FIRST, LAST)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port found between {FIRST} and {LAST}")
