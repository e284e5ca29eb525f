"""One connection of a stream, and what may befall it: it may fall mute, go half open, be closed, or be cut.

Frames leave by a writer of their own, in the order in which they were given, so that a client that reads slowly holds up nobody.
Pings are answered here and not by the web server: a half-open connection is one on which nothing is answered any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web

Payload = str | bytes
FOREVER = float("inf")
FLUSH_S = 0.25
GONE_LOOK_S = 0.02
"""How often somebody looks whether the client is still there, where nothing tells."""


def is_gone(request: web.BaseRequest) -> bool:
    """Whether the client has closed the connection, or it was cut."""
    return request.transport is None or request.transport.is_closing()


def cut(request: web.BaseRequest) -> None:
    """End the connection as it is: nothing that waits to be sent is sent."""
    transport = request.transport
    if transport is not None:
        transport.abort()


async def until_gone(request: web.BaseRequest, seconds: float) -> bool:
    """Wait so long, or until the client is gone; return whether it is."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not is_gone(request):
        left = end - loop.time()
        if left <= 0:
            return False
        await asyncio.sleep(min(GONE_LOOK_S, left))
    return True


class Link:
    """A WebSocket that was accepted. `ready` once it has subscribed to something; `known` once it has authenticated."""

    def __init__(self, request: web.Request, number: int) -> None:
        self.number = number
        self.request = request
        self.packed = request.headers.get("Content-Type", "").startswith("application/msgpack")
        self.known = False
        self.ready = False
        self.streams: dict[str, set[str]] = {}
        self.sent = 0
        self._socket = web.WebSocketResponse(autoping=False, autoclose=False, compress=False, timeout=2.0)
        self._out: asyncio.Queue[Payload | float] = asyncio.Queue()
        self._held: list[Payload] = []
        self._mute_until = self._deaf_until = self._paused_until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def open(self) -> web.WebSocketResponse:
        await self._socket.prepare(self.request)
        self._start(self._write())
        return self._socket

    async def end(self) -> None:
        """Stop writing; what has not left is lost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- Reading -----------------------------------------------------------------------------------------------------------

    async def messages(self) -> AsyncIterator[Payload]:
        """Yield what the client says until it is gone. Pings are answered unless the connection is half open."""
        while True:
            message = await self._socket.receive()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    if not self.deaf:
                        yield message.data
                case WSMsgType.PING:
                    if not self.deaf:
                        with suppress(ConnectionError):
                            await self._socket.pong(message.data)
                case WSMsgType.PONG:
                    pass
                case WSMsgType.CLOSE if self.deaf:
                    await until_gone(self.request, FOREVER)
                    return
                case _:
                    await self._socket.close()
                    return

    # --- Writing -----------------------------------------------------------------------------------------------------------

    @property
    def deaf(self) -> bool:
        """Half open: nothing arrives and nothing is answered."""
        return self._loop.time() < self._deaf_until

    @property
    def silent(self) -> bool:
        """Whether what is said from now on is lost; what was said before is on its way."""
        return self.deaf or self._loop.time() < self._mute_until

    def send(self, payload: Payload) -> None:
        """Send this, and after it what was held back."""
        if self.silent:
            return
        for each in (payload, *self._held):
            self._out.put_nowait(each)
        self._held.clear()

    def hold(self, payload: Payload, seconds: float) -> None:
        """Hold this back until the next one has been sent, or for so long."""
        if not self.silent:
            self._held.append(payload)
            self._loop.call_later(seconds, self._let_go, payload)

    def later(self, payload: Payload, seconds: float) -> None:
        self._loop.call_later(seconds, self.send, payload)

    def pause(self, seconds: float) -> None:
        """Send nothing for so long: what comes is late, in order."""
        self._paused_until = self._loop.time() + seconds
        self._out.put_nowait(seconds)

    async def flush(self) -> None:
        """Return when all has left, or after a moment: nobody waits long for a slow reader, nor at all for a paused one."""
        if not self.silent and self._loop.time() >= self._paused_until:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._out.join()

    def _let_go(self, payload: Payload) -> None:
        if payload in self._held:
            self._held.remove(payload)
            if not self.silent:
                self._out.put_nowait(payload)

    async def _write(self) -> None:
        while True:
            item = await self._out.get()
            try:
                if isinstance(item, float):
                    await asyncio.sleep(item)
                elif not self._socket.closed:
                    await (self._socket.send_bytes(item) if isinstance(item, bytes) else self._socket.send_str(item))
                    self.sent += 1
            except ConnectionError:
                pass  # the client is gone; the reader sees it too
            finally:
                self._out.task_done()

    # --- What befalls it ---------------------------------------------------------------------------------------------------

    def befall(self, name: str, seconds: float | None) -> None:
        """Commit a fault of standing connections; with no seconds one that lasts does so for the connection's life."""
        BEFALL[name.removeprefix("data_")](self, self._loop.time() + (FOREVER if seconds is None else seconds))

    def mute(self, until: float) -> None:
        self._mute_until = until

    def half_open(self, until: float) -> None:
        self._deaf_until = until

    def recover(self) -> None:
        """Be an ordinary connection again. What was lost meanwhile stays lost."""
        self._mute_until = self._deaf_until = 0.0

    def close(self, code: int, text: str = "") -> None:
        """Close it from here, soon."""
        self._start(self._close(code, text))

    def cut(self) -> None:
        cut(self.request)

    async def _close(self, code: int, text: str) -> None:
        await self.flush()
        with suppress(ConnectionError):
            await self._socket.close(code=code, message=text.encode())

    def _start(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


BEFALL: dict[str, Callable[[Link, float], None]] = {
    "mute": Link.mute,
    "silence": Link.mute,
    "half_open": Link.half_open,
    "close_1011": lambda link, _: link.close(1011, "internal error"),
    "cut": lambda link, _: link.cut(),
}
