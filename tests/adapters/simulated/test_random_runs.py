"""Random runs of the exchange: against a naive exchange that looks at every order at every bar, and against the books."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import isnan
from typing import Any

import msgspec
from hypothesis import example, given, settings
from naive_exchange import NaiveExchange, exact
from random_exchange import ACTIONS, EXITS, INSTRUMENTS, RULES, Run, crowd

from ordersmith.actors.model import OrderType, TimeInForce
from ordersmith.actors.ports import Accepted, Cancelled, Executed, Expired, Replaced
from ordersmith.adapters.simulated.exchange import ExchangeRules, SimulatedExchange


def without_text(report: Any) -> Any:
    return msgspec.structs.replace(report, text="") if getattr(report, "text", "") else report


@settings(max_examples=150, deadline=None)
@given(RULES, ACTIONS)
@example(  # orders that wait for the next opening leave an entry alone in its bar
    ExchangeRules(participation=Decimal("0.1"), cash=Decimal(600), same_bar_exits=True), crowd(3791)
)
@example(  # leverage at its limit, and worse prices than those that it was allowed at
    ExchangeRules(
        account_type="margin",
        cash=Decimal(600),
        initial_margin=Decimal("0.25"),
        maintenance_margin=Decimal("0.1"),
        slippage=Decimal("0.013"),
        price_increment=Decimal("0.01"),
        participation=None,
    ),
    crowd(7259),
)
def test_the_naive_exchange_reports_the_same(rules: ExchangeRules, actions: list[Any]) -> None:
    """Every report, the cash, the positions and the buying power are those of the naive exchange."""
    run, naive = (
        Run(SimulatedExchange(rules, INSTRUMENTS)).play(actions),
        Run(NaiveExchange(rules, INSTRUMENTS)).play(actions),
    )
    assert [without_text(report) for _, _, report in run.reports] == [
        without_text(report) for _, _, report in naive.reports
    ]
    assert exact(run.exchange.cash) == naive.exchange.cash
    assert run.exchange.positions == {symbol: held for symbol, held in naive.exchange.positions.items() if held}
    assert exact(run.exchange.buying_power()) == naive.exchange.buying_power()


@settings(max_examples=80, deadline=None)
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
            levels = (exact(open_), exact(close), exact(order.limit_price), exact(order.stop_price))
            in_the_same_bar = rules.same_bar_exits and order.purpose in EXITS  # where its entry was
            assert reference in levels or order.order_type is OrderType.TRAILING_STOP or in_the_same_bar
            if order.stop_price is not None:
                since_ns = min(
                    run.sent_ns[leg] for leg in run.legs if leg.split(".")[0] == report.wire_id.split(".")[0]
                )
                met = [
                    each.rows[order.symbol]
                    for each in run.bars
                    if since_ns <= each.end_ns <= bars.end_ns and order.symbol in each.rows
                ]  # type: ignore[union-attr]
                assert any(sign * (exact(row[1 if sign > 0 else 2]) - exact(order.stop_price)) >= 0 for row in met)
            assert order.limit_price is None or sign * (order.limit_price - fill.price) >= 0
            slip = exact(rules.slippage) * reference + exact(rules.price_increment)
            assert 0 <= sign * (exact(fill.price) - reference) < slip
            gained += sign * exact(fill.quantity) * (last[order.symbol] - reference)
            costs += exact(fill.commission) + exact(fill.slippage)
    held = sum(exact(quantity) * last[symbol] for symbol, quantity in run.exchange.positions.items())
    assert exact(run.exchange.cash) + held == exact(rules.cash) + gained - costs


@settings(max_examples=80, deadline=None)
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
            at_its_end = rules.fill == "close" or order.time_in_force is TimeInForce.CLS
            at_its_end |= rules.same_bar_exits and order.purpose in EXITS
            assert at_its_end or run.sent_ns[report.wire_id] <= bars.start_ns
    assert sorted(ended) == sorted(accepted)
    assert len(met) == len(set(met))
    assert len(keys) == len(set(keys))
    for bars in run.bars:
        for symbol, row in bars.rows.items():
            if rules.participation is not None and not isnan(row[4]):
                assert exact(used.get((bars.end_ns, symbol), Decimal(0))) <= exact(rules.participation) * exact(row[4])
