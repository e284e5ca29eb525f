"""The simulated exchange: commands in, reports out, no clock and no I/O of its own.

What holds, whatever the caller does:

- The bar that ends is matched first, then what ends with its session expires; only then does anybody see the bar.
- An order received at an instant is live from the next bar of its symbol; it never meets a bar that ended at or before
  its arrival. A bar that began before the arrival (bars that overlap) is met whole, its open included.
- With `fill: close` an order first meets the close of the bar that ended at the very instant of its arrival. What does
  not fill there, or has no such bar, rests and is matched like any other: a market order at the next open. A
  replacement never meets a bar that has ended, because its order was there before.
- Orders share a bar's budget in order of arrival. Nothing fills twice from one bar.
- A replacement keeps the order's fills and loses its place. Of a replaced order only the last leg can be cancelled or
  replaced, and a status names that leg.
- The same commands and bars give the same reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from math import inf
from operator import attrgetter
from typing import Any

from ...actors.model import ZERO, Bars, Fill, Instrument, OrderType, Row, Side, TimeInForce
from ...actors.ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    CancelRequest,
    Command,
    CommandKind,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    Executed,
    Expired,
    NewOrder,
    NotSent,
    OrderAbsent,
    OrderFound,
    Rejected,
    Replaced,
    ReplaceRefused,
    ReplaceRequest,
    Report,
    StatusRequest,
)
from .account import ACCOUNT_TYPES
from .book import Listing, WorkingOrder
from .costs import Costs, as_decimal
from .orders import OrderIndex, base_id_of
from .rules import CAPABILITIES, ExchangeRules, Refusal, RefusalCode, refusal, terms_refusal

__all__ = ["ExchangeRules", "SimulatedExchange"]

# Looked up once: the members of an enum cost more than the orders that they describe.
BUY, DAY, GTC = Side.BUY, TimeInForce.DAY, TimeInForce.GTC
MARKET, LIMIT = OrderType.MARKET, OrderType.LIMIT
DONE, CANCELLED, EXPIRED = BrokerOrderState.DONE, BrokerOrderState.CANCELLED, BrokerOrderState.EXPIRED

by_sequence = attrgetter("sequence")


class SimulatedExchange:
    """One account at one exchange. Feed it `handle` and `on_bars` in order of time."""

    def __init__(self, rules: ExchangeRules, instruments: Mapping[str, Instrument], account: str = "main") -> None:
        self.rules = rules
        self.account_id = account
        self._instruments = instruments
        self._account = ACCOUNT_TYPES[rules.account_type](rules)
        self._costs = Costs(rules)
        self._commission = rules.commission
        self._fills_at_close = rules.fill == "close"
        self._fills_at_touch = rules.limit_fill == "touch"
        self._listings: dict[str, Listing] = {}
        self._resting: dict[str, Listing] = {}  # those with orders in the book
        self._orders = OrderIndex()
        self._day: dict[int, WorkingOrder] = {}  # by sequence
        self._sequence = 0
        self._id_prefix = account + "-"
        self._bars: Bars | None = None
        self._handlers: dict[type, Callable[[Any, int], list[Report]]] = {
            NewOrder: self._new,
            CancelRequest: self._cancel,
            ReplaceRequest: self._replace,
            StatusRequest: self._status,
            Connect: self._connect,
            Disconnect: self._disconnect,
        }

    @property
    def cash(self) -> Decimal:
        return self._account.cash

    @property
    def positions(self) -> dict[str, Decimal]:
        """Quantities held, by symbol; negative when short."""
        return {position.symbol: position.quantity for position in self._account.positions()}

    @property
    def warnings(self) -> list[str]:
        """What a person should know of the account, such as cash below zero; the first thousand."""
        return self._account.warnings

    def buying_power(self) -> Decimal:
        """Return what new orders may cost, open orders already taken off."""
        return self._account.buying_power()

    def handle(self, command: Command, now_ns: int) -> list[Report]:
        """Do what `command` asks at `now_ns` and return the answers. A command of another kind raises TypeError."""
        handler = self._handlers.get(type(command))
        if handler is None:
            known = ", ".join(kind.__name__ for kind in self._handlers)
            raise TypeError(f"command: {type(command).__name__} is none that the exchange takes; give one of {known}")
        return handler(command, now_ns)

    def on_bars(self, bars: Bars) -> list[Report]:
        """Match the bars that end now, then expire what ends with them. Show the bars to others afterwards.

        Executions come in order of the orders' arrival. A session whose last bars never came ends with the first bars
        of another.
        """
        before, self._bars = self._bars, bars
        self._account.rows.update(bars.rows)
        reports: list[Report] = []
        if not self._resting:
            return reports
        if self._day and before is not None and before.session != bars.session:
            self._expire(before.end_ns, reports)
        end_ns = bars.end_ns
        for order in self._touched(bars.rows, end_ns):
            if order.arrived_ns < end_ns:
                self._match(order, bars, reports)
        if self._day and bars.closes_session:
            self._expire(end_ns, reports)
        return reports

    # -- commands

    def _connect(self, command: Connect, now_ns: int) -> list[Report]:
        return [Connected(self.account_id, self._account.cash, self._account.positions(), CAPABILITIES)]

    def _disconnect(self, command: Disconnect, now_ns: int) -> list[Report]:
        return [Disconnected("requested")]

    def _new(self, command: NewOrder, now_ns: int) -> list[Report]:
        wire_id = command.wire_id
        if now_ns > command.not_after_ns:
            return [NotSent(wire_id, CommandKind.NEW, _lateness(now_ns, command.not_after_ns))]
        base_id = base_id_of(wire_id)
        if self._orders.knows(base_id):
            text = f"wire_id: the order {base_id} of {wire_id} was sent before"
            return [Rejected(wire_id, RefusalCode.DUPLICATE_ORDER_ID.value, text)]
        order = self._admit(command, base_id, now_ns)
        if isinstance(order, Refusal):
            self._orders.reject(base_id, wire_id)
            return [Rejected(wire_id, order.code, order.text)]
        reports: list[Report] = [Accepted(wire_id, order.broker_order_id)]
        if self._fills_at_close:
            self._match_close(order, now_ns, reports)
        return reports

    def _admit(self, command: NewOrder, base_id: str, now_ns: int) -> WorkingOrder | Refusal:
        """Put the order into the book, or return why not."""
        terms = command.order
        listing = self._listings.get(terms.symbol) or self._list(terms.symbol)
        if listing is None:
            return refusal(RefusalCode.UNKNOWN_SYMBOL, f"symbol: {terms.symbol} is not traded here")
        quantity = terms.quantity
        limit = terms.limit_price
        refused = terms_refusal(listing.instrument, terms.order_type, terms.time_in_force, quantity, limit)
        if refused is not None:
            return refused
        account = self._account
        price = limit if limit is not None else account.last_price(listing.holding)
        if price is None:
            text = f"symbol: {listing.symbol} has no last price; a market order needs one, a limit order does not"
            return refusal(RefusalCode.NO_MARKET_DATA, text)
        is_buy = terms.side is BUY
        commission = self._commission
        refused = account.order_refusal(listing.holding, is_buy, quantity, price, commission)
        if refused is not None:
            return refused
        order = WorkingOrder(base_id, listing, is_buy, terms.time_in_force is DAY, commission)
        self._orders.open[base_id] = order
        self._rest(order, command.wire_id, now_ns, quantity, limit, price)
        return order

    def _list(self, symbol: str) -> Listing | None:
        instrument = self._instruments.get(symbol)
        if instrument is None:
            return None
        self._listings[symbol] = listing = Listing(symbol, instrument, self._account.holding(symbol))
        return listing

    def _cancel(self, command: CancelRequest, now_ns: int) -> list[Report]:
        order = self._orders.working(command.wire_id)
        if isinstance(order, Refusal):
            return [CancelRefused(command.wire_id, order.code, order.text)]
        self._account.release(order)
        self._withdraw(order)
        self._orders.finish(order, CANCELLED)
        return [Cancelled(order.wire_id)]

    def _replace(self, command: ReplaceRequest, now_ns: int) -> list[Report]:
        if now_ns > command.not_after_ns:
            return [NotSent(command.new_wire_id, CommandKind.REPLACE, _lateness(now_ns, command.not_after_ns))]
        order = self._orders.working(command.wire_id)
        if isinstance(order, Refusal):
            return [ReplaceRefused(command.new_wire_id, order.code, order.text)]
        holding = order.listing.holding
        price = command.limit_price or self._account.last_price(holding) or order.claim_price
        refused = self._replace_refusal(order, command, price)
        if refused is not None:
            return [ReplaceRefused(command.new_wire_id, refused.code, refused.text)]
        self._account.release(order)
        self._withdraw(order)
        order.earlier_wire_ids += (order.wire_id,)
        self._rest(order, command.new_wire_id, now_ns, command.quantity, command.limit_price, price)
        return [Replaced(order.wire_id, order.broker_order_id, order.quantity, order.limit)]

    def _replace_refusal(self, order: WorkingOrder, command: ReplaceRequest, price: Decimal) -> Refusal | None:
        wire_id, quantity = command.new_wire_id, command.quantity
        if base_id_of(wire_id) != order.base_id:
            return refusal(RefusalCode.UNKNOWN_ORDER, f"new_wire_id: {wire_id} is not a leg of {order.base_id}")
        if wire_id in (order.wire_id, order.base_id, *order.earlier_wire_ids):
            return refusal(RefusalCode.DUPLICATE_ORDER_ID, f"new_wire_id: the leg {wire_id} was made before")
        order_type = MARKET if order.limit is None else LIMIT
        time_in_force = DAY if order.is_day else GTC
        instrument = order.listing.instrument
        refused = terms_refusal(instrument, order_type, time_in_force, quantity, command.limit_price)
        if refused is not None:
            return refused
        if quantity <= order.filled:
            text = f"quantity: {order.filled} are filled already; give a new total above that, not {quantity}"
            return refusal(RefusalCode.TOO_LATE, text)
        left = quantity - order.filled
        return self._account.order_refusal(
            order.listing.holding, order.is_buy, left, price, order.commission_due, order
        )

    def _status(self, command: StatusRequest, now_ns: int) -> list[Report]:
        found = self._orders.summary(command.wire_id)
        if found is None:
            return [OrderAbsent(command.wire_id)]
        average = found.notional / found.filled if found.filled else None
        return [OrderFound(found.wire_id, found.broker_order_id, found.state, found.filled, average, found.commission)]

    # -- the book

    def _rest(
        self, order: WorkingOrder, wire_id: str, now_ns: int, quantity: Decimal, limit: Decimal | None, price: Decimal
    ) -> None:
        """Put a leg of the order, new or replaced, at the end of the queue."""
        self._sequence = sequence = self._sequence + 1
        order.set_leg(wire_id, self._id_prefix + str(sequence), sequence, now_ns, quantity, limit, price)
        listing = order.listing
        self._account.hold(order)
        listing.book.add(order)
        self._resting[listing.symbol] = listing
        if order.is_day:
            self._day[sequence] = order

    def _withdraw(self, order: WorkingOrder) -> None:
        listing = order.listing
        if not listing.book.remove(order):
            del self._resting[listing.symbol]
        if order.is_day:
            del self._day[order.sequence]

    def _expire(self, end_ns: int, reports: list[Report]) -> None:
        """Expire the DAY orders that arrived before a session's last bars ended at `end_ns`, in order of arrival."""
        for order in list(self._day.values()):
            if order.arrived_ns < end_ns:
                self._account.release(order)
                self._withdraw(order)
                self._orders.finish(order, EXPIRED)
                reports.append(Expired(order.wire_id))

    # -- matching

    def _touched(self, rows: dict[str, Row], end_ns: int) -> list[WorkingOrder]:
        """Return the orders that the bars touch, in order of arrival, their listings ready to be matched."""
        touched: list[WorkingOrder] = []
        for symbol, listing in self._resting.items():
            row = rows.get(symbol)
            if row is not None:
                orders = listing.book.touched_by(row[2], row[1])
                if orders and 0.0 < row[0] < inf and row[2] > 0.0 and row[1] < inf:
                    self._begin(listing, row, end_ns)
                    touched += orders
        if len(touched) > 1:
            touched.sort(key=by_sequence)
        return touched

    def _begin(self, listing: Listing, row: Row, end_ns: int) -> None:
        listing.bar_end_ns = end_ns
        listing.row = row
        listing.open = as_decimal(row[0])
        listing.budget = self._costs.budget(row[4], listing.instrument.lot)

    def _match(self, order: WorkingOrder, bars: Bars, reports: list[Report]) -> None:
        """Fill what the bar gives an order that it touches: at the open, or at a limit that it reaches later."""
        opened = order.listing.open
        limit = order.limit
        if limit is None or (opened <= limit if order.is_buy else opened >= limit):
            self._execute(order, None, opened, bars.start_ns, reports)
        elif self._reaches(order, limit):
            self._execute(order, limit, limit, bars.end_ns, reports)

    def _reaches(self, order: WorkingOrder, limit: Decimal) -> bool:
        """Tell whether the bar trades through the limit of an order that it touches, or to it where that is enough."""
        row = order.listing.row
        extreme = row[2] if order.is_buy else row[1]
        if abs(order.key) != extreme:
            return True
        exact = as_decimal(extreme)
        return self._fills_at_touch if limit == exact else (limit > exact) is order.is_buy

    def _match_close(self, order: WorkingOrder, now_ns: int, reports: list[Report]) -> None:
        """Fill a new order at the close of the bar that has ended at this very instant, if its symbol has one."""
        bars = self._bars
        if bars is None or bars.end_ns != now_ns:
            return
        listing = order.listing
        row = bars.rows.get(listing.symbol)
        if row is None or not 0.0 < row[3] < inf:
            return
        if listing.bar_end_ns != now_ns:
            self._begin(listing, row, now_ns)
        close = as_decimal(row[3])
        limit = order.limit
        if limit is None or (close <= limit if order.is_buy else close >= limit):
            self._execute(order, None, close, now_ns, reports)

    def _execute(
        self, order: WorkingOrder, price: Decimal | None, reference: Decimal, at_ns: int, reports: list[Report]
    ) -> None:
        """Execute what is left of the order as far as the bar's budget goes, and finish the order if that was all.

        Without a `price` the fill is slipped and rounded from the `reference`.
        """
        listing = order.listing
        budget = listing.budget
        quantity = order.remaining
        if budget is not None:
            if not budget:
                return
            if budget < quantity:  # noqa: PLR1730 - min() costs a call and does not say which of two equals it returns
                quantity = budget
            listing.budget = budget - quantity
        if price is None:
            costs = self._costs
            price = (costs.buy_price if order.is_buy else costs.sell_price)(reference, order.limit)
        notional = quantity * price
        commission = order.commission_due
        cumulative = order.record_fill(quantity, notional)
        self._account.book_fill(order, quantity, notional, commission, at_ns)
        slippage = ZERO
        if price is not reference:
            slippage = (price - reference if order.is_buy else reference - price) * quantity
        fill = Fill(
            fill_key=order.broker_order_id + ":" + str(cumulative),
            quantity=quantity,
            price=price,
            at_ns=at_ns,
            commission=commission,
            slippage=slippage,
        )
        reports.append(Executed(order.wire_id, fill, cumulative))
        if not order.remaining:
            self._withdraw(order)
            self._orders.finish(order, DONE)


def _lateness(now_ns: int, not_after_ns: int) -> str:
    return f"{now_ns - not_after_ns} ns after its deadline {not_after_ns}"
