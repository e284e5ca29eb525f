"""From the rows of many files to one table of bars: which span each covers, which are wanted, and what is wrong with them.

Invariant of the result: per symbol the ends increase strictly, and all bars with the same end have the same start and session. That is
what lets the feed hand out all bars of an instant together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from ..actors.bars import CorporateAction
from ..actors.errors import DataError
from .bar_checks import SHOWN, BadRow, check_order, check_values
from .bar_files import SourceRows
from .bar_sessions import EPOCH_DAY, Hours, day_of, place, regular_only, session_of, sessions_without_bars
from .bar_times import DAILY_GAP_NS, NS, read_times
from .calendar import SessionSchedule, load_schedule
from .price_jumps import jump_warnings
from .time_zones import Stamps, check_zone

Extent = tuple[date, date]
"""First and last session of a symbol, whatever range is asked for."""


class BarSettings(NamedTuple):
    """The `data` section of a configuration, its dates parsed."""

    symbols: tuple[str, ...] = ()
    start: date | None = None
    end: date | None = None
    timezone: str = "America/New_York"
    stamp: Literal["open", "close"] = "open"
    interval_s: float | Decimal | None = None
    bad_rows: Literal["stop", "skip"] = "stop"
    calendar: str | None = None
    extended_hours: bool = False
    actions: tuple[CorporateAction, ...] = ()

    @property
    def interval_ns(self) -> int | None:
        return None if self.interval_s is None else round(self.interval_s * NS)

    def check(self) -> None:
        """Raise DataError for a value that is not accepted."""
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise DataError(
                f"data.timezone: {self.timezone!r} is unknown; give an IANA name such as America/New_York or UTC"
            ) from None
        for key, accepted in (("stamp", ("open", "close")), ("bad_rows", ("stop", "skip"))):
            if getattr(self, key) not in accepted:
                raise DataError(f"data.{key}: {getattr(self, key)!r} is not accepted; give {' or '.join(accepted)}")
        if self.interval_ns is not None and self.interval_ns <= 0:
            raise DataError(
                f"data.interval: {self.interval_s} is not above zero; give the seconds that a bar covers, such as 60"
            )
        if self.start and self.end and self.start > self.end:
            raise DataError(f"data.start: {self.start} is after data.end, {self.end}; give a date not after it")
        if self.extended_hours and self.calendar is None:
            raise DataError("data.extended_hours: True needs data.calendar, which tells the regular hours; give XNYS")


class Assembled(NamedTuple):
    """The bars of all symbols: `rows` has symbol, start, end, session, regular, open, high, low, close, volume, by end and then by symbol.

    Symbols are in the order of `symbols`. `bad_rows` are those that were left out, `actions` those of the symbols and the range.
    """

    symbols: tuple[str, ...]
    rows: pl.DataFrame
    warnings: tuple[str, ...]
    bad_rows: tuple[BadRow, ...]
    schedule: SessionSchedule | None = None
    actions: tuple[CorporateAction, ...] = ()


class _Judged(NamedTuple):
    """One file, after its rows were judged one by one."""

    file: str
    unit: str
    good: pl.DataFrame
    bad: pl.DataFrame
    daily: bool
    gap_ns: int | None
    zoned: bool


def assemble(sources: Iterable[SourceRows], settings: BarSettings) -> Assembled:
    """Judge, place and merge the rows of `sources`.

    Raises DataError, for bad rows too unless they are to be skipped.
    """
    settings.check()
    warnings: list[str] = []
    files = [file for source in sources if (file := _judge(source, settings, warnings))]
    _refuse_shared_symbols(files)
    hours = _hours(files, settings, warnings)
    known: dict[str, Extent] = {}
    placed, bad, hints = [], [], []
    for file in files:
        if not file.daily and (odd := check_zone(file.file, Stamps(file.good["at"], file.zoned), hours)):
            hints.append(odd)
        spanned = place(file.good, file.daily, hours)
        known.update(_extents(spanned.rows))
        good, disordered = check_order(_in_range(spanned.rows, settings), settings.timezone)
        unusable = _in_range(session_of(file.bad, file.daily, hours), settings)
        found = _bad_rows(file, [unusable, _in_range(spanned.off, settings), disordered])
        if found:
            warnings.append(_skipped(found, disordered.height))
        if disordered.height > good.height:
            hints.append(f"{file.file}: most rows go back in time; sort it from oldest to newest")
        if any("where clocks change" in row.reason for row in found):
            hints.append(
                f"{file.file}: is data.timezone, {settings.timezone}, that of the time stamps? In UTC clocks never change"
            )
        if 2 * spanned.off.height > file.good.height:
            hints.append(
                f"{file.file}: most days are no sessions of {settings.calendar}; is data.calendar the right one?"
            )
        bad += found
        placed.append(good)
    if bad and settings.bad_rows == "stop":
        raise DataError(_stopped(bad, hints))
    warnings += hints
    kept = regular_only(placed, settings.extended_hours, hours.schedule, warnings)
    present = {symbol for good in kept for symbol in good["symbol"].unique()}
    if not present:
        raise DataError(_why_empty(known, settings, bad))
    symbols = _symbols(present, known, settings, warnings)
    rows = _sorted(kept, symbols)
    warnings += _missing_sessions(rows, symbols)
    warnings += sessions_without_bars(rows, hours.schedule)
    actions = _actions(settings.actions, symbols, rows, warnings)
    warnings += jump_warnings(rows, actions)
    return Assembled(symbols, rows, tuple(warnings), tuple(bad), hours.schedule, actions)


def _judge(source: SourceRows, settings: BarSettings, warnings: list[str]) -> _Judged | None:
    frame = source.frame
    if not frame.height:
        warnings.append(f"{source.file}: no rows")
        return None
    times = read_times(frame["time"], frame["symbol"], source.file, settings.timezone, settings.interval_ns)
    good, bad, without_volume = check_values(source, times.at, times.fault)
    if without_volume:
        warnings.append(f"{source.file}: no volume of {_shortened(without_volume)}; such bars carry NaN")
    return _Judged(source.file, source.unit, good, bad, times.daily, times.gap_ns, times.zoned)


def _refuse_shared_symbols(files: Sequence[_Judged]) -> None:
    """One symbol comes from one file: two of them would have to be merged by guessing."""
    owners: dict[str, str] = {}
    for file in files:
        for symbol in file.good["symbol"].unique().sort():
            if symbol in owners:
                raise DataError(f"data.path: {symbol} is in {owners[symbol]} and in {file.file}; keep one of them")
            owners[symbol] = file.file


def _hours(files: Sequence[_Judged], settings: BarSettings, warnings: list[str]) -> Hours:
    """Return what the spans of the rows rest on; the calendar is loaded for the days that the data have."""
    interval_ns = _interval(files, settings, warnings)
    schedule = None
    days = [day for file in files for day in _first_and_last(file.good["at"])]
    if settings.calendar is not None and days:
        schedule = load_schedule(settings.calendar, min(days), max(days))
    return Hours(settings.timezone, settings.stamp, interval_ns, schedule)


def _first_and_last(at: pl.Series) -> list[date]:
    return at.dt.date().sort().gather([0, len(at) - 1]).to_list() if len(at) else []


def _interval(files: Sequence[_Judged], settings: BarSettings, warnings: list[str]) -> int:
    """Return what an intraday bar covers, in ns: as configured, or as the rows say; 0 for daily bars, whose session says it."""
    wanted = settings.interval_ns
    daily = [file.file for file in files if file.daily]
    if len(daily) == len(files):
        if wanted is not None and wanted < DAILY_GAP_NS:
            warnings.append(
                f"data.interval: {settings.interval_s} is not used, the rows carry dates and cover their sessions"
            )
        return 0
    intraday = [file for file in files if not file.daily]
    if daily:
        raise DataError(
            f"data.path: {daily[0]} has daily bars and {intraday[0].file} has not; a run needs bars of one interval"
        )
    gaps = {file.gap_ns: file.file for file in reversed(intraday) if file.gap_ns is not None}
    if wanted is not None:
        warnings += [
            f"{file}: rows are most often {gap / NS:g} s apart, but data.interval is {settings.interval_s:g} s"
            for gap, file in gaps.items()
            if gap != wanted
        ]
        return wanted
    if not gaps:
        raise DataError(
            f"data.interval: cannot be inferred from {intraday[0].file}, which has too few rows; give the seconds of a bar"
        )
    if len(gaps) > 1:
        shown = ", ".join(f"{gap / NS:g} s in {file}" for gap, file in sorted(gaps.items()))
        raise DataError(
            f"data.interval: rows are most often {shown} apart; a run needs bars of one interval, give its seconds"
        )
    return next(iter(gaps))


def _in_range(frame: pl.DataFrame, settings: BarSettings) -> pl.DataFrame:
    """Keep the sessions asked for, and rows of which nobody can tell the session."""
    bounds = [(pl.col("session") >= _days(settings.start))] if settings.start else []
    bounds += [(pl.col("session") <= _days(settings.end))] if settings.end else []
    return frame.filter(pl.all_horizontal(bounds).fill_null(value=True)) if bounds else frame


def _days(day: date) -> int:
    return day.toordinal() - EPOCH_DAY


def _bad_rows(file: _Judged, frames: Sequence[pl.DataFrame]) -> list[BadRow]:
    rows = pl.concat([frame.select("row", "reason") for frame in frames]).sort("row")
    return [BadRow(file.file, file.unit, row, reason) for row, reason in rows.iter_rows()]


def _stopped(bad: Sequence[BadRow], hints: Sequence[str]) -> str:
    lines = [f"  {row}" for row in bad[:SHOWN]]
    if len(bad) > SHOWN:
        lines.append(f"  and {len(bad) - SHOWN:,} more")
    head = f"{_counted(len(bad), 'bad row')} in market data; correct them, or set data.bad_rows to skip"
    return "\n".join([head, *lines, *hints])


def _skipped(bad: Sequence[BadRow], disordered: int) -> str:
    shown = "; ".join(f"{row.unit} {row.row}: {row.reason}" for row in bad[:SHOWN])
    more = f"; and {len(bad) - SHOWN:,} more" if len(bad) > SHOWN else ""
    order = " (of rows out of order, those that continue the increasing sequence were kept)" if disordered else ""
    return f"{bad[0].file}: {_counted(len(bad), 'bad row')} skipped{order}: {shown}{more}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")


def _extents(rows: pl.DataFrame) -> dict[str, Extent]:
    session = pl.col("session")
    ends = rows.drop_nulls("session").group_by("symbol").agg(session.min().alias("first"), session.max().alias("last"))
    return {symbol: (day_of(first), day_of(last)) for symbol, first, last in ends.iter_rows()}


def _symbols(
    present: Collection[str], known: Mapping[str, Extent], settings: BarSettings, warnings: list[str]
) -> tuple[str, ...]:
    """Return the symbols of the run: as asked for, or all in alphabetical order.

    None that was asked for may lack bars.
    """
    lacking = []
    for symbol in settings.symbols or sorted(known):
        if symbol not in known:
            lacking.append(f"{symbol} has no usable row")
        elif symbol not in present:
            lacking.append(
                f"{symbol} has no bar in the range, its data are from {known[symbol][0]} to {known[symbol][1]}"
            )
    if settings.symbols and lacking:
        raise DataError(f"data.symbols: {'; '.join(lacking)}; leave it out, or change data.start and data.end")
    warnings += lacking
    return tuple(dict.fromkeys(settings.symbols)) or tuple(sorted(present))


def _why_empty(known: Mapping[str, Extent], settings: BarSettings, bad: Sequence[BadRow]) -> str:
    if not known:
        return f"data.path: no bar is left: {_skipped(bad, 0)}" if bad else "data.path: the data have no rows"
    first, last = min(first for first, _ in known.values()), max(last for _, last in known.values())
    if settings.start and settings.start > last:
        return f"data.start: {settings.start} is after the last session of the data, {last}"
    if settings.end and settings.end < first:
        return f"data.end: {settings.end} is before the first session of the data, {first}"
    return f"data.start, data.end: no session between {settings.start} and {settings.end}; the data are from {first} to {last}"


def _sorted(placed: Sequence[pl.DataFrame], symbols: tuple[str, ...]) -> pl.DataFrame:
    rank = pl.col("symbol").cast(pl.Enum(symbols))
    columns = ("start", "end", "session", "regular", "open", "high", "low", "close", "volume")
    return pl.concat([rows.select(rank, *columns) for rows in placed]).sort("end", "symbol")


def _actions(
    actions: Sequence[CorporateAction], symbols: tuple[str, ...], rows: pl.DataFrame, warnings: list[str]
) -> tuple[CorporateAction, ...]:
    """Return the actions of the run's symbols from its first session on: those before it concern nobody."""
    first: int = rows["session"][0]
    known = set(symbols)
    own = tuple(
        action
        for action in actions
        if action.session >= first and (action.symbol in known or action.new_symbol in known)
    )
    warnings += [
        f"{action.symbol} becomes {action.new_symbol} on {day_of(action.session)}, which has no data: it keeps its last price from then on"
        for action in own
        if action.new_symbol and action.new_symbol not in known
    ]
    return own


def _missing_sessions(rows: pl.DataFrame, symbols: tuple[str, ...]) -> list[str]:
    """Say in how many sessions of the others a symbol has no bar, between its own first and last one."""
    present = rows.select("symbol", "session").unique()
    sessions = present["session"].unique().sort()
    warnings = []
    for symbol in symbols:
        own = present.filter(pl.col("symbol") == symbol)["session"].sort()
        between = sessions.filter(sessions.is_between(own[0], own[-1]))
        if len(between) > len(own):
            first = between.filter(~between.is_in(own.implode()))[0]
            warnings.append(
                f"{symbol}: {_counted(len(between) - len(own), 'session')} without a bar (first {day_of(first)})"
            )
    return warnings
