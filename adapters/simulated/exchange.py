"""The simulated exchange: commands in, reports out, no clock and no I/O of its own.

What holds, whatever the caller does:

- The bar that ends is matched first, then what ends with its session expires; only then does anybody see the bar.
- An order is live from the first bar of its symbol that begins at or after its arrival. One that arrives inside a bar
  waits for the next: the open of the first had passed, and its range does not tell what came after the arrival.
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

from msgspec.structs import replace

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
    Rejected,
    Replaced,
    ReplaceRefused,
    ReplaceRequest,
    Report,
    StatusRequest,
)
from .account import ACCOUNT_TYPES
from .book import NOT_LIMITED, Listing
from .costs import Costs, as_decimal
from .orders import OrderIndex, WorkingOrder, leg_refusal
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
        try:
            handler = self._handlers[type(command)]
        except KeyError:
            known = ", ".join(kind.__name__ for kind in self._handlers)
            name = type(command).__name__
            raise TypeError(f"command: {name} is none that the exchange takes; give one of {known}") from None
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
        if before is not None and before.session != bars.session and self._day:
            self._expire(before.end_ns, reports)
        start_ns = bars.start_ns
        for order in self._touched(bars.rows, bars.end_ns):
            if order.arrived_ns > start_ns:
                continue
            if order.limit is None:
                self._execute(order, None, order.listing.open, start_ns, reports)
            else:
                self._match_limit(order, order.limit, bars, reports)
        if bars.closes_session and self._day:
            self._expire(bars.end_ns, reports)
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
        base_id = wire_id.rpartition(".")[0] or wire_id  # base_id_of, without the call
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
        refused = account.order_refusal(listing.holding, is_buy, quantity, price, self._commission)
        if refused is not None:
            return refused
        self._sequence = sequence = self._sequence + 1
        order = WorkingOrder(
            wire_id=command.wire_id,
            broker_order_id=self._id_prefix + str(sequence),
            base_id=base_id,
            listing=listing,
            is_buy=is_buy,
            is_day=terms.time_in_force is DAY,
            quantity=quantity,
            remaining=quantity,
            limit=limit,
            key=NOT_LIMITED if limit is None else float(limit) if is_buy else -float(limit),
            claim_price=price,
            commission_due=self._commission,
            sequence=sequence,
            arrived_ns=now_ns,
        )
        self._rest(order)
        return order

    def _list(self, symbol: str) -> Listing | None:
        instrument = self._instruments.get(symbol)
        if instrument is None:
            return None
        holding = self._account.holding(symbol)
        self._listings[symbol] = listing = Listing(symbol, instrument, holding, self._costs.sure_part)
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
        self._sequence = sequence = self._sequence + 1
        quantity, limit = command.quantity, command.limit_price
        leg = replace(
            order,
            wire_id=command.new_wire_id,
            broker_order_id=self._id_prefix + str(sequence),
            earlier_wire_ids=(*order.earlier_wire_ids, order.wire_id),
            quantity=quantity,
            remaining=quantity - order.filled if order.filled else quantity,
            limit=limit,
            key=NOT_LIMITED if limit is None else float(limit) if order.is_buy else -float(limit),
            claim_price=price,
            sequence=sequence,
            arrived_ns=now_ns,
        )
        self._rest(leg)
        return [Replaced(leg.wire_id, leg.broker_order_id, quantity, limit)]

    def _replace_refusal(self, order: WorkingOrder, command: ReplaceRequest, price: Decimal) -> Refusal | None:
        wire_id, quantity = command.new_wire_id, command.quantity
        refused = leg_refusal(order, wire_id)
        if refused is not None:
            return refused
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
        return [OrderAbsent(command.wire_id) if found is None else found.report()]

    # -- the book

    def _rest(self, order: WorkingOrder) -> None:
        """Put a leg of an order, the first or a replacement, at the end of the queue."""
        listing = order.listing
        self._orders.open[order.base_id] = order
        self._resting[listing.symbol] = listing
        self._account.hold(order)
        if order.limit is None:
            listing.markets[order.sequence] = order
        else:
            (listing.bids if order.is_buy else listing.asks).add(order)
        if order.is_day:
            self._day[order.sequence] = order

    def _withdraw(self, order: WorkingOrder) -> None:
        """Take a leg of an order out of the book."""
        listing = order.listing
        if order.limit is None:
            del listing.markets[order.sequence]
        else:
            (listing.bids if order.is_buy else listing.asks).remove(order)
        if not (listing.markets or listing.bids.keys or listing.asks.keys):
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
            if row is None:
                continue
            opened, high, low, _, _ = row
            markets, bids, asks = listing.markets, listing.bids, listing.asks
            if not (markets or bids.best >= low or asks.best >= -high):
                continue
            if 0.0 < opened < inf and low > 0.0 and high < inf:
                listing.begin(row, end_ns)
                touched += markets.values()
                if bids.best >= low:
                    bids.collect(low, touched)
                if asks.best >= -high:
                    asks.collect(-high, touched)
        if len(touched) > 1:
            touched.sort(key=by_sequence)
        return touched

    def _match_limit(self, order: WorkingOrder, limit: Decimal, bars: Bars, reports: list[Report]) -> None:
        """Fill what the bar gives a limit order that it touches: at a better open, or at the limit that it reaches."""
        opened = order.listing.open
        if opened <= limit if order.is_buy else opened >= limit:
            self._execute(order, None, opened, bars.start_ns, reports)
        elif order.listing.reaches(order, limit, self._fills_at_touch):
            self._execute(order, limit, limit, bars.end_ns, reports)

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
            listing.begin(row, now_ns)
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
        quantity = order.remaining
        taken = listing.taken + quantity
        if taken > listing.ample:
            left = self._costs.budget(listing.row[4], listing.instrument.lot) - listing.taken
            quantity = min(quantity, left)  # of two equals the first, by which a full fill is told below
            if not quantity:
                return
            taken = listing.taken + quantity
        listing.taken = taken
        slippage = ZERO
        if price is None:
            price = self._costs.market_price(reference, order.is_buy, order.limit)
            if price is not reference:
                slippage = abs(price - reference) * quantity
        notional = quantity * price
        if quantity is order.remaining:
            order.remaining = ZERO
            cumulative = order.quantity
        else:
            cumulative = order.filled + quantity
            order.remaining = order.quantity - cumulative
        order.filled = cumulative
        order.notional += notional
        commission = order.commission_due
        if commission:
            order.commission = commission
            order.commission_due = ZERO
        self._account.book_fill(order, quantity, notional, commission, at_ns)
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
