"""A strategy that does a little of everything, and whose every step follows from what it sees: the bar, positions, open orders.

It remembers nothing, so a process that was killed goes on as one that was not. Some orders have ids of the strategy's own, which it
submits again and again with the same terms: once is enough.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from decimal import Decimal

from ordersmith.actors.bars import Bars
from ordersmith.actors.model import Order, OrderState, OrderStatus, TimeInForce
from ordersmith.actors.strategy import Strategy
from ordersmith.adapters import crash_points

MINUTE_NS = 60_000_000_000
OPEN_MINUTE = 14 * 60 + 30
BLOCK = 5
"""Bars in which an order with an id of its own is submitted again."""

DAY, GTC, IOC = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC
KEPT = 12
"""Open orders that are left alone."""


class CrashStrategy(Strategy):
    """Trades three symbols by a timetable."""

    def on_bars(self, bars: Bars) -> None:
        index = bars.end_ns // MINUTE_NS % 1440 - OPEN_MINUTE
        if str(index) == os.environ.get("CRASH_TEST_STOP_AT"):
            crash_points._left.update(crash_points.armed(os.environ["CRASH_TEST_THEN"]))
            self.submit(Order.buy("BBB", 1, "20", time_in_force=GTC))  # so that there is something to cancel
            os.kill(os.getpid(), signal.SIGTERM)
        symbol = sorted(bars.rows)[index % len(bars.rows)]
        price = Decimal(str(round(bars.rows[symbol][3], 2)))
        for rest, period, act in TIMETABLE:
            if index % period == rest:
                act(self, index, symbol, price)
        if bars.closes_session:
            self._ask_in_vain(bars)
        self._own(bars.session, index, symbol, bars)

    def on_order(self, status: OrderStatus) -> None:
        """Take a profit, by a limit order whose id follows from the entry's."""
        order = status.order
        is_entry = order.client_order_id.startswith("own-") and order.side == "BUY"
        if is_entry and status.state is OrderState.FILLED and status.average_price is not None:
            exit_id = "exit-" + order.client_order_id
            limit = (status.average_price * Decimal("1.004")).quantize(Decimal("0.01"))
            terms = {"client_order_id": exit_id, "time_in_force": GTC}
            if self.status(exit_id) is None:
                self.submit(Order.sell(order.symbol, status.filled_quantity, limit, **terms))

    def _own(self, session: int, index: int, symbol: str, bars: Bars) -> None:
        """Submit this block's order: its terms follow from the block alone."""
        block = index // BLOCK
        name = sorted(bars.rows)[block % len(bars.rows)]
        limits = {"AAA": "104", "BBB": "51.5", "CCC": "20.5"}  # after the split half as much would do
        self.submit(
            Order.buy(name, 10 + block, limits[name], client_order_id=f"own-{session}-{block}", time_in_force=GTC)
        )

    def _ask_in_vain(self, bars: Bars) -> None:
        """Have the exchange refuse as many orders as halt trading: no session is open any more."""
        for symbol in sorted(bars.rows):
            self.submit(Order.buy(symbol, 1))

    def market(self, index: int, symbol: str, price: Decimal) -> None:
        held = self.positions.get(symbol)
        if held is not None and held.quantity > 60:
            self.submit(Order.sell(symbol, int(held.quantity) // 2))
        else:
            self.submit(Order.buy(symbol, 30 + index % 7))

    def rest(self, index: int, symbol: str, price: Decimal) -> None:
        below = (price * Decimal("0.985")).quantize(Decimal("0.01"))
        self.submit(Order.buy(symbol, 20, below, time_in_force=GTC), Order.buy(symbol, 5, below, time_in_force=DAY))

    def stop(self, index: int, symbol: str, price: Decimal) -> None:
        held = self.positions.get(symbol)
        if held is not None and held.quantity >= 10:
            below = (price * Decimal("0.99")).quantize(Decimal("0.01"))
            self.submit(Order.sell(symbol, 5, stop_price=below, time_in_force=GTC))

    def move(self, index: int, symbol: str, price: Decimal) -> None:
        """Bring the two oldest limit orders that can be changed nearer to the market."""
        for status in self._changeable()[:2]:
            order = status.order
            assert order.limit_price is not None
            limit = (order.limit_price * Decimal("1.001")).quantize(Decimal("0.01"))
            self.replace(status.client_order_id, status.quantity + 1, limit)

    def cancel_oldest(self, index: int, symbol: str, price: Decimal) -> None:
        for status in self.open_orders[: max(len(self.open_orders) - KEPT, 1)]:
            self.cancel(status.client_order_id)

    def targets(self, index: int, symbol: str, price: Decimal) -> None:
        self.set_targets({symbol: 20 + index % 40})

    def at_once(self, index: int, symbol: str, price: Decimal) -> None:
        self.submit(Order.buy(symbol, 200, price, time_in_force=IOC))

    def _changeable(self) -> list[OrderStatus]:
        return [
            status
            for status in self.open_orders
            if status.order.limit_price is not None
            and not status.pending
            and not status.order.parent
            and not status.client_order_id.startswith(("own-", "exit-"))
        ]


TIMETABLE: tuple[tuple[int, int, Callable[[CrashStrategy, int, str, Decimal], None]], ...] = (
    (0, 4, CrashStrategy.market),
    (1, 3, CrashStrategy.rest),
    (2, 7, CrashStrategy.stop),
    (2, 3, CrashStrategy.move),
    (5, 6, CrashStrategy.cancel_oldest),
    (7, 10, CrashStrategy.targets),
    (3, 9, CrashStrategy.at_once),
)
"""What is done at the end of which bar: at the remainder, of the period."""
