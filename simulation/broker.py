"""The truth of one broker account: its orders, executions, holdings and cash. It knows nothing of how it is told.

What happens by itself is told to `tell`, if anybody listens; a command returns its answer. Cash is exactly what was there,
less what every fill cost, plus what came without one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from decimal import ROUND_FLOOR, Decimal
from random import Random

from ..actors.model import ZERO, Fill, Order, OrderType, Side, Terms
from ..actors.ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    Executed,
    Expired,
    OrderFound,
    Rejected,
    Replaced,
    ReplaceRefused,
    Report,
)
from ..actors.snapshots import ExternalOrder
from .broker_books import BrokerBooks
from .broker_orders import IOC, BrokerOrder, Refusal, external_of
from .faults import Fault, FaultPlan
from .oracle.rest import OpenOrder, Truth
from .oracle.watch import Watch
from .schedule import SECOND_NS, Schedule

CANCELLED, DONE, EXPIRED, REJECTED = (
    BrokerOrderState.CANCELLED,
    BrokerOrderState.DONE,
    BrokerOrderState.EXPIRED,
    BrokerOrderState.REJECTED,
)
HOW = {CANCELLED: "cancelled", DONE: "filled", EXPIRED: "expired", REJECTED: "rejected"}
REJECTIONS = (
    ("MARGIN", "not enough buying power"),
    ("SHORT", "no shares to borrow"),
    ("HALTED", "trading in this symbol is halted"),
    ("PRICE", "the price is too far from the market"),
)
COMMISSION, PER_SHARE = Decimal("0.05"), Decimal("0.002")
SLICE_NS = (5_000_000, 3 * SECOND_NS)
"""How long the rest of an order that meets the market waits: at least, at most."""

OLDEST_READ_NS = 10 * SECOND_NS
"""How far back orders can be read as they were."""

OVERFILLING = 0.2
"""How many of the replacements that race with a fill do not take it off."""


def _nobody(report: Report) -> None:
    """Take a report when no session is open."""


def _no_one(order: BrokerOrder, execution: Executed) -> None:
    """Take an execution when nobody revises any."""


class Broker:
    """One account. `price` moves the market, and only then resting orders fill; all else happens at the schedule's time."""

    def __init__(
        self,
        schedule: Schedule,
        random: Random,
        plan: FaultPlan,
        watch: Watch,
        account: str,
        cash: Decimal,
        symbols: Mapping[str, Decimal],
    ) -> None:
        self.account = account
        self.schedule, self.random, self.plan, self.watch = schedule, random, plan, watch
        self.books = BrokerBooks(cash)
        self.prices: dict[str, Decimal] = dict(symbols)
        self.orders: dict[str, BrokerOrder] = {}
        self.tell: Callable[[Report], None] = _nobody
        self.events = 0
        self.executed: Callable[[BrokerOrder, Executed], None] = _no_one
        self._by_leg: dict[str, BrokerOrder] = {}
        self._resting: dict[str, dict[int, BrokerOrder]] = {symbol: {} for symbol in symbols}
        self._ended: deque[tuple[int, BrokerOrder]] = deque()
        self._sequence = self._executions = 0
        # What differs from broker to broker: whether its stream repeats what its answers say, and whether it remembers refusals.
        self._streams_answers = random.random() < 0.5
        self._remembers_refused = random.random() < 0.5

    # --- What can be seen ------------------------------------------------------------------------------------------------

    @property
    def positions(self) -> dict[str, Decimal]:
        """Signed holdings by symbol; a symbol once held stays, at 0."""
        return self.books.positions

    @property
    def cash(self) -> Decimal:
        return self.books.cash

    def find(self, wire_id: str) -> BrokerOrder | None:
        """Return the order that has this leg, or this id without a leg."""
        return self._by_leg.get(wire_id) or self.orders.get(wire_id)

    def open_orders(self) -> list[BrokerOrder]:
        """Return what works, a human's orders included, in order of arrival."""
        return sorted((order for orders in self._resting.values() for order in orders.values()), key=_place)

    def truth(self) -> Truth:
        """Return how everything stands, exactly."""
        return Truth(
            positions={symbol: quantity for symbol, quantity in self.positions.items() if quantity},
            cash=self.cash,
            open_orders=tuple(
                OpenOrder(
                    wire_id=order.wire_id,
                    broker_order_id=order.broker_order_id,
                    symbol=order.symbol,
                    side=order.terms.side,
                    open_quantity=order.left,
                )
                for order in self.open_orders()
            ),
            filled={name: order.filled for name, order in self.orders.items() if not order.is_human},
        )

    def seen_at(self, wire_id: str, at_ns: int) -> OrderFound | None:
        """Return what a look-up at an instant found under this id; an order is told by its last leg."""
        order = self.find(wire_id)
        found = None if order is None else order.seen_at(at_ns)
        if order is None or found is None or (order.state is REJECTED and not self._remembers_refused):
            return None
        is_known = wire_id == order.client_id or order.wire_ids.index(wire_id) <= order.wire_ids.index(found.wire_id)
        return found if is_known else None

    def lists_at(self, at_ns: int) -> tuple[tuple[OrderFound, ...], tuple[ExternalOrder, ...]]:
        """Return the orders that were open at an instant, ours and a human's."""
        ended = [order for ended_ns, order in self._ended if ended_ns > at_ns]
        orders = sorted([*ended, *self.open_orders()], key=_place) if ended else self.open_orders()
        seen = [found for order in orders if (found := order.seen_at(at_ns)) is not None]
        working = [found for found in seen if found.state is BrokerOrderState.WORKING]
        ours = tuple(found for found in working if found.wire_id)
        return ours, tuple(external_of(found) for found in working if not found.wire_id)

    # --- Commands --------------------------------------------------------------------------------------------------------

    def place(self, wire_id: str, terms: Order) -> Accepted | Rejected:
        """Take an order."""
        client_id = wire_id.rpartition(".")[0] or wire_id
        self.events += 1
        if client_id in self.orders:
            return Rejected(wire_id, "DUPLICATE_ORDER_ID", f"wire_id: the order {client_id} was sent before")
        order = BrokerOrder(wire_id, client_id, terms, self._next())
        self.orders[client_id] = self._by_leg[wire_id] = order
        code_text = self._refusal(terms)
        if code_text is not None:
            order.state = REJECTED
            order.keep(self.schedule.now_ns)
            self.watch.ended(wire_id, "rejected")
            return Rejected(wire_id, *code_text)
        order.keep(self.schedule.now_ns)
        self._resting[order.symbol][order.sequence] = order
        self.watch.accepted(wire_id, terms)
        accepted = Accepted(wire_id, order.broker_order_id)
        if self._streams_answers:
            self.tell(accepted)
        self._meet(order)
        return accepted

    def _refusal(self, terms: Order) -> tuple[str, str] | None:
        if terms.symbol not in self.prices:
            return "UNKNOWN_SYMBOL", f"symbol: {terms.symbol} is not traded here"
        if terms.quantity <= 0:
            return "BAD_QUANTITY", f"quantity: {terms.quantity} is not above 0"
        return self.random.choice(REJECTIONS) if self.plan.hits(Fault.REJECTED) else None

    def cancel(self, wire_id: str) -> CancelRefused | None:
        """Cancel what is left of a leg's order; None is taken, and told when it is done."""
        self.events += 1
        order = self._working(wire_id)
        if isinstance(order, Refusal):
            return CancelRefused(wire_id, *order)
        if self.plan.hits(Fault.CANCEL_RACE):
            return self._race_cancel(order, wire_id)
        self.end(order, CANCELLED)
        return None

    def _race_cancel(self, order: BrokerOrder, wire_id: str) -> CancelRefused | None:
        """Have a fill come just before the cancel, just after it, or the cancel take its time."""
        way = self.random.randrange(3)
        if way == 0:
            self._slip_in(order)
            if not order.is_open:
                return CancelRefused(wire_id, "TOO_LATE", f"wire_id: {wire_id} has filled")
            self.end(order, CANCELLED)
        elif way == 1:
            self.end(order, CANCELLED)
            self._later(0.05, 20, lambda: self._fill_late(order))
        else:
            self._later(0.5, 8, lambda: self.end(order, CANCELLED))
        return None

    def replace(
        self, wire_id: str, new_wire_id: str, terms: Terms, answer: Callable[[Replaced | ReplaceRefused], None]
    ) -> None:
        """Have another leg go on in place of this one; `answer` is called when that is done or refused."""
        self.events += 1
        order = self._working(wire_id)
        if isinstance(order, Refusal):
            answer(self._not_replaced(new_wire_id, *order))
        elif order.is_changing or new_wire_id in self._by_leg:
            answer(self._not_replaced(new_wire_id, "PENDING", f"wire_id: {wire_id} is being replaced, or was before"))
        elif self.plan.hits(Fault.REPLACE_RACE):
            known = order.filled
            takes_off = self.random.random() >= OVERFILLING
            order.is_changing = True
            self._later(0.01, 1, lambda: self._slip_in(order))
            self._later(
                1, 3, lambda: answer(self._replaced(order, new_wire_id, terms, order.filled if takes_off else known))
            )
        else:
            answer(self._replaced(order, new_wire_id, terms, order.filled))

    def _replaced(self, order: BrokerOrder, wire_id: str, terms: Terms, filled: Decimal) -> Replaced | ReplaceRefused:
        order.is_changing = False
        if not order.is_open:
            return self._not_replaced(wire_id, "TOO_LATE", f"the order is {order.state}, with {order.filled} filled")
        if terms.quantity <= filled:
            return self._not_replaced(wire_id, "TOO_LATE", f"quantity: {filled} are filled, not less than that total")
        self.watch.ended(order.wire_id, "replaced")
        order.next_leg(wire_id, f"b{self._next()}", terms, terms.quantity - filled)
        self._by_leg[wire_id] = order
        order.keep(self.schedule.now_ns)
        self.events += 1
        self.watch.accepted(wire_id, order.terms)
        replaced = Replaced(wire_id, order.broker_order_id, terms)
        if self._streams_answers:
            self.tell(replaced)
        self._meet(order)
        return replaced

    def _not_replaced(self, wire_id: str, code: str, text: str) -> ReplaceRefused:
        self.watch.ended(wire_id, "rejected")
        return ReplaceRefused(wire_id, code, text)

    def _working(self, wire_id: str) -> BrokerOrder | Refusal:
        """Return the order whose working leg this is, or why there is none."""
        order = self._by_leg.get(wire_id)
        if order is None:
            return Refusal("UNKNOWN_ORDER", f"wire_id: no order {wire_id} is known")
        if order.wire_id != wire_id:
            return Refusal("TOO_LATE", f"wire_id: {wire_id} was replaced, its last leg is {order.wire_id}")
        if order.is_open:
            return order
        return Refusal("TOO_LATE", f"wire_id: {wire_id} is {order.state}, with {order.filled} filled")

    # --- The market ------------------------------------------------------------------------------------------------------

    def price(self, symbol: str, price: Decimal) -> None:
        """The market is at `price` now; whatever rests there trades."""
        self.prices[symbol] = price
        resting = self._resting[symbol]
        if resting:
            for order in list(resting.values()):
                if order.accepts(price):
                    self._trade(order, price)

    def _meet(self, order: BrokerOrder) -> None:
        """Have a new leg meet the market; what is left of an IOC order is cancelled."""
        price = self.prices[order.symbol]
        if order.is_open and order.accepts(price):
            self._trade(order, price)
        if order.is_open and order.terms.time_in_force is IOC:
            self.end(order, CANCELLED, "the rest of an IOC order")

    def _trade(self, order: BrokerOrder, price: Decimal) -> None:
        """Fill an order that the market meets, or a part of it and the rest a little later."""
        quantity = order.left
        if quantity > 1 and self.plan.hits(Fault.PARTIAL_FILL):
            quantity = self._part(quantity)
            self.schedule.after(self.random.randrange(*SLICE_NS), lambda: self._trade_on(order))
        self.fill(order, quantity, price)

    def _trade_on(self, order: BrokerOrder) -> None:
        if order.is_open and order.accepts(self.prices[order.symbol]):
            self._trade(order, self.prices[order.symbol])

    def _part(self, quantity: Decimal) -> Decimal:
        share = Decimal(self.random.randrange(20, 81)) / 100
        return max((quantity * share).to_integral_value(ROUND_FLOOR), Decimal(1))

    def _slip_in(self, order: BrokerOrder) -> None:
        """Have an order fill, or a part of it, although the market has not come to it."""
        price = order.price_at(self.prices[order.symbol])
        if order.is_open and price is not None:
            part = order.left > 1 and self.random.random() < 0.6
            self.fill(order, self._part(order.left) if part else order.left, price)

    def _fill_late(self, order: BrokerOrder) -> None:
        """Have the exchange report a fill of an order that the broker has said to be cancelled."""
        price = order.price_at(self.prices[order.symbol])
        if order.state is CANCELLED and order.lost and price is not None:
            self.fill(order, self._part(order.lost), price)

    def fill(self, order: BrokerOrder, quantity: Decimal, price: Decimal) -> None:
        """Execute a part of an order."""
        self._executions += 1
        self.events += 1
        now_ns = self.schedule.now_ns
        commission = COMMISSION + PER_SHARE * quantity
        key = f"{self.account}-{self._executions}"
        fill = Fill(fill_key=key, quantity=quantity, price=price, at_ns=now_ns, commission=commission)
        order.filled += quantity
        order.notional += quantity * price
        order.commission += commission
        self.change_books(order, quantity, quantity * price, commission, price)
        if order.is_open:
            order.left -= quantity
        else:
            order.lost -= quantity
        execution = self.say_executed(order, order.wire_id, fill)
        if order.is_open and order.left <= 0:
            self.end(order, DONE if order.filled >= order.terms.quantity else CANCELLED)
        else:
            order.keep(now_ns)
        self.executed(order, execution)

    def change_books(
        self, order: BrokerOrder, quantity: Decimal, notional: Decimal, commission: Decimal, price: Decimal
    ) -> None:
        """Book what an execution, or what changed of one, means for the account."""
        signed, paid = (quantity, notional) if order.is_buy else (-quantity, -notional)
        self.books.move(self.schedule.now_ns, order.symbol, signed, -paid - commission, price)
        if order.is_human:
            self.watch.manual(order.symbol, signed, price)

    def say_executed(self, order: BrokerOrder, wire_id: str, fill: Fill) -> Executed:
        """Write down an execution of an order and tell it; those of a human are no business of ours."""
        execution = Executed(wire_id, fill, order.filled)
        self.watch.executed(wire_id, fill)
        if wire_id:
            self.books.executions.append((self.schedule.now_ns, execution))
            self.tell(execution)
        return execution

    # --- Ends --------------------------------------------------------------------------------------------------------------

    def end(self, order: BrokerOrder, state: BrokerOrderState, text: str = "") -> None:
        """End an order that works; nothing happens to one that has ended."""
        if not order.is_open:
            return
        now_ns = self.schedule.now_ns
        self.events += 1
        order.state, order.lost, order.left = state, order.left, ZERO
        order.keep(now_ns)
        del self._resting[order.symbol][order.sequence]
        self._ended.append((now_ns, order))
        while self._ended[0][0] < now_ns - OLDEST_READ_NS:
            self._ended.popleft()
        if not order.is_human:
            self.watch.ended(order.wire_id, HOW[state])
            if state is CANCELLED:
                self.tell(Cancelled(order.wire_id, text))
            elif state is EXPIRED:
                self.tell(Expired(order.wire_id))

    def place_by_hand(self, symbol: str, side: Side, quantity: Decimal, limit: Decimal | None) -> BrokerOrder:
        """Have a human place an order in the account."""
        kind = OrderType.MARKET if limit is None else OrderType.LIMIT
        terms = Order(symbol=symbol, side=side, quantity=quantity, order_type=kind, limit_price=limit)
        number = self._next()
        order = BrokerOrder("", f"human {number}", terms, number)
        self.events += 1
        order.keep(self.schedule.now_ns)
        self._resting[symbol][number] = order
        self._meet(order)
        return order

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _later(self, least_s: float, most_s: float, act: Callable[[], None]) -> None:
        self.schedule.after(int(self.random.uniform(least_s, most_s) * SECOND_NS), act)


def _place(order: BrokerOrder) -> int:
    return order.sequence
