"""What a backtest came to: the summary, and the orders, fills, equity and journal behind it.

Metrics are computed on the equity at the end of each session, by a library; money and counts come from the folded
records and are exact.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal, localcontext
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from ..actors.actor import Record
from ..actors.events import OrderEvent, OrderFilled
from ..actors.machines.order import OrderMachine
from ..actors.model import ZERO, AccountInfo, OrderStatus, as_datetime
from ..adapters.record_codec import decode_record
from .dispatcher import ARITHMETIC

if TYPE_CHECKING:
    from .backtest import Backtest
    from .report_data import ReportData

COSTS = ("commission", "fees", "slippage", "impact", "borrow_fees", "account_fees")
"""What trading cost: fields of the summary, in the order in which they are shown."""
INCOME = ("dividends", "interest")
"""What came in without a trade, negative where it was paid."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in numbers. Money is Decimal in the account's currency; returns, drawdown and turnover are fractions.

    `sharpe` is annualised from the sessions' returns (252 a year, no risk-free rate), None with fewer than two or
    without variance; `turnover` is the notional of all fills, `traded`, over the mean equity. `commission` is without the
    regulatory `fees`; slippage and impact are contained in the prices of the fills; `dividends` and `interest` are what came
    in, negative where it was paid.
    """

    mode: str
    start: str
    end: str
    bars: int
    sessions: int
    orders: int
    fills: int
    orders_by_state: dict[str, int]
    denials_by_code: dict[str, int]
    initial_cash: Decimal
    cash: Decimal
    final_equity: Decimal
    total_return: float
    max_drawdown: float
    sharpe: float | None
    turnover: float
    commission: Decimal
    slippage: Decimal
    impact: Decimal
    records: int
    seed: int
    trace_hash: str
    elapsed_s: float
    bars_per_s: float
    orders_per_s: float
    warnings: tuple[str, ...] = ()
    fees: Decimal = ZERO
    borrow_fees: Decimal = ZERO
    account_fees: Decimal = ZERO
    dividends: Decimal = ZERO
    interest: Decimal = ZERO
    traded: Decimal = ZERO
    margin_calls: int = 0

    @property
    def costs(self) -> Decimal:
        """All that trading cost together."""
        with localcontext(ARITHMETIC):
            total = ZERO
            for field in COSTS:
                total += getattr(self, field)
            return total


class BacktestResult:
    """The outcome of a run so far. `summary` is computed when first asked for, and what there is to draw with it."""

    def __init__(self, backtest: Backtest, elapsed_s: float) -> None:
        self._backtest = backtest
        self._elapsed_s = elapsed_s
        self._summary: Summary | None = None
        self._drawn: ReportData | None = None

    @property
    def summary(self) -> Summary:
        """The run in numbers."""
        if self._summary is None:
            with localcontext(ARITHMETIC):
                self._summary = _summarise(self._backtest, self._elapsed_s)
        return self._summary

    @property
    def trace_hash(self) -> str:
        """SHA-256 of the encoded records: the same for every run of the same configuration, data and seed."""
        return self._backtest.dispatcher.log.trace_hash

    @property
    def record_count(self) -> int:
        """How many records the journal holds."""
        return self._backtest.dispatcher.log.last

    @property
    def equity(self) -> list[tuple[int, float]]:
        """(time in ns UTC, equity) at the end of every bar time."""
        return list(self.equity_curve())

    def equity_curve(self) -> Iterator[tuple[int, float]]:
        """Yield (time in ns UTC, equity) at the end of every bar time; a run that was broken off may lack the last one."""
        return zip(self._backtest.times, self._backtest.equity, strict=False)

    @property
    def journal_kept(self) -> bool:
        """Whether the records of the whole run are there."""
        return self._backtest.settings.journal.keep == "all"

    def records(self) -> Iterator[Record]:
        """Yield the journal; with `journal.keep: open` there is nothing to yield."""
        self._backtest.dispatcher.log.write()
        for data in self._backtest.store.read():
            yield decode_record(data)

    def orders(self) -> list[OrderStatus]:
        """Return the status of every order of the journal, in order of submission."""
        machines: dict[str, OrderMachine] = {}
        with localcontext(ARITHMETIC):
            for record in self.records():
                if not isinstance(record.event, OrderEvent):
                    continue
                order_id = record.event.client_order_id
                machine = machines.get(order_id)
                if machine is None:
                    machines[order_id] = OrderMachine.begin(record)
                else:
                    machine.fold_in(record)
        return [machine.status() for machine in machines.values()]

    def fills(self) -> Iterator[tuple[Record, OrderFilled]]:
        """Yield every fill of the journal with its record."""
        for record in self.records():
            if type(record.event) is OrderFilled:
                yield record, record.event

    # --- Look at it ----------------------------------------------------------------------------------------------------

    def report(self, path: str | PathLike[str]) -> Path:
        """Write the page that shows the run, one file that needs no network, and return its path.

        Raises ConfigError if plotly, whose script goes into the page, is not installed, and OSError.
        """
        from . import report

        return report.write(Path(path), self.drawn(), self._backtest.settings)

    def figure(self, symbol: str | None = None) -> Any:
        """Return a plotly figure: equity, drawdown and exposure, or the fills on the price of a symbol.

        Raises ConfigError if plotly is not installed, KeyError for a symbol that was not traded.
        """
        from . import report, report_figures

        data = self.drawn()
        if symbol is None:
            return report.as_plotly(report_figures.overview(data))
        history = {history.symbol: history for history in data.symbols}.get(symbol)
        if history is None:
            traded = ", ".join(history.symbol for history in data.symbols[:20]) or "none was"
            raise KeyError(f"{symbol}: not a symbol that was traded; traded: {traded}")
        return report.as_plotly(report_figures.prices(history, daily=data.daily))

    def cost_figure(self) -> Any:
        """Return a plotly figure: what trading cost, by kind and period. Raises ConfigError if plotly is not installed."""
        from . import report, report_figures

        return report.as_plotly(report_figures.costs(self.drawn().costs))

    def drawn(self) -> ReportData:
        """Return what there is to draw, from one walk through the bars and the journal when first asked for."""
        if self._drawn is None:
            from .report_data import gather

            summary = self.summary
            with localcontext(ARITHMETIC):
                self._drawn = gather(self._backtest, summary, self.records())
        return self._drawn

    def _repr_html_(self) -> str:
        from .report_notebook import small_html

        return small_html(self)

    def __repr__(self) -> str:
        s = self.summary
        return f"<BacktestResult {s.start} to {s.end}: {s.orders:,} orders, equity {s.final_equity:,.2f} ({s.total_return:+.2%})>"


def as_fields(summary: Summary) -> dict[str, Any]:
    """Return the summary's fields, with what is derived from them."""
    return {**msgspec.structs.asdict(summary), "costs": summary.costs}


class Stopwatch:
    """Wall time spent running, over several stretches."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.elapsed_s += time.perf_counter() - self._began


def _summarise(backtest: Backtest, elapsed_s: float) -> Summary:
    totals = backtest.dispatcher.view("tally")
    info: AccountInfo = backtest.dispatcher.view("risk_gate").info(backtest.account)
    initial = backtest.settings.execution.backtest.account.cash
    closes = _session_equity(backtest)
    returns, max_drawdown, sharpe = _metrics(float(initial), closes)
    mean_equity = _mean(closes) or float(initial)
    seconds = elapsed_s or float("nan")
    return Summary(
        mode="backtest",
        start=f"{as_datetime(backtest.feed.start_ns):%Y-%m-%d}",
        end=f"{as_datetime(backtest.dispatcher.now_ns):%Y-%m-%d}",
        bars=backtest.bars,
        sessions=len(closes),
        orders=totals.orders,
        fills=totals.fills,
        orders_by_state=backtest.states(),
        denials_by_code=dict(sorted(totals.denials.items())),
        initial_cash=initial,
        cash=info.cash,
        final_equity=info.equity,
        total_return=returns,
        max_drawdown=max_drawdown,
        sharpe=sharpe,
        turnover=float(totals.turnover) / mean_equity if mean_equity else 0.0,
        commission=totals.commission,
        slippage=totals.slippage,
        impact=totals.impact,
        records=backtest.dispatcher.log.last,
        seed=backtest.settings.seed,
        trace_hash=backtest.dispatcher.log.trace_hash,
        elapsed_s=round(elapsed_s, 6),
        bars_per_s=round(backtest.bars / seconds, 1) if elapsed_s else 0.0,
        orders_per_s=round(totals.orders / seconds, 1) if elapsed_s else 0.0,
        warnings=(
            *getattr(backtest.feed, "warnings", ()),
            *backtest.exchange.warnings,
            *totals.notes,
            *_crashes(backtest),
        ),
        fees=totals.fees,
        borrow_fees=-totals.borrow_fees,
        account_fees=-totals.account_fees,
        dividends=totals.dividends,
        interest=totals.interest,
        traded=totals.turnover,
        margin_calls=totals.margin_calls,
    )


def _crashes(backtest: Backtest) -> Iterator[str]:
    """Say in one line that actors crashed; a strategy's exception ends the run and is told by itself."""
    reports = backtest.lifecycle.reports
    crashes = [report for report in reports if not report.startswith("strategy/")]
    if not crashes:
        return
    number, most = len(crashes), reports.maxlen
    several = "once" if number == 1 else f"{number:,} times{' or more' if len(reports) == most else ''}; the first"
    crash, _, _ = crashes[0].partition(": ")
    error = crashes[0].partition("\nlast dispatches:")[0].rpartition("\n")[2]
    yield f"actors crashed {several}: {crash} ({error}); they were rebuilt from the records"


def _session_equity(backtest: Backtest) -> list[float]:
    """Return the last equity of every session."""
    closes: list[float] = []
    last_session = None
    # Not strict: a run may have been broken off between the two.
    for session, equity in zip(backtest.sessions, backtest.equity, strict=False):
        if session == last_session:
            closes[-1] = equity
        else:
            closes.append(equity)
            last_session = session
    return closes


def _metrics(initial: float, closes: list[float]) -> tuple[float, float, float | None]:
    """Return total return, maximum drawdown and Sharpe ratio of the sessions' closing equity."""
    if not closes or initial <= 0 or min(closes) <= 0:
        # Returns on an equity that is not positive mean nothing; the loss itself does.
        total = (closes[-1] / initial - 1) if closes and initial > 0 else 0.0
        return total, min(total, 0.0), None
    # Imported here: they cost more start-up time than all the rest together.
    import empyrical
    import polars

    returns = polars.Series([initial, *closes]).pct_change().drop_nulls().to_numpy()
    sharpe = float(empyrical.sharpe_ratio(returns)) if len(returns) > 1 and returns.std() > 0 else None
    return float(closes[-1] / initial - 1), float(empyrical.max_drawdown(returns)), sharpe


def _mean(values: list[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total / len(values) if values else 0.0
