"""What every executor shares: a method of `OrderExecutor` is one request to one actor, and its answer or an exception.

How a request gets there, and how long the answer takes, is the business of the executor that implements `_ask`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

from ..actors.actor import ReplyTo
from ..actors.errors import ExecutorFailed, OrderCommandError
from ..actors.executor import OrderExecutor
from ..actors.given import by_symbol, id_given, ids_given, orders_given, symbol_given
from ..actors.machines.rebalance import generate_orders, quantity_worth
from ..actors.messages import (
    CancelOrders,
    Change,
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
from ..actors.model import AccountInfo, Instrument, Order, OrderStatus, Position, TradingState, exact
from ..actors.ports import MarketData
from ..actors.quotes import as_price
from .dispatcher import ARITHMETIC

NO_ANSWER: Any = None
"""The `reply_to` of a request before whoever hands it over has filled it in."""


class AskingExecutor(OrderExecutor):
    """Makes the requests and judges the answers."""

    generate_orders = staticmethod(generate_orders)

    @abstractmethod
    async def _ask(self, actor: str, request: Callable[[ReplyTo], Any]) -> Any:
        """Ask an actor and return what it answered, `judged`."""

    @abstractmethod
    async def _market_of(self, symbol: str) -> tuple[MarketData, Instrument | None]:
        """Return the prices, once that of the symbol is known or is not to be had, and the symbol's rules."""

    @abstractmethod
    def _with_id(self, order: Order) -> Order:
        """Return the order with an id of its own if it has none, and its numbers as Decimal."""

    async def submit_orders(self, orders: Sequence[Order]) -> list[OrderStatus]:
        given = orders_given(orders)
        made = tuple(self._with_id(order) for order in given)
        fresh = all(not order.client_order_id for order in given)
        statuses: list[OrderStatus] = await self._ask("desk", lambda to: SubmitOrders(made, fresh, to))
        return statuses

    async def get_order_status(self, order_ids: Sequence[str]) -> list[OrderStatus]:
        wanted = ids_given(order_ids)
        statuses: list[OrderStatus | None] = await self._ask("desk", lambda to: GetOrderStatus(wanted, to))
        unknown = [order_id for order_id, status in zip(wanted, statuses, strict=True) if status is None]
        if unknown:
            raise OrderCommandError(f"no order was submitted under {', '.join(unknown)}")
        return [status for status in statuses if status is not None]

    async def cancel_orders(self, order_ids: Sequence[str]) -> list[bool]:
        wanted = ids_given(order_ids)
        taken: list[bool] = await self._ask("desk", lambda to: CancelOrders(wanted, to))
        return taken

    async def get_positions(self) -> dict[str, Position]:
        positions: dict[str, Position] = await self._ask("positions", GetPositions)
        return positions

    async def get_account_info(self) -> AccountInfo:
        info: AccountInfo = await self._ask("risk_gate", GetAccountInfo)
        return info

    async def get_filled_orders(self, after: int = 0) -> list[OrderStatus]:
        statuses: list[OrderStatus] = await self._ask("journal", lambda to: GetFilledOrders(after, to))
        return statuses

    async def replace_order(
        self,
        order_id: str,
        *,
        quantity: Decimal | int | str | None = None,
        limit_price: Decimal | str | None = None,
        stop_price: Decimal | str | None = None,
        trail: Decimal | int | str | None = None,
    ) -> OrderStatus:
        wanted, change = id_given(order_id), Change.given(quantity, limit_price, stop_price, trail)
        status: OrderStatus = await self._ask("desk", lambda to: ReplaceOrder(wanted, change, to))
        return status

    async def set_targets(
        self, targets: Mapping[str, Decimal | int | str], *, close_others: bool = False
    ) -> list[OrderStatus]:
        quantities = {symbol: exact(quantity, symbol) for symbol, quantity in by_symbol(targets, "targets").items()}
        statuses: list[OrderStatus] = await self._ask(
            "rebalancer", lambda to: SetTargets(quantities, close_others, reply_to=to)
        )
        return statuses

    async def quantity_for(self, symbol: str, notional: Decimal | int | str) -> Decimal:
        symbol, money = symbol_given(symbol), exact(notional, "notional")
        if not money.is_finite() or money <= 0:
            raise OrderCommandError(
                f"notional: {notional!r} buys nothing; give an amount above 0, such as 500 or '99.50'"
            )
        prices, instrument = await self._market_of(symbol)
        quote = prices.quotes.get(symbol)
        price = None if quote is None else as_price(quote.ask)
        price = price or prices.last_price(symbol)
        if instrument is None or not instrument.tradable:
            raise OrderCommandError(f"symbol: {symbol} is not tradable here")
        if price is None or not price.is_finite() or price <= 0:
            raise OrderCommandError(
                f"symbol: {symbol} has no price yet; without one nobody knows how many shares that are"
            )
        with localcontext(ARITHMETIC):
            return quantity_worth(money, price, instrument.lot)

    async def flatten(self) -> list[OrderStatus]:
        statuses: list[OrderStatus] = await self._ask("rebalancer", Flatten)
        return statuses

    async def halt(self, reason: str) -> TradingState:
        state: TradingState = await self._ask("circuit_breaker", lambda to: HaltTrading(reason, to))
        return state

    async def resume(self, reason: str) -> TradingState:
        state: TradingState = await self._ask("circuit_breaker", lambda to: ResumeTrading(reason, to))
        return state


def judged(actor: str, answer: Any) -> Any:
    """Return the answer. Raises OrderCommandError if it is a refusal, ExecutorFailed if whoever had to answer was lost."""
    parts = answer if isinstance(answer, list) else [answer]
    refused = [part.text for part in parts if isinstance(part, CommandRefused)]
    if refused:
        taken = [f"{part.client_order_id} ({part.state})" for part in parts if isinstance(part, OrderStatus)]
        also = f"; of the same batch were taken: {', '.join(taken)}" if taken else ""
        raise OrderCommandError("; ".join(refused) + also)
    if any(isinstance(part, Unknown) for part in parts):
        raise ExecutorFailed(f"{actor} lost the request to a crash; ask for the orders' status by id")
    return answer
