"""The control socket: how `ordersmith status`, `halt`, `resume`, `resolve` and `cancel` reach a running service.

A Unix socket beside the journal (`control_socket.py`), for its owner alone, with one JSON object a line each way. Whatever
callers do, and however many they are, costs the service little and harms it not at all.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
from anyio.abc import TaskStatus

from ..actors.errors import OrdersmithError
from .control_requests import (
    ANSWER_BYTES,
    ANSWER_WITHIN_S,
    REQUEST_BYTES,
    Answer,
    AnyRequest,
    decode_request,
    encode,
    refused,
)
from .control_socket import open_door

CALLERS = 8
BREATH_S = 0.5
SILENCE_S = 10.0
"""A caller that says nothing for so long is hung up on."""

Carry = Callable[[AnyRequest], Awaitable[Answer]]

log = logging.getLogger("ordersmith.control")


async def serve_control(
    journal: Path, carry: Carry, *, task_status: TaskStatus[Path] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Answer callers until cancelled, then leave no socket behind. Started when it can be called; the value is its path.

    Raises ConfigError if there cannot be a socket.
    """
    with open_door(journal) as (door, path):
        task_status.started(path)
        desk = _Desk(carry)
        async with anyio.create_task_group() as group:
            while True:
                caller = await _next_caller(door)
                group.start_soon(desk.speak_with, caller)


async def _next_caller(door: socket.socket) -> socket.socket:
    while True:
        await anyio.wait_readable(door)
        try:
            caller, _ = door.accept()
        except BlockingIOError:
            continue
        except OSError as error:  # no descriptors are left, mostly; a caller is not worth the service
            log.warning("control.refused: %s", error)
            await anyio.sleep(BREATH_S)
            continue
        caller.setblocking(False)
        return caller


class _Desk:
    """Speaks with callers, a few at a time, and one request at a time with each."""

    def __init__(self, carry: Carry) -> None:
        self._carry = carry
        self._callers = 0

    async def speak_with(self, caller: socket.socket) -> None:
        self._callers += 1
        try:
            with caller, suppress(OSError):  # however a caller's end shows
                if self._callers > CALLERS:
                    await _say(caller, refused(f"{CALLERS} others are asking; try again"))
                else:
                    await self._converse(caller)
        finally:
            self._callers -= 1

    async def _converse(self, caller: socket.socket) -> None:
        heard = bytearray()
        while True:
            line, end, rest = heard.partition(b"\n")
            if end:
                heard = rest
                await _say(caller, await self._answered(bytes(line)))
            elif len(heard) > REQUEST_BYTES:
                await _say(caller, refused(f"a request is a line of at most {REQUEST_BYTES} bytes"))
                return
            else:
                part = await _heard(caller)
                if not part:
                    return
                heard += part

    async def _answered(self, line: bytes) -> Answer:
        try:
            request = decode_request(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return refused(f"not understood: {error}")
        try:
            with anyio.move_on_after(ANSWER_WITHIN_S):
                return await self._carry(request)
        except OrdersmithError as error:
            return refused(str(error))
        except Exception:
            log.exception("control.failed")
            return refused("a defect of Ordersmith; the service's log has it")
        return refused(f"no answer within {ANSWER_WITHIN_S:g} s; it may still be carried out, ask for the status")


async def _heard(caller: socket.socket) -> bytes:
    """Return what the caller says next, nothing for one who has hung up or says nothing for long."""
    with anyio.move_on_after(SILENCE_S):
        while True:
            await anyio.wait_readable(caller)
            with suppress(BlockingIOError):
                return caller.recv(REQUEST_BYTES)
    return b""


async def _say(caller: socket.socket, answer: Answer) -> None:
    line = encode(answer)
    if len(line) >= ANSWER_BYTES:
        line = encode(msgspec.structs.replace(answer, result=None))
    left = memoryview(line + b"\n")
    with anyio.move_on_after(SILENCE_S):
        while left:
            await anyio.wait_writable(caller)
            with suppress(BlockingIOError):
                left = left[caller.send(left) :]
