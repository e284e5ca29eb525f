"""What a backtest came to: the summary, and the orders, fills, equity and journal behind it.

Metrics are computed on the equity at the end of each session, by a library; money and counts come from the folded
records and are exact.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Self

import msgspec

from ..actors.actor import Record
from ..actors.events import OrderEvent, OrderFilled
from ..actors.machines.order import OrderMachine
from ..actors.model import AccountInfo, OrderStatus, as_datetime
from ..adapters.record_codec import decode_record
from .dispatcher import ARITHMETIC

if TYPE_CHECKING:
    from .backtest import Backtest

DAY_NS = 86_400_000_000_000


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in numbers. Money is Decimal in the account's currency; returns, drawdown and turnover are fractions.

    `sharpe` is annualised from the sessions' returns (252 a year, no risk-free rate), None with fewer than two or
    without variance; `turnover` is the notional of all fills over the mean equity.
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


class BacktestResult:
    """The outcome of a run so far. `summary` is computed when first asked for."""

    def __init__(self, backtest: Backtest, elapsed_s: float) -> None:
        self._backtest = backtest
        self._elapsed_s = elapsed_s
        self._summary: Summary | None = None

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

    def __repr__(self) -> str:
        s = self.summary
        return f"<BacktestResult {s.start} to {s.end}: {s.orders:,} orders, equity {s.final_equity:,.2f} ({s.total_return:+.2%})>"


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
        warnings=(*getattr(backtest.feed, "warnings", ()), *backtest.exchange.warnings),
    )


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
