"""backtesting.py: one symbol a run, vectorised indicators, market orders at the next bar's open, no order lifecycle.

Its callback starts at the second bar. Ten symbols are ten runs, without shared cash, whose times are added up.
"""

from __future__ import annotations

import warnings

import backtesting
import pandas
from backtesting import Backtest, Strategy
from harness import FLAT, Job, Outcome
from workloads import INITIAL_CASH

JOB: Job


class Workload(Strategy):
    """Counts the orders; backtesting.py makes the instance itself, so it leaves a reference behind."""

    latest: Workload

    def init(self) -> None:
        Workload.latest = self
        self.sent = 0
        self.bar = 0

    def trade(self, side: int, size: int) -> None:
        (self.buy if side > 0 else self.sell)(size=size)
        self.sent += 1


class W0(Workload):
    def next(self) -> None:
        pass


class W1(Workload):
    def init(self) -> None:
        super().init()
        self.fast = self.I(average, self.data.Close, 10)
        self.slow = self.I(average, self.data.Close, 50)
        self.side = 0

    def next(self) -> None:
        difference = self.fast[-1] - self.slow[-1]
        if -FLAT < difference < FLAT:
            return
        before, self.side = self.side, 1 if difference > 0 else -1
        if before and before != self.side:
            self.trade(self.side, 100)


class W2(Workload):
    def next(self) -> None:
        self.trade(-1 if self.sent & 1 else 1, 1)


class W3(Workload):
    def next(self) -> None:
        if self.bar == 0:
            for price in JOB.resting_prices():
                self.buy(size=1, limit=price)
        if self.bar % 100 == 0:
            JOB.laps.note(self.bar)
            self.trade(-1 if self.sent & 1 else 1, 1)
        self.bar += 1


class W4(Workload):
    def init(self) -> None:
        super().init()
        self.order = None

    def next(self) -> None:
        if self.order is not None:
            self.order.cancel()
        self.order = self.buy(size=1, limit=1.0)
        self.sent += 1


def average(values: object, length: int) -> pandas.Series:
    return pandas.Series(values).rolling(length).mean()


def run(job: Job) -> Outcome:
    global JOB
    JOB = job
    warnings.filterwarnings("ignore")
    strategy = {"W0": W0, "W1": W1, "W2": W2, "W3": W3, "W4": W4}[job.workload.kind]
    orders = fills = 0
    equity = float(INITIAL_CASH)
    for symbol in job.workload.symbols:
        frame = job.frame(symbol).rename(columns=str.capitalize).tz_localize(None)
        backtest = Backtest(frame, strategy, cash=INITIAL_CASH, commission=0, finalize_trades=False)
        with job.watch:
            statistics = backtest.run()
        finished = Workload.latest
        broker = finished._broker
        orders += finished.sent + job.workload.resting
        fills += 2 * len(broker.closed_trades) + len(broker.trades)
        equity += float(statistics["Equity Final [$]"]) - INITIAL_CASH
    return Outcome.of(
        bars=len(job.workload.symbols) * job.bars,
        orders=orders,
        fills=fills,
        equity=equity,
        version=backtesting.__version__,
    )
