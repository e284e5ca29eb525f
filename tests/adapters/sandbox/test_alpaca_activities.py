"""Activities, and the fills that are taken back: what moves cash and shares, how it is written down, and how it is paged."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from alpaca_books_kit import SECOND_NS, Books, code, refusal

ACTIVITY_ID = re.compile(r"\d{17}::[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def cash(books: Books) -> Decimal:
    return Decimal(books.broker.account()["cash"])


def book(books: Books, kind: str, **terms: Any) -> list[dict[str, Any]]:
    return books.broker.book_activity(books.now_ns, kind, **terms)


# --- Fills --------------------------------------------------------------------------------------------------------------


def test_each_execution_is_an_activity() -> None:
    """It has its own quantity, the sum after it, what is left, and what the order was then."""
    books = Books()
    order = books.rest()
    books.fill(order["id"], 4, "50")
    books.wait(SECOND_NS)
    books.fill(order["id"], 6, "49.5")
    whole, part = books.broker.activities("FILL")
    assert {name: whole[name] for name in ("qty", "cum_qty", "leaves_qty", "price", "type", "order_status")} == {
        "qty": "6",
        "cum_qty": "10",
        "leaves_qty": "0",
        "price": "49.5",
        "type": "fill",
        "order_status": "filled",
    }
    assert (part["type"], part["order_status"], part["leaves_qty"]) == ("partial_fill", "partially_filled", "6")
    assert ACTIVITY_ID.fullmatch(part["id"])
    assert part["id"].startswith("20261120120000000::")  # noon in New York
    assert part["transaction_time"] == "2026-11-20T17:00:00Z"
    executions = {each["execution_id"] for each in books.updates()}
    assert not executions & {part["id"].partition("::")[2], whole["id"].partition("::")[2]}


def test_activities_of_one_millisecond_may_be_in_no_order() -> None:
    """If it is asked for, ids of one millisecond are not in the order of the fills, as at Alpaca (#170)."""

    def sums(in_order: bool) -> list[str]:
        books = Books(activities_in_order=in_order)
        order = books.rest(qty="9")
        for _ in range(9):
            books.fill(order["id"], 1)
        return [row["cum_qty"] for row in books.broker.activities(direction="asc")]

    assert sums(in_order=True) == list("123456789")
    assert sorted(sums(in_order=False)) == list("123456789") != sums(in_order=False)


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_go_on_after_the_token(direction: str) -> None:
    """Each page begins after the activity that the token names, and together they have every one once."""
    books = Books(activities_in_order=False)
    order = books.rest(qty="7")
    for _ in range(7):
        books.fill(order["id"], 1)
    book(books, "FEE", net_amount="-1")
    rows: list[dict[str, Any]] = []
    while page := books.broker.activities(
        direction=direction, page_size=3, page_token=rows[-1]["id"] if rows else None
    ):
        assert len(page) <= 3
        rows += page
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=direction == "desc")
    assert len(rows) == 8


def test_a_page_has_at_most_a_hundred() -> None:
    """More is not given, whatever is asked for."""
    books = Books()
    order = books.rest(qty="101")
    for _ in range(101):
        books.fill(order["id"], 1)
    assert len(books.broker.activities()) == len(books.broker.activities(page_size=500)) == 100


def test_activities_are_found_by_type_and_time() -> None:
    """Types, a date, and exclusive bounds in time select; an activity without a time is at midnight of its date."""
    books = Books()
    order = books.rest()
    books.fill(order["id"], 4)
    (first,) = books.broker.activities("FILL")
    books.wait(1)
    books.fill(order["id"], 6)
    book(books, "FEE", net_amount="-1")
    book(books, "CSD", net_amount="5", date="2026-11-18")
    assert [row["cum_qty"] for row in books.broker.activities(after=first["transaction_time"])] == ["10"]
    assert [row["activity_type"] for row in books.broker.activities(until=first["transaction_time"])] == ["FEE", "CSD"]
    assert [row["activity_type"] for row in books.broker.activities(date="2026-11-18")] == ["CSD"]
    assert [row["activity_type"] for row in books.broker.activities(["CSD", "FEE"], direction="asc")] == ["CSD", "FEE"]
    for wrong in ({"after": "yesterday"}, {"direction": "up"}, {"date": "2026-11-18", "after": "2026-11-17"}):
        assert code(books.broker.activities, **wrong) == (422, 40010001)


# --- Other activities ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["FEE", "INT", "CSD", "CSW", "JNLC", "DIVWH", "CFEE", "SOMETHING_NEW"])
def test_cash_moves_by_the_amount(kind: str) -> None:
    """Whatever it is called, an activity moves cash by its amount and is written down with its date."""
    books = Books()
    (row,) = book(books, kind, net_amount="-12.34", description="why")
    assert cash(books) == Decimal("99987.66")
    assert {**row, "id": ""} == {
        "id": "",
        "activity_type": kind,
        "date": "2026-11-20",
        "net_amount": "-12.34",
        "description": "why",
        "status": "executed",
    }
    assert books.broker.activities() == [row]


@pytest.mark.parametrize(("side", "amount"), [("buy", "5.1"), ("sell", "-5.1")])
def test_a_dividend_is_paid_for_what_is_held(side: str, amount: str) -> None:
    """It is the rate times the position; who is short pays it."""
    books = Books()
    books.send(side=side)
    before = cash(books)
    (row,) = book(books, "DIV", symbol="AAPL", per_share_amount="0.51")
    assert (row["net_amount"], row["per_share_amount"], row["symbol"]) == (amount, "0.51", "AAPL")
    assert cash(books) - before == Decimal(amount)
    assert books.position() == ("10" if side == "buy" else "-10")


def test_an_activity_may_be_of_an_earlier_day() -> None:
    """Its id stands among those of that day, so that who pages on from the newest never sees it."""
    books = Books()
    newest = book(books, "FEE", net_amount="-1")[0]["id"]
    old = book(books, "FEE", net_amount="-2", date="2026-11-16")[0]
    assert old["id"].startswith("20261116000000000::")
    assert books.broker.activities(direction="asc", page_token=newest) == []
    assert cash(books) == 99_997


@pytest.mark.parametrize(
    ("ratio", "side", "after", "change"),
    [("2", "buy", "20", "10"), ("0.1", "buy", "1", "-9"), ("3", "sell", "-30", "-20")],
)
def test_a_split_changes_shares_and_not_their_cost(ratio: str, side: str, after: str, change: str) -> None:
    """The position is multiplied, the activity has the change, cash and cost stay, and so does what it is worth."""
    books = Books()
    books.send(side=side)
    before, cost = books.broker.account(), books.broker.position("AAPL")["cost_basis"]
    (row,) = book(books, "SPLIT", symbol="AAPL", ratio=ratio)
    assert (row["qty"], row["net_amount"], books.position()) == (change, "0", after)
    assert books.broker.position("AAPL")["cost_basis"] == cost
    assert books.broker.account() == before


def test_a_split_cancels_orders_or_leaves_them_as_they_are() -> None:
    """Open orders of the symbol are canceled with the reason; or kept, with prices and quantities of before."""
    for keep, status in ((False, "canceled"), (True, "new")):
        books = Books()
        order, other = books.rest(), books.rest("20", symbol="MSFT")
        book(books, "SPLIT", symbol="AAPL", ratio="2", keep_orders=keep)
        row = books.broker.order(order["id"])
        assert (row["status"], row["qty"], row["limit_price"]) == (status, "10", "50")
        assert books.status(other["id"]) == "new"
        assert (books.updates(order["id"])[-1].get("reason") == "CORPORATE_ACTION") is not keep


def test_a_fraction_is_paid_out_or_held() -> None:
    """A reverse split leaves a fraction, which is held without a price, and paid at one as cash in lieu."""
    held, paid = Books(), Books()
    for books in (held, paid):
        books.send(qty="15")
    before = cash(paid)
    book(held, "SPLIT", symbol="AAPL", ratio="0.1")
    rows = book(paid, "SPLIT", symbol="AAPL", ratio="0.1", price="1000")
    assert (held.position(), paid.position()) == ("1.5", "1")
    assert [(row["activity_type"], row["qty"], row["net_amount"]) for row in rows] == [
        ("SPLIT", "-14", "0"),
        ("CIL", "0.5", "500"),
    ]
    assert cash(paid) - before == 500


def test_a_renamed_stock_is_the_same_position() -> None:
    """The shares leave under the old symbol and come under the new one, at the same cost; the old one is no more."""
    books = Books()
    books.send()
    order = books.rest()
    before, equity = books.broker.position("AAPL"), books.broker.account()["equity"]
    rows = book(books, "NC", symbol="AAPL", new_symbol="PEAR")
    after = books.broker.position("PEAR")
    assert [(row["symbol"], row["qty"]) for row in rows] == [("AAPL", "-10"), ("PEAR", "10")]
    assert [after[name] for name in ("qty", "cost_basis", "avg_entry_price")] == [
        before[name] for name in ("qty", "cost_basis", "avg_entry_price")
    ]
    assert books.broker.account()["equity"] == equity
    assert (books.broker.asset("AAPL")["status"], books.broker.asset("AAPL")["tradable"]) == ("inactive", False)
    assert books.status(order["id"]) == "canceled"
    assert code(books.send) == (422, 42210000)
    books.broker.close_position(books.now_ns, "PEAR")


def test_shares_may_come_and_go_without_a_trade() -> None:
    """A transfer of shares moves the position at the price that it is given."""
    books = Books()
    book(books, "JNLS", symbol="MSFT", qty="5", price="40")
    assert books.broker.position("MSFT")["avg_entry_price"] == "40"
    book(books, "JNLS", symbol="MSFT", qty="-5")
    assert books.broker.positions() == []
    assert cash(books) == 100_000


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        ("FILL", {"net_amount": "1"}),
        ("FEE", {}),
        ("DIV", {"per_share_amount": "1"}),
        ("SPLIT", {"symbol": "AAPL"}),
        ("SPLIT", {"symbol": "AAPL", "ratio": "0"}),
        ("SPLIT", {"ratio": "2"}),
        ("NC", {"symbol": "AAPL"}),
        ("JNLS", {"qty": "5"}),
        ("CSD", {"net_amount": "1", "date": "tomorrow"}),
    ],
)
def test_what_cannot_be_booked_changes_nothing(kind: str, terms: dict[str, Any]) -> None:
    """What is missing is named, and nothing has moved."""
    books = Books()
    before = (books.broker.account(), books.broker.positions(), books.broker.activities())
    assert code(book, books, kind, **terms) == (422, 40010001)
    assert (books.broker.account(), books.broker.positions(), books.broker.activities()) == before


# --- Busts and corrections ----------------------------------------------------------------------------------------------


def test_a_bust_takes_a_fill_back() -> None:
    """Cash and position are as before it, the order has filled less, the activity is gone, and the update says which it was."""
    books = Books()
    order = books.rest()
    books.fill(order["id"], 4, "50")
    books.fill(order["id"], 6, "49")
    part = books.updates(order["id"])[-2]
    update = books.broker.bust(books.now_ns, part["execution_id"])
    assert (update["event"], update["qty"], update["price"], update["reason"]) == (
        "trade_bust",
        "4",
        "50",
        "TRADE_BUST",
    )
    assert update["previous_execution_id"] == part["execution_id"] != update["execution_id"]
    assert (update["position_qty"], update["order"]["filled_qty"], update["order"]["status"]) == ("6", "6", "filled")
    assert cash(books) == 100_000 - 6 * 49
    assert [row["qty"] for row in books.broker.activities("FILL")] == ["6"]
    assert books.updates()[-1] == update


def test_a_bust_is_not_filled_again() -> None:
    """What was taken back of an open order does not come back to its rest."""
    books = Books()
    order = books.rest()
    books.fill(order["id"], 4)
    books.broker.bust(books.now_ns, order["id"])
    assert refusal(books.fill, order["id"], 7).status == 422
    books.fill(order["id"], 6)
    assert (books.status(order["id"]), books.position()) == ("filled", "6")


def test_a_correction_changes_a_fill() -> None:
    """Price and quantity are the new ones everywhere; it can be corrected again, by its new execution id alone."""
    books = Books()
    order = books.rest()
    books.fill(order["id"], 10, "50")
    first = books.updates()[-1]["execution_id"]
    update = books.broker.correct(books.now_ns, first, "8", "49")
    assert (update["event"], update["qty"], update["price"], update["position_qty"]) == (
        "trade_correct",
        "8",
        "49",
        "8",
    )
    assert update["order"]["filled_avg_price"] == "49"
    assert [(row["qty"], row["price"]) for row in books.broker.activities()] == [("8", "49")]
    assert cash(books) == 100_000 - 8 * 49
    assert code(books.broker.correct, books.now_ns, first, "8", "48") == (404, 40410000)
    books.broker.correct(books.now_ns, update["execution_id"], "8", "48")
    assert cash(books) == 100_000 - 8 * 48


def test_what_cannot_be_amended_is_refused() -> None:
    """An unknown or busted execution, nothing, and more than the order is good for."""
    books = Books()
    order = books.rest()
    assert code(books.broker.bust, books.now_ns, order["id"]) == (404, 40410000)
    books.fill(order["id"], 10)
    execution = books.updates()[-1]["execution_id"]
    assert code(books.broker.correct, books.now_ns, execution, "0", "50") == (422, 40010001)
    assert code(books.broker.correct, books.now_ns, execution, "11", "50") == (422, 42210000)
    again = books.broker.bust(books.now_ns, execution)["execution_id"]
    assert code(books.broker.bust, books.now_ns, again) == (422, 42210000)


@pytest.mark.parametrize(("qty", "price"), [("11", "50"), ("0", "50"), ("-1", "50"), ("1", "0"), ("x", "50")])
def test_a_fill_by_hand_is_within_the_order(qty: str, price: str) -> None:
    """More than is left, nothing, and what is no number are refused."""
    books = Books()
    assert refusal(books.fill, books.rest()["id"], qty, price).status == 422
    assert books.broker.positions() == []
