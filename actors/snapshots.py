"""The words of reading a broker's account: the question, its answer, and what the connection tells itself while it judges that.

A read that did not bring everything is `SnapshotFailed`. An empty list in a snapshot is a fact: there is nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from .actor import ReplyTo
from .model import OrderType, Side
from .ports import BrokerPosition, Command, Executed, OrderFound, Report


class SyncAccount(Command, frozen=True):
    """Read the whole account, paged to the end; answered by `AccountSnapshot` or `SnapshotFailed`.

    `as_of` comes back with the answer: the number of the last record that was about the account or one of its open orders.
    Every command that was sent before has been written before. Executions are those after the cursor `executions_after`,
    "" for as far back as the broker goes. `asked_ns` comes back too.
    """

    as_of: int
    executions_after: str
    asked_ns: int = 0


class ExternalOrder(msgspec.Struct, frozen=True, array_like=True):
    """An open order at the broker that is not ours. A market order has no `limit_price`.

    `order_type` is None where it is not known, or where the order works together with others: who is no match for it then
    is the broker's to say.
    """

    broker_order_id: str
    symbol: str
    side: Side
    open_quantity: Decimal
    limit_price: Decimal | None = None
    order_type: OrderType | None = None


class AccountSnapshot(Report, frozen=True):
    """The whole account, complete.

    `orders` are all open orders that bear ids of our form, `externals` all others. `executions` are those after the
    cursor that was asked with, in the broker's order; some from before it do no harm. A broker that keeps none has none to
    tell and an empty `cursor`: then fills are inferred from the cumulative quantities of the orders.
    """

    as_of: int
    cash: Decimal
    positions: tuple[BrokerPosition, ...]
    orders: tuple[OrderFound, ...] = ()
    executions: tuple[Executed, ...] = ()
    cursor: str = ""
    externals: tuple[ExternalOrder, ...] = ()
    asked_ns: int = 0


class SnapshotFailed(Report, frozen=True):
    """The account could not be read, or not to the end: nothing is known."""

    as_of: int
    reason: str


class Difference(msgspec.Struct, frozen=True, array_like=True):
    """What our books and the broker's say of one symbol, "" of cash. `price` is what a share is taken over at when it is adopted."""

    symbol: str
    ours: Decimal
    brokers: Decimal
    price: Decimal = Decimal(0)


# --- What the connection tells itself ----------------------------------------------------------------------------------


class ReadDue(msgspec.Struct, frozen=True):
    """Read the account now. A timer, and for whoever needs a complete read soon."""


class AnswerDue(msgspec.Struct, frozen=True):
    """Timer: the account was asked for and has not come."""


class ReadAccount(msgspec.Struct, frozen=True):
    """Send the question, after whatever was on its way to the broker when `as_of` was taken."""

    as_of: int


class Reconcile(msgspec.Struct, frozen=True):
    """Repair what a snapshot shows, once the reports before it are written down."""

    snapshot: AccountSnapshot


class JudgeBooks(msgspec.Struct, frozen=True):
    """Compare the books with a snapshot, once its repairs are written down."""

    snapshot: AccountSnapshot


# --- From a person, and from the desk ----------------------------------------------------------------------------------


class ResolveSymbol(msgspec.Struct, frozen=True):
    """End the disagreement about a symbol ("" is cash) that a person has looked into.

    `adopt` takes over what the broker says at the next read, `release` trusts that the books agree again by then; if they
    do not, the symbol stays frozen. Answered by True once that is durable, or by CommandRefused for what is not frozen.
    """

    symbol: str
    verdict: Literal["adopt", "release"]
    reason: str
    account: str = ""
    reply_to: ReplyTo | None = None


class NotOurs(msgspec.Struct, frozen=True):
    """An order was found at the broker that bears an id of our form, and no record knows it."""

    found: OrderFound


SyncMessage = (
    AccountSnapshot
    | SnapshotFailed
    | ReadDue
    | AnswerDue
    | ReadAccount
    | Reconcile
    | JudgeBooks
    | ResolveSymbol
    | NotOurs
)
