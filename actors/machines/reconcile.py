"""What a read of the broker's account changes: one pure function of what we believe and what the broker reports.

It is asked twice of one snapshot: first for what to tell the orders and whom to ask about, and once that is written down
for what is left, which nothing repairs: the differences in positions and cash. An order that anything has happened to since
the account was asked for is not judged by the answer, because the answer may be older. What follows an execution's key is
said again without harm. The cost grows with the open orders and with what the snapshot lists, never with closed orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from ..model import ZERO, Side
from ..ports import BrokerOrderState, Executed, OrderFound
from ..snapshots import AccountSnapshot, Difference, ExternalOrder
from .order import OrderMachine
from .order_changes import Pending
from .position import Account, Holding

CASH = ""
"""The symbol under which a difference in cash goes."""

CENT = Decimal("0.01")
"""Cash that differs by more is a difference: brokers round to it."""

WORKING = BrokerOrderState.WORKING
NO, IN_DOUBT = Pending.NO, Pending.IN_DOUBT
NOTHING_HELD = Holding()


class Beliefs(msgspec.Struct, frozen=True):
    """What we believe of one account.

    `open` are the orders that could still trade, `find` gives any order in memory by id. `books` is None before the first
    session ever. `lost_answers` says that the session is new: what was asked in the one before gets no answer any more.
    """

    open: tuple[OrderMachine, ...]
    find: Callable[[str], OrderMachine | None]
    books: Account | None
    externals: Mapping[str, ExternalOrder]
    lost_answers: bool = False


class Repairs(msgspec.Struct, frozen=True):
    """What makes our beliefs the broker's.

    `reports` are to be told to their orders, `asks` are legs to ask the broker for, `absent` are legs that the account has no
    trace of. `seen` and `gone` are orders that are not ours. `differences` are what our books say otherwise.
    """

    reports: tuple[Executed | OrderFound, ...] = ()
    asks: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    seen: tuple[ExternalOrder, ...] = ()
    gone: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()


def reconcile(beliefs: Beliefs, snapshot: AccountSnapshot) -> Repairs:
    """Return what repairs the difference between our beliefs and a snapshot."""
    executions, added = _executions(beliefs, snapshot)
    found, asks, listed = _listed(beliefs, snapshot, added)
    executed = {order_of(execution.wire_id): None for execution in snapshot.executions}
    missing = [
        machine
        for machine in beliefs.open
        if machine.wire_id and machine.last_record <= snapshot.as_of and machine.order.client_order_id not in listed
    ]
    absent = [machine for machine in missing if machine.order.client_order_id not in executed]
    absent += _without_replacement(beliefs, snapshot)
    seen, gone = _externals(beliefs, snapshot)
    return Repairs(
        (*executions, *found),
        (*asks, *map(last_leg, missing)),
        tuple(map(last_leg, absent)),
        seen,
        gone,
        differences(beliefs.books, snapshot),
    )


def order_of(wire_id: str) -> str:
    """Return the client order id that a leg belongs to."""
    return wire_id.rpartition(".")[0]


def last_leg(machine: OrderMachine) -> str:
    """Return the wire id of the last leg that was asked for."""
    return machine.next_wire_id or machine.wire_id


def external_of(found: OrderFound) -> ExternalOrder:
    """Return an order that bears an id of our form, and that we never made, as what it is to us."""
    side = found.side or Side.BUY
    return ExternalOrder(
        found.broker_order_id, found.symbol, side, found.open_quantity, found.limit_price, found.order_type
    )


# --- Orders ------------------------------------------------------------------------------------------------------------


def _executions(beliefs: Beliefs, snapshot: AccountSnapshot) -> tuple[list[Executed], dict[str, Decimal]]:
    """Return the executions that are news, marked as recovered, and by how much they change what each order has filled."""
    news: list[Executed] = []
    added: dict[str, Decimal] = {}
    for execution in snapshot.executions:
        order_id, fill = order_of(execution.wire_id), execution.fill
        machine = beliefs.find(order_id)
        known = None if machine is None else machine.fills.get(fill.fill_key)
        if known is None or known.revision < fill.revision:
            news.append(replace(execution, fill=replace(fill, recovered=True)))
            change = fill.quantity if known is None else fill.quantity - known.quantity
            added[order_id] = added.get(order_id, ZERO) + change
        elif machine is not None and machine.covers.get(fill.fill_key, known).quantity < fill.quantity:
            # It was taken back before we knew it, and may have been inferred from a total: what it was tells.
            news.append(replace(execution, fill=replace(fill, recovered=True)))
    return news, added


def _listed(
    beliefs: Beliefs, snapshot: AccountSnapshot, added: Mapping[str, Decimal]
) -> tuple[list[OrderFound], list[str], dict[str, None]]:
    """Return the listed orders that are to be told, the legs that the list contradicts, and the ids of all that are listed."""
    told: list[OrderFound] = []
    asks: list[str] = []
    listed: dict[str, None] = {}
    for found in snapshot.orders:
        order_id = order_of(found.wire_id)
        listed[order_id] = None
        machine = beliefs.find(order_id)
        if machine is None:
            if found.broker_order_id not in beliefs.externals:
                told.append(found)
        elif machine.last_record > snapshot.as_of:
            continue
        elif _is_news(found, machine, added.get(order_id, ZERO), lost_answers=beliefs.lost_answers):
            told.append(found)
        elif found.cumulative_quantity < machine.filled_quantity:
            asks.append(
                last_leg(machine)
            )  # the list lags behind, or a fill was taken back: the order itself is asked for
    return told, asks, listed


def _without_replacement(beliefs: Beliefs, snapshot: AccountSnapshot) -> list[OrderMachine]:
    """Return the orders that are listed by the leg that a replacement was to take the place of: of that one there is no trace."""
    listed = {found.wire_id for found in snapshot.orders}
    executed = {execution.wire_id for execution in snapshot.executions}
    return [
        machine
        for machine in beliefs.open
        if machine.next_wire_id
        and machine.wire_id in listed
        and machine.next_wire_id not in listed | executed
        and machine.last_record <= snapshot.as_of
    ]


def _is_news(found: OrderFound, machine: OrderMachine, added: Decimal, *, lost_answers: bool) -> bool:
    """Whether the order does not know what the broker says of it, or waits for an answer that this one stands in for."""
    questions = (machine.new, machine.cancel, machine.replace)
    return (
        not machine.broker_order_id
        or found.wire_id == machine.next_wire_id
        or found.cumulative_quantity > machine.filled_quantity + added
        or machine.is_closed is (found.state is WORKING)
        or IN_DOUBT in questions
        or (lost_answers and any(question is not NO for question in questions))
    )


def _externals(beliefs: Beliefs, snapshot: AccountSnapshot) -> tuple[tuple[ExternalOrder, ...], tuple[str, ...]]:
    """Return the orders that are not ours and are new or changed, and those that are gone."""
    known = beliefs.externals
    foreign = [external_of(found) for found in snapshot.orders if found.broker_order_id in known]
    present = {order.broker_order_id: order for order in (*snapshot.externals, *foreign)}
    seen = tuple(order for key, order in present.items() if known.get(key) != order)
    return seen, tuple(key for key in known if key not in present)


# --- Books -------------------------------------------------------------------------------------------------------------


def differences(books: Account | None, snapshot: AccountSnapshot) -> tuple[Difference, ...]:
    """Return where the books and the broker's account are not the same, cash last; nothing before the first session ever."""
    if books is None:
        return ()
    theirs = {position.symbol: position for position in snapshot.positions}
    found: list[Difference] = []
    for symbol in dict.fromkeys((*books.holdings, *theirs)):
        mine, position = books.holdings.get(symbol, NOTHING_HELD), theirs.get(symbol)
        quantity = ZERO if position is None else position.quantity
        if mine.quantity == quantity:
            continue
        # Of what the broker does not hold it states no price: then it leaves our books at what it cost.
        price = position.average_price if position is not None and quantity else mine.cost / mine.quantity
        found.append(Difference(symbol, mine.quantity, quantity, price))
    if abs(books.cash - snapshot.cash) > CENT:
        found.append(Difference(CASH, books.cash, snapshot.cash))
    return tuple(found)
