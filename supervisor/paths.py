"""Bounds of belief: the same run on every path that prices may have taken inside its bars, and which orders' fills depend on it.

A bar says how far prices went, and not in which order. Orders are the same on two paths if they were submitted at the same
time with the same terms: as long as the strategy decides the same they have the same ids too, and after it has decided
otherwise once, because of other fills, only their ids may differ. Orders that are not on all paths are counted, and belong
to the comparison of the runs as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import asdict, replace

from ..actors.bars import Bars
from ..actors.events import OrderFilled, OrderSubmitted
from ..actors.model import ZERO, Order, Side
from ..config import Settings
from .dispatcher import ARITHMETIC
from .result import BacktestResult, Summary, as_fields
from .times import time_text

PATHS = ("pessimistic", "adaptive", "optimistic")
SPREAD = ("final_equity", "total_return", "max_drawdown", "costs", "fills")
"""Fields of the summaries whose spread is told."""
PRICE_UNIT, MONEY_UNIT = Decimal("0.000001"), Decimal("0.01")


class Filled(msgspec.Struct, frozen=True):
    """What an order came to on one path: what filled at which average price, in the bars that ended at `first` to `last`."""

    client_order_id: str
    quantity: Decimal
    price: Decimal
    first: str
    last: str


class Dependent(msgspec.Struct, frozen=True):
    """An order whose fills depend on the path; None where it did not fill.

    `effect` is the currency between its best and its worst path, the shares valued at the close of the bar of its first
    fill on any of them. `time` is when that bar ended, `client_order_id` the order's id on the first path.
    """

    client_order_id: str
    time: str
    symbol: str
    side: Side
    fills: dict[str, Filled | None]
    effect: Decimal


class Divergence(msgspec.Struct, frozen=True):
    """The first order that is not the same on all paths, and how many of each path are not."""

    client_order_id: str
    time: str
    orders: dict[str, int]


class Compared(msgspec.Struct, frozen=True):
    """The runs by path. `dependent` is in order of time; None when a journal was not kept."""

    summaries: dict[str, Summary]
    dependent: list[Dependent] | None
    diverged: Divergence | None = None

    def values(self, field: str) -> list[Any]:
        return [getattr(summary, field) for summary in self.summaries.values()]


def on_path(settings: Settings, path: Any) -> Settings:
    """Return the settings with another path through the bars."""
    backtest = replace(settings.execution.backtest, path=path)
    return replace(settings, execution=replace(settings.execution, backtest=backtest))


def compare(results: Mapping[str, BacktestResult], feed: Iterable[Bars]) -> Compared:
    """Compare the runs of one configuration. `feed` is walked through once more, for the closes that orders are valued at."""
    summaries = {path: result.summary for path, result in results.items()}
    if not all(result.journal_kept for result in results.values()):
        return Compared(summaries, None)
    with localcontext(ARITHMETIC):
        runs = {path: _Run(result) for path, result in results.items()}
        first, *others = runs.values()
        common = [made for made in first.ids if all(made in run.ids for run in others)]
        filled = {made: {path: run.filled.get(run.ids[made]) for path, run in runs.items()} for made in common}
        differing = [
            (min(one.first_ns for one in fills.values() if one is not None), made.order.symbol, made)
            for made, fills in filled.items()
            if not _is_same(list(fills.values()))
        ]
        differing.sort(key=itemgetter(0))
        closes = _closes(feed, {(at_ns, symbol) for at_ns, symbol, _ in differing})
        dependent = [
            _dependent(first.ids[made], made.order, filled[made], at_ns, closes.get((at_ns, symbol)))
            for at_ns, symbol, made in differing
        ]
    return Compared(summaries, dependent, _divergence(runs, set(common)))


def fields_of(compared: Compared) -> dict[str, Any]:
    """Return the comparison as it is printed as JSON."""
    dependent = compared.dependent
    return {
        "paths": {path: as_fields(summary) for path, summary in compared.summaries.items()},
        "spread": {field: max(values) - min(values) for field in SPREAD if (values := compared.values(field))},
        "path_dependent_count": None if dependent is None else len(dependent),
        "path_dependent_orders": None if dependent is None else [asdict(order) for order in dependent],
        "diverged": compared.diverged,
    }


# --- Orders ------------------------------------------------------------------------------------------------------------


class _Made(NamedTuple):
    """What makes an order the same on two paths: when it was submitted, its terms, and the how-manieth of these it is."""

    at_ns: int
    order: Order
    number: int


class _Sum(msgspec.Struct):
    """The fills of one order together."""

    client_order_id: str
    first_ns: int
    last_ns: int
    quantity: Decimal = ZERO
    notional: Decimal = ZERO
    commission: Decimal = ZERO

    def value(self, side: Side, close: Decimal) -> Decimal:
        """Return what the order gained, its shares valued at `close`."""
        gain = self.quantity * close - self.notional
        return (gain if side is Side.BUY else -gain) - self.commission

    @property
    def outcome(self) -> tuple[Any, ...]:
        return self.first_ns, self.last_ns, self.quantity, self.notional, self.commission


class _Run:
    """The orders of one run, by what makes them the same, and the fills of those that had some, by id."""

    def __init__(self, result: BacktestResult) -> None:
        self.ids: dict[_Made, str] = {}
        self.filled: dict[str, _Sum] = {}
        for record in result.records():
            event = record.event
            if type(event) is OrderSubmitted:
                self._submitted(record.at_ns, event)
            elif type(event) is OrderFilled:
                self._filled(record.at_ns, event)

    def _submitted(self, at_ns: int, event: OrderSubmitted) -> None:
        made = _Made(at_ns, replace(event.order, client_order_id="", parent=""), 1)
        while made in self.ids:
            made = made._replace(number=made.number + 1)
        self.ids[made] = event.client_order_id

    def _filled(self, at_ns: int, event: OrderFilled) -> None:
        order_id = event.client_order_id
        filled = self.filled.get(order_id)
        if filled is None:
            filled = self.filled[order_id] = _Sum(order_id, at_ns, at_ns)
        filled.last_ns = at_ns
        filled.quantity += event.quantity
        filled.notional += event.notional
        filled.commission += event.commission


def _is_same(fills: Sequence[_Sum | None]) -> bool:
    first, *others = (None if one is None else one.outcome for one in fills)
    return all(outcome == first for outcome in others)


def _closes(feed: Iterable[Bars], wanted: set[tuple[int, str]]) -> dict[tuple[int, str], Decimal]:
    """Return the closes of the bars that end at these times, of these symbols."""
    closes: dict[tuple[int, str], Decimal] = {}
    if not wanted:
        return closes
    times = {at_ns for at_ns, _ in wanted}
    for bars in feed:
        if bars.end_ns in times:
            for symbol, row in bars.rows.items():
                if (bars.end_ns, symbol) in wanted:
                    closes[bars.end_ns, symbol] = Decimal(repr(row[3]))
    return closes


def _dependent(
    order_id: str, order: Order, filled: Mapping[str, _Sum | None], at_ns: int, close: Decimal | None
) -> Dependent:
    if close is None:  # it filled when its symbol had no bar, by a delayed report say: any price in common will do
        close = next(one.notional / one.quantity for one in filled.values() if one is not None and one.quantity)
    values = [ZERO if one is None else one.value(order.side, close) for one in filled.values()]
    return Dependent(
        client_order_id=order_id,
        time=time_text(at_ns),
        symbol=order.symbol,
        side=order.side,
        fills={path: None if one is None else _shown(one) for path, one in filled.items()},
        effect=(max(values) - min(values)).quantize(MONEY_UNIT),
    )


def _shown(filled: _Sum) -> Filled:
    price = (filled.notional / filled.quantity).quantize(PRICE_UNIT) if filled.quantity else ZERO
    times = time_text(filled.first_ns), time_text(filled.last_ns)
    return Filled(filled.client_order_id, filled.quantity, price, *times)


def _divergence(runs: Mapping[str, _Run], common: set[_Made]) -> Divergence | None:
    """Return where the decisions part: the earliest order, on any path, that is not on all."""
    parted = {path: [made for made in run.ids if made not in common] for path, run in runs.items()}
    firsts = [(orders[0].at_ns, runs[path].ids[orders[0]]) for path, orders in parted.items() if orders]
    if not firsts:
        return None
    at_ns, order_id = min(firsts)
    return Divergence(order_id, time_text(at_ns), {path: len(orders) for path, orders in parted.items()})
