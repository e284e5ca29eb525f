"""A live feed of market data without a runtime: the line that it gets, and what it has told, which a test can wait for."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import nan
from typing import Any

import anyio
from scripted_alpaca_data import PATIENCE_S, ScriptedData

from ordersmith.actors.bars import Bars
from ordersmith.actors.quotes import Quote
from ordersmith.adapters.alpaca.feed import LiveFeed, Surroundings, Tuning

QUICK = Tuning(confirm_s=0.3, silence_s=0.2, settle_s=0.0, ping_s=5.0, open_s=10.0, backoff_s=(0.02, 0.1))


class WallLine:
    """As much of a `Line` as a feed uses."""

    @property
    def now_ns(self) -> int:
        return time.time_ns()


class Told:
    """What a feed has told."""

    def __init__(self) -> None:
        self.quotes: list[Quote] = []
        self.bars: list[Bars] = []
        self.troubles: list[str] = []
        self._news = anyio.Event()

    def surroundings(self) -> Surroundings:
        return Surroundings(
            lambda quotes: self._note(self.quotes, *quotes),
            lambda bars: self._note(self.bars, bars),
            lambda text: self._note(self.troubles, text),
        )

    def newest(self, symbol: str) -> Quote | None:
        return next((quote for quote in reversed(self.quotes) if quote.symbol == symbol), None)

    def bid(self, symbol: str) -> float:
        newest = self.newest(symbol)
        return nan if newest is None else newest.bid

    async def until(self, holds: Callable[[Told], Any]) -> None:
        """Wait until the condition holds for what was told."""
        with anyio.fail_after(PATIENCE_S):
            while not holds(self):
                self._news = anyio.Event()
                await self._news.wait()

    def _note(self, kept: list[Any], *said: Any) -> None:
        kept.extend(said)
        self._news.set()


@asynccontextmanager
async def running_feed(
    server: ScriptedData, *symbols: str, tuning: Tuning = QUICK, **options: Any
) -> AsyncIterator[tuple[LiveFeed, Told]]:
    """Run a feed for the length of a block."""
    told = Told()
    feed = LiveFeed(server.access(), symbols, told.surroundings(), tuning=tuning, **options)
    async with anyio.create_task_group() as group:
        group.start_soon(feed.run, WallLine())
        yield feed, told
        group.cancel_scope.cancel()


async def seen(server: ScriptedData, holds: Callable[[ScriptedData], Any]) -> None:
    """Wait until the server has seen something."""
    await anyio.to_thread.run_sync(server.until, holds, abandon_on_cancel=True)
