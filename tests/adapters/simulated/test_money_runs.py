"""Random rules, sessions, orders and corporate actions: whatever happens, the books are exact and nothing is made of nothing.

The books here are kept from the reports alone, in fractions; prices come from the bars.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from ordersmith.actors.bars import Bars, CorporateAction, CorporateActionKind
from ordersmith.actors.model import Instrument, Order, Side, TimeInForce
from ordersmith.actors.ports import (
    AdjustmentCause,
    CancelRequest,
    CashKind,
    CashMovement,
    DividendDeclared,
    Executed,
    MarginDeficit,
    NewOrder,
    PositionAdjustment,
    Rejected,
    Restated,
    SaleSettled,
)
from ordersmith.adapters.simulated.exchange import ExchangeRules, SimulatedExchange

D = Decimal
HOUR_NS = 3_600_000_000_000
FOREVER_NS = 1 << 62
LOTS = {"A": 1, "B": 1, "L": 10}
INSTRUMENTS = {symbol: Instrument(lot=D(lot)) for symbol, lot in LOTS.items()}
FIRST_SESSION = 19_800  # in 2024

RULES = st.fixed_dictionaries(
    {
        "slippage": st.sampled_from([D(0), D("0.001")]),
        "slippage_fixed": st.sampled_from([D(0), D("0.013")]),
        "commission": st.sampled_from([D(0), D(1)]),
        "commission_per_share": st.sampled_from([D(0), D("0.005")]),
        "commission_fraction": st.sampled_from([D(0), D("0.0007")]),
        "commission_minimum": st.sampled_from([D(0), D("1.5")]),
        "commission_maximum": st.sampled_from([None, D("0.01")]),
        "regulatory_fees": st.booleans(),
        "impact": st.sampled_from([None, D(1)]),
        "participation": st.sampled_from([None, D("0.1")]),
        "account_type": st.sampled_from(["cash", "margin"]),
        "cash": st.sampled_from([D(1500), D(100_000)]),
        "maintenance_margin": st.sampled_from([D("0.25"), D("0.5")]),
        "short_initial_margin": st.sampled_from([None, D(1)]),
        "settlement_days": st.sampled_from([0, 1, 3]),
        "borrow_rate": st.sampled_from([D(0), D("0.3")]),
        "margin_call": st.sampled_from(["flag", "liquidate"]),
        "adjust_orders_for_dividends": st.booleans(),
    }
).map(lambda fields: ExchangeRules(**fields))

TIMES = [TimeInForce.DAY, *[TimeInForce.GTC] * 3, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.OPG, TimeInForce.CLS]
CENTS = st.integers(400, 1600)
ROW = st.builds(
    lambda prices, volume: (prices[1] / 100, max(prices) / 100, min(prices) / 100, prices[2] / 100, volume),
    st.tuples(CENTS, CENTS, CENTS, CENTS),
    st.sampled_from([0.0, 40.0, 900.0, 1e5]),
)
ROWS = st.dictionaries(st.sampled_from(["A", "A", "L", "B"]), ROW, min_size=1)
ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["A", "A", "A", "L", "B"]),
        st.sampled_from(Side),
        st.sampled_from([10, 30, 70, 150, 7]),
        st.sampled_from([{}, {}, {"limit": 0}, {"limit": 0}, {"stop": 0}, {"stop": 0, "limit": 10}, {"trail": 1}]),
        CENTS,
        st.sampled_from(TIMES),
    ),
    max_size=4,
)
ACTION = st.one_of(
    st.tuples(st.just(CorporateActionKind.SPLIT), st.sampled_from("AAL"), st.sampled_from(["2", "1.5", "0.5", "0.1"])),
    st.tuples(
        st.just(CorporateActionKind.DIVIDEND), st.sampled_from("AL"), st.sampled_from(["0.25", "0.333", "0.005"])
    ),
    st.tuples(st.just(CorporateActionKind.SYMBOL_CHANGE), st.just("A"), st.just("B")),
)
STEP = st.tuples(ROWS, ORDERS)
SESSION = st.tuples(
    st.integers(1, 3),
    st.one_of(st.just([]), st.lists(st.tuples(ACTION, st.integers(0, 9)), max_size=3)),
    st.lists(STEP, min_size=1, max_size=2),
    st.sampled_from([True, True, False]),
)
OPENING = (1, [], [({"A": (10.0, 10.2, 9.8, 10.0, 1e5), "L": (9.0, 9.5, 8.9, 9.1, 1e5)}, [])], True)


def action_of(session: int, drawn: tuple[Any, ...], days: int) -> CorporateAction:
    kind, symbol, value = drawn
    field = {"SPLIT": "ratio", "DIVIDEND": "amount", "SYMBOL_CHANGE": "new_symbol"}[kind]
    terms = {field: value if field == "new_symbol" else D(value)}
    return CorporateAction(kind=kind, symbol=symbol, session=session, pay_session=session + days, **terms)


class Books:
    """An account as its reports tell it, and what became of its wealth by prices, dividends and costs."""

    def __init__(self, rules: ExchangeRules) -> None:
        self.exchange = SimulatedExchange(rules, INSTRUMENTS)
        self.rules = rules
        self.cash = self.start = Fraction(rules.cash)
        self.accrued = self.unsettled = self.gained = self.costs = Fraction(0)
        self.positions: Counter[str] = Counter()
        self.prices: dict[str, Fraction] = {}
        self.orders: dict[str, Order] = {}
        self.ids: list[str] = []
        self.now_ns = 0
        self.bars: Bars | None = None

    def wealth(self) -> Fraction:
        return self.cash + self.accrued + sum(held * self.prices[s] for s, held in self.positions.items())

    def step(self, bars: Bars) -> None:
        self.bars, self.now_ns = bars, bars.end_ns
        reports = self.exchange.on_bars(bars)
        for report in reports:
            self.note(report)
        for symbol, row in bars.rows.items():
            close = Fraction(repr(row[3]))
            self.gained += self.positions[symbol] * (close - self.prices.get(symbol, Fraction(0)))
            self.prices[symbol] = close
        self.agree()

    def trade(self, symbol: str, quantity: Fraction, reference: Fraction) -> None:
        """Count a change of position as if it had been made at the reference; until then the last price counts."""
        self.gained += quantity * (self.prices.get(symbol, Fraction(0)) - reference)
        self.positions[symbol] += quantity  # type: ignore[assignment]

    def note(self, report: Any) -> None:
        event(type(report).__name__)
        if hasattr(report, "activity_id"):
            self.ids.append(report.activity_id)
        if isinstance(report, Executed):
            self.executed(report)
        elif isinstance(report, CashMovement):
            self.cash += Fraction(report.amount)
            if report.kind is CashKind.DIVIDEND:
                self.accrued -= Fraction(report.amount)
            else:
                assert report.amount < 0
                self.costs -= Fraction(report.amount)
        elif isinstance(report, DividendDeclared):
            self.accrued += Fraction(report.amount)
            self.gained += Fraction(report.amount)
        elif isinstance(report, SaleSettled):
            self.unsettled -= Fraction(report.amount)
        elif isinstance(report, PositionAdjustment):
            self.adjusted(report)
        elif isinstance(report, Restated):
            order, terms = self.orders[report.wire_id], report.terms
            assert terms.quantity % INSTRUMENTS[order.symbol].lot == 0 or order.symbol != "L"
            for price in (terms.limit_price, terms.stop_price, terms.trail_amount):
                assert price is None or (price > 0 and price % D("0.01") == 0)
            self.orders[report.wire_id] = terms.applied_to(order)
        elif isinstance(report, MarginDeficit):
            assert report.equity < report.required

    def executed(self, report: Executed) -> None:
        assert self.bars is not None
        order, fill = self.orders[report.wire_id], report.fill
        sign = 1 if order.side is Side.BUY else -1
        quantity = Fraction(fill.quantity)
        cost = Fraction(fill.slippage + fill.impact)
        reference = Fraction(fill.price) - sign * cost / quantity
        _, high, low, _, _ = self.bars.rows[order.symbol]
        assert Fraction(repr(low)) <= reference <= Fraction(repr(high))
        assert order.limit_price is None or sign * (order.limit_price - fill.price) >= 0
        assert min(fill.slippage, fill.impact, fill.commission - fill.fees, fill.fees) >= 0
        assert not fill.fees or sign < 0
        assert report.cumulative_quantity <= order.quantity
        self.cash -= sign * quantity * Fraction(fill.price) + Fraction(fill.commission)
        self.costs += cost + Fraction(fill.commission)
        self.trade(order.symbol, sign * quantity, reference)
        if sign < 0:
            self.unsettled += quantity * Fraction(fill.price) - Fraction(fill.commission)

    def adjusted(self, report: PositionAdjustment) -> None:
        symbol, quantity, cash = report.symbol, Fraction(report.quantity), Fraction(report.cash)
        self.cash += cash
        if report.cause is AdjustmentCause.SPLIT:
            before = self.positions[symbol]
            self.positions[symbol] += quantity  # type: ignore[assignment]
            after = self.positions[symbol]
            assert cash == 0
            ratio = Fraction(after, before)
            assert ratio in (Fraction(r) for r in ("2", "1.5", "0.5", "0.1"))
            self.prices[symbol] /= ratio
        elif report.cause is AdjustmentCause.SYMBOL_CHANGE:
            assert self.positions[symbol] == -quantity
            price = self.prices[symbol]
            self.prices.setdefault(report.new_symbol, price)
            self.trade(symbol, quantity, price)
            self.trade(report.new_symbol, -quantity, price)
        elif report.cause is AdjustmentCause.CASH_IN_LIEU:
            assert abs(cash + quantity * self.prices[symbol]) <= Fraction("0.005")
            assert abs(quantity) < LOTS[symbol]
            self.gained += cash + quantity * self.prices[symbol]  # what rounding to the cent gave or took
            self.positions[symbol] += quantity  # type: ignore[assignment]
        else:
            assert self.bars is not None
            assert self.positions[symbol] == -quantity
            opened = Fraction(repr(self.bars.rows[symbol][0]))
            cost = -cash - quantity * opened
            assert cost >= 0
            self.costs += cost
            self.trade(symbol, quantity, opened)

    def agree(self) -> None:
        """The exchange's books are what the reports told, and wealth is the start, gains and costs."""
        exchange = self.exchange
        assert Fraction(exchange.cash) == self.cash
        assert exchange.positions == {symbol: held for symbol, held in self.positions.items() if held}
        assert Fraction(exchange.accrued) == self.accrued
        assert self.wealth() == self.start + self.gained - self.costs
        assert self.ids == [f"main-a{number}" for number in range(1, len(self.ids) + 1)]

    def order(
        self, symbol: str, side: Side, quantity: int, prices: dict[str, int], cents: int, in_force: TimeInForce
    ) -> None:
        wire_id = f"o{len(self.orders)}.1"
        make = Order.buy if side is Side.BUY else Order.sell
        terms: dict[str, Any] = {
            field: D(cents + prices[name]) / 100
            for name, field in (("limit", "limit_price"), ("stop", "stop_price"))
            if name in prices
        }
        if "trail" in prices:
            terms["trail_amount"] = D(cents) / 1000 if cents % 10 == 0 else D("0.33")
        if prices.keys() & {"stop", "trail"}:
            in_force = TimeInForce.GTC
        order = self.orders[wire_id] = make(symbol, quantity, time_in_force=in_force, **terms)
        for report in self.exchange.handle(NewOrder(wire_id, order, FOREVER_NS, 0), self.now_ns):
            assert not isinstance(report, Rejected) or report.code != "DUPLICATE_ORDER_ID"

    def cancel_all(self) -> None:
        for wire_id in self.orders:
            self.exchange.handle(CancelRequest(wire_id), self.now_ns)

    def check_buying_power(self) -> None:
        """Without open orders nothing is reserved but what has not settled, or what the positions need."""
        power = Fraction(self.exchange.buying_power())
        if self.rules.account_type == "cash":
            assert power == self.cash - (self.unsettled if self.rules.settlement_days else 0)
            return
        long = Fraction(self.rules.initial_margin)
        short = long if self.rules.short_initial_margin is None else Fraction(self.rules.short_initial_margin)
        needed = sum(
            abs(held) * self.prices[symbol] * (long if held > 0 else short) for symbol, held in self.positions.items()
        )
        assert abs(power - (self.wealth() - needed) / long) < Fraction("1e-9")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(RULES, st.lists(SESSION, min_size=2, max_size=8))
def test_the_books_hold_over_any_night(rules: ExchangeRules, sessions: list[Any]) -> None:
    """Cash, positions, accruals and wealth agree exactly after every bar, and buying power at the end."""
    books = Books(rules)
    day, start_ns, is_renamed = FIRST_SESSION, 0, False
    for gap, actions, steps, closes in [OPENING, *sessions]:
        day += gap
        drawn: tuple[CorporateAction, ...] = ()
        for action, days in actions:
            if action[0] is CorporateActionKind.SYMBOL_CHANGE and is_renamed:
                continue  # nobody is renamed to the same symbol twice
            is_renamed |= action[0] is CorporateActionKind.SYMBOL_CHANGE
            drawn += (action_of(day, action, days),)
        for number, (rows, orders) in enumerate(steps, 1):
            last = number == len(steps)
            end_ns = start_ns + HOUR_NS
            books.step(Bars(start_ns, end_ns, day, closes and last, rows, drawn if number == 1 else ()))
            start_ns = end_ns
            for order in orders:
                books.order(*order)
    books.cancel_all()
    books.check_buying_power()
