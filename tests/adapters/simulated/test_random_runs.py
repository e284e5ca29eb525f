"""Random runs of the exchange: against a naive exchange that looks at every order at every bar, and against the books.

The naive exchange knows no price order, no running totals and no Decimal: it works on one list, sums anew whenever it needs a sum, and
calculates with fractions.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor, isnan, nan
from types import SimpleNamespace
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersmith.actors.model import Bars, Fill, Instrument, Order, TimeInForce
from ordersmith.actors.ports import (
    Accepted,
    Cancelled,
    CancelRefused,
    CancelRequest,
    Executed,
    Expired,
    NewOrder,
    Rejected,
    Replaced,
    ReplaceRefused,
    ReplaceRequest,
)
from ordersmith.adapters.simulated.exchange import ExchangeRules, SimulatedExchange

MINUTE_NS = 60_000_000_000
SECOND_NS = 1_000_000_000
FOREVER_NS = 1 << 62
INSTRUMENTS = {"A": Instrument(), "L": Instrument(lot=Decimal(5))}


def exact(value: Decimal | float) -> Fraction:
    return Fraction(str(value) if isinstance(value, Decimal) else repr(value))


def money(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


class NaiveExchange:
    """The rules of the simulated exchange, as directly as they can be written."""

    def __init__(self, rules: ExchangeRules) -> None:
        self.rules = rules
        self.cash = exact(rules.cash)
        self.positions = dict.fromkeys(INSTRUMENTS, Fraction(0))
        self.closes: dict[str, Fraction] = {}
        self.first_limits: dict[str, Fraction] = {}
        self.orders: list[Any] = []  # all there ever were, in order of arrival
        self.bars: Bars | None = None
        self.budgets: dict[str, Any] = {}
        self.legs = 0

    def open(self) -> list[Any]:
        return [order for order in self.orders if order.state == "open"]

    def named(self, wire_id: str) -> Any:
        return next((order for order in self.orders if wire_id in order.legs), None)

    # what the account can carry

    def buying_power(self, without: Any = None) -> Fraction:
        orders = [order for order in self.open() if order is not without]
        if self.rules.account_type == "cash":
            return self.cash - sum(self.claim(order) for order in orders if order.sign > 0)
        equity = self.cash + sum(held * self.closes.get(symbol, 0) for symbol, held in self.positions.items())
        exposure = sum(self.worst(symbol, orders) * self.mark(symbol) for symbol in INSTRUMENTS)
        return equity / exact(self.rules.initial_margin) - exposure

    def mark(self, symbol: str) -> Fraction:
        return self.closes.get(symbol, self.first_limits.get(symbol, Fraction(0)))

    def claim(self, order: Any) -> Fraction:
        due = 0 if order.fills else exact(self.rules.commission)
        return (order.quantity - order.filled) * order.claim_price + due

    def worst(self, symbol: str, orders: list[Any]) -> Fraction:
        held = self.positions[symbol]
        buys, sells = (
            sum((o.quantity - o.filled for o in orders if (o.symbol, o.sign) == (symbol, sign)), Fraction(0))
            for sign in (1, -1)
        )
        return max(abs(held + buys), abs(held - sells))

    def refusal(self, order: Any, replaced: Any = None) -> str | None:
        if order.quantity <= 0 or order.quantity % exact(INSTRUMENTS[order.symbol].lot):
            return "BAD_QUANTITY"
        if order.limit is not None and order.limit <= 0:
            return "BAD_PRICE"
        if replaced is not None and order.quantity <= order.filled:
            return "TOO_LATE"
        if order.claim_price is None:
            return "NO_MARKET_DATA"
        others = [each for each in self.open() if each is not replaced]
        if self.rules.account_type == "margin":
            increase = self.worst(order.symbol, [*others, order]) - self.worst(order.symbol, self.open())
            price = self.closes.get(order.symbol) or self.mark(order.symbol) or order.claim_price
            return "INSUFFICIENT_BUYING_POWER" if increase > 0 and increase * price > self.buying_power() else None
        if order.sign > 0:
            less = replaced is not None and self.claim(order) <= self.claim(replaced)
            return "INSUFFICIENT_BUYING_POWER" if not less and self.claim(order) > self.buying_power(replaced) else None
        selling = sum(o.quantity - o.filled for o in [*others, order] if (o.symbol, o.sign) == (order.symbol, -1))
        return "SHORT_SALE_NOT_ALLOWED" if selling > self.positions[order.symbol] else None

    # commands

    def handle(self, command: Any, now_ns: int) -> list[Any]:
        return {NewOrder: self.new, CancelRequest: self.cancel, ReplaceRequest: self.replace}[type(command)](
            command, now_ns
        )

    def new(self, command: NewOrder, now_ns: int) -> list[Any]:
        terms = command.order
        limit = None if terms.limit_price is None else exact(terms.limit_price)
        order = SimpleNamespace(
            symbol=terms.symbol, sign=1 if terms.side == "BUY" else -1, quantity=exact(terms.quantity), filled=Fraction(0),
            limit=limit, claim_price=self.closes.get(terms.symbol) if limit is None else limit, legs=[command.wire_id],
            day=terms.time_in_force is TimeInForce.DAY, arrived_ns=now_ns, state="open", fills=0,
        )  # fmt: skip
        code = self.refusal(order)
        if code is not None:
            order.state = "rejected"
            self.orders.append(order)
            return [Rejected(command.wire_id, code, "")]
        self.place(order)
        reports: list[Any] = [Accepted(command.wire_id, order.broker_id)]
        if self.rules.fill == "close" and self.bars and self.bars.end_ns == now_ns and order.symbol in self.bars.rows:
            close = exact(self.bars.rows[order.symbol][3])
            if order.limit is None or (order.limit - close) * order.sign >= 0:
                self.execute(order, self.slipped(order, close), close, now_ns, reports)
        return reports

    def place(self, order: Any) -> None:
        self.legs += 1
        order.broker_id = f"main-{self.legs}"
        self.orders.append(order)
        self.first_limits.setdefault(order.symbol, order.claim_price)

    def cancel(self, command: CancelRequest, now_ns: int) -> list[Any]:
        order = self.named(command.wire_id)
        if order is None:
            return [CancelRefused(command.wire_id, "UNKNOWN_ORDER", "")]
        if order.state != "open" or order.legs[-1] != command.wire_id:
            return [CancelRefused(command.wire_id, "TOO_LATE", "")]
        order.state = "cancelled"
        return [Cancelled(command.wire_id)]

    def replace(self, command: ReplaceRequest, now_ns: int) -> list[Any]:
        order = self.named(command.wire_id)
        if order is None:
            return [ReplaceRefused(command.new_wire_id, "UNKNOWN_ORDER", "")]
        if order.state != "open" or order.legs[-1] != command.wire_id:
            return [ReplaceRefused(command.new_wire_id, "TOO_LATE", "")]
        limit = None if command.limit_price is None else exact(command.limit_price)
        terms = {"quantity": exact(command.quantity), "limit": limit, "arrived_ns": now_ns}
        changed = SimpleNamespace(**{**vars(order), **terms, "claim_price": limit or self.closes[order.symbol]})
        code = self.refusal(changed, order)
        if code is not None:
            return [ReplaceRefused(command.new_wire_id, code, "")]
        self.orders.remove(order)
        changed.legs = [*order.legs, command.new_wire_id]
        self.place(changed)
        return [Replaced(command.new_wire_id, changed.broker_id, command.quantity, command.limit_price)]

    # bars

    def on_bars(self, bars: Bars) -> list[Any]:
        self.bars = bars
        reports: list[Any] = []
        self.budgets = {symbol: self.budget(symbol, row[4]) for symbol, row in bars.rows.items()}
        for order in self.open():
            if order.symbol in bars.rows and order.arrived_ns <= bars.start_ns:
                self.match(order, bars, reports)
        self.closes.update({symbol: exact(row[3]) for symbol, row in bars.rows.items()})
        for order in self.open():
            if bars.closes_session and order.day and order.arrived_ns < bars.end_ns:
                order.state = "expired"
                reports.append(Expired(order.legs[-1]))
        return reports

    def budget(self, symbol: str, volume: float) -> Fraction | None:
        if self.rules.participation is None or isnan(volume):
            return None
        lot = exact(INSTRUMENTS[symbol].lot)
        return exact(self.rules.participation) * exact(volume) // lot * lot

    def match(self, order: Any, bars: Bars, reports: list[Any]) -> None:
        open_, high, low, _, _ = bars.rows[order.symbol]
        opened = exact(open_)
        if order.limit is None or (order.limit - opened) * order.sign >= 0:
            self.execute(order, self.slipped(order, opened), opened, bars.start_ns, reports)
            return
        beyond = order.limit - exact(low) if order.sign > 0 else exact(high) - order.limit
        if beyond > 0 or (beyond == 0 and self.rules.limit_fill == "touch"):
            self.execute(order, order.limit, order.limit, bars.end_ns, reports)

    def slipped(self, order: Any, reference: Fraction) -> Fraction:
        steps = reference * (1 + order.sign * exact(self.rules.slippage)) / exact(self.rules.price_increment)
        price = (ceil(steps) if order.sign > 0 else floor(steps)) * exact(self.rules.price_increment)
        if order.limit is None:
            return price
        return min(price, order.limit) if order.sign > 0 else max(price, order.limit)

    def execute(self, order: Any, price: Fraction, reference: Fraction, at_ns: int, reports: list[Any]) -> None:
        budget = self.budgets[order.symbol]
        left = order.quantity - order.filled
        quantity = left if budget is None else min(left, budget)
        if not quantity:
            return
        if budget is not None:
            self.budgets[order.symbol] = budget - quantity
        commission = 0 if order.fills else exact(self.rules.commission)
        order.fills += 1
        order.filled += quantity
        self.cash -= order.sign * quantity * price + commission
        self.positions[order.symbol] += order.sign * quantity
        fill = Fill(
            fill_key=f"{order.broker_id}:{order.filled}",
            quantity=money(quantity),
            price=money(price),
            at_ns=at_ns,
            commission=money(Fraction(commission)),
            slippage=money((price - reference) * order.sign * quantity),
        )
        reports.append(Executed(order.legs[-1], fill, money(order.filled)))
        if order.filled == order.quantity:
            order.state = "filled"


RULES = st.builds(
    ExchangeRules,
    slippage=st.sampled_from([Decimal(0), Decimal("0.001"), Decimal("0.013")]),
    commission=st.sampled_from([Decimal(0), Decimal("1.5")]),
    fill=st.sampled_from(["next_open", "close"]),
    limit_fill=st.sampled_from(["through", "touch"]),
    participation=st.sampled_from([None, Decimal("0.1"), Decimal("0.35")]),
    price_increment=st.sampled_from([Decimal("0.0001"), Decimal("0.01"), Decimal("0.025")]),
    account_type=st.sampled_from(["cash", "margin"]),
    cash=st.sampled_from([Decimal(600), Decimal(2000), Decimal(100_000)]),
    initial_margin=st.sampled_from([Decimal("0.5"), Decimal("0.25")]),
)
CENTS = st.integers(993, 1007)


@st.composite
def rows(draw: Any) -> Any:
    low, *inner, high = sorted(draw(st.lists(CENTS, min_size=4, max_size=4)))
    if draw(st.booleans()):
        inner.reverse()
    fraction = draw(st.sampled_from([0.0, 0.0, 0.00123]))
    volume = draw(st.sampled_from([0.0, 7.0, 40.0, 120.5, 1000.0, nan]))
    opened, closed = inner if draw(st.booleans()) else (low, high)
    return (*(cents / 100 + fraction for cents in (opened, high, low, closed)), volume)


BAR = st.tuples(
    st.just("bar"),
    st.one_of(
        st.fixed_dictionaries({"A": rows(), "L": rows()}),
        st.fixed_dictionaries({"A": rows()}),
        st.fixed_dictionaries({"L": rows()}),
    ),
    st.integers(0, 4),
)
LIMIT = st.one_of(st.none(), CENTS)
NEW = st.tuples(
    st.just("new"),
    st.sampled_from("AAL"),
    st.booleans(),
    st.sampled_from([5, 10, 10, 25, 60, 12]),
    LIMIT,
    st.booleans(),
)
WAIT = st.tuples(st.just("wait"), st.integers(1, 59))
CANCEL = st.tuples(st.just("cancel"), st.integers(0, 30))
REPLACE = st.tuples(st.just("replace"), st.integers(0, 30), st.sampled_from([0, 5, 10, 25, 60, 12]), LIMIT)
FIRST_BARS = ("bar", {"A": (10.0, 10.2, 9.8, 10.0, 500.0), "L": (9.9, 10.2, 9.8, 10.1, 500.0)}, 1)
ACTIONS = st.builds(
    lambda starts, actions: [FIRST_BARS] * starts + actions,
    st.sampled_from([1, 1, 1, 0]),
    st.lists(st.one_of(BAR, BAR, NEW, NEW, NEW, WAIT, CANCEL, REPLACE), min_size=25, max_size=60),
)


class Run:
    """Plays actions on an exchange and keeps what came of them: (instant, bars met, report)."""

    def __init__(self, exchange: Any) -> None:
        self.exchange = exchange
        self.now_ns = 0
        self.begun_ns = 0  # where the next bar begins
        self.session = 0
        self.bars: list[Bars] = []
        self.legs: list[str] = []
        self.taken: list[str] = []
        self.terms: dict[str, Order] = {}  # by wire id, with what a replacement changed
        self.sent_ns: dict[str, int] = {}
        self.reports: list[tuple[int, Bars | None, Any]] = []

    def play(self, actions: list[Any]) -> Run:
        for kind, *arguments in actions:
            getattr(self, kind)(*arguments)
        for leg in list(self.legs):
            self.keep(self.exchange.handle(CancelRequest(leg), self.now_ns))
        return self

    def keep(self, reports: list[Any]) -> None:
        bars = self.bars[-1] if self.bars else None
        self.reports += [(self.now_ns, bars, report) for report in reports]
        self.taken += [report.wire_id for report in reports if isinstance(report, Accepted | Replaced)]

    def recent(self, index: int) -> str:
        """Return a leg, mostly one of the last that were taken, sometimes one that never was."""
        legs = self.taken[-4:] if index % 4 else self.legs[-6:]
        return legs[index // 4 % len(legs)] if legs else "none.1"

    def bar(self, bar_rows: Any, session: int) -> None:
        start_ns = self.begun_ns
        self.begun_ns = self.now_ns = start_ns + MINUTE_NS
        self.bars.append(Bars(start_ns, self.now_ns, self.session, not session, bar_rows))
        self.session += not session
        self.keep(self.exchange.on_bars(self.bars[-1]))

    def wait(self, seconds: int) -> None:
        """Let time pass inside the bar that has begun."""
        self.now_ns = max(self.now_ns, self.begun_ns + seconds * SECOND_NS)

    def send(self, wire_id: str, order: Order, command: Any) -> None:
        self.legs.append(wire_id)
        self.terms[wire_id] = order
        self.sent_ns[wire_id] = self.now_ns
        self.keep(self.exchange.handle(command, self.now_ns))

    def new(self, symbol: str, buys: bool, quantity: int, cents: int | None, day: bool) -> None:
        wire_id = f"o{len(self.legs)}.1"
        limit = None if cents is None else Decimal(cents) / 100
        time_in_force = TimeInForce.DAY if day else TimeInForce.GTC
        order = (Order.buy if buys else Order.sell)(symbol, quantity, limit, time_in_force=time_in_force)
        self.send(wire_id, order, NewOrder(wire_id, order, FOREVER_NS, 0))

    def cancel(self, index: int) -> None:
        self.keep(self.exchange.handle(CancelRequest(self.recent(index)), self.now_ns))

    def replace(self, index: int, quantity: int, cents: int | None) -> None:
        wire_id = self.recent(index)
        if wire_id not in self.terms:
            return
        old = self.terms[wire_id]
        limit = None if old.limit_price is None else Decimal(cents or 1000) / 100
        base_id = wire_id.rpartition(".")[0]
        new_wire_id = f"{base_id}.{len(self.legs) + 1}"
        order = msgspec.structs.replace(old, quantity=Decimal(quantity), limit_price=limit)
        self.send(new_wire_id, order, ReplaceRequest(wire_id, new_wire_id, order.quantity, limit, FOREVER_NS, 0))


def without_text(report: Any) -> Any:
    return msgspec.structs.replace(report, text="") if getattr(report, "text", "") else report


@settings(max_examples=200, deadline=None)
@given(RULES, ACTIONS)
def test_the_naive_exchange_reports_the_same(rules: ExchangeRules, actions: list[Any]) -> None:
    """Every report, the cash, the positions and the buying power are those of the naive exchange."""
    run, naive = Run(SimulatedExchange(rules, INSTRUMENTS)).play(actions), Run(NaiveExchange(rules)).play(actions)
    assert [without_text(report) for _, _, report in run.reports] == [
        without_text(report) for _, _, report in naive.reports
    ]
    assert exact(run.exchange.cash) == naive.exchange.cash
    assert run.exchange.positions == {symbol: held for symbol, held in naive.exchange.positions.items() if held}
    assert exact(run.exchange.buying_power()) == naive.exchange.buying_power()


@settings(max_examples=150, deadline=None)
@given(RULES, ACTIONS)
def test_the_books_are_exact(rules: ExchangeRules, actions: list[Any]) -> None:
    """Cash and positions at last prices are the start, plus what unslipped prices gained, less slippage and commission."""
    run = Run(SimulatedExchange(rules, INSTRUMENTS)).play(actions)
    last = {symbol: exact(row[3]) for bars in run.bars for symbol, row in bars.rows.items()}
    gained = costs = Fraction(0)
    for _, bars, report in run.reports:
        if isinstance(report, Executed):
            order, fill = run.terms[report.wire_id], report.fill
            sign = 1 if order.side == "BUY" else -1
            reference = exact(fill.price) - sign * exact(fill.slippage) / exact(fill.quantity)
            open_, high, low, close, _ = bars.rows[order.symbol]  # type: ignore[union-attr]
            assert exact(low) <= reference <= exact(high)
            assert reference in (exact(open_), exact(close), order.limit_price and exact(order.limit_price))
            assert order.limit_price is None or sign * (order.limit_price - fill.price) >= 0
            slip = exact(rules.slippage) * reference + exact(rules.price_increment)
            assert 0 <= sign * (exact(fill.price) - reference) < slip
            gained += sign * exact(fill.quantity) * (last[order.symbol] - reference)
            costs += exact(fill.commission) + exact(fill.slippage)
    held = sum(exact(quantity) * last[symbol] for symbol, quantity in run.exchange.positions.items())
    assert exact(run.exchange.cash) + held == exact(rules.cash) + gained - costs


@settings(max_examples=150, deadline=None)
@given(RULES, ACTIONS)
def test_orders_fill_as_far_as_they_may(rules: ExchangeRules, actions: list[Any]) -> None:
    """No order exceeds its quantity, no bar its budget, no fill precedes its order, and each accepted order ends once."""
    run = Run(SimulatedExchange(rules, INSTRUMENTS)).play(actions)
    filled: dict[str, Decimal] = {}
    used: dict[tuple[int, str], Decimal] = {}
    met: list[tuple[int, str]] = []
    keys: list[str] = []
    ended: list[str] = []
    accepted: list[str] = []
    leg_of: dict[str, str] = {}
    for now_ns, bars, report in run.reports:
        base_id = report.wire_id.rpartition(".")[0]
        if isinstance(report, Accepted | Replaced):
            leg_of[base_id] = report.wire_id
            accepted += [base_id] if isinstance(report, Accepted) else []
        elif isinstance(report, Cancelled | Expired):
            assert report.wire_id == leg_of[base_id]
            ended.append(base_id)
        elif isinstance(report, Executed):
            assert bars is not None
            order, fill = run.terms[report.wire_id], report.fill
            assert report.wire_id == leg_of[base_id]
            assert base_id not in ended
            filled[base_id] = filled.get(base_id, Decimal(0)) + fill.quantity
            assert report.cumulative_quantity == filled[base_id] <= order.quantity
            ended += [base_id] if filled[base_id] == order.quantity else []
            used[bars.end_ns, order.symbol] = used.get((bars.end_ns, order.symbol), Decimal(0)) + fill.quantity
            met.append((bars.end_ns, base_id))
            keys.append(fill.fill_key)
            assert run.sent_ns[report.wire_id] <= fill.at_ns <= now_ns
            assert rules.fill == "close" or run.sent_ns[report.wire_id] <= bars.start_ns
    assert sorted(ended) == sorted(accepted)
    assert len(met) == len(set(met))
    assert len(keys) == len(set(keys))
    for bars in run.bars:
        for symbol, row in bars.rows.items():
            if rules.participation is not None and not isnan(row[4]):
                assert exact(used.get((bars.end_ns, symbol), Decimal(0))) <= exact(rules.participation) * exact(row[4])
