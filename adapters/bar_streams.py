"""Bars that a host hands in one after the other: checked as they come, never held all at once.

What is iterated may be a list, which can be read again, or an iterator, which cannot. Either yields `Bars`, or rows
(symbol, time, open, high, low, close, volume), all rows of a time following each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from ..actors.bars import Bars, CorporateAction, Row
from ..actors.errors import DataError
from .bar_assembly import BarSettings
from .bar_checks import ROUNDING, SHOWN
from .bar_sessions import EPOCH_DAY, SESSION_CLOSE, SESSION_OPEN, day_of
from .calendar import SessionSchedule, load_schedule

NS = 1_000_000_000
FUTURE = timedelta(days=3653)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = ("open", "high", "low", "close", "volume")


class BarStream:
    """A feed of bars that come from the host. How many there are is not known before the end, unless they are in a list.

    `symbols` are those of the settings; without, those of a list, or those that an iterator's first bars have. `warnings`
    grow while the stream is read.
    """

    bar_count = sessions = end_ns = None

    def __init__(self, data: Iterable[Any], settings: BarSettings) -> None:
        self.settings = settings
        self.step_count: int | None = None
        self.symbols: tuple[str, ...] = settings.symbols
        self.schedule: SessionSchedule | None = None
        self.bad_rows: tuple[str, ...] = ()
        self._told: list[str] = []
        self._skipped = self._outside = 0
        self._again = data if isinstance(data, Sequence) else None
        items = iter(data)
        first = next(items, None)
        if first is None:
            raise DataError("data: the iterable is empty; give at least one bar")
        self._is_rows = not isinstance(first, Bars)
        if self._is_rows:
            _check_row(first, "row 1")
        self._set_symbols(first)
        self._steps: Iterator[Bars] | None = self._read(chain([first], items))
        opening = next(self._steps, None)
        if opening is None:
            raise DataError(
                f"data.start, data.end: none of the bars is between {settings.start} and {settings.end}, or all are bad"
            )
        self.start_ns = opening.start_ns
        self._steps = chain([opening], self._steps)
        if self._again is not None and not self._is_rows and not (settings.start or settings.end):
            self.step_count = len(self._again)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Say what was left out so far."""
        more = [f"{self._skipped - SHOWN:,} more bad bars skipped"] if self._skipped > SHOWN else []
        if self._outside and self.schedule is not None:
            more.append(f"{self._outside:,} instants outside of the sessions of {self.schedule.name} are left out")
        return (*self._told, *more)

    def __iter__(self) -> Iterator[Bars]:
        steps, self._steps = self._steps, None
        if steps is None:
            if self._again is None:
                raise DataError("data: the iterator was read already; hand in a new one, or a list")
            self._told, self._skipped, self._outside = [], 0, 0
            steps = self._read(iter(self._again))
        return steps

    def _set_symbols(self, first: Any) -> None:
        if self.symbols:
            return
        if self._again is not None:
            found = (item[0] if self._is_rows else item for item in self._again)
            self.symbols = tuple(dict.fromkeys(found if self._is_rows else chain.from_iterable(found)))
        else:
            self.symbols = (first[0],) if self._is_rows else tuple(first)

    def _read(self, items: Iterator[Any]) -> Iterator[Bars]:
        """Yield what is good and in range, with its corporate actions."""
        steps = self._grouped(items) if self._is_rows else self._judged(items)
        start, end = (
            None if day is None else day.toordinal() - EPOCH_DAY for day in (self.settings.start, self.settings.end)
        )
        actions: list[CorporateAction] | None = None
        for bars in steps:
            if (start is not None and bars.session < start) or (end is not None and bars.session > end):
                continue
            if actions is None:
                actions = [action for action in self.settings.actions if action.session >= bars.session]
            if actions and actions[0].session <= bars.session:
                due = tuple(action for action in actions if action.session <= bars.session)
                actions = actions[len(due) :]
                own = tuple(action for action in due if action.symbol in self.symbols)
                # A copy: the bars are the host's, who may read them again.
                bars = _copy(bars, bars.rows, bars.actions + own)
            yield bars

    # --- Bars ----------------------------------------------------------------------------------------------------------

    def _judged(self, items: Iterator[Any]) -> Iterator[Bars]:
        latest: Bars | None = None
        for number, bars in enumerate(items, start=1):
            where = f"bars {number}"
            if not isinstance(bars, Bars):
                raise DataError(f"data: {where} is {type(bars).__name__}; the others are Bars")
            self._check_time(bars, latest, where)
            rows = {
                symbol: row for symbol, row in bars.rows.items() if self._is_good(symbol, row, f"{where} ({bars.time})")
            }
            if len(rows) < len(bars.rows):
                bars = _copy(bars, rows, bars.actions)
            latest = bars
            yield bars

    def _check_time(self, bars: Bars, latest: Bars | None, where: str) -> None:
        if bars.end_ns <= bars.start_ns:
            raise DataError(f"data: {where} ends at {bars.time}, not after its start; give start_ns < end_ns")
        if latest is not None and bars.end_ns <= latest.end_ns:
            raise DataError(
                f"data: {where} ends at {bars.time}, not after the bars before it, {latest.time}; sort them by end"
            )
        if latest is not None and bars.session < latest.session:
            raise DataError(
                f"data: {where} is of session {day_of(bars.session)}, which is before {day_of(latest.session)} of the bars before"
            )
        schedule = self._schedule_from(bars.session)
        if schedule is not None and schedule.span(bars.session) is None:
            raise DataError(f"data: {where} is of {day_of(bars.session)}, which is no session of {schedule.name}")

    def _is_good(self, symbol: str, row: Row, where: str) -> bool:
        if symbol not in self.symbols:
            if self.settings.symbols:
                return False
            raise DataError(
                f"data: {where} has {symbol}, which the first bars have not; name all symbols in data.symbols"
            )
        reason = fault_of(row)
        if reason:
            self._bad(f"{where}: {symbol}: {reason}")
        return not reason

    def _bad(self, text: str) -> None:
        if self.settings.bad_rows == "stop":
            raise DataError(f"data: {text}; correct it, or set data.bad_rows to skip")
        self._skipped += 1
        if self._skipped <= SHOWN:
            self._told.append(f"{text}; skipped")

    def _schedule_from(self, session: int) -> SessionSchedule | None:
        if self.schedule is None and self.settings.calendar is not None:
            first = day_of(session)
            today = datetime.now(UTC).date()
            # Nobody knows where a stream ends: the past ends today, and what is made up for the future goes on for years.
            last = self.settings.end or (today if first <= today else first + FUTURE)
            self.schedule = load_schedule(self.settings.calendar, first, last)
        return self.schedule

    # --- Rows ----------------------------------------------------------------------------------------------------------

    def _grouped(self, items: Iterator[Any]) -> Iterator[Bars]:
        """Make Bars of rows; each is held back until the next one tells whether it was its session's last."""
        held: Bars | None = None
        for bars in self._instants(items):
            if held is not None:
                held.closes_session = held.regular and (bars.session != held.session or not bars.regular)
                yield held
            held = bars
        if held is not None:
            held.closes_session = held.regular
            yield held

    def _instants(self, items: Iterator[Any]) -> Iterator[Bars]:
        span_of = self._span_reader()
        at: object = None
        group: Bars | None = None
        for number, item in enumerate(items, start=1):
            where = f"row {number}"
            symbol, stamp, *values = _check_row(item, where)
            if stamp != at:
                if group is not None and group.rows:
                    yield group
                span, at = span_of(stamp, where), stamp
                if group is not None and span is not None and span.end_ns <= group.end_ns:
                    raise DataError(
                        f"data: {where}: {stamp} is not after the time of the rows before it; sort them by time"
                    )
                group = (
                    None
                    if span is None
                    else Bars(span.start_ns, span.end_ns, span.session, False, {}, (), span.regular)
                )
            if group is None:
                continue
            row = _numbers(values)
            if symbol in group.rows:
                self._bad(f"{where}: {symbol} at {stamp} a second time")
            elif self._is_good(symbol, row, f"{where} ({stamp})"):
                group.rows[symbol] = row
        if group is not None and group.rows:
            yield group

    def _span_reader(self) -> Callable[[Any, str], _Span | None]:
        """Return what reads a time stamp: None for a bar that the settings leave out."""
        settings, zone = self.settings, ZoneInfo(self.settings.timezone)

        def daily(day: date) -> _Span | None:
            session = day.toordinal() - EPOCH_DAY
            schedule = self._schedule_from(session)
            if schedule is None:
                opens, closes = (_ns(datetime.combine(day, hour, zone)) for hour in (SESSION_OPEN, SESSION_CLOSE))
                return _Span(opens, closes, session, True)
            span = schedule.span(session)
            if span is None:
                self._bad(f"{day} is no session of {schedule.name}")
                return None
            return _Span(*span, session, True)

        def read(stamp: Any, where: str) -> _Span | None:
            if isinstance(stamp, date) and not isinstance(stamp, datetime):
                return daily(stamp)
            if settings.interval_ns is None:
                raise DataError(
                    f"data.interval: cannot be inferred from a stream, {where} is of {stamp}; give the seconds of a bar"
                )
            told = stamp if isinstance(stamp, int) else _ns(stamp if stamp.tzinfo else stamp.replace(tzinfo=zone))
            start = told if settings.stamp == "open" else told - settings.interval_ns
            end = start + settings.interval_ns
            session = _local_day(start, zone)
            schedule = self._schedule_from(session)
            if schedule is None:
                return _Span(start, end, session, True)
            span = self._in_schedule(start, end, schedule)
            self._outside += span is None
            return span

        return read

    def _in_schedule(self, start: int, end: int, schedule: SessionSchedule) -> _Span | None:
        told = start if self.settings.stamp == "open" else end - 1
        open_session = schedule.at(told)
        if open_session is None:
            return None
        if open_session.open_ns <= told:
            return _Span(max(start, open_session.open_ns), min(end, open_session.close_ns), open_session.day, True)
        if not self.settings.extended_hours:
            return None
        day = _local_day(told, ZoneInfo(schedule.timezone))
        return _Span(start, end, day if schedule.span(day) else open_session.day, False)


class _Span(NamedTuple):
    start_ns: int
    end_ns: int
    session: int
    regular: bool


def fault_of(row: Row) -> str:
    """Return what is wrong with one bar's numbers, empty for nothing."""
    for name, value in zip(_NAMES, row, strict=True):
        if name == "volume":
            if value < 0 or math.isinf(value):  # NaN is a volume that is not known
                return f"volume {value} is negative or not finite"
        elif not (math.isfinite(value) and value > 0):
            return f"{name} {value} is not a number above zero"
    opened, high, low, closed, _ = row
    noise = high * ROUNDING
    if high < low - noise:
        return f"high {high} is below low {low}"
    for name, price in (("open", opened), ("close", closed)):
        if not low - noise <= price <= high + noise:
            return f"{name} {price} is outside low {low} to high {high}"
    return ""


def _copy(bars: Bars, rows: dict[str, Row], actions: tuple[CorporateAction, ...]) -> Bars:
    return Bars(bars.start_ns, bars.end_ns, bars.session, bars.closes_session, rows, actions, bars.regular)


def _check_row(item: Any, where: str) -> tuple[Any, ...]:
    row = tuple(item) if isinstance(item, (tuple, list)) else ()
    is_time = len(row) == 7 and isinstance(row[1], (date, int)) and not isinstance(row[1], bool)
    if not (is_time and isinstance(row[0], str) and row[0]):
        raise DataError(
            f"data: {where} is {item!r:.80}; give Bars, or rows (symbol, time, open, high, low, close, volume)"
            " with a date, a datetime or ns UTC for the time"
        )
    return row


def _numbers(values: Sequence[Any]) -> Row:
    """Return floats, NaN for what is none: `fault_of` tells it."""
    return tuple(_number(value) for value in values)  # type: ignore[return-value]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _ns(at: datetime) -> int:
    delta = at - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * NS + delta.microseconds * 1000


def _local_day(at_ns: int, zone: ZoneInfo) -> int:
    return datetime.fromtimestamp(at_ns // NS, zone).date().toordinal() - EPOCH_DAY
