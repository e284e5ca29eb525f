"""What a row of market data must satisfy, and the split of good rows from bad ones.

A price that cannot be true is worse than a missing one, because it trades. So every rule names the values that it saw,
and the caller decides whether a bad row stops the run or is left out. All rules look at one row, but for the last: time
goes forward.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl

from .bar_files import PRICES, SourceRows

SHOWN = 10
"""Bad rows that a message lists before it only counts."""

ROUNDING = 1e-9
"""Relative noise that prices may have where they are compared with each other: adjusted prices come out of a multiplication."""

VALUES = (*PRICES, "volume")
KEPT = ("row", "symbol", "at", *VALUES)

Rule = tuple[pl.Expr, pl.Expr]
"""(whether the row breaks it, what is to be said then)."""


class BadRow(NamedTuple):
    """A row that is unusable: `row` counts in `unit` (line, row) of `file`, as a person finds it there."""

    file: str
    unit: str
    row: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file} {self.unit} {self.row}: {self.reason}"


class Checked(NamedTuple):
    """`good` has the columns of `KEPT`, `bad` has row, at and reason.

    The volume of the symbols `without_volume` is NaN.
    """

    good: pl.DataFrame
    bad: pl.DataFrame
    without_volume: tuple[str, ...]


def check_values(source: SourceRows, at: pl.Series, time_fault: pl.Series) -> Checked:
    """Split the rows by the rules that look at one row.

    A volume is bad when it is missing, unless the symbol has none in any row.
    """
    as_found = {name: f"found_{name}" for name in VALUES}
    frame = source.frame.rename(as_found).with_columns(at.alias("at"), time_fault.alias("time_fault"))
    frame = frame.with_columns(_stripped(frame, column) for column in as_found.values())
    frame = frame.with_columns(
        pl.col(column).cast(pl.Float64, strict=False).alias(name) for name, column in as_found.items()
    )
    unknown = pl.col("found_volume").is_null() | pl.col("volume").is_nan().fill_null(value=False)
    without_volume = (
        frame.group_by("symbol").agg(unknown.all().alias("all")).filter("all")["symbol"].drop_nulls().sort().to_list()
    )
    good, bad = _split(frame, list(_rules(pl.col("symbol").is_in(without_volume))))
    return Checked(good.with_columns(pl.col("volume").fill_null(float("nan"))).select(KEPT), bad, tuple(without_volume))


def _stripped(frame: pl.DataFrame, column: str) -> pl.Expr:
    if frame.schema[column] != pl.String:
        return pl.col(column)
    text = pl.col(column).str.strip_chars()
    return pl.when(text != "").then(text).alias(column)


def _rules(has_no_volume: pl.Expr) -> Iterator[Rule]:
    """Yield the rules in the order in which a row is judged; a rule that meets a missing value says nothing."""
    yield pl.col("unreadable").is_not_null(), pl.col("unreadable")
    yield pl.col("symbol").fill_null("") == "", pl.lit("symbol is missing")
    yield pl.col("time_fault").is_not_null(), pl.col("time_fault")
    for name in PRICES:
        yield from _number_rules(name)
        yield pl.col(name) <= 0, pl.format(f"{name} {{}} is not above zero", name)
    low, high = pl.col("low"), pl.col("high")
    noise = high * ROUNDING
    yield high < low - noise, pl.format("high {} is below low {}", high, low)
    for name in ("open", "close"):
        price = pl.col(name)
        outside = (price < low - noise) | (price > high + noise)
        yield outside, pl.format(f"{name} {{}} is outside low {{}} to high {{}}", price, low, high)
    yield from ((mask & ~has_no_volume, reason) for mask, reason in _number_rules("volume"))
    yield pl.col("volume") < 0, pl.format("volume {} is negative", "volume")


def _number_rules(name: str) -> Iterator[Rule]:
    value, found = pl.col(name), pl.col(f"found_{name}")
    yield found.is_null(), pl.lit(f"{name} is missing")
    yield value.is_null(), pl.format(f"{name} '{{}}' is not a number", found)
    yield ~value.is_finite(), pl.format(f"{name} {{}} is not finite", value)


def check_order(frame: pl.DataFrame, zone: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split off the rows whose `end` is not after every earlier row of their symbol; the rows kept are the running maximum."""
    latest = pl.col("end").cum_max().shift(1)
    has_one_symbol = frame["symbol"].n_unique() == 1
    frame = frame.with_columns((latest if has_one_symbol else latest.over("symbol")).alias("latest"))
    stamp = _as_text(frame.schema["at"], zone)
    return _split(
        frame,
        [
            (pl.col("end") == pl.col("latest"), pl.format("duplicate time stamp {}", stamp)),
            (
                pl.col("end") < pl.col("latest"),
                pl.format("time stamp {} is out of order, a later one came before it", stamp),
            ),
        ],
    )


def _as_text(dtype: pl.DataType, zone: str) -> pl.Expr:
    at = pl.col("at")
    return at.cast(pl.String) if dtype == pl.Date else at.dt.convert_time_zone(zone).dt.strftime("%Y-%m-%d %H:%M:%S%:z")


def _split(frame: pl.DataFrame, rules: Sequence[Rule]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that break no rule, and the others with the reason of the first rule that they break."""
    is_bad = frame.select(pl.any_horizontal(mask for mask, _ in rules).fill_null(value=False).alias("bad"))["bad"]
    reason = pl.coalesce(pl.when(mask).then(text) for mask, text in rules)
    bad = frame.filter(is_bad).select("row", "at", reason.alias("reason"))
    return (frame.filter(~is_bad) if bad.height else frame), bad
