"""A broker's rules: each kind refuses what the broker would, lets pass what it takes, and says what is in the way."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.events import OrderApproved
from ordersmith.actors.machines.broker_rules import FUNCTIONS, Resting, broker_rules, collide, resting
from ordersmith.actors.machines.exposure import AccountRisk, Exposure, SymbolRisk
from ordersmith.actors.machines.risk import Case, Limits, checks_under
from ordersmith.actors.model import ZERO, Instrument, Order, OrderType, Purpose, Side, TimeInForce, TradingState
from ordersmith.actors.ports import BrokerRule, Capabilities, RuleKind
from ordersmith.actors.snapshots import ExternalOrder

D = Decimal
MARKET, LIMIT, STOP, STOP_LIMIT, TRAILING = OrderType
GTC, OPG = TimeInForce.GTC, TimeInForce.OPG


def rule(kind: RuleKind, limit: object = 0, about: Any = None, **takes: tuple[str, ...]) -> BrokerRule:
    return BrokerRule(kind, "4711", "that is not done", "a page", about or {}, takes, D(str(limit)))


def case(
    order: Order, *rules: BrokerRule, held: tuple[object, object, object] = (0, 0, 0), last: object = 20, **terms: Any
) -> Case:
    """Return a case in which the symbol has a position, open buys and open sells, at a broker with these rules."""
    can = Capabilities(order_types=tuple(OrderType), times_in_force=tuple(TimeInForce), rules=rules)
    risk = SymbolRisk(*(D(str(part)) for part in held))
    account = AccountRisk(D(10**6), symbols={order.symbol: risk}, connected=True, capabilities=can)
    price = None if last is None else D(str(last))
    delta = terms.pop("delta", order.quantity)
    made = Case(
        order, delta, Instrument(), price, lambda symbol: price, account, TradingState.ACTIVE, Limits(), 0, **terms
    )
    made.resting = made.resting or ()
    return made


def buy(quantity: object = 10, limit: Any = None, **terms: Any) -> Order:
    return Order.buy("A", str(quantity), limit, client_order_id=terms.pop("order_id", "o"), **terms)


def sell(quantity: object = 10, limit: Any = None, **terms: Any) -> Order:
    return Order.sell("A", str(quantity), limit, client_order_id=terms.pop("order_id", "o"), **terms)


# --- The order by itself -----------------------------------------------------------------------------------------------

ONLY_DAY = rule(RuleKind.TERMS, about={"quantity": ("fractional",)}, time_in_force=("day",))
LATE = rule(RuleKind.TERMS, about={"hours": ("extended",)}, order_type=("limit",), time_in_force=("day", "gtc"))
PLAIN = rule(RuleKind.TERMS, about={"time_in_force": ("opg",)}, order_type=("market", "limit"))
TINY = rule(RuleKind.MINIMUM_NOTIONAL, 1)
SHORT = rule(RuleKind.FRACTION_SHORT)
HELD = rule(RuleKind.HELD_QUANTITY)

REFUSED: list[tuple[BrokerRule, Case, dict[str, str]]] = [
    (ONLY_DAY, case(buy("0.5", time_in_force=GTC), ONLY_DAY), {"quantity": "fractional", "time_in_force": "gtc"}),
    (
        ONLY_DAY,
        case(buy(10, time_in_force=GTC), ONLY_DAY, remaining=D("5.5"), delta=ZERO),
        {"quantity": "fractional", "time_in_force": "gtc"},
    ),
    (
        LATE,
        case(buy(extended_hours=True), LATE),
        {"hours": "extended", "order_type": "market", "time_in_force": "day"},
    ),
    (PLAIN, case(buy(stop_price=25, time_in_force=OPG), PLAIN), {"time_in_force": "opg", "order_type": "stop"}),
    (
        rule(RuleKind.ID_LENGTH, 48),
        case(buy(order_id="x" * 41), rule(RuleKind.ID_LENGTH, 48)),
        {"length": "41", "limit": "48"},
    ),
    (
        rule(RuleKind.SUB_PENNY),
        case(buy(1, "20.005"), rule(RuleKind.SUB_PENNY)),
        {"limit_price": "20.005", "unit": "0.01"},
    ),
    (
        rule(RuleKind.SUB_PENNY),
        case(buy(1, "0.50005"), rule(RuleKind.SUB_PENNY)),
        {"limit_price": "0.50005", "unit": "0.0001"},
    ),
    (
        rule(RuleKind.SUB_PENNY),
        case(sell(1, stop_price="9.999"), rule(RuleKind.SUB_PENNY)),
        {"stop_price": "9.999", "unit": "0.01"},
    ),
    (TINY, case(buy("0.04"), TINY), {"notional": "0.80", "limit": "1"}),
    (TINY, case(buy(1, "0.99"), TINY), {"notional": "0.99", "limit": "1"}),
    (SHORT, case(sell("0.5"), SHORT), {"position": "0", "worst_case": "-0.5"}),
    (SHORT, case(sell("10.5"), SHORT, held=(10, 0, 0)), {"position": "10", "worst_case": "-0.5"}),
    (SHORT, case(sell("1.5"), SHORT, held=("2.5", 0, 2)), {"position": "2.5", "worst_case": "-1.0"}),
    (
        HELD,
        case(sell(11), HELD, held=(10, 0, 0)),
        {"requested": "11", "available": "10", "held_for_orders": "0"},
    ),
    (HELD, case(sell(5), HELD, held=(10, 3, 6)), {"requested": "5", "available": "4", "held_for_orders": "6"}),
    (HELD, case(sell(1), HELD, held=(10, 0, 12)), {"requested": "1", "available": "0", "held_for_orders": "12"}),
    (HELD, case(buy(11), HELD, held=(-10, 0, 0)), {"requested": "11", "available": "10", "held_for_orders": "0"}),
]


@pytest.mark.parametrize(("broken", "what", "numbers"), REFUSED)
def test_what_the_broker_refuses_is_denied_with_its_own_code(
    broken: BrokerRule, what: Case, numbers: dict[str, str]
) -> None:
    """A denial has the broker's code and sentence, what would be needed instead, where the rule is written, and what it saw."""
    denial = broker_rules(what)
    assert denial is not None
    assert denial.code == "4711"
    assert denial.text.startswith("the broker would refuse it: that is not done; ")
    assert denial.numbers == {"rule": broken.kind.value, "source": "a page"} | numbers


PASSES: dict[str, Case] = {
    "no rules": case(sell(99)),
    "a fraction for the day": case(buy("0.5"), ONLY_DAY),
    "whole shares until cancelled": case(buy("10.0", time_in_force=GTC), ONLY_DAY),
    "a limit in extended hours": case(buy(10, 20, extended_hours=True, time_in_force=GTC), LATE),
    "a limit in the auction": case(buy(10, 20, time_in_force=OPG), PLAIN),
    "the longest id that a caller may give": case(buy(order_id="x" * 40), rule(RuleKind.ID_LENGTH, 48)),
    "pennies": case(buy(1, "20.01"), rule(RuleKind.SUB_PENNY)),
    "hundredths of a penny below one": case(buy(1, "0.5001"), rule(RuleKind.SUB_PENNY)),
    "exactly the minimum": case(buy("0.05"), TINY),
    "a sale of the last crumb": case(sell("0.01"), TINY, held=("0.01", 0, 0)),
    "without a price": case(buy("0.01"), TINY, last=None),
    "with a price that is none": case(buy("0.01"), TINY, last="NaN"),
    "a fraction that is held": case(sell("0.5"), SHORT, held=("0.5", 0, 0)),
    "a whole short sale": case(sell(10), SHORT),
    "a fraction bought": case(buy("0.5"), SHORT),
    "all that is free": case(sell(4), HELD, held=(10, 3, 6)),
    "a short sale without a position": case(sell(11), HELD),
    "more of what is short": case(sell(11), HELD, held=(-10, 0, 0)),
    "more of what is held": case(buy(11), HELD, held=(10, 0, 0)),
    "a replacement by less": case(sell(8), HELD, held=(10, 0, 10), delta=ZERO, remaining=D(8)),
}


@pytest.mark.parametrize("what", PASSES.values(), ids=PASSES)
def test_what_the_broker_takes_passes(what: Case) -> None:
    """A rule denies nothing that it is not about, and nothing that it cannot be sure of."""
    assert broker_rules(what) is None


def test_every_kind_of_rule_has_its_function_and_is_tried_here() -> None:
    """No kind is declared without a function, and the rows of this file leave none out."""
    assert set(FUNCTIONS) == set(RuleKind)
    tried = {broken.kind for broken, *_ in REFUSED}
    assert tried | {RuleKind.WASH_TRADE, RuleKind.OPPOSITE_SIDE} == set(RuleKind)


def test_the_first_rule_that_is_broken_is_the_answer() -> None:
    """Rules are looked at in the order in which the broker declares them."""
    what = case(sell("10.5", time_in_force=GTC), HELD, ONLY_DAY, held=(10, 0, 0))
    denial = broker_rules(what)
    assert denial is not None
    assert denial.numbers["rule"] == "HELD_QUANTITY"


def test_without_rules_the_check_is_switched_off() -> None:
    """A gate whose broker has no rules does not even ask: a backtest pays nothing for them."""
    assert all(broker_rules in checks for purpose, checks in checks_under(Limits()).items() if checks)
    assert not any(broker_rules in checks for checks in checks_under(Limits(), broker_has_rules=False).values())


# --- The other side ----------------------------------------------------------------------------------------------------

WASH, OPPOSITE = rule(RuleKind.WASH_TRADE), rule(RuleKind.OPPOSITE_SIDE)


def priced(kind: OrderType, price: object) -> Resting:
    return Resting("other", kind, None if kind in (MARKET, STOP, TRAILING) else D(str(price)))


ALWAYS = [
    *((MARKET, other) for other in (MARKET, LIMIT, STOP, STOP_LIMIT)),
    *((STOP, other) for other in (MARKET, LIMIT, STOP, STOP_LIMIT)),
    *((LIMIT, other) for other in (MARKET, STOP)),
    *((STOP_LIMIT, other) for other in (MARKET, STOP)),
]
BY_LIMIT = [(LIMIT, LIMIT), (LIMIT, STOP_LIMIT), (STOP_LIMIT, LIMIT), (STOP_LIMIT, STOP_LIMIT)]


@pytest.mark.parametrize(("new", "other"), ALWAYS)
@pytest.mark.parametrize("is_buy", [True, False])
def test_an_order_without_a_limit_could_meet_any_other(is_buy: bool, new: OrderType, other: OrderType) -> None:
    """Where one of two orders trades at any price the two could trade with each other, however far apart they are."""
    far = (1, 99) if is_buy else (99, 1)
    assert collide(is_buy, priced(new, far[0]), priced(other, far[1]))


@pytest.mark.parametrize(("new", "other"), BY_LIMIT)
@pytest.mark.parametrize(("bid", "offer", "meets"), [("10", "10", True), ("10.01", "10", True), ("9.99", "10", False)])
def test_two_limits_meet_where_the_bid_reaches_the_offer(
    new: OrderType, other: OrderType, bid: str, offer: str, meets: bool
) -> None:
    """Two orders with limits could trade if the buyer pays what the seller asks, whichever of the two came first."""
    assert collide(True, priced(new, bid), priced(other, offer)) is meets
    assert collide(False, priced(new, offer), priced(other, bid)) is meets


@pytest.mark.parametrize("kind", OrderType)
def test_a_trailing_stop_meets_nothing(kind: OrderType) -> None:
    """Trailing stops are outside of the protection, as the new order and as the one that is open."""
    for is_buy in (True, False):
        assert not collide(is_buy, priced(TRAILING, 0), priced(kind, 10))
        assert not collide(is_buy, priced(kind, 10), priced(TRAILING, 0))


@given(
    st.booleans(),
    st.sampled_from(OrderType),
    st.sampled_from(OrderType),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_who_came_first_does_not_matter(is_buy: bool, new: OrderType, other: OrderType, price: int, offer: int) -> None:
    """Two orders collide or not, in whichever order they come."""
    one, two = priced(new, price), priced(other, offer)
    assert collide(is_buy, one, two) is collide(not is_buy, two, one)


OURS = Resting("exit-1", LIMIT, D(20))


@pytest.mark.parametrize(
    "purpose", [Purpose.ENTRY, Purpose.CHILD, Purpose.EXIT, Purpose.PROTECTIVE, Purpose.LIQUIDATION]
)
def test_a_collision_names_the_order_that_is_in_the_way(purpose: Purpose) -> None:
    """Whatever an order is for, one of ours that it could trade with holds it up, and the denial says which it is."""
    denial = broker_rules(case(buy(5, purpose=purpose), WASH, held=(-10, 0, 5), resting=(OURS,)))
    assert denial is not None
    assert "exit-1 (LIMIT at 20) is in the way" in denial.text
    assert denial.numbers["existing_order_id"] == "exit-1"


def test_an_order_of_which_little_is_known_holds_up_no_exit() -> None:
    """What the broker makes of an order of no known type is not known: new risk waits for it, an exit is the broker's to judge."""
    theirs = Resting("b-9", MARKET, None, is_ours=False, is_known=False)
    entry = broker_rules(case(sell(5, 30), WASH, held=(10, 5, 0), resting=(theirs,)))
    assert entry is not None
    assert "b-9 (MARKET, which is not ours) is in the way" in entry.text
    assert broker_rules(case(sell(5, 30, purpose=Purpose.EXIT), WASH, held=(10, 5, 0), resting=(theirs,))) is None


@pytest.mark.parametrize("purpose", list(Purpose))
def test_an_order_that_is_not_ours_holds_up_what_it_would_surely_meet(purpose: Purpose) -> None:
    """The limit order of a person is as much in the way as one of ours, and the denial says whose it is; out of reach it is not."""
    theirs = Resting("b-9", LIMIT, D(30), is_ours=False)
    denial = broker_rules(case(sell(5, purpose=purpose), WASH, held=(10, 5, 0), resting=(theirs,)))
    assert denial is not None
    assert "b-9 (LIMIT at 30, which is not ours) is in the way; cancel it first" in denial.text
    assert broker_rules(case(sell(5, 31, purpose=purpose), WASH, held=(10, 5, 0), resting=(theirs,))) is None


@pytest.mark.parametrize(
    ("held", "other", "denied"),
    [((0, 0, 5), OURS, True), ((10, 0, 5), OURS, False), ((-10, 0, 5), OURS, False), ((0, 0, 0), None, False)],
)
def test_without_a_position_only_one_side_can_be_open(held: Any, other: Resting | None, denied: bool) -> None:
    """A buy that opens a long position and an open sale that would open a short one do not go together, at whatever prices."""
    what = case(buy(5, 1), OPPOSITE, held=held, resting=() if other is None else (other,))
    found = broker_rules(what)
    assert (found is not None) is denied
    assert found is None or found.numbers["existing_order_id"] == "exit-1"


# --- What is open on the other side -------------------------------------------------------------------------------------


def approved(order: Order, price: object, *, replaces: bool = False) -> OrderApproved:
    return OrderApproved(
        order.client_order_id, order.account, order.symbol, order.side, order.quantity, D(str(price)), replaces
    )


def test_what_is_open_on_the_other_side_is_found() -> None:
    """Only open orders of the same account and symbol on the other side count, ours by their terms and others by their limit."""
    ours = [
        sell(5, 30, order_id="limit", account="main"),
        sell(5, stop_price=9, order_id="stop", account="main"),
        buy(5, 10, order_id="same-side", account="main"),
        Order.sell("B", 5, client_order_id="other-symbol", account="main"),
        sell(5, order_id="other-account", account="second"),
    ]
    exposure = Exposure()
    for order in ours:
        exposure.approved(approved(order, order.limit_price or 20), 0)
    exposure.account("main").externals = {
        "b-1": ExternalOrder("b-1", "A", Side.SELL, D(5)),
        "b-2": ExternalOrder("b-2", "A", Side.SELL, D(5), D(40)),
        "b-3": ExternalOrder("b-3", "A", Side.BUY, D(5), D(40)),
        "b-4": ExternalOrder("b-4", "B", Side.SELL, D(5), D(40)),
        "b-5": ExternalOrder("b-5", "A", Side.SELL, D(5), D(41), LIMIT),
        "b-6": ExternalOrder("b-6", "A", Side.SELL, D(5), None, TRAILING),
        "b-7": ExternalOrder("b-7", "A", Side.SELL, D(5), None, MARKET),
    }
    views = {"order/" + order.client_order_id: SimpleNamespace(order=order) for order in ours}
    assert resting(exposure, buy(1, account="main"), views.get) == (
        Resting("limit", LIMIT, D(30)),
        Resting("stop", STOP, None),
        Resting("b-1", MARKET, None, is_ours=False, is_known=False),
        Resting("b-2", LIMIT, D(40), is_ours=False, is_known=False),
        Resting("b-5", LIMIT, D(41), is_ours=False),
        Resting("b-6", TRAILING, None, is_ours=False),
        Resting("b-7", MARKET, None, is_ours=False, is_known=False),
    )


@pytest.mark.parametrize(
    ("make", "worst"), [(sell, 25), (buy, 30)], ids=["the lowest that it may be sold at", "the highest bid"]
)
def test_an_order_that_is_being_replaced_counts_at_its_worst(make: Any, worst: int) -> None:
    """Until the broker has answered, both limits may be the one that works."""
    old, other = make(5, 30, order_id="r", account="main"), {sell: buy, buy: sell}[make]
    exposure = Exposure()
    exposure.approved(approved(old, 30), 0)
    exposure.approved(approved(old, 25, replaces=True), 0)
    (found,) = resting(exposure, other(1, account="main"), lambda name: SimpleNamespace(order=old))
    assert found == Resting("r", LIMIT, D(worst))


def test_an_order_whose_actor_is_gone_counts_by_what_it_reserves() -> None:
    """What nobody looks after is still open: it counts at the price that was reserved for it."""
    exposure = Exposure()
    exposure.approved(approved(sell(5, 30, order_id="gone", account="main"), 30), 0)
    assert resting(exposure, buy(1, account="main"), lambda name: None) == (Resting("gone", LIMIT, D(30)),)
