"""OrderExecutor: the one interface of every mode. What it promises is the same in a backtest, on paper and live."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from .bars import Bars
from .model import AccountInfo, Order, OrderStatus, Position, TradingState


class OrderExecutor(ABC):
    """Takes orders or target positions and looks after them until they are finished.

    All methods are coroutines. Cancelling a call never recalls the command: what became of it is asked by id.
    Quantities and prices are Decimal. A denied or rejected order is a status with a reason, not an exception;
    `OrderCommandError` means that the call itself is wrong and nothing was done.
    """

    @property
    @abstractmethod
    def now(self) -> datetime:
        """The time that orders are traded by, aware, UTC: the real one, or that of the data."""

    @abstractmethod
    def market(self) -> AsyncIterator[Bars]:
        """Return an iterator over the bars from here on. An executor has one reader: the youngest."""

    @abstractmethod
    async def submit_orders(self, orders: Sequence[Order]) -> list[OrderStatus]:
        """Submit orders; return their statuses, in order, once each is denied or its intent is durable.

        The same id with the same terms returns the first order's status. Raises OrderCommandError for an id with other
        terms.
        """

    @abstractmethod
    async def get_order_status(self, order_ids: Sequence[str]) -> list[OrderStatus]:
        """Return the status of orders by client order id, in order. Raises OrderCommandError for an unknown id."""

    @abstractmethod
    async def cancel_orders(self, order_ids: Sequence[str]) -> list[bool]:
        """Cancel orders; True once a cancel is durably taken, False for an order that is closed or unknown.

        True is no proof that the order is gone: that is its state.
        """

    @abstractmethod
    async def get_positions(self) -> dict[str, Position]:
        """Return the open positions by symbol."""

    @abstractmethod
    async def get_account_info(self) -> AccountInfo:
        """Return the balances at last prices."""

    @abstractmethod
    async def get_filled_orders(self, after: int = 0) -> list[OrderStatus]:
        """Return every order with fills whose last record is numbered above `after`, oldest record first.

        Statuses are cumulative; `status.last_record` of the last one is the next `after`.
        """

    @abstractmethod
    async def replace_order(
        self,
        order_id: str,
        *,
        quantity: Decimal | int | str | None = None,
        limit_price: Decimal | str | None = None,
        stop_price: Decimal | str | None = None,
        trail: Decimal | int | str | None = None,
    ) -> OrderStatus:
        """Change an open order; `quantity` is the new total, fills included.

        Raises OrderCommandError if it is refused before it is sent.
        """

    @abstractmethod
    async def set_targets(
        self, targets: Mapping[str, Decimal | int | str], *, close_others: bool = False
    ) -> list[OrderStatus]:
        """Trade towards target quantities: an absent symbol is left alone, 0 closes it, `close_others` closes the rest.

        Reducers go first and increasers wait for the cash; the statuses are those of the orders that went at once, and what
        waits is ordered after this has returned. A target is pursued until it is reached; one that is given up, because its
        order was denied, rejected or cancelled, is a `TargetDropped` in the journal, and in paper and live mode a warning in
        the log, with what is missing and the reason. A new call replaces the targets of the symbols that it names.
        """

    @abstractmethod
    async def quantity_for(self, symbol: str, notional: Decimal | int | str) -> Decimal:
        """Return how many shares `notional` currency buys now: at the ask, else at the last price, in whole lots, rounded down.

        Fractions of a share where the symbol is traded in fractions. So an order by its worth is one whose quantity is
        known, and can be reserved. Raises OrderCommandError for a symbol that is not tradable or has no price.
        """

    @abstractmethod
    async def flatten(self) -> list[OrderStatus]:
        """Cancel everything that is open, then close every position, also while trading is halted.

        Returns the statuses of the orders that went at once; one that was denied has its `reason` and `text`. An empty list
        does not say that all is closed: with orders open, all are cancelled first, and what closes the positions goes once
        they are over, after this has returned. `get_positions()` says what is still held. A position that is given up, because
        its order was denied, rejected or cancelled, is a `TargetDropped` in the journal, and in paper and live mode a
        warning in the log, with the quantity that is left and the reason. Once nothing is open any more, calling it again
        orders what is left and returns these orders.
        """

    @abstractmethod
    async def halt(self, reason: str) -> TradingState:
        """Halt trading by hand: only cancels, protection and liquidation pass. Returns the state that holds."""

    @abstractmethod
    async def resume(self, reason: str) -> TradingState:
        """Resume trading by hand. Returns the state that holds."""
