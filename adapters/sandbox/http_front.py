"""The way of a request: who sends it, how many that makes, which fault strikes it, what is done, and what the client sees of it.

A fault decides two things apart from each other: whether the request is acted upon, and what comes back. Everything is in the log
before it happens.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from .alpaca_refusal import Refusal
from .fault_book import Standing
from .office import Office
from .sandbox_config import PREFIX
from .stamps import NS, now_ns
from .stream_link import cut, until_gone
from .trade_stream import MYSTERY

HTML = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"
UNAUTHORIZED = {"message": "unauthorized"}
FORBIDDEN = {"message": "forbidden."}
TOO_MANY = {"message": "too many requests."}


class Answer(NamedTuple):
    """An HTTP status and what goes with it; None for no body."""

    status: int
    body: Any = None


class Call(NamedTuple):
    """A request as a route sees it: what the path names, the query, and the body."""

    now_ns: int
    named: Mapping[str, str]
    query: Mapping[str, str]
    body: Any

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("true", "1")

    def listed(self, name: str) -> tuple[str, ...]:
        """Return the items of a value such as `AAPL,MSFT`."""
        return tuple(item.strip() for item in self.query.get(name, "").split(",") if item.strip())

    def whole(self, name: str, otherwise: int, most: int) -> int:
        """Return a whole number from 1 to `most`. Raises Refusal."""
        text = self.query.get(name) or str(otherwise)
        if not text.isdigit() or not 1 <= int(text) <= most:
            raise Refusal(422, 40010001, f"{name} must be a whole number from 1 to {most}, and is {text}")
        return int(text)


Act = Callable[[Office, Call], Answer | Awaitable[Answer]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Front:
    """Makes handlers of a web server out of what the sandbox does."""

    def __init__(self, office: Office) -> None:
        self.office = office

    def handler(self, act: Act, *, host: str) -> Handler:
        """Return the handler of a route; `host` is the one that Alpaca has it on, which counts its requests by itself."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await _Visit(self.office, request, act, host).serve()

        return handle


class _Visit:
    """One request on its way."""

    def __init__(self, office: Office, request: web.Request, act: Act, host: str) -> None:
        self.office = office
        self.request = request
        self.act = act
        self.host = host
        self.headers: dict[str, str] = {}
        self.path = request.path

    async def serve(self) -> web.StreamResponse:
        office, request = self.office, self.request
        try:
            body, readable = read_json(await request.read()), True
            if not (body is None or isinstance(body, dict)):
                body, readable = None, False
        except ValueError:
            body, readable = None, False
        except ConnectionError:
            return self._cut()  # the client was gone before it had said what it wants
        query = dict(request.query)
        entry = self.entry = office.log.begin(now_ns(), request.method, self.path, query, body)
        entry.order_id = request.match_info.get("order_id")
        refused = self._refused()
        if refused is not None:
            return await self._send(refused)
        if not readable:
            return await self._send(Answer(400, {"code": 40010000, "message": "request body format is invalid"}))
        call = Call(now_ns(), request.match_info, query, body)
        struck = office.faults.at_request(call.now_ns, request.method, self.path)
        if struck is None:
            return await self._send(await self._acted(call))
        entry.fault = struck.name
        return await self._struck(struck, call)

    def _refused(self) -> Answer | None:
        """Return the answer to who has no keys, or wrong ones, or comes too often."""
        key = self.request.headers.get("APCA-API-KEY-ID", "")
        secret = self.request.headers.get("APCA-API-SECRET-KEY", "")
        if not key or not secret:
            return Answer(401, UNAUTHORIZED)
        if not key.startswith(PREFIX[self.office.config.kind]) or secret != self.office.config.secret:
            return Answer(403, FORBIDDEN)
        standing = self.office.limit.take(f"{self.host} {key}", now_ns())
        self.headers |= standing.headers()
        return None if standing.passes else Answer(429, TOO_MANY)

    # --- Acting ------------------------------------------------------------------------------------------------------------

    async def _acted(self, call: Call) -> Answer:
        """Do it, and say what came of it."""
        try:
            answer = self.act(self.office, call)
            if inspect.isawaitable(answer):
                answer = await answer
        except Refusal as refusal:
            answer = Answer(refusal.status, refusal.body)
        self.entry.acted = "yes" if answer.status < 400 else "refused"
        return answer

    async def _later(self, call: Call, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._acted(call._replace(now_ns=now_ns()))
        self._publish()

    def _publish(self) -> None:
        self.office.publish(changed=self.request.method != "GET")

    # --- Faults ------------------------------------------------------------------------------------------------------------

    async def _struck(self, struck: Standing, call: Call) -> web.StreamResponse:
        seconds = struck.seconds or 0.0
        answer = Answer(500)
        match struck.kind.acts:
            case "yes":
                answer = await self._acted(call)
                self._publish()
            case "late":
                self.entry.acted = "late"
                self.office.start(self._later(call, seconds))
        return await self._spoilt(struck.kind.replies, seconds, answer)

    async def _spoilt(self, replies: str, seconds: float, answer: Answer) -> web.StreamResponse:
        """Send what a fault leaves of an answer."""
        match replies:
            case "cut":
                return self._cut()
            case "nothing":
                await until_gone(self.request, seconds)
                return self._cut()
            case "late":
                if await until_gone(self.request, seconds):
                    return self._cut()
            case "half a body":
                text = _encoded(answer.body) or b"{}"
                return self._plain(answer.status, text[: len(text) // 2].decode(errors="ignore"), "application/json")
            case "504":
                return self._plain(504, HTML.format("504 Gateway Time-out"), "text/html")
            case "502 in HTML":
                return self._plain(502, HTML.format("502 Bad Gateway"), "text/html")
            case "429":
                self.headers |= {
                    "X-RateLimit-Remaining": "0",
                    "X-RateLimit-Reset": str(now_ns() // NS + max(int(seconds), 1)),
                }
        return await self._send(_in_place(replies, answer, self.path), publish=False)

    def _cut(self) -> web.StreamResponse:
        """End the connection. What is returned reaches nobody."""
        cut(self.request)
        return web.Response(status=499)

    def _plain(self, status: int, text: str, content_type: str) -> web.Response:
        self.entry.status = status
        return web.Response(status=status, text=text, content_type=content_type, headers=self.headers)

    # --- Answering ---------------------------------------------------------------------------------------------------------

    async def _send(self, answer: Answer, *, publish: bool = True) -> web.StreamResponse:
        """Answer, before or after the events of what was done."""
        self.entry.status = answer.status
        if isinstance(answer.body, dict):
            self.entry.code = answer.body.get("code")
        body = _encoded(answer.body)
        response = web.Response(
            status=answer.status,
            body=body,
            headers=self.headers,
            content_type="application/json" if body is not None else None,
        )
        if not publish:
            return response
        if self.office.config.events_first:
            self._publish()
            await self.office.trade.flush()
        else:
            with suppress(ConnectionError):
                await response.prepare(self.request)
                await response.write_eof()
            self._publish()
        return response


def _in_place(replies: str, answer: Answer, path: str) -> Answer:
    """Return the answer that a fault puts in the place of the true one."""
    match replies:
        case "500":
            return Answer(500, {"code": 50010000, "message": "internal server error occurred"})
        case "429":
            return Answer(429, TOO_MANY)
        case "404":
            return Answer(404, {"code": 40410000, "message": f"not found: {path}"})
        case "[]":
            return Answer(200, [])
        case "403":
            return Answer(403, FORBIDDEN)
        case "unknown status":
            return Answer(answer.status, _with_unknown_status(answer.body))
    return answer


def _with_unknown_status(body: Any) -> Any:
    if isinstance(body, list):
        return [_with_unknown_status(item) for item in body]
    return {**body, "status": MYSTERY} if isinstance(body, dict) and "status" in body else body


def read_json(raw: bytes) -> Any:
    """Read a body: JSON, or nothing, which is None. Raises ValueError."""
    try:
        return json.loads(raw) if raw.strip() else None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _encoded(body: Any) -> bytes | None:
    return None if body is None else msgspec.json.encode(body)
