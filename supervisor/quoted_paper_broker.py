"""The local paper broker on a live feed's quotes, as a live system has it: account, port and feed on the wall's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.to_thread

from ..actors.bars import Bars
from ..actors.errors import ConfigError, DataError
from ..actors.model import Instrument
from ..actors.quotes import Quote
from ..adapters.calendar import SessionSchedule, load_schedule
from ..adapters.clocks import WallClock
from ..adapters.io_actor import IoActor
from ..adapters.paper.quoted_account import AnySymbol, QuotedAccount
from ..adapters.paper.quoted_port import QuoteBox, QuotedPort
from ..config import Settings, nanoseconds
from .backtest import ACCOUNT, Feed
from .dispatcher import ARITHMETIC
from .from_settings import exchange_rules
from .inputs import InstrumentsKnown, PricesQuoted, PricesShown
from .price_source import access_of

if TYPE_CHECKING:
    from .live import LiveRuntime

Shown = Callable[[Bars], None]

NO_CALENDAR = "XNYS"
"""The sessions of US stocks, where the settings name no others."""

FIRST = date(2025, 1, 1)
"""Sessions are known from here on; no account is older."""

AHEAD = timedelta(days=730)


class Told(NamedTuple):
    """What a live feed tells: quotes, bars, and what a person should know."""

    quotes: Callable[[tuple[Quote, ...]], None]
    bars: Callable[[Bars], None]
    trouble: Callable[[str], None]


FeedOf = Callable[[tuple[str, ...], Told, SessionSchedule], IoActor]
"""What makes each incarnation of a feed, from the symbols that it watches, whom it tells, and the sessions that there are."""


class QuotedPaperBroker:
    """One paper account, for one runtime."""

    in_process = True
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
        self._sessions = await anyio.to_thread.run_sync(self._load_sessions)
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

    def _load_sessions(self) -> SessionSchedule:
        try:
            return load_schedule(self._settings.data.calendar or NO_CALENDAR, FIRST, datetime.now(UTC).date() + AHEAD)
        except DataError as error:
            raise ConfigError(str(error)) from error

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
    access = access_of(settings)
    from ..adapters.alpaca.feed import FeedMemory, LiveFeed, Surroundings

    memory = FeedMemory()

    def live_feed(symbols: tuple[str, ...], told: Told, sessions: SessionSchedule) -> IoActor:
        return LiveFeed(access, symbols, Surroundings(*told), memory=memory, schedule=sessions)

    return lambda settings, feed: QuotedPaperBroker(settings, feed, live_feed)
