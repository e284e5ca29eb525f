"""Between our words and Alpaca's."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.errors import BrokerProtocolError
from ordersmith.actors.model import Order, OrderType, Terms, TimeInForce
from ordersmith.actors.ports import BrokerOrderState
from ordersmith.adapters.alpaca.codec import fill_key, instant_ns, next_leg_body, order_body
from ordersmith.adapters.alpaca.statuses import ENDS, MEANING_OF, STATE_OF, Meaning, state_of
from ordersmith.adapters.alpaca.wire import WireOrder, WireUpdate, convert, decode

PLAIN = {"symbol": "A", "side": "buy", "time_in_force": "day", "client_order_id": "x.0"}
AMOUNTS = st.decimals(min_value="0.000000001", max_value="1e12", places=9, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("order", "body"),
    [
        (Order.buy("A", 10), {"qty": "10", "type": "market"}),
        (Order.buy("A", "0.123456789", "100.10"), {"qty": "0.123456789", "type": "limit", "limit_price": "100.10"}),
        (Order.sell("A", "1E+2", stop_price="9"), {"qty": "100", "type": "stop", "stop_price": "9", "side": "sell"}),
        (
            Order.buy("A", 1, "10", stop_price="9", time_in_force="GTC"),
            {"qty": "1", "type": "stop_limit", "limit_price": "10", "stop_price": "9", "time_in_force": "gtc"},
        ),
        (Order.buy("A", 1, trail_amount="0.5"), {"qty": "1", "type": "trailing_stop", "trail_price": "0.5"}),
        (Order.buy("A", 1, trail_percent="5"), {"qty": "1", "type": "trailing_stop", "trail_percent": "5"}),
        (
            Order.buy("A", 1, "10", extended_hours=True),
            {"qty": "1", "type": "limit", "limit_price": "10", "extended_hours": True},
        ),
    ],
)
def test_the_body_of_an_order(order: Order, body: dict[str, object]) -> None:
    """An order is posted with exact texts for numbers, and with our id."""
    assert order_body(order, "x.0") == {**PLAIN, **body}


def test_every_kind_of_order_has_a_word() -> None:
    """No order type and no time in force is left without Alpaca's word for it."""
    words = {
        order_body(Order.buy("A", 1, order_type=kind, time_in_force=tif), "x.0")["type"]
        for kind in OrderType
        for tif in TimeInForce
    }
    assert words == {"market", "limit", "stop", "stop_limit", "trailing_stop"}


def test_the_next_leg_is_of_the_kind_of_the_one_before() -> None:
    """A leg for the rest keeps side, type, time in force and hours, and has the new price and its own id."""
    before = WireOrder(
        id="b", status="canceled", symbol="A", side="sell", type="limit", time_in_force="gtc", extended_hours=True
    )
    assert next_leg_body(before, Terms(Decimal(12), Decimal("9.5")), Decimal(8), "x.1") == {
        "symbol": "A",
        "qty": "8",
        "side": "sell",
        "type": "limit",
        "time_in_force": "gtc",
        "client_order_id": "x.1",
        "limit_price": "9.5",
        "extended_hours": True,
    }


@given(AMOUNTS, st.integers(0, 6))
def test_a_fill_has_one_key_however_its_sum_is_written(amount: Decimal, zeros: int) -> None:
    """Zeros at the end and an exponent make no other key; another sum does."""
    texts = (amount, amount.normalize(), Decimal(f"{amount:f}" + "0" * zeros))
    assert len({fill_key("b", each) for each in texts}) == 1
    assert fill_key("b", amount) != fill_key("b", amount + 1)
    assert Decimal(fill_key("b", amount).partition(":")[2]) == amount


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("2026-11-22T08:11:09.731612345Z", 1_795_335_069_731_612_345),
        ("2026-11-22T03:11:09.731612345-05:00", 1_795_335_069_731_612_345),
        ("2026-11-22T08:11:09.7316123459999Z", 1_795_335_069_731_612_345),
        ("yesterday", 7),
        ("2026-13-45T99:11:09Z", 7),
        (None, 7),
    ],
)
def test_a_stamp_is_read_to_the_nanosecond(text: str | None, at_ns: int) -> None:
    """Stamps of any precision and zone are instants; what is none has the instant that it is given."""
    assert instant_ns(text, 7) == at_ns


def test_an_answer_is_read_tolerantly() -> None:
    """Empty texts, nulls, plain numbers and unknown fields are no obstacle; money keeps its digits."""
    body = (
        b'{"id":"b","status":"brand_new","qty":10,"filled_qty":"0.10","limit_price":"","legs":null,'
        b'"extended_hours":"false","soon":{"x":1}}'
    )
    order = decode(body, WireOrder, "order")
    assert (order.qty, str(order.filled_qty), order.limit_price, order.legs) == (10, "0.10", None, None)
    assert order.extended_hours is False
    assert state_of(order) is None
    for broken in (b"<html>", b"[]", b'{"id":1}', b""):
        with pytest.raises(BrokerProtocolError, match="order"):
            decode(broken, WireOrder, "order")


@given(
    st.dictionaries(
        st.sampled_from(["event", "order", "price", "qty", "execution_id"]),
        st.one_of(st.none(), st.text(), st.floats(), st.integers(), st.lists(st.text())),
        max_size=5,
    )
)
def test_an_update_is_read_or_refused(data: dict[str, object]) -> None:
    """Whatever an update holds, reading it raises a BrokerProtocolError and nothing else."""
    data = {**data, "order": {"id": "b", "status": "new", **({"qty": data["qty"]} if "qty" in data else {})}}
    with suppress(BrokerProtocolError):
        assert isinstance(convert(data, WireUpdate, "update"), WireUpdate)


def test_every_status_that_the_sdk_knows_has_a_meaning() -> None:
    """The SDK's own lists of statuses and events are in our tables."""
    from alpaca.trading.enums import OrderStatus, TradeEvent

    assert {each.value for each in OrderStatus} <= set(STATE_OF)
    assert {each.value for each in TradeEvent} <= set(MEANING_OF)
    assert {event for event, meaning in MEANING_OF.items() if meaning is Meaning.ENDED} == set(ENDS)


def test_calculated_is_over_when_it_is_filled() -> None:
    """An order whose commission is being computed is done once its quantity has filled."""
    order = WireOrder(id="b", status="calculated", qty=Decimal(5), filled_qty=Decimal(4))
    assert state_of(order) is BrokerOrderState.WORKING
    assert state_of(msgspec.structs.replace(order, filled_qty=Decimal(5))) is BrokerOrderState.DONE
