"""The broker connection: the session with one broker account, and the way of every order to it and back.

The port behind it only translates. READY means that the broker has stated its account, not merely that a socket is
open; nothing is sent before. A report for an order that nobody looks after goes to the desk, which brings the order
back first.
"""

from __future__ import annotations

import msgspec

from .actor import Actor, Record, fold, handler
from .events import SessionClosed, SessionOpened
from .messages import BrokerReport, CancelLeg, ConnectionMessage, LateReport, PlaceOrder, QueryLeg, ReplaceLeg
from .ports import (
    CancelRequest,
    CommandKind,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    NewOrder,
    NotSent,
    ReplaceRequest,
    StatusRequest,
)

NOT_READY = "the broker's session is not ready"


class ConnectionState(msgspec.Struct):
    """Whether the session is ready."""

    ready: bool = False


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
        else:
            self.ctx.send(self._port, Connect())

    def on_stop(self) -> None:
        """Close the session; its answer ends the wait."""
        self.ctx.send(self._port, Disconnect())

    # --- Session -------------------------------------------------------------------------------------------------------

    @handler
    def connected(self, message: Connected) -> None:
        self.ctx.record(SessionOpened(message.account, message.cash, message.positions, message.capabilities))
        self.ctx.ready()

    @handler
    def disconnected(self, message: Disconnected) -> None:
        self.ctx.record(SessionClosed(self._account, message.reason))
        self.ctx.stopped()

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
        new, approved = message.approved.order, message.approved
        if self.state.ready:
            command = ReplaceRequest(
                message.wire_id,
                message.new_wire_id,
                new.quantity,
                new.limit_price,
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

    # --- Fold ----------------------------------------------------------------------------------------------------------

    @fold
    def _opened(self, event: SessionOpened, record: Record) -> None:
        self.state.ready = self.state.ready or event.account == self._account

    @fold
    def _closed(self, event: SessionClosed, record: Record) -> None:
        self.state.ready = self.state.ready and event.account != self._account
