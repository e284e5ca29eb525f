"""backtrader: one run over all symbols, one callback a minute, market orders at the next bar's open."""

from __future__ import annotations

import backtrader
from harness import FLAT, Job, Outcome
from workloads import INITIAL_CASH


class Workload(backtrader.Strategy):
    params = (("job", None),)

    def __init__(self) -> None:
        self.job = self.p.job
        self.sent = self.filled = self.bar = 0
        self.order = None

    def notify_order(self, order: backtrader.Order) -> None:
        if order.status == order.Completed:
            self.filled += 1

    def trade(self, side: int, size: int, **terms: object) -> None:
        (self.buy if side > 0 else self.sell)(size=size, **terms)
        self.sent += 1

    def rest(self, price: float) -> backtrader.Order:
        return self.buy(size=1, exectype=backtrader.Order.Limit, price=price)


class W0(Workload):
    def next(self) -> None:
        pass


class W1(Workload):
    def __init__(self) -> None:
        super().__init__()
        average = backtrader.indicators.SMA
        self.pairs = [(data, average(data.close, period=10), average(data.close, period=50)) for data in self.datas]
        self.sides = [0] * len(self.pairs)

    def next(self) -> None:
        for number, (data, fast, slow) in enumerate(self.pairs):
            difference = fast[0] - slow[0]
            if -FLAT < difference < FLAT:
                continue
            before, side = self.sides[number], 1 if difference > 0 else -1
            self.sides[number] = side
            if before and before != side:
                self.trade(side, 100, data=data)


class W2(Workload):
    def next(self) -> None:
        self.trade(-1 if self.sent & 1 else 1, 1)


class W3(Workload):
    def next(self) -> None:
        if self.bar == 0:
            for price in self.job.resting_prices():
                self.rest(price)
        if self.bar % 100 == 0:
            self.job.laps.note(self.bar)
            self.trade(-1 if self.sent & 1 else 1, 1)
        self.bar += 1


class W4(Workload):
    def next(self) -> None:
        if self.order is not None:
            self.cancel(self.order)
        self.order = self.rest(1.0)
        self.sent += 1


def run(job: Job) -> Outcome:
    cerebro = backtrader.Cerebro(stdstats=False, quicknotify=False)
    cerebro.broker.setcash(INITIAL_CASH)
    for symbol in job.workload.symbols:
        frame = job.frame(symbol).tz_localize(None)
        feed = backtrader.feeds.PandasData(dataname=frame, timeframe=backtrader.TimeFrame.Minutes)
        cerebro.adddata(feed, name=symbol)
    cerebro.addstrategy({"W0": W0, "W1": W1, "W2": W2, "W3": W3, "W4": W4}[job.workload.kind], job=job)
    with job.watch:
        (strategy,) = cerebro.run()
    return Outcome.of(
        bars=len(job.workload.symbols) * job.bars,
        orders=strategy.sent + job.workload.resting,
        fills=strategy.filled,
        equity=float(cerebro.broker.getvalue()),
        version=backtrader.__version__,
    )
