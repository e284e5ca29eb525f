"""What becomes of an order at Alpaca: the life cycle of each type, time in force and class, as the documents tell it."""

from __future__ import annotations

from decimal import Decimal
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from alpaca_wire import Wire, eventually

OPEN = ("new", "accepted", "held", "pending_new")
FIELDS = frozenset(
    """
    id client_order_id created_at updated_at submitted_at filled_at expired_at canceled_at failed_at replaced_at
    replaced_by replaces asset_id symbol asset_class notional qty filled_qty filled_avg_price order_class order_type type
    side time_in_force limit_price stop_price status extended_hours legs trail_percent trail_price hwm
    """.split()
)
UNDERSTAND_ORDERS = "docs.alpaca.markets/docs/orders-at-alpaca"
STREAMING = "docs.alpaca.markets/docs/websocket-streaming"
PAPER = "docs.alpaca.markets/docs/paper-trading"

BRACKET: dict[str, Any] = {
    "order_class": "bracket",
    "take_profit": {"limit_price": "120"},
    "stop_loss": {"stop_price": "80"},
}


# --- The order object --------------------------------------------------------------------------------------------------


@pytest.mark.source("facts A.2; alpaca-docs oas/trading Orders")
def test_an_order_object_has_every_documented_field(alpaca: Wire) -> None:
    """The answer to a new order has every field of the documented object, numbers as strings, and what is unknown as null."""
    order = alpaca.place(type="limit", limit_price="50.25", client_order_id="fields.0")
    assert set(order) >= FIELDS
    assert UUID(order["id"])
    assert UUID(order["asset_id"])
    assert (order["client_order_id"], order["symbol"], order["asset_class"]) == ("fields.0", "AAPL", "us_equity")
    assert (order["qty"], order["filled_qty"], order["limit_price"], order["notional"]) == ("10", "0", "50.25", None)
    assert (order["type"], order["order_type"], order["side"], order["time_in_force"]) == (
        "limit",
        "limit",
        "buy",
        "day",
    )
    assert [order[name] for name in ("filled_avg_price", "replaced_by", "replaces", "legs")] == [None] * 4
    assert order["extended_hours"] is False
    assert order["order_class"] in ("", "simple")
    assert all(order[name].endswith("Z") for name in ("created_at", "updated_at", "submitted_at"))


@pytest.mark.source("facts A.1: submit_order returned with status pending_new")
def test_the_answer_to_a_market_order_shows_it_before_it_trades(alpaca: Wire) -> None:
    """A 200 means that the order was taken: nothing of it is filled in the answer."""
    order = alpaca.place()
    assert order["status"] in ("pending_new", "accepted", "new")
    assert (order["filled_qty"], order["filled_avg_price"], order["filled_at"]) == ("0", None, None)


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: automatically generated if not sent")
def test_alpaca_names_an_order_that_has_no_client_id(alpaca: Wire) -> None:
    """An order that is sent without a client order id gets one, and another each time."""
    assert len({alpaca.place()["client_order_id"], alpaca.place()["client_order_id"], ""}) == 3


# --- Simple orders -----------------------------------------------------------------------------------------------------


@pytest.mark.source(f"{STREAMING}: new, fill; facts A.4")
def test_a_market_order_is_new_and_then_filled(alpaca: Wire) -> None:
    """A market order in an open market is announced as new and filled, the fill with its price, quantity and position."""
    with alpaca.updates() as stream:
        order = alpaca.place(qty="5")
        seen = stream.until("fill", order["id"])
    events = [update["event"] for update in seen]
    assert events[-2:] == ["new", "fill"]
    assert set(events[:-2]) <= {"pending_new", "accepted"}
    fill = seen[-1]
    assert (fill["qty"], fill["price"], fill["position_qty"]) == ("5", "100.02", "5")
    assert UUID(fill["execution_id"])
    assert fill["timestamp"]
    assert (fill["order"]["status"], fill["order"]["filled_qty"]) == ("filled", "5")
    assert Decimal(fill["order"]["filled_avg_price"]) == Decimal("100.02")
    assert fill["order"]["filled_at"] is not None


@pytest.mark.source("facts A.1 and D: the event arrives before the answer to the POST")
def test_events_arrive_before_the_answer_to_the_order(alpaca: Wire) -> None:
    """An order is announced, and filled, on the stream while its POST is not answered yet."""
    alpaca.market.fault("slow", method="POST", path="/v2/orders", seconds=1.0)
    answers: list[dict[str, Any]] = []
    with alpaca.updates() as stream:
        sender = Thread(target=lambda: answers.append(alpaca.place(client_order_id="early.0")))
        sender.start()
        fill = stream.update("fill")
        unanswered = not answers
        sender.join(5)
    assert fill["order"]["client_order_id"] == "early.0"
    assert unanswered
    assert [answer["id"] for answer in answers] == [fill["order"]["id"]]


@pytest.mark.source(f"{PAPER}: filled when the limit price is equal to or greater than the best ask")
def test_a_limit_order_waits_until_it_is_marketable(alpaca: Wire) -> None:
    """A buy limit below the ask rests as new, and fills once the ask is at its limit, at no worse a price."""
    order = alpaca.rest("99.50")
    alpaca.market.quote("AAPL", 99.49, 99.51)
    assert alpaca.order(order["id"])["filled_qty"] == "0"
    alpaca.market.quote("AAPL", 99.40, 99.45)
    filled = alpaca.wait(order["id"], "filled")
    assert Decimal(filled["filled_avg_price"]) <= Decimal("99.50")


@pytest.mark.source(f"{STREAMING}: partial_fill; alpacahq/Alpaca-API#103: qty is the quantity of that update")
def test_a_partial_fill_tells_its_own_quantity(alpaca: Wire) -> None:
    """Partial fills carry the quantity of that execution and the order its sum; the last of them is called fill."""
    order = alpaca.rest("50")
    with alpaca.updates() as stream:
        alpaca.market.fill(order["id"], "4", "50")
        part = stream.update("partial_fill", order["id"])
        alpaca.market.fill(order["id"], "6", "49")
        whole = stream.update("fill", order["id"])
    assert (part["qty"], part["order"]["filled_qty"], part["order"]["status"]) == ("4", "4", "partially_filled")
    assert (whole["qty"], whole["order"]["filled_qty"], whole["order"]["status"]) == ("6", "10", "filled")
    assert part["execution_id"] != whole["execution_id"]
    assert (part["position_qty"], whole["position_qty"]) == ("4", "10")
    assert Decimal(whole["order"]["filled_avg_price"]) == Decimal("49.4")


@pytest.mark.source(f"{PAPER}: partial fills for a random size 10% of the time", sandbox={"partial_probability": 1.0})
def test_paper_fills_some_orders_in_parts(alpaca: Wire) -> None:
    """An eligible order may fill in parts of random size, and what is left of it fills later while it is marketable."""
    with alpaca.updates() as stream:
        order = alpaca.place(qty="1000")
        seen = [stream.update("partial_fill", order["id"])]
        while seen[-1]["event"] != "fill":
            alpaca.market.quote("AAPL", 100, 100.02)
            seen.append(stream.until("fill", order["id"])[-1] if len(seen) > 50 else _next_fill(stream))
    assert 0 < int(seen[0]["qty"]) < 1000
    assert sum(int(update["qty"]) for update in seen) == 1000


def _next_fill(stream: Any) -> dict[str, Any]:
    while True:
        update: dict[str, Any] = stream.next()["data"]
        if update["event"] in ("partial_fill", "fill"):
            return update


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: stop order")
def test_a_stop_order_fills_after_the_price_passes_it(alpaca: Wire) -> None:
    """A sell stop rests while the market is above its price and sells at the market below it."""
    alpaca.wait(alpaca.place()["id"], "filled")
    order = alpaca.place(side="sell", type="stop", stop_price="95")
    assert alpaca.wait(order["id"], "new", "held")["stop_price"] == "95"
    alpaca.market.quote("AAPL", 94.80, 94.82)
    assert Decimal(alpaca.wait(order["id"], "filled")["filled_avg_price"]) <= 95


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: stop limit order")
def test_a_stop_limit_order_becomes_a_limit_order(alpaca: Wire) -> None:
    """A triggered stop limit stays open when the market is beyond its limit, and fills when it comes back."""
    alpaca.wait(alpaca.place()["id"], "filled")
    order = alpaca.place(side="sell", type="stop_limit", stop_price="95", limit_price="94.90")
    alpaca.wait(order["id"], "new", "held")
    alpaca.market.quote("AAPL", 94.50, 94.52)
    assert alpaca.order(order["id"])["status"] in OPEN
    alpaca.market.quote("AAPL", 94.95, 94.97)
    assert Decimal(alpaca.wait(order["id"], "filled")["filled_avg_price"]) >= Decimal("94.90")


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: trailing stop: hwm, stop_price")
def test_a_trailing_stop_follows_the_market_up_only(alpaca: Wire) -> None:
    """A trailing sell keeps its stop the trail below the highest price that it saw, and shows both."""
    alpaca.wait(alpaca.place()["id"], "filled")
    order = alpaca.place(side="sell", type="trailing_stop", trail_price="2.00")
    alpaca.wait(order["id"], "new", "held")
    alpaca.market.quote("AAPL", 110.00, 110.02)
    high = alpaca.order(order["id"])
    assert Decimal(high["hwm"]) - Decimal(high["stop_price"]) == 2
    assert Decimal(high["hwm"]) >= 110
    alpaca.market.quote("AAPL", 109.00, 109.02)
    assert alpaca.order(order["id"])["stop_price"] == high["stop_price"]
    alpaca.market.quote("AAPL", 107.00, 107.02)
    alpaca.wait(order["id"], "filled")


# --- Times in force ----------------------------------------------------------------------------------------------------


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: ioc: any unfilled portion is canceled")
def test_what_an_ioc_cannot_fill_at_once_is_canceled(alpaca: Wire) -> None:
    """An IOC limit order that is not marketable is canceled by itself, with nothing filled."""
    order = alpaca.place(type="limit", limit_price="50", time_in_force="ioc")
    done = alpaca.wait(order["id"], "canceled", "expired")
    assert (done["status"], done["filled_qty"]) == ("canceled", "0")
    assert done["canceled_at"] is not None


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: fok")
def test_a_fok_fills_whole_or_not_at_all(alpaca: Wire) -> None:
    """A FOK that the market takes is filled; one that is not marketable is canceled with nothing filled."""
    whole = alpaca.place(type="limit", limit_price="101", time_in_force="fok")
    none = alpaca.place(type="limit", limit_price="50", time_in_force="fok")
    assert alpaca.wait(whole["id"], "filled", "canceled")["filled_qty"] == "10"
    assert alpaca.wait(none["id"], "canceled")["filled_qty"] == "0"


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: gtc")
def test_a_gtc_order_keeps_working(alpaca: Wire) -> None:
    """A GTC limit order is new and says its time in force."""
    assert alpaca.rest("50", time_in_force="gtc")["time_in_force"] == "gtc"


@pytest.mark.source(f"{STREAMING}: expired; {UNDERSTAND_ORDERS}: day")
def test_a_day_order_ends_with_the_session(alpaca: Wire) -> None:
    """A day order that the close finds open is expired, by event and by status, and what it filled stays filled."""
    order = alpaca.rest("50")
    alpaca.market.fill(order["id"], "3", "50")
    with alpaca.updates() as stream:
        alpaca.market.close_session()
        update = stream.update("expired", order["id"])
    assert (update["order"]["status"], update["order"]["filled_qty"]) == ("expired", "3")
    assert update["order"]["expired_at"] is not None


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: extended hours: only limit and day")
def test_an_extended_hours_order_says_so(alpaca: Wire) -> None:
    """A day limit order may be eligible for extended hours, and its object says it."""
    assert alpaca.place(type="limit", limit_price="50", extended_hours=True)["extended_hours"] is True


# --- Notional and fractional -------------------------------------------------------------------------------------------


@pytest.mark.source("alpaca-docs oas/trading Order: notional entered, qty null")
def test_a_notional_order_buys_for_an_amount(alpaca: Wire) -> None:
    """A notional order has no quantity, and fills the fraction that its amount buys, of at most nine digits."""
    order = alpaca.place(notional="500")
    assert (order["notional"], order["qty"]) == ("500", None)
    filled = alpaca.wait(order["id"], "filled")
    bought = Decimal(filled["filled_qty"])
    assert abs(bought * Decimal(filled["filled_avg_price"]) - 500) < Decimal("0.01")
    assert bought.as_tuple().exponent >= -9  # type: ignore[operator]


@pytest.mark.source("docs.alpaca.markets/docs/fractional-trading")
def test_a_fraction_of_a_share_can_be_bought(alpaca: Wire) -> None:
    """A fractional day order fills its fraction exactly."""
    assert alpaca.wait(alpaca.place(qty="3.654")["id"], "filled")["filled_qty"] == "3.654"


# --- Bracket, OCO, OTO -------------------------------------------------------------------------------------------------


@pytest.mark.source("facts A.2: exit legs get own random client_order_ids, status held")
def test_a_bracket_is_answered_with_its_held_legs(alpaca: Wire) -> None:
    """A bracket's answer has its two exits as legs, held, with client ids that Alpaca chose."""
    order = alpaca.place(type="limit", limit_price="90", client_order_id="bracket.0", **BRACKET)
    profit, stop = sorted(order["legs"], key=lambda leg: leg["type"])
    assert order["order_class"] == "bracket"
    assert [leg["status"] for leg in (profit, stop)] == ["held", "held"]
    assert [leg["side"] for leg in (profit, stop)] == ["sell", "sell"]
    assert (profit["limit_price"], stop["stop_price"]) == ("120", "80")
    assert UUID(profit["client_order_id"]) != UUID(stop["client_order_id"])
    assert len({order["id"], profit["id"], stop["id"]}) == 3


@pytest.mark.source("facts A.2; docs.alpaca.markets/docs/orders-at-alpaca: stop_loss limit_price makes a stop limit")
def test_a_stop_loss_with_a_limit_is_a_stop_limit(alpaca: Wire) -> None:
    """The stop leg is a stop limit order exactly when its limit price is given."""
    order = alpaca.place(
        order_class="oto", type="limit", limit_price="90", stop_loss={"stop_price": "80", "limit_price": "79"}
    )
    (leg,) = order["legs"]
    assert (leg["type"], leg["stop_price"], leg["limit_price"]) == ("stop_limit", "80", "79")


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: exits are not active until the first order is completely filled")
def test_exits_are_held_until_the_entry_is_completely_filled(alpaca: Wire) -> None:
    """A part of the entry activates no exit; the whole of it activates the take-profit at least."""
    order = alpaca.place(type="limit", limit_price="90", **BRACKET)
    alpaca.wait(order["id"], "new")
    alpaca.market.fill(order["id"], "4", "90")
    legs = alpaca.order(order["id"], nested="true")["legs"]
    assert [leg["status"] for leg in legs] == ["held", "held"]
    alpaca.market.fill(order["id"], "6", "90")
    profit = next(leg["id"] for leg in legs if leg["type"] == "limit")
    assert alpaca.wait(profit, "new", "accepted")["qty"] == "10"


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: once one of the exit orders is filled, the other is canceled")
def test_one_exit_that_fills_cancels_the_other(alpaca: Wire) -> None:
    """The stop leg is canceled when the take-profit fills, and the position is closed once."""
    order = alpaca.place(**BRACKET)
    alpaca.wait(order["id"], "filled")
    legs = {leg["type"]: leg["id"] for leg in order["legs"]}
    alpaca.wait(legs["limit"], "new", "accepted")
    alpaca.market.quote("AAPL", 121, 121.02)
    assert alpaca.wait(legs["limit"], "filled")["filled_qty"] == "10"
    assert alpaca.wait(legs["stop"], "canceled")["filled_qty"] == "0"
    assert alpaca.read("/v2/positions") == []


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: a stop-loss is adjusted to the remaining quantity")
def test_a_stop_leg_covers_what_the_profit_leg_left(alpaca: Wire) -> None:
    """When a part of the take-profit fills, the stop leg stands for the rest."""
    order = alpaca.place(**BRACKET)
    alpaca.wait(order["id"], "filled")
    legs = {leg["type"]: leg["id"] for leg in order["legs"]}
    alpaca.wait(legs["limit"], "new", "accepted")
    alpaca.market.fill(legs["limit"], "4", "120")
    nested = alpaca.order(order["id"], nested="true")
    open_stop = next(leg for leg in nested["legs"] if leg["type"] == "stop" and leg["status"] in OPEN)
    assert open_stop["qty"] == "6"


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: if any one of the orders is canceled, any remaining open order is canceled")
def test_cancelling_one_order_of_a_bracket_cancels_the_group(alpaca: Wire) -> None:
    """Cancelling the entry takes its held legs with it, and cancelling one exit takes the other."""
    entry = alpaca.place(type="limit", limit_price="90", **BRACKET)
    alpaca.wait(entry["id"], "new")
    assert alpaca.cancel(entry["id"]).status == 204
    for leg in entry["legs"]:
        alpaca.wait(leg["id"], "canceled")
    filled = alpaca.place(**BRACKET)
    alpaca.wait(filled["id"], "filled")
    legs = {leg["type"]: leg["id"] for leg in filled["legs"]}
    alpaca.wait(legs["limit"], "new", "accepted")
    assert alpaca.cancel(legs["limit"]).status == 204
    alpaca.wait(legs["stop"], "canceled")


@pytest.mark.source(f"{UNDERSTAND_ORDERS}: OCO: the take-profit order is the parent, the stop-loss its child")
def test_an_oco_shows_its_stop_under_the_profit_order(alpaca: Wire) -> None:
    """An OCO closes a position: a limit order with the stop order as its only leg."""
    alpaca.wait(alpaca.place()["id"], "filled")
    order = alpaca.place(
        side="sell", type="limit", **{**BRACKET, "order_class": "oco"}, time_in_force="gtc", limit_price=None
    )
    nested = alpaca.order(order["id"], nested="true")
    assert (nested["order_class"], nested["type"], nested["limit_price"]) == ("oco", "limit", "120")
    assert [(leg["type"], leg["stop_price"]) for leg in nested["legs"]] == [("stop", "80")]
    alpaca.market.quote("AAPL", 79, 79.02)
    alpaca.wait(nested["legs"][0]["id"], "filled")
    alpaca.wait(order["id"], "canceled")


# --- Cancels -----------------------------------------------------------------------------------------------------------


@pytest.mark.source("alpaca-docs endpoints/orders: upon acceptance of the cancel request it returns 204")
def test_a_cancel_is_answered_by_204_and_an_event(alpaca: Wire) -> None:
    """A cancel of a working order is 204 without a body; the event canceled ends it, its fills kept."""
    order = alpaca.rest("50")
    alpaca.market.fill(order["id"], "4", "50")
    with alpaca.updates() as stream:
        answer = alpaca.cancel(order["id"])
        seen = stream.until("canceled", order["id"])
    assert (answer.status, answer.body) == (204, None)
    assert {update["event"] for update in seen} <= {"pending_cancel", "canceled"}
    assert (seen[-1]["order"]["status"], seen[-1]["order"]["filled_qty"]) == ("canceled", "4")
    assert seen[-1]["order"]["canceled_at"] is not None


@pytest.mark.source("facts A.2: DELETE /v2/orders is 207 with one row an order")
def test_cancel_all_answers_for_each_order(alpaca: Wire) -> None:
    """Cancelling everything is a 207 with the id and the status of every open order."""
    orders = {alpaca.rest("50")["id"], alpaca.rest("51")["id"]}
    answer = alpaca.ask("DELETE", "/v2/orders")
    assert answer.status == 207
    assert {row["id"]: row["status"] for row in answer.body} == dict.fromkeys(orders, 200)
    eventually(lambda: alpaca.read("/v2/orders"), lambda orders: orders == [])


@pytest.mark.source(
    "faults C1, C2: a 204 is a request taken; alpaca-docs: pending_cancel", sandbox={"cancel_delay_ns": 600_000_000}
)
def test_a_fill_can_overtake_a_cancel_that_was_taken(alpaca: Wire) -> None:
    """While a cancel is pending the order can fill, and then it is filled and not canceled."""
    order = alpaca.rest("50")
    assert alpaca.cancel(order["id"]).status == 204
    assert alpaca.order(order["id"])["status"] == "pending_cancel"
    alpaca.market.fill(order["id"], "10", "50")
    assert alpaca.wait(order["id"], "filled", "canceled")["filled_qty"] == "10"
    assert alpaca.order(order["id"])["status"] == "filled"
