"""BacktestExecutor: the `OrderExecutor` interface over a backtest, driven by the caller or run to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from os import PathLike
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..actors.actor import ReplyTo
from ..actors.errors import ConfigError, ExecutorFailed, OrderCommandError
from ..actors.executor import OrderExecutor
from ..actors.messages import (
    CancelOrders,
    CommandRefused,
    Flatten,
    GetAccountInfo,
    GetFilledOrders,
    GetOrderStatus,
    GetPositions,
    HaltTrading,
    ReplaceOrder,
    ResumeTrading,
    SetTargets,
    SubmitOrders,
    Unknown,
)
from ..actors.model import AccountInfo, Bars, Order, OrderStatus, Position, TradingState, exact
from ..actors.strategy import Strategy
from ..adapters.market_data import load_bars
from ..config import InvalidSettings, Settings, load
from .backtest import Backtest, Feed
from .result import BacktestResult, Stopwatch

if TYPE_CHECKING:
    from ..adapters.bar_feed import BarFeed


class BacktestExecutor(OrderExecutor):
    """Executes orders against past prices.

    `run()` goes through all bars with the hosted strategy and returns the result. Without a strategy the caller drives:
    `advance()` moves to the end of the next bars and returns them, and time moves only there. `config` is a file, a
    mapping of the same form, or Settings; `feed` replaces its data. Raises ConfigError or DataError.
    """

    def __init__(
        self,
        config: str | PathLike[str] | Mapping[str, Any] | Settings,
        *,
        strategy: Strategy | None = None,
        feed: Feed | None = None,
        name: str = "main",
    ) -> None:
        self.settings = as_backtest(config if isinstance(config, Settings) else load_settings(config))
        self.feed: Feed = feed if feed is not None else feed_of(self.settings)
        self._backtest = Backtest(self.settings, self.feed, () if strategy is None else ((name, strategy),))
        self._bars: Iterator[Bars] | None = None
        self._watch = Stopwatch()

    # --- Time ----------------------------------------------------------------------------------------------------------

    def run(self, progress: Callable[[int], None] | None = None) -> BacktestResult:
        """Run through all bars that are left and return the result. `progress` is told how many steps are done.

        Raises StrategyError if the strategy raised and ExecutorFailed if the supervision tree gave up; `result()` has
        what was done so far.
        """
        self._begin()
        assert self._bars is not None
        with self._watch:
            self._backtest.run(self._bars, progress)
        return self.result()

    async def advance(self) -> Bars | None:
        """Move to the end of the next bars and return them, None at the end of the data."""
        self._begin()
        assert self._bars is not None
        bars = next(self._bars, None)
        if bars is not None:
            with self._watch:
                self._backtest.step(bars)
        return bars

    def result(self) -> BacktestResult:
        """Return what was done so far."""
        return BacktestResult(self._backtest, self._watch.elapsed_s)

    def _begin(self) -> None:
        if self._bars is None:
            self._bars = iter(self.feed)
            self._backtest.start()

    # --- OrderExecutor -------------------------------------------------------------------------------------------------

    async def submit_orders(self, orders: Sequence[Order]) -> list[OrderStatus]:
        made = tuple(self._backtest.with_id(order) for order in orders)
        fresh = all(not order.client_order_id for order in orders)
        statuses: list[OrderStatus] = self._ask("desk", lambda to: SubmitOrders(made, fresh, to))
        return statuses

    async def get_order_status(self, order_ids: Sequence[str]) -> list[OrderStatus]:
        statuses: list[OrderStatus | None] = self._ask("desk", lambda to: GetOrderStatus(tuple(order_ids), to))
        unknown = [order_id for order_id, status in zip(order_ids, statuses, strict=True) if status is None]
        if unknown:
            raise OrderCommandError(f"no order was submitted under {', '.join(unknown)}")
        return [status for status in statuses if status is not None]

    async def cancel_orders(self, order_ids: Sequence[str]) -> list[bool]:
        taken: list[bool] = self._ask("desk", lambda to: CancelOrders(tuple(order_ids), to))
        return taken

    async def get_positions(self) -> dict[str, Position]:
        positions: dict[str, Position] = self._ask("positions", GetPositions)
        return positions

    async def get_account_info(self) -> AccountInfo:
        info: AccountInfo = self._ask("risk_gate", GetAccountInfo)
        return info

    async def get_filled_orders(self, after: int = 0) -> list[OrderStatus]:
        statuses: list[OrderStatus] = self._ask("journal", lambda to: GetFilledOrders(after, to))
        return statuses

    async def replace_order(
        self, order_id: str, *, quantity: Decimal | int | str | None = None, limit_price: Decimal | str | None = None
    ) -> OrderStatus:
        new_quantity = None if quantity is None else exact(quantity, "quantity")
        new_price = None if limit_price is None else exact(limit_price, "limit_price")
        status: OrderStatus = self._ask("desk", lambda to: ReplaceOrder(order_id, new_quantity, new_price, to))
        return status

    async def set_targets(
        self, targets: Mapping[str, Decimal | int | str], *, close_others: bool = False
    ) -> list[OrderStatus]:
        quantities = {symbol: exact(quantity, symbol) for symbol, quantity in targets.items()}
        statuses: list[OrderStatus] = self._ask(
            "rebalancer", lambda to: SetTargets(quantities, close_others, reply_to=to)
        )
        return statuses

    async def flatten(self) -> list[OrderStatus]:
        statuses: list[OrderStatus] = self._ask("rebalancer", Flatten)
        return statuses

    async def halt(self, reason: str) -> TradingState:
        state: TradingState = self._ask("circuit_breaker", lambda to: HaltTrading(reason, to))
        return state

    async def resume(self, reason: str) -> TradingState:
        state: TradingState = self._ask("circuit_breaker", lambda to: ResumeTrading(reason, to))
        return state

    def _ask(self, actor: str, request: Callable[[ReplyTo], Any]) -> Any:
        self._begin()
        answer = self._backtest.ask(actor, request)
        parts = answer if isinstance(answer, list) else [answer]
        refused = [part.text for part in parts if isinstance(part, CommandRefused)]
        if refused:
            taken = [f"{part.client_order_id} ({part.state})" for part in parts if isinstance(part, OrderStatus)]
            also = f"; of the same batch were taken: {', '.join(taken)}" if taken else ""
            raise OrderCommandError("; ".join(refused) + also)
        if any(isinstance(part, Unknown) for part in parts):
            raise ExecutorFailed(f"{actor} lost the request to a crash; ask for the orders' status by id")
        return answer


def as_backtest(settings: Settings) -> Settings:
    """Return the settings with the mode set aside, so that what depends on it (the window for duplicates) is a backtest's."""
    return replace(settings, execution=replace(settings.execution, mode="backtest"))


def load_settings(config: str | PathLike[str] | Mapping[str, Any], overrides: Sequence[str] = ()) -> Settings:
    """Load a configuration. Raises ConfigError, which lists every problem."""
    try:
        return load(config, overrides)
    except InvalidSettings as error:
        raise ConfigError(str(error)) from error


def feed_of(settings: Settings) -> BarFeed:
    """Load the market data that the settings name. Raises ConfigError or DataError."""
    data = settings.data
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
    )
