"""What a replacement is at Alpaca: another order with another id, that may be refused after it was taken.

That is why the port does not use it (`adapters/alpaca`): it cancels, waits for the proof, and sends the rest. People
replace orders in the dashboard all the same, and the sandbox is for anybody's program.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from alpaca_wire import Wire

PATCH = "docs.alpaca.markets/reference/patchorderbyorderid-1"
ERRORS = "docs.alpaca.markets/us/docs/options-trading-overview: Replace"
INVALID = (422, 42210000)


def refusal(answer: Any) -> tuple[int, int]:
    return answer.status, answer.code


@pytest.mark.source(f"facts A.2; {PATCH}: a new order with a new id, replaces and replaced_by")
def test_a_replacement_is_a_new_order(alpaca: Wire) -> None:
    """The answer has another id, another client id and the changed price; old and new name each other, the old is closed."""
    old = alpaca.rest("50", client_order_id="old.0")
    answer = alpaca.replace(old["id"], limit_price="51")
    new = answer.body
    assert answer.status == 200
    assert new["id"] != old["id"]
    assert new["replaces"] == old["id"]
    assert UUID(new["client_order_id"])
    assert (new["limit_price"], new["qty"], new["filled_qty"], new["side"]) == ("51", "10", "0", "buy")
    alpaca.wait(new["id"], "new")
    replaced = alpaca.wait(old["id"], "replaced")
    assert (replaced["replaced_by"], replaced["limit_price"]) == (new["id"], "50")
    assert replaced["replaced_at"] is not None
    assert [order["id"] for order in alpaca.read("/v2/orders")] == [new["id"]]


@pytest.mark.source("docs.alpaca.markets/docs/websocket-streaming: replaced; facts A.2")
def test_a_replacement_is_told_for_both_orders(alpaca: Wire) -> None:
    """The stream says that the old order is replaced and that the new one is new."""
    old = alpaca.rest("50")
    with alpaca.updates() as stream:
        new = alpaca.replace(old["id"], limit_price="51").body
        stream.until("new", new["id"])
        alpaca.cancel(new["id"])
        stream.until("canceled", new["id"])
        seen = [(update["event"], update["order"]["id"]) for update in _updates(stream)]
    assert ("replaced", old["id"]) in seen
    assert {event for event, order_id in seen if order_id == old["id"]} <= {"pending_replace", "replaced"}


def _updates(stream: Any) -> list[dict[str, Any]]:
    import msgspec

    messages = [msgspec.json.decode(frame) for frame in stream.frames]
    return [message["data"] for message in messages if message["stream"] == "trade_updates"]


@pytest.mark.source(f"{PATCH}: client_order_id; facts A.2: 40010001")
def test_a_replacement_may_be_named(alpaca: Wire) -> None:
    """A replacement has the client id that was asked for, and that of another order is refused."""
    old = alpaca.rest("50", client_order_id="named.0")
    alpaca.rest("49", client_order_id="other.0")
    assert refusal(alpaca.replace(old["id"], limit_price="51", client_order_id="other.0")) == (422, 40010001)
    new = alpaca.replace(old["id"], limit_price="51", client_order_id="named.1").body
    assert new["client_order_id"] == "named.1"
    assert alpaca.read("/v2/orders:by_client_order_id", client_order_id="named.0")["id"] == old["id"]
    assert alpaca.read("/v2/orders:by_client_order_id", client_order_id="named.1")["id"] == new["id"]


@pytest.mark.source("alpacahq/Alpaca-API#165: the new order has the original quantity, not what is left")
def test_a_replacement_after_a_partial_fill_is_for_the_whole_again(alpaca: Wire) -> None:
    """A replacement of the price alone has the old order's full quantity and no fills: both orders together can overfill."""
    old = alpaca.rest("50")
    alpaca.market.fill(old["id"], "4", "50")
    new = alpaca.replace(old["id"], limit_price="51").body
    alpaca.wait(new["id"], "new")
    assert (new["qty"], new["filled_qty"]) == ("10", "0")
    assert alpaca.order(old["id"])["filled_qty"] == "4"
    alpaca.market.fill(new["id"], "10", "51")
    assert alpaca.read("/v2/positions/AAPL")["qty"] == "14"


@pytest.mark.source(f"{ERRORS}: order parameters are not changed")
def test_a_replacement_must_change_something(alpaca: Wire) -> None:
    """A replacement with the terms that the order has is refused, and the order goes on."""
    order = alpaca.rest("50")
    assert refusal(alpaca.replace(order["id"], limit_price="50")) in (INVALID, (403, 40310000))
    assert alpaca.order(order["id"])["status"] == "new"


@pytest.mark.source(f"{ERRORS}: cannot replace order in a final status")
def test_an_order_that_is_done_cannot_be_replaced(alpaca: Wire) -> None:
    """A filled, a canceled and a replaced order refuse a replacement."""
    filled = alpaca.place()["id"]
    canceled, replaced = alpaca.rest("50")["id"], alpaca.rest("49")["id"]
    alpaca.wait(filled, "filled")
    alpaca.cancel(canceled)
    alpaca.replace(replaced, limit_price="48")
    alpaca.wait(canceled, "canceled")
    alpaca.wait(replaced, "replaced")
    for order_id in (filled, canceled, replaced):
        assert refusal(alpaca.replace(order_id, limit_price="47")) == INVALID


@pytest.mark.source("facts A.2: notional orders never")
def test_a_notional_order_cannot_be_replaced(alpaca: Wire) -> None:
    """An order for an amount refuses a replacement."""
    order = alpaca.place(notional="500", type="limit", limit_price="50")
    alpaca.wait(order["id"], "new")
    assert alpaca.replace(order["id"], limit_price="51").status in (403, 422)


@pytest.mark.source("42210000 qty cannot be changed for advanced orders")
def test_the_quantity_of_a_bracket_cannot_be_replaced(alpaca: Wire) -> None:
    """A bracket's legs take another price and no other quantity."""
    order = alpaca.place(order_class="bracket", take_profit={"limit_price": "120"}, stop_loss={"stop_price": "80"})
    alpaca.wait(order["id"], "filled")
    profit = next(leg["id"] for leg in order["legs"] if leg["type"] == "limit")
    alpaca.wait(profit, "new", "accepted")
    assert refusal(alpaca.replace(profit, qty="5")) == INVALID
    new = alpaca.replace(profit, limit_price="119")
    assert new.status == 200
    assert new.body["limit_price"] == "119"


# --- While it is pending -----------------------------------------------------------------------------------------------


@pytest.mark.source(
    f"{PATCH}: not while pending_replace; orders: rejects a cancel then", sandbox={"replace_delay_ns": 600_000_000}
)
def test_an_order_that_is_being_replaced_takes_no_other_request(alpaca: Wire) -> None:
    """While its replacement is pending an order refuses a cancel and another replacement."""
    order = alpaca.rest("50")
    assert alpaca.replace(order["id"], limit_price="51").status == 200
    assert alpaca.order(order["id"])["status"] == "pending_replace"
    assert refusal(alpaca.cancel(order["id"])) == INVALID
    assert refusal(alpaca.replace(order["id"], limit_price="52")) == INVALID
    alpaca.wait(order["id"], "replaced")


@pytest.mark.source(
    f"{PATCH}: a 200 does not mean replaced; facts D: PATCH that is later rejected",
    sandbox={"replace_delay_ns": 600_000_000},
)
def test_a_replacement_is_rejected_when_the_old_order_fills_first(alpaca: Wire) -> None:
    """When the old order fills before its replacement arrives, the new order is rejected and the old one stays filled."""
    old = alpaca.rest("50")
    with alpaca.updates() as stream:
        new = alpaca.replace(old["id"], limit_price="51").body
        alpaca.market.fill(old["id"], "10", "50")
        stream.update("rejected", new["id"])
    assert alpaca.wait(old["id"], "filled")["filled_qty"] == "10"
    assert alpaca.order(new["id"])["status"] == "rejected"
    assert alpaca.read("/v2/positions/AAPL")["qty"] == "10"
