"""A made-up run, told to an oracle word by word. Each method does what is legal; a test leaves one thing out or does one too many."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ordersmith.actors.actor import Record
from ordersmith.actors.events import (
    Arrival,
    Booted,
    CancelReason,
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderFilled,
    OrderIntended,
    OrderReplaceRequested,
    OrderSubmitted,
    SessionOpened,
)
from ordersmith.actors.model import ZERO, Fill, Order, OrderState, OrderStatus, Terms, TradingState
from ordersmith.actors.ports import Capabilities, NewOrder, ReplaceRequest
from ordersmith.simulation.oracle.oracle import Oracle
from ordersmith.simulation.oracle.rest import Rest, Truth
from ordersmith.simulation.oracle.watch import OracleLimits

ACCOUNT = "main"
CASH = Decimal(10_000)
SECOND_NS = 1_000_000_000
CAPABILITIES = Capabilities(order_types=(), times_in_force=())
LIMITS = OracleLimits(max_position_quantity=Decimal(100), max_gross_exposure=Decimal(5_000))


def buy(name: str, quantity: int = 10, **terms: Any) -> Order:
    return Order.buy("A", quantity, "10", client_order_id=name, **terms)


def sell(name: str, quantity: int = 10, **terms: Any) -> Order:
    return Order.sell("A", quantity, "10", client_order_id=name, **terms)


class Story:
    """A process that trades symbol A (at 10) in one account. `found` are the invariants that the oracle says were broken."""

    def __init__(self, limits: OracleLimits = LIMITS) -> None:
        self.now_ns = 1_000 * SECOND_NS
        self.oracle = Oracle(ACCOUNT, limits, clock=lambda: self.now_ns)
        self.number = self.boots = self.fills = self.epoch = 0
        self.begin()

    @property
    def found(self) -> list[str]:
        return [violation.invariant for violation in self.oracle.violations]

    # --- The process -----------------------------------------------------------------------------------------------------

    def begin(self, restored_to: int | None = None, *, ready: bool = True) -> None:
        """Boot, and have the session reconciled."""
        self.boots += 1
        self.number = self.number if restored_to is None else restored_to
        self.oracle.booted(self.boots, restored_to)
        self.record(Booted(self.boots, "sim", f"e{self.boots}", "1"))
        self.show(10.0)
        if ready:
            self.oracle.session(True, ACCOUNT)
            self.reconcile()

    def crash(self) -> None:
        self.oracle.crashed("killed")
        self.oracle.session(False)

    def reconcile(self) -> None:
        self.oracle.snapshot_told()
        self.record(SessionOpened(ACCOUNT, CASH, (), CAPABILITIES))

    def show(self, price: float) -> None:
        for _ in range(3):
            self.oracle.priced("A", price, not price > 0)

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND_NS)

    def state(self, *events: Any) -> list[Record]:
        """State records that are not durable yet."""
        records = []
        for event in events:
            self.number += 1
            records.append(Record(self.number, self.now_ns, 0, event))
        self.oracle.stated(records)
        return records

    def record(self, *events: Any) -> None:
        """State records and make them durable."""
        self.oracle.durable(self.state(*events))

    # --- Orders ----------------------------------------------------------------------------------------------------------

    def approve(self, order: Order, *, intended: bool = True) -> None:
        """Write down an order as far as its intent."""
        name = order.client_order_id
        self.record(
            OrderSubmitted(name, order, Arrival(self.now_ns, Decimal(10))),
            OrderApproved(name, ACCOUNT, order.symbol, order.side, order.quantity, Decimal(10)),
        )
        if intended:
            self.record(OrderIntended(name, f"{name}.0", self.now_ns + 10 * SECOND_NS))

    def write(self, order: Order, epoch: int | None = None) -> None:
        """Have the port write an order."""
        epoch = self.epoch if epoch is None else epoch
        self.oracle.written(NewOrder(f"{order.client_order_id}.0", order, self.now_ns + 10 * SECOND_NS, epoch))

    def work(self, order: Order) -> None:
        """Have an order approved, written, and taken by the broker."""
        self.approve(order)
        self.write(order)
        self.oracle.accepted(f"{order.client_order_id}.0", order)
        self.record(OrderAccepted(order.client_order_id, f"{order.client_order_id}.0", "b1"))

    def replace(self, order: Order, quantity: int, leg: int = 1) -> None:
        """Have a replacement approved and written."""
        name, terms = order.client_order_id, Terms(Decimal(quantity), order.limit_price)
        self.record(
            OrderApproved(name, ACCOUNT, order.symbol, order.side, terms.quantity, Decimal(10), True),
            OrderReplaceRequested(name, f"{name}.{leg}", terms),
        )
        wire_id, new_wire_id = f"{name}.{leg - 1}", f"{name}.{leg}"
        self.oracle.written(ReplaceRequest(wire_id, new_wire_id, terms, self.now_ns + 10 * SECOND_NS, self.epoch))

    def execute(self, order: Order, quantity: int, key: str = "", revision: int = 0) -> Fill:
        """Have the broker execute a part of an order."""
        self.fills += 1
        fill = Fill(
            fill_key=key or f"x{self.fills}",
            quantity=Decimal(quantity),
            price=Decimal(10),
            at_ns=self.now_ns,
            revision=revision,
        )
        self.oracle.executed(f"{order.client_order_id}.0", fill)
        return fill

    def book(self, order: Order, fill: Fill, quantity: int | None = None, state: str = "PARTIALLY_FILLED") -> None:
        """Write down a fill that changes the order's total by `quantity`."""
        change = fill.quantity if quantity is None else Decimal(quantity)
        name, terms = order.client_order_id, (order.symbol, order.side)
        self.record(OrderFilled(name, ACCOUNT, "", *terms, fill, change, change * fill.price, ZERO, OrderState(state)))

    def end(self, order: Order, how: str = "cancelled") -> None:
        self.oracle.ended(f"{order.client_order_id}.0", how)

    def over(self, order: Order, reason: CancelReason = CancelReason.REQUESTED) -> None:
        """Write down that an order is over."""
        self.record(OrderCancelled(order.client_order_id, reason))

    def trade(self, order: Order) -> None:
        """Have an order fill at once and for good."""
        self.work(order)
        fill = self.execute(order, int(order.quantity))
        self.end(order, "filled")
        self.book(order, fill, state="FILLED")

    # --- The end ---------------------------------------------------------------------------------------------------------

    def rest(self, **told: Any) -> None:
        """Come to rest; the core and the truth agree unless told otherwise."""
        truth = {"positions": {}, "cash": CASH, "open_orders": (), "filled": {}}
        truth |= {name: told.pop(name) for name in tuple(told) if name in truth}
        core: dict[str, Any] = {
            "statuses": (),
            "positions": truth["positions"],
            "cash": truth["cash"],
            "trading_state": TradingState.ACTIVE,
            "session": "READY",
        }
        core |= {name.removeprefix("our_"): value for name, value in told.items()}
        self.oracle.at_rest(Rest(truth=Truth(**truth), **core))


def status(order: Order, state: str = "FILLED", filled: int = 0, **fields: Any) -> OrderStatus:
    return OrderStatus(
        client_order_id=order.client_order_id,
        order=order,
        state=OrderState(state),
        filled_quantity=Decimal(filled),
        **fields,
    )
