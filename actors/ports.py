"""What the domain needs from outside: a broker, a journal store, market data, and the words spoken with them.

To the dispatcher a port is an endpoint: it takes released commands and posts reports as inputs. A broker port only
translates and does I/O. What it cannot know it must not say: no answer is `OutcomeUnknown`, never a rejection.

`wire_id` names one incarnation (leg) of an order at the broker, `<client_order_id>.<n>`; replacing an order makes the
next leg.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from itertools import product
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from .broker_rule import BrokerRule as BrokerRule  # noqa: PLC0414 - named here for whoever imports it
from .broker_rule import RuleKind as RuleKind  # noqa: PLC0414 - named here for whoever imports it
from .errors import JournalError
from .model import ZERO, Fill, Instrument, Order, OrderType, Side, Terms, TimeInForce
from .order_class import Exits as Exits  # noqa: PLC0414 - named here for whoever imports it
from .order_class import OrderClass as OrderClass  # noqa: PLC0414 - named here for whoever imports it
from .quotes import Quote


class Command(msgspec.Struct, frozen=True, gc=False):
    """Something the broker is to do, answered by reports."""


class Connect(Command, frozen=True):
    """Open the session; answered by `Connected`, `Disconnected` or `ConnectRefused`."""


class Disconnect(Command, frozen=True):
    """Close the session; answered by `Disconnected`."""


class NewOrder(Command, frozen=True, omit_defaults=True):
    """Send an order. It must not be written to the wire after `not_after_ns`; too late is `NotSent`.

    `exits` are placed with it, by a broker that takes their class; what is answered is answered for each of them, too.
    """

    wire_id: str
    order: Order
    not_after_ns: int
    trading_epoch: int
    exits: Exits | None = None


class CancelRequest(Command, frozen=True):
    """Cancel what is left of an order; answered by `Cancelled` or `CancelRefused`, or overtaken by a fill."""

    wire_id: str


class ReplaceRequest(Command, frozen=True):
    """Replace an order's terms. Their quantity is the new total, fills of earlier legs included."""

    wire_id: str
    new_wire_id: str
    terms: Terms
    not_after_ns: int
    trading_epoch: int


class StatusRequest(Command, frozen=True):
    """Ask for one order by our id; answered by `OrderFound`, or by `OrderAbsent` with the same `asked_ns`."""

    wire_id: str
    asked_ns: int = 0


class Report(msgspec.Struct, frozen=True, gc=False):
    """Something the broker (or its port) says."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What a broker can do, checked before anything is sent, in every mode.

    `excluded` are the pairs that it does not take although it takes each of the two. `extended_hours` says that limit
    orders may trade outside of the session's regular hours. `rules` are what it refuses besides, and `order_classes` those
    that it works by itself; a broker without any has them UNSET, of which a record holds nothing: so old traces stay what
    they were.
    """

    order_types: tuple[OrderType, ...]
    times_in_force: tuple[TimeInForce, ...]
    native_replace: bool = True
    excluded: tuple[tuple[OrderType, TimeInForce], ...] = ()
    extended_hours: bool = False
    rules: tuple[BrokerRule, ...] | UnsetType = UNSET
    order_classes: tuple[OrderClass, ...] | UnsetType = UNSET

    @cached_property
    def taken(self) -> frozenset[tuple[OrderType, TimeInForce]]:
        """All pairs that it takes, found once: every order is looked up here."""
        return frozenset(product(self.order_types, self.times_in_force)).difference(self.excluded)


class BrokerPosition(msgspec.Struct, frozen=True):
    """A holding as the broker states it."""

    symbol: str
    quantity: Decimal
    average_price: Decimal


class Connected(Report, frozen=True):
    """The session is open, for the account that the broker calls so. What it holds is asked for with `SyncAccount`."""

    account: str
    capabilities: Capabilities


class Disconnected(Report, frozen=True):
    """The session is closed or lost."""

    reason: str


class ConnectRefused(Report, frozen=True):
    """The broker does not let us in, and trying again would not mend that: a key that is wrong, or one of another account.

    Said only before the first session of a process; later a refusal is `Disconnected`, an outage that may end.
    """

    reason: str


class OrderReport(Report, frozen=True):
    """A report on one order."""

    wire_id: str


class Accepted(OrderReport, frozen=True):
    """The order is working at the broker."""

    broker_order_id: str


class Rejected(OrderReport, frozen=True):
    """The broker refused the order: it never worked there."""

    code: str
    text: str


class Executed(OrderReport, frozen=True):
    """One execution, with the order's cumulative quantity after it, over all legs."""

    fill: Fill
    cumulative_quantity: Decimal


class Cancelled(OrderReport, frozen=True):
    """What was left is cancelled, by us or by the broker (then `text` says why)."""

    text: str = ""


class Expired(OrderReport, frozen=True):
    """What was left expired with its time in force."""


class CancelRefused(OrderReport, frozen=True):
    """The broker will not cancel, usually because the order is done."""

    code: str
    text: str


class Replaced(OrderReport, frozen=True):
    """The leg `wire_id` works in place of the one before it."""

    broker_order_id: str
    terms: Terms


class ReplaceRefused(OrderReport, frozen=True):
    """The broker keeps the order as it was; `wire_id` is the leg that was not made."""

    code: str
    text: str


class Restated(OrderReport, frozen=True):
    """The broker changed a working order by itself, after a corporate action (FIX ExecType D); `terms` hold from now on.

    Their quantity is the new total: what has filled, as it was told, and what is open now. So an order for 10, of which
    4 filled before a split 2:1, goes on as one for 16.
    """

    terms: Terms
    text: str


class CashKind(StrEnum):
    """Why cash moved without a trade. What was withheld is a FEE, and OTHER is what the broker names with a word of its own."""

    DIVIDEND = "DIVIDEND"
    BORROW_FEE = "BORROW_FEE"
    INTEREST = "INTEREST"
    FEE = "FEE"
    TRANSFER = "TRANSFER"
    ADOPTED = "ADOPTED"
    OTHER = "OTHER"


class AdjustmentCause(StrEnum):
    """Why a position changed without a trade."""

    SPLIT = "SPLIT"
    CASH_IN_LIEU = "CASH_IN_LIEU"
    SYMBOL_CHANGE = "SYMBOL_CHANGE"
    LIQUIDATION = "LIQUIDATION"
    ADOPTED = "ADOPTED"
    SPINOFF = "SPINOFF"
    TRANSFER = "TRANSFER"


class AccountReport(Report, frozen=True):
    """Something that happened to the account without an order. `activity_id` is the same however often it is told."""

    activity_id: str


class CashMovement(AccountReport, frozen=True):
    """Cash came (positive) or went. `symbol` is what it was for, if anything; a dividend's was accrued before."""

    kind: CashKind
    amount: Decimal
    symbol: str = ""
    text: str = ""


class PositionAdjustment(AccountReport, frozen=True):
    """The position in `symbol` changed by the signed `quantity` without an order of ours.

    SPLIT: its cost stays what it was. CASH_IN_LIEU: the fraction was sold, and LIQUIDATION: the broker closed so much, for
    the signed `cash`, charges off. SYMBOL_CHANGE: the whole position is called `new_symbol` from now on. SPINOFF: the shares
    came (or are owed) for nothing, their cost stays with whom they come from. TRANSFER: they were moved in at `price` (0: not
    known), or out at what they had cost. A merger is told as what it does: for cash a LIQUIDATION, for shares a SYMBOL_CHANGE
    and then a SPLIT.
    """

    cause: AdjustmentCause
    symbol: str
    quantity: Decimal
    cash: Decimal = ZERO
    new_symbol: str = ""
    text: str = ""
    price: Decimal = ZERO


class DividendDeclared(AccountReport, frozen=True):
    """The account will get (a short position: owes) `amount` for what it held before the ex-date."""

    symbol: str
    amount: Decimal
    text: str = ""


class SaleSettled(AccountReport, frozen=True):
    """What sales brought on an earlier day is settled: `amount` may be spent now."""

    amount: Decimal


class MarginDeficit(AccountReport, frozen=True):
    """Equity is below what the positions must be covered with. `liquidates` says that the broker will close positions."""

    equity: Decimal
    required: Decimal
    liquidates: bool
    text: str


class BrokerOrderState(StrEnum):
    """What a broker proves of an order; only WORKING can be followed by another."""

    WORKING = "WORKING"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    DONE = "DONE"


class OrderFound(OrderReport, frozen=True):
    """The broker knows the order: its state, and the cumulative quantity and average price of its fills over all legs.

    Of an open order it may say what is open, by which an order counts that no record of ours knows, and of which type it
    is, if it stands by itself.
    """

    broker_order_id: str
    state: BrokerOrderState
    cumulative_quantity: Decimal
    average_price: Decimal | None
    commission: Decimal = ZERO
    symbol: str = ""
    side: Side | None = None
    open_quantity: Decimal = ZERO
    limit_price: Decimal | None = None
    order_type: OrderType | None = None


class OrderAbsent(OrderReport, frozen=True):
    """The broker does not know the order now. Alone this proves nothing.

    `complete` is said by the connection alone: after the order's last leg was sent it has read the whole account, with
    which our books agree, and the order was not in it. `asked_ns` is when the look-up (or the read) began; 0 is not known,
    and then it never counts as proof.
    """

    complete: bool = False
    asked_ns: int = 0


class CommandKind(StrEnum):
    """Which command an `OutcomeUnknown` or `NotSent` is about."""

    NEW = "new"
    CANCEL = "cancel"
    REPLACE = "replace"


class OutcomeUnknown(OrderReport, frozen=True):
    """The command was, or may have been, written, and no answer came."""

    kind: CommandKind
    reason: str


class NotSent(OrderReport, frozen=True):
    """The command was certainly not written."""

    kind: CommandKind
    reason: str


class ReadHistory(Command, frozen=True):
    """Read all records about one order from the store; `then` comes back with them."""

    client_order_id: str
    then: Any


class ReadFilled(Command, frozen=True):
    """Read the histories of all orders that have fills and a record above `after`."""

    after: int
    reply_to: Any


class Endpoint(Protocol):
    """The dispatcher's side of a port: takes one released command. `cause` is the record or input that caused it."""

    def accept(self, command: Any, cause: int) -> None: ...


class JournalStore(Protocol):
    """Durable, ordered, append-only storage of encoded records.

    `append` takes the records `first..first+len(ends)-1` as one transaction: record i is `data[ends[i-1]:ends[i]]`.
    When they are durable it calls `committed(last)`, at once or later; it never drops a batch silently. A `volatile`
    store ends with the process.
    """

    volatile: bool

    def append(
        self, first: int, data: bytes | bytearray, ends: list[int], committed: Callable[[int], None]
    ) -> None: ...

    def history(self, client_order_id: str) -> list[bytes]:
        """Return the encoded records about one order, oldest first."""

    def read(self, after: int = 0) -> Iterable[bytes]:
        """Return the encoded records numbered above `after`, oldest first."""


class FallibleStore(JournalStore, Protocol):
    """A journal store whose disk can fail, and that says so."""

    @property
    def durable(self) -> int:
        """The number of the last record that is known to be durable."""

    def watch(self, failed: Callable[[JournalError], None], restored: Callable[[], None]) -> None:
        """Have `failed` called when writing fails, and again when it fails for another reason; `restored` when it works."""


class MarketData(Protocol):
    """The last values that a feed holds. `quotes` are the newest by symbol, none for a feed of bars."""

    @property
    def quotes(self) -> Mapping[str, Quote]: ...

    def last_price(self, symbol: str) -> Decimal | None:
        """Return the last price of `symbol`, None before its first."""

    def seen_ns(self, symbol: str) -> int | None:
        """Return when the last price of `symbol` was seen or confirmed, None before its first."""


class Instruments(Protocol):
    """The tradable symbols and their rules."""

    def get(self, symbol: str) -> Instrument | None: ...
