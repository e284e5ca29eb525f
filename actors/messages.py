"""Every message, in the order of the flow.

Commands are imperative and go one way. Requests carry `reply_to`, which travels with the work until somebody can answer: no actor keeps
it, so no crash can lose it. Events (past tense) are the journal. What a broker says is in `ports.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from .actor import Event, Record, ReplyTo
from .model import Fill, Order, OrderState, Purpose, Side, TradingState
from .ports import (
    Accepted,
    BrokerPosition,
    Cancelled,
    CancelRefused,
    Capabilities,
    CommandKind,
    Connected,
    Disconnected,
    Executed,
    Expired,
    NotSent,
    OrderAbsent,
    OrderFound,
    OrderReport,
    OutcomeUnknown,
    Rejected,
    Replaced,
    ReplaceRefused,
)


class Message(msgspec.Struct, frozen=True):
    """A command or request inside the process."""


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
    """Change an order; what is None stays. `quantity` is the new total, fills included. Answered by an OrderStatus."""

    client_order_id: str
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
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


class BeginOrder(Message, frozen=True):
    """Start the order that was just submitted."""

    reply_to: ReplyTo | None


class CancelOrder(Message, frozen=True):
    """Cancel this order."""

    reply_to: ReplyTo | None


class ChangeOrder(Message, frozen=True):
    """Replace this order's terms."""

    quantity: Decimal | None
    limit_price: Decimal | None
    reply_to: ReplyTo | None


# --- Order to risk gate and back -------------------------------------------------------------------------------------


class CheckOrder(Message, frozen=True):
    """May this order be sent?"""

    order: Order
    reply_to: ReplyTo | None


class CheckReplace(Message, frozen=True):
    """May this open order get these terms?"""

    order: Order
    filled_quantity: Decimal
    quantity: Decimal
    limit_price: Decimal | None
    reply_to: ReplyTo | None


class ApprovedOrder(Message, frozen=True):
    """An order that passed the gate; nothing else can be placed. Only `risk_gate.py` makes one.

    It must not be sent after `not_after_ns`, nor under another trading epoch than `trading_epoch`.
    """

    order: Order
    not_after_ns: int
    trading_epoch: int


class Denial(msgspec.Struct, frozen=True, array_like=True):
    """Why the gate refused: a stable code, a sentence, and the numbers that it saw."""

    code: str
    text: str
    numbers: dict[str, str]


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
    """Ask the broker what became of a leg."""

    wire_id: str


class ChildClosed(Message, frozen=True):
    """An order with a parent is finished; its parent decides what is next."""

    client_order_id: str
    parent: str
    symbol: str
    reason: str


class Recheck(Message, frozen=True):
    """Something about this order was lost to a crash: find out where it stands."""


class LateReport(Message, frozen=True):
    """A report on an order that nobody looks after any more; the desk brings it back first."""

    client_order_id: str
    report: OrderReport


# --- History of closed orders ----------------------------------------------------------------------------------------


class LookUpOrder(Message, frozen=True):
    """Find an order that has left memory; `then` is handled by the desk with what was found."""

    client_order_id: str
    then: Message


class HistoryFound(Message, frozen=True):
    """What the store holds of an order: nothing, or all its records."""

    client_order_id: str
    history: tuple[Record, ...]
    then: Message


class FilledFound(Message, frozen=True):
    """The histories of the orders that `GetFilledOrders` asks for."""

    histories: tuple[tuple[Record, ...], ...]
    reply_to: ReplyTo


# --- Events: orders --------------------------------------------------------------------------------------------------


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """The market that an order arrived in, by which its cost is judged. Without quotes `bid` and `ask` are None."""

    at_ns: int
    last: Decimal | None
    bid: Decimal | None = None
    ask: Decimal | None = None


class OrderEvent(Event, frozen=True):
    """Something that happened to an order."""

    client_order_id: str


class OrderSubmitted(OrderEvent, frozen=True):
    """The desk took the order; it exists from here on."""

    order: Order
    arrival: Arrival


class OrderApproved(OrderEvent, frozen=True):
    """The gate reserved exposure for `quantity` (a replacement's new total) at `price`."""

    account: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    replaces: bool = False
    intent: str = ""


class OrderDenied(OrderEvent, frozen=True):
    """We refused the order; it never left."""

    denial: Denial


class OrderIntended(OrderEvent, frozen=True):
    """The order will be sent as `wire_id`. Without an answer after this record it is in doubt."""

    wire_id: str


class OrderAccepted(OrderEvent, frozen=True):
    """It works at the broker."""

    wire_id: str
    broker_order_id: str


class OrderRejected(OrderEvent, frozen=True):
    """The broker refused it."""

    code: str
    text: str


class Cumulative(msgspec.Struct, frozen=True, array_like=True):
    """What the broker states of all fills of an order together; None is what it does not say."""

    quantity: Decimal
    notional: Decimal | None = None
    commission: Decimal | None = None


class OrderFilled(OrderEvent, frozen=True):
    """A fill, with what it changes in the order's totals: a late, corrected or inferred fill may change them by less, or downwards.

    `state` is the public state after it.
    """

    account: str
    strategy: str
    symbol: str
    side: Side
    fill: Fill
    quantity: Decimal
    notional: Decimal
    commission: Decimal
    state: OrderState
    cumulative: Cumulative | None = None


class CancelReason(StrEnum):
    """Why an order ended before it was filled."""

    REQUESTED = "REQUESTED"
    BROKER = "BROKER"
    EXPIRED = "EXPIRED"
    NOT_SENT = "NOT_SENT"


class OrderCancelRequested(OrderEvent, frozen=True):
    """Somebody asked to cancel it; durable before the broker hears of it."""


class OrderCancelled(OrderEvent, frozen=True):
    """Nothing more will fill, as far as the broker has proved."""

    reason: CancelReason
    text: str = ""


class OrderCancelRefused(OrderEvent, frozen=True):
    """The broker would not cancel it."""

    code: str
    text: str


class OrderReplaceRequested(OrderEvent, frozen=True):
    """An approved replacement will be sent as `wire_id`."""

    wire_id: str
    quantity: Decimal
    limit_price: Decimal | None


class OrderReplaced(OrderEvent, frozen=True):
    """The leg `wire_id` works with these terms."""

    wire_id: str
    broker_order_id: str
    quantity: Decimal
    limit_price: Decimal | None


class OrderReplaceRefused(OrderEvent, frozen=True):
    """The order stays as it was: refused by the gate (`denied`) or by the broker."""

    code: str
    text: str
    denied: bool = False


class OrderInDoubt(OrderEvent, frozen=True):
    """A command about it was, or may have been, written and has no answer."""

    kind: CommandKind
    reason: str


# --- Events: account, targets, trading state -------------------------------------------------------------------------


class SessionOpened(Event, frozen=True):
    """The broker's session is ready; the account as it was then. Positions not ours before are adopted at their average price."""

    account: str
    cash: Decimal
    positions: tuple[BrokerPosition, ...]
    capabilities: Capabilities


class SessionClosed(Event, frozen=True):
    """The broker's session is closed."""

    account: str
    reason: str


class TargetsSet(Event, frozen=True):
    """Somebody wants these quantities; plan `plan` replaces what earlier plans wanted of the same symbols."""

    plan: str
    targets: dict[str, Decimal]
    purpose: Purpose
    strategy: str
    cancel_first: bool = False


class TargetOrdered(Event, frozen=True):
    """An order for a signed quantity of a target is on its way to the desk."""

    plan: str
    symbol: str
    client_order_id: str
    quantity: Decimal


class TargetDropped(Event, frozen=True):
    """A target is no longer pursued: reached, or its order ended in a way that trying again would not mend."""

    plan: str
    symbol: str
    reason: str


class TradingStateChanged(Event, frozen=True):
    """What may be traded from here on; `epoch` counts these records."""

    state: TradingState
    reason: str
    text: str
    epoch: int


# --- Events: supervision ---------------------------------------------------------------------------------------------


class ActorRestarted(Event, frozen=True):
    """An actor crashed and was rebuilt from the records. `received` is the message type that it was handling."""

    actor: str
    incarnation: int
    received: str
    error: str


class MessagePoisoned(Event, frozen=True):
    """A message crashed its actor twice and was dropped; `client_order_id` is the order it was about, if any."""

    actor: str
    received: str
    error: str
    client_order_id: str = ""


class ActorQuarantined(Event, frozen=True):
    """An actor takes no more messages; the exposure of a quarantined order stays counted."""

    actor: str
    error: str


class Escalated(Event, frozen=True):
    """A supervisor gave up on its children and stopped them: trading is halted."""

    supervisor: str
    error: str


class Undelivered(Event, frozen=True):
    """A message that its actor does not take, or that no actor was there for."""

    actor: str
    received: str


# --- Timers ----------------------------------------------------------------------------------------------------------


class LookAgain(Message, frozen=True):
    """The rebalancer may see whether the orders that it waits for are gone."""


class CooldownOver(Message, frozen=True):
    """The breaker may go one step back towards ACTIVE."""

    epoch: int


DeskMessage = SubmitOrders | CancelOrders | ReplaceOrder | GetOrderStatus | LateReport | HistoryFound | MessagePoisoned
OrderMessage = (
    BeginOrder
    | CancelOrder
    | ChangeOrder
    | OrderPassed
    | OrderRefused
    | ReplacePassed
    | ReplaceDenied
    | Recheck
    | Accepted
    | Rejected
    | Executed
    | Cancelled
    | Expired
    | CancelRefused
    | Replaced
    | ReplaceRefused
    | OrderFound
    | OrderAbsent
    | OutcomeUnknown
    | NotSent
)
GateMessage = CheckOrder | CheckReplace | GetAccountInfo
BreakerMessage = HaltTrading | ResumeTrading | OrderRejected | Escalated | CooldownOver
BrokerReport = (
    Accepted | Rejected | Executed | Cancelled | Expired | CancelRefused | Replaced | ReplaceRefused | OrderFound | OrderAbsent | OutcomeUnknown | NotSent
)
ConnectionMessage = (
    PlaceOrder
    | CancelLeg
    | ReplaceLeg
    | QueryLeg
    | Connected
    | Disconnected
    | Accepted
    | Rejected
    | Executed
    | Cancelled
    | Expired
    | CancelRefused
    | Replaced
    | ReplaceRefused
    | OrderFound
    | OrderAbsent
    | OutcomeUnknown
    | NotSent
)
JournalMessage = LookUpOrder | GetFilledOrders | HistoryFound | FilledFound
RebalancerMessage = SetTargets | Flatten | ChildClosed | LookAgain
AnyEvent = (
    OrderSubmitted
    | OrderApproved
    | OrderDenied
    | OrderIntended
    | OrderAccepted
    | OrderRejected
    | OrderFilled
    | OrderCancelRequested
    | OrderCancelled
    | OrderCancelRefused
    | OrderReplaceRequested
    | OrderReplaced
    | OrderReplaceRefused
    | OrderInDoubt
    | SessionOpened
    | SessionClosed
    | TargetsSet
    | TargetOrdered
    | TargetDropped
    | TradingStateChanged
    | ActorRestarted
    | MessagePoisoned
    | ActorQuarantined
    | Escalated
    | Undelivered
)
