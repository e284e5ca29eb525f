"""Time stamps of bars: how they are written, and whether they mean sessions or instants.

A column is read as one kind throughout: dates, times in the configured zone, times with their own offset, or numbers
since 1970. Stamps without a time of day worth the name (all at midnight, or a day apart) are dates: most tools save
daily bars like that.
"""

from __future__ import annotations

from datetime import time
from typing import NamedTuple

import polars as pl

from ..actors.errors import DataError

NS = 1_000_000_000
DAY_NS = 86_400 * NS
DAILY_GAP_NS = 23 * 3600 * NS
"""Rows this far apart are daily bars, whatever hour they carry; a day of a clock change has 23 hours."""

YEARS = (1900, 2199)
"""Years that a stamp may lie in: beyond them it is a typing error, or not a time at all."""

OFFSET = r"(?:\s*(?:Z|UTC|[+-]\d{2}:?\d{2}))"


class Form(NamedTuple):
    """One way to write a time stamp.

    `pattern` is matched after T between digits has become a space and / has become -.
    """

    example: str
    pattern: str
    parse: str
    has_time: bool


FORMS = (
    Form("2005-03-01", r"\d{4}-\d{1,2}-\d{1,2}", "%Y-%m-%d", False),
    Form("20050301", r"(?:19|20|21)\d{6}", "%Y%m%d", False),
    Form("01-Mar-2005", r"\d{1,2}-[A-Za-z]{3}-\d{4}", "%d-%b-%Y", False),
    Form("2005-03-01 09:30", r"\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{2}", "%Y-%m-%d %H:%M", True),
    Form("2005-03-01T09:30:00", r"\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{2}:\d{2}(?:\.\d+)?", "%Y-%m-%d %H:%M:%S%.f", True),
    Form("20050301 093000", r"\d{8} \d{6}", "%Y%m%d %H%M%S", True),
    Form("20050301 09:30:00", r"\d{8} \d{2}:\d{2}:\d{2}", "%Y%m%d %H:%M:%S", True),
)
EPOCH_PATTERN = r"^\d{9,19}$"
DAY_OR_MONTH_FIRST = r"^\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}\b"
ACCEPTED = (
    ", ".join(form.example for form in FORMS)
    + " (/ for -, a space for T; a time may end in Z or an offset such as -05:00), or seconds, ms, us or ns since 1970"
)

EPOCH_UNITS = ((10**11, NS), (10**14, 10**6), (10**17, 10**3), (2**63, 1))
"""(exclusive bound of the typical value, ns of the unit): seconds until the year 5138, then ms, us and ns, each from 1973 on."""

SAMPLE = 1000
"""Rows by which the form of a text column is recognised."""


class Times(NamedTuple):
    """The stamps of a file. `at` is of dates for daily bars and of instants in UTC otherwise, null where `fault` says why.

    `gap_ns` is the most frequent distance between rows; None where no two rows follow each other. `zoned` tells whether the
    stamps came with a zone, or as numbers, or else were read in the configured one.
    """

    at: pl.Series
    fault: pl.Series
    gap_ns: int | None
    zoned: bool = False

    @property
    def daily(self) -> bool:
        return self.at.dtype == pl.Date


def read_times(raw: pl.Series, symbols: pl.Series, file: str, zone: str, interval_ns: int | None) -> Times:
    """Read a time column of any accepted type. With an `interval_ns` below a day, stamps at midnight are instants and no dates.

    Raises DataError when the column as a whole is not understood; a single bad stamp is a fault of its row.
    """
    at = _parse(raw, file)
    at = _only(at, at.dt.year().is_between(*YEARS))
    fault = pl.repeat(None, len(raw), dtype=pl.String, eager=True)
    fault = _blame(
        fault, at, raw, f"time stamp {{!r}} is not a time like the others, between {YEARS[0]} and {YEARS[1]}"
    )
    may_be_daily = interval_ns is None or interval_ns >= DAILY_GAP_NS
    if may_be_daily and at.dtype != pl.Date and _at_midnight(at):
        at = at.dt.date()
    zoned = _zone_of(at) is not None
    if at.dtype != pl.Date and not zoned:
        at = at.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")
        fault = _blame(fault, at, raw, "time stamp {!r} is not one instant in " + zone + ", where clocks change then")
    gap_ns = _common_gap(at, symbols)
    if may_be_daily and at.dtype != pl.Date:
        at = _as_dates(at, zone, gap_ns)
    return Times(at if at.dtype == pl.Date else at.dt.cast_time_unit("ns"), fault, gap_ns, zoned)


def _blame(fault: pl.Series, at: pl.Series, raw: pl.Series, reason: str) -> pl.Series:
    """Give a fault to every row that has lost its time and has none yet."""
    rows = (at.is_null() & fault.is_null()).arg_true()
    if not len(rows):
        return fault
    found = raw.gather(rows).cast(pl.String)
    return fault.scatter(rows, [reason.format(value) if value else "time stamp is missing" for value in found])


def _zone_of(at: pl.Series) -> str | None:
    return at.dtype.time_zone if isinstance(at.dtype, pl.Datetime) else None


def _at_midnight(at: pl.Series) -> bool:
    return at.null_count() < len(at) and bool((at.dt.time() == time()).all())


def _as_dates(at: pl.Series, zone: str, gap_ns: int | None) -> pl.Series:
    """Turn the instants of daily bars into dates: midnights of the zone, or any hour when they are a day apart."""
    local = at.dt.convert_time_zone(zone)
    is_daily = _at_midnight(local) or (gap_ns is not None and gap_ns >= DAILY_GAP_NS)
    return local.dt.date() if is_daily else at


def _common_gap(at: pl.Series, symbols: pl.Series) -> int | None:
    """Return the most frequent distance in ns between a symbol's successive rows, of several the smallest; None for single rows."""
    if at.dtype == pl.Date:
        return DAY_NS
    step = pl.col("at").diff()
    steps = pl.DataFrame([symbols.alias("symbol"), at.dt.epoch("ns").alias("at")]).select(
        (step if symbols.n_unique() == 1 else step.over("symbol")).alias("step")
    )
    counts = steps.filter(pl.col("step") > 0).group_by("step").len().sort("len", "step", descending=[True, False])
    return int(counts["step"][0]) if counts.height else None


def _parse(raw: pl.Series, file: str) -> pl.Series:
    """Return dates, times without a zone, or times in UTC; null where a value is none."""
    dtype = raw.dtype
    if dtype == pl.Date:
        return raw
    if isinstance(dtype, pl.Datetime):
        return raw if dtype.time_zone is None else raw.dt.convert_time_zone("UTC")
    if dtype.is_integer():
        return _parse_number(raw.cast(pl.Int64, strict=False))
    if dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        return _parse_text(raw.cast(pl.String).str.strip_chars(), file)
    raise DataError(f"{file}: the time column is of type {dtype}; it must hold dates, times, or {ACCEPTED}")


def _parse_number(numbers: pl.Series) -> pl.Series:
    """Read numbers as 20050301, or as seconds, ms, us or ns since 1970 by the size of the typical one."""
    typical = abs(int(numbers.drop_nulls().sort()[numbers.count() // 2])) if numbers.count() else 0
    if 19000101 <= typical <= 21991231:
        return numbers.cast(pl.String).str.to_date("%Y%m%d", strict=False)
    unit_ns = next(unit for bound, unit in EPOCH_UNITS if typical < bound)
    limit = (2**63 - 1) // unit_ns
    return (_only(numbers, numbers.is_between(-limit, limit)) * unit_ns).cast(pl.Datetime("ns", "UTC"))


def _parse_text(text: pl.Series, file: str) -> pl.Series:
    plain = text.str.replace(r"(\d)T(\d)", "$1 $2").str.replace_all("/", "-", literal=True).str.replace(r"  +", " ")
    sample = plain.drop_nulls().head(SAMPLE)
    if _is_most(sample, EPOCH_PATTERN):
        return _parse_number(plain.cast(pl.Int64, strict=False))
    for form in FORMS:
        if _is_most(sample, f"^{form.pattern}$"):
            return _parse_form(plain, form, "")
        if form.has_time and _is_most(sample, f"^{form.pattern}{OFFSET}$"):
            return _parse_form(plain, form, OFFSET)
    raise DataError(f"{file}: {_complaint(text.drop_nulls().head(SAMPLE))}; accepted: {ACCEPTED}")


def _is_most(sample: pl.Series, pattern: str) -> bool:
    """Tell whether most of the sample is of this form: a few bad rows must not decide what the others are."""
    return 2 * int(sample.str.contains(pattern).sum()) > len(sample)


def _parse_form(text: pl.Series, form: Form, offset: str) -> pl.Series:
    text = _only(text, text.str.contains(f"^{form.pattern}{offset}$"))
    if not form.has_time:
        return text.str.to_date(form.parse, strict=False)
    at = text.str.replace(f"{OFFSET}$", "").str.to_datetime(form.parse, time_unit="us", strict=False)
    if not offset:
        return at
    east = (
        text.str.extract_groups(r"([+-])(\d{2}):?(\d{2})$")
        .struct.unnest()
        .rename({"1": "sign", "2": "hours", "3": "minutes"})
    )
    minutes = east["hours"].cast(pl.Int64) * 60 + east["minutes"].cast(pl.Int64)
    sign = 1 - 2 * (east["sign"] == "-").cast(pl.Int64)
    return (at.dt.epoch("us") - (sign * minutes * 60_000_000).fill_null(0)).cast(pl.Datetime("us", "UTC"))


def _complaint(sample: pl.Series) -> str:
    if not len(sample):
        return "the time column is empty"
    if _is_most(sample, DAY_OR_MONTH_FIRST):
        return f"time stamps such as {sample[0]!r} may mean day or month first"
    return f"time stamps such as {sample[0]!r} are not understood"


def _only(values: pl.Series, wanted: pl.Series) -> pl.Series:
    """Return `values` with null for what is not wanted."""
    return values.zip_with(wanted.fill_null(False), pl.Series([None], dtype=values.dtype))
