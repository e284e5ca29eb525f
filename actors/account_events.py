"""The events of a broker's session and of what a read of its account has shown. They are part of `events.AnyEvent`."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from .actor import Event
from .ports import Capabilities
from .snapshots import Difference, ExternalOrder


class SessionConnected(Event, frozen=True):
    """The broker's session is open; its account was not read yet, so nothing may be sent."""

    account: str
    capabilities: Capabilities


class SessionRefused(Event, frozen=True):
    """The broker's session is for another account than the one that we were told to trade: nothing is ever sent."""

    account: str
    reported: str
    expected: str


class SessionDenied(Event, frozen=True):
    """The broker did not let us in, and says that trying again would not mend it: nothing is sent."""

    account: str
    text: str


class ReadFailed(Event, frozen=True):
    """The account could not be read; that proves nothing, and it is read again."""

    account: str
    reason: str


class AccountRead(Event, frozen=True):
    """The account was read and judged. Recorded only when that is news: executions up to `cursor`, or a success after failures."""

    account: str
    cursor: str


class BooksSuspected(Event, frozen=True):
    """A read differs from our books: the next one will tell. Without differences a suspicion is over."""

    account: str
    differences: tuple[Difference, ...] = ()


class BooksDisagree(Event, frozen=True):
    """Two reads agree that the broker holds something else than our books: the symbol takes no new risk until a person decides."""

    account: str
    symbol: str
    ours: Decimal
    brokers: Decimal


class CashDiffers(Event, frozen=True):
    """Two reads agree that the account's cash is another than our books say."""

    account: str
    ours: Decimal
    brokers: Decimal


class SymbolJudged(Event, frozen=True):
    """A person has decided about a disagreement; the next read of the account carries it out. The symbol "" is cash."""

    account: str
    symbol: str
    verdict: Literal["adopt", "release"]
    reason: str


class SymbolReleased(Event, frozen=True):
    """Books and broker agree about the symbol ("" is cash) again, and a person has said so."""

    account: str
    symbol: str


class ExternalOrderSeen(Event, frozen=True):
    """An order that is not ours is open at the broker, or what is open of it has changed: it counts as ours would, and is never touched."""

    account: str
    order: ExternalOrder


class ExternalOrderGone(Event, frozen=True):
    """An order that is not ours is not open any more."""

    account: str
    broker_order_id: str


SyncEvent = (
    SessionConnected
    | SessionRefused
    | SessionDenied
    | ReadFailed
    | AccountRead
    | BooksSuspected
    | BooksDisagree
    | CashDiffers
    | SymbolJudged
    | SymbolReleased
    | ExternalOrderSeen
    | ExternalOrderGone
)
