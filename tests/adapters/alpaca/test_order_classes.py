"""Orders with exits: what is posted, what is objected to before, and the names that exits have; amounts that are not ours."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.account_events import SessionConnected
from ordersmith.actors.actor import Record
from ordersmith.actors.model import Order, OrderType, Side, TimeInForce
from ordersmith.actors.order_class import ExitLeg, ExitRole, Exits, OrderClass, exit_wire_id, group_of
from ordersmith.actors.ports import Capabilities, NewOrder
from ordersmith.adapters.alpaca.amounts import lone_type, open_quantity, price_of
from ordersmith.adapters.alpaca.codec import next_leg_body
from ordersmith.adapters.alpaca.known_orders import KnownOrders
from ordersmith.adapters.alpaca.order_classes import body_of, objection_to, wire_ids
from ordersmith.adapters.alpaca.rules import CAPABILITIES
from ordersmith.adapters.alpaca.wire import WireOrder
from ordersmith.adapters.record_codec import decode_record
from ordersmith.adapters.sandbox.alpaca_form import read_form
from ordersmith.adapters.sandbox.alpaca_refusal import Refusal

D = Decimal
ID = "b.0"
BOTH = {"take_profit": D(110), "stop_loss": D(90)}


def command(
    order: Order | None = None, order_class: OrderClass = OrderClass.BRACKET, wire_id: str = ID, **prices: Decimal
) -> NewOrder:
    exits = Exits.of(order_class, wire_id, **(prices or BOTH))
    return NewOrder(wire_id, order or Order.buy("A", 10, "100"), 1, 0, exits)


def oco(side: str = "sell", limit: str = "110", stop: str = "90") -> NewOrder:
    order = getattr(Order, side)("A", 10, limit)
    return command(order, OrderClass.OCO, stop_loss=D(stop))


# --- The body ----------------------------------------------------------------------------------------------------------

PLAIN = {
    "symbol": "A",
    "qty": "10",
    "side": "buy",
    "type": "limit",
    "time_in_force": "day",
    "client_order_id": ID,
    "limit_price": "100",
}
PROFIT, STOP = {"limit_price": "110"}, {"stop_price": "90"}


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (NewOrder(ID, Order.buy("A", 10, "100"), 1, 0), PLAIN),
        (command(), {**PLAIN, "order_class": "bracket", "take_profit": PROFIT, "stop_loss": STOP}),
        (
            command(**BOTH, stop_loss_limit=D("89.50")),
            {
                **PLAIN,
                "order_class": "bracket",
                "take_profit": PROFIT,
                "stop_loss": {"stop_price": "90", "limit_price": "89.50"},
            },
        ),
        (
            command(order_class=OrderClass.OTO, take_profit=D(110)),
            {**PLAIN, "order_class": "oto", "take_profit": PROFIT},
        ),
        (command(order_class=OrderClass.OTO, stop_loss=D(90)), {**PLAIN, "order_class": "oto", "stop_loss": STOP}),
        (
            oco(),
            {
                **{name: value for name, value in PLAIN.items() if name != "limit_price"},
                "side": "sell",
                "order_class": "oco",
                "take_profit": PROFIT,
                "stop_loss": STOP,
            },
        ),
    ],
    ids=["simple", "bracket", "limited stop", "oto profit", "oto stop", "oco"],
)
def test_what_is_posted(sent: NewOrder, body: dict[str, Any]) -> None:
    """The body of each class is Alpaca's own example of it, numbers as texts."""
    assert body_of(sent) == body
    assert objection_to(sent) is None


def test_the_sdk_builds_the_same_body() -> None:
    """What alpaca-py posts for a bracket is what is posted here."""
    from alpaca.trading.enums import OrderClass as SdkClass
    from alpaca.trading.enums import OrderSide
    from alpaca.trading.enums import TimeInForce as SdkTime
    from alpaca.trading.requests import LimitOrderRequest, StopLossRequest, TakeProfitRequest

    request = LimitOrderRequest(
        symbol="A",
        qty=10,
        side=OrderSide.BUY,
        time_in_force=SdkTime.DAY,
        limit_price=100,
        order_class=SdkClass.BRACKET,
        take_profit=TakeProfitRequest(limit_price=110),
        stop_loss=StopLossRequest(stop_price=90, limit_price=89.5),
        client_order_id=ID,
    )
    assert _numbers(request.to_request_fields()) == _numbers(body_of(command(**BOTH, stop_loss_limit=D("89.5"))))


def _numbers(body: Any) -> Any:
    """Return a body with its numbers as numbers and its words as texts."""
    if isinstance(body, dict):
        return {name: _numbers(value) for name, value in body.items()}
    text = str(getattr(body, "value", body))
    try:
        return D(text)
    except ArithmeticError:
        return text


orders = st.builds(
    Order,
    symbol=st.just("A"),
    side=st.sampled_from(Side),
    quantity=st.decimals(D("1e-9"), 10**9, places=9),
    order_type=st.sampled_from(OrderType),
    limit_price=st.none() | st.just(D(100)),
    time_in_force=st.sampled_from(TimeInForce),
    extended_hours=st.booleans(),
)


@given(orders)
def test_no_order_is_posted_for_an_amount(order: Order) -> None:
    """Whatever the order, what is posted has its exact quantity and no notional; the leg that replaces one of an amount, too."""
    body = body_of(NewOrder(ID, order, 1, 0))
    assert "notional" not in body
    assert D(body["qty"]) == order.quantity
    assert "E" not in body["qty"]
    money = WireOrder(id="i", status="canceled", symbol="A", side="buy", type="market", notional=D(100))
    replaced = next_leg_body(money, _terms(order), order.quantity, "b.1")
    assert "notional" not in replaced
    assert D(replaced["qty"]) == order.quantity


def _terms(order: Order) -> Any:
    from ordersmith.actors.model import Terms

    return Terms.of(order)


# --- Objections --------------------------------------------------------------------------------------------------------


@dataclass
class Wrong:
    why: str
    sent: NewOrder
    code: str = "42210000"
    by_sandbox: bool = True


def named(profit: str, stop: str) -> NewOrder:
    exits = Exits(OrderClass.BRACKET, ExitLeg(profit, D(110)), ExitLeg(stop, stop_price=D(90)))
    return NewOrder(ID, Order.buy("A", 10, "100"), 1, 0, exits)


def legs(profit: ExitLeg | None, stop: ExitLeg | None, order_class: OrderClass = OrderClass.BRACKET) -> NewOrder:
    return NewOrder(ID, Order.buy("A", 10, "100"), 1, 0, Exits(order_class, profit, stop))


TP, SL = ExitLeg("b-tp.0", D(110)), ExitLeg("b-sl.0", stop_price=D(90))
FIELD = "40010001"

WRONG = [
    Wrong("needs both", command(take_profit=D(110))),
    Wrong("needs both", command(stop_loss=D(90))),
    Wrong("needs one exit", command(order_class=OrderClass.OTO)),
    Wrong("needs one exit", legs(None, None, OrderClass.OTO)),
    Wrong("itself the take profit", command(Order.sell("A", 10, "110"), OrderClass.OCO), by_sandbox=False),
    Wrong("itself the take profit", legs(None, None, OrderClass.OCO)),
    Wrong("limit_price", command(Order.sell("A", 10), OrderClass.OCO, stop_loss=D(90)), by_sandbox=False),
    Wrong("no stop_price", legs(ExitLeg("b-tp.0", D(110), D(111)), SL), by_sandbox=False),
    Wrong("give its stop_price", legs(TP, ExitLeg("b-sl.0", D(90)))),
    Wrong("must be 'b-tp.0'", named("mine.0", "b-sl.0"), FIELD, by_sandbox=False),
    Wrong("must be 'b-sl.0'", named("b-tp.0", "b-tp.0"), FIELD, by_sandbox=False),
    Wrong("at most 37", command(wire_id="x" * 38 + ".0"), FIELD, by_sandbox=False),
    Wrong(
        "take_profit.limit_price 1E+27 is no price",
        command(take_profit=D("1e27"), stop_loss=D(90)),
        FIELD,
        by_sandbox=False,
    ),
    Wrong("is no price", command(Order.buy("A", D("1e29"), "1e12")), FIELD, by_sandbox=False),
    Wrong("fractional", command(Order.buy("A", "1.5", "100"))),
    Wrong("extended hours", command(Order.buy("A", 10, "100", extended_hours=True))),
    Wrong("DAY or GTC", command(Order.buy("A", 10, "100", time_in_force="IOC"))),
    Wrong("DAY or GTC", command(Order.buy("A", 10, "100", time_in_force="CLS"))),
    Wrong("simple", command(Order.buy("A", 10, trail_amount="1"))),
    Wrong("limit orders", command(Order.sell("A", 10, "110", stop_price="95"), OrderClass.OCO, stop_loss=D(90))),
    Wrong("no price", command(take_profit=D(110), stop_loss=D(0)), FIELD),
    Wrong("no price", command(take_profit=D("NaN"), stop_loss=D(90)), FIELD),
    Wrong("take_profit.limit_price 110.001 is no multiple", command(take_profit=D("110.001"), stop_loss=D(90))),
    Wrong("stop_loss.stop_price 0.90001 is no multiple", command(take_profit=D(110), stop_loss=D("0.90001"))),
    Wrong("above the stop loss", command(Order.buy("A", 10), take_profit=D(90), stop_loss=D(90))),
    Wrong("above the stop loss", command(Order.buy("A", 10), take_profit=D("0.905"), stop_loss=D("0.9"))),
    Wrong("above the limit price", command(take_profit=D(100), stop_loss=D(90))),
    Wrong("below the limit price", command(take_profit=D(110), stop_loss=D(100))),
    Wrong("below the stop loss", command(Order.sell("A", 10), take_profit=D(110), stop_loss=D(90))),
    Wrong("above the stop loss", oco(limit="90", stop="110")),
    Wrong("below the stop loss", oco("buy", limit="110", stop="90")),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.why)
def test_what_alpaca_would_refuse(wrong: Wrong) -> None:
    """Each group that Alpaca would refuse is objected to with its code, and the sandbox refuses it with the same."""
    found = objection_to(wrong.sent)
    assert found is not None
    assert wrong.why in found.text
    assert found.code == wrong.code
    if wrong.by_sandbox:
        with pytest.raises(Refusal) as refused:
            read_form(body_of(wrong.sent))
        assert str(refused.value.body["code"]) == wrong.code


prices = st.decimals(D("0.5"), 200, places=2)


@given(
    st.sampled_from([OrderClass.BRACKET, OrderClass.OTO, OrderClass.OCO]),
    st.sampled_from(Side),
    st.none() | prices,
    st.none() | prices,
    st.none() | prices,
    st.sampled_from(TimeInForce),
    st.booleans(),
)
def test_whatever_passes_is_good_form(
    order_class: OrderClass,
    side: Side,
    limit: Decimal | None,
    profit: Decimal | None,
    stop: Decimal | None,
    time_in_force: TimeInForce,
    extended: bool,
) -> None:
    """A group that is not objected to is one that the sandbox's form takes, and one that is good form is not objected to."""
    order = Order(
        symbol="A",
        side=side,
        quantity=D(10),
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        limit_price=limit,
        time_in_force=time_in_force,
        extended_hours=extended,
    )
    sent = NewOrder(ID, order, 1, 0, Exits.of(order_class, ID, take_profit=profit, stop_loss=stop))
    if order_class is OrderClass.OCO and (profit is not None or limit is None):
        assert objection_to(sent) is not None  # there it has two places; here its order is the take profit
        return
    try:
        read_form(body_of(sent))
    except Refusal:
        assert objection_to(sent) is not None
    else:
        assert objection_to(sent) is None


# --- Names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "name"), [(ExitRole.TAKE_PROFIT, "b-tp.3"), (ExitRole.STOP_LOSS, "b-sl.3")])
def test_an_exit_is_named_after_its_order(role: ExitRole, name: str) -> None:
    """The name follows from the order's own and leads back to it."""
    assert exit_wire_id("b.3", role) == name
    assert group_of(name) == ("b.3", role)


@pytest.mark.parametrize("wire_id", ["b.0", "b-xx.0", "-tp.0", "tp.0", "", "b", "b-TP.0"])
def test_what_is_no_exit_by_its_name(wire_id: str) -> None:
    """Any other name is that of an order by itself."""
    assert group_of(wire_id) is None


@given(st.from_regex(r"\A[A-Za-z0-9_:-]{1,37}\Z"), st.integers(0, 9_999_999), st.sampled_from(ExitRole))
def test_the_way_back_is_exact(order_id: str, number: int, role: ExitRole) -> None:
    """Whatever the order's id, also one that ends as an exit's does, the way to an exit's name and back is one."""
    assert group_of(exit_wire_id(f"{order_id}.{number}", role)) == (f"{order_id}.{number}", role)


def test_the_names_of_a_command() -> None:
    """A simple order is one, a bracket three, in the order entry, take profit, stop loss."""
    assert wire_ids(NewOrder(ID, Order.buy("A", 1), 1, 0)) == (ID,)
    assert wire_ids(command()) == (ID, "b-tp.0", "b-sl.0")


# --- The vocabulary ----------------------------------------------------------------------------------------------------


def test_a_simple_order_is_encoded_as_it_always_was() -> None:
    """The command without exits has no field for them, and an old one is read."""
    plain = NewOrder(ID, Order.buy("A", 1), 1, 0)
    fields = msgspec.json.decode(msgspec.json.encode(plain))
    assert set(fields) == {"wire_id", "order", "not_after_ns", "trading_epoch"}
    assert msgspec.json.decode(msgspec.json.encode(plain), type=NewOrder) == plain
    assert msgspec.json.decode(msgspec.json.encode(command()), type=NewOrder) == command()


def test_what_a_broker_works_natively_is_data() -> None:
    """Alpaca declares its classes, the record keeps them, and a broker without any leaves no trace of that."""
    assert CAPABILITIES.order_classes == tuple(OrderClass)
    record = Record(1, 2, 0, SessionConnected("main", CAPABILITIES))
    assert decode_record(msgspec.msgpack.encode(record)) == record
    without = msgspec.structs.replace(CAPABILITIES, order_classes=msgspec.UNSET)
    assert "order_classes" not in msgspec.to_builtins(without)
    old = msgspec.to_builtins(without)
    assert msgspec.convert(old, Capabilities).order_classes is msgspec.UNSET


# --- Amounts -----------------------------------------------------------------------------------------------------------


def money(**fields: Any) -> WireOrder:
    fields = {"id": "m", "status": "new", "side": "buy", "notional": D(100), **fields}
    return WireOrder(**fields)


@pytest.mark.parametrize(
    ("order", "quantity", "price"),
    [
        (money(), D(100), D(1)),
        (money(limit_price=D(50)), D(100), D(1)),
        (money(limit_price=D("0.3")), D("333.333333334"), D("0.3")),
        (money(side="sell"), D(100), None),
        (money(side="sell", limit_price=D("0.5")), D(200), D("0.5")),
        (money(filled_qty=D("0.4"), filled_avg_price=D(100)), D(60), D(1)),
        (money(filled_qty=D("0.4")), D(100), D(1)),
        (money(filled_qty=D(2), filled_avg_price=D(51)), D(0), D(1)),
        (money(notional=None), D(0), None),
        (money(notional=None, qty=D(7), filled_qty=D(3), limit_price=D(9)), D(4), D(9)),
    ],
)
def test_what_an_order_for_an_amount_counts(order: WireOrder, quantity: Decimal, price: Decimal | None) -> None:
    """It is a share for each dollar that is left, more below a dollar of its limit, and never crashes."""
    assert (open_quantity(order), price_of(order)) == (quantity, price)


@given(st.decimals(1, 10**7, places=2), st.decimals(1, 10**4, places=2))
def test_an_amount_counts_at_least_what_it_buys(notional: Decimal, price: Decimal) -> None:
    """At any price from a dollar on it counts for no fewer shares than it can buy."""
    assert open_quantity(money(notional=notional)) >= notional / price


def test_an_exit_is_known_by_its_order_alone() -> None:
    """Exits that are stated beneath an order of ours are ours, whatever they were taken for, and a stranger's are not."""
    known = KnownOrders()
    profit = WireOrder(id="p", status="held", client_order_id="77-1", type="limit", order_class="bracket", qty=D(10))
    stop = msgspec.structs.replace(profit, id="s", client_order_id="77-2", type="stop_limit")
    assert known.learn(profit) is None
    entry = WireOrder(id="e", status="new", client_order_id=ID, order_class="bracket", legs=[profit, stop])
    assert known.learn(msgspec.structs.replace(entry, id="x", client_order_id="99-0")) is None
    assert known.learn(profit) is None
    known.learn(entry)
    assert {each.wire_id: each.broker_order_id for each in known.by_id.values()} == {
        ID: "e",
        "b-tp.0": "p",
        "b-sl.0": "s",
    }
    assert [known.knows_exit(name) for name in (ID, "b-tp.0", "b-sl.0")] == [False, True, True]
    assert known.foreign.keys() == {"x"}


@pytest.mark.parametrize("kind", OrderType)
def test_the_type_is_known_of_an_order_that_stands_by_itself(kind: OrderType) -> None:
    """Of an order that works together with others, or whose type nobody has heard of, none is told: other rules hold for those."""
    word = kind.value.lower()
    assert lone_type(WireOrder(id="b", status="new", type=word, order_class="simple")) is kind
    assert lone_type(WireOrder(id="b", status="new", order_type=word)) is kind
    for group in ("bracket", "oco", "oto", "mleg"):
        assert lone_type(WireOrder(id="b", status="new", type=word, order_class=group)) is None
    assert lone_type(WireOrder(id="b", status="new", type=word, legs=[WireOrder(id="l", status="new")])) is None
    assert lone_type(WireOrder(id="b", status="new", type="pegged")) is None
