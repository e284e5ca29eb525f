"""lumibot: one run over all symbols, one callback a minute; its iterations skip some minutes around the session's end."""

from __future__ import annotations

import os
import warnings
from importlib.metadata import version
from typing import Any

import pandas
from harness import Crossover, Job, Outcome
from workloads import INITIAL_CASH

os.environ |= {
    "IS_BACKTESTING": "True",
    "BACKTESTING_QUIET_LOGS": "true",
    "LUMIBOT_LOG_LEVEL": "ERROR",
    "LOG_BACKTEST_PROGRESS_TO_FILE": "",
}
warnings.filterwarnings("ignore")

from lumibot.backtesting import PandasDataBacktesting  # noqa: E402
from lumibot.entities import Asset, Data  # noqa: E402
from lumibot.strategies import Strategy  # noqa: E402

JOB: Job


class Workload(Strategy):
    """Counts the orders; lumibot makes the instance itself, so it leaves a reference behind."""

    latest: Workload

    def initialize(self) -> None:
        Workload.latest = self
        self.sleeptime = "1M"
        self.set_market("NYSE")
        self.include_cash_positions = True
        self.traded = [Asset(symbol) for symbol in JOB.workload.symbols]
        self.crossovers = [Crossover() for _ in self.traded]
        self.sent = self.filled = self.bar = 0
        self.order = None

    def on_filled_order(self, position: Any, order: Any, price: Any, quantity: Any, multiplier: Any) -> None:
        self.filled += 1

    def trade(self, asset: Asset, side: int, quantity: int) -> None:
        self.submit_order(self.create_order(asset, quantity, "buy" if side > 0 else "sell"))
        self.sent += 1

    def rest(self, price: float) -> Any:
        order = self.create_order(self.traded[0], 1, "buy", limit_price=price, time_in_force="gtc")
        self.submit_order(order)
        return order


class W0(Workload):
    def on_trading_iteration(self) -> None:
        self.bar += 1


class W1(Workload):
    def on_trading_iteration(self) -> None:
        self.bar += 1
        for asset, crossover in zip(self.traded, self.crossovers, strict=True):
            close = self.get_last_price(asset)
            side = 0 if close is None else crossover.turn(close)
            if side:
                self.trade(asset, side, 100)


class W2(Workload):
    def on_trading_iteration(self) -> None:
        self.bar += 1
        self.trade(self.traded[0], -1 if self.sent & 1 else 1, 1)


class W3(Workload):
    def on_trading_iteration(self) -> None:
        if self.bar == 0:
            for price in JOB.resting_prices():
                self.rest(price)
        if self.bar % 100 == 0:
            JOB.laps.note(self.bar)
            self.trade(self.traded[0], -1 if self.sent & 1 else 1, 1)
        self.bar += 1


class W4(Workload):
    def on_trading_iteration(self) -> None:
        self.bar += 1
        if self.order is not None:
            self.cancel_order(self.order)
        self.order = self.rest(1.0)
        self.sent += 1


def run(job: Job) -> Outcome:
    global JOB
    JOB = job
    history = []
    for symbol in job.workload.symbols:
        frame = job.frame(symbol)
        frame.index = (frame.index - pandas.Timedelta(minutes=1)).tz_convert("America/New_York")
        history.append(Data(Asset(symbol), frame, timestep="minute"))
    strategy = {"W0": W0, "W1": W1, "W2": W2, "W3": W3, "W4": W4}[job.workload.kind]
    with job.watch:
        strategy.run_backtest(
            PandasDataBacktesting,
            frame.index[0].to_pydatetime(),
            frame.index[-1].to_pydatetime(),
            pandas_data=history,
            benchmark_asset=None,
            budget=INITIAL_CASH,
            show_plot=False,
            save_tearsheet=False,
            show_tearsheet=False,
            show_indicators=False,
            save_stats_file=False,
            save_logfile=False,
            show_progress_bar=False,
            quiet_logs=True,
            analyze_backtest=False,
            risk_free_rate=0.0,
        )
    finished = Workload.latest
    return Outcome.of(
        bars=len(job.workload.symbols) * finished.bar,
        orders=finished.sent + job.workload.resting,
        fills=finished.filled,
        equity=float(finished.get_portfolio_value()),
        version=version("lumibot"),
    )
