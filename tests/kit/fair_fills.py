"""What a bar may give an order, judged from the journal's fills and the bars alone, with fractions and formulas of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import ceil, sqrt
from statistics import fmean, stdev

import msgspec

from ordersmith.actors.actor import Record
from ordersmith.actors.bars import Bars, Row
from ordersmith.actors.events import (
    OrderCancelRequested,
    OrderFilled,
    OrderIntended,
    OrderReplaced,
    OrderReplaceRequested,
    OrderRestated,
    OrderSubmitted,
)
from ordersmith.actors.model import Order, OrderType, Purpose, Side, TimeInForce
from ordersmith.adapters.simulated.rules import ExchangeRules

EXITS = (Purpose.EXIT, Purpose.PROTECTIVE)
UNIT = Fraction(1, 10_000)
NEW_RATES = 19_865
"""2024-05-22, when section 31 went from 8.00 to 27.80 dollars a million; a share was 0.000166, at most 8.30, all that year."""


def exact(value: Decimal | float) -> Fraction:
    return Fraction(str(value) if isinstance(value, Decimal) else repr(value))


class Execution(msgspec.Struct):
    """A fill with the order that it filled, as it was then, since when that leg was live, and since when the order was."""

    event: OrderFilled
    at_ns: int
    order: Order
    live_ns: int
    first_live_ns: int

    @property
    def sign(self) -> int:
        return 1 if self.event.side is Side.BUY else -1

    @property
    def quantity(self) -> Fraction:
        return exact(self.event.fill.quantity)

    @property
    def price(self) -> Fraction:
        return exact(self.event.fill.price)

    @property
    def cost(self) -> Fraction:
        """What the fill was worse than the market, for all of it."""
        return exact(self.event.fill.slippage) + exact(self.event.fill.impact)

    @property
    def reference(self) -> Fraction:
        """Where the market was."""
        return self.price - self.sign * self.cost / self.quantity


def executions(records: Iterable[Record], rules: ExchangeRules) -> list[Execution]:
    """Return all fills, each with the terms that its order had then. A command arrives a latency after it was sent."""
    submit_ns, cancel_ns = rules.latency_submit_ns, rules.latency_cancel_ns
    orders: dict[str, Order] = {}
    arrival_ns: dict[str, int] = {}  # of each order's last command
    live: dict[str, int] = {}
    first: dict[str, int] = {}
    legs: dict[str, int] = {}
    found = []
    for record in records:
        event = record.event
        key = getattr(event, "client_order_id", "")
        if isinstance(event, OrderSubmitted):
            orders[key] = event.order
        elif isinstance(event, OrderIntended):
            arrival_ns[key] = live[key] = first[key] = record.at_ns + submit_ns
        elif isinstance(event, OrderReplaceRequested):
            arrival_ns[key] = legs[event.wire_id] = max(record.at_ns + submit_ns, arrival_ns[key])
        elif isinstance(event, OrderCancelRequested):
            arrival_ns[key] = max(record.at_ns + cancel_ns, arrival_ns.get(key, 0))
        elif isinstance(event, OrderReplaced | OrderRestated):
            orders[key] = event.terms.applied_to(orders[key])
            if isinstance(event, OrderReplaced):
                live[key] = legs[event.wire_id]
        elif isinstance(event, OrderFilled):
            found.append(Execution(event, record.at_ns, orders[key], live[key], first[key]))
    return found


class FairFills:
    """Looks at one fill after another, in order. The prices of `adjusted` symbols are not those of the bars before."""

    def __init__(self, rules: ExchangeRules, bars: list[Bars], adjusted: set[str]) -> None:
        self.rules = rules
        self.bars = bars
        self.adjusted = adjusted
        self.by_end = {each.end_ns: each for each in bars}
        self.in_bar: dict[tuple[int, str], list[Execution]] = {}

    def check(self, each: Execution) -> None:
        """Fail if the bar or the order did not allow this fill."""
        bars, symbol = self.by_end[each.at_ns], each.event.symbol
        row = bars.rows[symbol]
        before = self.in_bar.setdefault((each.at_ns, symbol), [])
        _, high, low, _, volume = map(exact, row)
        assert low <= each.reference <= high
        self._check_budget(each, before, volume)
        at_close = self._check_time(each, bars, before, row)
        self._check_order(each, bars, row, at_close)
        self._check_limit_and_stop(each, bars, row)
        self._check_cost(each)
        self._check_impact(each, bars)
        before.append(each)

    def _check_budget(self, each: Execution, before: list[Execution], volume: Fraction) -> None:
        taken = each.quantity + sum((other.quantity for other in before), Fraction(0))
        assert self.rules.participation is not None
        assert taken <= exact(self.rules.participation) * volume

    def _check_time(self, each: Execution, bars: Bars, before: list[Execution], row: Row) -> bool:
        """Tell whether the order came when the bar had ended, which only few may; every other was there before it began."""
        order, rules = each.order, self.rules
        assert bars.regular or order.extended_hours
        if each.live_ns <= bars.start_ns or (order.time_in_force is TimeInForce.CLS and each.live_ns < bars.end_ns):
            return False
        assert each.live_ns == bars.end_ns
        if rules.fill == "close" and each.reference == exact(row[3]):
            return True
        assert rules.same_bar_exits
        assert order.purpose in EXITS
        assert order.order_type is not OrderType.MARKET
        entries = [other for other in before if other.sign != each.sign]
        assert any(_comes_after(row, entry.reference, each.reference, rules.path) for entry in entries)
        return True

    def _check_order(self, each: Execution, bars: Bars, row: Row, at_close: bool) -> None:
        """What an order's type and time in force ask of the bar and of the market's price."""
        order, in_force, opened = each.order, each.order.time_in_force, exact(row[0])
        session = [
            other
            for other in self.bars
            if other.session == bars.session and other.regular and each.event.symbol in other.rows
        ]
        if in_force is TimeInForce.CLS:
            assert bars.closes_session
            assert each.reference == exact(row[3])
        elif in_force is TimeInForce.OPG:
            assert bars is session[0]
            assert each.reference == opened
        elif in_force in (TimeInForce.IOC, TimeInForce.FOK) and not at_close:
            assert each.reference == opened
            met = [other for other in self.bars if other.start_ns >= each.live_ns and each.event.symbol in other.rows]
            assert bars is next(other for other in met if other.regular)
        elif in_force is TimeInForce.DAY:
            assert bars is self.by_end.get(each.live_ns) or bars.session == self._day_of(each)
        if in_force is TimeInForce.FOK:
            assert each.event.fill.quantity == order.quantity
        if order.order_type is OrderType.MARKET and in_force is not TimeInForce.CLS:
            assert each.reference == (exact(row[3]) if at_close else opened)
        if each.event.fill.at_ns == bars.start_ns:
            assert each.reference == opened

    def _day_of(self, each: Execution) -> int:
        """Return the session that a DAY order belongs to: the first that ends after its arrival."""
        if each.order.extended_hours:
            return next(bars.session for bars in self.bars if bars.end_ns > each.live_ns)
        return next(
            (b.session for b in self.bars if b.end_ns > each.live_ns and b.closes_session), self.bars[-1].session
        )

    def _check_limit_and_stop(self, each: Execution, bars: Bars, row: Row) -> None:
        order, sign, was_there = each.order, each.sign, each.live_ns <= bars.start_ns
        if order.limit_price is not None:
            limit = exact(order.limit_price)
            assert sign * (limit - each.price) >= 0
            if order.order_type is OrderType.LIMIT and was_there and each.event.fill.at_ns == bars.end_ns:
                closing = order.time_in_force is TimeInForce.CLS
                beyond = sign * (limit - exact(row[2 if sign > 0 else 1]))
                assert closing or (each.reference == limit and beyond >= 0)
                assert closing or beyond > 0 or self.rules.limit_fill == "touch"
        if order.symbol in self.adjusted:
            return
        if order.stop_price is not None:
            met = [other for other in self._seen(each) if self._triggers(other, order)]
            assert met  # and once it is triggered it may have to wait for volume, or for its limit
            assert met[0] is not bars or sign * (each.reference - exact(order.stop_price)) >= 0 or order.limit_price
        if order.order_type is OrderType.TRAILING_STOP:
            self._check_trail(each)

    def _check_trail(self, each: Execution) -> None:
        """A trailing stop trades no nearer to the best price that it can have seen than its trail, unless a bar before triggered it."""
        order, sign = each.order, each.sign
        known = [b for b in self.bars if b.end_ns <= each.first_live_ns and order.symbol in b.rows]
        seen = [exact(known[-1].rows[order.symbol][3])] if known else []
        for bars in self._seen(each):
            _, high, low, _, _ = map(exact, bars.rows[order.symbol])
            best, worst = (low, high) if sign > 0 else (high, low)
            seen.append(best)
            mark = min(seen) if sign > 0 else max(seen)
            trail = mark * exact(order.trail_percent or 0) / 100 + exact(order.trail_amount or 0)
            if bars.end_ns == each.at_ns:
                assert sign * (each.reference - mark) >= trail
            elif sign * (worst - mark) >= trail:
                return

    def _triggers(self, bars: Bars, order: Order) -> bool:
        """Tell whether the market was at the order's stop, or beyond, in these bars."""
        _, high, low, _, _ = map(exact, bars.rows[order.symbol])
        assert order.stop_price is not None
        return high >= exact(order.stop_price) if order.side is Side.BUY else low <= exact(order.stop_price)

    def _seen(self, each: Execution) -> Iterator[Bars]:
        """Yield the bars that the order may have met, up to that of the fill."""
        for bars in self.bars:
            is_at_once = each.order.purpose in EXITS or self.rules.fill == "close"
            there = bars.start_ns >= each.first_live_ns or bars.end_ns == each.at_ns
            there = there or (is_at_once and bars.end_ns == each.first_live_ns)
            if there and bars.regular and bars.end_ns <= each.at_ns and each.order.symbol in bars.rows:
                yield bars

    def _check_cost(self, each: Execution) -> None:
        """A price is worse than the market by what the rules say and less than one increment, and never better."""
        rules, fill = self.rules, each.event.fill
        most = each.reference * exact(rules.slippage) + exact(rules.slippage_fixed) + exact(rules.price_increment)
        most += (exact(fill.impact) + UNIT) / each.quantity if fill.impact else 0
        assert fill.slippage >= 0
        assert fill.impact >= 0
        assert 0 <= each.sign * (each.price - each.reference) < most
        assert each.price >= 0

    def _check_impact(self, each: Execution, bars: Bars) -> None:
        """Impact is coefficient x volatility x square root of quantity / volume, of the sessions before, where a limit leaves room."""
        rules, fill, symbol = self.rules, each.event.fill, each.event.symbol
        if rules.impact is None:
            assert not fill.impact
            return
        if symbol in self.adjusted:
            return
        sessions: dict[int, list[Row]] = {}
        for other in self.bars:
            if other.session < bars.session and symbol in other.rows:
                sessions.setdefault(other.session, []).append(other.rows[symbol])
        closes = [rows[-1][3] for rows in sessions.values()][-rules.impact_sessions - 1 :]
        volumes = [sum(row[4] for row in rows) for rows in sessions.values()][-rules.impact_sessions :]
        expected = 0.0
        if len(closes) > 2 and any(volumes):
            volatility = stdev(after / before - 1 for before, after in pairwise(closes))
            move = float(rules.impact) * volatility * sqrt(float(each.quantity) / fmean(volumes))
            expected = float(each.reference) * move * float(each.quantity)
        assert float(fill.impact) <= expected * (1 + 1e-9) + 0.00006
        if each.order.limit_price is None and fill.price:
            assert float(fill.impact) >= expected * (1 - 1e-9) - 0.00006


def _comes_after(row: Row, before: Fraction, after: Fraction, path: str) -> bool:
    """Tell whether a path of the bar reaches `after` at or after the moment when it first reached `before`."""
    opened, high, low, closed, _ = map(exact, row)
    low_first, high_first = (opened, low, high, closed), (opened, high, low, closed)
    paths = (low_first, high_first)
    if path == "adaptive":
        paths = (low_first,) if opened - low <= high - opened else (high_first,)
    for points in paths:
        for index, (start, end) in enumerate(pairwise(points)):
            if min(start, end) <= before <= max(start, end):
                rest = (before, *points[index + 1 :])
                if min(rest) <= after <= max(rest):
                    return True
                break
    return False


def check_charges(found: list[Execution], rules: ExchangeRules, by_end: dict[int, Bars], forced: set[int]) -> None:
    """Fail unless each order paid its commission, and each day's sales their fees. Days with forced sales are left out."""
    filled: dict[str, tuple[Fraction, Fraction, Fraction]] = {}
    sales: dict[int, tuple[Fraction, Fraction, Fraction]] = {}
    for each in found:
        fill, key = each.event.fill, each.event.client_order_id
        notional = each.quantity * each.price
        quantity, traded, paid = filled.get(key, (Fraction(0),) * 3)
        paid += exact(fill.commission) - exact(fill.fees)
        filled[key] = quantity, traded, _ = quantity + each.quantity, traded + notional, paid
        assert paid == _commission(rules, quantity, traded)
        assert not fill.fees or (rules.regulatory_fees and each.sign < 0)
        if each.sign < 0:
            session = by_end[each.at_ns].session
            rate = Fraction("27.80") if session >= NEW_RATES else Fraction(8)
            value, shares, fees = sales.get(session, (Fraction(0),) * 3)
            share = min(each.quantity * Fraction("0.000166"), Fraction("8.30"))
            sales[session] = value + notional * rate / 1_000_000, shares + share, fees + exact(fill.fees)
    if rules.regulatory_fees:
        for session, (value, shares, fees) in sales.items():
            assert session in forced or fees == Fraction(ceil(value * 100) + ceil(shares * 100), 100)


def _commission(rules: ExchangeRules, quantity: Fraction, notional: Fraction) -> Fraction:
    """Return what an order costs by the rules, rounded half up to the unit."""
    charge = exact(rules.commission) + quantity * exact(rules.commission_per_share)
    charge = max(charge + notional * exact(rules.commission_fraction), exact(rules.commission_minimum))
    if rules.commission_maximum is not None:
        charge = min(charge, notional * exact(rules.commission_maximum))
    return int(charge / UNIT + Fraction(1, 2)) * UNIT
