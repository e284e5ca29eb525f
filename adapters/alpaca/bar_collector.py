"""The minute bars of many symbols, which come one by one, as one `Bars` a minute: a pure machine, no clock of its own.

A minute is told when the bars of all symbols are there, or two seconds after its first one: a symbol that did not trade has none.
Minutes are told in their order and never twice; what comes later than that is late, and is not told any more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from typing import NamedTuple

from ...actors.bars import Bars, Row
from ...actors.model import as_datetime
from ..calendar import SessionSchedule
from .stamps import MINUTE_NS, NEW_YORK, minute_before, session_day

WAIT_NS = 2_000_000_000
OPENS, CLOSES = time(9, 30), time(16)


class Place(NamedTuple):
    """Where a minute lies in its session."""

    session: int
    regular: bool
    closes_session: bool


Placing = Callable[[int, int], Place]


def placing(schedule: SessionSchedule | None) -> Placing:
    """Return how minutes are placed: by the exchange's calendar, or without one as if no day were short."""
    if schedule is None:
        return _place_by_clock

    def place(start_ns: int, end_ns: int) -> Place:
        session = session_day(start_ns)
        span = schedule.span(session)
        if span is None:
            return Place(session, regular=False, closes_session=False)
        opens_ns, closes_ns = span
        return Place(session, opens_ns <= start_ns and end_ns <= closes_ns, end_ns == closes_ns)

    return place


def _place_by_clock(start_ns: int, end_ns: int) -> Place:
    starts, ends = (as_datetime(at_ns).astimezone(NEW_YORK) for at_ns in (start_ns, end_ns))
    regular = starts.weekday() < 5 and starts.time() >= OPENS and starts.date() == ends.date() and ends.time() <= CLOSES
    return Place(session_day(start_ns), regular, regular and ends.time() == CLOSES)


class _Minute:
    __slots__ = ("first_ns", "rows")

    def __init__(self, first_ns: int) -> None:
        self.first_ns = first_ns
        self.rows: dict[str, Row] = {}


class BarCollector:
    """Takes bars of single symbols, gives `Bars`. `told_ns` is the end of the last minute that was told."""

    def __init__(self, place: Placing, told_ns: int = 0, wait_ns: int = WAIT_NS) -> None:
        self.told_ns = told_ns
        self.late = 0
        self._place = place
        self._wait_ns = wait_ns
        self._minutes: dict[int, _Minute] = {}
        self._holds = 0

    def begin(self, now_ns: int) -> None:
        """Tell no minute that ended before the one before now, unless some were told already."""
        self.told_ns = self.told_ns or minute_before(now_ns) - MINUTE_NS

    def take(self, symbol: str, start_ns: int, row: Row, now_ns: int) -> None:
        """Take a bar; of one minute and symbol the first counts."""
        if start_ns + MINUTE_NS <= self.told_ns:
            self.late += 1
            return
        minute = self._minutes.setdefault(start_ns, _Minute(now_ns))
        minute.rows.setdefault(symbol, row)

    def hold(self) -> None:
        """Tell nothing until `release`: a gap before what comes now is being filled."""
        self._holds += 1

    def release(self) -> None:
        self._holds -= 1

    def due(self, now_ns: int, symbols: int) -> list[Bars]:
        """Return the minutes to tell now, oldest first; `symbols` is how many have bars at most."""
        if self._holds or not self._minutes:
            return []
        starts = sorted(self._minutes)
        ready = [at for at, start_ns in enumerate(starts) if self._is_ready(self._minutes[start_ns], now_ns, symbols)]
        return [self._tell(start_ns) for start_ns in starts[: ready[-1] + 1]] if ready else []

    def next_due_ns(self) -> int | None:
        """Return when a minute is told even if no other bar comes; None: none waits, or all are held."""
        if self._holds or not self._minutes:
            return None
        return min(minute.first_ns for minute in self._minutes.values()) + self._wait_ns

    def _is_ready(self, minute: _Minute, now_ns: int, symbols: int) -> bool:
        return len(minute.rows) >= symbols or now_ns >= minute.first_ns + self._wait_ns

    def _tell(self, start_ns: int) -> Bars:
        end_ns = start_ns + MINUTE_NS
        self.told_ns = end_ns
        place = self._place(start_ns, end_ns)
        rows = self._minutes.pop(start_ns).rows
        return Bars(start_ns, end_ns, place.session, place.closes_session, rows, regular=place.regular)
