"""Alpaca as a live system has it: its port, the feed of its prices, and the clock on the wall.

What must outlive a port that is restarted is kept here: whether there ever was a session, and which symbols are watched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

import anyio.lowlevel

from ..actors.bars import Bars
from ..actors.model import Instrument
from ..actors.quotes import Quote
from ..adapters.clocks import WallClock
from ..adapters.io_actor import IoActor
from ..config import Settings
from .backtest import Feed
from .inputs import InstrumentsKnown, PricesQuoted, PricesShown
from .price_source import access_of

if TYPE_CHECKING:
    from ..adapters.alpaca.feed import LiveFeed
    from .live import LiveRuntime

Shown = Callable[[Bars], None]
REAL_TIME = Decimal(1)


class AlpacaBroker:
    """One account at Alpaca, for one runtime."""

    in_process = False
    turns = None
    speed = REAL_TIME

    def __init__(self, settings: Settings, feed: Feed) -> None:
        from ..adapters.alpaca.port import PortMemory

        self.clock = WallClock()
        self._access = access_of(settings)
        self._memory = PortMemory()
        self._symbols = dict.fromkeys(feed.symbols)
        self._runtime: LiveRuntime
        self._shown: Shown
        self._feed: LiveFeed | None = None

    def serve(self, runtime: LiveRuntime, shown: Shown, ended: Callable[[], None]) -> None:
        """Say which runtime this is for. Live prices never end."""
        self._runtime, self._shown = runtime, shown

    def port(self) -> IoActor:
        from ..adapters.alpaca.port import AlpacaPort, Surroundings

        return AlpacaPort(self._access, self._memory, Surroundings(instruments=self._instruments))

    def feed(self) -> IoActor:
        from ..adapters.alpaca.feed import LiveFeed, Surroundings

        around = Surroundings(quotes=self._quotes, bars=self._bars, trouble=self._runtime.warn)
        self._feed = LiveFeed(self._access, tuple(self._symbols), around)
        return self._feed

    def want(self, symbols: Iterable[str]) -> None:
        """Watch the prices of these symbols, too."""
        new = [symbol for symbol in symbols if symbol not in self._symbols]
        self._symbols.update(dict.fromkeys(new))
        if new and self._feed is not None:
            self._feed.want(new)

    async def open(self, last_ns: int) -> None:
        """Reveal the keys, so that one that is missing is told before anything begins. Raises ConfigError."""
        await anyio.lowlevel.checkpoint()
        self._access.key.reveal()
        self._access.secret.reveal()

    async def close(self) -> None:
        await anyio.lowlevel.checkpoint()

    def _instruments(self, instruments: Mapping[str, Instrument]) -> None:
        self._runtime.put(InstrumentsKnown(dict(instruments)))

    def _quotes(self, quotes: tuple[Quote, ...]) -> None:
        self._runtime.put(PricesQuoted(quotes))

    def _bars(self, bars: Bars) -> None:
        self._runtime.put(PricesShown(bars))
        self._shown(bars)
