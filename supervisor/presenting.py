"""What a person sees of a run: the progress bar and the summary.

rich is imported when something is shown, and not before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from .result import Summary

HASH_SHOWN = 12
WARNINGS_SHOWN = 10

Track = Callable[[Iterable[Any], int], Iterable[Any]]
"""Passes on the items of something of known length, and counts them."""


@contextmanager
def progress_bar(*, wanted: bool) -> Iterator[Track]:
    """Draw a progress bar on standard error if that is a terminal; a thread of its own redraws it, so that a step costs next to nothing."""
    if not wanted or not sys.stderr.isatty():
        yield lambda items, _: items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("Backtest"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
    )
    # What a strategy prints goes above the bar, unless standard output leads somewhere else.
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty()) as progress:
        yield lambda items, steps: progress.track(items, total=steps)


def print_summary(summary: Summary) -> None:
    """Print the table that sums up a run."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE, show_header=False)
    table.add_column(style="dim")
    table.add_column()
    for name, value in summary_rows(summary):
        table.add_row(name, Text(value))
    Console(highlight=False).print(table)


def summary_rows(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield the lines of the table: what it is, and its value with its unit."""
    s = summary
    yield (
        "Period",
        f"{s.start} to {s.end}: {s.sessions:,} {'session' if s.sessions == 1 else 'sessions'}, {s.bars:,} bars",
    )
    yield "Return", f"{s.total_return:+.2%}"
    yield "Maximum drawdown", f"{s.max_drawdown:.2%}"
    yield "Sharpe ratio", "not defined" if s.sharpe is None else f"{s.sharpe:.2f} a year"
    yield "Turnover", f"{s.turnover:.2f} times the mean equity"
    yield "Costs", f"commission {_money(s.commission)}, slippage {_money(s.slippage)}, impact {_money(s.impact)}"
    yield "Final equity", f"{_money(s.final_equity)}, from {_money(s.initial_cash)}"
    yield "Cash", _money(s.cash)
    yield "Orders", _counted(s.orders, s.orders_by_state)
    yield "Fills", f"{s.fills:,}"
    yield "Denials", _counted(sum(s.denials_by_code.values()), s.denials_by_code)
    yield "Speed", f"{s.bars_per_s:,.0f} bars/s, {s.orders_per_s:,.0f} orders/s, {s.elapsed_s:.2f} s in all"
    yield "Trace hash", f"{s.trace_hash[:HASH_SHOWN]}, seed {s.seed}, {s.records:,} records"


def shortened(warnings: tuple[str, ...]) -> Iterator[str]:
    """Yield the first warnings, and how many more there are."""
    yield from warnings[:WARNINGS_SHOWN]
    if len(warnings) > WARNINGS_SHOWN:
        yield f"and {len(warnings) - WARNINGS_SHOWN:,} more"


def _money(value: Decimal) -> str:
    return f"{value:,.2f}"


def _counted(total: int, parts: Mapping[str, int]) -> str:
    """Write a total with the parts that are not zero."""
    shown = ", ".join(f"{number:,} {name}" for name, number in parts.items() if number)
    return f"{total:,} ({shown})" if shown else "none"
