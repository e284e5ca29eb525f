"""Whatever the strategy does and however the market is set, the books are exact and nobody gets what the bar did not give.

The bookkeeping here is its own: fractions, summed anew from the journal's fills; only the fills are the run's.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from books import disagreements
from fair_fills import FairFills, check_charges, exact, executions
from hypothesis import HealthCheck, Phase, given, settings
from random_trading import ACTIONS_OF_COMPANIES, PLANS, SETTINGS, STEPS, SYMBOLS, RandomRun

from ordersmith.actors.actor import Record
from ordersmith.actors.bars import Bars, CorporateAction, CorporateActionKind
from ordersmith.actors.events import (
    CashMoved,
    DividendAccrued,
    OrderFilled,
    PositionAdjusted,
)
from ordersmith.actors.machines.exposure import Exposure
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.machines.position import Ledger
from ordersmith.actors.model import Side
from ordersmith.actors.ports import AdjustmentCause, CashKind
from ordersmith.supervisor.from_settings import exchange_rules
from ordersmith.supervisor.result import BacktestResult

PROFILE = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


SLACK = Fraction(1, 10**9)
"""How far equity may be off by last prices that were counted in new shares: they are floats."""


class Auditor:
    """Goes through a run bar by bar and compares everybody's books."""

    def __init__(self, run: RandomRun) -> None:
        self.run = run
        self.rules = exchange_rules(run.settings)
        self.last: dict[str, Fraction] = {}
        self.result = BacktestResult(run.backtest, 1.0)

    def audit(self) -> None:
        for bars in self.run:
            for action in bars.actions:  # until its next bar a symbol's last price is what the action makes of it
                if action.symbol in self.last and action.new_symbol:
                    self.last.setdefault(action.new_symbol, self.last[action.symbol])
                elif action.symbol in self.last:
                    left = max(self.last[action.symbol] - exact(action.amount), Fraction(0))
                    self.last[action.symbol] = left / exact(action.ratio)
            self.last |= {symbol: exact(bars.close(symbol)) for symbol in bars}
            self.agree()
            self.balance()

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
        orders = [machine.status() for machine in self.machines()]
        assert not disagreements(self.run.backtest.exchange, account.cash, held, orders, self.run.under_way)
        rest = {status.client_order_id: status.remaining_quantity for status in orders if not status.is_closed}
        asked = {each.order.client_order_id for each in self.machines() if each.next_wire_id}
        left = {order_id: r.remaining for order_id, r in exposure.open.items() if r.remaining or order_id not in asked}
        assert left == rest  # an order that has filled keeps what is offered to it until its replacement is refused
        offered = {order_id for order_id, r in exposure.open.items() if r.offered is not None}
        assert asked & rest.keys() <= offered <= asked
        for symbol, side_of in risk.symbols.items():
            for side, reserved in ((Side.BUY, side_of.open_buy), (Side.SELL, side_of.open_sell)):
                mine = [r for r in exposure.open.values() if (r.symbol, r.side) == (symbol, side)]
                assert reserved == sum((each.held()[0] for each in mine), Decimal(0))
        if not any(each.side is Side.BUY for each in exposure.open.values()):
            assert risk.reserved == 0

    def machines(self) -> list[OrderMachine]:
        return [cell.actor.machine for cell in self.run.backtest.dispatcher.cells.values() if cell.entity]

    def balance(self) -> None:
        """Cash and positions at last prices are the start, traded at the market, less costs, and what came without a trade."""
        start = exact(self.run.settings.execution.backtest.account.cash)
        cash, at_market, costs = start, start, Fraction(0)
        held: dict[str, Fraction] = dict.fromkeys(SYMBOLS, Fraction(0))
        for each in executions(self.result.records(), self.rules):
            commission, bought = exact(each.event.fill.commission), each.sign * each.quantity
            cash -= bought * each.price + commission
            held[each.event.symbol] += bought
            at_market -= bought * each.reference
            costs += each.cost + commission
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
            if event.cause is AdjustmentCause.SYMBOL_CHANGE:
                self.held[event.new_symbol] = self.held.get(event.new_symbol, Fraction(0)) - exact(event.quantity)
            assert event.cash == 0 or event.cause not in {AdjustmentCause.SPLIT, AdjustmentCause.SYMBOL_CHANGE}
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
            elif action.kind is CorporateActionKind.SYMBOL_CHANGE:
                shares = held.pop(action.symbol, Fraction(0))
                held[action.new_symbol] = held.get(action.new_symbol, Fraction(0)) + shares
                due += [("renamed", action.symbol, -shares)] if shares else []
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
        elif isinstance(event, PositionAdjusted) and event.cause is AdjustmentCause.SYMBOL_CHANGE:
            booked.append(("renamed", event.symbol, exact(event.quantity)))
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
            if event.cause is AdjustmentCause.SYMBOL_CHANGE:
                held[event.new_symbol] = held.get(event.new_symbol, Fraction(0)) - exact(event.quantity)
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
    """No order exceeds its quantity, no price its bar and limit, no bar its budget, and nothing fills before it was live or triggered."""
    run = RandomRun(options, steps, plan, actions)
    for _ in run:
        pass
    rules = exchange_rules(run.settings)
    records = list(BacktestResult(run.backtest, 1.0).records())
    found = executions(records, rules)
    adjusted = {symbol for action in actions for symbol in (action.symbol, action.new_symbol)}
    fair = FairFills(rules, run.feed.bars, adjusted)
    filled: dict[str, Decimal] = {}
    keys: set[tuple[str, str]] = set()
    for each in found:
        event, order_id = each.event, each.event.client_order_id
        filled[order_id] = filled.get(order_id, Decimal(0)) + event.fill.quantity
        assert filled[order_id] <= each.order.quantity
        assert not event.fill.quantity % Decimal(SYMBOLS[event.symbol])
        assert (order_id, event.fill.fill_key) not in keys
        keys.add((order_id, event.fill.fill_key))
        fair.check(each)
    check_charges(found, rules, fair.by_end, forced_sales(records, fair.by_end))


def forced_sales(records: list[Record], by_end: dict[int, Bars]) -> set[int]:
    """Return the sessions in which a margin call closed positions: their fees are in no fill."""
    return {
        by_end[record.at_ns].session
        for record in records
        if isinstance(record.event, PositionAdjusted) and record.event.cause is AdjustmentCause.LIQUIDATION
    }
