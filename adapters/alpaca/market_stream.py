"""One connection to Alpaca's stream of market data, through the SDK's own stream class.

The SDK's loop is not used, only what it is made of: that loop spins when there is no subscription, tries a refused key for ever, and
says neither when it is up nor when it is down. Here `serve` is one connection: it ends with an exception that says why, and whoever
called it decides about the next. All of it lives in the asyncio island, and what comes is handed over as it came.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import msgspec
from alpaca.data.live import StockDataStream

from ...actors.errors import OrdersmithError
from ..asyncio_island import heed_cancellation
from .access import Access

OPEN_S = 10.0
"""For the connection, the key and the acknowledgement of the subscription together."""

CLOSE_S = 0.5
PING_S = 5.0

CHANNELS = ("trades", "quotes", "bars", "updatedBars")
SYMBOLS_A_MESSAGE = 15
"""Trades and quotes of so many are the 30 channels that the free plan streams; a message that asks for more is refused as a whole."""

DATA = frozenset("tqbu")
UP, TROUBLE = "up", "trouble"

REFUSED = {401: "not authenticated", 402: "auth failed", 408: "v2 not enabled", 409: "insufficient subscription"}
"""Errors of the stream that another try does not cure; docs.alpaca.markets, "Real-time Stock Data"."""

SYMBOL_LIMIT = 405
CONNECTION_LIMIT = "connection limit exceeded"


class StreamRefused(OrdersmithError):
    """Alpaca does not serve this key, or not this feed: a person must act."""


class StreamLost(OrdersmithError):
    """The connection ended or never came up; the message says why. Another may come up."""


Put = Callable[[str, Any], None]
"""Takes (`T` of the message, the message), (UP, symbols) once subscribed, or (TROUBLE, text). Called in the island's thread."""


class MarketStream(StockDataStream):
    """Trades, quotes and minute bars of some symbols, for one connection."""

    def __init__(
        self,
        access: Access,
        symbols: Iterable[str],
        put: Put,
        *,
        ping_s: float = PING_S,
        open_s: float = OPEN_S,
    ) -> None:
        super().__init__(
            access.key.reveal(),
            access.secret.reveal(),
            raw_data=True,
            url_override=access.data_stream_url,
            websocket_params={
                "ping_interval": ping_s,
                "ping_timeout": ping_s,
                "open_timeout": open_s / 2,
                "close_timeout": CLOSE_S,
                "max_queue": 1024,
                "logger": _quiet_logger(),
            },
        )
        self._symbols = dict.fromkeys(symbols)
        self._hand_over = put
        self._open_s = open_s
        self._opening: asyncio.Timeout | None = None
        self.is_up = False

    async def serve(self) -> None:
        """Be one connection until it ends, which raises StreamRefused or StreamLost; a cancelled one is closed, too."""
        if not self._symbols:
            raise ValueError("market data were asked for without a symbol; name one before the stream starts")
        self._should_run = True
        try:
            async with asyncio.timeout(self._open_s) as self._opening:
                await self._start_ws()
                await self._send_subscribe_msg()
                self._running = True
                await self._consume()
            raise StreamLost(f"no market data came for {self._data_timeout} s, though there were some")
        except (StreamRefused, StreamLost):
            raise
        except TimeoutError:
            raise StreamLost(f"Alpaca did not answer within {self._open_s:g} s") from None
        except Exception as error:  # noqa: BLE001 - whatever ends a connection, another is tried
            raise _why(error) from None
        finally:
            self.is_up = self._running = False
            await self._hang_up()

    async def add(self, symbols: Iterable[str]) -> None:
        """Subscribe to more symbols, at once if the connection is up, else with it."""
        new = [symbol for symbol in symbols if symbol not in self._symbols]
        self._symbols.update(dict.fromkeys(new))
        if self._running and new:
            await self._subscribe_to(new)

    async def watch_silence(self, seconds: float | None) -> None:
        """Count a connection that has brought nothing for so long as dead, as the SDK's `data_timeout` does; None: do not.

        Silence alone proves nothing, the market may be closed: it counts while another source shows that prices move.
        """
        self._data_timeout = seconds

    @property
    def has_brought_data(self) -> bool:
        """Whether any market data came over this connection."""
        return bool(self._data_received)

    # --- What the SDK calls ------------------------------------------------------------------------------------------

    async def _auth(self) -> None:
        try:
            await super()._auth()
        except ValueError as error:
            text = str(error)
            if any(refusal in text for refusal in REFUSED.values()):
                raise StreamRefused(text) from None
            raise StreamLost(text) from None

    async def _send_subscribe_msg(self) -> None:
        await self._subscribe_to(list(self._symbols))

    async def _subscribe_to(self, symbols: list[str]) -> None:
        socket: Any = self._ws
        for at in range(0, len(symbols), SYMBOLS_A_MESSAGE):
            some = symbols[at : at + SYMBOLS_A_MESSAGE]
            message = {"action": "subscribe", **dict.fromkeys(CHANNELS, some)}
            await socket.send(msgspec.msgpack.encode(message))

    async def _dispatch(self, msg: dict[str, Any]) -> None:
        heed_cancellation()
        kind = msg.get("T")
        if kind in DATA:
            if isinstance(msg.get("S"), str):
                self._hand_over(kind, msg)
        elif kind == "subscription":
            self._acknowledged(msg)
        elif kind == "error":
            self._complained(msg.get("code"), str(msg.get("msg", "no text")))

    # --- Parts -------------------------------------------------------------------------------------------------------

    def _acknowledged(self, message: dict[str, Any]) -> None:
        """Take the whole subscription as it now is. The stream is up when there is something in it."""
        subscribed = message.get("quotes") or message.get("trades")
        if not subscribed or self._opening is None:
            return
        self._opening.reschedule(None)
        if not self.is_up:
            self.is_up = True
            self._hand_over(UP, tuple(subscribed))

    def _complained(self, code: Any, text: str) -> None:
        if code in REFUSED:
            raise StreamRefused(f"{text} ({code})")
        if code != SYMBOL_LIMIT:
            raise StreamLost(f"Alpaca says: {text} ({code})")
        limited = "the plan streams no more symbols than it has; the prices of the others are asked for by REST"
        self._hand_over(TROUBLE, f"{text} ({code}): {limited}")

    async def _hang_up(self) -> None:
        """Close the connection, by force if it does not answer: one that is left open counts against the limit of connections."""
        socket: Any = self._ws
        if socket is None:
            return
        try:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_S):
                    await self.close()
        finally:
            transport = getattr(socket, "transport", None)
            if transport is not None:
                transport.abort()


def _why(error: Exception) -> StreamRefused | StreamLost:
    status = getattr(error, "status_code", None)
    if status in {401, 403}:
        return StreamRefused(f"HTTP {status}")
    return StreamLost(f"{type(error).__name__}: {error}")


def _quiet_logger() -> logging.Logger:
    """Return the logger of the connections. The library's own writes every frame at DEBUG, the secret among them."""
    logger = logging.getLogger("ordersmith.alpaca.market_stream")
    logger.setLevel(logging.WARNING)
    return logger
