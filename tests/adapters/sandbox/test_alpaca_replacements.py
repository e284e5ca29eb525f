"""Replacements: another order in the place of one, with all that can go wrong between the answer and its effect."""

from __future__ import annotations

from typing import Any

import pytest
from alpaca_books_kit import CLOSE, SECOND_NS, Books, code, refusal

INVALID = (422, 42210000)
FORBIDDEN = (403, 40310000)
MALFORMED = (422, 40010001)


def test_a_replacement_is_another_order() -> None:
    """It has a new id and a client id that nobody chose, names the old one and is named by it; the old one is over."""
    books = Books()
    old = books.rest(client_order_id="mine.0")
    answer = books.replace(old["id"], limit_price="51")
    before, after = books.broker.order(old["id"]), books.broker.order(answer["id"])
    assert (answer["status"], after["status"], before["status"]) == ("pending_new", "new", "replaced")
    assert (before["replaced_by"], after["replaces"]) == (answer["id"], old["id"])
    assert (before["limit_price"], after["limit_price"], after["qty"]) == ("50", "51", "10")
    assert before["replaced_at"] == "2026-11-20T17:00:00Z"
    assert after["client_order_id"] not in {"mine.0", ""}
    assert (books.events(old["id"])[-1], books.events(answer["id"])) == ("replaced", ["new"])


def test_a_replacement_counts_from_nothing() -> None:
    """After a part is filled the new order is for the whole quantity again: both together trade more than was meant (#165)."""
    books = Books()
    old = books.rest()
    books.fill(old["id"], 4)
    new = books.replace(old["id"], limit_price="51")
    assert (new["qty"], new["filled_qty"], new["filled_avg_price"]) == ("10", "0", None)
    books.fill(new["id"], 10, "51")
    assert (books.position(), books.broker.order(old["id"])["filled_qty"]) == ("14", "4")


def test_the_quantity_is_what_was_sent() -> None:
    """A quantity in the request is the new order's, whatever the old one has filled."""
    books = Books()
    old = books.rest()
    books.fill(old["id"], 4)
    assert books.replace(old["id"], qty="6")["qty"] == "6"


def test_a_sale_is_replaced_by_what_is_left_to_sell() -> None:
    """The original quantity of a partly filled sale is more than is held, and the replacement is refused."""
    books = Books()
    books.send()
    sale = books.rest("150", side="sell")
    books.fill(sale["id"], 4, "150")
    refused = refusal(books.replace, sale["id"], limit_price="149")
    assert (refused.status, refused.code) == FORBIDDEN
    assert "requested: 10, available: 6" in refused.message
    books.replace(sale["id"], limit_price="149", qty="6")
    assert books.status(sale["id"]) == "replaced"


ALLOWED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "limit": ({"type": "limit", "limit_price": "50"}, {"limit_price": "49.50"}, {"limit_price": "49.5"}),
    "stop": ({"type": "stop", "stop_price": "120"}, {"stop_price": "119"}, {"stop_price": "119"}),
    "both": (
        {"type": "stop_limit", "stop_price": "120", "limit_price": "121"},
        {"stop_price": "119", "limit_price": "120"},
        {"stop_price": "119", "limit_price": "120"},
    ),
    "trail": (
        {"type": "trailing_stop", "trail_price": "5"},
        {"trail": "3"},
        {"trail_price": "3", "stop_price": "103.01"},
    ),
    "percent": ({"type": "trailing_stop", "trail_percent": "5"}, {"trail": "10"}, {"trail_percent": "10"}),
    "time in force": ({"type": "limit", "limit_price": "50"}, {"time_in_force": "gtc"}, {"time_in_force": "gtc"}),
    "client id": ({"type": "limit", "limit_price": "50"}, {"client_order_id": "b"}, {"client_order_id": "b"}),
    "quantity": ({"type": "limit", "limit_price": "50"}, {"qty": 7}, {"qty": "7"}),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_can_be_changed(name: str) -> None:
    """Each term of an order can be changed, and the others stay."""
    terms, changes, expected = ALLOWED[name]
    books = Books()
    old = books.send(**terms)
    new = books.broker.order(books.replace(old["id"], **changes)["id"])
    same = {field: new[field] for field in ("symbol", "side", "type", "position_intent", "extended_hours")}
    assert {field: new[field] for field in expected} == expected
    assert same == {field: old[field] for field in same}


REFUSED: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "nothing": ({}, FORBIDDEN),
    "the same": ({"limit_price": "50", "qty": "10", "time_in_force": "day"}, FORBIDDEN),
    "sub-penny": ({"limit_price": "50.001"}, INVALID),
    "negative": ({"limit_price": "-1"}, MALFORMED),
    "zero": ({"qty": "0"}, MALFORMED),
    "no number": ({"qty": "all"}, MALFORMED),
    "price of another type": ({"stop_price": "40"}, INVALID),
    "trail of a limit": ({"trail": "1"}, INVALID),
    "unknown time in force": ({"time_in_force": "gtx"}, MALFORMED),
    "taken id": ({"limit_price": "51", "client_order_id": "taken"}, MALFORMED),
    "long id": ({"limit_price": "51", "client_order_id": "x" * 129}, MALFORMED),
    "too dear": ({"qty": "100000"}, FORBIDDEN),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_changed(name: str) -> None:
    """A change that cannot be is refused, and the order goes on as it was."""
    changes, expected = REFUSED[name]
    books = Books()
    books.rest("49", client_order_id="taken")
    order = books.rest()
    before = books.broker.dump()
    assert code(books.replace, order["id"], **changes) == expected
    assert books.broker.dump() == before


def test_a_notional_order_is_never_replaced() -> None:
    """An order for an amount takes no change."""
    books = Books()
    order = books.rest(notional="500")
    assert code(books.replace, order["id"], limit_price="51") == INVALID


def test_no_order_is_replaced_before_it_works_or_after() -> None:
    """accepted, pending_new, pending_cancel, pending_replace and every final state refuse a replacement."""
    books = Books(new_delay_ns=SECOND_NS, cancel_delay_ns=SECOND_NS, replace_delay_ns=SECOND_NS)
    pending = books.rest()["id"]
    assert code(books.replace, pending, qty="5") == INVALID
    books.wait(SECOND_NS)
    books.cancel(pending)
    assert code(books.replace, pending, qty="5") == INVALID
    books.wait(SECOND_NS)
    assert code(books.replace, pending, qty="5") == INVALID
    order = books.rest()["id"]
    books.wait(SECOND_NS)
    new = books.replace(order, qty="5")["id"]
    assert code(books.replace, order, qty="6") == INVALID
    assert code(books.replace, new, qty="6") == INVALID
    late = Books(CLOSE + 1)
    assert code(late.replace, late.rest()["id"], qty="5") == INVALID


def test_an_order_that_is_being_replaced_is_not_cancelled() -> None:
    """Neither the old nor the new one takes a cancel until it is done; then the new one does."""
    books = Books(replace_delay_ns=SECOND_NS)
    order = books.rest()["id"]
    new = books.replace(order, limit_price="51")["id"]
    assert [books.status(each) for each in (order, new)] == ["pending_replace", "pending_new"]
    for each in (order, new):
        assert refusal(books.cancel, each).message == 'order is already in "pending_replace" state'
    books.wait(SECOND_NS)
    books.cancel(new)
    assert [books.status(each) for each in (order, new)] == ["replaced", "canceled"]
    assert books.events(order) == ["pending_new", "new", "pending_replace", "replaced"]


def test_the_old_order_may_fill_first() -> None:
    """While its replacement is under way the old order fills; when it is full the new one is rejected, and both are told."""
    books = Books(replace_delay_ns=SECOND_NS)
    old = books.rest()["id"]
    new = books.replace(old, limit_price="51")["id"]
    books.fill(old, 4)
    assert books.status(old) == "pending_replace"
    books.fill(old, 6)
    books.wait(2 * SECOND_NS)
    assert [books.status(each) for each in (old, new)] == ["filled", "rejected"]
    assert books.events(old)[-2:] == ["fill", "order_replace_rejected"]
    assert books.events(new) == ["pending_new", "rejected"]
    assert books.broker.order(new)["failed_at"] is not None
    assert books.broker.order(old)["replaced_by"] is None


def test_an_order_that_fills_in_part_is_replaced_all_the_same() -> None:
    """A part that fills under way stays with the old order, and the new one is for what was sent."""
    books = Books(replace_delay_ns=SECOND_NS)
    old = books.rest()["id"]
    new = books.replace(old, qty="8")["id"]
    books.fill(old, 4)
    books.wait(SECOND_NS)
    assert [books.broker.order(each)["filled_qty"] for each in (old, new)] == ["4", "0"]
    assert [books.status(each) for each in (old, new)] == ["replaced", "new"]


def test_a_sale_that_fills_under_way_leaves_less_to_replace() -> None:
    """When the new sale is for more than is left at its time, it is rejected and the old one works on."""
    books = Books(replace_delay_ns=SECOND_NS)
    books.send()
    old = books.rest("150", side="sell")["id"]
    new = books.replace(old, limit_price="149")["id"]
    books.fill(old, 4, "150")
    books.wait(SECOND_NS)
    assert [books.status(each) for each in (old, new)] == ["partially_filled", "rejected"]
    books.fill(old, 6, "150")
    assert books.position() == "0"


def test_an_order_that_ends_under_way_takes_its_replacement_with_it() -> None:
    """At the close both the old order and the one that was to replace it are over."""
    books = Books(replace_delay_ns=10 * SECOND_NS)
    books.wait_until(CLOSE - SECOND_NS)
    old = books.rest()["id"]
    new = books.replace(old, limit_price="51")["id"]
    books.wait(20 * SECOND_NS)
    assert [books.status(each) for each in (old, new)] == ["expired", "rejected"]


def test_the_larger_of_both_claims_money() -> None:
    """While a replacement is under way buying power is less by the dearer of the two, and then by the new one."""
    for price, during, after in (("60", 600, 600), ("40", 500, 400)):
        books = Books(replace_delay_ns=SECOND_NS, multiplier=1)
        old = books.rest()
        books.replace(old["id"], limit_price=price)
        assert books.broker.account()["buying_power"] == str(100_000 - during)
        books.wait(SECOND_NS)
        assert books.broker.account()["buying_power"] == str(100_000 - after)


def test_a_better_price_meets_the_market_at_once() -> None:
    """A replacement that is marketable fills when it is in place."""
    books = Books()
    old = books.rest()
    new = books.replace(old["id"], limit_price="101")
    assert books.broker.order(new["id"])["filled_avg_price"] == "100.01"


def test_a_chain_of_replacements_holds_the_shares_once() -> None:
    """Each replacement of a sale takes the place of the one before, and the last can be for all shares."""
    books = Books()
    books.send()
    order = books.rest("150", side="sell")
    for price in ("149", "148", "147"):
        order = books.replace(order["id"], limit_price=price)
    assert [row["id"] for row in books.broker.orders()] == [order["id"]]
    assert books.broker.position("AAPL")["qty_available"] == "0"
