"""What the durable records say, added up by the oracle's own hand: orders, holdings, cash, trading state.

When an older copy of the journal is put back, everything is added up anew, and the orders of which records are gone are
`lost`: what became of them nobody but the broker can know.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ...actors.actor import OrderEvent, Record
from ...actors.doubt_events import (
    OrderFoundAgain,
    OrderNeedsPerson,
    OrderNotFound,
    OrderOverfilled,
    OrderResolved,
    OrderResurfaced,
)
from ...actors.events import (
    ActorQuarantined,
    CashMoved,
    OrderAccepted,
    OrderApproved,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRefused,
    OrderReplaceRequested,
    OrderRestated,
    OrderSubmitted,
    PositionAdjusted,
    SessionOpened,
    TradingStateChanged,
)
from ...actors.model import ZERO, Order, Side, Terms, TradingState
from ...actors.ports import AdjustmentCause

BUY = Side.BUY


class Journaled:
    """What the journal says of one order.

    `total` is the ordered quantity, `offered` that of a replacement without an answer, `most` the largest that ever was.
    `is_over` after a word that ended it, a fill aside. `alarmed` once it was said that more has filled than was
    ordered. `sums` are its filled quantities after the records `numbers`.
    """

    __slots__ = (
        "alarmed",
        "approved",
        "filled",
        "is_concluded",
        "is_over",
        "is_quarantined",
        "looked",
        "looked_all",
        "most",
        "needs_person",
        "not_after_ns",
        "numbers",
        "offered",
        "order",
        "resolved",
        "resurfaced",
        "sums",
        "total",
    )

    def __init__(self, order: Order) -> None:
        self.order = order
        self.total = self.most = order.quantity
        self.offered = self.filled = ZERO
        self.approved = self.not_after_ns = self.looked = 0
        self.looked_all = self.is_over = self.is_concluded = self.is_quarantined = False
        self.needs_person = self.resolved = self.resurfaced = self.alarmed = False
        self.numbers: list[int] = []
        self.sums: list[Decimal] = []

    def restate(self, terms: Terms) -> None:
        """Take over another total."""
        self.total = terms.quantity
        self.most = max(self.most, terms.quantity)

    @property
    def sign(self) -> int:
        return 1 if self.order.side is BUY else -1


class Journal:
    """The durable records and their sums. `surprised` is, by symbol, the last record that nobody could have reckoned with."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.lost: dict[str, None] = {}
        self._clear()
        self._folds: dict[type, Callable[[Any, Record], None]] = {
            OrderSubmitted: self._submitted,
            OrderApproved: self._approved,
            OrderIntended: self._intended,
            OrderReplaceRequested: self._replace_requested,
            OrderReplaced: self._replaced,
            OrderReplaceRefused: self._replace_refused,
            OrderRestated: self._restated,
            OrderFilled: self._filled,
            OrderCancelled: self._over,
            OrderDenied: self._over,
            OrderRejected: self._rejected,
            OrderAccepted: self._found,
            OrderFoundAgain: self._found,
            OrderNotFound: self._not_found,
            OrderNeedsPerson: self._needs_person,
            OrderResurfaced: self._resurfaced,
            OrderOverfilled: self._overfilled,
            OrderResolved: self._resolved,
            ActorQuarantined: self._quarantined,
            SessionOpened: self._opened,
            PositionAdjusted: self._adjusted,
            CashMoved: self._cash_moved,
            TradingStateChanged: self._state_changed,
        }

    def _clear(self) -> None:
        self.orders: dict[str, Journaled] = {}
        self.intents: dict[str, Order | Terms] = {}
        self.positions: dict[str, Decimal] = {}
        self.cash = ZERO
        self.is_opened = False
        self.surprised: dict[str, int] = {}
        self.last_surprise = 0
        self.trading_state, self.epoch, self.reason = TradingState.ACTIVE, 0, ""

    @property
    def last(self) -> int:
        """The number of the last durable record."""
        return self.records[-1].number if self.records else 0

    def add(self, record: Record) -> None:
        """Take the next durable record."""
        self.records.append(record)
        fold = self._folds.get(type(record.event))
        if fold is not None:
            fold(record.event, record)

    def restore(self, last: int) -> None:
        """Forget everything after the record `last`."""
        kept = [record for record in self.records if record.number <= last]
        for record in self.records[len(kept) :]:
            if isinstance(record.event, OrderEvent):
                self.lost[record.event.client_order_id] = None
        self.records = []
        self._clear()
        for record in kept:
            self.add(record)

    def surprise(self, symbol: str, number: int) -> None:
        """Take note of something that whoever approved an order before could not know."""
        self.surprised[symbol] = self.last_surprise = number

    # --- Orders ----------------------------------------------------------------------------------------------------------

    def _submitted(self, event: OrderSubmitted, record: Record) -> None:
        self.orders[event.client_order_id] = Journaled(event.order)

    def _approved(self, event: OrderApproved, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            order.approved = record.number

    def _intended(self, event: OrderIntended, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            self.intents[event.wire_id] = order.order
            order.not_after_ns = event.not_after_ns

    def _replace_requested(self, event: OrderReplaceRequested, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            self.intents[event.wire_id] = event.terms
            order.offered, order.not_after_ns = event.terms.quantity, event.not_after_ns
            order.most = max(order.most, event.terms.quantity)
            order.looked, order.looked_all = 0, False

    def _replaced(self, event: OrderReplaced, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            order.restate(event.terms)
            order.offered = ZERO

    def _replace_refused(self, event: OrderReplaceRefused, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None and not event.denied:
            order.offered = ZERO

    def _restated(self, event: OrderRestated, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            order.restate(event.terms)
            self.surprise(order.order.symbol, record.number)

    def _filled(self, event: OrderFilled, record: Record) -> None:
        symbol, is_buy = event.symbol, event.side is BUY
        quantity = event.quantity if is_buy else -event.quantity
        self.positions[symbol] = self.positions.get(symbol, ZERO) + quantity
        self.cash -= event.commission + (event.notional if is_buy else -event.notional)
        order = self.orders.get(event.client_order_id)
        if order is None:
            return
        order.filled += event.quantity
        order.numbers.append(record.number)
        order.sums.append(order.filled)
        if order.is_over or event.fill.revision or event.quantity < ZERO or order.filled > order.total:
            self.surprise(symbol, record.number)

    def _over(self, event: OrderCancelled | OrderDenied, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            order.is_over, order.offered = True, ZERO

    def _rejected(self, event: OrderRejected, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            order.is_over, order.offered = True, ZERO
            order.is_concluded = order.is_concluded or event.concluded

    # --- Orders in doubt ---------------------------------------------------------------------------------------------------

    def _found(self, event: OrderAccepted | OrderFoundAgain, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            order.looked, order.looked_all = 0, False

    def _not_found(self, event: OrderNotFound, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None and event.asked_ns > order.not_after_ns:
            order.looked += 1
            order.looked_all = order.looked_all or event.complete

    def _needs_person(self, event: OrderNeedsPerson, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            order.needs_person = True

    def _resurfaced(self, event: OrderResurfaced, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            order.resurfaced = True
            self.surprise(order.order.symbol, record.number)

    def _overfilled(self, event: OrderOverfilled, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            order.alarmed = True

    def _resolved(self, event: OrderResolved, record: Record) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            order.resolved, order.is_quarantined = True, False
            self.surprise(order.order.symbol, record.number)

    def _quarantined(self, event: ActorQuarantined, record: Record) -> None:
        kind, _, name = event.actor.partition("/")
        if kind == "order" and name in self.orders:
            self.orders[name].is_quarantined = True

    # --- Account -----------------------------------------------------------------------------------------------------------

    def _opened(self, event: SessionOpened, record: Record) -> None:
        if not self.is_opened:
            self.is_opened, self.cash = True, event.cash
            self.positions = {held.symbol: held.quantity for held in event.positions}

    def _adjusted(self, event: PositionAdjusted, record: Record) -> None:
        self.cash += event.cash
        self.surprise(event.symbol, record.number)
        held = self.positions.get(event.symbol, ZERO)
        if event.cause is AdjustmentCause.SYMBOL_CHANGE:
            self.surprise(event.new_symbol, record.number)
            self.positions[event.symbol] = ZERO
            self.positions[event.new_symbol] = self.positions.get(event.new_symbol, ZERO) + held
        else:
            self.positions[event.symbol] = held + event.quantity

    def _cash_moved(self, event: CashMoved, record: Record) -> None:
        self.cash += event.amount

    def _state_changed(self, event: TradingStateChanged, record: Record) -> None:
        self.trading_state, self.epoch, self.reason = event.state, event.epoch, event.reason
