"""The local Alpaca: one port of this machine for orders, trade updates, market data and the admin requests.

It binds the loopback address and no other. Everything runs in the event loop that starts it, which is asyncio's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from ...actors.errors import DataError
from . import admin_routes, data_routes, trading_routes
from .absent_paths import absent
from .bar_tape import BarTape
from .http_front import Front
from .office import Office
from .sandbox_config import HOST, Addresses, SandboxConfig, addresses
from .stamps import NS, now_ns
from .tape import NoTape, Span, Tape
from .walk_tape import WalkTape

SHORTEST_S = 0.02
"""No span is played faster: a bar in less is not seen by anybody."""

FEWEST_STEPS, MOST_STEPS = 4, 60
STOP_S = 1.0


class AlpacaSandbox:
    """A sandbox that can be started once, and stopped."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.tape = tape_of(config)
        self.office: Office
        self._runner: web.AppRunner

    async def start(self) -> Addresses:
        """Take up the account, open the port, let the market move. Raises DataError for a file or a port that cannot be used."""
        self.office = Office(self.config, self.tape)
        self._runner = web.AppRunner(
            _application(self.office), access_log=None, handle_signals=False, shutdown_timeout=STOP_S
        )
        self.office.open()
        self.office.tick(self.tape.opening(now_ns()))
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self.config.port).start()
        except OSError as error:
            await self.stop()
            raise DataError(f"--alpaca {self.config.port}: the port cannot be opened: {error.strerror}") from error
        self.office.start(self._play())
        port: int = self._runner.addresses[0][1]
        return addresses(port)

    async def stop(self) -> None:
        """Write the account down, close what is open, and give the port back."""
        await self.office.close()
        await self._runner.cleanup()

    async def __aenter__(self) -> Addresses:
        return await self.start()

    async def __aexit__(self, *raised: object) -> None:
        await self.stop()

    # --- The market --------------------------------------------------------------------------------------------------------

    async def _play(self) -> None:
        """Play the tape, each step when it is due."""
        steps = min(max(round(60 / self.config.speed), FEWEST_STEPS), MOST_STEPS)
        for span in self.tape.spans(now_ns(), steps):
            for action in span.actions:
                self.office.act(action)
            began_ns = now_ns()
            async for prices in self._steps(span, began_ns):
                self.office.tick(prices)
            self.office.close_bar(began_ns, span)

    async def _steps(self, span: Span, began_ns: int) -> AsyncIterator[dict[str, float]]:
        """Yield the prices of each step at its time; the last at the span's end. Wait where the market was told to stand still."""
        step_s = max(span.seconds / self.config.speed, SHORTEST_S) / len(span.path)
        for number, prices in enumerate(span.path, start=1):
            due_s = (began_ns - now_ns()) / NS + number * step_s
            await asyncio.sleep(max(due_s, 0.0))
            await self.office.playing.wait()
            yield prices


def tape_of(config: SandboxConfig) -> Tape:
    """Return where the prices come from. Raises DataError."""
    if config.data is not None:
        return BarTape.load(config.data, timezone=config.timezone, again=config.again)
    if config.prices == "none":
        return NoTape()
    return WalkTape(config.symbols, config.seed)


def _application(office: Office) -> web.Application:
    logging.getLogger("aiohttp").setLevel(logging.ERROR)  # a client that hangs up is no news here
    application = web.Application(client_max_size=1 << 20)
    front = Front(office)
    for host, routes in (("trading", trading_routes.ROUTES), ("data", data_routes.ROUTES)):
        for method, path, act in routes:
            application.router.add_route(method, path, front.handler(act, host=host))
    for method, path, do in admin_routes.ROUTES:
        application.router.add_route(method, path, admin_routes.handler(office, do))
    application.router.add_get("/stream", office.trade.serve)
    application.router.add_get("/v2/iex", office.data.serve)
    application.router.add_get("/v2/sip", office.data.serve)
    application.router.add_route("*", "/{path:.*}", absent(office))  # what nothing above has taken
    return application
