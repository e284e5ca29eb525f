"""The broker connection: the session with one broker account, and the way of every order to it and back.

The port behind it only translates. READY means that the broker has stated its account, not merely that a socket is
open; nothing is sent before. A session that is lost is asked for again, and then every open order is asked about: what
happened meanwhile was told to nobody. A report for an order that nobody looks after goes to the desk, which brings the order
back first.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from .actor import Actor, Record, fold, handler
from .events import (
    AccountEvent,
    CashMoved,
    CashSettled,
    DividendAccrued,
    MarginCalled,
    PositionAdjusted,
    SessionClosed,
    SessionOpened,
)
from .machines.order import OrderMachine
from .messages import (
    BookActivity,
    BrokerAccountReport,
    BrokerReport,
    CancelLeg,
    ConnectAgain,
    ConnectionMessage,
    LateReport,
    PlaceOrder,
    QueryLeg,
    ReplaceLeg,
)
from .model import Terms
from .ports import (
    AccountReport,
    AdjustmentCause,
    CancelRequest,
    CashMovement,
    CommandKind,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    DividendDeclared,
    MarginDeficit,
    NewOrder,
    NotSent,
    PositionAdjustment,
    ReplaceRequest,
    SaleSettled,
    StatusRequest,
)

NOT_READY = "the broker's session is not ready"
ONE = Decimal(1)
CONNECT_AGAIN = "connect again"
CONNECT_AGAIN_NS = 1_000_000_000
ACTIVITIES_KEPT = 10_000


EVENT_OF: dict[type[AccountReport], type[AccountEvent]] = {
    CashMovement: CashMoved,
    PositionAdjustment: PositionAdjusted,
    DividendDeclared: DividendAccrued,
    SaleSettled: CashSettled,
    MarginDeficit: MarginCalled,
}
"""The record of each report about the account: its fields are the account and then the report's."""


class ConnectionState(msgspec.Struct):
    """Whether the session is ready, when it was lost, and the last of what was told of the account, by the broker's ids."""

    ready: bool = False
    lost_ns: int | None = None
    activities: dict[str, None] = msgspec.field(default_factory=dict)


class BrokerConnection(Actor[ConnectionMessage]):
    """Speaks for one account."""

    starts_ready = False
    state: ConnectionState

    def __init__(self, account: str) -> None:
        self.state = ConnectionState()
        self._account = account
        self._port = "broker/" + account

    def on_start(self) -> None:
        """Open the session, unless the records say that it is open: then only this actor was restarted."""
        if self.state.ready:
            self.ctx.ready()
        elif self.state.lost_ns is None:
            self.ctx.send(self._port, Connect())
        else:
            self._connect_later()

    def on_stop(self) -> None:
        """Close the session; its answer ends the wait."""
        self.ctx.send(self._port, Disconnect())

    # --- Session -------------------------------------------------------------------------------------------------------

    @handler
    def connected(self, message: Connected) -> None:
        was_lost = self.state.lost_ns is not None
        self.ctx.record(SessionOpened(message.account, message.cash, message.positions, message.capabilities))
        self.ctx.ready()
        if was_lost:
            self.ctx.cancel_timer(CONNECT_AGAIN)
            self._ask_about_open_orders()

    @handler
    def disconnected(self, message: Disconnected) -> None:
        """Take note that the session is gone; whether we asked for that or not, `stopped` counts only if we did."""
        self.ctx.record(SessionClosed(self._account, message.reason))
        self._connect_later()
        self.ctx.stopped()

    @handler
    def connect_again(self, message: ConnectAgain) -> None:
        if not self.state.ready:
            self.ctx.send(self._port, Connect())
            self._connect_later()

    def _connect_later(self) -> None:
        """Ask every CONNECT_AGAIN_NS after the loss: the times follow from when that was, whoever was rebuilt."""
        lost_ns = self.state.lost_ns
        assert lost_ns is not None
        waited = (self.ctx.now_ns - lost_ns) % CONNECT_AGAIN_NS
        self.ctx.set_timer(CONNECT_AGAIN, CONNECT_AGAIN_NS - waited, ConnectAgain())

    def _ask_about_open_orders(self) -> None:
        """Ask about the last leg of each order that may be at the broker."""
        for order_id, held in self.ctx.view("risk_gate").exposure.open.items():
            machine: OrderMachine | None = self.ctx.view("order/" + order_id)
            if held.account == self._account and machine is not None and machine.wire_id:
                self.ctx.send(self._port, StatusRequest(machine.next_wire_id or machine.wire_id))

    # --- To the broker -------------------------------------------------------------------------------------------------

    @handler
    def place(self, message: PlaceOrder) -> None:
        approved = message.approved
        if self.state.ready:
            command = NewOrder(message.wire_id, approved.order, approved.not_after_ns, approved.trading_epoch)
            self.ctx.send(self._port, command)
        else:
            self.report(NotSent(message.wire_id, CommandKind.NEW, NOT_READY))

    @handler
    def cancel(self, message: CancelLeg) -> None:
        if self.state.ready:
            self.ctx.send(self._port, CancelRequest(message.wire_id))
        else:
            self.report(NotSent(message.wire_id, CommandKind.CANCEL, NOT_READY))

    @handler
    def replace(self, message: ReplaceLeg) -> None:
        approved = message.approved
        if self.state.ready:
            command = ReplaceRequest(
                message.wire_id,
                message.new_wire_id,
                Terms.of(approved.order),
                approved.not_after_ns,
                approved.trading_epoch,
            )
            self.ctx.send(self._port, command)
        else:
            self.report(NotSent(message.new_wire_id, CommandKind.REPLACE, NOT_READY))

    @handler
    def query(self, message: QueryLeg) -> None:
        if self.state.ready:
            self.ctx.send(self._port, StatusRequest(message.wire_id))

    # --- From the broker -----------------------------------------------------------------------------------------------

    @handler
    def report(self, message: BrokerReport) -> None:
        ctx = self.ctx
        order_id = message.wire_id.rpartition(".")[0]
        order = ctx.find("order/" + order_id)
        if order is not None:
            ctx.tell(order, message)
        else:
            ctx.tell(ctx.refer("desk"), LateReport(order_id, message))

    @handler
    def activity(self, message: BrokerAccountReport) -> None:
        """Book it after what was reported before it, which takes a turn of its order."""
        self.ctx.tell(self.ctx.refer("connection/" + self._account), BookActivity(message))

    @handler
    def book(self, message: BookActivity) -> None:
        report = message.report
        if report.activity_id in self.state.activities:
            return  # a stream and a query may both bring it
        event = EVENT_OF[type(report)](self._account, *msgspec.structs.astuple(report))
        if isinstance(event, PositionAdjusted) and event.cause is AdjustmentCause.SPLIT:
            event = msgspec.structs.replace(event, ratio=self._ratio(event.symbol, event.quantity))
        self.ctx.record(event)

    def _ratio(self, symbol: str, quantity: Decimal) -> Decimal:
        """Return how many shares a split made of one, by what we hold: a broker states the change only."""
        held: Decimal = self.ctx.view("positions").quantity(self._account, symbol)
        return (held + quantity) / held if held and held + quantity else ONE

    # --- Fold ----------------------------------------------------------------------------------------------------------

    @fold
    def _opened(self, event: SessionOpened, record: Record) -> None:
        if event.account == self._account:
            self.state.ready, self.state.lost_ns = True, None

    @fold
    def _closed(self, event: SessionClosed, record: Record) -> None:
        if event.account == self._account:
            self.state.ready, self.state.lost_ns = False, record.at_ns

    @fold
    def _told(
        self,
        event: CashMoved | PositionAdjusted | DividendAccrued | CashSettled | MarginCalled,
        record: Record,
    ) -> None:
        if event.account == self._account:
            activities = self.state.activities
            activities[event.activity_id] = None
            if len(activities) > ACTIVITIES_KEPT:
                del activities[next(iter(activities))]
