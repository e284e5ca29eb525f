"""What a run leaves in a folder: orders, fills and equity as CSV, the journal as one JSON object a line, and a page to look at.

The tables are written while the journal is read, so that a long run needs no more memory here than its open orders do.
Times are ISO 8601 in UTC, numbers are exact and without exponents.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

from ..actors.actor import Record
from ..actors.errors import ConfigError
from ..actors.events import OrderEvent, OrderFilled
from ..actors.machines.order import OrderMachine
from ..adapters.record_codec import as_json
from ..config.describing import number_text
from . import report
from .dispatcher import ARITHMETIC
from .result import BacktestResult
from .times import time_text

JOURNAL, ORDERS, FILLS, EQUITY, REPORT = "journal.jsonl", "orders.csv", "fills.csv", "equity.csv", report.NAME
FILES = (ORDERS, FILLS, EQUITY, JOURNAL, REPORT)
FROM_THE_JOURNAL = (ORDERS, FILLS, JOURNAL)
"""What cannot be written of a run that did not keep its journal."""

AVERAGE_UNIT = Decimal("0.000001")
"""An average is a quotient and has no end; what it is made of stands in the fills."""

Row = tuple[str, ...]


def prepare(folder: Path) -> None:
    """Make the folder and clear it of an earlier run's files, of these and no others. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in (folder / name for name in FILES):
            file.open("a").close()  # whether it can be written shows now, and not after the run
            file.unlink()
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"--out: {error.filename} is a file; accepted: a folder, made where there is none") from error
    except OSError as error:
        raise ConfigError(
            f"--out: {error.filename} cannot be written: {error.strerror}; accepted: a folder that you may write to"
        ) from error


def write(folder: Path, result: BacktestResult, *, journal_kept: bool = True) -> list[Path]:
    """Write all files of a run, or what there is without a journal, and return their paths. Raises OSError."""
    with localcontext(ARITHMETIC):
        _write_table(folder / EQUITY, ("time", "equity"), _equity_rows(result))
        if journal_kept:
            last_of: dict[str, int] = {}
            with (folder / JOURNAL).open("wb") as journal:
                _write_table(
                    folder / FILLS, FILL_COLUMNS, _fill_rows(_copied(result.records(), journal.write, last_of))
                )
            _write_table(folder / ORDERS, ORDER_COLUMNS, _order_rows(result.records(), last_of))
    written = [folder / name for name in FILES if name != REPORT and (journal_kept or name not in FROM_THE_JOURNAL)]
    # Last: the page is a comfort, the tables are the books. Without plotly there is none, which costs nothing else.
    return [*written, result.report(folder / REPORT)] if report.can_be_made() else written


def _write_table(file: Path, columns: Iterable[str], rows: Iterable[Row]) -> None:
    with file.open("w", encoding="utf-8", newline="") as text:
        table = csv.writer(text, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)


def _copied(
    records: Iterator[Record], put: Callable[[bytes], Any], last_of: dict[str, int]
) -> Iterator[tuple[Record, OrderFilled]]:
    """Write each record as it passes, note the last one of each order, in order of submission, and yield the fills."""
    for record in records:
        put(as_json(record) + b"\n")
        event = record.event
        if isinstance(event, OrderEvent):
            last_of[event.client_order_id] = record.number
        if type(event) is OrderFilled:
            yield record, event


# --- Rows --------------------------------------------------------------------------------------------------------------

FILL_COLUMNS = (
    *("at", "client_order_id", "symbol", "side", "quantity", "price", "commission", "fees_in_commission", "slippage"),
    *("impact", "fill_key", "revision", "inferred", "record"),
)

ORDER_COLUMNS = (
    *("client_order_id", "account", "strategy", "symbol", "side", "order_type", "time_in_force", "quantity"),
    *(
        "limit_price",
        "stop_price",
        "trail_amount",
        "trail_percent",
        "extended_hours",
        "state",
        "filled_quantity",
        "average_price",
        "commission",
        "reason",
        "text",
    ),
    *("arrival_price", "arrival_time", "submitted_at", "updated_at", "parent", "last_record"),
)


def _equity_rows(result: BacktestResult) -> Iterator[Row]:
    """The curve is a float; what is beyond a ten-thousandth is noise of its sum."""
    for at_ns, equity in result.equity_curve():
        yield time_text(at_ns), repr(round(equity, 4))


def _fill_rows(fills: Iterator[tuple[Record, OrderFilled]]) -> Iterator[Row]:
    for record, event in fills:
        fill = event.fill
        yield (
            time_text(fill.at_ns),
            event.client_order_id,
            event.symbol,
            event.side,
            *map(number_text, (fill.quantity, fill.price, fill.commission, fill.fees, fill.slippage, fill.impact)),
            fill.fill_key,
            str(fill.revision),
            str(fill.inferred).lower(),
            str(record.number),
        )


def _order_rows(records: Iterator[Record], last_of: dict[str, int]) -> Iterator[Row]:
    """Fold every order until its last record and yield it once all that were submitted before it are yielded."""
    machines: dict[str, OrderMachine] = {}
    finished: dict[str, Row] = {}
    queue = iter(last_of)
    front = next(queue, None)
    for record in records:
        event = record.event
        if not isinstance(event, OrderEvent):
            continue
        order_id = event.client_order_id
        machine = machines.get(order_id)
        if machine is None:
            machine = machines[order_id] = OrderMachine.begin(record)
        else:
            machine.fold_in(record)
        if record.number == last_of[order_id]:
            finished[order_id] = _order_row(machines.pop(order_id))
            while front in finished:
                yield finished.pop(front)
                front = next(queue, None)


def _order_row(machine: OrderMachine) -> Row:
    order, filled = machine.order, machine.filled_quantity
    return (
        order.client_order_id,
        order.account,
        order.strategy,
        order.symbol,
        order.side,
        order.order_type,
        order.time_in_force,
        number_text(order.quantity),
        *map(_or_empty, (order.limit_price, order.stop_price, order.trail_amount, order.trail_percent)),
        str(order.extended_hours).lower(),
        machine.state,
        number_text(filled),
        number_text((machine.notional / filled).quantize(AVERAGE_UNIT)) if filled else "",
        number_text(machine.commission),
        machine.reason,
        machine.text,
        _or_empty(machine.arrival.last),
        time_text(machine.arrival.at_ns),
        time_text(machine.submitted_ns),
        time_text(machine.updated_ns),
        order.parent,
        str(machine.last_record),
    )


def _or_empty(value: Decimal | None) -> str:
    return "" if value is None else number_text(value)
