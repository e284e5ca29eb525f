"""Whether both streams come up: opened for a moment each, and closed again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from ...actors.errors import BrokerAuthError, BrokerError, OrdersmithError
from ..asyncio_island import open_island
from ..disk_checks import Finding
from .access import Access
from .market_stream import UP, MarketStream, StreamRefused
from .trade_updates import Heartbeat, TradeUpdates

WITHIN_S = 15.0
HELD = "stop the other program that has this account's stream: Alpaca serves one"


async def examine_streams(access: Access, symbols: Sequence[str]) -> AsyncIterator[Finding]:
    """Yield what is found of the stream of trade updates and of that of market data."""
    async with open_island("alpaca-doctor") as island:
        yield await island.call(_trade_updates, access)
        yield await island.call(_market_data, access, symbols)


async def examine_data_stream(access: Access, symbols: Sequence[str]) -> Finding:
    """Return what is found of the stream of market data, and open no other."""
    async with open_island("alpaca-doctor") as island:
        return await island.call(_market_data, access, symbols)


async def _trade_updates(access: Access) -> Finding:
    up = asyncio.Event()
    stream = TradeUpdates(access, Heartbeat(), up.set, lambda _: None)
    try:
        took_s = await _until_up(stream.live, up)
    except BrokerAuthError as error:
        return Finding("trade updates", False, str(error), "the keys of REST and stream are the same: make new ones")
    except (BrokerError, TimeoutError) as error:
        return Finding("trade updates", False, f"{access.stream_url}: {error or 'no answer'}", HELD)
    finally:
        await stream.end()
    return Finding("trade updates", True, f"{access.stream_url} listens after {took_s * 1e3:.0f} ms")


async def _market_data(access: Access, symbols: Sequence[str]) -> Finding:
    up = asyncio.Event()
    stream = MarketStream(access, symbols, lambda kind, _: up.set() if kind == UP else None)
    try:
        took_s = await _until_up(stream.serve, up)
    except StreamRefused as error:
        return Finding(
            "market data",
            False,
            f"{access.data_stream_url}: {error}",
            "see what feed the account has: feed: iex is free",
        )
    except (OrdersmithError, TimeoutError) as error:
        return Finding("market data", False, f"{access.data_stream_url}: {error or 'no answer'}", HELD)
    return Finding(
        "market data", True, f"{access.data_stream_url} has {len(symbols)} symbols after {took_s * 1e3:.0f} ms"
    )


async def _until_up(live: Callable[[], Awaitable[None]], up: asyncio.Event) -> float:
    """Let a stream live until it is up, and return how long that took. Raises what ended it before, or TimeoutError."""
    began = time.perf_counter()
    living, rising = asyncio.ensure_future(live()), asyncio.ensure_future(up.wait())
    try:
        await asyncio.wait((living, rising), timeout=WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        took_s = time.perf_counter() - began
        if not up.is_set():
            if living.done():
                living.result()
            raise TimeoutError
        return took_s
    finally:
        for task in (living, rising):
            task.cancel()
        await asyncio.wait((living, rising))
