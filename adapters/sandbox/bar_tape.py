"""Prices from files of bars, as `ordersmith backtest` reads them, played in wall time; their own dates are the history."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...actors.bars import Bars
from ...actors.bars import Row as Prices
from ..market_data import load_bars
from .frames import Frame
from .market import Row, row
from .stamps import NS
from .tape import Span

if TYPE_CHECKING:
    from ..bar_feed import BarFeed

ACTIONS = "corporate_actions.csv"
A_SESSION_S = 4 * 3600
"""Bars that cover more than this are bars of days."""


class BarTape:
    """The bars of a file or a folder. With `again` they begin anew when they have ended."""

    def __init__(self, feed: BarFeed, *, again: bool) -> None:
        self.feed = feed
        self.symbols = tuple(feed.symbols)
        self._again = again
        self._past: dict[str, list[Row]] | None = None
        self._length_s = min((bars.end_ns - bars.start_ns for bars, _ in zip(feed, range(100), strict=False))) / NS

    @classmethod
    def load(cls, path: Path, *, timezone: str, again: bool) -> BarTape:
        """Read the files, and what a folder has under the usual name for corporate actions. Raises DataError."""
        actions = path / ACTIONS
        feed = load_bars(path, timezone=timezone, corporate_actions=actions if actions.is_file() else None)
        return cls(feed, again=again)

    def opening(self, now_ns: int) -> dict[str, float]:
        first = next(iter(self.feed))
        return {symbol: prices[0] for symbol, prices in first.rows.items()}

    def spans(self, start_ns: int, steps: int) -> Iterator[Span]:
        while True:
            yield from map(_span, self.feed)
            if not self._again:
                return

    def history(self, symbol: str, frame: Frame, start_ns: int, end_ns: int, at_most: int) -> list[Row]:
        rows = self._of(symbol)
        shortest = self._length_s if self._length_s <= A_SESSION_S else 86400
        if frame.seconds < shortest:
            return []  # nobody can tell what happened within a bar
        begin = bisect_left(rows, frame.begins_ns(start_ns), key=lambda row: row.at_ns)
        end = bisect_left(rows, end_ns + 1, key=lambda row: row.at_ns)
        end = min(end, begin + at_most * (int(frame.seconds // self._length_s) + 1))
        return [bar for bar in frame.gathered(rows[begin:end]) if bar.at_ns >= start_ns][:at_most]

    def _of(self, symbol: str) -> list[Row]:
        if self._past is None:
            self._past = {known: [] for known in self.symbols}
            for bars in self.feed:
                for name, prices in bars.rows.items():
                    self._past[name].append(row(bars.start_ns, *prices))
        return self._past.get(symbol, [])


def _span(bars: Bars) -> Span:
    paths = {symbol: _path(prices) for symbol, prices in bars.rows.items()}
    steps = [{symbol: path[step] for symbol, path in paths.items()} for step in range(4)]
    return Span((bars.end_ns - bars.start_ns) / NS, bars.rows, steps, bars.actions)


def _path(prices: Prices) -> tuple[float, float, float, float]:
    """Return a way through a bar: the extreme that the close lies away from comes first."""
    open_, high, low, close, _ = prices
    return (open_, low, high, close) if close >= open_ else (open_, high, low, close)
