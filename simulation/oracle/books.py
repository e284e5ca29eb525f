"""What is made of the broker's account (I6).

Each of its activities is booked once. A symbol is frozen by two reads that agree or by a person's word, and takes no new
risk while it is.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ...actors.account_events import (
    BooksDisagree,
    BooksSuspected,
    CashDiffers,
    SessionConnected,
    SymbolJudged,
    SymbolReleased,
)
from ...actors.actor import Record
from ...actors.events import Booted, CashMoved, CashSettled, DividendAccrued, OrderApproved, PositionAdjusted
from ...actors.model import Purpose
from ...actors.ports import AdjustmentCause
from .journal import Journal
from .violations import Violations

CASH = ""
ADOPTED = "adopted:"
NEW_RISK = frozenset({Purpose.ENTRY, Purpose.CHILD})


class Books:
    """Looks at the durable records of the account, in their order."""

    def __init__(self, journal: Journal, violations: Violations) -> None:
        self._journal, self._violations = journal, violations
        self._clear()
        self._checks: dict[type, Callable[[Any, Record], None]] = {
            Booted: self._begun,
            SessionConnected: self._begun,
            BooksSuspected: self._suspects,
            BooksDisagree: self._disagree,
            CashDiffers: self._cash_differs,
            SymbolJudged: self._judges,
            SymbolReleased: self._releases,
            PositionAdjusted: self._adjusted,
            CashMoved: self._told,
            CashSettled: self._told,
            DividendAccrued: self._told,
            OrderApproved: self._approved,
        }
        self.on_durable = tuple(self._checks)

    def _clear(self) -> None:
        self._suspected: dict[str, Decimal] = {}
        self._judged: dict[str, None] = {}
        self._frozen: dict[str, None] = {}
        self._activities: dict[str, None] = {}

    def restored(self) -> None:
        """Begin anew with what is left of the journal, which was judged when it was written."""
        self._clear()
        found, self._violations = self._violations, Violations(self._violations.clock)
        for record in self._journal.records:
            if type(record.event) in self._checks:
                self.durable(record.event, record)
        self._violations = found

    def durable(self, event: Any, record: Record) -> None:
        """Judge one of the records that it looks at."""
        self._checks[type(event)](event, record)

    # --- Freezes ---------------------------------------------------------------------------------------------------------

    def _begun(self, event: Booted | SessionConnected, record: Record) -> None:
        self._suspected.clear()

    def _suspects(self, event: BooksSuspected, record: Record) -> None:
        self._suspected = {each.symbol: each.brokers - each.ours for each in event.differences}

    def _disagree(self, event: BooksDisagree, record: Record) -> None:
        self._freezes(event.symbol, event.brokers - event.ours)

    def _cash_differs(self, event: CashDiffers, record: Record) -> None:
        self._freezes(CASH, event.brokers - event.ours)

    def _freezes(self, symbol: str, offset: Decimal) -> None:
        if symbol not in self._judged and self._suspected.get(symbol) != offset:
            known = self._suspected.get(symbol, "nothing")
            text = f"{symbol or 'cash'} was frozen for a difference of {offset}; the read before had shown {known}"
            self._violations.add("I6", text)
        self._judged.pop(symbol, None)
        self._frozen[symbol] = None

    def _judges(self, event: SymbolJudged, record: Record) -> None:
        self._judged[event.symbol] = None

    def _releases(self, event: SymbolReleased, record: Record) -> None:
        self._judged.pop(event.symbol, None)
        self._frozen.pop(event.symbol, None)

    def _approved(self, event: OrderApproved, record: Record) -> None:
        if event.symbol not in self._frozen:
            return
        order = self._journal.orders.get(event.client_order_id)
        if order is not None and order.order.purpose in NEW_RISK:
            text = f"order {event.client_order_id} ({order.order.purpose}) was approved while {event.symbol} was frozen"
            self._violations.add("I6", text)

    # --- Activities ------------------------------------------------------------------------------------------------------

    def _adjusted(self, event: PositionAdjusted, record: Record) -> None:
        self._told(event, record)
        if event.cause is AdjustmentCause.SYMBOL_CHANGE:
            for names in (self._frozen, self._judged):
                if event.symbol in names:
                    del names[event.symbol]
                    names[event.new_symbol] = None

    def _told(self, event: Any, record: Record) -> None:
        activity = event.activity_id
        if activity in self._activities and not activity.startswith(ADOPTED):
            self._violations.add("I6", f"activity {activity} was booked twice: {event}")
        self._activities[activity] = None
