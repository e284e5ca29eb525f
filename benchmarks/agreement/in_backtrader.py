"""The script in backtrader: print {version, fills, equity} as JSON."""

from __future__ import annotations

import json
import sys
from datetime import datetime

import backtrader
from script import CASH, Agenda, BarRow

TYPES = {"market": backtrader.Order.Market, "limit": backtrader.Order.Limit, "stop": backtrader.Order.Stop}


class Rows(backtrader.feed.DataBase):
    """Bars from memory."""

    params = (("rows", None),)

    def start(self) -> None:
        super().start()
        self.left = iter(self.p.rows)

    def _load(self) -> bool:
        row: BarRow | None = next(self.left, None)
        if row is None:
            return False
        self.lines.datetime[0] = backtrader.date2num(datetime.fromisoformat(row.day))
        for name in ("open", "high", "low", "close", "volume"):
            getattr(self.lines, name)[0] = getattr(row, name)
        self.lines.openinterest[0] = 0
        return True


class Scripted(backtrader.Strategy):
    params = (("agenda", None),)

    def __init__(self) -> None:
        self.agenda = self.p.agenda
        self.orders: dict[int, backtrader.Order] = {}
        self.numbers: dict[int, int] = {}
        self.fills: list[list[object]] = []
        self.equity: list[float] = []

    def notify_order(self, order: backtrader.Order) -> None:
        if order.status == order.Completed:
            bar = len(self) - 1
            self.fills.append([bar, self.numbers[order.ref], order.executed.size, order.executed.price])

    def next(self) -> None:
        bar = len(self) - 1
        self.equity.append(self.broker.getvalue())
        for each in self.agenda.cancel.get(bar, ()):
            self.cancel(self.orders[each.number])
        for each in self.agenda.submit.get(bar, ()):
            price = None if each.kind == "market" else each.price
            send = self.buy if each.side > 0 else self.sell
            order = send(size=each.quantity, exectype=TYPES[each.kind], price=price)
            self.orders[each.number] = order
            self.numbers[order.ref] = each.number


def run(seed: int) -> dict[str, object]:
    agenda = Agenda(seed)
    cerebro = backtrader.Cerebro(stdstats=False)
    cerebro.broker.setcash(CASH)
    cerebro.broker.set_shortcash(True)
    cerebro.adddata(Rows(rows=agenda.bars))
    cerebro.addstrategy(Scripted, agenda=agenda)
    (strategy,) = cerebro.run()
    return {"version": backtrader.__version__, "fills": strategy.fills, "equity": strategy.equity}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
