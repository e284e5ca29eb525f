"""What a person sees of a run: the progress bar and the summary.

rich is imported when something is shown, and not before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..config.describing import number_text
from .result import COSTS, INCOME, Summary

if TYPE_CHECKING:
    from .paths import Compared, Filled

HASH_SHOWN = 12
ALWAYS_SHOWN = frozenset({"commission", "slippage", "impact"})
WARNINGS_SHOWN = 10
ORDERS_SHOWN = 20
READING = "Bars from Alpaca"
SECONDS_A_LINE = 10.0

Track = Callable[[Iterable[Any], int], Iterable[Any]]
"""Passes on the items of something of known length, and counts them."""


@contextmanager
def progress_bar(name: str) -> Iterator[Track]:
    """Draw a progress bar on standard error if it has a name and that is a terminal.

    A thread of its own redraws it, so that a step costs next to nothing.
    """
    if not name or not sys.stderr.isatty():
        yield lambda items, _: items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn(name),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
    )
    # What a strategy prints goes above the bar, unless standard output leads somewhere else.
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty()) as progress:
        yield lambda items, steps: progress.track(items, total=steps)


@contextmanager
def reading_bar() -> Iterator[Callable[[float, str], None]]:
    """Yield what is told how far a download is: a bar on standard error, or a line there now and then where that is no terminal.

    Nothing is shown before there is something to download.
    """
    if not sys.stderr.isatty():
        yield _ReadingLines()
        return
    with ExitStack() as stack:
        tasks: list[tuple[Any, Any]] = []

        def read(share: float, symbol: str) -> None:
            if not tasks:
                tasks.append(_begin_reading(stack))
            progress, task = tasks[0]
            progress.update(task, completed=share, symbol=symbol)

        yield read


def _begin_reading(stack: ExitStack) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn(READING),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[symbol]}"),
        TimeElapsedColumn(),
    )
    progress = stack.enter_context(Progress(*columns, console=Console(stderr=True)))
    return progress, progress.add_task(READING, total=1.0, symbol="")


class _ReadingLines:
    """Says at the begin, and then every ten seconds, how far a download is."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, share: float, symbol: str) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s and share < 1.0:
            self._next_s = now_s + SECONDS_A_LINE
            sys.stderr.write(f"{READING}: {share:.0%}, at {symbol}\n")
            sys.stderr.flush()


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


def print_paths(compared: Compared) -> None:
    """Print the runs side by side, how far they are apart, and the orders whose fills depend on the path."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=SIMPLE)
    table.add_column(style="dim")
    for name in (*compared.summaries, "spread"):
        table.add_column(name, justify="right")
    for row in path_rows(compared):
        table.add_row(*map(Text, row))
    console.print(table)
    if compared.dependent:
        orders = Table(box=SIMPLE, title="Orders whose fills depend on the path", title_justify="left", title_style="")
        orders.add_column("order", overflow="fold", min_width=len("2000-01-01 00:00"))
        for name in compared.summaries:
            orders.add_column(name, overflow="fold", min_width=len(name))
        orders.add_column("effect", justify="right", no_wrap=True)
        for order in compared.dependent[:ORDERS_SHOWN]:
            which = f"{order.time[:16].replace('T', ' ')} {order.side} {order.symbol} {order.client_order_id}"
            fills = (_filled(order.fills[path], order.time) for path in compared.summaries)
            orders.add_row(*map(Text, (which, *fills, money(order.effect))))
        console.print(orders)
    for line in path_lines(compared):
        console.print(Text(line))


def path_rows(compared: Compared) -> Iterator[tuple[str, ...]]:
    """Yield the lines of the table that compares the runs: a name, each run's value, and the spread."""
    for name, field, written in PATH_FIELDS:
        values = compared.values(field)
        yield name, *map(written, values), written(max(values) - min(values))
    filled = [summary.orders_by_state["FILLED"] for summary in compared.summaries.values()]
    yield "Orders filled", *(f"{number:,}" for number in filled), f"{max(filled) - min(filled):,}"


def path_lines(compared: Compared) -> Iterator[str]:
    """Say in words what the path decides, and what is not compared order by order."""
    if len(compared.summaries) < 2:
        yield "With one path there is nothing to compare."
        return
    if compared.dependent is None:
        yield "Which orders depend on the path is not known, since journal.keep is open."
        return
    number = len(compared.dependent)
    if not number and compared.diverged is None:
        yield "No order's fills depend on the path that prices took inside a bar."
        return
    more = f"; the first {ORDERS_SHOWN} are shown, --json has all" if number > ORDERS_SHOWN else ""
    yield (
        f"The fills of {number:,} {'order' if number == 1 else 'orders'} depend on the path that prices took inside a bar{more}. "
        "Effect: between an order's best and worst path, valued at the close of the bar of its first fill."
    )
    parted = compared.diverged
    if parted is not None:
        counts = ", ".join(f"{number:,} {path}" for path, number in parted.orders.items())
        yield (
            f"From {parted.time} on (order {parted.client_order_id}) the strategy decided differently: orders that are not the same "
            f"on all paths ({counts}) are compared in the table of the runs only."
        )


def _filled(filled: Filled | None, time: str) -> str:
    """Write what filled at which price, and when, if that was not at `time`."""
    if filled is None:
        return "–"
    day, _, hour = filled.last.partition("T")
    when = "" if filled.last == time else f", {hour if time.startswith(day) else day}"
    return f"{number_text(filled.quantity)} at {number_text(filled.price)}{when}"


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
    yield "Costs", _amounts(s, COSTS)
    if income := _amounts(s, INCOME):
        yield "Income", income
    yield "Final equity", f"{money(s.final_equity)}, from {money(s.initial_cash)}"
    yield "Cash", money(s.cash)
    yield "Orders", _counted(s.orders, s.orders_by_state)
    yield "Fills", f"{s.fills:,}"
    yield "Denials", _counted(sum(s.denials_by_code.values()), s.denials_by_code)
    if s.margin_calls:
        yield "Margin calls", f"{s.margin_calls:,}"
    yield "Speed", f"{s.bars_per_s:,.0f} bars/s, {s.orders_per_s:,.0f} orders/s, {s.elapsed_s:.2f} s in all"
    yield "Trace hash", f"{s.trace_hash[:HASH_SHOWN]}, seed {s.seed}, {s.records:,} records"


def shortened(warnings: tuple[str, ...]) -> Iterator[str]:
    """Yield the first warnings, and how many more there are."""
    yield from warnings[:WARNINGS_SHOWN]
    if len(warnings) > WARNINGS_SHOWN:
        yield f"and {len(warnings) - WARNINGS_SHOWN:,} more"


def shown(summary: Summary, fields: Iterable[str]) -> Iterator[tuple[str, Decimal]]:
    """Yield name and amount of what there was, and of what everybody looks for."""
    for field in fields:
        amount: Decimal = getattr(summary, field)
        if amount or field in ALWAYS_SHOWN:
            yield field.replace("_", " "), amount


def _amounts(summary: Summary, fields: Iterable[str]) -> str:
    return ", ".join(f"{name} {money(amount)}" for name, amount in shown(summary, fields))


def money(value: Decimal) -> str:
    return f"{value:,.2f}"


def _share(value: float) -> str:
    return f"{value:.2%}"


def _whole(value: int) -> str:
    return f"{value:,}"


PATH_FIELDS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("Final equity", "final_equity", money),
    ("Return", "total_return", _share),
    ("Maximum drawdown", "max_drawdown", _share),
    ("Costs", "costs", money),
    ("Orders", "orders", _whole),
    ("Fills", "fills", _whole),
)
"""What is compared of the runs: a name, the summary's field, and how it is written."""


def _counted(total: int, parts: Mapping[str, int]) -> str:
    """Write a total with the parts that are not zero."""
    shown = ", ".join(f"{number:,} {name}" for name, number in parts.items() if number)
    return f"{total:,} ({shown})" if shown else "none"
