"""A broker's account and our beliefs about it, order by order: what a read shows, and what applying its repairs makes of us."""

from __future__ import annotations

from decimal import Decimal

from ordersmith.actors.actor import Event, Record
from ordersmith.actors.events import (
    Arrival,
    CancelReason,
    Cumulative,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderSubmitted,
    SessionOpened,
)
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.machines.position import Ledger
from ordersmith.actors.machines.reconcile import Beliefs, Repairs, order_of
from ordersmith.actors.model import ZERO, Fill, Order, Side
from ordersmith.actors.ports import BrokerOrderState, BrokerPosition, Executed, OrderFound
from ordersmith.actors.snapshots import AccountSnapshot, ExternalOrder
from ordersmith.adapters.simulated.terms import CAPABILITIES

CASH = Decimal(10_000)
BUY = Side.BUY
STATE_OF_EVENT = {BrokerOrderState.CANCELLED: CancelReason.BROKER, BrokerOrderState.EXPIRED: CancelReason.EXPIRED}


class BrokersOrder:
    """One order as the broker has it: its executions and its state."""

    def __init__(self, order: Order, state: BrokerOrderState, executions: tuple[Fill, ...]) -> None:
        self.order = order
        self.state = state
        self.executions = executions
        self.wire_id = order.client_order_id + ".0"

    @property
    def filled(self) -> Decimal:
        return sum((fill.quantity for fill in self.executions), ZERO)

    @property
    def notional(self) -> Decimal:
        return sum((fill.quantity * fill.price for fill in self.executions), ZERO)

    @property
    def commission(self) -> Decimal:
        return sum((fill.commission for fill in self.executions), ZERO)

    def found(self) -> OrderFound:
        average = self.notional / self.filled if self.filled else None
        return OrderFound(self.wire_id, "b-" + self.wire_id, self.state, self.filled, average, self.commission)

    def executed(self) -> list[Executed]:
        """Return every execution with the cumulative quantity after it."""
        told, so_far = [], ZERO
        for fill in self.executions:
            so_far += fill.quantity
            told.append(Executed(self.wire_id, fill, so_far))
        return told


class BrokersAccount:
    """The truth. `tells_executions` is what a broker without a list of executions does not."""

    def __init__(self, orders: list[BrokersOrder], *, tells_executions: bool = True) -> None:
        self.orders = {order.order.client_order_id: order for order in orders}
        self.tells_executions = tells_executions
        self.externals: tuple[ExternalOrder, ...] = ()
        self.unknown_cash = ZERO

    def snapshot(self, as_of: int) -> AccountSnapshot:
        cash, held = CASH + self.unknown_cash, {}
        for each in self.orders.values():
            sign = 1 if each.order.side is BUY else -1
            cash -= sign * each.notional + each.commission
            held[each.order.symbol] = held.get(each.order.symbol, ZERO) + sign * each.filled
        positions = tuple(BrokerPosition(symbol, quantity, Decimal(9)) for symbol, quantity in held.items() if quantity)
        listed = tuple(each.found() for each in self.orders.values() if each.state is BrokerOrderState.WORKING)
        executions = (
            [told for each in self.orders.values() for told in each.executed()] if self.tells_executions else []
        )
        return AccountSnapshot(as_of, cash, positions, listed, tuple(executions), "c", self.externals)


class Believer:
    """Our side: machines and a ledger, fed with records as the actors feed theirs."""

    def __init__(self) -> None:
        self.number = 0
        self.machines: dict[str, OrderMachine] = {}
        self.ledger = Ledger()
        self.ledger.open(SessionOpened("main", CASH, (), CAPABILITIES))
        self.externals: dict[str, ExternalOrder] = {}
        self.looked_at: list[str] = []

    def _record(self, event: Event) -> Record:
        self.number += 1
        return Record(self.number, self.number, 0, event)

    def submit(self, order: Order) -> None:
        order_id = order.client_order_id
        submitted = OrderSubmitted(order_id, order, Arrival(1, Decimal(9)))
        self.machines[order_id] = OrderMachine.begin(self._record(submitted))
        self.learn(OrderIntended(order_id, order_id + ".0"))

    def learn(self, event: Event) -> None:
        """Record a fact about an order."""
        self.machines[event.client_order_id].apply(self._record(event))  # type: ignore[attr-defined]
        if isinstance(event, OrderFilled):
            self.ledger.fill(event)

    def accept(self, order_id: str) -> None:
        self.learn(OrderAccepted(order_id, order_id + ".0", f"b-{order_id}.0"))

    def execute(self, told: Executed) -> None:
        event = self.machines[order_of(told.wire_id)].book_execution(told.fill, told.cumulative_quantity)
        if event is not None:
            self.learn(event)

    def find(self, found: OrderFound) -> None:
        """Do what an order does when it was found, in the fewest words."""
        order_id = order_of(found.wire_id)
        machine = self.machines[order_id]
        if not machine.broker_order_id:
            self.accept(order_id)
        if found.cumulative_quantity:
            price = found.average_price
            notional = None if price is None else price * found.cumulative_quantity
            event = machine.book(None, Cumulative(found.cumulative_quantity, notional, found.commission))
            if event is not None:
                self.learn(event)
        if machine.is_closed:
            return
        if found.state in STATE_OF_EVENT:
            self.learn(OrderCancelled(order_id, STATE_OF_EVENT[found.state]))
        elif found.state is BrokerOrderState.REJECTED:
            self.learn(OrderRejected(order_id, "REJECTED", ""))

    def beliefs(self, *, lost_answers: bool = True) -> Beliefs:
        def find(order_id: str) -> OrderMachine | None:
            self.looked_at.append(order_id)
            return self.machines.get(order_id)

        still_open = tuple(machine for machine in self.machines.values() if not machine.is_closed)
        return Beliefs(still_open, find, self.ledger.accounts["main"], self.externals, lost_answers)

    def repair(self, repairs: Repairs, broker: BrokersAccount) -> None:
        """Apply what was found out, and what the broker answers to what is asked."""
        for report in repairs.reports:
            if isinstance(report, Executed):
                self.execute(report)
            else:
                self.find(report)
        for wire_id in repairs.asks:
            self.find(broker.orders[order_of(wire_id)].found())
        for order in repairs.seen:
            self.externals[order.broker_order_id] = order
        for broker_order_id in repairs.gone:
            del self.externals[broker_order_id]
