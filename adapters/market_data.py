"""Market data for a run: files in, a feed of bars out.

The reader is imported when data are loaded and not before: it costs more start-up time than all the rest together.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..actors.errors import DataError

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
) -> BarFeed:
    """Load a CSV or Parquet file, or a folder of them, and return its bars.

    A file holds one symbol, the one it is named after, or has a symbol column. No `symbols` means all, in alphabetical
    order. `start` and `end` are sessions, both included. Rows with dates only are daily bars, from 09:30 to 16:00 in
    `timezone`; other times are when a bar opens or closes, as `stamp` says, and without an offset they are in
    `timezone`. `interval_s` is what a bar covers; without it the most frequent distance between rows counts. Bad rows
    stop the loading, or are skipped and told in the feed's warnings.

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
    settings = BarSettings(
        tuple(symbols), _session(start, "start"), _session(end, "end"), timezone, stamp, interval_s, bad_rows
    )
    settings.check()
    return BarFeed(assemble(read_sources(Path(path).expanduser(), settings.symbols), settings))


def _session(value: date | str | None, key: str) -> date | None:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise DataError(f"data.{key}: {value!r} is not a date; write it as 2005-03-01") from None
    return value.date() if isinstance(value, datetime) else value
