"""Alpaca's market data as a test says it: REST and stream on loopback, in a thread with an event loop of its own.

It knows nothing and decides nothing: it answers with what it was given, in Alpaca's form, and remembers what it was asked. Written
from facts and documentation, independent of the sandbox, so that adapter and sandbox do not share one misunderstanding.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
from aiohttp import WSMsgType, web

from ordersmith.adapters.alpaca.access import Access
from ordersmith.config.secrets import Secret

KEY, SECRET = "PKSCRIPTED", "s3cr3t-of-the-scripted-server"
PATIENCE_S = 20.0

ERRORS = {
    401: "not authenticated",
    402: "auth failed",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    409: "insufficient subscription",
    500: "internal error",
}


def stamp(at_ns: int) -> msgpack.Timestamp:
    """Return a stamp as the stream has it: msgpack extension -1."""
    return msgpack.Timestamp.from_unix_nano(at_ns)


class Connection:
    """One connection to the stream, as the server saw it."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.frames: list[Any] = []
        self.symbols: dict[str, None] = {}
        self.is_subscribed = False
        self.is_closed = False
        self.at_s = asyncio.get_running_loop().time()

    @property
    def auths(self) -> int:
        return sum(frame.get("action") == "auth" for frame in self.frames)


class ScriptedData:
    """What it answers are its attributes; a test sets them before it asks. `until` waits for what the server has seen."""

    def __init__(self) -> None:
        self.bars: dict[str, list[dict[str, Any]]] = {}
        self.page = 2
        self.quotes: dict[str, dict[str, Any]] = {}
        self.trades: dict[str, dict[str, Any]] = {}
        self.answers: deque[tuple[int, Any, dict[str, str]] | str] = deque()
        """Answers that come before all others: (status, body, headers), or "hang"."""
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []
        self.auth_errors: deque[int] = deque()
        """Codes that the next authentications are answered with."""
        self.subscribe_error = 0
        self.acknowledges = True
        self.answers_pings = True
        self.connections: list[Connection] = []
        self.port = 0
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop
        self._leave: asyncio.Event
        self._begun = threading.Event()

    # --- For tests -----------------------------------------------------------------------------------------------------

    def access(self, feed: str = "iex", key: str = KEY, port: int = 0) -> Access:
        port = port or self.port
        return Access(
            key=Secret(key),
            secret=Secret(SECRET),
            paper=True,
            base_url=f"http://127.0.0.1:{port}",
            stream_url=f"ws://127.0.0.1:{port}/stream",
            data_url=f"http://127.0.0.1:{port}",
            data_stream_url=f"ws://127.0.0.1:{port}/v2/{feed}",
            feed=feed,
        )

    def until(self, holds: Callable[[ScriptedData], Any], patience_s: float = PATIENCE_S) -> None:
        """Block until the condition holds; for a worker thread."""
        with self._changed:
            assert self._changed.wait_for(lambda: holds(self), patience_s), "what the test waits for did not happen"

    def send(self, *messages: dict[str, Any]) -> None:
        """Send one frame over every subscribed connection that is open."""
        frame = msgpack.packb(list(messages))

        async def send() -> None:
            for connection in self.live():
                await connection.socket.send_bytes(frame)

        self._call(send())

    def drop(self) -> None:
        """Cut every connection."""

        async def cut() -> None:
            for connection in self.live():
                transport = connection.socket._req.transport
                if transport is not None:
                    transport.abort()

        self._call(cut())

    def live(self) -> list[Connection]:
        return [each for each in self.connections if each.is_subscribed and not each.is_closed]

    def asked_of(self, part: str) -> list[dict[str, str]]:
        return [query for path, query in self.asked if part in path]

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    # --- REST ----------------------------------------------------------------------------------------------------------

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, dict(request.query)))
        self.headers.append(dict(request.headers))
        self._note()
        scripted = self.answers.popleft() if self.answers else None
        if scripted == "hang":
            await self._leave.wait()
        if isinstance(scripted, tuple):
            status, body, headers = scripted
            if isinstance(body, str):
                return web.Response(status=status, text=body, content_type="text/html", headers=headers)
            return web.json_response(body, status=status, headers=headers)
        if request.headers.get("APCA-API-SECRET-KEY") != SECRET or request.headers.get("APCA-API-KEY-ID") != KEY:
            return web.json_response({"message": "forbidden."}, status=403)
        return web.json_response(self._answer(request.path, request.query))

    def _answer(self, path: str, query: Any) -> dict[str, Any]:
        symbols = query["symbols"].split(",")
        if path.endswith("/bars"):
            return self._bars(symbols, query)
        kind = "quotes" if "quotes" in path else "trades"
        known = getattr(self, kind)
        return {kind: {symbol: known[symbol] for symbol in symbols if symbol in known}}

    def _bars(self, symbols: list[str], query: Any) -> dict[str, Any]:
        """Page as Alpaca does: sorted by symbol and then by time, `end` included."""
        rows = [
            (symbol, bar)
            for symbol in sorted(symbols)
            for bar in self.bars.get(symbol, ())
            if query["start"][:19] <= bar["t"][:19] <= query["end"][:19]
        ]
        begin = int(query.get("page_token", 0))
        size = min(self.page, int(query["limit"]))
        found: dict[str, list[Any]] = {}
        for symbol, bar in rows[begin : begin + size]:
            found.setdefault(symbol, []).append(bar)
        more = begin + size < len(rows)
        return {"bars": found, "next_page_token": str(begin + size) if more else None}

    # --- The stream ----------------------------------------------------------------------------------------------------

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        connection = Connection(socket)
        self.connections.append(connection)
        self._note()
        try:
            await self._say(socket, {"T": "success", "msg": "connected"})
            async for message in socket:
                if message.type is WSMsgType.PING:
                    if self.answers_pings:
                        await socket.pong(message.data)
                elif message.type is WSMsgType.BINARY:
                    await self._take(connection, msgpack.unpackb(message.data))
        finally:
            connection.is_closed = True
            self._note()
        return socket

    async def _take(self, connection: Connection, frame: dict[str, Any]) -> None:
        connection.frames.append(frame)
        if frame["action"] == "auth":
            good = (frame["key"], frame["secret"]) == (KEY, SECRET)
            code = self.auth_errors.popleft() if self.auth_errors else 0 if good else 402
            said = {"T": "error", "code": code, "msg": ERRORS[code]} if code else None
            await self._say(connection.socket, said or {"T": "success", "msg": "authenticated"})
        elif frame["action"] == "subscribe":
            if self.subscribe_error:
                code = self.subscribe_error
                await self._say(connection.socket, {"T": "error", "code": code, "msg": ERRORS[code]})
            elif self.acknowledges:
                connection.symbols.update(dict.fromkeys(frame["quotes"]))
                connection.is_subscribed = True
                names = list(connection.symbols)
                await self._say(
                    connection.socket, {"T": "subscription", "trades": names, "quotes": names, "bars": names}
                )
        self._note()

    async def _say(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        await socket.send_bytes(msgpack.packb([message]))

    def _note(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # --- The thread ----------------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_get("/v2/stocks/{tail:.*}", self._rest)
        app.router.add_get("/v2/{feed:iex|sip}", self._stream)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._begun.set()
        await self._leave.wait()
        # A thread that was left behind may still ask. Closing a server while it accepts leaks the connection, so take no more first.
        for listening in site._server.sockets:
            self._loop.remove_reader(listening.fileno())
        while (handlers := runner.server.connections if runner.server else []) or len(asyncio.all_tasks()) > 1:
            for handler in handlers:
                if handler.transport is not None:
                    handler.transport.abort()
            await asyncio.sleep(0)
        await runner.cleanup()


@contextmanager
def scripted_data() -> Iterator[ScriptedData]:
    """Run a server for the length of a block."""
    server = ScriptedData()
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="scripted-alpaca-data")
    thread.start()
    try:
        assert server._begun.wait(PATIENCE_S)
        yield server
    finally:
        server._loop.call_soon_threadsafe(server._leave.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
