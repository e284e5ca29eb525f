"""Minute bars for the benchmarks: a seeded random walk over the real minutes of the New York exchange.

Ten symbols, 100,000 bars each from 2021-01-04 on, in one Parquet file a symbol: `ts` (the bar's end, UTC, nanoseconds), `open`, `high`,
`low`, `close` (whole cents, so that an exact reference is possible) and `volume`. The minutes are the real ones, holidays and the early
close included, because one of the peers (zipline) insists on its own calendar. Needs polars and no numpy.

    python benchmarks/generate_data.py [DIR]
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import polars
from workloads import BARS, SYMBOLS

SEED = 20240601
DEFAULT_DIRECTORY = Path(__file__).resolve().parent.parent / "bench-out" / f"bars-{SEED}"

NEW_YORK = ZoneInfo("America/New_York")
FIRST_SESSION = date(2021, 1, 4)
HOLIDAYS = {
    date(year, month, day)
    for year, days in {
        2021: ((1, 18), (2, 15), (4, 2), (5, 31), (7, 5), (9, 6), (11, 25), (12, 24)),
        2022: ((1, 17),),
    }.items()
    for month, day in days
}
EARLY_CLOSES = {date(2021, 11, 26)}

MINUTE_SIGMA = 0.0008
OPEN_SIGMA = 0.0001
WICK_SIGMA = 0.0003


def session_minutes() -> Iterator[int]:
    """Yield the end of every regular minute from the first session on, in nanoseconds UTC."""
    day = FIRST_SESSION
    while day < date(2022, 2, 1):
        if day.weekday() < 5 and day not in HOLIDAYS:
            opening = datetime.combine(day, time(9, 30), NEW_YORK)
            minutes = 210 if day in EARLY_CLOSES else 390
            first = int(opening.timestamp())
            yield from ((first + 60 * minute) * 1_000_000_000 for minute in range(1, minutes + 1))
        day += timedelta(days=1)


def walk(symbol: str, bars: int) -> Iterator[tuple[float, float, float, float, int]]:
    """Yield (open, high, low, close, volume) of a symbol; a shorter walk is a prefix of a longer one."""
    rng = random.Random(f"{SEED}-{symbol}")
    level, previous = 0.0, 100.0
    for _ in range(bars):
        level += rng.gauss(0, MINUTE_SIGMA) - MINUTE_SIGMA**2 / 2
        first, last = previous * (1 + rng.gauss(0, OPEN_SIGMA)), 100 * math.exp(level)
        top = max(first, last) * (1 + abs(rng.gauss(0, WICK_SIGMA)))
        bottom = min(first, last) * (1 - abs(rng.gauss(0, WICK_SIGMA)))
        yield round(first, 2), round(top, 2), round(bottom, 2), round(last, 2), 10_000 + int(190_000 * rng.random())
        previous = last


def ensure(directory: Path = DEFAULT_DIRECTORY, bars: int = BARS) -> Path:
    """Write the symbols' files that are not there yet and return their folder."""
    directory.mkdir(parents=True, exist_ok=True)
    ends = list(islice(session_minutes(), bars))
    for symbol in SYMBOLS:
        path = directory / f"{symbol}.parquet"
        if path.exists():
            continue
        columns = zip(*walk(symbol, len(ends)), strict=True)
        frame = polars.DataFrame(dict(zip(("open", "high", "low", "close", "volume"), map(list, columns), strict=True)))
        stamps = polars.Series("ts", ends, dtype=polars.Int64).cast(polars.Datetime("ns", "UTC"))
        unfinished = path.with_suffix(".unfinished")
        frame.insert_column(0, stamps).write_parquet(unfinished)
        unfinished.rename(path)
    return directory


if __name__ == "__main__":
    print(ensure(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_DIRECTORY))
