"""Market data for a run: files in, a feed of bars out.

The reader is imported when data are loaded and not before: it costs more start-up time than all the rest together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..actors.bars import CorporateAction
from ..actors.errors import DataError
from ..config.settings import DataSettings
from .corporate_actions import load_actions

if TYPE_CHECKING:
    from .bar_feed import BarFeed


def load_bars(
    path: str | PathLike[str],
    *,
    symbols: Sequence[str] = (),
    start: date | str | None = None,
    end: date | str | None = None,
    timezone: str = "America/New_York",
    stamp: Literal["open", "close"] = "open",
    interval_s: float | Decimal | None = None,
    bad_rows: Literal["stop", "skip"] = "stop",
    calendar: str | None = None,
    extended_hours: bool = False,
    corporate_actions: str | PathLike[str] | None = None,
) -> BarFeed:
    """Load a CSV or Parquet file, or a folder of them, and return its bars.

    A file holds one symbol, the one it is named after, or has a symbol column. No `symbols` means all, in alphabetical
    order. `start` and `end` are sessions, both included. Rows with dates only are daily bars, from 09:30 to 16:00 in
    `timezone`; other times are when a bar opens or closes, as `stamp` says, and without an offset they are in
    `timezone`. `interval_s` is what a bar covers; without it the most frequent distance between rows counts. Bad rows
    stop the loading, or are skipped and told in the feed's warnings.

    With a `calendar` of exchange_calendars, such as XNYS, sessions have the exchange's hours, half days and holidays; intraday bars
    outside of them are left out unless `extended_hours`. `corporate_actions` is a CSV file of splits, dividends and symbol changes.

    Raises DataError, which says what is wrong and what would be accepted.
    """
    try:
        from .bar_assembly import BarSettings, assemble
        from .bar_feed import BarFeed
        from .bar_files import read_sources
    except ModuleNotFoundError as error:
        raise DataError(
            f"data.path: {error}; market data are read with polars: pip install 'ordersmith[backtest]'"
        ) from error
    if isinstance(symbols, str):
        raise DataError(f"data.symbols: {symbols!r} is one text; give a list of symbols")
    actions, warnings = _actions(corporate_actions, bad_rows)
    settings = BarSettings(
        symbols=tuple(symbols),
        start=_session(start, "start"),
        end=_session(end, "end"),
        timezone=timezone,
        stamp=stamp,
        interval_s=interval_s,
        bad_rows=bad_rows,
        calendar=calendar,
        extended_hours=extended_hours,
        actions=actions,
    )
    settings.check()
    leave_out = None if corporate_actions is None else Path(corporate_actions).expanduser()
    bars = assemble(read_sources(Path(path).expanduser(), settings.symbols, leave_out), settings)
    return BarFeed(bars._replace(warnings=(*warnings, *bars.warnings)))


def feed_from(data: Any, settings: DataSettings, *, base: Path | None = None) -> Any:
    """Return a feed of bars that the host hands in, checked as those of files are.

    `data` is a mapping of symbols to data frames (pandas, polars) or to rows (time, open, high, low, close, volume); one frame
    with a symbol column; an iterable of `Bars`, or of rows (symbol, time, open, high, low, close, volume), in order of time; or
    a feed. An iterable is read as the run goes on and never held: it may have the `symbols` of the settings, or else those of
    its first bars, and a list may be read again. `settings` are what they are for files, save `path`; `base` is the folder that
    `corporate_actions` starts at.

    Raises DataError, which says what is wrong and what would be accepted; for an iterable also when the bad bar comes.
    """
    if all(hasattr(data, name) for name in ("symbols", "step_count", "start_ns", "__iter__")):
        return data
    try:
        from .bar_assembly import BarSettings, assemble
        from .bar_feed import BarFeed, rows_in_memory
        from .bar_streams import BarStream
        from .host_frames import ACCEPTED, frame_rows, is_frame, mapping_sources, only
    except ModuleNotFoundError as error:
        raise DataError(f"data: {error}; bars are checked with polars: pip install 'ordersmith[backtest]'") from error
    path = settings.corporate_actions
    actions, warnings = _actions(
        None if path is None else (base or Path()) / Path(path).expanduser(), settings.bad_rows
    )
    rules = BarSettings(
        symbols=settings.symbols,
        start=settings.start,
        end=settings.end,
        timezone=settings.timezone,
        stamp=settings.stamp,
        interval_s=settings.interval,
        bad_rows=settings.bad_rows,
        calendar=settings.calendar,
        extended_hours=settings.extended_hours,
        actions=actions,
    )
    rules.check()
    if isinstance(data, Mapping):
        rules = rules._replace(symbols=rules.symbols or tuple(data))
        sources = only(mapping_sources(data, rows_in_memory), rules.symbols)
    elif is_frame(data):
        sources = only([frame_rows(data, "frame", None)], rules.symbols)
    elif isinstance(data, Iterable) and not isinstance(data, (str, bytes)):
        return BarStream(data, rules)
    else:
        raise DataError(f"data: {type(data).__name__} is not understood; give {ACCEPTED}")
    bars = assemble(sources, rules)
    return BarFeed(bars._replace(warnings=(*warnings, *bars.warnings)))


def _actions(
    path: str | PathLike[str] | None, bad_rows: Literal["stop", "skip"]
) -> tuple[tuple[CorporateAction, ...], list[str]]:
    """Return the actions of the file, and what was skipped there."""
    if path is None:
        return (), []
    found = load_actions(Path(path).expanduser(), bad_rows=bad_rows)
    return found.actions, [f"{row}; skipped" for row in found.bad_rows]


def _session(value: date | str | None, key: str) -> date | None:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise DataError(f"data.{key}: {value!r} is not a date; write it as 2005-03-01") from None
    return value.date() if isinstance(value, datetime) else value
