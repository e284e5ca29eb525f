"""An Alpaca of a few lines that does what a test tells it, for what the sandbox is too well-behaved to do.

with scripted_alpaca() as alpaca:
    alpaca.answer("POST", "/v2/orders", 504, count=9)
    ... a client of alpaca.access() ...
    assert len(alpaca.seen("POST")) == 1

REST answers are those that were put in, first in first out, the last one for ever; the stream accepts the key, acknowledges,
and says what `say` is given. It runs in a thread with a loop of its own, on the loopback alone.
"""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from aiohttp import WSCloseCode, WSMsgType, web

from ordersmith.adapters.alpaca.access import Access, access
from ordersmith.config.secrets import Secret

KEY, SECRET = "PKSCRIPTED", "the-secret-of-the-script"
PATIENCE_S = 10.0
ACCOUNT = {"id": "x", "account_number": "PA1", "status": "ACTIVE", "cash": "1000"}


class Scripted(NamedTuple):
    """An answer: its status, its body, its headers. `hang` says nothing for so long; `drop` cuts the connection."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed
    hang_s: float = 0.0
    drop: bool = False


class Seen(NamedTuple):
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    at: float


class ScriptedAlpaca:
    """What a test holds in its hands. Methods may be called from any thread."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.sockets = 0
        self.handshakes = 0
        self.auth_status = "authorized"
        self.acknowledges = True
        self.garbles = False
        self.handshake_status = 0
        self.pongs = True
        self.before_answer: Callable[[Seen], list[Any]] = lambda seen: []
        self._answers: dict[tuple[str, str], deque[Scripted]] = defaultdict(deque)
        self._links: list[web.WebSocketResponse] = []
        self._loop: asyncio.AbstractEventLoop
        self._port = 0
        for path, body in (("/v2/account", ACCOUNT), ("/v2/positions", []), ("/v2/assets", []), ("/v2/orders", [])):
            self.answer("GET", path, body=body)
        self.answer("GET", "/v2/account/activities", body=[])
        self.answer("GET", "/v2/account/activities/FILL", body=[])

    # --- Script --------------------------------------------------------------------------------------------------------

    def access(self, **changes: Any) -> Access:
        there = f"127.0.0.1:{self._port}"
        terms: dict[str, Any] = {
            "paper": True,
            "base_url": f"http://{there}",
            "stream_url": f"ws://{there}/stream",
            **changes,
        }
        return access(Secret(KEY), Secret(SECRET), **terms)

    def answer(
        self, method: str, path: str, status: int = 200, *, body: Any = None, first: bool = False, **more: Any
    ) -> None:
        """Put an answer behind those that are there, or before them."""
        made = Scripted(status, body, **more)
        put = self._answers[method, path].appendleft if first else self._answers[method, path].append
        put(made)

    def only(self, method: str, path: str, status: int = 200, *, body: Any = None, **more: Any) -> None:
        """Answer so from now on."""
        self._answers[method, path].clear()
        self.answer(method, path, status, body=body, **more)

    def say(self, *events: Any) -> None:
        """Send updates to whoever listens; text goes as it is."""
        asyncio.run_coroutine_threadsafe(self._say(list(events)), self._loop).result(PATIENCE_S)

    def close_links(self, code: int = 1011) -> None:
        async def close() -> None:
            for link in list(self._links):
                await link.close(code=WSCloseCode(code))

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(PATIENCE_S)

    def seen(self, method: str, path: str = "") -> list[Seen]:
        return [each for each in self.requests if each.method == method and each.path.startswith(path)]

    def wait(self, holds: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end, "it never came"
            time.sleep(0.005)

    # --- Server --------------------------------------------------------------------------------------------------------

    async def rest(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        seen = Seen(
            request.method, request.path, dict(request.query), json.loads(text) if text else None, time.monotonic()
        )
        self.requests.append(seen)
        answers = self._answers[request.method, request.path]
        said = (
            answers[0]
            if len(answers) == 1
            else answers.popleft()
            if answers
            else Scripted(404, {"code": 40410000, "message": "no"})
        )
        if said.hang_s:
            await asyncio.sleep(said.hang_s)
        await self._say(self.before_answer(seen))
        if said.drop:
            transport = request.transport
            assert transport is not None
            transport.abort()
        body = said.body(seen) if callable(said.body) else said.body
        if isinstance(body, str):
            return web.Response(status=said.status, text=body, headers=said.headers, content_type="text/html")
        return web.Response(
            status=said.status, body=b"" if body is None else json.dumps(body).encode(), headers=said.headers
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        self.handshakes += 1
        if self.handshake_status:
            return web.Response(status=self.handshake_status)
        link = web.WebSocketResponse(autoping=self.pongs)
        await link.prepare(request)
        self.sockets += 1
        try:
            await self._serve(link)
        finally:
            self.sockets -= 1
            if link in self._links:
                self._links.remove(link)
        return link

    async def _serve(self, link: web.WebSocketResponse) -> None:
        async for message in link:
            if message.type is not WSMsgType.TEXT:
                continue
            asked = json.loads(message.data)
            if self.garbles:
                await link.send_bytes(b"<html>")
            elif asked["action"] == "authenticate":
                data: Any = {"action": "authenticate", "status": self.auth_status}
                await link.send_bytes(json.dumps({"stream": "authorization", "data": data}).encode())
            elif self.acknowledges:
                data = {"streams": asked["data"]["streams"]}
                await link.send_bytes(json.dumps({"stream": "listening", "data": data}).encode())
                self._links.append(link)

    async def _say(self, events: list[Any]) -> None:
        for event in events:
            frame = event if isinstance(event, str) else json.dumps({"stream": "trade_updates", "data": event})
            for link in list(self._links):
                await link.send_bytes(frame.encode())

    async def serve(self, begun: threading.Event, leave: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        app = web.Application()
        app.router.add_get("/stream", self.stream)
        app.router.add_route("*", "/{path:.*}", self.rest)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._port = runner.addresses[0][1]
        begun.set()
        await leave.wait()
        for link in list(self._links):
            await link.close()
        await site.stop()
        while (open_ := runner.server.connections if runner.server else []) or len(asyncio.all_tasks()) > 1:
            for connection in open_:  # also one that was accepted just now, and never said anything
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(0)
        await runner.cleanup()


def order_row(name: str = "one.0", status: str = "new", filled: str = "0", **fields: Any) -> dict[str, Any]:
    """Return an order to buy 10 A at 50, as Alpaca writes it."""
    return {
        "id": f"id-{name}",
        "client_order_id": name,
        "symbol": "A",
        "side": "buy",
        "qty": "10",
        "filled_qty": filled,
        "filled_avg_price": None if filled == "0" else "50",
        "type": "limit",
        "time_in_force": "day",
        "limit_price": "50",
        "status": status,
        "submitted_at": "2026-11-22T08:00:00Z",
        "legs": None,
        **fields,
    }


@contextmanager
def scripted_alpaca() -> Iterator[ScriptedAlpaca]:
    """Run one for the length of a block."""
    alpaca, begun = ScriptedAlpaca(), threading.Event()
    leave: list[asyncio.Event] = []

    async def live() -> None:
        leave.append(asyncio.Event())
        await alpaca.serve(begun, leave[0])

    thread = threading.Thread(target=lambda: asyncio.run(live()), name="scripted-alpaca", daemon=True)
    thread.start()
    assert begun.wait(PATIENCE_S)
    try:
        yield alpaca
    finally:
        alpaca._loop.call_soon_threadsafe(leave[0].set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        with (
            warnings.catch_warnings()
        ):  # of connections that were accepted at the last moment, and that no loop closes any more
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
