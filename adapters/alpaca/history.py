"""Past bars from Alpaca, kept as Parquet files, so that only the first run over a range reads the network.

A file holds one symbol over one range and is complete or not there: it is written under another name, made durable, and renamed.
Never are two reads of one symbol put together, since adjusted prices change with every split that comes later. A range that is not
over yet is not kept. A range is a folder of data files as any other, so that `data.path` may name it:
cache / alpaca / feed / timeframe / adjustment / range / SYMBOL.parquet.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ...actors.errors import BrokerUnavailable, ConfigError, DataError
from ...config.settings import DataSettings
from ..market_data import feed_from
from .access import Access
from .stamps import NEW_YORK, midnight

if TYPE_CHECKING:
    import polars as pl

    from ..bar_feed import BarFeed
    from .bar_pages import BarsAsked, WireBar
    from .data_client import DataClient

Today = Callable[[], date]
Reading = Callable[[float, str], None]
"""Is told what share of the bars has been read, and which symbol is at it."""
Frames = dict[str, "pl.DataFrame"]

log = logging.getLogger("ordersmith")

DAILY = "1Day"
SECONDS_OF = {"1Min": 60, "5Min": 300, "15Min": 900, "30Min": 1800, "1Hour": 3600}
SYMBOLS_A_REQUEST = {DAILY: 100, "1Hour": 20, "30Min": 10, "15Min": 5, "5Min": 2, "1Min": 1}
"""So many that what is in memory at a time stays about the same."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""What is wrong with a disk, and not with the folder that the settings name."""

_SYMBOL = re.compile(r"[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*")


def alpaca_bars(
    access: Access,
    data: DataSettings,
    cache: Path,
    *,
    base: Path | None = None,
    today: Today | None = None,
    may_read: Callable[[], None] = lambda: None,
    reading: Reading | None = None,
) -> BarFeed:
    """Return the bars that the settings name, from the cache or else from Alpaca. `base` is the folder of `corporate_actions`.

    `may_read` is called before anything is read from Alpaca, and may raise; what is all in the cache needs no keys.

    Raises ConfigError for settings that are missing and a cache that is no folder, DataError for symbols without bars,
    BrokerAuthError for a key or a feed that Alpaca refuses, and BrokerUnavailable.
    """
    start, symbols = _checked(data)
    now = (today or _today_in_new_york)()
    end = min(data.end or now, now)
    if start > end:
        raise ConfigError(
            f"data.start: {start} is after {'data.end' if data.end else 'today'}, {end}; give a date before it"
        )
    folder = cache / "alpaca" / access.feed / data.timeframe / data.adjustment / f"{start}_{end}"
    frames = _kept(folder, symbols)
    missing = [symbol for symbol in symbols if symbol not in frames]
    keeper = _Keeper(folder if missing and end < now else None, cache)
    if missing:
        may_read()
        keeper.prepare()
        frames |= _read(access, data, missing, (start, end), keeper, reading or _unheard)
    feed = _feed(data, {symbol: frames[symbol] for symbol in symbols}, base)
    feed.warnings = (*feed.warnings, *keeper.warnings)
    return feed


def _checked(data: DataSettings) -> tuple[date, Sequence[str]]:
    if not data.symbols:
        raise ConfigError(
            "data.symbols: none, but Alpaca's bars are asked for by symbol; give a list such as [AAPL, MSFT]"
        )
    for symbol in data.symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise ConfigError(f"data.symbols: {symbol!r} is no stock at Alpaca; give a symbol such as AAPL or BRK.B")
    if data.start is None:
        raise ConfigError(
            "data.start: None, but Alpaca's bars are asked for from a date on; give one such as 2020-01-02 (they begin in 2016)"
        )
    return data.start, data.symbols


def _today_in_new_york() -> date:
    return datetime.now(UTC).astimezone(NEW_YORK).date()


def _feed(data: DataSettings, frames: Frames, base: Path | None) -> BarFeed:
    is_daily = data.timeframe == DAILY
    settings = msgspec.structs.replace(
        data,
        timezone="America/New_York",
        stamp="open",
        interval=None if is_daily else Decimal(SECONDS_OF[data.timeframe]),
    )
    feed: BarFeed = feed_from(frames, settings, base=base)
    if not is_daily and data.calendar is None:
        feed.warnings = (
            *feed.warnings,
            "data.calendar: None, so that Alpaca's bars before and after the regular hours are part of the sessions; give XNYS",
        )
    return feed


# --- The cache ---------------------------------------------------------------------------------------------------------


def _kept(folder: Path, symbols: Sequence[str]) -> Frames:
    """Return what the cache has. A file that cannot be read counts as missing: it is read from Alpaca again."""
    import polars as pl

    frames: Frames = {}
    for symbol in symbols:
        file = folder / f"{symbol}.parquet"
        try:
            if file.is_file():
                frames[symbol] = pl.read_parquet(file, glob=False)
        except (pl.exceptions.PolarsError, OSError):
            continue
    return frames


class _Keeper:
    """Keeps what was read in `folder`, unless that is None. The bars are there anyway: a disk without room costs a warning."""

    def __init__(self, folder: Path | None, cache: Path) -> None:
        self.warnings: tuple[str, ...] = ()
        self._folder, self._cache = folder, cache

    def prepare(self) -> None:
        """Make the folder, before anything long is begun. Raises ConfigError where there can be none."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self._folder, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            if error.errno in NO_ROOM:
                self._go_without(error)
                return
            raise ConfigError(
                f"data.cache: {self._cache} cannot be used as a folder: {error.strerror}; name a folder that can be made and"
                " written to, for the bars that are read from Alpaca"
            ) from None

    def keep(self, symbol: str, frame: pl.DataFrame) -> None:
        if self._folder is not None:
            try:
                _keep(self._folder, symbol, frame)
            except OSError as error:
                self._go_without(error)

    def _go_without(self, error: OSError) -> None:
        self._folder = None
        self.warnings = (
            (
                f"data.cache: {self._cache} cannot be written: {error.strerror}; not all bars are kept, the next run reads these"
                " from Alpaca again: make room there, or name another folder"
            ),
        )


def _keep(folder: Path, symbol: str, frame: pl.DataFrame) -> None:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part", delete=False) as part:
        try:
            frame.write_parquet(part)
            part.flush()
            os.fsync(part.fileno())
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
    Path(part.name).replace(folder / f"{symbol}.parquet")


# --- Alpaca ------------------------------------------------------------------------------------------------------------


def _read(
    access: Access,
    data: DataSettings,
    symbols: Sequence[str],
    days: tuple[date, date],
    keeper: _Keeper,
    reading: Reading,
) -> Frames:
    from .data_client import DataClient

    client = DataClient(access)
    frames: Frames = {}
    try:
        done = 0
        reading(0.0, symbols[0])
        for some in _portions(symbols, SYMBOLS_A_REQUEST[data.timeframe]):

            def within(share: float, symbol: str, done: int = done, size: int = len(some)) -> None:
                reading((done + share * size) / len(symbols), symbol)

            for symbol, frame in _read_portion(client, access, data, some, days, within):
                frames[symbol] = frame
                keeper.keep(symbol, frame)
            done += len(some)
            log.info("%s bars read from Alpaca: %s of %s symbols", data.timeframe, done, len(symbols))
        reading(1.0, symbols[-1])
    finally:
        client.close()
    lacking = [symbol for symbol in symbols if symbol not in frames]
    if lacking:
        raise DataError(
            f"data.symbols: Alpaca has no {data.timeframe} bars of {', '.join(lacking)} from {days[0]} to {days[1]} in feed"
            f" {access.feed!r}; check the spelling{_spelling(lacking)}, or change data.start and data.end"
        )
    return frames


def _unheard(share: float, symbol: str) -> None:
    """Take what nobody wants to know."""


def _portions(symbols: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (symbols[at : at + size] for at in range(0, len(symbols), size))


def _read_portion(
    client: DataClient,
    access: Access,
    data: DataSettings,
    symbols: Sequence[str],
    days: tuple[date, date],
    reading: Reading,
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the symbols that have bars, once all of theirs are there."""
    import polars as pl

    from .bar_pages import BarsAsked, pages
    from .data_client import ATTEMPTS, Declined

    asked = BarsAsked(
        symbols=symbols,
        start=midnight(days[0]),
        end=midnight(days[1] + timedelta(days=1)),
        timeframe=data.timeframe,
        feed=access.feed,
        adjustment=data.adjustment,
    )
    parts: dict[str, list[pl.DataFrame]] = {}
    try:
        for page in pages(client, asked, attempts=ATTEMPTS):
            for symbol, bars in page.items():
                if bars:
                    parts.setdefault(symbol, []).append(_frame(bars, data.timeframe))
                    reading(_share(symbols, symbol, asked, bars[-1].t), symbol)
    except Declined as declined:
        if "symbol" in declined.text:
            raise DataError(
                f"data.symbols: Alpaca says {declined.text!r} of {', '.join(symbols)}; check the spelling"
            ) from None
        raise
    except BrokerUnavailable as error:
        raise BrokerUnavailable(f"{error}; what was read before is kept, run it again to go on") from None
    for symbol in symbols:
        if symbol in parts:
            yield symbol, pl.concat(parts[symbol])


def _share(symbols: Sequence[str], symbol: str, asked: BarsAsked, at: datetime) -> float:
    """Return how far the pages are that come by symbol, in the alphabet's order, and then by time."""
    before = sum(other < symbol for other in symbols)
    return (before + (at - asked.start) / (asked.end - asked.start)) / len(symbols)


def _frame(bars: Sequence[WireBar], timeframe: str) -> pl.DataFrame:
    import polars as pl

    at = pl.Series("time", [bar.t for bar in bars], dtype=pl.Datetime("us", "UTC"))
    if timeframe == DAILY:
        at = at.dt.convert_time_zone("America/New_York").dt.date()
    columns = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    return pl.DataFrame(
        [at, *(pl.Series(name, [getattr(bar, key) for bar in bars], dtype=pl.Float64) for name, key in columns.items())]
    )


def _spelling(symbols: Sequence[str]) -> str:
    """Return a hint for symbols in lower case, the most frequent mistake."""
    lower = [symbol for symbol in symbols if symbol != symbol.upper()]
    return f" ({', '.join(symbol.upper() for symbol in lower)}?)" if lower else ""
