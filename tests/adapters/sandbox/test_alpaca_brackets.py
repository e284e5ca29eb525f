"""Brackets, OCOs and OTOs: which leg works when, and what the end of one order is to the others."""

from __future__ import annotations

from typing import Any

import pytest
from alpaca_books_kit import BRACKET, CLOSE, SECOND_NS, Books, refusal

OCO: dict[str, Any] = {**BRACKET, "order_class": "oco", "side": "sell", "type": "limit"}


def statuses(books: Books, order: dict[str, Any]) -> dict[str, str]:
    """Return the status of an order and of its legs, by type; of legs that were replaced that of the new one."""
    row = books.broker.order(order["id"], nested=True)
    return {each["type"]: each["status"] for each in (row, *(row["legs"] or ()))}


def test_legs_are_held_with_ids_of_their_own() -> None:
    """The answer has both exits, held, on the other side, with client ids that nobody chose, and each is announced."""
    books = Books()
    order = books.rest("95", client_order_id="mine.0", **BRACKET)
    profit, stop = order["legs"]
    assert (profit["type"], profit["limit_price"], profit["side"], profit["qty"]) == ("limit", "110", "sell", "10")
    assert (stop["type"], stop["stop_price"], stop["status"], stop["order_class"]) == ("stop", "90", "held", "bracket")
    assert len({"mine.0", profit["client_order_id"], stop["client_order_id"]}) == 3
    assert books.events(stop["id"]) == ["held"]


def test_a_stop_loss_with_a_limit_is_a_stop_limit() -> None:
    """The limit price of the stop-loss makes it a stop limit order."""
    (leg,) = Books().send(order_class="oto", stop_loss={"stop_price": "90", "limit_price": "89.5"})["legs"]
    assert (leg["type"], leg["stop_price"], leg["limit_price"]) == ("stop_limit", "90", "89.5")


def test_a_part_of_the_entry_arms_nothing() -> None:
    """With nine of ten shares bought both exits are still held, and a market beyond them does not move them."""
    books = Books()
    order = books.rest("95", **BRACKET)
    books.quote(94.98, 95, 9)
    books.quote(111, 111.02)
    books.quote(89, None)
    legs = books.broker.order(order["id"], nested=True)["legs"]
    assert [leg["status"] for leg in legs] == ["held", "held"]
    assert (books.position(), books.broker.position("AAPL")["qty_available"]) == ("9", "9")


def test_the_whole_entry_arms_the_exits() -> None:
    """The take-profit is new, the stop-loss stays held while it watches."""
    books = Books()
    order = books.send(**BRACKET)
    assert books.leg(order, "limit")["status"] == "new"
    assert books.leg(order, "stop")["status"] == "held"


def test_the_profit_cancels_the_stop() -> None:
    """When the take-profit is filled the stop is canceled, and the position is closed once."""
    books = Books()
    order = books.send(**BRACKET)
    books.quote(110, 110.02)
    assert (books.leg(order, "limit")["status"], books.leg(order, "stop")["status"]) == ("filled", "canceled")
    books.quote(89, 89.02)
    assert books.broker.positions() == []


def test_the_stop_cancels_the_profit_first() -> None:
    """A touched stop takes the place of the take-profit: that is canceled, then the stop is new, then it fills."""
    books = Books()
    order = books.send(**BRACKET)
    profit, stop = books.leg(order, "limit")["id"], books.leg(order, "stop")["id"]
    books.updates()
    books.told.clear()
    books.quote(90, 90.02)
    assert [(each["event"], each["order"]["id"]) for each in books.updates()] == [
        ("canceled", profit),
        ("new", stop),
        ("fill", stop),
    ]
    assert books.position() == "0"


def test_a_part_of_the_profit_lessens_the_stop() -> None:
    """The stop stands for what is left, says so, and sells no more than that."""
    books = Books()
    order = books.send(**BRACKET)
    profit, stop = books.leg(order, "limit")["id"], books.leg(order, "stop")["id"]
    books.quote(110, 110.02, 4)
    assert books.broker.order(stop)["qty"] == "6"
    assert books.events(stop)[-1] == "restated"
    books.quote(90, 90.02)
    assert (books.position(), books.status(profit)) == ("0", "canceled")
    assert books.broker.order(stop)["filled_qty"] == "6"


def test_a_held_leg_is_not_filled_by_hand_before_its_time() -> None:
    """While the entry is open nobody fills its exits, be they held or being cancelled."""
    books = Books(cancel_delay_ns=SECOND_NS)
    profit, stop = books.rest("95", **BRACKET)["legs"]
    books.cancel(stop["id"])
    for leg in (profit, stop):
        assert refusal(books.fill, leg["id"], 1, "110").status == 422
    assert books.position() == "0"


def test_a_stop_that_is_being_cancelled_still_takes_the_place_of_the_profit() -> None:
    """A touch comes before the cancel: the take-profit is canceled, the stop fills, and its cancel came too late."""
    books = Books(cancel_delay_ns=SECOND_NS)
    order = books.send(**BRACKET)
    stop = books.leg(order, "stop")["id"]
    books.cancel(stop)
    books.quote(89, 89.02, 4)
    assert (books.leg(order, "limit")["status"], books.status(stop), books.position()) == (
        "canceled",
        "pending_cancel",
        "6",
    )
    books.quote(111, 111.02)
    assert books.position() == "0"
    assert books.events(stop)[-2:] == ["fill", "order_cancel_rejected"]


@pytest.mark.parametrize("which", ["entry", "limit", "stop"])
def test_who_cancels_one_cancels_all(which: str) -> None:
    """Cancelling the entry, or either exit, ends every open order of the group."""
    books = Books()
    order = books.rest("95", **BRACKET)
    books.cancel(order["id"] if which == "entry" else books.leg(order, which)["id"])
    assert books.broker.orders() == []
    assert books.events().count("canceled") == 3


def test_a_cancelled_entry_leaves_its_part_unprotected() -> None:
    """A partly filled entry that is cancelled takes its exits with it: the position stays, and nothing guards it."""
    books = Books()
    order = books.rest("95", **BRACKET)
    books.fill(order["id"], 4, "95")
    books.cancel(order["id"])
    assert (books.position(), books.broker.orders()) == ("4", [])


def test_legs_of_the_day_end_with_it() -> None:
    """Both exits are gone at the close, one expired and the other with it, and the position is still there."""
    books = Books()
    order = books.send(**BRACKET)
    books.wait_until(CLOSE)
    ends = {books.leg(order, "limit")["status"], books.leg(order, "stop")["status"]}
    assert ends <= {"expired", "canceled"}
    assert books.position() == "10"


def test_legs_that_are_good_till_cancelled_stay() -> None:
    """The exits of a GTC bracket work the next day, too."""
    books = Books()
    order = books.send(time_in_force="gtc", **BRACKET)
    books.wait_until(CLOSE + SECOND_NS)
    assert (books.leg(order, "limit")["status"], books.leg(order, "stop")["status"]) == ("new", "held")


@pytest.mark.parametrize(("sold", "left"), [("4", "10"), ("8", "6"), ("13", "1")])
def test_exits_are_for_what_other_orders_leave(sold: str, left: str) -> None:
    """Shares of an entry that another order is selling already are not sold by its exits, too."""
    books = Books()
    books.send(qty="4")
    entry = books.rest("95", **BRACKET)
    books.fill(entry["id"], 9, "95")
    books.rest("120", side="sell", qty=sold)
    books.fill(entry["id"], 1, "95")
    assert [books.leg(entry, kind)["qty"] for kind in ("limit", "stop")] == [left, left]
    assert books.broker.position("AAPL")["qty_available"] == "0"
    books.quote(120, 120.02)
    assert books.position() == "0"


def test_a_short_bracket_is_the_mirror() -> None:
    """A short entry is covered below by the profit and above by the stop."""
    books = Books()
    legs = {"take_profit": {"limit_price": "90"}, "stop_loss": {"stop_price": "110"}}
    order = books.send(side="sell", order_class="bracket", **legs)
    assert books.position() == "-10"
    books.quote(109.98, 110)
    assert (books.leg(order, "stop")["status"], books.position()) == ("filled", "0")


def test_an_oco_is_a_profit_order_with_a_stop_beneath() -> None:
    """The limit order is the parent and works, the stop is its leg and is held; together they hold the shares once."""
    books = Books()
    books.send()
    order = books.send(**OCO)
    assert [leg["type"] for leg in order["legs"]] == ["stop"]
    assert statuses(books, order) == {"limit": "new", "stop": "held"}
    assert (books.broker.position("AAPL")["qty_available"], order["limit_price"]) == ("0", "110")
    books.quote(90, 90.02)
    assert statuses(books, order) == {"limit": "canceled", "stop": "filled"}


def test_the_price_of_an_oco_may_stand_in_either_place() -> None:
    """Without a limit price in take_profit the order's own is meant."""
    books = Books()
    books.send()
    order = books.send(**{**OCO, "take_profit": None, "limit_price": "111"})
    assert order["limit_price"] == "111"


def test_an_oto_has_one_exit() -> None:
    """The one leg of an OTO is new when the entry is filled, whichever it is."""
    for leg, kind in (
        ({"take_profit": {"limit_price": "110"}}, "limit"),
        ({"stop_loss": {"stop_price": "90"}}, "stop"),
    ):
        books = Books()
        order = books.send(order_class="oto", **leg)
        assert books.leg(order, kind)["status"] == "new"


def test_a_leg_is_replaced_in_its_place() -> None:
    """A new price for a leg is a new order that hangs where the old one hung; the other leg still answers for it."""
    books = Books()
    order = books.send(**BRACKET)
    old = books.leg(order, "stop")
    new = books.replace(old["id"], stop_price="95")
    assert (books.leg(order, "stop")["id"], books.leg(order, "stop")["status"]) == (new["id"], "held")
    books.quote(95, 95.02)
    assert (books.leg(order, "stop")["status"], books.leg(order, "limit")["status"]) == ("filled", "canceled")


def test_a_replaced_entry_keeps_its_legs() -> None:
    """The legs hang on the new entry, and are armed when that is filled."""
    books = Books()
    order = books.rest("95", **BRACKET)
    new = books.replace(order["id"], limit_price="101")
    assert [leg["id"] for leg in new["legs"]] == [leg["id"] for leg in order["legs"]]
    assert books.status(new["id"]) == "filled"
    assert books.broker.order(order["legs"][0]["id"])["status"] == "new"


def test_a_quantity_of_a_bracket_is_not_replaced() -> None:
    """Only prices of complex orders can be changed."""
    books = Books()
    order = books.rest("95", **BRACKET)
    assert refusal(books.replace, order["id"], qty="5").status == 422
    assert refusal(books.replace, order["legs"][0]["id"], qty="5").status == 422


def test_open_legs_are_listed_though_their_entry_is_not() -> None:
    """Nested, an open leg of a filled entry stands by itself among the open orders; among all it hangs on the entry."""
    books = Books()
    order = books.send(**BRACKET)
    legs = {leg["id"] for leg in order["legs"]}
    assert {row["id"] for row in books.broker.orders(nested=True)} == legs
    (whole,) = books.broker.orders(status="all", nested=True)
    assert {leg["id"] for leg in whole["legs"]} == legs
    assert [row["legs"] for row in books.broker.orders(status="all")] == [None] * 3
