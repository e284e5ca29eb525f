"""Live market data from Alpaca: the actor that keeps one stream up, and prices confirmed where the stream is quiet.

The stream lives in an asyncio island and says what came; everything else happens in the host's loop: prices are conflated, minute
bars are put together, quiet symbols are asked for by REST, and after a gap the missing minutes are read. Losing the stream is a
state. A key that Alpaca refuses is an error that ends the actor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import anyio
import anyio.to_thread
import msgspec

from ...actors.bars import Bars
from ...actors.quotes import Quote
from ..asyncio_island import open_island
from ..calendar import SessionSchedule
from ..io_actor import IoActor, Line
from .access import Access

if TYPE_CHECKING:
    from .feed_run import FeedRun


class Surroundings(NamedTuple):
    """What the feed tells the runtime, each from the host's loop.

    `quotes`: prices that changed or were confirmed. `bars`: the bars of a minute, in order of time. `trouble`: what a person
    should know; trading goes on.
    """

    quotes: Callable[[tuple[Quote, ...]], None]
    bars: Callable[[Bars], None]
    trouble: Callable[[str], None]


class FeedMemory(msgspec.Struct):
    """What outlives an incarnation: the end of the last minute whose bars were told, so that the next one fills the gap."""

    told_ns: int = 0


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """How patient the feed is, in seconds."""

    confirm_s: float = 15.0
    """Prices that are older than this are asked for by REST."""
    silence_s: float = 10.0
    """A stream that brings nothing for so long, while REST shows that prices move, is dead."""
    settle_s: float = 3.0
    """How long after a minute its bar is there by REST."""
    ping_s: float = 5.0
    open_s: float = 10.0
    """For a connection and its subscription."""
    backoff_s: tuple[float, float] = (1.0, 30.0)
    """From the first try to the slowest, each with up to half of it taken off by chance."""


class LiveFeed(IoActor):
    """Watches `symbols`, and those wanted later. Without any it waits: Alpaca's stream is not started for nothing."""

    def __init__(
        self,
        access: Access,
        symbols: Iterable[str],
        surroundings: Surroundings,
        *,
        memory: FeedMemory | None = None,
        schedule: SessionSchedule | None = None,
        tuning: Tuning | None = None,
    ) -> None:
        self._access = access
        self._symbols = dict.fromkeys(symbols)
        self._around = surroundings
        self._memory = FeedMemory() if memory is None else memory
        self._schedule = schedule
        self._tuning = Tuning() if tuning is None else tuning
        self._run: FeedRun | None = None

    def want(self, symbols: Iterable[str]) -> None:
        """Watch these symbols, too: their prices are asked for at once. From the host's loop only."""
        new = [symbol for symbol in symbols if symbol not in self._symbols]
        self._symbols.update(dict.fromkeys(new))
        if new and self._run is not None:
            self._run.wanted(new)

    async def run(self, line: Line) -> None:
        """Tell prices until cancelled. Raises BrokerAuthError for a key or a feed that Alpaca refuses."""
        start = await anyio.to_thread.run_sync(_feed_run)
        async with open_island("alpaca-market-data", stop_s=0) as island:
            self._run = start(
                self._access,
                self._symbols,
                self._around,
                self._memory,
                line,
                island,
                schedule=self._schedule,
                tuning=self._tuning,
            )
            try:
                await self._run.live()
            except ExceptionGroup as group:
                _raise_one_of(group)
            finally:
                self._run.close()
                self._run = None


def _feed_run() -> type[FeedRun]:
    """Import the SDK. It brings pandas along, takes a second, and would hold up the host's loop."""
    from .feed_run import FeedRun

    return FeedRun


def _raise_one_of(group: ExceptionGroup[Exception]) -> NoReturn:
    """Raise the first of the exceptions, plain, as it would be raised without tasks."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    raise error
