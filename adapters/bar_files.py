"""Market data files as they lie on disk: which files hold the symbols, and which of their columns mean what.

Nothing is judged here but the layout. Every row keeps the number by which a person finds it in the file, so that
whatever is wrong with it later can be pointed at.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ..actors.errors import DataError

PRICES = ("open", "high", "low", "close")

COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "time": ("date", "datetime", "time", "timestamp", "ts"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v"),
    "symbol": ("symbol", "ticker", "sym"),
}
"""Accepted column names by what they mean. Case, and spaces for underscores, do not matter."""

ACTIONS_FILE = "corporate_actions.csv"
"""What a file of splits and dividends is called: a folder of bars may hold one, whether it is used or not."""

INDEX_NAMES = ("", "index", "unnamed:_0", "__index_level_0__")
"""Names under which a data frame's index is saved: they hold the time where no other column does. The empty name is a first column's."""

REQUIRED = ("time", *PRICES)
FIELD_OF = {name: field for field, names in COLUMN_NAMES.items() for name in names}


class SourceRows(NamedTuple):
    """The rows of one file, as found: columns row, symbol, time, open, high, low, close, volume, unreadable.

    `row` counts in `unit`: the lines of a CSV file, whose header is line 1, or the rows of anything else, from 1.
    `volume` is null where the file has none, and `unreadable` says why a row could not even be cut into fields.
    """

    file: str
    unit: str
    frame: pl.DataFrame


def read_sources(path: Path, symbols: Sequence[str] = (), leave_out: Path | None = None) -> list[SourceRows]:
    """Read the file at `path`, or every data file in the folder at `path`: all symbols, or those asked for and no others.

    A file without a symbol column holds the symbol that it is named after. `leave_out` is a file that holds no bars. Raises
    DataError for a path without data, a layout that is not recognised, and a symbol that is nowhere.
    """
    files = data_files(path, leave_out)
    wanted = _files_for(symbols, files) if symbols else files
    sources = [read_file(file) for file in wanted]
    if symbols:
        found = {symbol for source in sources for symbol in source.frame["symbol"].unique()}
        unread = {file.stem for file in files if file not in wanted}
        _check_symbols(symbols, found, unread, path)
        # A row without a symbol may be one of theirs: it stays, to be reported.
        is_theirs = pl.col("symbol").fill_null("").is_in(["", *symbols])
        sources = [source._replace(frame=source.frame.filter(is_theirs)) for source in sources]
    return sources


def data_files(path: Path, leave_out: Path | None = None) -> list[Path]:
    """Return the data files that `path` stands for, in the order of their names, save corporate actions."""
    kinds = " or ".join(READERS)
    if path.is_dir():
        files = sorted(
            file for file in path.iterdir() if file.suffix.lower() in READERS and file.name[0] != "." and file.is_file()
        )
        no_bars = {path / ACTIONS_FILE, leave_out}
        files = [file for file in files if file not in no_bars]
        if not files:
            raise DataError(
                f"data.path: the folder {path} has no data files; put {kinds} files there, one a symbol (AAPL.csv)"
            )
        return files
    if not path.exists():
        raise DataError(
            f"data.path: {path} does not exist (looked for {path.absolute()}); give a {kinds} file, or a folder of them"
        )
    if path.suffix.lower() not in READERS:
        raise DataError(f"data.path: {path} is not a {kinds} file")
    return [path]


def _files_for(symbols: Sequence[str], files: list[Path]) -> list[Path]:
    """Choose by name, and look into a file only when names do not answer: a folder may hold thousands of symbols."""
    named = {file.stem for file in files}
    if named.issuperset(symbols):
        return [file for file in files if file.stem in symbols]
    return [file for file in files if file.stem in symbols or "symbol" in recognise(_columns_of(file), file.name)]


def _check_symbols(symbols: Sequence[str], found: Collection[str], unread: Collection[str], path: Path) -> None:
    missing = [symbol for symbol in symbols if symbol not in found]
    if not missing:
        return
    available = sorted(name for name in {*found, *unread} if name)
    folded = {name.casefold(): name for name in available}
    hints = []
    for symbol in missing:
        near = difflib.get_close_matches(symbol.casefold(), folded, n=1)
        hints.append(f"{symbol!r} (did you mean {folded[near[0]]!r}?)" if near else repr(symbol))
    shown = ", ".join(available[:20]) + (f" and {len(available) - 20} more" if len(available) > 20 else "")
    raise DataError(
        f"data.symbols: {path} has no data for {', '.join(hints)}; available: {shown or 'none'}"
        " (a file without a symbol column holds the symbol that it is named after)"
    )


def read_file(file: Path) -> SourceRows:
    """Read one file into columns of our names, as found.

    Raises DataError when it cannot be read or its layout is not recognised.
    """
    unit, first_row, read = READERS[file.suffix.lower()]
    fields = recognise(_columns_of(file), file.name)
    try:
        found = read(file, list(fields.values()))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
    text = pl.String()
    symbol = pl.col(fields["symbol"]).cast(text).str.strip_chars() if "symbol" in fields else pl.lit(file.stem)
    volume = pl.col(fields["volume"]) if "volume" in fields else pl.lit(None, dtype=pl.Float64)
    unreadable = pl.col("unreadable") if "unreadable" in found.columns else pl.lit(None, dtype=text)
    frame = (
        found.with_row_index(ROW_INDEX, offset=first_row)
        # A blank line is no row, but it counts as a line.
        .filter(~pl.all_horizontal(pl.col(column).is_null() for column in fields.values()))
        .select(
            pl.col(ROW_INDEX).alias("row"),
            symbol.alias("symbol"),
            *(pl.col(fields[field]).alias(field) for field in REQUIRED),
            volume.alias("volume"),
            unreadable.alias("unreadable"),
        )
    )
    return SourceRows(file.name, unit, frame)


ROW_INDEX = "\x00row"
"""A name that no column of a file has."""


def recognise(columns: Sequence[str], file: str) -> dict[str, str]:
    """Return which of `columns` holds which field of `COLUMN_NAMES`; raise DataError when a field is missing or claimed twice."""
    found: dict[str, str] = {}
    for column in columns:
        field = FIELD_OF.get(_plain(column))
        if field in found:
            raise DataError(
                f"{file}: columns {found[field]!r} and {column!r} both mean {field}; keep one of them under that name"
            )
        if field:
            found[field] = column
    if "time" not in found:
        index = [column for at, column in enumerate(columns) if _plain(column) in INDEX_NAMES and (column or at == 0)]
        if index:
            found["time"] = index[0]
    missing = [field for field in REQUIRED if field not in found]
    if missing:
        raise DataError(
            f"{file}: no column for {', '.join(missing)}; its columns are {', '.join(map(repr, columns)) or 'none'}."
            f" Accepted names: {_accepted(missing)} (case does not matter){_header_hint(columns)}"
        )
    return found


def _plain(column: str) -> str:
    return column.strip().lower().replace(" ", "_").replace("-", "_")


def _accepted(fields: Iterable[str]) -> str:
    return "; ".join(f"{field}: {', '.join(COLUMN_NAMES[field])}" for field in fields)


def _header_hint(columns: Sequence[str]) -> str:
    has_number = any(column.replace(".", "", 1).isdigit() for column in columns)
    return "; the first line seems to hold values, a header line with names must come first" if has_number else ""


def _columns_of(file: Path) -> list[str]:
    try:
        if file.suffix.lower() == ".csv":
            return pl.read_csv(file, n_rows=0, infer_schema=False, truncate_ragged_lines=True).columns
        return list(pl.read_parquet_schema(file))
    except pl.exceptions.NoDataError:
        raise DataError(f"{file}: the file is empty") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error


def _read_csv(file: Path, columns: list[str]) -> pl.DataFrame:
    """Read everything as text: what is no number or no date must be shown as it stands there."""
    try:
        return pl.read_csv(file, columns=columns, infer_schema=False)
    except pl.exceptions.ComputeError:
        torn = _torn_rows(file)
        if not torn:
            raise
    frame = pl.read_csv(file, columns=columns, infer_schema=False, truncate_ragged_lines=True)
    return frame.with_columns(pl.Series("unreadable", [torn.get(row) for row in range(frame.height)], dtype=pl.String))


def _torn_rows(file: Path) -> dict[int, str]:
    """Return the rows with more fields than the header, which the fast reader only refuses as a whole."""
    with file.open(newline="", encoding="utf-8", errors="replace") as text:
        lines = csv.reader(text)
        width = len(next(lines))
        return {
            row: f"{len(fields)} fields where the header has {width}"
            for row, fields in enumerate(lines)
            if len(fields) > width
        }


def _read_parquet(file: Path, columns: list[str]) -> pl.DataFrame:
    return pl.read_parquet(file, columns=columns, glob=False)


READERS = {".csv": ("line", 2, _read_csv), ".parquet": ("row", 1, _read_parquet)}
"""By suffix: what a person counts in such a file, the number of its first row of data, and how it is read."""
