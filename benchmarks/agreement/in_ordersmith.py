"""The script in Ordersmith, costs, limits and the volume budget off: print {version, fills, equity} as JSON."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from importlib.metadata import version

from script import CASH, DATA, FIRST, Agenda

from ordersmith import BacktestExecutor, Bars, Order, Strategy

SETTINGS = {
    "execution": {
        "mode": "backtest",
        "backtest": {
            "slippage": 0,
            "commission": 0,
            "participation": None,
            "limit_fill": "touch",
            "price_increment": "0.00000001",
            "account": {"type": "margin", "cash": CASH},
        },
    },
    "risk": {"price_collar": None},
    "data": {"path": str(DATA), "start": FIRST},
}
"""As the peers fill: any volume, a limit at touch. Prices of the data have more digits than a tick."""


class Scripted(Strategy):
    def __init__(self, agenda: Agenda) -> None:
        self.agenda = agenda
        self.bar = 0
        self.ids: dict[int, str] = {}

    def on_bars(self, bars: Bars) -> None:
        bar, self.bar = self.bar, self.bar + 1
        self.cancel(*(self.ids[each.number] for each in self.agenda.cancel.get(bar, ())))
        for each in self.agenda.submit.get(bar, ()):
            prices = {} if each.kind == "market" else {f"{each.kind}_price": Decimal(each.cents) / 100}
            make = Order.buy if each.side > 0 else Order.sell
            (self.ids[each.number],) = self.submit(make("AAPL", each.quantity, time_in_force="GTC", **prices))


def run(seed: int) -> dict[str, object]:
    agenda = Agenda(seed)
    strategy = Scripted(agenda)
    result = BacktestExecutor(SETTINGS, strategy=strategy).run()
    numbers = {order_id: number for number, order_id in strategy.ids.items()}
    bar_at = {at_ns: bar for bar, (at_ns, _) in enumerate(result.equity)}
    fills = [
        [
            bar_at[record.at_ns],
            numbers[event.client_order_id],
            int(event.quantity) * (1 if event.side == "BUY" else -1),
            float(event.fill.price),
        ]
        for record, event in result.fills()
    ]
    return {"version": version("ordersmith"), "fills": fills, "equity": [equity for _, equity in result.equity]}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
