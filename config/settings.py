"""Every setting with its unit, its meaning, its default and the values that it may have.

The structs are the schema: `loading` reads a document by their fields, so that a setting is described here and nowhere
else; `backtest_settings` has what `execution.backtest` holds, `live_settings` what only paper and live trading use.
Building a struct by hand checks nothing; `load` with a mapping does.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from .backtest_settings import BacktestSettings
from .kinds import (
    Adjustment,
    AlpacaFeed,
    BadRows,
    CalendarName,
    Count,
    FilePath,
    InstanceName,
    Mode,
    Positive,
    PriceSource,
    Provider,
    RestAddress,
    Seconds,
    SecondsOrOff,
    Section,
    Seed,
    Share,
    Stamp,
    StrategyPath,
    StreamAddress,
    Symbol,
    Symbols,
    TargetTimeInForce,
    Timeframe,
    TimeZone,
)
from .live_settings import JournalSettings, PaperSettings, ServiceSettings, WatchdogSettings
from .secrets import Secret


def nanoseconds(seconds: Decimal) -> int:
    """Convert seconds to whole nanoseconds, rounding down, whatever the decimal context."""
    numerator, denominator = seconds.as_integer_ratio()
    return numerator * 1_000_000_000 // denominator


class AlpacaSettings(Section, frozen=True, kw_only=True):
    """`execution.alpaca`: the account at Alpaca."""

    api_key: Secret = Secret("${ALPACA_API_KEY}", "execution.alpaca.api_key")
    """Key of the account; read from the environment when it is used."""
    api_secret: Secret = Secret("${ALPACA_API_SECRET}", "execution.alpaca.api_secret")
    """Secret that belongs to the key."""
    paper: bool = True
    """Whether it is a paper account; must agree with `execution.mode`."""
    base_url: RestAddress | None = None
    """Where orders go; None is Alpaca's own address, of paper or of live trading as `paper` says. So is None of the others."""
    stream_url: StreamAddress | None = None
    """Where trade updates come from."""
    data_url: RestAddress | None = None
    """Where market data is asked for."""
    data_stream_url: StreamAddress | None = None
    """Where live market data comes from, the feed's name included."""
    feed: AlpacaFeed = "iex"
    """Which market data: `iex`, one exchange, free; `sip`, all exchanges, by subscription."""


class TargetsSettings(Section, frozen=True, kw_only=True):
    """`execution.targets`: the orders that `set_targets` makes."""

    time_in_force: TargetTimeInForce = "DAY"
    """How long they stay: `DAY` until the session's close, `GTC` until cancelled."""


class ExecutionSettings(Section, frozen=True, kw_only=True):
    """`execution`: where orders go."""

    mode: Mode = "backtest"
    """`backtest`: past prices; `paper`: live prices, no money; `live`: real money."""
    provider: Provider = "alpaca"
    """The broker; a backtest does not use it."""
    market_data: PriceSource = "file"
    """Prices that provider `simulated` trades at: `file`, those of `data`, played; `alpaca`, Alpaca's live quotes."""
    alpaca: AlpacaSettings = AlpacaSettings()
    backtest: BacktestSettings = BacktestSettings()
    paper: PaperSettings = PaperSettings()
    targets: TargetsSettings = TargetsSettings()
    answer_within: Seconds = Decimal(5)
    """Seconds that the broker may take to answer; then the order is in doubt and is looked for. Not in a backtest."""
    reconcile_every: Seconds | None = Decimal(30)
    """Seconds from one comparison with the broker's books to the next; None: only on connecting, and when something looks wrong."""


class RiskSettings(Section, frozen=True, kw_only=True):
    """`risk`: what an order must pass before it is sent.

    The worst case is the position with everything open, pending or in doubt.
    """

    max_order_quantity: Positive = Decimal(100000)
    """Shares of one order, at most."""
    max_order_notional: Positive = Decimal(1000000)
    """Currency of one order, at most."""
    max_position_quantity: Positive = Decimal(1000000)
    """Shares of one symbol, long or short, at the worst case."""
    max_gross_exposure: Positive = Decimal(10000000)
    """Currency of all symbols together, at the worst case."""
    price_collar: Share | None = Decimal("0.1")
    """Fraction of the last price that an order's aggressive side may be beyond it; None is off."""
    duplicate_window: SecondsOrOff | None = None
    """Seconds within which the same intent is refused; 0 is off; None is the mode's default, see `Settings.duplicate_window`."""


class BreakerSettings(Section, frozen=True, kw_only=True):
    """`breaker`: when trading halts by itself, and how it comes back."""

    rejections: Count = 10
    """This many rejections by the broker …"""
    window: Seconds = Decimal(60)
    """… within this many seconds halt trading."""
    cooldown: Seconds | None = Decimal(300)
    """Seconds from HALTED to REDUCING, and from there to ACTIVE; None: only a person resumes."""


class InstrumentSettings(Section, frozen=True, kw_only=True):
    """`instruments.default`: what orders are multiples of, where a symbol does not say otherwise."""

    lot: Positive = Decimal(1)
    """Shares that a quantity is a multiple of."""
    tick: Positive = Decimal("0.01")
    """Currency that an order's price is a multiple of."""


class SymbolSettings(Section, frozen=True, kw_only=True):
    """`instruments.symbols.SYMBOL`: what differs from the default; None is the default's value."""

    lot: Positive | None = None
    tick: Positive | None = None


class InstrumentsSettings(Section, frozen=True, kw_only=True):
    """`instruments`: lots and ticks."""

    default: InstrumentSettings = InstrumentSettings()
    symbols: dict[Symbol, SymbolSettings] = msgspec.field(default_factory=dict)
    """Symbols that differ from the default."""

    def of(self, symbol: str) -> InstrumentSettings:
        """Return the lot and tick of a symbol."""
        own = self.symbols.get(symbol)
        if own is None:
            return self.default
        return InstrumentSettings(
            lot=self.default.lot if own.lot is None else own.lot,
            tick=self.default.tick if own.tick is None else own.tick,
        )


class DataSettings(Section, frozen=True, kw_only=True):
    """`data`: the prices that a backtest runs on, and the symbols of live trading."""

    provider: PriceSource = "file"
    """Where past prices come from: `file`, those at `path`; `alpaca`, its historical bars, kept in `cache`."""
    path: FilePath | None = None
    """A CSV or Parquet file, or a folder with one file a symbol; relative to the configuration's folder."""
    symbols: Symbols = ()
    """Symbols to use; empty is all that are found."""
    start: date | None = None
    """First session; None is the first there is."""
    end: date | None = None
    """Last session, itself included; None is the last there is."""
    timezone: TimeZone = "America/New_York"
    """Zone of time stamps that name none, and of the sessions."""
    stamp: Stamp = "open"
    """Whether an intraday time stamp is a bar's `open` or its `close`; a date always means the session."""
    interval: Seconds | None = None
    """Seconds of a bar; None: found from the data."""
    calendar: CalendarName | None = None
    """Exchange calendar with sessions, half days and holidays: XNYS, "24/7"; None: the days that the data have, live prices XNYS."""
    extended_hours: bool = False
    """Whether intraday bars before and after a session's regular hours are kept; needs `calendar`."""
    corporate_actions: FilePath | None = None
    """CSV file of splits, dividends and symbol changes; relative to the configuration's folder."""
    bad_rows: BadRows = "stop"
    """Whether a row that cannot be right stops the run or is skipped; it is reported either way."""
    timeframe: Timeframe = "1Day"
    """Alpaca's historical bars: how long one is."""
    adjustment: Adjustment = "split"
    """Alpaca's historical bars: for which corporate actions past prices are restated."""
    cache: FilePath = "data-cache"
    """Folder in which Alpaca's historical bars are kept; relative to the configuration's folder."""
    stale_after: Seconds = Decimal(60)
    """Live: seconds after which a price that was not confirmed lets no new risk pass."""


class StrategySettings(Section, frozen=True, kw_only=True):
    """`strategy`: the hosted portfolio manager."""

    path: StrategyPath | None = None
    """`file.py:Class`, relative to the configuration's folder, or `package.module:Class`."""
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    """Handed to the strategy; numbers with a point are Decimals."""


class Settings(Section, frozen=True, kw_only=True):
    """The whole configuration."""

    execution: ExecutionSettings = ExecutionSettings()
    risk: RiskSettings = RiskSettings()
    breaker: BreakerSettings = BreakerSettings()
    instruments: InstrumentsSettings = InstrumentsSettings()
    data: DataSettings = DataSettings()
    strategy: StrategySettings = StrategySettings()
    journal: JournalSettings = JournalSettings()
    service: ServiceSettings = ServiceSettings()
    watchdog: WatchdogSettings = WatchdogSettings()
    instance: InstanceName = "os"
    """Begins every order id that is made here; of two that trade one account each has its own. Not in a backtest."""
    seed: Seed = 0
    """Every random choice follows from it."""
    base: Path = Path()
    """Folder that relative paths start from: the configuration file's; not a key of the file."""

    def resolve(self, path: str) -> Path:
        """Return a path of these settings as it is to be opened: relative ones start at `base`, and `~` is the home folder."""
        return self.base / Path(path).expanduser()

    @property
    def duplicate_window(self) -> Decimal:
        """Seconds of `risk.duplicate_window`, or the mode's default: 0 (off) where time stands still while orders are made, else 1.

        That is so in a backtest and on a paper account at full speed: equal orders at one instant are meant there.
        """
        if self.risk.duplicate_window is not None:
            return self.risk.duplicate_window
        execution = self.execution
        is_paced = (execution.mode, execution.provider, execution.paper.speed) == ("paper", "simulated", "max")
        return Decimal(0) if execution.mode == "backtest" or is_paced else Decimal(1)
