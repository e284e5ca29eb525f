"""Whatever the strategy does and however the market is set, the books are exact and nobody gets what the bar did not give.

The bookkeeping here is its own: fractions, summed anew from the journal's fills; only the fills are the run's.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
from books import disagreements
from hypothesis import HealthCheck, given, settings
from random_trading import ACTIONS_OF_COMPANIES, PLANS, SETTINGS, STEPS, SYMBOLS, RandomRun

from ordersmith.actors.actor import Record
from ordersmith.actors.bars import Bars, CorporateAction, CorporateActionKind
from ordersmith.actors.events import (
    CashMoved,
    DividendAccrued,
    OrderFilled,
    OrderReplaced,
    OrderRestated,
    OrderSubmitted,
    PositionAdjusted,
)
from ordersmith.actors.machines.exposure import Exposure
from ordersmith.actors.machines.position import Ledger
from ordersmith.actors.model import Order, OrderStatus, OrderType, Side, TimeInForce
from ordersmith.actors.ports import AdjustmentCause, CashKind
from ordersmith.supervisor.result import BacktestResult

PROFILE = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


SLACK = Fraction(1, 10**9)
"""How far equity may be off by last prices that were counted in new shares: they are floats."""


def exact(value: Decimal | float) -> Fraction:
    return Fraction(str(value) if isinstance(value, Decimal) else repr(value))


class Execution(msgspec.Struct):
    """A fill with the order that it filled, as it was then, and since when it was live."""

    event: OrderFilled
    at_ns: int
    order: Order
    live_ns: int

    @property
    def sign(self) -> int:
        return 1 if self.event.side is Side.BUY else -1


def executions(records: Iterator[Record]) -> list[Execution]:
    """Return all fills, each with the terms that its order had then."""
    legs: dict[str, tuple[Order, int]] = {}
    found = []
    for record in records:
        event = record.event
        if isinstance(event, OrderSubmitted):
            legs[event.client_order_id] = (event.order, record.at_ns)
        elif isinstance(event, OrderReplaced | OrderRestated):
            order, live_ns = legs[event.client_order_id]
            live_ns = record.at_ns if isinstance(event, OrderReplaced) else live_ns
            legs[event.client_order_id] = (event.terms.applied_to(order), live_ns)
        elif isinstance(event, OrderFilled):
            order, live_ns = legs[event.client_order_id]
            found.append(Execution(event, record.at_ns, order, live_ns))
    return found


class Auditor:
    """Goes through a run bar by bar and compares everybody's books."""

    def __init__(self, run: RandomRun) -> None:
        self.run = run
        self.last: dict[str, Fraction] = {}
        self.result = BacktestResult(run.backtest, 1.0)

    def audit(self) -> list[Execution]:
        for bars in self.run:
            for action in bars.actions:  # until its next bar a symbol's last price is what the action makes of it
                if action.symbol in self.last:
                    left = max(self.last[action.symbol] - exact(action.amount), Fraction(0))
                    self.last[action.symbol] = left / exact(action.ratio)
            self.last |= {symbol: exact(bars.close(symbol)) for symbol in bars}
            self.agree()
            self.balance()
        return executions(self.result.records())

    def view(self, name: str) -> Any:
        return self.run.backtest.dispatcher.view(name)

    def agree(self) -> None:
        """Positions, gate and exchange hold the same; an order is reserved for exactly while it is open."""
        ledger: Ledger = self.view("positions")
        exposure: Exposure = self.view("risk_gate").exposure
        account, risk = ledger.accounts["main"], exposure.accounts["main"]
        held = {symbol: holding.quantity for symbol, holding in account.holdings.items()}
        assert {s: r.position for s, r in risk.symbols.items() if r.position} == {s: q for s, q in held.items() if q}
        assert risk.cash == account.cash
        orders = self.orders()
        assert not disagreements(self.run.backtest.exchange, account.cash, held, orders)
        rest = {status.client_order_id: status.remaining_quantity for status in orders if not status.is_closed}
        assert {order_id: r.remaining for order_id, r in exposure.open.items()} == rest
        for symbol, side_of in ((s, r) for s, r in risk.symbols.items()):
            for side, reserved in ((Side.BUY, side_of.open_buy), (Side.SELL, side_of.open_sell)):
                mine = (s for s in orders if not s.is_closed and (s.symbol, s.side) == (symbol, side))
                assert reserved == sum((status.remaining_quantity for status in mine), Decimal(0))
        if not any(status.side is Side.BUY for status in orders if not status.is_closed):
            assert risk.reserved == 0

    def orders(self) -> list[OrderStatus]:
        cells = self.run.backtest.dispatcher.cells.values()
        return [cell.actor.machine.status() for cell in cells if cell.entity]

    def balance(self) -> None:
        """Cash and positions at last prices are the start, traded at the market, less costs, and what came without a trade."""
        start = exact(self.run.settings.execution.backtest.account.cash)
        cash, at_market, costs = start, start, Fraction(0)
        held: dict[str, Fraction] = dict.fromkeys(SYMBOLS, Fraction(0))
        for each in executions(self.result.records()):
            fill, symbol = each.event.fill, each.event.symbol
            quantity, price = exact(fill.quantity), exact(fill.price)
            cash -= each.sign * quantity * price + exact(fill.commission)
            held[symbol] += each.sign * quantity
            reference = price - each.sign * exact(fill.slippage) / quantity
            at_market -= each.sign * quantity * reference
            costs += exact(fill.slippage) + exact(fill.commission)
        extra = Extra(self.result.records())
        cash += extra.cash
        for symbol, quantity in extra.held.items():
            held[symbol] += quantity
        value = sum(quantity * self.last.get(symbol, Fraction(0)) for symbol, quantity in held.items())
        account = self.view("positions").accounts["main"]
        info = self.view("risk_gate").info("main")
        assert exact(account.cash) == cash
        assert {s: exact(h.quantity) for s, h in account.holdings.items() if h.quantity} == {
            s: q for s, q in held.items() if q
        }
        assert exact(info.accrued) == extra.accrued
        worth = cash + value + extra.accrued
        assert worth == at_market - costs + extra.cash + extra.accrued + value
        assert abs(exact(info.equity) - worth) <= SLACK
        cost = sum((exact(holding.cost) for holding in account.holdings.values()), Fraction(0))
        assert cash + cost == start + exact(info.realized_pnl) - exact(info.commission) + extra.income
        if not self.run.asked:  # the curve has the bar's end; what was asked after it comes on top
            assert abs(self.run.backtest.equity[-1] - float(worth)) <= 1e-9 * max(1.0, abs(float(worth)))


class Extra:
    """What the journal has of cash and shares that came or went without an order."""

    def __init__(self, records: Iterator[Record]) -> None:
        self.cash = self.accrued = self.income = Fraction(0)
        self.held: dict[str, Fraction] = {}
        self.told: set[str] = set()
        for record in records:
            event = record.event
            if isinstance(event, PositionAdjusted | CashMoved | DividendAccrued):
                assert event.activity_id not in self.told
                self.told.add(event.activity_id)
                self.book(event)

    def book(self, event: PositionAdjusted | CashMoved | DividendAccrued) -> None:
        if isinstance(event, PositionAdjusted):
            self.cash += exact(event.cash)
            self.held[event.symbol] = self.held.get(event.symbol, Fraction(0)) + exact(event.quantity)
            assert (event.cause is AdjustmentCause.SPLIT) is (not event.cash)
        elif isinstance(event, CashMoved):
            self.cash += exact(event.amount)
            self.income += exact(event.amount)
            if event.kind is CashKind.DIVIDEND:
                self.accrued -= exact(event.amount)
        else:
            self.accrued += exact(event.amount)


@PROFILE
@given(SETTINGS, STEPS, PLANS, ACTIONS_OF_COMPANIES)
def test_the_books_are_exact(
    options: dict[str, Any], steps: list[Any], plan: list[Any], actions: list[CorporateAction]
) -> None:
    """At the end of every bar the books balance, and everybody's books and order states are the exchange's."""
    Auditor(RandomRun(options, steps, plan, actions)).audit()


@PROFILE
@given(SETTINGS, STEPS, PLANS, ACTIONS_OF_COMPANIES)
def test_nobody_wins_or_loses_by_a_corporate_action(
    options: dict[str, Any], steps: list[Any], plan: list[Any], actions: list[CorporateAction]
) -> None:
    """Each action gives what was held its due, to the cent and the share, and nothing else does."""
    run = RandomRun(options, steps, plan, actions)
    for _ in run:
        pass
    records = list(BacktestResult(run.backtest, 1.0).records())
    due: list[tuple[str, str, Fraction]] = []
    for bars in run.feed:
        held = held_at(records, bars.end_ns)
        for action in bars.actions:
            if action.kind is CorporateActionKind.DIVIDEND:
                amount = cents(held.get(action.symbol, Fraction(0)) * exact(action.amount))
                due += [("dividend", action.symbol, amount)] if amount else []
            else:
                shares = held.get(action.symbol, Fraction(0))
                after = shares * exact(action.ratio).limit_denominator(1000)
                lot = int(SYMBOLS[action.symbol])
                whole = Fraction(int(after / lot) * lot)
                held[action.symbol] = whole
                due += [("shares", action.symbol, whole - shares)] if shares else []
    booked: list[tuple[str, str, Fraction]] = []
    for event in (record.event for record in records):
        if isinstance(event, DividendAccrued):
            booked.append(("dividend", event.symbol, exact(event.amount)))
        elif isinstance(event, PositionAdjusted) and event.cause is AdjustmentCause.SPLIT:
            booked.append(("shares", event.symbol, exact(event.quantity)))
        elif isinstance(event, PositionAdjusted) and event.cause is AdjustmentCause.CASH_IN_LIEU:
            what, symbol, quantity = booked.pop()
            booked.append((what, symbol, quantity + exact(event.quantity)))
    assert [(what, symbol, round(amount, 6)) for what, symbol, amount in booked] == [
        (what, symbol, round(amount, 6)) for what, symbol, amount in due
    ]


def held_at(records: list[Record], end_ns: int) -> dict[str, Fraction]:
    """Return what was held before the bar that ends then, by the fills and adjustments of the bars before."""
    held: dict[str, Fraction] = {}
    for record in records:
        event = record.event
        if record.at_ns >= end_ns:
            break
        if isinstance(event, OrderFilled):
            sign = 1 if event.side is Side.BUY else -1
            held[event.symbol] = held.get(event.symbol, Fraction(0)) + sign * exact(event.fill.quantity)
        elif isinstance(event, PositionAdjusted):
            held[event.symbol] = held.get(event.symbol, Fraction(0)) + exact(event.quantity)
    return held


def cents(amount: Fraction) -> Fraction:
    """Round to the cent, halves away from zero."""
    whole = Fraction(int(abs(amount) * 100 + Fraction(1, 2)), 100)
    return whole if amount > 0 else -whole


@PROFILE
@given(SETTINGS, STEPS, PLANS, ACTIONS_OF_COMPANIES)
def test_fills_stay_within_what_the_bars_give(
    options: dict[str, Any], steps: list[Any], plan: list[Any], actions: list[CorporateAction]
) -> None:
    """No order exceeds its quantity, no price its bar and limit, no bar its budget, and no fill comes before its order was live."""
    run = RandomRun(options, steps, plan, actions)
    for _ in run:
        pass
    rules = run.settings.execution.backtest
    by_end = {bars.end_ns: bars for bars in run.feed}
    filled: dict[str, Decimal] = {}
    taken: dict[tuple[int, str], Decimal] = {}
    keys: set[tuple[str, str]] = set()
    for each in executions(BacktestResult(run.backtest, 1.0).records()):
        event, order_id = each.event, each.event.client_order_id
        filled[order_id] = filled.get(order_id, Decimal(0)) + event.fill.quantity
        assert filled[order_id] <= each.order.quantity
        assert (order_id, event.fill.fill_key) not in keys
        keys.add((order_id, event.fill.fill_key))
        bars = by_end[each.at_ns]
        assert each.live_ns < each.at_ns or (rules.fill == "close" and each.live_ns == each.at_ns)
        check_price(each, bars, exact(rules.slippage.fraction), exact(rules.price_increment))
        key = (each.at_ns, event.symbol)
        taken[key] = taken.get(key, Decimal(0)) + event.fill.quantity
        assert taken[key] <= rules.participation * Decimal(repr(bars.rows[event.symbol][4]))
        assert not event.fill.quantity % Decimal(SYMBOLS[event.symbol])


def check_price(each: Execution, bars: Bars, slippage: Fraction, increment: Fraction) -> None:
    """A price is in its bar, but for slippage and less than one increment against the order, and never beyond its limit."""
    opened, high, low, closed, _ = map(exact, bars.rows[each.event.symbol])
    price = exact(each.event.fill.price)
    reference = price - each.sign * exact(each.event.fill.slippage) / exact(each.event.fill.quantity)
    assert low <= reference <= high
    assert 0 <= each.sign * (price - reference) < reference * slippage + increment
    order = each.order
    if order.limit_price is not None:
        assert each.sign * (exact(order.limit_price) - price) >= 0
    if order.stop_price is not None and order.limit_price is None:
        assert each.sign * (reference - exact(order.stop_price)) >= 0
    if order.order_type is OrderType.MARKET:
        at_open = each.live_ns < each.at_ns and order.time_in_force is not TimeInForce.CLS
        assert reference == (opened if at_open else closed)
