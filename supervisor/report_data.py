"""What a report draws, gathered once a run is over: one walk through the bars and, beside them, the journal.

A run keeps nothing for it. Prices and exposure come from iterating the feed again; where the bars came as a stream that
cannot be had twice, or the journal was not kept, they are left out and the report says so.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from heapq import heappush, heappushpop
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ..actors.actor import Record
from ..actors.bars import Bars, CorporateAction, CorporateActionKind, Row
from ..actors.events import CashMoved, OrderFilled, PositionAdjusted
from ..actors.model import ZERO, Side
from .report_costs import Costs
from .report_curves import Curve, PriceCurve, drawdown, steps_a_point, thinned

if TYPE_CHECKING:
    from .backtest import Backtest
    from .result import Summary

FILLS_A_SYMBOL = 1000
SYMBOLS = 60
DAY_MS = 86_400_000


class Mark(NamedTuple):
    """A fill as it is drawn: at the end of its bar, `x` in ms UTC."""

    x: int
    record: Record

    @property
    def event(self) -> OrderFilled:
        event: OrderFilled = self.record.event
        return event


class SymbolHistory(NamedTuple):
    """One symbol. `prices` is None if the bars could not be had again; `marks` are drawn of its `fills`, which are counted."""

    symbol: str
    prices: PriceCurve | None
    marks: list[Mark]
    fills: int
    position: Curve
    actions: list[tuple[int, CorporateAction]]


class ReportData(NamedTuple):
    """Everything that a report shows. `gross` and `net` are fractions of equity."""

    summary: Summary
    daily: bool
    equity: Curve
    drawdown: Curve
    gross: Curve | None
    net: Curve | None
    symbols: list[SymbolHistory]
    costs: Costs
    closes: list[tuple[int, float]]
    notes: list[str]


def gather(backtest: Backtest, summary: Summary, records: Iterable[Record]) -> ReportData:
    """Walk through a run's bars and records and return what there is to draw."""
    steps = min(len(backtest.times), len(backtest.sessions), len(backtest.equity))
    sessions, equity = backtest.sessions[:steps], backtest.equity[:steps]
    daily = all(before != after for before, after in pairwise(sessions))
    x = array(
        "q", (session * DAY_MS for session in sessions) if daily else (at // 10**6 for at in backtest.times[:steps])
    )
    kept = backtest.settings.journal.keep == "all"
    walk = _Walk(x, sessions, len(backtest.feed.symbols))
    walk.through(backtest.times[:steps], equity, backtest.feed, records if kept else ())
    depths = drawdown(equity, float(summary.initial_cash))
    exposed = kept and walk.has_bars
    data = ReportData(
        summary=summary,
        daily=daily,
        equity=thinned(x, equity),
        drawdown=thinned(x, depths),
        gross=thinned(x, walk.gross) if exposed else None,
        net=thinned(x, walk.net) if exposed else None,
        symbols=walk.histories(),
        costs=walk.costs,
        closes=[(session, value) for session, value in dict(zip(sessions, equity, strict=True)).items()],
        notes=[],
    )
    data.notes.extend(_notes(data, walk, journal_kept=kept))
    return data


class _Followed:
    """What the walk knows of one symbol so far."""

    __slots__ = ("actions", "fills", "largest", "position", "prices", "quantity", "since", "turnover")

    def __init__(self) -> None:
        self.prices = PriceCurve()
        self.largest: list[tuple[Decimal, int, Mark]] = []
        self.fills = 0
        self.turnover = ZERO
        self.quantity = ZERO
        self.since, self.position = array("q"), array("d")
        self.actions: list[tuple[int, CorporateAction]] = []

    def hold(self, x: int, change: Decimal) -> None:
        self.quantity += change
        self.since.append(x)
        self.position.append(float(self.quantity))


class _Walk:
    """Goes through the steps of a run, the records of each before its prices."""

    def __init__(self, x: array[int], sessions: array[int], symbols: int) -> None:
        self._x = x
        self.steps_a_point = steps_a_point(len(x), symbols)
        self._followed: dict[str, _Followed] = {}
        self._held: dict[str, float] = {}
        self._last: dict[str, Row] = {}
        self.costs = Costs.over(sessions)
        self._sessions = sessions
        self.has_bars = True
        self.gross, self.net = array("d"), array("d")

    def through(self, times: array[int], equity: array[float], feed: Iterable[Bars], records: Iterable[Record]) -> None:
        coming = iter(records)
        record = next(coming, None)
        for step, (end_ns, bars) in enumerate(zip(times, _again(feed, times), strict=True)):
            while record is not None and record.at_ns <= end_ns:
                self._take(step, record)
                record = next(coming, None)
            if bars is None:
                self.has_bars = False
                continue
            self._look(step, bars)
            self._measure(equity[step])

    def _take(self, step: int, record: Record) -> None:
        event = record.event
        if type(event) is OrderFilled:
            self._fill(step, record, event)
        elif type(event) is PositionAdjusted:
            self._adjust(self._x[step], event)
        elif type(event) is CashMoved:
            self.costs.add_cash(self._sessions[step], event.kind, event.amount)

    def _fill(self, step: int, record: Record, event: OrderFilled) -> None:
        symbol = self._follow(event.symbol)
        symbol.fills += 1
        symbol.turnover += event.notional
        # Of the largest ones only; the number keeps two of one size apart.
        entry = (event.notional, -record.number, Mark(self._x[step], record))
        if len(symbol.largest) < FILLS_A_SYMBOL:
            heappush(symbol.largest, entry)
        else:
            heappushpop(symbol.largest, entry)
        self._hold(event.symbol, self._x[step], event.quantity if event.side is Side.BUY else -event.quantity)
        self.costs.add_fill(self._sessions[step], event)

    def _adjust(self, x: int, event: PositionAdjusted) -> None:
        if event.new_symbol:
            quantity = self._follow(event.symbol).quantity
            self._hold(event.symbol, x, -quantity)
            self._hold(event.new_symbol, x, quantity)
        else:
            self._hold(event.symbol, x, event.quantity)

    def _hold(self, symbol: str, x: int, change: Decimal) -> None:
        followed = self._follow(symbol)
        followed.hold(x, change)
        if followed.quantity:
            self._held[symbol] = float(followed.quantity)
        else:
            self._held.pop(symbol, None)

    def _look(self, step: int, bars: Bars) -> None:
        x, followed, point = self._x[step], self._followed, step // self.steps_a_point
        for action in bars.actions:
            self._act(x, action)
        self._last.update(bars.rows)
        for symbol, row in bars.rows.items():
            (followed.get(symbol) or self._follow(symbol)).prices.add(point, x, row)

    def _act(self, x: int, action: CorporateAction) -> None:
        self._follow(action.symbol).actions.append((x, action))
        row = self._last.get(action.symbol)
        if row is not None and action.kind is CorporateActionKind.SPLIT:
            # What is held has doubled, say; until its next bar a share is worth half.
            open_, high, low, close, volume = row
            ratio = float(action.ratio)
            self._last[action.symbol] = (open_ / ratio, high / ratio, low / ratio, close / ratio, volume)

    def _measure(self, equity: float) -> None:
        gross = net = 0.0
        for symbol, quantity in self._held.items():
            row = self._last.get(symbol)
            value = math.nan if row is None else quantity * row[3]
            gross += abs(value)
            net += value
        sound = equity > 0
        self.gross.append(gross / equity if sound else math.nan)
        self.net.append(net / equity if sound else math.nan)

    def _follow(self, symbol: str) -> _Followed:
        followed = self._followed.get(symbol)
        if followed is None:
            followed = self._followed[symbol] = _Followed()
        return followed

    @property
    def traded(self) -> list[tuple[str, _Followed]]:
        """The symbols that had fills, those with the largest turnover first."""
        traded = [(name, symbol) for name, symbol in self._followed.items() if symbol.fills]
        return sorted(traded, key=lambda named: -named[1].turnover)

    def histories(self) -> list[SymbolHistory]:
        """Return what is drawn of the symbols with the largest turnover, by name."""
        return [
            SymbolHistory(
                symbol=name,
                prices=symbol.prices if self.has_bars else None,
                marks=sorted((mark for *_, mark in symbol.largest), key=lambda mark: mark.record.number),
                fills=symbol.fills,
                position=thinned(symbol.since, symbol.position),
                actions=symbol.actions,
            )
            for name, symbol in sorted(self.traded[:SYMBOLS])
        ]


def _again(feed: Iterable[Bars], times: array[int]) -> Iterator[Bars | None]:
    """Yield the bars of every step once more; None from where they are not those of the run, or their source says no."""
    found = 0
    # The run is over: what its source says now, that it is used up say, costs a chart and nothing else.
    with suppress(Exception):
        fresh = iter(feed)
        for bars in fresh if fresh is not feed else ():  # of one that cannot be had twice nothing is taken away
            if found == len(times) or bars.end_ns != times[found]:
                break
            found += 1
            yield bars
    yield from (None for _ in range(len(times) - found))


def _notes(data: ReportData, walk: _Walk, *, journal_kept: bool) -> Iterator[str]:
    """Yield what a reader must know of the drawings."""
    yield "Drag over a chart to look closer; a double click shows the whole again."
    if not journal_kept:
        yield "The journal was not kept (journal.keep is open): there are no fills, exposure and costs over time to draw."
    elif not walk.has_bars:
        yield "The bars came as a stream that cannot be had twice: prices and exposure are not drawn."
    if data.equity.is_thinned:
        yield (
            f"Curves are drawn by {len(data.equity.x):,} of {data.equity.whole:,} points: of every stretch the first, the lowest, "
            "the highest and the last."
        )
    if data.symbols and walk.has_bars and walk.steps_a_point > 1:
        yield (
            f"A point of a price chart sums up {walk.steps_a_point:,} bars: their last close, and a band from their lowest low to their "
            "highest high."
        )
    hidden = [symbol for symbol in data.symbols if symbol.fills > len(symbol.marks)]
    if hidden:
        names = ", ".join(symbol.symbol for symbol in hidden[:5]) + (" and others" if len(hidden) > 5 else "")
        yield f"Of {names} the {FILLS_A_SYMBOL:,} largest fills are drawn, by notional; fills.csv has all of them."
    if len(walk.traded) > SYMBOLS:
        yield f"Of {len(walk.traded):,} symbols that were traded the {SYMBOLS} with the largest turnover are drawn."
