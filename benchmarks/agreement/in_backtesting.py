"""The script in backtesting.py: print {version, fills, equity} as JSON.

It keeps trades and not orders, so a fill is seen by its order having gone from the list, and has no price here: the
equity, which is compared at every bar, has it.
"""

from __future__ import annotations

import json
import sys
import warnings

import backtesting
import pandas
from backtesting import Backtest, Strategy
from script import CASH, FIRST_BAR, Agenda


class Scripted(Strategy):
    latest: Scripted
    agenda: Agenda

    def init(self) -> None:
        Scripted.latest = self
        self.working: dict[int, object] = {}
        self.sent: dict[int, object] = {}
        self.fills: list[list[object]] = []
        self.curve: list[float] = [float(CASH)] * (FIRST_BAR - 1)

    def next(self) -> None:
        bar = len(self.data) - 1
        self.curve.append(self.equity)
        open_now = {id(order) for order in self.orders}
        for number, order in list(self.working.items()):
            if id(order) not in open_now:
                self.fills.append([bar, number, self.agenda.all[number].side * self.agenda.all[number].quantity, None])
                del self.working[number]
        for each in self.agenda.cancel.get(bar, ()):
            order = self.working.pop(each.number, None)
            if order is not None:
                order.cancel()
        for each in self.agenda.submit.get(bar, ()):
            terms = {} if each.kind == "market" else {each.kind: each.price}
            send = self.buy if each.side > 0 else self.sell
            self.working[each.number] = send(size=each.quantity, **terms)


def run(seed: int) -> dict[str, object]:
    agenda = Agenda(seed)
    Scripted.agenda = agenda
    frame = pandas.DataFrame(
        [row[1:] for row in agenda.bars],
        columns=["Open", "High", "Low", "Close", "Volume"],
        index=pandas.to_datetime([row.day for row in agenda.bars]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Backtest(frame, Scripted, cash=CASH, hedging=False, exclusive_orders=False).run()
    done = Scripted.latest
    return {"version": backtesting.__version__, "fills": done.fills, "equity": done.curve}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
