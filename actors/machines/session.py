"""The session with one broker account: what is proved of it, and what a read of the account leads to.

DISCONNECTED → SYNCING → READY. Only what was recorded moves it. A session for an account that is not the expected one is
REFUSED until the next boot; where the broker does not let us in, until it does. What two reads agree to be different from
our books is established: the symbol is frozen, and only a person ends that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

import msgspec

from ..account_events import (
    AccountRead,
    BooksDisagree,
    BooksSuspected,
    CashDiffers,
    ExternalOrderGone,
    ExternalOrderSeen,
    ReadFailed,
    SessionConnected,
    SessionDenied,
    SessionRefused,
    SymbolJudged,
    SymbolReleased,
)
from ..actor import Event, Record
from ..events import (
    CashMoved,
    CashSettled,
    DividendAccrued,
    MarginCalled,
    PositionAdjusted,
    SessionClosed,
    SessionOpened,
)
from ..ports import AdjustmentCause, Capabilities, CashKind
from ..snapshots import Difference, ExternalOrder
from .reconcile import CASH

BACKOFF_NS = 1_000_000_000
LONGEST_BACKOFF_NS = 60_000_000_000
BY_HAND = "adopted by a person"
ACTIVITIES_KEPT = 10_000

Activity = CashMoved | PositionAdjusted | DividendAccrued | CashSettled | MarginCalled
SessionChange = (
    SessionConnected
    | SessionRefused
    | SessionDenied
    | SessionOpened
    | SessionClosed
    | ReadFailed
    | AccountRead
    | BooksSuspected
    | BooksDisagree
    | CashDiffers
    | SymbolJudged
    | SymbolReleased
    | ExternalOrderSeen
    | ExternalOrderGone
    | Activity
)


class Phase(StrEnum):
    """Where the session stands."""

    DISCONNECTED = "DISCONNECTED"
    SYNCING = "SYNCING"
    READY = "READY"
    REFUSED = "REFUSED"


class Session(msgspec.Struct):
    """What the records say of the session.

    `lost_ns` is when it was lost, None while nobody has asked for one since the boot. `closures` and `failures` count what
    has failed in a row: sessions, and reads of the account. `marked` is the last record by which an older read is no
    judgement any more. `suspected` is what one read has shown, `frozen` by how much the broker's books are above ours in
    what two have, and `verdicts` what a person has decided about it. `denied` says that the broker did not let us in.
    """

    phase: Phase = Phase.DISCONNECTED
    lost_ns: int | None = None
    closures: int = 0
    failures: int = 0
    marked: int = 0
    cursor: str = ""
    capabilities: Capabilities | None = None
    refusal: str = ""
    suspected: tuple[Difference, ...] = ()
    frozen: dict[str, Decimal] = msgspec.field(default_factory=dict)
    verdicts: dict[str, Literal["adopt", "release"]] = msgspec.field(default_factory=dict)
    externals: dict[str, ExternalOrder] = msgspec.field(default_factory=dict)
    activities: dict[str, None] = msgspec.field(default_factory=dict)
    denied: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether a session may not be used, not even a new one: it is for another account than ours."""
        return self.phase is Phase.REFUSED and not self.denied

    @property
    def is_open(self) -> bool:
        """Whether the broker can be asked and told to cancel."""
        return self.phase is Phase.READY or self.phase is Phase.SYNCING

    def apply(self, event: SessionChange, record: Record) -> None:
        """Fold one record of this account."""
        CHANGES[type(event)](self, event, record)

    def booted(self) -> None:
        """Begin anew: nothing outlives a process but what was recorded of the account."""
        self.phase, self.lost_ns = Phase.DISCONNECTED, None
        self.closures = self.failures = 0
        self.refusal, self.denied, self.suspected = "", False, ()


def backoff_ns(failures: int) -> int:
    """Return how long to wait after so many failures in a row: a second, twice as long each time, a minute at most."""
    return min(BACKOFF_NS << min(max(failures, 1) - 1, 6), LONGEST_BACKOFF_NS)


class Judgement(msgspec.Struct, frozen=True):
    """What to record of a read. `settled`: no second read is needed. `agrees`: the books are the broker's."""

    events: tuple[Event, ...] = ()
    settled: bool = True
    agrees: bool = True


def judge(session: Session, account: str, differences: Iterable[Difference], as_of: int) -> Judgement:
    """Judge the books by a read: carry out what a person decided, establish what was suspected, suspect what is new."""
    left = {difference.symbol: difference for difference in differences}
    events = _carry_out(session, account, left, as_of)
    suspected = {difference.symbol: _offset(difference) for difference in session.suspected}
    rest: list[Difference] = []
    for difference in left.values():
        offset = _offset(difference)
        if session.verdicts.get(difference.symbol) != "release" and session.frozen.get(difference.symbol) == offset:
            continue  # known, and waiting for a person
        if difference.symbol in session.verdicts or suspected.get(difference.symbol) == offset:
            events.append(_disagreement(account, difference))
        else:
            rest.append(difference)
    if rest or session.suspected:
        events.append(BooksSuspected(account, tuple(rest)))
    return Judgement(tuple(events), not rest, not left)


def _carry_out(session: Session, account: str, left: dict[str, Difference], as_of: int) -> list[Event]:
    """Return the records of the verdicts that can be carried out, and take what they end off the differences.

    Cash cannot be told apart by symbol: who adopts the last symbol that is frozen adopts its cash too.
    """
    events: list[Event] = []
    ended: list[str] = []
    for symbol, verdict in session.verdicts.items():
        if verdict == "adopt" or symbol not in left:
            ended.append(symbol)
    positions = [symbol for symbol in session.frozen if symbol != CASH and symbol not in ended]
    by_adoption = any(session.verdicts[symbol] == "adopt" for symbol in ended)
    if by_adoption and not positions and CASH in session.frozen and CASH not in ended:
        ended.append(CASH)
    for symbol in ended:
        difference = left.pop(symbol, None)
        if difference is not None:
            events.append(_adoption(account, difference, as_of))
        events.append(SymbolReleased(account, symbol))
    return events


def _offset(difference: Difference) -> Decimal:
    return difference.brokers - difference.ours


def _disagreement(account: str, difference: Difference) -> Event:
    symbol, ours, brokers = difference.symbol, difference.ours, difference.brokers
    return CashDiffers(account, ours, brokers) if symbol == CASH else BooksDisagree(account, symbol, ours, brokers)


def _adoption(account: str, difference: Difference, as_of: int) -> Event:
    symbol, change = difference.symbol, _offset(difference)
    activity = f"adopted:{symbol}:{as_of}"
    if symbol == CASH:
        return CashMoved(account, activity, CashKind.ADOPTED, change, text=BY_HAND)
    cause = AdjustmentCause.ADOPTED
    return PositionAdjusted(account, activity, cause, symbol, change, text=BY_HAND, price=difference.price)


# --- How each record changes the session -------------------------------------------------------------------------------


def _connected(session: Session, event: SessionConnected, record: Record) -> None:
    session.phase, session.capabilities = Phase.SYNCING, event.capabilities
    session.refusal, session.denied = "", False
    session.suspected, session.marked = (), record.number


def _refused(session: Session, event: SessionRefused, record: Record) -> None:
    session.phase = Phase.REFUSED
    session.refusal = f"the broker's session is for account {event.reported!r}, not for {event.expected!r}"


def _denied(session: Session, event: SessionDenied, record: Record) -> None:
    session.phase, session.denied = Phase.REFUSED, True
    session.refusal = f"the broker refuses the session: {event.text}"


def _opened(session: Session, event: SessionOpened, record: Record) -> None:
    session.phase, session.lost_ns, session.closures = Phase.READY, None, 0


def _closed(session: Session, event: SessionClosed, record: Record) -> None:
    if session.phase is not Phase.REFUSED:
        session.closures = 1 if session.phase is Phase.READY else session.closures + 1
        session.phase, session.lost_ns = Phase.DISCONNECTED, record.at_ns


def _failed(session: Session, event: ReadFailed, record: Record) -> None:
    session.failures += 1


def _read(session: Session, event: AccountRead, record: Record) -> None:
    session.failures, session.cursor = 0, event.cursor


def _suspected(session: Session, event: BooksSuspected, record: Record) -> None:
    session.suspected, session.marked = event.differences, record.number


def _disagrees(session: Session, event: BooksDisagree, record: Record) -> None:
    _freeze(session, event.symbol, event.brokers - event.ours, record.number)


def _cash_differs(session: Session, event: CashDiffers, record: Record) -> None:
    _freeze(session, CASH, event.brokers - event.ours, record.number)


def _freeze(session: Session, symbol: str, offset: Decimal, number: int) -> None:
    """Freeze a symbol; a verdict about it that came before is spent."""
    session.frozen[symbol] = offset
    session.verdicts.pop(symbol, None)
    session.marked = number


def _judged(session: Session, event: SymbolJudged, record: Record) -> None:
    session.verdicts[event.symbol], session.marked = event.verdict, record.number


def _released(session: Session, event: SymbolReleased, record: Record) -> None:
    session.frozen.pop(event.symbol, None)
    session.verdicts.pop(event.symbol, None)


def _seen(session: Session, event: ExternalOrderSeen, record: Record) -> None:
    session.externals[event.order.broker_order_id] = event.order


def _gone(session: Session, event: ExternalOrderGone, record: Record) -> None:
    session.externals.pop(event.broker_order_id, None)


def _told(session: Session, event: Activity, record: Record) -> None:
    """Remember what the broker has told of the account, so that a second telling is known."""
    activities = session.activities
    activities[event.activity_id] = None
    if len(activities) > ACTIVITIES_KEPT:
        del activities[next(iter(activities))]


def _adjusted(session: Session, event: PositionAdjusted, record: Record) -> None:
    """Let the freeze of a symbol follow it to its new name."""
    _told(session, event, record)
    if event.cause is AdjustmentCause.SYMBOL_CHANGE:
        if event.symbol in session.frozen:
            session.frozen[event.new_symbol] = session.frozen.pop(event.symbol)
        if event.symbol in session.verdicts:
            session.verdicts[event.new_symbol] = session.verdicts.pop(event.symbol)


CHANGES: dict[type, Callable[[Session, Any, Record], None]] = {
    SessionConnected: _connected,
    SessionRefused: _refused,
    SessionDenied: _denied,
    SessionOpened: _opened,
    SessionClosed: _closed,
    ReadFailed: _failed,
    AccountRead: _read,
    BooksSuspected: _suspected,
    BooksDisagree: _disagrees,
    CashDiffers: _cash_differs,
    SymbolJudged: _judged,
    SymbolReleased: _released,
    ExternalOrderSeen: _seen,
    ExternalOrderGone: _gone,
    CashMoved: _told,
    PositionAdjusted: _adjusted,
    DividendAccrued: _told,
    CashSettled: _told,
    MarginCalled: _told,
}
