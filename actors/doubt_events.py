"""The events of an order in doubt, and of what a person or the runtime makes of trouble. They are part of `events.AnyEvent`."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from .account_events import BooksDisagree, CashDiffers
from .actor import Event, OrderEvent
from .model import Side


class Verdict(StrEnum):
    """What a person says of an order that nobody can prove: it is not at the broker, it filled, or it may be looked after again."""

    ABSENT = "absent"
    FILLED = "filled"
    RELEASE = "release"


class OrderNotFound(OrderEvent, frozen=True):
    """A look-up begun at `asked_ns` did not find the leg. `complete`: neither did a read of the whole account, with which our books agree.

    Alone it proves nothing: see `machines/doubt.py`.
    """

    wire_id: str
    complete: bool = False
    asked_ns: int = 0


class OrderFoundAgain(OrderEvent, frozen=True):
    """The broker works the leg that a look-up before had not found: what was counted against it is void."""

    wire_id: str


class OrderNeedsPerson(OrderEvent, frozen=True):
    """Alarm: it is in doubt for so long that only a person can say what became of it. Its exposure stays counted."""

    why: str


class OrderResurfaced(OrderEvent, frozen=True):
    """Alarm: the order was given up as not found, and the broker knows it after all. What is open of it is cancelled."""

    text: str


class OrderReserved(OrderEvent, frozen=True):
    """What is, or may be, open of an order that the gate had let go counts again: it resurfaced, or a fill of it was taken back."""

    account: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal


class OrderOverfilled(OrderEvent, frozen=True):
    """Alarm: more of it has filled than was ordered. Nothing is clipped: the position is what the executions say."""

    ordered: Decimal
    filled: Decimal


class OrderResolved(OrderEvent, frozen=True):
    """A person has said what became of it; the records after this one say what that changes."""

    verdict: Verdict
    reason: str


class JournalFailed(Event, frozen=True):
    """The journal could not be written: nothing that adds risk leaves, until a person resumes trading."""

    text: str


DoubtEvent = (
    OrderNotFound
    | OrderFoundAgain
    | OrderNeedsPerson
    | OrderResurfaced
    | OrderReserved
    | OrderOverfilled
    | OrderResolved
    | JournalFailed
)

Alarm = OrderResurfaced | OrderOverfilled | BooksDisagree | CashDiffers | JournalFailed
"""What halts trading as soon as it is recorded."""
