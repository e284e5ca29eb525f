"""Every message, in the order of the flow.

Commands are imperative and go one way. Requests carry `reply_to`, which travels with the work until somebody can
answer: no actor keeps it, so no crash can lose it. Events (past tense) are the journal. What a broker says is in
`ports.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from .actor import Record, ReplyTo
from .doubt_events import Alarm
from .doubt_messages import AnswerMissing, RecoverOrder
from .doubt_messages import RecoverOrders as RecoverOrders  # noqa: PLC0414 - named here for whoever imports it
from .doubt_messages import ResolveOrder as ResolveOrder  # noqa: PLC0414 - named here for whoever imports it
from .events import Denial, Escalated, MessagePoisoned, OrderInDoubt, OrderRejected, StrategyFailed
from .model import Order, Purpose, Terms, exact
from .ports import (
    Accepted,
    Cancelled,
    CancelRefused,
    CashMovement,
    Connected,
    ConnectRefused,
    Disconnected,
    DividendDeclared,
    Executed,
    Expired,
    MarginDeficit,
    NotSent,
    OrderAbsent,
    OrderFound,
    OrderReport,
    OutcomeUnknown,
    PositionAdjustment,
    Rejected,
    Replaced,
    ReplaceRefused,
    Restated,
    SaleSettled,
)
from .snapshots import SyncMessage

BrokerAccountReport = CashMovement | PositionAdjustment | DividendDeclared | SaleSettled | MarginDeficit


class Message(msgspec.Struct, frozen=True, gc=False):
    """A command or request inside the process.

    Frozen trees of frozen values: the cycle collector need not look at them.
    """


class Change(msgspec.Struct, frozen=True, gc=False):
    """What somebody wants changed of an order; what is None stays. `trail` is in the unit that the order has."""

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None

    @classmethod
    def given(cls, quantity: Any, limit_price: Any, stop_price: Any, trail: Any) -> Change:
        """Return the change that these numbers make, in any form that `exact` takes. Raises ValueError for what is no number."""
        given = (("quantity", quantity), ("limit_price", limit_price), ("stop_price", stop_price), ("trail", trail))
        return cls(*(None if value is None else exact(value, name) for name, value in given))

    def of(self, order: Order) -> Terms:
        """Return the terms that the order would get."""
        old = Terms.of(order)
        by_percent = old.trail_percent is not None
        return Terms(
            old.quantity if self.quantity is None else self.quantity,
            old.limit_price if self.limit_price is None else self.limit_price,
            old.stop_price if self.stop_price is None else self.stop_price,
            old.trail_amount if self.trail is None or by_percent else self.trail,
            self.trail if self.trail is not None and by_percent else old.trail_percent,
        )


# --- From outside, or from a hosted strategy -------------------------------------------------------------------------


class SubmitOrders(Message, frozen=True):
    """Submit orders, ids already made. Answered by one OrderStatus an order, once it is denied or its intent is durable.

    `fresh` says that we made the ids ourselves just now, so that no earlier order can have them.
    """

    orders: tuple[Order, ...]
    fresh: bool = False
    reply_to: ReplyTo | None = None


class CancelOrders(Message, frozen=True):
    """Cancel orders by id. Answered by one bool an order: True once the cancel is durably taken."""

    client_order_ids: tuple[str, ...]
    reply_to: ReplyTo | None = None


class ReplaceOrder(Message, frozen=True):
    """Change an order. Answered by an OrderStatus."""

    client_order_id: str
    change: Change
    reply_to: ReplyTo | None = None


class GetOrderStatus(Message, frozen=True):
    """Answered by one OrderStatus an id, None for an id that was never submitted."""

    client_order_ids: tuple[str, ...]
    reply_to: ReplyTo


class GetFilledOrders(Message, frozen=True):
    """Answered by the OrderStatus of every order with fills whose last record is above `after`, oldest record first."""

    after: int
    reply_to: ReplyTo


class GetPositions(Message, frozen=True):
    """Answered by a dict of Position by symbol."""

    reply_to: ReplyTo


class GetAccountInfo(Message, frozen=True):
    """Answered by an AccountInfo."""

    reply_to: ReplyTo


class SetTargets(Message, frozen=True):
    """Trade towards target quantities. Answered by the OrderStatus of the orders that could be sent at once."""

    targets: Mapping[str, Decimal]
    close_others: bool = False
    strategy: str = ""
    purpose: Purpose = Purpose.ENTRY
    reply_to: ReplyTo | None = None


class Flatten(Message, frozen=True):
    """Cancel everything that is open, then close every position. Answered like SetTargets."""

    reply_to: ReplyTo | None = None


class HaltTrading(Message, frozen=True):
    """Halt by hand. Answered by the TradingState that holds then."""

    reason: str
    reply_to: ReplyTo | None = None


class ResumeTrading(Message, frozen=True):
    """Resume by hand. Answered by the TradingState that holds then."""

    reason: str
    reply_to: ReplyTo | None = None


class Unknown(Message, frozen=True):
    """The answer to a request whose owner was lost: what became of these orders must be looked up."""

    client_order_ids: tuple[str, ...] = ()


class CommandRefused(Message, frozen=True):
    """The answer to a request that cannot be obeyed as given; raised as OrderCommandError to whoever asked."""

    text: str


# --- Desk to order ---------------------------------------------------------------------------------------------------


class CancelOrder(Message, frozen=True):
    """Cancel this order."""

    reply_to: ReplyTo | None


class ChangeOrder(Message, frozen=True):
    """Replace this order's terms."""

    change: Change
    reply_to: ReplyTo | None


# --- Order to risk gate and back -------------------------------------------------------------------------------------


class CheckOrder(Message, frozen=True):
    """Ask whether an order may be sent."""

    order: Order
    reply_to: ReplyTo | None


class CheckReplace(Message, frozen=True):
    """Ask whether an open order may get these terms."""

    order: Order
    filled_quantity: Decimal
    terms: Terms
    reply_to: ReplyTo | None


class ApprovedOrder(Message, frozen=True):
    """An order that passed the gate; nothing else can be placed. Only `risk_gate.py` makes one.

    It must not be sent after `not_after_ns`, nor under another trading epoch than `trading_epoch`.
    """

    order: Order
    not_after_ns: int
    trading_epoch: int


class OrderPassed(Message, frozen=True):
    """The gate's yes."""

    approved: ApprovedOrder
    reply_to: ReplyTo | None


class OrderRefused(Message, frozen=True):
    """The gate's no."""

    denial: Denial
    reply_to: ReplyTo | None


class ReplacePassed(Message, frozen=True):
    """The gate's yes to a replacement; `approved.order` has the new terms."""

    approved: ApprovedOrder
    reply_to: ReplyTo | None


class ReplaceDenied(Message, frozen=True):
    """The gate's no to a replacement."""

    denial: Denial
    reply_to: ReplyTo | None


# --- Order to broker connection --------------------------------------------------------------------------------------


class PlaceOrder(Message, frozen=True):
    """Send an approved order as the leg `wire_id`."""

    approved: ApprovedOrder
    wire_id: str


class CancelLeg(Message, frozen=True):
    """Cancel a leg at the broker."""

    wire_id: str


class ReplaceLeg(Message, frozen=True):
    """Replace a leg at the broker; `approved.order` has the new terms."""

    approved: ApprovedOrder
    wire_id: str
    new_wire_id: str


class QueryLeg(Message, frozen=True):
    """Ask the broker what became of a leg; `asked_ns` comes back with an `OrderAbsent`."""

    wire_id: str
    asked_ns: int = 0


class ChildClosed(Message, frozen=True):
    """An order with a parent is finished; its parent decides what is next."""

    client_order_id: str
    parent: str
    symbol: str
    reason: str


class Recheck(Message, frozen=True):
    """Something about this order was lost to a crash: find out where it stands."""


class BookActivity(Message, frozen=True):
    """Write down what the broker said about the account, once the reports before it are written down."""

    report: BrokerAccountReport


class LateReport(Message, frozen=True):
    """A report on an order that nobody looks after any more; the desk brings it back first."""

    client_order_id: str
    report: OrderReport


# --- History of closed orders ----------------------------------------------------------------------------------------


class LookUpOrder(Message, frozen=True):
    """Find an order that has left memory; `then` is handled by the desk with what was found."""

    client_order_id: str
    then: Any


class HistoryFound(Message, frozen=True):
    """What the store holds of an order: nothing, or all its records."""

    client_order_id: str
    history: tuple[Record, ...]
    then: Any


class FilledFound(Message, frozen=True):
    """The histories of the orders that `GetFilledOrders` asks for."""

    histories: tuple[tuple[Record, ...], ...]
    reply_to: ReplyTo


# --- Timers ----------------------------------------------------------------------------------------------------------


class LookAgain(Message, frozen=True):
    """The rebalancer may see whether the orders that it waits for are gone."""


class ConnectAgain(Message, frozen=True):
    """The connection may ask for a new session, for the `attempt`-th time."""

    attempt: int = 1


class CooldownOver(Message, frozen=True):
    """The breaker may go one step back towards ACTIVE."""

    epoch: int


# --- Who receives what -----------------------------------------------------------------------------------------------

BrokerReport = (
    Accepted
    | Rejected
    | Executed
    | Cancelled
    | Expired
    | CancelRefused
    | Replaced
    | ReplaceRefused
    | Restated
    | OrderFound
    | OrderAbsent
    | OutcomeUnknown
    | NotSent
)
DeskMessage = (
    SubmitOrders
    | CancelOrders
    | ReplaceOrder
    | GetOrderStatus
    | LateReport
    | HistoryFound
    | MessagePoisoned
    | RecoverOrders
    | ResolveOrder
)
OrderMessage = (
    CancelOrder
    | ChangeOrder
    | OrderPassed
    | OrderRefused
    | ReplacePassed
    | ReplaceDenied
    | Recheck
    | RecoverOrder
    | ResolveOrder
    | AnswerMissing
    | BrokerReport
)
GateMessage = CheckOrder | CheckReplace | GetAccountInfo
BreakerMessage = (
    HaltTrading | ResumeTrading | OrderRejected | OrderInDoubt | Alarm | StrategyFailed | Escalated | CooldownOver
)
ConnectionMessage = (
    PlaceOrder
    | CancelLeg
    | ReplaceLeg
    | QueryLeg
    | Connected
    | Disconnected
    | ConnectRefused
    | ConnectAgain
    | SyncMessage
    | BookActivity
    | BrokerReport
    | BrokerAccountReport
)
JournalMessage = LookUpOrder | GetFilledOrders | HistoryFound | FilledFound
RebalancerMessage = SetTargets | Flatten | ChildClosed | LookAgain
