"""Statements to a PostgreSQL server and rows back, over psycopg's layer of libpq.

Each call goes out as one pipeline that ends in one Sync, and ends at its deadline. psycopg's own
pipelines (3.3) wait for ever, take results that never came for empty ones, and send a Flush after
the Sync, which turns off the server's timer for transactions whose client was stopped.
"""

from __future__ import annotations

import contextlib
import functools
import re
import selectors
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import pq

from resilient_store import runtime
from resilient_store.catalog.driver import Asked, Row

# No descriptor of its own for each wait, and no limit on their numbers, where there is a choice.
_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

_BYTEA, _INTEGERS, _FLOATS = 17, {20, 21, 23}, {700, 701}
_GOOD = {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}
_PARAMETER = re.compile(r"%\((\w+)\)s|%%")


class ServerError(Exception):
    """The server refused a statement, and everything after it: its SQLSTATE."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class LostError(Exception):
    """The connection is no more, or did not answer in time and was closed."""


class RefusedError(Exception):
    """No connection was to be had; the text is our own."""


class Connection:
    """One connection, whose calls end by `deadline_s` of `runtime.steady_s`."""

    def __init__(self, raw: pq.abc.PGconn, deadline_s: float) -> None:
        self.raw = raw
        self.deadline_s = deadline_s

    @classmethod
    def open(cls, conninfo: bytes, deadline_s: float) -> Connection:
        """Connect.

        Raises
        ------
        RefusedError
            There is nobody, or they do not let us in.
        """
        connection = cls(pq.PGconn.connect_start(conninfo), deadline_s)
        problem = connection._connect()
        if problem:
            connection.close()
            raise RefusedError(problem)
        connection.raw.nonblocking = 1
        connection.raw.enter_pipeline_mode()
        return connection

    def _connect(self) -> str:
        while self.raw.status != pq.ConnStatus.BAD:
            polled = self.raw.connect_poll()
            if polled == pq.PollingStatus.OK:
                return ""
            if polled == pq.PollingStatus.FAILED:
                break
            if not self._ready(_READ if polled == pq.PollingStatus.READING else _WRITE):
                return "did not answer in time"
        said = self.raw.error_message
        if b"authentication" in said or b"password" in said:
            return "refuses the user or the password"
        return "cannot be reached"

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(psycopg.Error):
            self.raw.finish()

    @property
    def is_open(self) -> bool:
        """Whether anything can be asked on it."""
        return self.raw.status == pq.ConnStatus.OK

    @property
    def is_idle(self) -> bool:
        """Whether it is open and in no transaction."""
        return self.is_open and self.raw.transaction_status == pq.TransactionStatus.IDLE

    def _ready(self, wanted: int) -> int:
        with _Selector() as selector:
            selector.register(self.raw.socket, wanted)
            ready = selector.select(max(0.0, self.deadline_s - runtime.steady_s()))
            return ready[0][1] if ready else 0

    def run(self, asked: Sequence[Asked]) -> list[list[Row]]:
        """Carry out statements in one round trip; after one that fails none is carried out.

        Raises
        ------
        ServerError
            One has failed.
        LostError
            Nobody knows what was carried out.
        """
        try:
            return self._run(asked)
        except psycopg.Error:
            self.close()  # it is in no state that we know
        raise LostError

    def _run(self, asked: Sequence[Asked]) -> list[list[Row]]:
        for query, values, formats in [_message(*one) for one in asked]:  # all, or nothing is sent
            self.raw.send_query_params(query, values, param_formats=formats)
        self.raw.pipeline_sync()
        self._send()
        answers: list[list[Row]] = []
        failed = ""
        while (result := self._result()) is None or result.status != pq.ExecStatus.PIPELINE_SYNC:
            if result is None:  # stands after each statement's result
                continue
            if result.status in _GOOD:
                answers.append(_rows(result))
            elif not failed:
                failed = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"XX000").decode()
        if failed:
            raise ServerError(failed)
        assert len(answers) == len(asked)
        return answers

    def _send(self) -> None:
        while self.raw.flush():
            ready = self._ready(_READ | _WRITE)
            if not ready:
                self._give_up()
            if ready & _READ:
                self.raw.consume_input()

    def _result(self) -> pq.abc.PGresult | None:
        while self.raw.is_busy():
            if not self._ready(_READ):
                self._give_up()
            self.raw.consume_input()
        result = self.raw.get_result()
        if not self.is_open:
            self._give_up()
        return result

    def _give_up(self) -> None:
        self.close()
        raise LostError


def _message(text: str, given: dict[str, Any]) -> tuple[bytes, list[bytes | None], list[pq.Format]]:
    """Return a statement, its values and their formats, as libpq takes them."""
    query, names = _positional(text)
    values = [given[name] for name in names]
    formats = [pq.Format.BINARY if isinstance(v, bytes) else pq.Format.TEXT for v in values]
    return query, list(map(_text, values)), formats


@functools.lru_cache(maxsize=256)
def _positional(text: str) -> tuple[bytes, tuple[str, ...]]:
    """Give named parameters numbers, as libpq takes them."""
    names: dict[str, int] = {}

    def numbered(match: re.Match[str]) -> str:
        name = match.group(1)
        return "%" if name is None else f"${names.setdefault(name, len(names) + 1)}"

    return _PARAMETER.sub(numbered, text).encode(), tuple(names)


def _text(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, list):
        return b"{" + b",".join(map(_quoted, value)) + b"}"
    return str(value).encode()


def _quoted(value: str) -> bytes:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode()


def _rows(result: pq.abc.PGresult) -> list[Row]:
    if not result.nfields:
        return []
    loads = [_LOADS.get(result.ftype(column), _string) for column in range(result.nfields)]
    return [
        tuple(
            None if (value := result.get_value(row, column)) is None else load(value)
            for column, load in enumerate(loads)
        )
        for row in range(result.ntuples)
    ]


def _string(value: bytes) -> str:
    return value.decode()


def _bytes(value: bytes) -> bytes:
    return pq.Escaping().unescape_bytea(value)


_LOADS: dict[int, Any] = {
    _BYTEA: _bytes,
    **dict.fromkeys(_INTEGERS, int),
    **dict.fromkeys(_FLOATS, float),
}
