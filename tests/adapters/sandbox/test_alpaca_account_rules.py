"""What an account may not do now: money, shares, and orders of its own that are in the way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from alpaca_books_kit import BRACKET, CLOSE, MONDAY_OPEN, SECOND_NS, Books, at, code, refusal

FORBIDDEN = (403, 40310000)
INVALID = (422, 42210000)


def power(books: Books) -> Decimal:
    return Decimal(books.broker.account()["buying_power"])


# --- Money --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("multiplier", "expected"), [(1, 100_000), (2, 200_000), (4, 400_000)])
def test_buying_power_is_a_multiple_of_equity(multiplier: int, expected: int) -> None:
    """An account without positions has its equity times the multiplier to spend."""
    assert power(Books(multiplier=multiplier)) == expected


def test_an_open_buy_takes_its_worth_until_it_is_over() -> None:
    """An open order claims limit times quantity; what is filled of it is claimed by the position, the rest is free when it ends."""
    books = Books(multiplier=2)
    order = books.rest("50", qty="100")
    assert power(books) == 195_000
    books.quote(49.98, 50, 40)  # 40 of them
    assert power(books) == 200_000 - 60 * 50 - 40 * 50
    books.cancel(order["id"])
    assert power(books) == 200_000 - 40 * 50


def test_a_cash_account_spends_its_cash_and_no_more() -> None:
    """With multiplier 1 what is bought comes out of cash, and the order that costs more than is left is refused with the sums."""
    books = Books(multiplier=1)
    books.send(qty="600")
    refused = refusal(books.send, qty="400")
    assert (refused.status, refused.code) == FORBIDDEN
    assert refused.extra == {"buying_power": "39994", "cost_basis": "40004"}
    books.send(qty="399")


def test_a_short_sale_claims_three_percent_more() -> None:
    """A short sale at the market, or at a lower limit, claims 3 % more than the ask, one at a higher limit that."""
    books = Books(multiplier=2)
    books.rest("150", side="sell", qty="10")
    assert power(books) == 200_000 - 1500
    assert code(books.send, side="sell", qty="1927") == FORBIDDEN  # 1927 x 103.0103 = 198,500.85
    books.send(side="sell", qty="1926")


def test_an_order_without_a_price_claims_nothing_yet() -> None:
    """A market order for a stock that nobody has quoted is taken, and fills with the first quote."""
    books = Books(quote=False)
    order = books.send()
    assert power(books) == 400_000
    books.quote(10, 10.02)
    assert books.status(order["id"]) == "filled"


def test_less_than_a_dollar_is_too_little() -> None:
    """A fraction worth less than a dollar is not bought, but what is held may be sold to the last crumb."""
    books = Books()
    assert code(books.send, notional="0.99") == FORBIDDEN
    assert code(books.send, qty="0.009") == FORBIDDEN
    books.send(qty="0.5")
    books.send(side="sell", qty="0.499")
    books.send(side="sell", qty="0.001")
    assert books.position() == "0"


# --- Shares -------------------------------------------------------------------------------------------------------------


def test_shares_are_sold_once() -> None:
    """What another order is to sell is not available, and the refusal counts it up."""
    books = Books()
    books.send()
    books.rest("150", side="sell", qty="8")
    refused = refusal(books.rest, "151", side="sell", qty="3")
    assert (refused.status, refused.code) == FORBIDDEN
    assert refused.extra == {"available": "2", "existing_qty": "10", "held_for_orders": "8", "symbol": "AAPL"}
    assert books.broker.position("AAPL")["qty_available"] == "2"
    books.rest("151", side="sell", qty="2")


def test_an_order_cannot_turn_a_position_over() -> None:
    """More than is held is not sold, and more than is short is not bought back."""
    books = Books()
    books.send()
    assert code(books.send, side="sell", qty="11") == FORBIDDEN
    books.send(symbol="MSFT", side="sell")
    books.quote(50, 50.02, symbol="MSFT")
    assert books.position("MSFT") == "-10"
    assert code(books.send, symbol="MSFT", qty="11") == FORBIDDEN
    books.send(symbol="MSFT", qty="10")
    assert books.position("MSFT") == "0"


def test_exits_of_a_bracket_hold_the_shares_once() -> None:
    """Take-profit and stop-loss together hold the position once; before the entry is filled they hold nothing."""
    books = Books()
    books.send()
    books.rest("95", **BRACKET)
    assert books.broker.position("AAPL")["qty_available"] == "10"
    books.quote(94.98, 95)
    assert (books.position(), books.broker.position("AAPL")["qty_available"]) == ("20", "10")
    assert code(books.send, side="sell", qty="11") == FORBIDDEN


@pytest.mark.parametrize("flags", [{"shortable": False}, {"easy_to_borrow": False}])
def test_not_every_stock_is_lent(flags: dict[str, bool]) -> None:
    """A stock that is not shortable, or hard to borrow, is not sold short, and may be bought."""
    books = Books()
    books.broker.set_asset("AAPL", **flags)
    assert code(books.send, side="sell") == FORBIDDEN
    books.send()


def test_a_cash_account_does_not_go_short() -> None:
    """With multiplier 1, or without the permission, short sales are refused, and the account says so."""
    cash, margin = Books(multiplier=1), Books()
    assert cash.broker.account()["shorting_enabled"] is False
    assert margin.broker.set_account(shorting_enabled=False)["shorting_enabled"] is False
    assert {code(books.send, side="sell") for books in (cash, margin)} == {FORBIDDEN}


def test_a_fraction_is_not_sold_short() -> None:
    """A fractional sale needs the shares."""
    assert code(Books().send, side="sell", qty="1.5") == INVALID


@pytest.mark.parametrize(
    ("flags", "terms", "expected"),
    [
        ({"tradable": False}, {}, INVALID),
        ({"fractionable": False}, {"qty": "1.5"}, FORBIDDEN),
        ({"fractionable": False}, {"notional": "100"}, FORBIDDEN),
    ],
)
def test_an_asset_sets_terms(flags: dict[str, bool], terms: dict[str, Any], expected: tuple[int, int]) -> None:
    """A stock that is not tradable, or not in fractions, is refused so."""
    books = Books()
    books.broker.set_asset("AAPL", **flags)
    assert code(books.send, **terms) == expected


# --- Orders in the way --------------------------------------------------------------------------------------------------


def test_a_client_order_id_is_used_once_for_ever() -> None:
    """The id of any order, closed ones and legs included, is refused a second time: 422, 40010001."""
    books = Books()
    order = books.rest(client_order_id="mine.0")
    books.cancel(order["id"])
    leg = books.send(client_order_id="mine.1", **BRACKET)["legs"][0]
    for taken in ("mine.0", "mine.1", leg["client_order_id"]):
        assert code(books.send, client_order_id=taken) == (422, 40010001)


BUYS: dict[str, dict[str, str]] = {
    "market": {},
    "limit that crosses": {"type": "limit", "limit_price": "105"},
    "limit below": {"type": "limit", "limit_price": "104.99"},
    "stop": {"type": "stop", "stop_price": "110"},
    "stop limit": {"type": "stop_limit", "stop_price": "104", "limit_price": "106"},
    "stop limit below": {"type": "stop_limit", "stop_price": "104", "limit_price": "104.50"},
    "trailing stop": {"type": "trailing_stop", "trail_price": "3"},
}


@pytest.mark.parametrize("name", BUYS)
def test_an_order_that_could_meet_ones_own_is_a_wash_trade(name: str) -> None:
    """Against an open sale at 105 only a lower limit, and a trailing stop, may be bought with; the refusal names the sale."""
    books = Books()
    books.send(qty="20")
    sale = books.rest("105", side="sell", qty="5")
    if name in {"limit below", "stop limit below", "trailing stop"}:
        books.send(qty="1", **BUYS[name])
        return
    refused = refusal(books.send, qty="1", **BUYS[name])
    assert (refused.status, refused.code) == FORBIDDEN
    assert refused.message == "potential wash trade detected. use complex orders"
    assert refused.extra == {"existing_order_id": sale["id"], "reject_reason": "opposite side limit order exists"}


def test_a_complex_order_is_no_wash_trade() -> None:
    """A bracket may be entered against one's own exits, which are complex orders, too."""
    books = Books()
    books.send(**BRACKET)
    books.send(**BRACKET)
    assert books.position() == "20"


def test_one_cannot_go_long_and_short_at_once() -> None:
    """Without a position an opening order of the other side is refused, whatever the prices are."""
    books = Books()
    books.rest("150", side="sell")
    refused = refusal(books.rest, "50")
    assert (refused.status, refused.message) == (403, "cannot open a long buy while a short sell order is open")
    books.broker.cancel_all(books.now_ns)
    books.rest("50")
    assert refusal(books.rest, "150", side="sell").message == "cannot open a short sell while a long buy order is open"


@pytest.mark.parametrize("flag", ["trading_blocked", "account_blocked", "trade_suspended_by_user"])
def test_a_blocked_account_takes_no_orders_and_still_cancels(flag: str) -> None:
    """New orders are refused with 403, while a cancel is taken."""
    books = Books()
    order = books.rest()
    assert books.broker.set_account(**{flag: True})[flag] is True
    assert code(books.send) == FORBIDDEN
    books.cancel(order["id"])
    assert books.status(order["id"]) == "canceled"


@pytest.mark.parametrize(
    ("time_in_force", "time", "is_taken"),
    [
        ("opg", "2026-11-20T14:27:59", True),
        ("opg", "2026-11-20T14:28:01", False),
        ("opg", "2026-11-20T23:59:59", False),
        ("opg", "2026-11-21T00:00:01", True),
        ("cls", "2026-11-20T20:49:59", True),
        ("cls", "2026-11-20T20:50:01", False),
        ("cls", "2026-11-21T00:00:01", True),
        ("opg", "2026-11-21T17:00:00", True),
    ],
)
def test_auctions_have_their_last_minute(time_in_force: str, time: str, is_taken: bool) -> None:
    """Orders for the open are refused from 09:28, those for the close from 15:50, both until 19:00 in New York."""
    books = Books(at(time))
    if is_taken:
        assert books.send(time_in_force=time_in_force)["status"] in {"accepted", "pending_new"}
    else:
        assert code(books.send, time_in_force=time_in_force) == INVALID


def test_flags_are_flags() -> None:
    """A flag that there is not, or a value that is none, is refused with the names of those there are."""
    books = Books()
    assert "trading_blocked" in refusal(books.broker.set_account, blocked=True).message
    assert "halted" not in refusal(books.broker.set_asset, "AAPL", blocked=True).message
    assert code(books.broker.set_asset, "NOSUCH", tradable=False) == (404, 40410000)


def test_orders_of_another_day_still_claim() -> None:
    """An order that waits over the weekend claims its worth before it works."""
    books = Books(CLOSE + SECOND_NS, multiplier=2)
    order = books.rest("50", qty="1000", time_in_force="gtc")
    assert order["status"] == "accepted"
    assert power(books) == 150_000
    books.wait_until(MONDAY_OPEN)
    assert (books.status(order["id"]), power(books)) == ("new", 150_000)
