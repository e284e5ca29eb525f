"""The bars of a run in the order in which they became known.

The columns stay in the reader's memory and become Python objects a chunk at a time, so that a long history costs little
more memory than it costs on disk. A feed holds no cursor: whoever iterates has one, and several may iterate at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

import polars as pl

from ..actors.errors import DataError
from ..actors.model import Bars, as_datetime
from .bar_assembly import Assembled, BarSettings, assemble
from .bar_checks import VALUES, BadRow
from .bar_files import SourceRows

CHUNK_ROWS = 8192
"""Rows that exist as Python objects at a time: enough to make the cost of a chunk vanish, few enough for the processor's cache."""

Stamp = date | datetime | int


class BarFeed:
    """Bars in time order, one `Bars` for every instant at which some end. Each iteration starts anew.

    `bar_count` counts bars of single symbols, `step_count` the instants, `sessions` the trading dates. `warnings` say
    what a person should know of the data, and `bad_rows` are the rows that were left out.
    """

    def __init__(self, data: Assembled) -> None:
        self.symbols = data.symbols
        self.warnings = data.warnings
        self.bad_rows: tuple[BadRow, ...] = data.bad_rows
        rows = data.rows.with_columns(pl.col("end").set_sorted())
        self._steps = _steps(rows)
        self._rows = rows.select(pl.col("symbol").to_physical().alias("rank"), *VALUES)
        self.bar_count = rows.height
        self.step_count = self._steps.height
        self.sessions = int(self._steps["closes_session"].sum())
        self.start_ns = int(self._steps["start"][0])
        self.end_ns = int(self._steps["end"][-1])

    @classmethod
    def from_rows(
        cls,
        rows: Mapping[str, Sequence[tuple[Stamp, Any, Any, Any, Any, Any]]],
        *,
        timezone: str = "America/New_York",
        stamp: Literal["open", "close"] = "open",
        interval_s: float | Decimal | None = None,
        bad_rows: Literal["stop", "skip"] = "stop",
    ) -> BarFeed:
        """Return a feed of rows in memory, (time, open, high, low, close, volume) by symbol, judged like those of a file.

        A time is a date, a datetime (naive: in `timezone`), or an integer of ns UTC; one kind a symbol. As in a file, times that are all at
        midnight are dates, unless `interval_s` is below a day. Symbols keep their order. Raises DataError.
        """
        settings = BarSettings(tuple(rows), None, None, timezone, stamp, interval_s, bad_rows)
        return cls(assemble((_source(symbol, table) for symbol, table in rows.items()), settings))

    # `zip` without its `strict` argument, which costs more here than the work itself: columns of a frame are equally long, and where names
    # meet rows the names come first and end before a row too many is taken.
    def __iter__(self) -> Iterator[Bars]:
        symbols = self.symbols
        for steps, chunk in self._chunks():
            rows = zip(*(chunk[name].to_list() for name in VALUES))  # noqa: B905
            starts, ends, sessions, closes, counts = (column.to_list() for column in steps)
            if chunk.height == steps.height * len(symbols):
                for start_ns, end_ns, session, closes_session in zip(starts, ends, sessions, closes):  # noqa: B905
                    yield Bars(start_ns, end_ns, session, closes_session, dict(zip(symbols, rows)))  # noqa: B905
                continue
            # Our own string objects, whose hashes are known; the reader would make new ones for every row.
            names = [symbols[rank] for rank in chunk["rank"].to_list()]
            at = 0
            for start_ns, end_ns, session, closes_session, count in zip(starts, ends, sessions, closes, counts):  # noqa: B905
                present = names[at : at + count]
                at += count
                yield Bars(start_ns, end_ns, session, closes_session, dict(zip(present, rows)))  # noqa: B905

    def _chunks(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """Yield successive instants, and all bars that end then; at most CHUNK_ROWS of these unless one instant has more."""
        steps_a_chunk = max(1, CHUNK_ROWS // len(self.symbols))
        offset = 0
        for first in range(0, self.step_count, steps_a_chunk):
            steps = self._steps.slice(first, steps_a_chunk)
            height = int(steps["count"].sum())
            yield steps, self._rows.slice(offset, height)
            offset += height

    def __repr__(self) -> str:
        days = f"{as_datetime(self.start_ns):%Y-%m-%d} to {as_datetime(self.end_ns):%Y-%m-%d}"
        return f"<BarFeed {len(self.symbols)} symbols, {self.bar_count:,} bars in {self.sessions:,} sessions, {days}>"


def _steps(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row an instant: start, end, session, closes_session, count. Rows of one end follow each other."""
    session = pl.col("session")
    return (
        rows.group_by("end", maintain_order=True)
        .agg(pl.col("start").first(), session.first(), pl.len().alias("count"))
        .select(
            "start",
            "end",
            "session",
            (session != session.shift(-1)).fill_null(value=True).alias("closes_session"),
            "count",
        )
    )


def _source(symbol: str, table: Sequence[tuple[Stamp, Any, Any, Any, Any, Any]]) -> SourceRows:
    file = f"rows of {symbol}"
    columns = list(zip(*table, strict=True)) or [()] * (1 + len(VALUES))
    values = {
        name: pl.Series(column, dtype=pl.Float64, strict=False)
        for name, column in zip(VALUES, columns[1:], strict=True)
    }
    frame = pl.DataFrame({"time": _times(columns[0], file), **values}).with_columns(
        pl.lit(symbol).alias("symbol"), pl.lit(None, dtype=pl.String).alias("unreadable")
    )
    return SourceRows(file, "row", frame.with_row_index("row", offset=1))


def _times(stamps: Sequence[Stamp], file: str) -> pl.Series:
    kinds = {type(stamp) for stamp in stamps}
    if kinds <= {int}:
        return pl.Series(stamps, dtype=pl.Int64).cast(pl.Datetime("ns", "UTC"))
    if kinds == {date}:
        return pl.Series(stamps, dtype=pl.Date)
    instants = [stamp for stamp in stamps if isinstance(stamp, datetime)]
    if len(instants) == len(stamps):
        if all(stamp.tzinfo is None for stamp in instants):
            return pl.Series(instants, dtype=pl.Datetime("us"))
        if all(stamp.tzinfo is not None for stamp in instants):
            return pl.Series([stamp.astimezone(UTC) for stamp in instants], dtype=pl.Datetime("us", "UTC"))
    raise DataError(
        f"{file}: times must all be dates, all datetimes with a zone, all without, or all integers of ns UTC"
    )
