"""Finds which orders are exits of ours. Alpaca gives an exit a client order id of its own making, and does not say what it hangs on.

Only the order above says it, in its `legs`, when it is asked for `nested`, and the list of open orders does not: there an exit stands
by itself once its entry has filled, one that is held may not stand at all, and with `nested` none of them does
(alpacahq/alpaca-trade-api-js#87, alpacahq/alpaca-trade-api-python#322). So from above an exit is found by that order's client id,
which follows from the exit's name; and from below, of an exit that comes by the stream, by an execution or by itself on a list, the
orders that were placed when it was are read. Nothing of it has to be remembered: another process finds the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...actors.errors import BrokerProtocolError
from ...actors.order_class import ExitRole, group_of
from .budget import Priority
from .codec import instant_ns
from .known_orders import GROUPS, KnownOrders, exit_role, leg_of
from .polling import SECOND_NS
from .wire import WireOrder

if TYPE_CHECKING:
    from .reads import Reads

ORDERS_PAGE = 500
SPAN_NS = 60 * SECOND_NS
"""An exit arrives with the order that it hangs on: that one stands on the list of what came since so long before it."""

PAGES = 4
REPLACEMENTS = 50
EXITS_OF = {"bracket": 2, "oto": 1, "oco": 1}


def may_be_exit(order: WireOrder, known: KnownOrders) -> bool:
    """Whether an order could be an exit of one of ours, as far as it can be told by itself.

    One that replaced another is known by that one, which is learned first.
    """
    return (
        order.order_class in GROUPS
        and exit_role(order) is not None
        and leg_of(order.client_order_id) is None
        and not order.legs
        and order.id not in known.by_id
        and order.id not in known.exits
        and order.id not in known.foreign
        and (not order.replaces or order.replaces in known.foreign)
    )


async def find_entries(reads: Reads, orders: Iterable[WireOrder], known: KnownOrders) -> None:
    """Learn the orders of ours that these hang on, and which of these hang on none of ours. Raises BrokerError."""
    chains = [await _successors(reads, order) for order in orders if may_be_exit(order, known)]
    if not chains:
        return
    sought = {row.id: chain for chain in chains for row in chain}
    symbols = ",".join(sorted({chain[0].symbol or "" for chain in chains}))
    after_ns = min(instant_ns(chain[0].created_at or chain[0].submitted_at) for chain in chains) - SPAN_NS
    for _ in range(PAGES):
        page = await reads.placed_after(after_ns, symbols)
        for row in page:
            await _claim(reads, row, sought, known)
        if not sought or len(page) < ORDERS_PAGE:
            return
        after_ns = instant_ns(page[-1].submitted_at or page[-1].created_at) - 1_000


async def _claim(reads: Reads, row: WireOrder, sought: dict[str, list[WireOrder]], known: KnownOrders) -> None:
    """Learn an order with those of its exits that are sought, and what became of these."""
    sought.pop(row.id, None)  # it hangs on nothing
    ids = [order_id for leg in row.legs or () for order_id in (leg.id, leg.replaces or "") if order_id in sought]
    entry = await reads.learn(row) if ids else None
    for order_id in ids:
        for each in sought.get(order_id, ()):
            role = exit_role(each)
            sought.pop(each.id, None)
            if entry is None or role is None:
                known.foreign[each.id] = None
            else:
                known.is_exit(each.id, entry, role)
                known.learn(each)
    for leg in (row.legs or ()) if entry is not None else ():
        await reads.learn(leg)  # one that stands beside those that were sought may have replaced another


async def _successors(reads: Reads, order: WireOrder) -> list[WireOrder]:
    """Return an order with those that it became when somebody replaced it: the last of them is what the list shows."""
    chain = [order]
    while chain[-1].replaced_by and len(chain) < REPLACEMENTS:
        after = await reads.order(chain[-1].replaced_by, Priority.READ)
        if after is None:
            break
        chain.append(after)
    return chain


async def find_exit(reads: Reads, wire_id: str, priority: Priority, known: KnownOrders) -> WireOrder | None:
    """Return the exit of this name, by way of the order that it hangs on; None if there is none. Raises BrokerError."""
    if known.knows_exit(wire_id):
        return await reads.order(known.by_wire_id[wire_id].broker_order_id, priority)
    named = group_of(wire_id)
    if named is None:
        return None
    above = await reads.by_client_id(named[0], priority)
    entry = None if above is None else await reads.follow(above)
    if above is None or entry is None or entry.order.order_class not in GROUPS:
        return None
    either = dict.fromkeys(
        (entry.broker_order_id, above.id)
    )  # where somebody replaced it they may hang on any of the two
    for order_id in either:
        row = await reads.order(order_id, priority, nested=True)
        legs = [] if row is None else row.legs or []
        found = [leg for leg in legs if exit_role(leg) is named[1]] or await _displaced(reads, legs, named[1])
        if row is not None and (found or len(legs) >= EXITS_OF[entry.order.order_class or ""]):
            await reads.learn(row)
            for each in found:
                known.is_exit(each.id, entry, named[1])
            return _last(found)
    if entry.is_final and not entry.order.filled:
        return None  # what it has never opened nothing closes
    raise BrokerProtocolError(f"order {named[0]}: Alpaca does not state its exits; {wire_id} may be there or not")


async def _displaced(reads: Reads, legs: list[WireOrder], role: ExitRole) -> list[WireOrder]:
    """Return the exit in whose place the one beside it works: a stop that is touched may stand for both."""
    befores = [await reads.order(leg.replaces) for leg in legs if leg.replaces]
    return [each for each in befores if each is not None and exit_role(each) is role]


def _last(rows: list[WireOrder]) -> WireOrder | None:
    """Return the one that none of the others has replaced."""
    return next((row for row in reversed(rows) if row.replaced_by not in {each.id for each in rows}), None)
