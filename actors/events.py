"""Every event: the journal's vocabulary, in the order of the flow. All are past tense.

New fields go to the end and have defaults, so that an old journal can be read.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from .account_events import SyncEvent
from .actor import Event
from .actor import OrderEvent as OrderEvent  # noqa: PLC0414 - named here for whoever imports it
from .doubt_events import DoubtEvent, OrderReserved
from .doubt_events import JournalFailed as JournalFailed  # noqa: PLC0414 - named here for whoever imports it
from .model import ZERO, Fill, Order, OrderState, Purpose, Side, Terms, TradingState
from .ports import AdjustmentCause, BrokerPosition, Capabilities, CashKind, CommandKind

# --- Events: orders --------------------------------------------------------------------------------------------------


class Arrival(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The market that an order arrived in, by which its cost is judged. Without quotes `bid` and `ask` are None."""

    at_ns: int
    last: Decimal | None
    bid: Decimal | None = None
    ask: Decimal | None = None


class Denial(msgspec.Struct, frozen=True, array_like=True):
    """Why the gate refused: a stable code, a sentence, and the numbers that it saw."""

    code: str
    text: str
    numbers: dict[str, str]


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
    """The order will be sent as `wire_id`, not after `not_after_ns`. Without an answer after this record it is in doubt."""

    wire_id: str
    not_after_ns: int = 0


class OrderAccepted(OrderEvent, frozen=True):
    """It works at the broker."""

    wire_id: str
    broker_order_id: str


class OrderRejected(OrderEvent, frozen=True):
    """The broker refused it. `concluded`: it did not say so, but what was looked up, or a person, proves that it is not there."""

    code: str
    text: str
    concluded: bool = False


class Cumulative(msgspec.Struct, frozen=True, array_like=True, gc=False):
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
    """An approved replacement will be sent as `wire_id`, not after `not_after_ns`."""

    wire_id: str
    terms: Terms
    not_after_ns: int = 0


class OrderReplaced(OrderEvent, frozen=True):
    """The leg `wire_id` works with these terms. `closes`: so much has filled already."""

    wire_id: str
    broker_order_id: str
    terms: Terms
    closes: bool = False


class OrderReplaceRefused(OrderEvent, frozen=True):
    """The order stays as it was: refused by the gate (`denied`) or by the broker."""

    code: str
    text: str
    denied: bool = False


class OrderInDoubt(OrderEvent, frozen=True):
    """A command about it was, or may have been, written and has no answer. `booted`: because the process ended meanwhile."""

    kind: CommandKind
    reason: str
    booted: bool = False


class OrderRestated(OrderEvent, frozen=True):
    """The broker changed its terms by itself, after a corporate action. `closes`: so much has filled already."""

    terms: Terms
    text: str
    closes: bool = False


# --- Events: account, targets, trading state -------------------------------------------------------------------------


class SessionOpened(Event, frozen=True):
    """The broker's session is ready; the account as it was then.

    Positions not ours before are adopted at their average price.
    """

    account: str
    cash: Decimal
    positions: tuple[BrokerPosition, ...]
    capabilities: Capabilities


class SessionClosed(Event, frozen=True):
    """The broker's session is closed."""

    account: str
    reason: str


class AccountEvent(Event, frozen=True):
    """Something that happened to an account without an order; `activity_id` is the broker's, told once."""

    account: str
    activity_id: str


class CashMoved(AccountEvent, frozen=True):
    """Cash came (positive) or went without a trade; see `ports.CashMovement`."""

    kind: CashKind
    amount: Decimal
    symbol: str = ""
    text: str = ""


class PositionAdjusted(AccountEvent, frozen=True):
    """A position changed without a trade; see `ports.PositionAdjustment`. A split made `ratio` shares of one.

    What is ADOPTED, because the broker holds it and a person said so, or was moved in by a TRANSFER, is taken over at `price`.
    """

    cause: AdjustmentCause
    symbol: str
    quantity: Decimal
    cash: Decimal = ZERO
    new_symbol: str = ""
    text: str = ""
    ratio: Decimal = Decimal(1)
    price: Decimal = ZERO


class DividendAccrued(AccountEvent, frozen=True):
    """A dividend was declared on what the account held: equity has it from the ex-date, cash from the pay date."""

    symbol: str
    amount: Decimal
    text: str = ""


class CashSettled(AccountEvent, frozen=True):
    """What sales brought may be spent from here on."""

    amount: Decimal


class MarginCalled(AccountEvent, frozen=True):
    """The broker says that equity does not cover the positions."""

    equity: Decimal
    required: Decimal
    liquidates: bool
    text: str


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


REACHED = "REACHED"


class TargetDropped(Event, frozen=True):
    """A target is no longer pursued: reached, or its order ended in a way that trying again would not mend.

    Of one that is not reached, `held` is the position that stays, `missing` what would still have to be bought (positive) or
    sold (negative), and `text` what was said to its last order `client_order_id`.
    """

    plan: str
    symbol: str
    reason: str
    held: Decimal | None = None
    missing: Decimal | None = None
    client_order_id: str = ""
    text: str = ""

    @property
    def is_reached(self) -> bool:
        return self.reason == REACHED


class TradingStateChanged(Event, frozen=True):
    """What may be traded from here on; `epoch` counts these records."""

    state: TradingState
    reason: str
    text: str
    epoch: int


# --- Events: supervision ---------------------------------------------------------------------------------------------


class Booted(Event, frozen=True):
    """A live core has begun: no session is open, and every command without an answer is in doubt. `epoch` is part of its ids."""

    boot: int
    instance: str
    epoch: str
    version: str


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


class StrategyFailed(Event, frozen=True):
    """A hosted strategy raised and is not started again; what it has open is looked after, and it gets no new risk."""

    strategy: str
    error: str


class ActorQuarantined(Event, frozen=True):
    """An actor takes no more messages; the exposure of a quarantined order stays counted."""

    actor: str
    error: str


class Escalated(Event, frozen=True):
    """A supervisor gave up on its children and stopped them: trading is halted."""

    supervisor: str
    error: str


class CommandIgnored(Event, frozen=True):
    """A command about the order `about` was refused, and nobody waited for the answer: a hosted strategy's, mostly."""

    about: str
    text: str


class Undelivered(Event, frozen=True):
    """A message that its actor does not take, or that no actor was there for."""

    actor: str
    received: str


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
    | OrderRestated
    | SessionOpened
    | SessionClosed
    | CashMoved
    | PositionAdjusted
    | DividendAccrued
    | CashSettled
    | MarginCalled
    | TargetsSet
    | TargetOrdered
    | TargetDropped
    | TradingStateChanged
    | Booted
    | SyncEvent
    | DoubtEvent
    | ActorRestarted
    | MessagePoisoned
    | StrategyFailed
    | ActorQuarantined
    | Escalated
    | CommandIgnored
    | Undelivered
)

NO_CHANGE = frozenset({OrderApproved, OrderReserved})
"""Records about an order that change nothing of it: they are the gate's."""
