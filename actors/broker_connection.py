"""The broker connection: the session with one broker account, and the way of every order to it and back.

The port behind it only translates. READY means reconciled, not connected: the broker's account was read, the orders were
told what happened to them meanwhile, and the books were compared (`machines/reconcile.py`, `machines/session.py`). No new
order is sent before; cancels and questions are, once there is a session. A read that fails proves nothing and is made
again. A report for an order that nobody looks after goes to the desk, which brings the order back first.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from .account_events import (
    SessionConnected,
    SessionDenied,
    SessionRefused,
)
from .account_reader import READ, SECOND_READ_NS, AccountReader
from .actor import Actor, Record, fold, handler
from .events import (
    AccountEvent,
    Booted,
    CashMoved,
    CashSettled,
    DividendAccrued,
    MarginCalled,
    PositionAdjusted,
    SessionClosed,
)
from .machines.session import Phase, Session, SessionChange, backoff_ns
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
    ConnectRefused,
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
from .snapshots import (
    ReadDue,
)

NOT_READY = "the broker's session is not ready"
ONE = Decimal(1)
CONNECT_AGAIN = "connect again"
READY = Phase.READY


EVENT_OF: dict[type[AccountReport], type[AccountEvent]] = {
    CashMovement: CashMoved,
    PositionAdjustment: PositionAdjusted,
    DividendDeclared: DividendAccrued,
    SaleSettled: CashSettled,
    MarginDeficit: MarginCalled,
}
"""The record of each report about the account: its fields are the account, those of the report, and what only we know."""


class BrokerConnection(AccountReader[ConnectionMessage], Actor[ConnectionMessage]):
    """Speaks for one account.

    The account is read every `reconcile_ns`, and an answer of the session must come within `answer_ns`; None is no timer.
    A session for another account than the `expected_account` is refused: nothing is sent until the next boot.
    """

    starts_ready = False
    state: Session

    def __init__(
        self,
        account: str,
        reconcile_ns: int | None = None,
        answer_ns: int | None = None,
        expected_account: str | None = None,
    ) -> None:
        self.state = Session()
        self._account = account
        self._port = "broker/" + account
        self._reconcile_ns = reconcile_ns
        self._answer_ns = answer_ns
        self._expected_account = expected_account

    def view(self) -> Session:
        """Return what is known of the session."""
        return self.state

    def on_start(self) -> None:
        """Go on from where the records say that the session is; only this actor was restarted if they say that it is open."""
        match self.state.phase:
            case Phase.READY:
                self.ctx.ready()
                if self._reconcile_ns is not None or self.state.suspected or self.state.verdicts:
                    self.ctx.set_timer(READ, SECOND_READ_NS, ReadDue())
            case Phase.SYNCING:  # what is on its way still comes; only the timers are gone
                self.ctx.set_timer(READ, max(self._answer_ns or 0, SECOND_READ_NS), ReadDue())
            case Phase.DISCONNECTED if self.state.lost_ns is None:
                self._connect()
            case Phase.DISCONNECTED:
                self._connect_later()

    def on_stop(self) -> None:
        """Close the session; its answer ends the wait."""
        self.ctx.send(self._port, Disconnect())

    # --- Session -------------------------------------------------------------------------------------------------------

    def _connect(self, attempt: int = 1) -> None:
        """Ask for a session, and again when no answer comes in time."""
        self.ctx.send(self._port, Connect())
        if self._answer_ns is not None or attempt > 1:
            wait_ns = max(self._answer_ns or 0, backoff_ns(attempt))
            self.ctx.set_timer(CONNECT_AGAIN, wait_ns, ConnectAgain(attempt + 1))

    def _connect_later(self) -> None:
        """Ask a backoff after the loss: when follows from when that was, whoever was rebuilt."""
        lost_ns, wait_ns = self.state.lost_ns or 0, backoff_ns(self.state.closures)
        waited_ns = (self.ctx.now_ns - lost_ns) % wait_ns
        self.ctx.set_timer(CONNECT_AGAIN, wait_ns - waited_ns, ConnectAgain(self.state.closures + 1))

    @handler
    def connect_again(self, message: ConnectAgain) -> None:
        if self.state.phase is Phase.DISCONNECTED:
            self._connect(message.attempt)

    @handler
    def connected(self, message: Connected) -> None:
        expected, reported = self._expected_account, message.account
        if self.state.is_refused:
            return
        self.ctx.cancel_timer(CONNECT_AGAIN)
        if expected is not None and reported != expected:
            self.ctx.record(SessionRefused(self._account, reported, expected))
            return
        self.ctx.record(SessionConnected(self._account, message.capabilities))
        self._read()

    @handler
    def connect_refused(self, message: ConnectRefused) -> None:
        """Give up until there is a session all the same; one that is open is lost, and asked for again."""
        if self.state.is_open:
            self.disconnected(Disconnected(message.reason))
        elif self.state.phase is Phase.DISCONNECTED:
            self.ctx.cancel_timer(CONNECT_AGAIN)
            self.ctx.record(SessionDenied(self._account, message.reason))

    @handler
    def disconnected(self, message: Disconnected) -> None:
        """Take note that the session is gone; whether we asked for that or not, `stopped` counts only if we did."""
        self.ctx.record(SessionClosed(self._account, message.reason))
        self.ctx.cancel_timer(READ)
        if self.state.phase is Phase.DISCONNECTED:
            self._connect_later()
        self.ctx.stopped()

    # --- To the broker -------------------------------------------------------------------------------------------------

    @handler
    def place(self, message: PlaceOrder) -> None:
        approved = message.approved
        if self.state.phase is READY:
            self.ctx.send(
                self._port, NewOrder(message.wire_id, approved.order, approved.not_after_ns, approved.trading_epoch)
            )
        else:
            self.report(NotSent(message.wire_id, CommandKind.NEW, self.state.refusal or NOT_READY))

    @handler
    def cancel(self, message: CancelLeg) -> None:
        if self.state.is_open:
            self.ctx.send(self._port, CancelRequest(message.wire_id))
        else:
            self.report(NotSent(message.wire_id, CommandKind.CANCEL, self.state.refusal or NOT_READY))

    @handler
    def replace(self, message: ReplaceLeg) -> None:
        approved = message.approved
        if self.state.phase is READY:
            command = ReplaceRequest(
                message.wire_id,
                message.new_wire_id,
                Terms.of(approved.order),
                approved.not_after_ns,
                approved.trading_epoch,
            )
            self.ctx.send(self._port, command)
        else:
            self.report(NotSent(message.new_wire_id, CommandKind.REPLACE, self.state.refusal or NOT_READY))

    @handler
    def query(self, message: QueryLeg) -> None:
        if self.state.is_open:
            self.ctx.send(self._port, StatusRequest(message.wire_id, message.asked_ns))

    # --- From the broker -----------------------------------------------------------------------------------------------

    @handler
    def report(self, message: BrokerReport) -> None:
        ctx = self.ctx
        order_id = message.wire_id.rpartition(".")[0]  # `order_of`, a call less for each report
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
        event = EVENT_OF[type(report)](self._account, **msgspec.structs.asdict(report))
        if isinstance(event, PositionAdjusted) and event.cause is AdjustmentCause.SPLIT:
            event = msgspec.structs.replace(event, ratio=self._ratio(event.symbol, event.quantity))
        self.ctx.record(event)

    def _ratio(self, symbol: str, quantity: Decimal) -> Decimal:
        """Return how many shares a split made of one, by what we hold: a broker states the change only."""
        held: Decimal = self.ctx.view("positions").quantity(self._account, symbol)
        return (held + quantity) / held if held and held + quantity else ONE

    # --- Fold ----------------------------------------------------------------------------------------------------------

    @fold
    def _booted(self, event: Booted, record: Record) -> None:
        self.state.booted()

    @fold
    def _changed(self, event: SessionChange, record: Record) -> None:
        if event.account == self._account:
            self.state.apply(event, record)
