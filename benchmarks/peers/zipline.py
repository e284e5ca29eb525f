"""zipline-reloaded: one run over all symbols, one callback a minute, market orders at the next bar's close.

It runs whole sessions only, so it gets its bars rounded down to sessions (at least one). They come out of a bundle, which is ingested
once, off the clock, and read on it. The context that it hands to the callbacks is its own algorithm object, where a name such as `order`
is taken.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pandas
from harness import Crossover, Job, Outcome
from workloads import INITIAL_CASH, SYMBOLS

BUNDLE = "minutes"


def register(job: Job) -> None:
    """Declare the bundle; ingesting it is `prepare`'s work."""
    from zipline.data import bundles

    first, last = (end.normalize().tz_localize(None) for end in job.frame(SYMBOLS[0]).index[[0, -1]])

    def write(
        environ: Any, assets: Any, minutes: Any, days: Any, adjustments: Any, calendar: Any, *_: Any, **__: Any
    ) -> None:
        assets.write(
            equities=pandas.DataFrame(
                {
                    "symbol": SYMBOLS,
                    "asset_name": SYMBOLS,
                    "start_date": first,
                    "end_date": last,
                    "first_traded": first,
                    "auto_close_date": last + pandas.Timedelta(days=1),
                    "exchange": "NYSE",
                }
            )
        )
        minutes.write(((number, job.frame(symbol)) for number, symbol in enumerate(SYMBOLS)), show_progress=False)
        days.write(daily(job, calendar.sessions_in_range(first, last)), show_progress=False)
        adjustments.write()

    bundles.register(BUNDLE, write, calendar_name="XNYS", start_session=first, end_session=last, minutes_per_day=390)


def daily(job: Job, sessions: pandas.DatetimeIndex) -> Iterator[tuple[int, pandas.DataFrame]]:
    """Yield each symbol's daily bars, which zipline's metrics ask for."""
    columns = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    for number, symbol in enumerate(SYMBOLS):
        frame = job.frame(symbol)
        yield number, frame.groupby(frame.index.tz_localize(None).normalize()).agg(columns).reindex(sessions)


def configure(job: Job) -> None:
    os.environ["ZIPLINE_ROOT"] = str(job.scratch)
    warnings.filterwarnings("ignore")
    register(job)


def prepare(job: Job) -> None:
    configure(job)
    from zipline.data import bundles

    bundles.ingest(BUNDLE, show_progress=False)


Handler = Callable[[Any, Any], None]


def handlers(job: Job) -> dict[str, Handler]:
    """Return the callback of each workload; zipline's API needs the bundle's environment, so it is imported late."""
    from zipline.api import cancel_order, order

    def next_side(context: Any) -> int:
        context.sent += 1
        return 1 if context.sent & 1 else -1

    def w0(context: Any, data: Any) -> None:
        context.bar += 1

    def w1(context: Any, data: Any) -> None:
        context.bar += 1
        closes = data.current(context.assets, "close").values
        for asset, crossover, close in zip(context.assets, context.crossovers, closes, strict=True):
            side = crossover.turn(close)
            if side:
                order(asset, 100 * side)
                context.sent += 1

    def w2(context: Any, data: Any) -> None:
        context.bar += 1
        order(context.assets[0], next_side(context))

    def w3(context: Any, data: Any) -> None:
        if context.bar == 0:
            for price in job.resting_prices():
                order(context.assets[0], 1, limit_price=price)
        if context.bar % 100 == 0:
            job.laps.note(context.bar)
            order(context.assets[0], next_side(context))
        context.bar += 1

    def w4(context: Any, data: Any) -> None:
        context.bar += 1
        if context.resting is not None:
            cancel_order(context.resting)
        context.resting = order(context.assets[0], 1, limit_price=1.0)
        context.sent += 1

    return {"W0": w0, "W1": w1, "W2": w2, "W3": w3, "W4": w4}


def whole_sessions(job: Job) -> tuple[pandas.Timestamp, pandas.Timestamp]:
    """Return the first and the last session that lie wholly within the job's bars."""
    days = job.frame(SYMBOLS[0]).index.tz_localize(None).normalize()
    sessions = days.unique()
    return sessions[0], sessions[max(len(sessions) - 2, 0)]


def run(job: Job) -> Outcome:
    configure(job)
    from zipline import run_algorithm
    from zipline.api import set_commission, set_slippage, symbol
    from zipline.finance import commission, slippage
    from zipline.utils.calendar_utils import get_calendar

    start, end = whole_sessions(job)
    contexts: list[Any] = []

    def initialize(context: Any) -> None:
        set_commission(commission.NoCommission())
        set_slippage(slippage.NoSlippage())
        context.sent = context.bar = 0
        context.resting = None
        context.assets = [symbol(name) for name in job.workload.symbols]
        context.crossovers = [Crossover() for _ in context.assets]
        contexts.append(context)

    flat = pandas.Series(0.0, index=get_calendar("XNYS").sessions_in_range(start, end))
    with job.watch:
        performance = run_algorithm(
            start=start,
            end=end,
            initialize=initialize,
            handle_data=handlers(job)[job.workload.kind],
            capital_base=INITIAL_CASH,
            data_frequency="minute",
            bundle=BUNDLE,
            benchmark_returns=flat,
        )
    context = contexts[0]
    return Outcome.of(
        bars=len(job.workload.symbols) * context.bar,
        orders=context.sent + job.workload.resting,
        fills=sum(len(transactions) for transactions in performance.transactions),
        equity=float(performance.portfolio_value.iloc[-1]),
        version=version("zipline-reloaded"),
    )
