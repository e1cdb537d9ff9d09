"""A relay of bytes that can be cut in the middle of what a client says; it knows no protocol."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Literal, Self

from tests.servers.ports import LOOPBACK

PIECE_BYTES = 65536
END_WITHIN_S = 5.0

Way = Literal["before", "after", "silent"]


class Tap:
    """Stands before the server at a port of 127.0.0.1.

    Attributes
    ----------
    port
        Where clients connect instead.
    said
        What each client has said so far.
    """

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.said: list[bytearray] = []
        self._word = b""
        self._way: Way = "before"
        self._times = 0
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()

    def cut(self, word: bytes, way: Way, times: int = 1) -> None:
        """Cut the next connections on which a client says a word.

        Parameters
        ----------
        way
            ``before`` the server hears it, ``after`` the server has answered it (which the client
            does not hear), or ``silent``: as after, but the connection stays, and nothing comes.
        """
        self._word, self._way, self._times = word, way, times

    def __enter__(self) -> Self:
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(END_WITHIN_S)
        self._listening.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection((LOOPBACK, self.upstream_port))
                self._open += [client, server]
                said = bytearray()
                self.said.append(said)
                quiet, answered = threading.Event(), threading.Event()
                ways = (
                    (self._listen, client, server, said, quiet, answered),
                    (self._answer, server, client, quiet, answered),
                )
                for carry, *between in ways:
                    threading.Thread(target=carry, args=between, daemon=True).start()

    def _listen(self, client, server, said, quiet, answered):
        with contextlib.suppress(OSError):
            while piece := client.recv(PIECE_BYTES):
                said += piece
                if self._is_time(piece):
                    if self._way != "before":
                        quiet.set()
                        server.sendall(piece)
                        answered.wait(END_WITHIN_S)
                    if self._way != "silent":
                        _reset(client)
                        server.shutdown(socket.SHUT_RDWR)
                        return
                    continue
                server.sendall(piece)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server, client, quiet, answered):
        with contextlib.suppress(OSError):
            while piece := server.recv(PIECE_BYTES):
                if quiet.is_set():
                    answered.set()
                else:
                    client.sendall(piece)
            if not quiet.is_set():
                client.shutdown(socket.SHUT_WR)

    def _is_time(self, piece: bytes) -> bool:
        with self._lock:
            if self._times == 0 or self._word not in piece:
                return False
            self._times -= 1
            return True


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
