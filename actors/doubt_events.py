"""The events of an order in doubt, and of what a person or the runtime makes of trouble. They are part of `events.AnyEvent`."""

from __future__ import annotations

from enum import StrEnum

from .account_events import BooksDisagree, CashDiffers
from .actor import Event, OrderEvent


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


class OrderResolved(OrderEvent, frozen=True):
    """A person has said what became of it; the records after this one say what that changes."""

    verdict: Verdict
    reason: str


class JournalFailed(Event, frozen=True):
    """The journal could not be written: nothing that adds risk leaves, until a person resumes trading."""

    text: str


DoubtEvent = OrderNotFound | OrderFoundAgain | OrderNeedsPerson | OrderResurfaced | OrderResolved | JournalFailed

Alarm = OrderResurfaced | BooksDisagree | CashDiffers | JournalFailed
"""What halts trading as soon as it is recorded."""
