"""The stream of trade updates: the SDK's, one connection at a time, with a beginning that is proved and an end that is told.

The SDK's own loop connects for ever, also with a key that is refused, says nothing of a gap, and leaves its socket open when it is
cancelled. So its parts are used, and not its loop: `TradeUpdates.live` is one connection, from the first byte to a closed socket. It runs
on asyncio, in an island; what it has to say goes to functions of the host.

UP is Alpaca's acknowledgement of `listen`. The frames of the log of the websocket library contain the secret: it gets a logger of its
own, which nobody can turn up.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from alpaca.trading.stream import TradingStream
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.legacy.exceptions import InvalidStatusCode

from ...actors.errors import BrokerAuthError, BrokerUnavailable
from ..asyncio_island import heed_cancellation
from .access import Access

STREAM = "trade_updates"
CLOSE_S = 2.0
MAX_QUEUE = 1024


class Heartbeat(NamedTuple):
    """Seconds: how often the other side is asked whether it is there, how long it may take, and how long a connection may take to be up."""

    ping_s: float = 5.0
    pong_s: float = 5.0
    up_s: float = 10.0


class TradeUpdates:
    """One connection. `up` is called when it listens, `heard` with the data of each update, both in the island's thread."""

    def __init__(
        self,
        access: Access,
        heartbeat: Heartbeat,
        up: Callable[[], object],
        heard: Callable[[dict[str, Any]], object],
    ) -> None:
        self._heartbeat = heartbeat
        self._ended = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None
        self._stream = _OneConnection(
            access.key.reveal(),
            access.secret.reveal(),
            paper=access.paper,
            raw_data=True,
            url_override=access.stream_url,
            websocket_params={
                "ping_interval": heartbeat.ping_s,
                "ping_timeout": heartbeat.pong_s,
                "close_timeout": CLOSE_S,
                "max_queue": MAX_QUEUE,
                "open_timeout": heartbeat.up_s,
                "logger": _SILENT,
            },
        )
        self._stream.up, self._stream.heard = up, heard

    async def live(self) -> None:
        """Connect and listen until that ends, which is always an error: BrokerAuthError or BrokerUnavailable, with the reason."""
        self._task = asyncio.current_task()
        stream = self._stream
        try:
            try:
                async with asyncio.timeout(self._heartbeat.up_s):
                    await stream.begin()
            except TimeoutError:
                raise BrokerUnavailable(f"not up within {self._heartbeat.up_s:g} s") from None
            await stream.consume()
        except ConnectionClosed as closed:
            raise BrokerUnavailable(f"closed by {_whom(closed)}") from None
        except InvalidStatusCode as refused:
            if refused.status_code in (401, 403):
                raise BrokerAuthError(f"Alpaca refused the key for the stream ({refused.status_code})") from None
            raise BrokerUnavailable(f"answered {refused.status_code} instead of a stream") from None
        except (OSError, InvalidHandshake, ValueError, TypeError, AttributeError, KeyError) as error:
            raise BrokerUnavailable(f"{type(error).__name__}") from None
        finally:
            await self._close()

    async def end(self) -> None:
        """Return when the socket of a connection that was cancelled is closed."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(2 * CLOSE_S):
                await self._ended.wait()
        except TimeoutError:
            self._task.cancel()
            await self._ended.wait()

    async def _close(self) -> None:
        """Say goodbye, within a time, and close the socket whatever happens meanwhile."""
        socket = self._stream.socket
        try:
            async with asyncio.timeout(2 * CLOSE_S):
                await self._stream.close()
        except Exception:  # noqa: BLE001, S110 - it is over; what the goodbye came to is nobody's business
            pass
        finally:
            transport = getattr(socket, "transport", None)
            if transport is not None:
                transport.abort()
            self._ended.set()


class _OneConnection(TradingStream):
    """The SDK's stream without its loop."""

    up: Callable[[], object]
    heard: Callable[[dict[str, Any]], object]
    is_up = False

    @property
    def socket(self) -> Any:
        return self._ws

    async def begin(self) -> None:
        """Connect, authenticate, ask for the updates, and wait until Alpaca says that it listens."""
        self.subscribe_trade_updates(self._tell)
        await self._start_ws()  # type: ignore[no-untyped-call]
        while not self.is_up:
            await self._dispatch(json.loads(await self.socket.recv()))

    async def consume(self) -> None:
        await self._consume()  # type: ignore[no-untyped-call]

    async def _auth(self) -> None:
        try:
            await super()._auth()  # type: ignore[no-untyped-call]
        except json.JSONDecodeError:
            raise BrokerUnavailable("the answer to the key is not understood") from None
        except ValueError:
            raise BrokerAuthError("Alpaca refused the key for the stream of trade updates") from None

    async def _dispatch(self, msg: dict[str, Any]) -> None:
        heed_cancellation()
        if msg.get("stream") == "listening":
            streams = (msg.get("data") or {}).get("streams") or []
            if STREAM not in streams:
                raise BrokerUnavailable(f"does not listen to {STREAM}: {str(msg.get('data'))[:100]}")
            self.is_up = True
            self.up()
        else:
            await super()._dispatch(msg)

    async def _tell(self, msg: dict[str, Any]) -> None:
        self.heard(msg.get("data") or {})


class _Silent(logging.Logger):
    """A logger outside of the tree of loggers, whose level is what it is."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's name
        return False


_SILENT = _Silent("alpaca trade updates", logging.CRITICAL)


def _whom(closed: ConnectionClosed) -> str:
    received = closed.rcvd
    if received is not None:
        return f"Alpaca ({received.code} {received.reason})".replace(" )", ")")
    return "the network, or no pong came in time" if closed.sent is None else f"us ({closed.sent.reason})"
