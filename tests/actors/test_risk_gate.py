"""The gate in the system: nothing leaves unapproved, every approval reserves before it is answered, and balances add up."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from actor_test_kit import ActorTestKit
from trading_world import World, accepted, executed, wait_for

from ordersmith.actors.errors import ActorError
from ordersmith.actors.events import (
    CashSettled,
    DividendAccrued,
    OrderApproved,
    OrderDenied,
    OrderFilled,
    OrderIntended,
    SessionOpened,
    TradingStateChanged,
)
from ordersmith.actors.machines.breaker import HaltReason
from ordersmith.actors.machines.position import Ledger
from ordersmith.actors.machines.risk import Limits
from ordersmith.actors.messages import CheckOrder, GetAccountInfo, OrderRefused
from ordersmith.actors.model import Fill, Instrument, Order, OrderState, Purpose, Side, Terms, TradingState
from ordersmith.actors.ports import (
    AdjustmentCause,
    BrokerPosition,
    Cancelled,
    CashKind,
    CashMovement,
    DividendDeclared,
    NewOrder,
    PositionAdjustment,
    Rejected,
    Restated,
    SaleSettled,
)
from ordersmith.actors.risk_gate import RiskGate
from ordersmith.adapters.simulated.terms import CAPABILITIES
from ordersmith.supervisor.executor import BacktestExecutor

D = Decimal
MARGIN = {"type": "margin"}


def buy(order_id: str, quantity: object = 10, limit: str | None = None, symbol: str = "A", **terms: Any) -> Order:
    return Order.buy(symbol, quantity, limit, client_order_id=order_id, **terms)  # type: ignore[arg-type]


def sell(order_id: str, quantity: object = 10, symbol: str = "A", **terms: Any) -> Order:
    return Order.sell(symbol, quantity, client_order_id=order_id, **terms)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (buy("o", symbol="ZZZ"), "UNKNOWN_SYMBOL"),
        (buy("o", "0.5"), "LOT_SIZE"),
        (buy("o", "NaN"), "BAD_QUANTITY"),
        (buy("o", "-Infinity"), "BAD_QUANTITY"),
        (buy("o", 0), "BAD_QUANTITY"),
        (buy("o", "1E+400"), "LOT_SIZE"),
        (buy("o", 10, "NaN"), "BAD_PRICE"),
        (buy("o", 10, "9.001"), "PRICE_TICK"),
        (buy("o", 10, "11.01"), "PRICE_COLLAR"),
        (buy("o", 100_001), "MAX_ORDER_QUANTITY"),
        (buy("o", 50_001, symbol="B"), "MAX_ORDER_NOTIONAL"),
        (buy("o", 10_001), "BUYING_POWER"),
        (sell("o"), "SHORT_SALE"),
        (buy("o", purpose=Purpose.EXIT), "EXIT_FLIPS"),
        (buy("o", 10**9, purpose=Purpose.CANCEL), "BAD_PURPOSE"),
    ],
)
def test_what_the_gate_denies_never_leaves(order: Order, code: str) -> None:
    """A denied order is REJECTED with the code, reserves nothing, and no crash is behind it."""
    world = World(scripted=True).bar()
    (status,) = world.submit(order)
    assert (status.state, status.reason) == (OrderState.REJECTED, code)
    assert world.broker.take() == []
    assert world.events(OrderIntended, OrderApproved) == []
    (denied,) = world.events(OrderDenied)
    assert denied.denial.code == code
    assert world.exposure.open == {}
    assert not world.backtest.lifecycle.reports


def test_an_order_of_an_unknown_account_leaves_no_trace_in_the_gate() -> None:
    """What no record says is in no state: a rebuilt gate is the one that was."""
    world = World(scripted=True).bar()
    (status,) = world.submit(buy("o", account="nobody"))
    assert status.state is OrderState.REJECTED
    assert list(world.exposure.accounts) == ["main"]


def test_without_a_price_nothing_passes() -> None:
    """Before a symbol's first bar there is no last price, and so no order."""
    world = World(scripted=True)
    (status,) = world.submit(buy("o", 10, "10"))
    assert status.reason == "NO_MARKET_DATA"


def test_an_approval_is_recorded_before_the_order_leaves() -> None:
    """The records of an order that is sent: submitted, approved with what it reserves, intended; then the command."""
    world = World(scripted=True).bar()
    world.submit(buy("o", 10, "9.5"))
    kinds = [type(event).__name__ for event in world.events(order="o")]
    assert kinds == ["OrderSubmitted", "OrderApproved", "OrderIntended"]
    (approval,) = world.events(OrderApproved)
    assert (approval.quantity, approval.price, approval.replaces) == (D(10), D("9.5"), False)
    (command,) = world.broker.take()
    assert isinstance(command, NewOrder)


def test_orders_of_one_call_are_checked_one_after_the_other() -> None:
    """Each approval counts in the next check, so that together they cannot cost more than there is."""
    world = World(scripted=True, cash="250").bar()
    statuses = world.submit(buy("a", 10), buy("b", 10), buy("c", 5), buy("d", 1))
    assert [status.reason for status in statuses] == ["", "", "", "BUYING_POWER"]
    assert world.exposure.account("main").reserved == 250
    world.says(Rejected("a.0", "NO", ""))
    assert world.submit(buy("e", 10))[0].state is OrderState.SUBMITTED


def test_what_is_being_sold_cannot_be_sold_again() -> None:
    """Open sales count against the position until they are cancelled by proof, not by request."""
    world = World(scripted=True).bar()
    world.submit(buy("b"))
    world.says(accepted("b.0"), executed("b.0", "k", 10, 10, 10))
    world.submit(sell("s1", 7))
    world.says(accepted("s1.0"))
    assert world.submit(sell("s2", 7))[0].reason == "SHORT_SALE"
    world.cancel("s1")
    assert world.submit(sell("s3", 7))[0].reason == "SHORT_SALE"
    world.says(Cancelled("s1.0"))
    assert world.submit(sell("s4", 7))[0].state is OrderState.SUBMITTED


def test_the_same_intent_twice_is_denied_within_the_window() -> None:
    """With the window on, an equal order a moment later is a duplicate; later, or as another parent's slice, it is meant."""
    world = World(scripted=True, risk={"duplicate_window": 1}).bar()
    first, second, slice_1, slice_2 = world.submit(
        buy("a"), buy("b", "10.0"), buy("c", parent="x:1"), buy("d", parent="x:2")
    )
    assert [s.reason for s in (first, second, slice_1, slice_2)] == ["", "DUPLICATE_INTENT", "", ""]
    world.wait(1.5)
    assert world.submit(buy("e"))[0].state is OrderState.SUBMITTED


def test_balances_are_those_of_the_books() -> None:
    """Cash, equity, buying power, exposure and costs follow the fills and the open orders at last prices."""
    world = World({"A": [10.0, 12.0, 12.0], "B": [20.0] * 3}, scripted=True).bar()
    world.submit(buy("a", 100))
    world.says(accepted("a.0"), executed("a.0", "k", 100, "10.5", 100, commission=D(2)))
    world.bar()
    world.submit(buy("b", 10, "19", symbol="B"))
    info = world.ask("risk_gate", GetAccountInfo)
    assert (info.cash, info.equity, info.buying_power) == (D(98_948), D(100_148), D(98_948 - 190))
    assert (info.gross_exposure, info.realized_pnl, info.commission) == (D(1200), D(0), D(2))
    assert (info.account, info.trading_state) == ("main", TradingState.ACTIVE)


def test_a_margin_account_buys_and_shorts_within_its_margin() -> None:
    """Equity over the initial margin is what may be held at the worst case, long or short, and open orders count."""
    world = World(scripted=True, cash="1000", account=MARGIN).bar()
    info = world.ask("risk_gate", GetAccountInfo)
    assert info.buying_power == 2000
    assert world.submit(sell("s", 150))[0].state is OrderState.SUBMITTED
    assert world.submit(buy("b", 26, symbol="B"))[0].reason == "BUYING_POWER"
    assert world.submit(buy("c", 25, symbol="B"))[0].state is OrderState.SUBMITTED
    assert world.ask("risk_gate", GetAccountInfo).buying_power == 0


def gate_of(limits: Limits, *history: Any, backlog: Any = None) -> RiskGate:
    """Return a gate by itself, with every price at 10 and what has happened so far."""
    market: Any = SimpleNamespace(last_price=lambda symbol: D(10))
    gate = RiskGate(limits, {"A": Instrument(), "B": Instrument()}, market, "main", backlog)
    held = (BrokerPosition("A", D(20), D(10)), BrokerPosition("B", D(-10), D(10)))
    ledger = Ledger()
    opened = SessionOpened("main", D(1000), held, CAPABILITIES)
    ledger.open(opened)
    ActorTestKit(gate, opened, *history, views={"positions": ledger})
    return gate


def test_accrued_dividends_and_unsettled_sales_are_shown() -> None:
    """Equity has what is accrued, and a cash account's buying power lacks what is not settled yet, where sales settle later."""
    sold = OrderFilled(
        "s",
        "main",
        "",
        "A",
        Side.SELL,
        Fill(fill_key="k", quantity=D(5), price=D(11), at_ns=0),
        D(5),
        D(55),
        D(1),
        OrderState.FILLED,
    )
    history = (DividendAccrued("main", "1", "A", D(7)), sold)
    info = gate_of(Limits(settles_later=True), *history).info("main")
    assert (info.cash, info.accrued, info.unsettled, info.buying_power) == (D(1054), D(7), D(54), D(1000))
    assert info.equity == 1054 + 7 + 15 * 10 - 10 * 10
    info = gate_of(Limits(settles_later=True), *history, CashSettled("main", "2", D(54))).info("main")
    assert (info.cash, info.unsettled, info.buying_power) == (D(1054), D(0), D(1054))
    for limits in (Limits(), Limits(settles_later=True, account_type="margin")):
        assert gate_of(limits, *history).info("main").unsettled == 0


def test_an_order_within_all_limits_is_denied_as_a_duplicate_and_while_the_journal_is_behind() -> None:
    """The second of two alike within the window is one too many, and nothing new is taken while records wait for the disk."""
    behind = [0]
    gate = gate_of(Limits(duplicate_window_ns=5), backlog=lambda now_ns: (behind[0], 0))
    kit = ActorTestKit(gate)
    for order_id, records, code in (("a", 0, ""), ("b", 0, "DUPLICATE_INTENT"), ("c", 10_000, "JOURNAL_BEHIND")):
        behind[0] = records
        ((_, answer),) = kit.deliver(CheckOrder(buy(order_id, account="main"), None)).told
        assert (answer.denial.code if isinstance(answer, OrderRefused) else "") == code
    assert list(gate.state.exposure.open) == ["a"]


def test_the_view_is_of_the_state_that_the_gate_has() -> None:
    """Readers are shown one object, which follows the gate; after a restore it is one of the restored state."""
    gate = gate_of(Limits())
    shown = gate.view()
    ActorTestKit(gate, TradingStateChanged(TradingState.HALTED, HaltReason.MANUAL, "", 1))
    assert gate.view() is shown
    assert shown.trading_state is TradingState.HALTED
    gate.restore(gate.snapshot())
    assert gate.view().exposure is gate.state.exposure
    assert gate.view().exposure is not shown.exposure


def test_a_short_position_may_need_another_margin() -> None:
    """Buying power is the equity that no position and no order needs, over the margin of a purchase."""
    even = Limits(account_type="margin", initial_margin=D("0.5"))
    uneven = Limits(account_type="margin", initial_margin=D("0.5"), short_initial_margin=D("1.5"))
    same = Limits(account_type="margin", initial_margin=D("0.5"), short_initial_margin=D("0.5"))
    assert gate_of(even).buying_power("main") == gate_of(same).buying_power("main") == 1100 * 2 - 300
    assert gate_of(uneven).buying_power("main") == (1100 - 100 - 150) * 2
    sale = OrderApproved("s", "main", "A", Side.SELL, D(30), D(10))  # which could leave A 10 short: 150 instead of 100
    assert gate_of(uneven, sale).buying_power("main") == (1100 - 150 - 150) * 2


def test_the_gate_is_rebuilt_from_the_records() -> None:
    """After a crash the gate knows the same reservations, cash, intents and trading state."""
    world = World(scripted=True, risk={"duplicate_window": 100}).bar()
    world.submit(buy("a"), buy("b", 5, "9"))
    world.says(accepted("a.0"), accepted("b.0"), executed("a.0", "k", 4, 10, 4))
    world.replace("b", 8)
    world.says(
        DividendDeclared("1", "A", D(3)), CashMovement("2", CashKind.DIVIDEND, D(2), "A"), SaleSettled("3", D(1))
    )
    world.says(
        PositionAdjustment("4", AdjustmentCause.SPLIT, "A", D(4)), Restated("b.0", Terms(D(10), D("4.5")), "split")
    )
    gate = world.dispatcher.cells["risk_gate"]
    before = gate.actor.snapshot()
    world.backtest.lifecycle.crash("risk_gate", ActorError("a bug"))
    assert gate.incarnation == 2
    assert gate.actor.snapshot() == before


@pytest.mark.parametrize("purpose", [Purpose.ENTRY, Purpose.CHILD, Purpose.EXIT])
def test_a_halt_stops_all_but_protection_and_liquidation(purpose: Purpose) -> None:
    """While trading is halted no ordinary order passes, not even one that reduces."""
    world = World(scripted=True).bar()
    world.submit(buy("b"))
    world.says(accepted("b.0"), executed("b.0", "k", 10, 10, 10))
    world.halt()
    assert world.submit(sell("s", 2, purpose=purpose))[0].reason == "TRADING_HALTED"
    assert world.submit(sell("p", 2, purpose=Purpose.PROTECTIVE))[0].state is OrderState.SUBMITTED
    assert world.submit(sell("l", 2, purpose=Purpose.LIQUIDATION))[0].state is OrderState.SUBMITTED
    assert world.submit(sell("flip", 20, purpose=Purpose.LIQUIDATION))[0].reason in ("SHORT_SALE", "EXIT_FLIPS")


def test_the_summary_counts_denials_by_code() -> None:
    """What was denied is in the result of a run, by its code."""
    executor = BacktestExecutor({}, feed=World().backtest.feed)
    wait_for(executor.advance())
    wait_for(executor.submit_orders([buy("a", "0.5"), buy("b", "0.5"), sell("c")]))
    assert executor.result().summary.denials_by_code == {"LOT_SIZE": 2, "SHORT_SALE": 1}
