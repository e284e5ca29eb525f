"""The local paper broker on a live feed's quotes, as a live system has it: account, port and feed on the wall's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from ..actors.bars import Bars
from ..actors.model import Instrument
from ..actors.quotes import Quote
from ..adapters.calendar import SessionSchedule
from ..adapters.clocks import WallClock
from ..adapters.io_actor import IoActor
from ..adapters.paper.quoted_account import AnySymbol, QuotedAccount
from ..adapters.paper.quoted_port import QuoteBox, QuotedPort
from ..config import Settings, nanoseconds
from .backtest import ACCOUNT, Feed
from .dispatcher import ARITHMETIC
from .from_settings import exchange_rules
from .inputs import InstrumentsKnown, PricesQuoted, PricesShown
from .live_feed import FeedOf, Shown, Told, alpaca_feed, sessions_of

if TYPE_CHECKING:
    from .live import LiveRuntime


class QuotedPaperBroker:
    """One paper account, for one runtime."""

    in_process = True
    address = ""
    turns = None
    speed = Decimal(1)

    def __init__(self, settings: Settings, feed: Feed, feed_of: FeedOf) -> None:
        self.clock = WallClock()
        self.account: QuotedAccount
        self._settings = settings
        self._feed_of = feed_of
        self._symbols = dict.fromkeys(feed.symbols)
        self._feed: IoActor | None = None
        self._box = QuoteBox()
        self._sessions: SessionSchedule
        self._runtime: LiveRuntime
        self._shown: Shown

    def serve(self, runtime: LiveRuntime, shown: Shown, ended: Callable[[], None]) -> None:
        """Say which runtime this is for; `shown` hears of bars as everybody does. Live prices never end."""
        self._runtime, self._shown = runtime, shown

    def port(self) -> IoActor:
        return QuotedPort(self.account, self._box)

    def feed(self) -> IoActor:
        told = Told(self._quoted, self._bars, self._runtime.warn)
        self._feed = self._feed_of(tuple(self._symbols), told, self._sessions)
        return self._feed

    def want(self, symbols: Iterable[str]) -> None:
        """Watch the prices of these symbols, too."""
        new = [symbol for symbol in symbols if symbol not in self._symbols]
        self._symbols.update(dict.fromkeys(new))
        want = getattr(self._feed, "want", None)
        if new:
            known = any_symbol(self._settings)
            self._runtime.put(InstrumentsKnown({symbol: known.get(symbol) for symbol in self._symbols}))
        if new and want is not None:
            want(new)

    async def open(self, last_ns: int) -> None:
        """Open the account. Raises ConfigError."""
        self._sessions = await anyio.to_thread.run_sync(sessions_of, self._settings)
        settings = self._settings
        self.account = QuotedAccount(
            settings.resolve(settings.execution.paper.file),
            exchange_rules(settings),
            any_symbol(settings),
            self._sessions,
            account=ACCOUNT,
            arithmetic=ARITHMETIC,
            fresh_ns=nanoseconds(settings.data.stale_after),
        )
        await self.account.open()
        self.clock.go_on_from(self.account.venue.now_ns)

    async def close(self) -> None:
        if hasattr(self, "account"):
            await self.account.close()

    def _quoted(self, quotes: tuple[Quote, ...]) -> None:
        """Tell the prices first, so that whoever hears of a fill knows the market that it was made in."""
        self._runtime.put(PricesQuoted(quotes))
        self._box.put(quotes)

    def _bars(self, bars: Bars) -> None:
        self._runtime.put(PricesShown(bars))
        self._shown(bars)


def any_symbol(settings: Settings) -> AnySymbol:
    """Return the lot and tick of every symbol there may be."""
    instruments = settings.instruments
    rules = {symbol: instruments.of(symbol) for symbol in instruments.symbols}
    own = {symbol: Instrument(lot=rule.lot, tick=rule.tick) for symbol, rule in rules.items()}
    return AnySymbol(Instrument(lot=instruments.default.lot, tick=instruments.default.tick), own)


def paper_on_alpaca(settings: Settings) -> Callable[[Settings, Feed], QuotedPaperBroker]:
    """Return what makes a paper account on Alpaca's live quotes. Raises ConfigError where its SDK is not installed."""
    feed_of = alpaca_feed(settings)
    return lambda settings, feed: QuotedPaperBroker(settings, feed, feed_of)
