"""BacktestExecutor: the `OrderExecutor` interface over a backtest, driven by the caller or run to its end.

No call ever waits for anything: its coroutines run from one end to the other, on any event loop or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from os import PathLike
from typing import Any

from msgspec.structs import replace

from ..actors.actor import ReplyTo
from ..actors.bars import Bars
from ..actors.errors import ConfigError, ExecutorClosed, UsageError
from ..actors.model import Instrument, Order, as_datetime
from ..actors.ports import MarketData
from ..actors.strategy import Strategy
from ..adapters.market_data import feed_from
from ..config import InvalidSettings, Settings, load
from .asking import AskingExecutor, judged
from .backtest import Backtest, Feed
from .market import AnyReader, Market, Reader
from .price_source import past_prices
from .result import BacktestResult, Stopwatch


class BacktestExecutor(AskingExecutor):
    """Executes orders against past prices.

    `run()` goes through all bars with the hosted strategy and returns the result. Or the caller drives: `market()` and
    `advance()` move to the end of the next bars and return them, a hosted strategy along with them, and time moves only
    there. `config` is a file, a mapping of the same form, or Settings. `data` replaces the data that it names: frames,
    rows or bars, see `adapters.market_data.feed_from`; `feed` is data that are a Feed already. Raises ConfigError or
    DataError.
    """

    def __init__(
        self,
        config: str | PathLike[str] | Mapping[str, Any] | Settings,
        *,
        strategy: Strategy | None = None,
        data: Any = None,
        feed: Feed | None = None,
        name: str = "main",
    ) -> None:
        self.settings = as_backtest(config if isinstance(config, Settings) else load_settings(config))
        self.feed: Feed = feed if feed is not None else _feed(self.settings, data)
        self.reader: Reader | None = None
        self._backtest = Backtest(self.settings, self.feed, () if strategy is None else ((name, strategy),))
        self._bars: Iterator[Bars] | None = None
        self._watch = Stopwatch()
        self._over = False
        self._closed = False

    # --- Time ----------------------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """The time of the run, nanoseconds UTC: the end of the last bars, before them the start of the first."""
        return self._backtest.dispatcher.now_ns or self.feed.start_ns

    @property
    def now(self) -> datetime:
        """The time of the run, aware, UTC."""
        return as_datetime(self.now_ns)

    def run(self, progress: Callable[[int], None] | None = None) -> BacktestResult:
        """Run through all bars that are left and return the result. `progress` is told how many steps are done.

        Raises StrategyError if the strategy raised and ExecutorFailed if the supervision tree gave up; `result()` has
        what was done so far.
        """
        bars = self.begin()
        with self._watch:
            self._backtest.run(bars, progress)
        self._over = True
        return self.result()

    def market(self) -> Market:
        """Return an iterator over the bars that are left, which moves time: `async for bars in executor.market()`.

        It lets other tasks run every few bars, and there it can be cancelled. Calling `market()` again goes on where
        the last one stopped and ends that one; at the end of the data it raises UsageError.
        """
        return self.read(Market)

    def read(self, kind: type[AnyReader]) -> AnyReader:
        """Return a new reader, which takes the place of the one before it."""
        self.begin()
        if self._over:
            raise UsageError("the data are over and time does not go back; make another executor to run them again")
        reader = kind(self)
        self.reader = reader
        return reader

    async def advance(self) -> Bars | None:
        """Move to the end of the next bars and return them, None at the end of the data."""
        return self.next_bars()

    def next_bars(self) -> Bars | None:
        """Do what `advance` does, without an event loop."""
        bars = next(self.begin(), None)
        if bars is None:
            self._over = True
            return None
        with self._watch:
            self._backtest.step(bars)
        return bars

    def result(self) -> BacktestResult:
        """Return what was done so far."""
        if self._bars is None and not self._closed:
            self.begin()
        return BacktestResult(self._backtest, self._watch.elapsed_s)

    def close(self, *, broken: bool = False) -> None:
        """Take no more calls but `result()`; of a run that was `broken` off stop the tree in order.

        The journal of a run that was not broken off ends with its data, whoever drove it.
        """
        if self._closed:
            return
        if not broken:
            self.begin()  # a run that nothing was asked of has a result, too
        self._closed = True
        if broken and self._bars is not None:
            self._backtest.stop()

    def begin(self) -> Iterator[Bars]:
        """Return the bars that are left; the first call starts the tree."""
        if self._closed:
            raise ExecutorClosed("the executor was left with its `with` block; open another, or look at its result()")
        self._backtest.moving.refuse_a_second()
        if self._bars is None:
            self._bars = iter(self.feed)
            self._backtest.start()
        return self._bars

    # --- AskingExecutor ------------------------------------------------------------------------------------------------

    async def _ask(self, actor: str, request: Callable[[ReplyTo], Any]) -> Any:
        self.begin()
        return judged(actor, self._backtest.ask(actor, request))

    async def _market_of(self, symbol: str) -> tuple[MarketData, Instrument | None]:
        self.begin()
        return self._backtest.prices, self._backtest.instruments.get(symbol)

    def _with_id(self, order: Order) -> Order:
        return self._backtest.with_id(order)


def as_backtest(settings: Settings) -> Settings:
    """Return the settings with the mode set aside, so that what depends on it (the window for duplicates) is a backtest's."""
    return replace(settings, execution=replace(settings.execution, mode="backtest"))


def load_settings(config: str | PathLike[str] | Mapping[str, Any], overrides: Sequence[str] = ()) -> Settings:
    """Load a configuration. Raises ConfigError, which lists every problem."""
    try:
        return load(config, overrides)
    except InvalidSettings as error:
        raise ConfigError(str(error)) from error


def _feed(settings: Settings, data: Any) -> Feed:
    """Return the data that the host handed in, or else those that the settings name."""
    if data is None:
        return past_prices(settings)
    feed: Feed = feed_from(data, settings.data, base=settings.base)
    return feed
