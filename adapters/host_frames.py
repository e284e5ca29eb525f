"""Data frames that a host hands in, as the rows that files hold: pandas, polars or whatever looks like one of them.

pandas is no dependency. A frame is known by its looks: pandas has columns and an index, polars has a schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ..actors.errors import DataError
from .bar_files import REQUIRED, SourceRows, recognise

ACCEPTED = (
    "a mapping of symbols to data frames or rows, a data frame with a symbol column, an iterable of Bars,"
    " or one of rows (symbol, time, open, high, low, close, volume) in order of time"
)


def is_frame(data: object) -> bool:
    """Tell whether this is a data frame."""
    return isinstance(data, pl.DataFrame) or (
        all(hasattr(data, name) for name in ("columns", "index", "dtypes", "reset_index"))
    )


def frame_rows(frame: Any, name: str, symbol: str | None) -> SourceRows:
    """Return the rows of a frame of one symbol, or, without a `symbol`, of one that has a column for it."""
    table = frame if isinstance(frame, pl.DataFrame) else _from_pandas(frame, name)
    fields = recognise(table.columns, name)
    if symbol is None and "symbol" not in fields:
        raise DataError(f"{name}: no column for symbol; add one, or hand in a mapping of symbols to frames")
    symbols = pl.col(fields["symbol"]).cast(pl.String).str.strip_chars() if symbol is None else pl.lit(symbol)
    volume = pl.col(fields["volume"]) if "volume" in fields else pl.lit(None, dtype=pl.Float64)
    rows = table.with_row_index("\x00row", offset=1).select(
        pl.col("\x00row").alias("row"),
        symbols.alias("symbol"),
        *(pl.col(fields[field]).alias(field) for field in REQUIRED),
        volume.alias("volume"),
        pl.lit(None, dtype=pl.String).alias("unreadable"),
    )
    return SourceRows(name, "row", rows)


def only(sources: Sequence[SourceRows], symbols: Sequence[str]) -> list[SourceRows]:
    """Keep the rows of these symbols; all where none is named. Raises DataError for one that is nowhere."""
    if not symbols:
        return list(sources)
    found = {symbol for source in sources for symbol in source.frame["symbol"].unique() if symbol}
    missing = [symbol for symbol in symbols if symbol not in found]
    if missing:
        raise DataError(
            f"data.symbols: no data were handed in for {', '.join(missing)}; there are {', '.join(sorted(found)) or 'none'}"
        )
    wanted = pl.col("symbol").fill_null("").is_in(["", *symbols])
    kept = [source._replace(frame=source.frame.filter(wanted)) for source in sources]
    return [source for source in kept if source.frame.height]


def _from_pandas(frame: Any, name: str) -> pl.DataFrame:
    """Copy a pandas frame column by column; its index is a column like the others, unless it only counts the rows."""
    if type(frame.index).__name__ != "RangeIndex":
        frame = frame.reset_index()
    columns = [str(column) for column in frame.columns]
    if len(set(columns)) < len(columns):
        raise DataError(f"{name}: two columns have the same name; its columns are {', '.join(columns)}")
    return pl.DataFrame([_series(column, frame.iloc[:, at], name) for at, column in enumerate(columns)])


def _series(column: str, values: Any, name: str) -> pl.Series:
    dtype = values.dtype
    try:
        if getattr(dtype, "tz", None) is not None:
            instants = values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")
            return pl.Series(column, instants).dt.replace_time_zone("UTC")
        if type(dtype).__module__.startswith("numpy") and dtype.kind in "iufM":
            found = values.to_numpy()
            return pl.Series(column, found.astype("datetime64[us]") if dtype.kind == "M" else found)
        missing = values.isna().tolist()
        return pl.Series(
            column, [None if gone else value for gone, value in zip(missing, values.tolist(), strict=True)]
        )
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{name}: column {column!r} cannot be read: {error}") from error


def mapping_sources(data: Mapping[Any, Any], rows_of: Any) -> list[SourceRows]:
    """Return the rows of a mapping of symbols to frames, or to sequences of rows, which `rows_of` reads."""
    sources = []
    for symbol, table in data.items():
        if not isinstance(symbol, str) or not symbol:
            raise DataError(f"data: the key {symbol!r} is not a symbol; give {ACCEPTED}")
        if is_frame(table):
            sources.append(frame_rows(table, f"frame of {symbol}", symbol))
        elif isinstance(table, Sequence) and not isinstance(table, str):
            sources.append(rows_of(symbol, table))
        else:
            raise DataError(f"data: {symbol} has {type(table).__name__}; give a data frame or a list of rows")
    return sources
