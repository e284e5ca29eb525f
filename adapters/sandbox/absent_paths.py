"""What the sandbox answers under a path, or to a method, that it does not have: JSON as Alpaca sends it, saying so.

A program that asks for something that only the real Alpaca has must learn that from the answer, and not take it for an account
without it. No keys are asked for, and nothing is counted.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from .alpaca_refusal import ABSENT
from .http_front import Handler
from .office import Office
from .stamps import now_ns

NOT_ALLOWED = 40510000
HAS = (
    "it has orders, positions, the account and its activities, assets, clock and calendar under /v2, market data of stocks under "
    "/v2/stocks, the streams /stream, /v2/iex and /v2/sip, and its own requests under /sandbox, such as /sandbox/state"
)


def absent(office: Office) -> Handler:
    """Return the handler of every path that nothing else serves."""

    async def handle(request: web.Request) -> web.StreamResponse:
        entry = office.log.begin(now_ns(), request.method, request.path, dict(request.query), None)
        asked, methods = f"{request.method} {request.path}", await _methods(request)
        entry.acted = "refused"
        if methods:
            entry.status, entry.code = 405, NOT_ALLOWED
            text = f"method not allowed: {asked}; the sandbox has {', '.join(methods)} of this path"
            return _told(405, NOT_ALLOWED, text, Allow=", ".join(methods))
        entry.status, entry.code = 404, ABSENT
        return _told(404, ABSENT, f"not found: {asked}; the sandbox does not have this path: {HAS}")

    return handle


async def _methods(request: web.Request) -> list[str]:
    """Return with which methods there is something under the path."""
    found: set[str] = set()
    for resource in request.app.router.resources():
        _, methods = await resource.resolve(request)
        found |= methods
    return sorted(found - {"*"})


def _told(status: int, code: int, text: str, **headers: str) -> web.Response:
    body = msgspec.json.encode({"code": code, "message": text})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
