"""The orders that this port has met: which leg of ours an order of Alpaca's is, and what has filled of it and of the legs before.

Alpaca counts each of its orders from zero; we count an order over all its legs. A leg's own fills are known by the cumulative quantity
after them, which the stream and the activities both state: an execution is the interval that ends there, and intervals that overlap
say that one of them is not what it seems.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from decimal import Decimal
from itertools import takewhile
from typing import NamedTuple

import msgspec

from ...actors.model import ZERO, Side, Terms
from ...actors.order_class import ExitRole, exit_wire_id, group_of
from ...actors.ports import BrokerOrderState, OrderFound
from .amounts import lone_type, open_quantity
from .statuses import state_of
from .wire import WireOrder

OURS = re.compile(r"([A-Za-z0-9_:-]{1,40})\.(\d{1,7})")
GROUPS = frozenset({"bracket", "oco", "oto"})
"""The classes of orders that Alpaca works together."""

EXIT_ROLES = {"limit": ExitRole.TAKE_PROFIT, "stop": ExitRole.STOP_LOSS, "stop_limit": ExitRole.STOP_LOSS}
KEPT = 10_000
WORKING = BrokerOrderState.WORKING


NOTHING = WireOrder(id="", status="rejected")
"""In place of a leg that the broker has never had."""


class Leg(NamedTuple):
    """A wire id, taken apart."""

    order_id: str
    number: int

    @property
    def wire_id(self) -> str:
        return f"{self.order_id}.{self.number}"

    def comes_before(self, other: Leg) -> bool:
        """Whether the other is a later leg of the same order."""
        return self.order_id == other.order_id and self.number < other.number


class Exit(NamedTuple):
    """Which leg an exit is, and for how much the order was that it hangs on."""

    leg: Leg
    whole: Decimal | None


class Amount(NamedTuple):
    """A filled quantity, and what it was filled for."""

    quantity: Decimal = ZERO
    notional: Decimal = ZERO


class Execution(msgspec.Struct):
    """What is known of the fill that ends at a cumulative quantity."""

    quantity: Decimal
    price: Decimal
    revision: int = 0
    execution_id: str = ""


class KnownOrder(msgspec.Struct):
    """One of Alpaca's orders, and the leg of ours that it is. `earlier` is what filled before it, None while that is not known.

    `is_exit` says that it hangs on another order of ours, which was for `whole`, and has a client order id that Alpaca made up.
    """

    leg: Leg
    order: WireOrder
    earlier: Amount | None = None
    executions: dict[Decimal, Execution] = msgspec.field(default_factory=dict)
    is_told_ended: bool = False
    is_exit: bool = False
    whole: Decimal | None = None

    @property
    def wire_id(self) -> str:
        return self.leg.wire_id

    @property
    def broker_order_id(self) -> str:
        return self.order.id

    @property
    def state(self) -> BrokerOrderState | None:
        return state_of(self.order)

    @property
    def is_final(self) -> bool:
        return self.state not in (None, WORKING)

    @property
    def own(self) -> Amount:
        """What has filled of this one."""
        filled = self.order.filled
        return Amount(filled, filled * (self.order.filled_avg_price or ZERO))

    @property
    def cumulative(self) -> Decimal:
        """What has filled over all legs."""
        return (self.earlier or Amount()).quantity + self.order.filled

    @property
    def covered(self) -> Decimal:
        """How much of what has filled is known execution by execution."""
        return sum((each.quantity for each in self.executions.values()), ZERO)

    def overlaps(self, cumulative: Decimal, quantity: Decimal) -> bool:
        """Whether an execution cannot be beside those that are known."""
        start = cumulative - quantity
        return start < 0 or any(
            end - known.quantity < cumulative and start < end
            for end, known in self.executions.items()
            if end != cumulative and known.quantity
        )

    def found(self, state: BrokerOrderState) -> OrderFound:
        """Return what the broker knows of it, over all legs."""
        order, earlier = self.order, self.earlier or Amount()
        quantity = earlier.quantity + order.filled
        notional = earlier.notional + self.own.notional
        has_price = not order.filled or order.filled_avg_price is not None
        return OrderFound(
            self.wire_id,
            order.id,
            state,
            quantity,
            notional / quantity if quantity and has_price else None,
            symbol=order.symbol or "",
            side=side_of(order),
            open_quantity=open_quantity(order) if state is WORKING else ZERO,
            limit_price=order.limit_price,
            order_type=lone_type(order) if state is WORKING else None,
        )

    def terms(self) -> Terms:
        """Return the terms that it has now, fills of earlier legs included in the quantity."""
        order, earlier = self.order, self.earlier or Amount()
        return Terms(
            earlier.quantity + (order.qty or ZERO),
            order.limit_price,
            order.stop_price,
            order.trail_price,
            order.trail_percent,
        )


class KnownOrders:
    """By Alpaca's order id, and by wire id the newest of them. The oldest that have ended are forgotten."""

    def __init__(self) -> None:
        self.by_id: dict[str, KnownOrder] = {}
        self.by_wire_id: dict[str, KnownOrder] = {}
        self.foreign: dict[str, None] = {}
        self.by_execution_id: dict[str, tuple[str, Decimal]] = {}
        self.highest: dict[str, int] = {}
        self.never: dict[str, None] = {}
        self.exits: dict[str, Exit] = {}

    def learn(self, order: WireOrder) -> KnownOrder | None:
        """Take in an order as Alpaca states it, and return it, None if it is not ours.

        Statements may be old: what has filled never falls by one, and an end stays. One that replaces an order of ours (a
        person did that, in the dashboard) is the same leg. Where it is the first of its order, nothing filled before. The exits that
        it is stated with are learned with it.
        """
        known = self.by_id.get(order.id)
        if known is None:
            known = self._meet(order)
        elif _is_newer(order, known):
            before, known.order = known.own, order
            self._pass_on(known, before)
        if known is not None:
            for row in order.legs or ():
                self._learn_exit(known, row)
        return known

    def _meet(self, order: WireOrder) -> KnownOrder | None:
        replaced, its_exit = self.replaced_by(order), self.exits.get(order.id)
        leg = replaced.leg if replaced is not None else its_exit.leg if its_exit else leg_of(order.client_order_id)
        if leg is None:
            self._foreign(order.id)
            return None
        known = KnownOrder(leg, order)
        if replaced is not None:
            known.is_exit, known.whole = replaced.is_exit, replaced.whole
        elif its_exit is not None:
            known.is_exit, known.whole = True, its_exit.whole
        if replaced is not None:
            known.earlier = _after(replaced)
        elif leg.number == 0 and (its_exit is not None or not order.replaces):
            known.earlier = Amount()
        self._add(known)
        return known

    def replaced_by(self, order: WireOrder) -> KnownOrder | None:
        """Return the order of ours whose place this one took, as the same leg: one that was replaced stays of its kind.

        A stop loss that is touched takes the take profit's place at Alpaca, which is then `replaced`: they are two legs to us.
        """
        replaced = self.by_id.get(order.replaces or "")
        return replaced if replaced is not None and exit_role(order) is exit_role(replaced.order) else None

    def waits_beside(self, known: KnownOrder, listed: Container[str]) -> bool:
        """Whether it is an exit that Alpaca holds beside one of the orders listed; such a one may be on no list itself."""
        if self.by_wire_id.get(known.wire_id) is not known:
            return False  # somebody replaced it
        named = group_of(known.wire_id) if known.is_exit and known.order.status == "held" else None
        if named is None:
            return False
        names = (named[0], *(exit_wire_id(named[0], role) for role in ExitRole))
        beside = [self.by_wire_id[name] for name in names if name != known.wire_id and name in self.by_wire_id]
        return any(each.broker_order_id in listed for each in beside)

    def lacks_exits(self, entry: KnownOrder) -> bool:
        """Whether an order has exits that were not met yet."""
        names = [exit_wire_id(entry.wire_id, role) for role in ExitRole]
        return entry.order.order_class in GROUPS and not entry.is_exit and not any(map(self.knows_exit, names))

    def _learn_exit(self, entry: KnownOrder, row: WireOrder) -> None:
        """Learn an exit under the name that follows from its entry's. One that replaced another is learned after that one."""
        role = exit_role(row)
        if role is None:
            return
        self.is_exit(row.id, entry, role)
        if row.id in self.by_id or not row.replaces or row.replaces in self.by_id:
            self.learn(row)  # any other is learned after the ones that it replaced

    def is_exit(self, broker_order_id: str, entry: KnownOrder, role: ExitRole) -> None:
        """Take note that an order of Alpaca's is an exit of one of ours."""
        leg = leg_of(exit_wire_id(entry.wire_id, role))
        if leg is not None:
            self.foreign.pop(broker_order_id, None)
            self.exits[broker_order_id] = Exit(leg, entry.order.qty)
            if len(self.exits) > KEPT:
                del self.exits[next(iter(self.exits))]

    def knows_exit(self, wire_id: str) -> bool:
        """Whether an exit of this name was found, which is then to be asked for by Alpaca's id."""
        known = self.by_wire_id.get(wire_id)
        return known is not None and known.is_exit

    def knows_other(self, names: Sequence[str]) -> str:
        """Return the first of a new order's names, its own and its exits', that is another order's, "" if none is.

        Alpaca would take both: there an exit has another client order id. To us the two would be one.
        """
        own, *exits = names
        taken = (name for name in exits if name in self.by_wire_id and not self.by_wire_id[name].is_exit)
        return (
            own if self.knows_exit(own) else next((name for name in taken if self.by_wire_id[name].broker_order_id), "")
        )

    def is_lessened(self, order: WireOrder) -> bool:
        """Whether an exit is now for less than it was: what the exit beside it has filled is taken from it, and never given back."""
        known = self.by_id.get(order.id)
        if known is None or not known.is_exit or known.is_final or order.qty is None:
            return False
        return known.order.qty is None or order.qty < known.order.qty

    def revised(self, order: WireOrder) -> None:
        """Take in an order of which less has filled than before: a fill was taken back."""
        known = self.by_id.get(order.id)
        if known is not None:
            before, known.order = known.own, order
            self._pass_on(known, before)

    def _pass_on(self, known: KnownOrder, before: Amount) -> None:
        """Let the orders after this one count what has filled of it since they were met: an end may be followed by a late fill."""
        own = known.own
        last = self.by_wire_id.get(known.wire_id)
        if own == before or not (self.is_superseded(known.leg) or last is not known):
            return
        after = list(takewhile(lambda each: each is not known, self._orders_of(last)))
        after += [each for each in self.by_id.values() if known.leg.comes_before(each.leg)]
        for each in after:
            if each.earlier is not None:
                each.earlier = Amount(
                    each.earlier.quantity + own.quantity - before.quantity,
                    each.earlier.notional + own.notional - before.notional,
                )

    def complete(self, known: KnownOrder) -> tuple[str, ...]:
        """Find what has filled of earlier legs; return the client order ids of those that must be looked up for it."""
        if known.earlier is not None:
            return ()
        if known.order.replaces:
            replaced = self.by_id.get(known.order.replaces)
            known.earlier = None if replaced is None else _after(replaced)
            return ()
        legs = [Leg(known.leg.order_id, number).wire_id for number in range(known.leg.number)]
        missing = tuple(
            wire_id
            for wire_id in legs
            if (leg := self.by_wire_id.get(wire_id)) is None or not leg.is_final or leg.order.replaced_by
        )
        if not missing:
            whole = [each.own for wire_id in legs for each in self._orders_of(self.by_wire_id[wire_id])]
            known.earlier = Amount(sum((each[0] for each in whole), ZERO), sum((each[1] for each in whole), ZERO))
        return missing

    def _orders_of(self, last: KnownOrder | None) -> Iterator[KnownOrder]:
        """Return Alpaca's orders that one leg was: the last, and before it those that somebody replaced."""
        while last is not None:
            yield last
            last = self.by_id.get(last.order.replaces or "")

    def asked(self, wire_id: str) -> None:
        """Take note that a leg may exist: it was sent, or the core asks for it."""
        leg = leg_of(wire_id)
        if leg is not None:
            self.highest[leg.order_id] = max(self.highest.get(leg.order_id, 0), leg.number)
            if len(self.highest) > KEPT:
                del self.highest[next(iter(self.highest))]

    def never_was(self, wire_id: str) -> None:
        """Take note that a leg was not sent, or that it is proved that the broker has never had it."""
        leg = leg_of(wire_id)
        if leg is not None and self.highest.get(leg.order_id) == leg.number:
            self.highest[leg.order_id] = leg.number - 1
        self.was_never_there(wire_id)

    def was_never_there(self, wire_id: str) -> None:
        """Take note that the broker does not know a leg before one that it knows: nothing of it has filled."""
        leg = leg_of(wire_id)
        if leg is None or wire_id in self.by_wire_id:
            return
        self.by_wire_id[wire_id] = KnownOrder(leg, NOTHING, Amount(), is_told_ended=True)
        self.never[wire_id] = None
        if len(self.never) > KEPT:
            oldest = next(iter(self.never))
            del self.never[oldest]
            if oldest in self.by_wire_id and not self.by_wire_id[oldest].broker_order_id:
                del self.by_wire_id[oldest]

    def is_superseded(self, leg: Leg) -> bool:
        """Whether a later leg of the order may exist, so that the end of this one is not the order's."""
        return self.highest.get(leg.order_id, 0) > leg.number

    @staticmethod
    def is_over(order: WireOrder) -> bool:
        """Whether an order has ended."""
        return state_of(order) not in (None, WORKING)

    def working(self) -> list[KnownOrder]:
        """Return the orders that are open, as far as is known."""
        return [known for known in self.by_id.values() if not known.is_told_ended]

    def _foreign(self, broker_order_id: str) -> None:
        self.foreign[broker_order_id] = None
        if len(self.foreign) > KEPT:
            del self.foreign[next(iter(self.foreign))]

    def _add(self, known: KnownOrder) -> None:
        self.by_id[known.broker_order_id] = known
        self.by_wire_id[known.wire_id] = known
        self.asked(known.wire_id)
        if len(self.by_id) > KEPT:
            oldest = next((each for each in self.by_id.values() if each.is_told_ended), None)
            if oldest is not None:
                del self.by_id[oldest.broker_order_id]
                if self.by_wire_id.get(oldest.wire_id) is oldest:
                    del self.by_wire_id[oldest.wire_id]
                for execution in oldest.executions.values():
                    self.by_execution_id.pop(execution.execution_id, None)


def leg_of(client_order_id: str | None) -> Leg | None:
    """Return the leg that a client order id of our form names, None for any other."""
    found = OURS.fullmatch(client_order_id or "")
    return None if found is None else Leg(found[1], int(found[2]))


def exit_role(row: WireOrder) -> ExitRole | None:
    """Return which exit an order beneath another one is: a limit order takes the profit, a stop order stops the loss."""
    return EXIT_ROLES.get(row.type or row.order_type or "")


def side_of(order: WireOrder) -> Side:
    """Return the side. Alpaca also says `sell_short`."""
    return Side.BUY if order.side == "buy" else Side.SELL


def _after(replaced: KnownOrder) -> Amount | None:
    if replaced.earlier is None:
        return None
    own = replaced.own
    return Amount(replaced.earlier.quantity + own.quantity, replaced.earlier.notional + own.notional)


def _is_newer(order: WireOrder, known: KnownOrder) -> bool:
    if order.filled != known.order.filled:
        return order.filled > known.order.filled
    return not known.is_final or state_of(order) not in (None, WORKING)
