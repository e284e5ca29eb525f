"""Orders that are wrong in themselves: the sandbox refuses them with Alpaca's status and code, and keeps nothing of them."""

from __future__ import annotations

from typing import Any

import pytest
from alpaca_books_kit import BRACKET, Books, code, refusal

INVALID = (422, 42210000)
MALFORMED = (422, 40010001)

LIMIT = {"type": "limit", "limit_price": "50"}
TRAIL = {"type": "trailing_stop", "trail_price": "1"}

WRONG: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "no symbol": ({"symbol": None}, MALFORMED),
    "unknown symbol": ({"symbol": "NOSUCH"}, INVALID),
    "no side": ({"side": None}, MALFORMED),
    "unknown side": ({"side": "hold"}, MALFORMED),
    "no type": ({"type": None}, MALFORMED),
    "unknown time in force": ({"time_in_force": "gtx"}, MALFORMED),
    "unknown class": ({"order_class": "mleg"}, MALFORMED),
    "no size": ({"qty": None}, MALFORMED),
    "two sizes": ({"qty": "1", "notional": "100"}, MALFORMED),
    "zero": ({"qty": "0"}, MALFORMED),
    "negative": ({"qty": "-1"}, MALFORMED),
    "no number": ({"qty": "ten"}, MALFORMED),
    "not a number": ({"qty": "NaN"}, MALFORMED),
    "true": ({"qty": True}, MALFORMED),
    "ten decimals": ({"qty": "1.0000000001"}, INVALID),
    "thousandths of a dollar": ({"notional": "10.001"}, INVALID),
    "no limit price": ({"type": "limit"}, MALFORMED),
    "no stop price": ({"type": "stop"}, MALFORMED),
    "half a stop limit": ({"type": "stop_limit", "stop_price": "120"}, MALFORMED),
    "a price too many": ({"limit_price": "50"}, MALFORMED),
    "no trail": ({"type": "trailing_stop"}, MALFORMED),
    "two trails": ({**TRAIL, "trail_percent": "1"}, MALFORMED),
    "trail of a limit": ({**LIMIT, "trail_price": "1"}, MALFORMED),
    "negative price": ({"type": "limit", "limit_price": "-1"}, MALFORMED),
    "sub-penny": ({"type": "limit", "limit_price": "50.123"}, INVALID),
    "sub-penny below a dollar": ({"type": "limit", "limit_price": "0.50001"}, INVALID),
    "sub-penny stop": ({"type": "stop", "stop_price": "120.001"}, INVALID),
    "sub-penny leg": ({**BRACKET, "take_profit": {"limit_price": "110.001"}}, INVALID),
    "fraction gtc": ({"qty": "1.5", "time_in_force": "gtc"}, INVALID),
    "fraction in a bracket": ({**BRACKET, "qty": "1.5"}, INVALID),
    "fraction trailing": ({**TRAIL, "qty": "1.5"}, INVALID),
    "notional ioc": ({"notional": "100", "time_in_force": "ioc"}, INVALID),
    "extended market": ({"extended_hours": True}, INVALID),
    "extended ioc": ({**LIMIT, "extended_hours": True, "time_in_force": "ioc"}, INVALID),
    "extended bracket": ({**LIMIT, **BRACKET, "limit_price": "100", "extended_hours": True}, INVALID),
    "extended maybe": ({**LIMIT, "extended_hours": "yes"}, MALFORMED),
    "opening stop": ({"type": "stop", "stop_price": "120", "time_in_force": "opg"}, INVALID),
    "immediate trail": ({**TRAIL, "time_in_force": "fok"}, INVALID),
    "bracket ioc": ({**BRACKET, "time_in_force": "ioc"}, INVALID),
    "bracket without stop": ({**BRACKET, "stop_loss": None}, INVALID),
    "bracket upside down": ({**BRACKET, "stop_loss": {"stop_price": "115"}}, INVALID),
    "short bracket upside down": ({**BRACKET, "side": "sell"}, INVALID),
    "profit below the entry": ({**BRACKET, **LIMIT, "limit_price": "111"}, INVALID),
    "stop at the entry": ({**BRACKET, **LIMIT, "limit_price": "90"}, INVALID),
    "oto with both": ({**BRACKET, "order_class": "oto"}, INVALID),
    "oto with none": ({"order_class": "oto"}, INVALID),
    "legs of a simple order": ({**BRACKET, "order_class": "simple"}, INVALID),
    "limit of a stop that is not there": ({"order_class": "oto", "stop_loss": {"limit_price": "80"}}, INVALID),
    "leg that is no object": ({**BRACKET, "stop_loss": "90"}, MALFORMED),
    "oco to open": ({**BRACKET, "order_class": "oco", "type": "limit"}, INVALID),
    "long id": ({"client_order_id": "x" * 129}, MALFORMED),
    "id that is no text": ({"client_order_id": 7}, MALFORMED),
    "other intent": ({"position_intent": "buy_to_close"}, INVALID),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_order_is_refused_and_leaves_nothing(name: str) -> None:
    """What the documents exclude is refused with its code, and there is no order, no update, and no claim afterwards."""
    terms, expected = WRONG[name]
    books = Books()
    before = books.broker.dump()
    assert code(books.send, **terms) == expected
    assert books.broker.dump() == before


FINE: dict[str, dict[str, Any]] = {
    "four digits below a dollar": {"type": "limit", "limit_price": "0.5001"},
    "trailing zeros are no digits": {"type": "limit", "limit_price": "50.1200"},
    "nine decimals": {"qty": "0.123456789"},
    "limit of a fraction": {**LIMIT, "qty": "2.5"},
    "numbers instead of texts": {"qty": 3, "type": "limit", "limit_price": 50.25},
    "notional": {"notional": "250.75"},
    "extended": {**LIMIT, "extended_hours": True},
    "short bracket": {
        "side": "sell",
        "order_class": "bracket",
        "take_profit": {"limit_price": "90"},
        "stop_loss": {"stop_price": "110", "limit_price": "111"},
    },
    "one exit": {"order_class": "oto", "stop_loss": {"stop_price": "90"}},
    "named intent": {"position_intent": "buy_to_open"},
    "longest id": {"client_order_id": "x" * 128},
    "trail in percent": {"type": "trailing_stop", "trail_percent": "2.5", "time_in_force": "gtc"},
}


@pytest.mark.parametrize("name", FINE)
def test_a_right_order_is_taken(name: str) -> None:
    """What the documents allow is taken, and is found by its id and its client id."""
    books = Books()
    order = books.send(**FINE[name])
    assert books.broker.order_by_client_id(order["client_order_id"])["id"] == order["id"]


def test_the_answer_says_what_was_wrong() -> None:
    """A refusal names the field and its value, and its body is what goes over the wire."""
    refused = refusal(Books().rest, "50.123")
    assert refused.body == {
        "code": 42210000,
        "message": "invalid limit_price 50.123. sub-penny increment does not fulfill minimum pricing criteria",
    }
