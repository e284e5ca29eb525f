"""The bars of a run in the order in which they became known.

The columns stay in the reader's memory and become Python objects a chunk at a time, so that a long history costs little
more memory than it costs on disk. A feed holds no cursor: whoever iterates has one, and several may iterate at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain
from typing import Any, Literal

import polars as pl

from ..actors.bars import Bars, CorporateAction
from ..actors.errors import DataError
from ..actors.model import as_datetime
from .bar_assembly import Assembled, BarSettings, assemble
from .bar_checks import VALUES, BadRow
from .bar_files import SourceRows

CHUNK_ROWS = 8192
"""Rows that exist as Python objects at a time: enough to make the cost of a chunk vanish, few enough for the processor's cache."""

STEP = ("start", "end", "session", "closes_session", "count")
"""Columns of an instant: what a Bars is made of, and how many bars end then."""

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
        self.schedule = data.schedule
        rows = data.rows.with_columns(pl.col("end").set_sorted())
        self._steps = _steps(rows)
        self._rows = rows.select(pl.col("symbol").to_physical().alias("rank"), *VALUES)
        self.bar_count = rows.height
        self.step_count = self._steps.height
        self.sessions = int(self._steps["closes_session"].sum())
        self._has_extended = not self._steps["regular"].all()
        self._actions_at = _by_step(data.actions, self._steps)
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
        calendar: str | None = None,
        extended_hours: bool = False,
        actions: Sequence[CorporateAction] = (),
    ) -> BarFeed:
        """Return a feed of rows in memory, (time, open, high, low, close, volume) by symbol, judged like those of a file.

        A time is a date, a datetime (naive: in `timezone`), or an integer of ns UTC; one kind a symbol. As in a file, times that are all at
        midnight are dates, unless `interval_s` is below a day. Symbols keep their order. Raises DataError.
        """
        settings = BarSettings(
            symbols=tuple(rows),
            timezone=timezone,
            stamp=stamp,
            interval_s=interval_s,
            bad_rows=bad_rows,
            calendar=calendar,
            extended_hours=extended_hours,
            actions=tuple(actions),
        )
        return cls(assemble((rows_in_memory(symbol, table) for symbol, table in rows.items()), settings))

    def __iter__(self) -> Iterator[Bars]:
        bars = self._plain()
        if self._has_extended:
            bars = self._with_hours(bars)
        return self._with_actions(bars) if self._actions_at else bars

    def _with_hours(self, steps: Iterator[Bars]) -> Iterator[Bars]:
        """Mark the bars outside of the regular hours."""
        flags = chain.from_iterable(part["regular"].to_list() for part in self._steps.iter_slices(CHUNK_ROWS))
        for bars, regular in zip(steps, flags, strict=True):
            bars.regular = regular
            yield bars

    def _with_actions(self, steps: Iterator[Bars]) -> Iterator[Bars]:
        """Attach the corporate actions to the first bars of their session, or of the next one that has bars."""
        at = self._actions_at
        for bars in steps:
            if bars.end_ns in at:
                bars.actions = at[bars.end_ns]
            yield bars

    # `zip` without its `strict` argument, which costs more here than the work itself: columns of a frame are equally long, and where names
    # meet rows the names come first and end before a row too many is taken.
    def _plain(self) -> Iterator[Bars]:
        symbols = self.symbols
        for steps, chunk in self._chunks():
            rows = zip(*(chunk[name].to_list() for name in VALUES))  # noqa: B905
            starts, ends, sessions, closes, counts = (steps[name].to_list() for name in STEP)
            if len(symbols) == 1 and chunk.height == steps.height:
                (symbol,) = symbols
                for start_ns, end_ns, session, closes_session, row in zip(starts, ends, sessions, closes, rows):  # noqa: B905
                    yield Bars(start_ns, end_ns, session, closes_session, {symbol: row})
                continue
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
    """Return one row an instant: what `STEP` names, and whether it is regular. Rows of one end follow each other.

    A session is closed by its last regular bars, or by its last ones where it has no regular ones.
    """
    session, end, regular = pl.col("session"), pl.col("end"), pl.col("regular")
    steps = rows.group_by("end", maintain_order=True).agg(
        pl.col("start").min(), session.first(), regular.all(), pl.len().alias("count")
    )
    last_regular, last = end.filter(regular).max().over("session"), end.max().over("session")
    return steps.with_columns((end == pl.coalesce(last_regular, last)).alias("closes_session"))


def _by_step(actions: Sequence[CorporateAction], steps: pl.DataFrame) -> dict[int, tuple[CorporateAction, ...]]:
    """Return the actions by the end of the bars that they come with: the first of their session, or of the next one with bars."""
    at: dict[int, tuple[CorporateAction, ...]] = {}
    if actions:
        firsts = steps.group_by("session").agg(pl.col("end").min()).sort("session")
        sessions, ends = firsts["session"].to_list(), firsts["end"].to_list()
        for action in actions:
            index = bisect_left(sessions, action.session)
            if index < len(sessions):
                at[ends[index]] = (*at.get(ends[index], ()), action)
    return at


def rows_in_memory(symbol: str, table: Sequence[tuple[Stamp, Any, Any, Any, Any, Any]]) -> SourceRows:
    """Return rows (time, open, high, low, close, volume) of a symbol as those of a file."""
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
