"""Alpaca as a live system has it: its port, the feed of its prices, and the clock on the wall.

What must outlive a port that is restarted is kept here: whether there ever was a session, and which symbols are watched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

import anyio.lowlevel
import anyio.to_thread

from ..actors.bars import Bars
from ..actors.model import Instrument
from ..actors.quotes import Quote
from ..adapters.calendar import SessionSchedule
from ..adapters.clocks import WallClock
from ..adapters.io_actor import IoActor
from ..config import Settings
from .backtest import Feed
from .inputs import InstrumentsKnown, PricesQuoted, PricesShown
from .live_feed import Shown, Told, alpaca_feed, sessions_of
from .price_source import access_of

if TYPE_CHECKING:
    from .live import LiveRuntime

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
        self.address = self._access.base_url
        self._memory = PortMemory()
        self._symbols = dict.fromkeys(feed.symbols)
        self._runtime: LiveRuntime
        self._shown: Shown
        self._feed_of = alpaca_feed(settings)
        self._feed: IoActor | None = None
        self._sessions: SessionSchedule
        self._settings = settings

    def serve(self, runtime: LiveRuntime, shown: Shown, ended: Callable[[], None]) -> None:
        """Say which runtime this is for. Live prices never end."""
        self._runtime, self._shown = runtime, shown

    def port(self) -> IoActor:
        from ..adapters.alpaca.port import AlpacaPort, Surroundings

        around = Surroundings(self._instruments, float(self._settings.execution.answer_within))
        return AlpacaPort(self._access, self._memory, around)

    def feed(self) -> IoActor:
        self._feed = self._feed_of(
            tuple(self._symbols), Told(self._quotes, self._bars, self._runtime.warn), self._sessions
        )
        return self._feed

    def want(self, symbols: Iterable[str]) -> None:
        """Watch the prices of these symbols, too."""
        new = [symbol for symbol in symbols if symbol not in self._symbols]
        self._symbols.update(dict.fromkeys(new))
        want = getattr(self._feed, "want", None)
        if new and want is not None:
            want(new)

    async def open(self, last_ns: int) -> None:
        """Load the sessions. Raises ConfigError."""
        self._sessions = await anyio.to_thread.run_sync(sessions_of, self._settings)

    async def close(self) -> None:
        await anyio.lowlevel.checkpoint()

    def _instruments(self, instruments: Mapping[str, Instrument]) -> None:
        self._runtime.put(InstrumentsKnown(dict(instruments)))

    def _quotes(self, quotes: tuple[Quote, ...]) -> None:
        self._runtime.put(PricesQuoted(quotes))

    def _bars(self, bars: Bars) -> None:
        self._runtime.put(PricesShown(bars))
        self._shown(bars)
