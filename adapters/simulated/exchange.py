"""The simulated exchange: commands in, reports out, no clock and no I/O of its own.

What holds, whatever the caller does:

- The bar that ends is matched first, then what ends with its session expires; only then does anybody see the bar.
- An order is live from the first bar of its symbol that begins at or after its arrival. One that arrives inside a bar
  waits for the next: the open of the first had passed, and its range does not tell what came after the arrival.
- With `fill: close` an order first meets the close of the bar that ended at the very instant of its arrival. What does
  not fill there, or has no such bar, rests and is matched like any other: a market order at the next open. A
  replacement never meets a bar that has ended, because its order was there before.
- An exit that answers a fill of the bar that has just ended may meet the rest of that bar (`same_bar.py`).
- Orders share a bar's budget in the order in which the bar reaches them (`matching.py`). Nothing fills twice from one bar.
- Bars outside of a session's regular hours are for orders with `extended_hours` alone. Such a DAY order lasts until the
  first bars of another date, every other until the close of its session.
- A replacement keeps the order's fills and loses its place. Of a replaced order only the last leg can be cancelled or
  replaced, and a status names that leg.
- The same commands and bars give the same reports.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn

from msgspec.structs import replace

from ...actors.bars import Bars
from ...actors.model import Order, OrderType, Purpose, Side, TimeInForce
from ...actors.ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    CancelRequest,
    Command,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    Expired,
    Instruments,
    NewOrder,
    OrderAbsent,
    Rejected,
    Replaced,
    ReplaceRefused,
    ReplaceRequest,
    Report,
    StatusRequest,
)
from ...actors.snapshots import AccountSnapshot, SyncAccount
from .accounts import account_of
from .book import Book, Listing
from .charges import Charges
from .costs import costs_of
from .executions import executions_of
from .hours import Hours, Sessions
from .impact import impact_of
from .matching import AUCTIONS, Matching
from .open_orders import OpenOrders
from .orders import NOT_PRICED, OrderIndex, WorkingOrder, leg_refusal, trigger_refusal
from .overnight import Overnight
from .rules import ExchangeRules, Refusal, RefusalCode, refusal
from .same_bar import SameBar
from .sending import too_late
from .terms import CAPABILITIES, terms_refusal, trail_of

__all__ = ["ExchangeRules", "SimulatedExchange"]

# Looked up once: the members of an enum cost more than the orders that they describe.
BUY, DAY, GTC = Side.BUY, TimeInForce.DAY, TimeInForce.GTC
OPG, CLS = TimeInForce.OPG, TimeInForce.CLS
MARKET, LIMIT, TRAILING_STOP = OrderType.MARKET, OrderType.LIMIT, OrderType.TRAILING_STOP
CANCELLED, EXPIRED = BrokerOrderState.CANCELLED, BrokerOrderState.EXPIRED
ENTRY = Purpose.ENTRY


class _Handlers(dict[type, Callable[[Any, int], list[Report]]]):
    """What the exchange does for each kind of command."""

    def __missing__(self, kind: type) -> NoReturn:
        known = ", ".join(each.__name__ for each in self)
        raise TypeError(f"command: {kind.__name__} is none that the exchange takes; give one of {known}")


class SimulatedExchange:
    """One account at one exchange. Feed it `handle` and `on_bars` in order of time.

    `shown` is to be set to bars once whoever sends orders has seen more of them than the reports tell: then nothing
    trades in what was left of them.
    """

    def __init__(
        self,
        rules: ExchangeRules,
        instruments: Instruments,
        account: str = "main",
        sessions: Sessions | None = None,
        index: OrderIndex | None = None,
    ) -> None:
        self.rules = rules
        self.account_id = account
        self._account = account_of(rules)
        self._charges = Charges(rules, self._account.warn)
        self._commission = rules.commission
        self._charges_by_size = not self._charges.schedule.is_flat
        self._fills_at_close = rules.fill == "close"
        costs = costs_of(rules)
        impact = impact_of(rules, self._account.warn)
        self._orders = OrderIndex() if index is None else index
        self._book = Book(self._account, instruments, costs.sure_part, self._orders)
        self._listings, self._resting, self._day = self._book.listings, self._book.resting, self._book.day
        executions = executions_of(rules, self._account, self._book, costs, self._charges, impact)
        self._matching = Matching(rules, self._book, executions)
        self._same_bar = SameBar(self._matching) if rules.same_bar_exits else None
        self._hours = Hours(rules, sessions)
        self._asks_hours = rules.outside_session == "refuse"
        orders = OpenOrders(self._account, self._book, self._charges)
        self._overnight = Overnight(rules, self._account, account, orders, costs, self._charges, impact)
        self._attended: int | None = None  # the session at whose begin there is nothing left to do
        self._see = self._account.rows.update if impact is None else impact.seeing(self._account.rows)
        self._sequence = 0
        self._id_prefix = account + "-"
        self._bars: Bars | None = None
        self.shown: Bars | None = None
        self.handlers = _Handlers(
            {
                NewOrder: self._new,
                CancelRequest: self._cancel,
                ReplaceRequest: self._replace,
                StatusRequest: self._status,
                SyncAccount: self._sync,
                Connect: self._connect,
                Disconnect: self._disconnect,
            }
        )

    @property
    def cash(self) -> Decimal:
        return self._account.cash

    @property
    def positions(self) -> dict[str, Decimal]:
        """Quantities held, by symbol; negative when short."""
        return {position.symbol: position.quantity for position in self._account.positions()}

    @property
    def accrued(self) -> Decimal:
        """Dividends declared and not yet paid; negative where the account owes them."""
        return self._account.accrued

    @property
    def warnings(self) -> list[str]:
        """What a person should know of the account, such as cash below zero; the first thousand."""
        return self._account.warnings

    def buying_power(self) -> Decimal:
        """Return what new orders may cost, open orders already taken off."""
        return self._account.buying_power()

    def handle(self, command: Command, now_ns: int) -> list[Report]:
        """Do what `command` asks at `now_ns` and return the answers. A command of another kind raises TypeError."""
        return self.handlers[type(command)](command, now_ns)

    def on_bars(self, bars: Bars) -> list[Report]:
        """Match the bars that end now, then expire what ends with them. Show the bars to others afterwards.

        A session whose last bars never came ends with the first bars of another.
        """
        reports: list[Report] = []
        if bars.session != self._attended:
            self._begin_session(bars, reports)
        self._bars = bars
        see = self._see
        see(bars.rows)
        if self._resting:
            self._matching.match(bars, reports)
        if bars.closes_session:
            self._end_session(bars, reports)
        return reports

    def _begin_session(self, bars: Bars, reports: list[Report]) -> None:
        """Do what comes before a session's first bars, the first regular ones, and the next ones while a margin call waits."""
        before, hours = self._bars, self._hours
        if before is not None and before.session != bars.session:
            if hours.closed != before.session:
                self._end_session(before, reports)
            if self._day:
                self._expire(before.end_ns, reports, extended_hours=True)
        self._overnight.begin(before, bars, reports)
        if bars.regular:
            hours.opened = bars.session
            self._book.open_auction(bars.session, bars.start_ns)
        is_done = hours.opened == bars.session and not self._overnight.has_called
        self._attended = bars.session if is_done else None

    def _end_session(self, bars: Bars, reports: list[Report]) -> None:
        """End a session with its last bars, which are its closing ones if they say so."""
        self._hours.closed = bars.session
        if bars.closes_session:
            self._matching.match_closing(bars, reports)
        if self._day:
            self._expire(bars.end_ns, reports, extended_hours=False)
        self._overnight.end(reports)

    # -- commands

    def _connect(self, command: Connect, now_ns: int) -> list[Report]:
        return [Connected(self.account_id, CAPABILITIES)]

    def snapshot(self, as_of: int, asked_ns: int = 0) -> AccountSnapshot:
        """Return the whole account. Executions are not kept: the orders' cumulative quantities stand for them."""
        cash, held, listed = self._account.cash, self._account.positions(), self._orders.listed()
        return AccountSnapshot(as_of, cash, held, listed, asked_ns=asked_ns)

    def _sync(self, command: SyncAccount, now_ns: int) -> list[Report]:
        return [self.snapshot(command.as_of, command.asked_ns)]

    def _disconnect(self, command: Disconnect, now_ns: int) -> list[Report]:
        return [Disconnected("requested")]

    def _new(self, command: NewOrder, now_ns: int) -> list[Report]:
        wire_id, terms = command.wire_id, command.order
        base_id = wire_id.rpartition(".")[0] or wire_id  # base_id_of, without the call
        if now_ns > command.not_after_ns or self._orders.knows(base_id):
            return [_not_taken(command, base_id, now_ns)]
        listing = self._listings.get(terms.symbol) or self._book.list(terms.symbol)
        if listing is None:
            text = f"symbol: {terms.symbol} is not traded here"
            return self._reject(wire_id, base_id, refusal(RefusalCode.UNKNOWN_SYMBOL, text))
        kind, in_force = terms.order_type, terms.time_in_force
        is_day, limit, quantity = in_force is DAY, terms.limit_price, terms.quantity
        plain = (kind is MARKET or kind is LIMIT) and (is_day or in_force is GTC)
        refused = terms_refusal(listing.instrument, terms, plain)
        if not plain or self._asks_hours:
            refused = refused or self._hours.refusal(terms, now_ns) or self._trail_refusal(terms, listing)
        if refused is not None:
            return self._reject(wire_id, base_id, refused)
        price = limit
        if price is None:
            price = self._account.last_price(listing.holding) if kind is MARKET else self._worst_price(terms, listing)
            if price is None:
                text = f"symbol: {listing.symbol} has no last price; a {kind} order needs one, a limit order does not"
                return self._reject(wire_id, base_id, refusal(RefusalCode.NO_MARKET_DATA, text))
        is_buy, sequence = terms.side is BUY, self._sequence + 1
        broker_order_id = f"{self._id_prefix}{sequence}"
        due = self._charges.due(quantity, price) if self._charges_by_size else self._commission
        key, queue = NOT_PRICED, None
        if limit is not None:  # as Book.place does it
            key, queue = (float(limit), listing.below) if is_buy else (-float(limit), listing.above)
        order = WorkingOrder(  # by position: by name it costs twice as much
            wire_id,
            broker_order_id,
            base_id,
            terms,
            listing,
            is_buy,
            is_day,
            quantity,
            quantity,
            limit,
            price,
            due,
            sequence,
            now_ns,
            key,
            queue,
        )
        refused = self._account.hold(order)
        if refused is not None:
            return self._reject(wire_id, base_id, refused)
        self._sequence = sequence
        if not plain:
            self._prepare(order, now_ns)
        self._book.rest(order)
        reports: list[Report] = [Accepted(wire_id, broker_order_id)]
        if terms.purpose is not ENTRY or self._fills_at_close:
            self._match_at_once(order, now_ns, reports)
        return reports

    def _reject(self, wire_id: str, base_id: str, why: Refusal) -> list[Report]:
        self._orders.reject(base_id, wire_id)
        return [Rejected(wire_id, why.code, why.text)]

    def _match_at_once(self, order: WorkingOrder, now_ns: int, reports: list[Report]) -> None:
        """Let a new order meet what it may of the bars that have ended at this very instant."""
        bars = self._bars
        if bars is None or bars.end_ns != now_ns:
            return
        rest = None if self._same_bar is None or bars is self.shown else self._same_bar.rest(order, bars)
        if rest is not None:
            self._matching.match_rest(order, rest, now_ns, reports)
        if self._fills_at_close and len(reports) == 1 and order.moment not in AUCTIONS:
            self._matching.match_close(order, bars, reports)

    def _trail_refusal(self, terms: Order, listing: Listing) -> Refusal | None:
        """Return why a trailing stop would have no price to stop at."""
        last = self._account.last_price(listing.holding)
        amount = terms.trail_amount
        if amount is None or last is None or terms.side is BUY or amount < last:
            return None
        return refusal(RefusalCode.BAD_PRICE, f"trail_amount: {amount} is not below the last price {last}")

    def _worst_price(self, terms: Order, listing: Listing) -> Decimal | None:
        """Return what a share of a stop order is reserved at: its stop, where the market has not passed that."""
        last = self._account.last_price(listing.holding)
        stop = terms.stop_price
        if stop is not None:
            return stop if last is None else max(stop, last)
        if last is None:
            return None
        return last + trail_of(terms, last) if terms.side is BUY else last

    def _prepare(self, order: WorkingOrder, now_ns: int) -> None:
        """Set what a leg that is no market order waits for, and where."""
        asked = order.asked
        in_force = asked.time_in_force
        if in_force is not DAY and in_force is not GTC:
            order.moment, order.plain = in_force, False
            order.is_day = in_force is CLS  # an OPG order when its session has opened
            if in_force is OPG:
                order.first_session = self._hours.first_session(now_ns)
        elif not order.triggered and asked.order_type is not LIMIT and asked.order_type is not MARKET:
            order.plain = False
            order.stop = asked.stop_price
            if asked.order_type is TRAILING_STOP:
                order.mark = order.mark or self._account.last_price(order.listing.holding) or order.claim_price
                order.stop = order.trailing_stop()
        self._book.place(order)

    def _cancel(self, command: CancelRequest, now_ns: int) -> list[Report]:
        order = self._orders.working(command.wire_id)
        if isinstance(order, Refusal):
            return [CancelRefused(command.wire_id, order.code, order.text)]
        self._account.release(order)
        self._book.withdraw(order)
        order.listing.ended_ns = now_ns
        self._orders.finish(order, CANCELLED)
        return [Cancelled(order.wire_id)]

    def _replace(self, command: ReplaceRequest, now_ns: int) -> list[Report]:
        if now_ns > command.not_after_ns:
            return [too_late(command, now_ns)]
        order = self._orders.working(command.wire_id)
        if isinstance(order, Refusal):
            return [ReplaceRefused(command.new_wire_id, order.code, order.text)]
        asked = command.terms.applied_to(order.asked)
        refused = self._replace_refusal(order, command, asked, now_ns)
        if refused is not None:
            return [ReplaceRefused(command.new_wire_id, refused.code, refused.text)]
        price = asked.limit_price
        if price is None:
            price = self._worst_price(asked, order.listing) or order.claim_price
        sequence = self._sequence + 1
        quantity, limit = command.terms.quantity, command.terms.limit_price
        leg = replace(
            order,
            wire_id=command.new_wire_id,
            broker_order_id=self._id_prefix + str(sequence),
            earlier_wire_ids=(*order.earlier_wire_ids, order.wire_id),
            asked=asked,
            quantity=quantity,
            remaining=quantity - order.filled if order.filled else quantity,
            limit=limit,
            claim_price=price,
            sequence=sequence,
            arrived_ns=now_ns,
        )
        if self._charges_by_size:
            leg.commission_due = self._charges.still_due(leg, leg.remaining, price)
        refused = self._account.hold(leg, order)
        if refused is not None:
            return [ReplaceRefused(leg.wire_id, refused.code, refused.text)]
        self._sequence = sequence
        self._book.withdraw(order)
        order.listing.ended_ns = now_ns
        self._prepare(leg, now_ns)
        self._book.rest(leg)
        return [Replaced(leg.wire_id, leg.broker_order_id, command.terms)]

    def _replace_refusal(
        self, order: WorkingOrder, command: ReplaceRequest, asked: Order, now_ns: int
    ) -> Refusal | None:
        wire_id, quantity = command.new_wire_id, command.terms.quantity
        refused = leg_refusal(order, wire_id)
        if refused is not None:
            return refused
        refused = terms_refusal(order.listing.instrument, asked) or trigger_refusal(order, asked)
        if refused is None and order.moment is not None:
            refused = self._hours.refusal(asked, now_ns)
        if refused is not None:
            return refused
        if quantity <= order.filled:
            text = f"quantity: {order.filled} are filled already; give a new total above that, not {quantity}"
            return refusal(RefusalCode.TOO_LATE, text)
        return None

    def _status(self, command: StatusRequest, now_ns: int) -> list[Report]:
        found = self._orders.summary(command.wire_id)
        return [OrderAbsent(command.wire_id, asked_ns=command.asked_ns) if found is None else found.report()]

    def _expire(self, end_ns: int, reports: list[Report], extended_hours: bool) -> None:
        """Expire the DAY orders, of one kind of hours, that arrived before `end_ns`, in order of arrival."""
        for _, order in sorted(self._day.items()):
            if order.arrived_ns < end_ns and order.asked.extended_hours is extended_hours:
                self._book.close(order, EXPIRED)
                order.listing.ended_ns = end_ns
                reports.append(Expired(order.wire_id))


def _not_taken(command: NewOrder, base_id: str, now_ns: int) -> Report:
    """Return what is said of an order that comes too late, or a second time; nothing is remembered of it."""
    if now_ns > command.not_after_ns:
        return too_late(command, now_ns)
    text = f"wire_id: the order {base_id} of {command.wire_id} was sent before"
    return Rejected(command.wire_id, RefusalCode.DUPLICATE_ORDER_ID.value, text)
