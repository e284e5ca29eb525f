"""Hosted strategies: they run inside the core, are made anew at each boot, and know only what they are shown.

They draw no numbers: what they do follows from the time and the prices, so that a seed's other streams do not depend on
how often the process was booted. While it is quiet they open nothing and cancel what they see open.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from ..actors.bars import Bars
from ..actors.model import Order, OrderState, OrderStatus, Purpose, Side, TimeInForce
from ..actors.strategy import Strategy
from .market import in_currency, is_usable
from .schedule import MINUTE_NS

Quiet = Callable[[], bool]


class Allocator(Strategy):
    """Sets target positions for two symbols every half hour, by the last digits of their prices."""

    NAME = "allocator"

    def __init__(self, quiet: Quiet, every: int = 30) -> None:
        self._quiet, self._every = quiet, every

    def on_bars(self, bars: Bars) -> None:
        minute = bars.end_ns // MINUTE_NS
        if self._quiet() or minute % self._every:
            return
        first = minute // self._every % len(bars)
        symbols = [symbol for symbol in (*bars, *bars)[first : first + 2] if is_usable(bars.close(symbol))]
        targets = {symbol: _digits(bars.close(symbol)) % 61 - 20 for symbol in symbols}
        if targets:
            self.set_targets(targets)


class Quoter(Strategy):
    """Bids a little below the market for one symbol, follows it, and offers what it has bought a little above.

    A bid is taken back once a part of it has filled; what it has bought is known from its own orders alone.
    """

    NAME = "quoter"
    LIVES_NS = 30 * MINUTE_NS
    REMEMBERED = 200

    def __init__(self, quiet: Quiet, every: int = 12) -> None:
        self._quiet, self._every = quiet, every
        self._open: dict[str, OrderStatus] = {}
        self._bought: dict[str, Decimal] = {}

    def on_start(self) -> None:
        """Look after what an earlier boot has left open under this name."""
        for status in self.open_orders:
            if status.order.strategy == self.NAME:
                self._open[status.client_order_id] = status
                self._bought[status.client_order_id] = status.filled_quantity

    def on_bars(self, bars: Bars) -> None:
        if self._quiet():
            self.cancel(*(status.client_order_id for status in self.open_orders))
            return
        minute = bars.end_ns // MINUTE_NS
        if minute % self._every:
            return
        old = [key for key, status in self._open.items() if self.now_ns - status.submitted_ns > self.LIVES_NS]
        if old:
            self.cancel(*old)
        symbol = tuple(bars)[minute // (5 * self._every) % len(bars)]
        close = bars.close(symbol)
        if not is_usable(close):
            return
        cents = round(close * 100)
        mine = (status for key, status in self._open.items() if status.symbol == symbol and key not in old)
        bids = [status for status in mine if status.side is Side.BUY and not status.pending]
        if bids:
            self.replace(bids[0].client_order_id, limit_price=in_currency(cents * 997 // 1000))
        else:
            quantity = _digits(close) % 40 + 1
            self.submit(Order.buy(symbol, quantity, in_currency(cents * 998 // 1000), time_in_force=TimeInForce.GTC))

    def on_order(self, status: OrderStatus) -> None:
        order_id = status.client_order_id
        if status.is_closed:
            self._open.pop(order_id, None)
        else:
            self._open[order_id] = status
        if status.side is Side.SELL or self._quiet():
            return
        if status.state is OrderState.PARTIALLY_FILLED and "cancel" not in status.pending:
            self.cancel(order_id)
        bought = status.filled_quantity - self._bought.pop(order_id, Decimal(0))
        self._bought[order_id] = status.filled_quantity
        if len(self._bought) > self.REMEMBERED:
            del self._bought[next(iter(self._bought))]
        if bought > 0 and status.average_price is not None:
            asked = (status.average_price * Decimal("1.004")).quantize(Decimal("0.01"))
            self.submit(Order.sell(status.symbol, bought, asked, purpose=Purpose.EXIT))


def hosted(quiet: Quiet) -> tuple[tuple[str, Strategy], ...]:
    """Return the strategies of one boot, with their names."""
    return ((Allocator.NAME, Allocator(quiet)), (Quoter.NAME, Quoter(quiet)))


def _digits(close: float) -> int:
    """Return the cents of a price: a number that nobody chose."""
    return round(close * 100)
