"""One client's connection through the proxy: requests in, answers back, faults on the way."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable
from typing import Any, Protocol

from tests.servers.faults import Fault, canned_answer
from tests.servers.ports import LOOPBACK
from tests.servers.wire import (
    HEAD_BYTES,
    NO_BODY,
    PIECE_BYTES,
    BrokenMessageError,
    Head,
    pieces,
    read_head,
)

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE_WITHIN_S = 1.0
# What was written before a reset must have been read by then, or the kernel may drop it.
SETTLE_S = 0.05
# A hole takes this much before the sender's own buffers fill up.
HOLE_BYTES = 1024 * 1024
STEPS_PER_S = 20
CUTTING = ("reset", "truncate", "trickle")


class Control(Protocol):
    """What a connection asks the proxy that accepted it."""

    upstream_port: int
    changed: asyncio.Event
    released: asyncio.Event

    def fault_for(self, request: Head) -> Fault: ...


class DroppedError(Exception):
    """Ends a connection with a reset."""


class Connection:
    """Serves one client until either side ends it."""

    def __init__(
        self, control: Control, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.control = control
        self.reader = reader
        self.writer = writer
        self.held = False
        self.upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        wait_for_kernel(writer)

    async def serve(self) -> None:
        """Carry one request after the other."""
        try:
            while request := await read_head(self.reader):
                if not await self._exchange(request, self.control.fault_for(request)):
                    break
        except (OSError, BrokenMessageError, DroppedError):
            self.reset()
        finally:
            await self._drop_upstream()
            await close(self.writer)

    def reset(self) -> None:
        """End it at once, with an RST."""
        sock = self.writer.get_extra_info("socket")
        if sock is not None and not self.writer.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()

    # --- one request; each way returns whether the connection may be used for another ----

    async def _exchange(self, request: Head, fault: Fault) -> bool:
        if fault.mode in {"blackhole", "refuse"}:  # refused since it was connected
            return await self._say_nothing()
        if fault.mode in {"status", "captive"}:
            return await self._answer_here(request, fault)
        if fault.mode == "hold":
            return await self._hold(request, fault)
        if fault.mode == "latency":
            await asyncio.sleep(fault.seconds)
        return await self._forward(request, fault)

    async def _say_nothing(self) -> bool:
        await first_of(self.control.changed.wait(), self._client_gone())
        raise DroppedError

    async def _answer_here(self, request: Head, fault: Fault) -> bool:
        await self._whole_request(request, keep=False)
        await self._send(canned_answer(fault, head_only=request.line.startswith("HEAD ")))
        return not request.closes

    async def _hold(self, request: Head, fault: Fault) -> bool:
        self.held = True
        body = await self._whole_request(request, keep=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.control.released.wait(), fault.seconds)
        self.held = False
        reader, server = await self._reach_upstream()
        server.write(request.without("expect").raw + body)
        await server.drain()
        return await self._answer(request, fault, reader) and not request.closes

    async def _forward(self, request: Head, fault: Fault) -> bool:
        """Send body and answer on as they come, until the answer ends or the client goes."""
        reader, server = await self._reach_upstream()
        server.write(request.raw)
        sent = asyncio.Event()
        sending = asyncio.create_task(self._send_request(request, server, sent))
        answering = asyncio.create_task(self._answer(request, fault, reader))
        if not await first_of(answering, sending):
            raise DroppedError
        # Who answers before it has everything, leaves the rest of the body in the way.
        return answering.result() and sent.is_set() and not request.closes

    async def _send_request(
        self, request: Head, server: asyncio.StreamWriter, sent: asyncio.Event
    ) -> None:
        """Send the body on, and return only when the client has gone."""
        async for piece in pieces(self.reader, request.body_of_request()):
            with contextlib.suppress(OSError):  # its answer may be here, or on its way
                server.write(piece.raw)
                await server.drain()
        sent.set()
        await self._client_gone()

    async def _whole_request(self, request: Head, *, keep: bool) -> bytes:
        if request.waits_for_continue:
            await self._send(CONTINUE)
        whole = bytearray()
        async for piece in pieces(self.reader, request.body_of_request()):
            if keep:
                whole += piece.raw
        return bytes(whole)

    async def _client_gone(self) -> None:
        """Return when the client closes its side; what it sends until then is lost."""
        taken = 0
        while data := await self.reader.read(PIECE_BYTES):
            taken += len(data)
            if taken > HOLE_BYTES:
                await asyncio.Event().wait()  # whoever called this waits for something else, too

    # --- one answer -----------------------------------------------------------------------

    async def _answer(self, request: Head, fault: Fault, reader: asyncio.StreamReader) -> bool:
        head = await self._final_head(reader)
        body = head.body_of_answer(request)
        if fault.mode == "swallow":
            await self.control.changed.wait()
            raise DroppedError
        if fault.mode == "reset" and not fault.after:
            raise DroppedError
        if fault.mode == "rewrite":
            await self._rewrite(request, fault, head, reader)
        else:
            await self._send(head.raw, fault)
            if not await self._spoil(fault, reader, body):
                return False
        if head.closes or body == "until closed":
            await self._drop_upstream()
            return False
        return True

    async def _final_head(self, reader: asyncio.StreamReader) -> Head:
        while head := await read_head(reader):
            if head.status >= 200:
                return head
            await self._send(head.raw)
        raise BrokenMessageError("the server ended without an answer")

    async def _spoil(self, fault: Fault, reader: asyncio.StreamReader, body: int | str) -> bool:
        """Send an answer's body on, and whatever is to go wrong, wrong."""
        position = 0
        async for raw, is_data in pieces(reader, body):
            if not is_data:
                await self._send(raw, fault)
                continue
            begins, position = position, position + len(raw)
            if fault.mode in CUTTING and position > fault.after:
                return await self._cut(fault, raw[: fault.after - begins])
            if fault.mode == "flip" and begins <= fault.at < position:
                wrong = bytearray(raw)
                wrong[fault.at - begins] ^= 1
                await self._send(bytes(wrong))
            else:
                await self._send(raw, fault)
        return True

    async def _cut(self, fault: Fault, last: bytes) -> bool:
        await self._send(last)
        if fault.mode == "trickle":
            await self.control.changed.wait()
        if fault.mode != "truncate":
            await asyncio.sleep(SETTLE_S)
            raise DroppedError
        return False

    async def _rewrite(
        self, request: Head, fault: Fault, head: Head, reader: asyncio.StreamReader
    ) -> None:
        body = b""
        async for raw, is_data in pieces(reader, head.body_of_answer(request)):
            body += raw if is_data else b""
        assert fault.answer is not None, "rewrite needs `answer`"
        other = fault.answer(request.line, head.raw, body)
        if other is not None:
            head, body = Head(other[0]), other[1]
        if not request.line.startswith("HEAD ") and head.status not in NO_BODY:
            head = head.with_length(len(body))
        await self._send(head.raw + body)

    async def _send(self, data: bytes, fault: Fault | None = None) -> None:
        if fault is None or fault.mode != "slow":
            self.writer.write(data)
            await self.writer.drain()
            return
        step = max(1, fault.rate // STEPS_PER_S)
        for begins in range(0, len(data), step):
            part = data[begins : begins + step]
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(len(part) / fault.rate)

    # --- the server's side ----------------------------------------------------------------

    async def _reach_upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.upstream is not None:
            reader, writer = self.upstream
            if not (writer.is_closing() or reader.at_eof() or reader.exception()):
                return self.upstream
            await self._drop_upstream()
        self.upstream = await asyncio.open_connection(
            LOOPBACK, self.control.upstream_port, limit=HEAD_BYTES
        )
        wait_for_kernel(self.upstream[1])
        return self.upstream

    async def _drop_upstream(self) -> None:
        if self.upstream is not None:
            writer, self.upstream = self.upstream[1], None
            await close(writer)


async def first_of(wanted: Awaitable[Any], other: Awaitable[Any]) -> bool:
    """Wait for either, cancel the other; say whether the wanted one has ended."""
    tasks = [asyncio.ensure_future(each) for each in (wanted, other)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].done()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def wait_for_kernel(writer: asyncio.StreamWriter) -> None:
    """Let `drain` return only when nothing is left here, so that memory stays small."""
    writer.transport.set_write_buffer_limits(high=0)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close for good, in bounded time."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()
