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
from random_trading import PLANS, SETTINGS, STEPS, SYMBOLS, RandomRun

from ordersmith.actors.actor import Record
from ordersmith.actors.events import OrderFilled, OrderReplaced, OrderSubmitted
from ordersmith.actors.machines.exposure import Exposure
from ordersmith.actors.machines.position import Ledger
from ordersmith.actors.model import Bars, OrderStatus, Side
from ordersmith.supervisor.result import BacktestResult

PROFILE = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def exact(value: Decimal | float) -> Fraction:
    return Fraction(str(value) if isinstance(value, Decimal) else repr(value))


class Execution(msgspec.Struct):
    """A fill with the leg that it filled: its terms, and when they became live."""

    event: OrderFilled
    at_ns: int
    limit: Decimal | None
    live_ns: int
    quantity: Decimal

    @property
    def sign(self) -> int:
        return 1 if self.event.side is Side.BUY else -1


def executions(records: Iterator[Record]) -> list[Execution]:
    """Return all fills, each with the terms that its order had then."""
    legs: dict[str, tuple[Decimal | None, int, Decimal]] = {}
    found = []
    for record in records:
        event = record.event
        if isinstance(event, OrderSubmitted):
            legs[event.client_order_id] = (event.order.limit_price, record.at_ns, event.order.quantity)
        elif isinstance(event, OrderReplaced):
            legs[event.client_order_id] = (event.limit_price, record.at_ns, event.quantity)
        elif isinstance(event, OrderFilled):
            limit, live_ns, quantity = legs[event.client_order_id]
            found.append(Execution(event, record.at_ns, limit, live_ns, quantity))
    return found


class Auditor:
    """Goes through a run bar by bar and compares everybody's books."""

    def __init__(self, run: RandomRun) -> None:
        self.run = run
        self.last: dict[str, Fraction] = {}
        self.result = BacktestResult(run.backtest, 1.0)

    def audit(self) -> list[Execution]:
        for bars in self.run:
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
        """Cash and positions at last prices are the start, plus what was gained against the market, less what it cost."""
        start = exact(self.run.settings.execution.backtest.account.cash)
        cash, gained, costs = start, Fraction(0), Fraction(0)
        held: dict[str, Fraction] = dict.fromkeys(SYMBOLS, Fraction(0))
        for each in executions(self.result.records()):
            fill, symbol = each.event.fill, each.event.symbol
            quantity, price = exact(fill.quantity), exact(fill.price)
            cash -= each.sign * quantity * price + exact(fill.commission)
            held[symbol] += each.sign * quantity
            reference = price - each.sign * exact(fill.slippage) / quantity
            gained += each.sign * quantity * (self.last[symbol] - reference)
            costs += exact(fill.slippage) + exact(fill.commission)
        worth = cash + sum(quantity * self.last.get(symbol, Fraction(0)) for symbol, quantity in held.items())
        account = self.view("positions").accounts["main"]
        info = self.view("risk_gate").info("main")
        assert exact(account.cash) == cash
        assert {s: exact(h.quantity) for s, h in account.holdings.items() if h.quantity} == {
            s: q for s, q in held.items() if q
        }
        assert exact(info.equity) == worth == start + gained - costs
        cost = sum((exact(holding.cost) for holding in account.holdings.values()), Fraction(0))
        assert cash + cost == start + exact(info.realized_pnl) - exact(info.commission)
        if not self.run.asked:  # the curve has the bar's end; what was asked after it comes on top
            assert abs(self.run.backtest.equity[-1] - float(worth)) <= 1e-9 * max(1.0, abs(float(worth)))


@PROFILE
@given(SETTINGS, STEPS, PLANS)
def test_the_books_are_exact(options: dict[str, Any], steps: list[Any], plan: list[Any]) -> None:
    """At the end of every bar the books balance, and everybody's books and order states are the exchange's."""
    Auditor(RandomRun(options, steps, plan)).audit()


@PROFILE
@given(SETTINGS, STEPS, PLANS)
def test_fills_stay_within_what_the_bars_give(options: dict[str, Any], steps: list[Any], plan: list[Any]) -> None:
    """No order exceeds its quantity, no price its bar and limit, no bar its budget, and no fill comes before its order was live."""
    run = RandomRun(options, steps, plan)
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
        assert filled[order_id] <= each.quantity
        assert (order_id, event.fill.fill_key) not in keys
        keys.add((order_id, event.fill.fill_key))
        bars = by_end[each.at_ns]
        assert each.live_ns < each.at_ns or (rules.fill == "close" and each.live_ns == each.at_ns)
        check_price(each, bars, exact(rules.slippage), exact(rules.price_increment))
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
    if each.limit is not None:
        assert each.sign * (exact(each.limit) - price) >= 0
    else:
        assert reference == (opened if each.live_ns < each.at_ns else closed)
