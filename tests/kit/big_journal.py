"""A journal of as many orders as are wanted, quickly: whole lives, encoded as the runtime does and written by the real store.

    python tests/kit/big_journal.py PATH [ORDERS]

Each order is submitted, approved, intended, accepted and filled, alternately buying and selling, so that all positions are
flat after every pair; the ids are `big-1-<n>`. The account is opened by the first record, so the whole can be folded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path

import anyio

from ordersmith.actors.actor import Event, Record
from ordersmith.actors.events import (
    Arrival,
    OrderAccepted,
    OrderApproved,
    OrderFilled,
    OrderIntended,
    OrderSubmitted,
    SessionOpened,
)
from ordersmith.actors.model import Fill, Order, OrderState, OrderType, Side, TimeInForce
from ordersmith.actors.ports import Capabilities
from ordersmith.adapters.journal_format import Batch
from ordersmith.adapters.journal_writer import JournalWriter
from ordersmith.supervisor.commit import ENCODER

ACCOUNT = "main"
SYMBOLS = ("AAPL", "MSFT", "GOOG", "AMZN", "NVDA")
BEGIN_NS = 1_767_225_600_000_000_000
STEP_NS = 1_000_000
GROUP = 20_000
"""Records a commit: what is slow about a commit is that it is one."""

RECORDS_AN_ORDER = 5
"""Beside the one that opens the account."""


def order_id(index: int) -> str:
    """Return the id of order `index`; the first is 0."""
    return f"big-1-{index}"


def write_journal(path: Path, orders: int) -> None:
    """Write a journal of `orders` lives to `path`, where there is none, and close it in order."""
    anyio.run(_write, path, orders)


async def _write(path: Path, orders: int) -> None:
    writer = JournalWriter(path)
    await writer.open()
    try:
        for batch in batches(orders):
            await writer.write(batch)
    finally:
        await writer.close()


def batches(orders: int) -> Iterator[Batch]:
    """Yield the records of so many lives, encoded, as batches for a store."""
    data, ends, first = bytearray(), [], 1
    for number, (at_ns, cause, event) in enumerate(facts(orders), 1):
        data += ENCODER.encode(Record(number, at_ns, cause, event))
        ends.append(len(data))
        if len(ends) == GROUP:
            yield Batch(first, data, ends)
            data, ends, first = bytearray(), [], number + 1
    if ends:
        yield Batch(first, data, ends)


def facts(orders: int) -> Iterator[tuple[int, int, Event]]:
    """Yield time, cause and event of every record, in the order of their numbers."""
    capabilities = Capabilities(order_types=tuple(OrderType), times_in_force=tuple(TimeInForce))
    yield BEGIN_NS, -1, SessionOpened(ACCOUNT, Decimal(1_000_000), (), capabilities)
    numbers = count(2)
    for index in range(orders):
        begin_ns = BEGIN_NS + (index + 1) * STEP_NS
        cause = -index - 2
        for offset, event in enumerate(life(index, begin_ns)):
            yield begin_ns + offset * 1_000, cause, event
            cause = next(numbers)


def life(index: int, at_ns: int) -> tuple[Event, ...]:
    """Return what happens to order `index`."""
    order_number, pair = order_id(index), index // 2
    wire_id, symbol = f"{order_number}.0", SYMBOLS[pair % len(SYMBOLS)]
    side = Side.SELL if index % 2 else Side.BUY
    quantity, price = Decimal(1 + pair % 90), Decimal(10_000 + pair % 5_000) / 100
    order = Order(
        symbol=symbol,
        side=side,
        quantity=quantity,
        order_type=OrderType.LIMIT,
        limit_price=price,
        client_order_id=order_number,
        account=ACCOUNT,
    )
    commission = Decimal("0.35")
    return (
        OrderSubmitted(order_number, order, Arrival(at_ns, price)),
        OrderApproved(order_number, ACCOUNT, symbol, side, quantity, price),
        OrderIntended(order_number, wire_id),
        OrderAccepted(order_number, wire_id, f"b-{index:08}"),
        OrderFilled(
            order_number,
            ACCOUNT,
            "",
            symbol,
            side,
            Fill(fill_key=f"f-{index:08}", quantity=quantity, price=price, at_ns=at_ns, commission=commission),
            quantity,
            quantity * price,
            commission,
            OrderState.FILLED,
        ),
    )


if __name__ == "__main__":
    write_journal(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200_000)
