"""Ordersmith: the default configuration, gate and journal on, every record kept; one callback a symbol-bar, fills at the next bar's open.

What the settings change is what the peers do, too: a margin account of ten million without slippage or commission.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import empyrical  # noqa: F401 - the summary imports it, which is to happen off the clock
import polars
from harness import Crossover, Job, Outcome
from workloads import BARS, INITIAL_CASH

from ordersmith import BacktestExecutor, BacktestResult, Bar, Order, Strategy, TimeInForce
from ordersmith.adapters.market_data import load_bars

SETTINGS = {
    "execution": {
        "mode": "backtest",
        "backtest": {
            "slippage": 0,
            "commission": 0,
            "fill": "next_open",
            "account": {"type": "margin", "cash": INITIAL_CASH},
        },
    },
}


class W0(Strategy):
    def __init__(self, job: Job) -> None:
        self.job = job
        self.sent = self.cancelled = self.bar = 0

    def on_bar(self, bar: Bar) -> None:
        pass

    def trade(self, symbol: str, side: int, quantity: int) -> None:
        self.submit(Order.buy(symbol, quantity) if side > 0 else Order.sell(symbol, quantity))
        self.sent += 1

    def rest(self, symbol: str, price: str) -> str:
        (client_order_id,) = self.submit(Order.buy(symbol, 1, limit_price=price, time_in_force=TimeInForce.GTC))
        return client_order_id


class W1(W0):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.crossovers = {symbol: Crossover() for symbol in job.workload.symbols}

    def on_bar(self, bar: Bar) -> None:
        side = self.crossovers[bar.symbol].turn(bar.close)
        if side:
            self.trade(bar.symbol, side, 100)


class W2(W0):
    def on_bar(self, bar: Bar) -> None:
        self.trade(bar.symbol, -1 if self.sent & 1 else 1, 1)


class W3(W0):
    def on_bar(self, bar: Bar) -> None:
        if self.bar == 0:
            for price in self.job.resting_prices():
                self.rest(bar.symbol, f"{price:.2f}")
        if self.bar % 100 == 0:
            self.job.laps.note(self.bar)
            self.trade(bar.symbol, -1 if self.sent & 1 else 1, 1)
        self.bar += 1


class W4(W0):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.resting = ""

    def on_bar(self, bar: Bar) -> None:
        if self.resting:
            self.cancel(self.resting)
            self.cancelled += 1
        self.resting = self.rest(bar.symbol, "1.00")
        self.sent += 1


STRATEGIES = {"W0": W0, "W1": W1, "W2": W2, "W3": W3, "W4": W4}


def run(job: Job) -> Outcome:
    feed = load_bars(first_bars(job), symbols=job.workload.symbols, stamp="close")
    strategy = STRATEGIES[job.workload.kind](job)
    executor = BacktestExecutor(SETTINGS, strategy=strategy, feed=feed)
    with job.watch:
        result = executor.run()
        summary = result.summary
    check_records(result, strategy.cancelled)
    return Outcome.of(
        bars=summary.bars,
        orders=summary.orders,
        fills=summary.fills,
        equity=summary.final_equity,
        version=version("ordersmith"),
        records=result.record_count,
    )


RECORDS_AN_ORDER = 4
"""Submitted, approved, intended, accepted."""
RECORDS_A_FILL = 1
RECORDS_A_CANCEL = 2
"""Requested, done."""
RECORDS_A_RUN = 2
"""The broker's session was connected, and opened."""


def check_records(result: BacktestResult, cancels: int) -> None:
    """Raise unless the journal still holds, encoded, every record that the orders account for; without it the figures would mean less."""
    orders, fills = result.summary.orders, result.summary.fills
    right = RECORDS_A_RUN + RECORDS_AN_ORDER * orders + RECORDS_A_FILL * fills + RECORDS_A_CANCEL * cancels
    kept = sum(1 for _ in result.records())
    if not kept == result.record_count == right:
        raise AssertionError(
            f"the journal counts {result.record_count} records and holds {kept}; {orders} orders and {fills} fills make {right}"
        )


def first_bars(job: Job) -> Path:
    """Return a folder with the job's bars: the data themselves, or files cut to length."""
    if job.bars == BARS:
        return job.data
    folder = job.scratch / f"{job.data.name}-{job.bars}"
    folder.mkdir(exist_ok=True)
    for symbol in job.workload.symbols:
        polars.scan_parquet(job.data / f"{symbol}.parquet").head(job.bars).collect().write_parquet(
            folder / f"{symbol}.parquet"
        )
    return folder
