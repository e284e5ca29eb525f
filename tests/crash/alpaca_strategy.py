"""What `ordersmith run` trades in the storm at the sandbox: the same ideas as the program with an executor, at every bar and fill."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

from alpaca_trader import GTC, MANY_OPEN, Ideas, bids_of

from ordersmith.actors.bars import Bars
from ordersmith.actors.model import OrderState, OrderStatus, OrderType
from ordersmith.actors.strategy import Strategy


class StormStrategy(Strategy):
    """Trades whatever comes to its mind."""

    def __init__(self) -> None:
        self._ideas = Ideas(int(os.environ.get("STORM_SEED", "0")))

    def on_start(self) -> None:
        Path(os.environ["STORM_UP"]).touch()
        self.submit(self._ideas.own(), self._ideas.own())

    def on_bars(self, bars: Bars) -> None:
        held = {symbol: each.quantity for symbol, each in self.positions.items()}
        prices = {symbol: Decimal(str(row[3])) for symbol, row in bars.rows.items()}
        bids = bids_of(status.order for status in self.open_orders)
        for _ in range(4):
            self.submit(self._ideas.orders(prices, held, bids))
        self.submit(self._ideas.own())
        self._change()

    def on_order(self, status: OrderStatus) -> None:
        if status.state is OrderState.FILLED and self._ideas.chance.random() < 0.3:
            self.submit(self._ideas.own())
        if status.state is OrderState.PARTIALLY_FILLED and self._ideas.chance.random() < 0.3:
            self.cancel(status.client_order_id)

    def _change(self) -> None:
        chance = self._ideas.chance
        open_orders = [
            status
            for status in self.open_orders
            if status.order.order_type is OrderType.LIMIT
            and status.order.time_in_force is GTC
            and not status.pending
            and not status.client_order_id.startswith("own-")
        ]
        for status in open_orders[: max(len(open_orders) - MANY_OPEN, 1)]:
            self.cancel(status.client_order_id)
        for status in open_orders[1:4]:
            terms = self._ideas.new_terms(status.order)
            self.replace(status.client_order_id, terms["quantity"], terms["limit_price"])
            if chance.random() < 0.2:
                self.cancel(status.client_order_id)
