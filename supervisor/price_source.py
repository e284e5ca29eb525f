"""Where the prices of a run come from: a file, a broker's history, or the broker's live stream, which has no past.

What lives on past prices is given a feed of bars; live trading is given the symbols alone, and prices come when they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec

from ..actors.bars import Bars
from ..actors.errors import ConfigError
from ..adapters.alpaca.access import Access, access
from ..adapters.market_data import load_bars
from ..config import InvalidSettings, Settings

if TYPE_CHECKING:
    from ..adapters.alpaca.history import Reading
    from ..adapters.bar_feed import BarFeed

ALPACA = "alpaca"
INSTALL = "pip install 'ordersmith[alpaca]'"


class LivePrices(msgspec.Struct, frozen=True):
    """The symbols of a live system. It is a feed without bars, since nobody knows them yet."""

    symbols: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    step_count: int | None = None
    start_ns: int = 0

    def __iter__(self) -> Iterator[Bars]:
        return iter(())


def is_live(settings: Settings) -> bool:
    """Tell whether prices come from a broker's live stream."""
    execution = settings.execution
    if execution.mode == "backtest":
        return False
    return execution.provider != "simulated" or execution.market_data == ALPACA


def lacks_past(settings: Settings) -> str:
    """Return the setting that is missing for past prices, empty if none is."""
    data = settings.data
    if data.provider == ALPACA:
        return "data.symbols" if not data.symbols else "data.start" if data.start is None else ""
    return "data.path" if data.path is None else ""


def access_of(settings: Settings) -> Access:
    """Return how the account at Alpaca is reached. Raises ConfigError where the SDK is not installed."""
    require_sdk()
    return _access(settings)


def _access(settings: Settings) -> Access:
    alpaca = settings.execution.alpaca
    return access(
        alpaca.api_key,
        alpaca.api_secret,
        paper=alpaca.paper,
        feed=alpaca.feed,
        base_url=alpaca.base_url,
        stream_url=alpaca.stream_url,
        data_url=alpaca.data_url,
        data_stream_url=alpaca.data_stream_url,
    )


def require_keys(settings: Settings) -> None:
    """Raise ConfigError where the SDK or a key is missing, with all that are."""
    require_sdk()
    alpaca = settings.execution.alpaca
    missing = []
    for secret in (alpaca.api_key, alpaca.api_secret):
        try:
            secret.reveal()
        except InvalidSettings as error:
            missing.append(str(error))
    if missing:
        raise ConfigError("\n".join(missing))


def require_sdk() -> None:
    """Raise ConfigError where the SDK is not installed."""
    if find_spec("alpaca") is None:
        raise ConfigError(f"execution.provider: alpaca needs the package alpaca-py: {INSTALL}")


def past_prices(settings: Settings, reading: Reading | None = None) -> BarFeed:
    """Load the past prices that the settings name; `reading` hears how far a download is.

    Raises ConfigError, DataError, or BrokerError from a broker's history. What is all in the cache needs neither SDK nor keys.
    """
    data = settings.data
    if data.provider == ALPACA:
        from ..adapters.alpaca.history import alpaca_bars

        return alpaca_bars(
            _access(settings),
            data,
            settings.resolve(data.cache),
            base=settings.base,
            may_read=partial(require_keys, settings),
            reading=reading,
        )
    if data.path is None:
        raise ConfigError(
            "data.path: None, but a backtest needs prices: give a CSV or Parquet file, or a folder of them"
        )
    return load_bars(
        settings.resolve(data.path),
        symbols=data.symbols,
        start=data.start,
        end=data.end,
        timezone=data.timezone,
        stamp=data.stamp,
        interval_s=data.interval,
        bad_rows=data.bad_rows,
        calendar=data.calendar,
        extended_hours=data.extended_hours,
        corporate_actions=None if data.corporate_actions is None else settings.resolve(data.corporate_actions),
    )


def feed_of(settings: Settings) -> BarFeed | LivePrices:
    """Return the prices that a run of the settings has. Raises what `past_prices` raises."""
    return LivePrices(settings.data.symbols) if is_live(settings) else past_prices(settings)
