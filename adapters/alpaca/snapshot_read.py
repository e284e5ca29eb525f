"""Reads the whole account, so that its parts fit together: what fills while it is read makes it be read again.

Whatever fails makes the reading a failure. Activities that explain a change of cash or shares are told before the account that they have
changed.
"""

from __future__ import annotations

from typing import NamedTuple

from ...actors.errors import BrokerUnavailable
from ...actors.model import ZERO
from ...actors.ports import AccountReport, BrokerOrderState, BrokerPosition, Executed, OrderFound, Restated
from ...actors.snapshots import AccountSnapshot, ExternalOrder, SyncAccount
from . import activities
from .amounts import lone_type, open_quantity, price_of
from .known_orders import GROUPS, KnownOrders, side_of
from .reads import Reads
from .telling import Teller, restated
from .wire import WireAccount, WireActivity, WireOrder, WirePosition, with_exits

TRIES = 3


class Reading(NamedTuple):
    """What to post, in this order: `reports`, then the `snapshot`. `facts` are settled by it; `notes` are for the log."""

    reports: tuple[AccountReport | Restated, ...]
    snapshot: AccountSnapshot
    facts: tuple[str, ...]
    notes: tuple[str, ...]


class _Parts(NamedTuple):
    account: WireAccount
    positions: list[WirePosition]
    orders: list[WireOrder]
    fills: list[WireActivity]
    others: list[WireActivity]


async def read_account(command: SyncAccount, reads: Reads, teller: Teller, now_ns: int) -> Reading:
    """Read the account as the command asks. Raises BrokerError where any part cannot be read."""
    before = activities.cursor_from(command.executions_after)
    since = before or activities.begin(now_ns)
    parts = await _consistent(reads, since, is_first=before is None)
    held = frozenset(each.symbol for each in parts.positions)
    said = activities.told(parts.others, held)
    news = activities.news(since, parts.fills, parts.others, () if before is None else said.waiting)
    fresh = {row.id for row in news.others}
    told = activities.told([row for row in parts.others if row.id in fresh], held)
    rows = () if before is None else news.fills
    await reads.attribute(row.order_id for row in rows if row.order_id)
    orders, externals, replaced = await _open(parts.orders, reads, teller)
    executions = _executions(rows, teller, now_ns)
    snapshot = AccountSnapshot(
        command.as_of,
        parts.account.cash,
        tuple(_position(each) for each in parts.positions),
        orders,
        executions,
        activities.text_of(news.cursor),
        externals,
        command.asked_ns,
    )
    facts = tuple(each.fill.fill_key for each in executions)
    if before is None:
        return Reading(replaced, snapshot, facts, ())
    return Reading((*told.reports, *replaced), snapshot, facts, told.notes)


async def _consistent(reads: Reads, since: activities.Cursor, *, is_first: bool) -> _Parts:
    """Return the parts of the account, with no fill between them if that can be had.

    The first reading of all says what the account is: what happened before it is never told. So nothing else that
    moves cash may be between its parts, either.
    """
    for _ in range(TRIES):
        fills = await reads.fills(since.fills_after_ns)
        others = await reads.others(since.others_after) if is_first else []
        account = await reads.account()
        positions = await reads.positions()
        orders = await reads.open_orders()
        parts = _Parts(
            account,
            positions,
            orders,
            await reads.fills(since.fills_after_ns),
            await reads.others(since.others_after),
        )
        is_whole = _ids(fills) == _ids(parts.fills) and (not is_first or _ids(others) == _ids(parts.others))
        if is_whole:
            return parts
    if is_first:  # two later ones that agree would show a mistake, but what is adopted now is believed
        raise BrokerUnavailable("the account changed each time while it was read for the first time")
    return parts


def _ids(rows: list[WireActivity]) -> set[str]:
    return {row.id for row in rows}


def _executions(rows: tuple[WireActivity, ...], teller: Teller, now_ns: int) -> tuple[Executed, ...]:
    """Return the executions of our orders, in the broker's order."""
    known = teller.orders.by_id
    told = (teller.row(row, known[row.order_id], now_ns) for row in rows if row.order_id in known)
    return tuple(each for each in told if each is not None)


async def _open(
    listed: list[WireOrder], reads: Reads, teller: Teller
) -> tuple[tuple[OrderFound, ...], tuple[ExternalOrder, ...], tuple[Restated, ...]]:
    """Return the open orders, ours and those of others, and the terms that somebody gave to ours."""
    ours: list[OrderFound] = []
    externals: list[ExternalOrder] = []
    replaced: list[Restated] = []
    orders = [order for above in listed for order in with_exits(above)]
    beneath = {leg.id for above in listed for leg in above.legs or ()}
    await reads.sort_out(orders)
    for order in orders:
        known = await reads.learn(order)
        if known is None:
            externals += _external(order, is_beneath=order.id in beneath)
        elif not KnownOrders.is_over(order):  # an exit that has ended still stands beneath its order
            # A status that nobody knows is no end: it stands in the list of open orders.
            found = known.found(BrokerOrderState.WORKING) if known.state is None else teller.found(known)
            if found is not None:
                ours.append(found)
            replaced += restated(known)
            await reads.meet_exits(known)
    listed_ids = {order.id for order in orders}
    for known in teller.orders.working():
        if known.broker_order_id not in listed_ids and teller.orders.waits_beside(known, listed_ids):
            ours.append(known.found(BrokerOrderState.WORKING))
            replaced += restated(known)
    return tuple(ours), tuple(externals), tuple(replaced)


def _external(order: WireOrder, *, is_beneath: bool) -> list[ExternalOrder]:
    """Return what may fill of an order that is not ours. An exit that is `held` waits for another order, which counts."""
    quantity, waits = open_quantity(order), order.status == "held" and (is_beneath or order.order_class in GROUPS)
    if not quantity or waits or KnownOrders.is_over(order):
        return []
    kind = None if is_beneath else lone_type(order)
    return [ExternalOrder(order.id, order.symbol or "", side_of(order), quantity, price_of(order), kind)]


def _position(position: WirePosition) -> BrokerPosition:
    quantity = -abs(position.qty) if position.side == "short" else position.qty
    return BrokerPosition(position.symbol, quantity, position.avg_entry_price or ZERO)
