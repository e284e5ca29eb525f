"""The interface without `await`, for programs that have no event loop: the design card's own.

In a backtest nothing waits, so each call runs at once in the caller's thread, also below a running event loop: there is no
loop and no thread of our own. For paper and live trading see `blocking_live.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from ..actors.errors import ActorError
from ..actors.executor import OrderExecutor
from ..actors.machines.rebalance import generate_orders
from ..actors.model import AccountInfo, Order, OrderStatus, Position, TradingState
from .executor import BacktestExecutor
from .market import BlockingMarket
from .result import BacktestResult

T = TypeVar("T")


class BlockingCalls(ABC):
    """The methods of `OrderExecutor` as plain functions; what each does is said there."""

    generate_orders = staticmethod(generate_orders)

    _executor: OrderExecutor

    @abstractmethod
    def _outcome(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the executor and return what it returns."""

    def submit_orders(self, orders: Sequence[Order]) -> list[OrderStatus]:
        return self._outcome(self._executor.submit_orders(orders))

    def get_order_status(self, order_ids: Sequence[str]) -> list[OrderStatus]:
        return self._outcome(self._executor.get_order_status(order_ids))

    def cancel_orders(self, order_ids: Sequence[str]) -> list[bool]:
        return self._outcome(self._executor.cancel_orders(order_ids))

    def get_positions(self) -> dict[str, Position]:
        return self._outcome(self._executor.get_positions())

    def get_account_info(self) -> AccountInfo:
        return self._outcome(self._executor.get_account_info())

    def get_filled_orders(self, after: int = 0) -> list[OrderStatus]:
        return self._outcome(self._executor.get_filled_orders(after))

    def replace_order(
        self,
        order_id: str,
        *,
        quantity: Decimal | int | str | None = None,
        limit_price: Decimal | str | None = None,
        stop_price: Decimal | str | None = None,
        trail: Decimal | int | str | None = None,
    ) -> OrderStatus:
        return self._outcome(
            self._executor.replace_order(
                order_id, quantity=quantity, limit_price=limit_price, stop_price=stop_price, trail=trail
            )
        )

    def set_targets(
        self, targets: Mapping[str, Decimal | int | str], *, close_others: bool = False
    ) -> list[OrderStatus]:
        return self._outcome(self._executor.set_targets(targets, close_others=close_others))

    def quantity_for(self, symbol: str, notional: Decimal | int | str) -> Decimal:
        return self._outcome(self._executor.quantity_for(symbol, notional))

    def flatten(self) -> list[OrderStatus]:
        return self._outcome(self._executor.flatten())

    def halt(self, reason: str) -> TradingState:
        return self._outcome(self._executor.halt(reason))

    def resume(self, reason: str) -> TradingState:
        return self._outcome(self._executor.resume(reason))


class BlockingExecutor(BlockingCalls):
    """A backtest whose methods are plain functions."""

    _executor: BacktestExecutor

    def __init__(self, executor: BacktestExecutor) -> None:
        self._executor = executor

    # --- Time ----------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time of the run, aware, UTC."""
        return self._executor.now

    @property
    def now_ns(self) -> int:
        """The time of the run, nanoseconds UTC."""
        return self._executor.now_ns

    def market(self) -> BlockingMarket:
        """Return an iterator over the bars that are left, which moves time: `for bars in executor.market()`.

        Calling it again goes on where the last one stopped and ends that one; at the end of the data it raises
        UsageError.
        """
        return self._executor.read(BlockingMarket)

    def result(self) -> BacktestResult:
        """Return what was done so far."""
        return self._executor.result()

    def close(self, *, broken: bool = False) -> None:
        """Take no more calls but `result()`; of a run that was `broken` off stop the tree in order."""
        self._executor.close(broken=broken)

    def _outcome(self, call: Coroutine[Any, Any, T]) -> T:
        try:
            call.send(None)
        except StopIteration as end:
            outcome: T = end.value
            return outcome
        call.close()
        raise ActorError("a call of a backtest waited for something, which only a live executor may do")
