"""How an order lives: what it is called when, what is told of it, and how it ends."""

from __future__ import annotations

import pytest
from alpaca_books_kit import CLOSE, MONDAY_OPEN, NOON, SECOND_NS, Books, at, code, refusal

INVALID = (422, 42210000)
PRE_MARKET = at("2026-11-20T13:00")
AFTER_HOURS = at("2026-11-20T22:00")
NIGHT = at("2026-11-21T03:00")
DAY_NS = 86_400 * SECOND_NS


# --- Arriving -----------------------------------------------------------------------------------------------------------


def test_the_answer_is_older_than_the_updates() -> None:
    """A marketable order is pending_new in its answer, while the updates already say that it is new, and filled."""
    books = Books()
    answer = books.send()
    assert (answer["status"], answer["filled_qty"], answer["filled_avg_price"]) == ("pending_new", "0", None)
    assert books.events() == ["pending_new", "new", "fill"]
    assert books.broker.order(answer["id"])["filled_avg_price"] == "100.01"


def test_an_order_is_pending_for_as_long_as_it_is_told_to() -> None:
    """With a delay an order neither is new nor trades before it has passed, and the next thing to happen is its time."""
    books = Books(new_delay_ns=SECOND_NS)
    order = books.send()
    assert books.broker.next_due_ns() == NOON + SECOND_NS
    books.wait(SECOND_NS - 1)
    books.quote(99, 99.02)
    assert (books.status(order["id"]), books.events()) == ("pending_new", ["pending_new"])
    books.wait(1)
    assert books.broker.order(order["id"])["filled_avg_price"] == "99.02"


def test_a_fill_tells_its_price_quantity_and_position() -> None:
    """Each fill has an execution id, its own quantity and price, the position after it, and the order as it is then."""
    books = Books()
    order = books.rest(qty="10")
    books.fill(order["id"], 4, "50")
    books.fill(order["id"], 6, "49")
    part, whole = books.updates(order["id"])[-2:]
    assert [part[name] for name in ("event", "qty", "price", "position_qty")] == ["partial_fill", "4", "50", "4"]
    assert [whole[name] for name in ("event", "qty", "price", "position_qty")] == ["fill", "6", "49", "10"]
    assert (part["order"]["status"], part["order"]["filled_qty"]) == ("partially_filled", "4")
    assert (whole["order"]["filled_avg_price"], whole["order"]["filled_at"]) == ("49.4", "2026-11-20T17:00:00Z")
    assert part["execution_id"] != whole["execution_id"]


def test_no_update_is_told_twice() -> None:
    """What was taken is gone."""
    books = Books()
    books.send()
    assert len(books.broker.take_updates()) == 3
    assert books.broker.take_updates() == []


# --- Hours --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now_ns", [PRE_MARKET, AFTER_HOURS, NIGHT])
def test_an_order_outside_of_the_session_waits_for_the_next(now_ns: int) -> None:
    """It is accepted, works from the open on, and meets no quote of the day before."""
    books = Books(now_ns)
    order = books.send()
    assert books.status(order["id"]) == "accepted"
    opens = books.broker.next_due_ns()
    assert opens == (at("2026-11-20T14:30") if now_ns == PRE_MARKET else opens)
    books.wait_until(MONDAY_OPEN if now_ns != PRE_MARKET else at("2026-11-20T14:30"))
    assert books.status(order["id"]) == ("new" if now_ns != PRE_MARKET else "filled")
    books.quote(101, 101.02)
    assert books.status(order["id"]) == "filled"
    assert books.events() == ["accepted", "new", "fill"]


@pytest.mark.parametrize("now_ns", [PRE_MARKET, AFTER_HOURS])
def test_extended_hours_are_for_those_who_ask(now_ns: int) -> None:
    """An order for extended hours trades in them, and another does not."""
    books = Books(now_ns)
    plain, extended = books.rest("101"), books.rest("101", extended_hours=True)
    assert (books.status(plain["id"]), books.status(extended["id"])) == ("accepted", "filled")


def test_an_extended_order_ends_with_the_extended_hours() -> None:
    """It outlives the close, and expires at 20:00 in New York."""
    books = Books()
    order = books.rest(extended_hours=True)
    books.wait_until(CLOSE)
    assert books.status(order["id"]) == "new"
    books.wait_until(at("2026-11-21T01:00"))
    assert books.status(order["id"]) == "expired"


def test_a_day_order_expires_at_the_close() -> None:
    """What is filled stays filled, the rest expires at 16:00 to the nanosecond, by event and by field."""
    books = Books()
    order = books.rest()
    books.fill(order["id"], 3)
    books.wait_until(CLOSE - 1)
    assert books.status(order["id"]) == "partially_filled"
    books.wait(1)
    row = books.broker.order(order["id"])
    assert (row["status"], row["filled_qty"], row["expired_at"]) == ("expired", "3", "2026-11-20T21:00:00Z")
    assert books.events(order["id"])[-1] == "expired"


def test_an_early_close_is_an_early_end() -> None:
    """On a half day the day's orders expire when that session closes."""
    half = ("2026-11-27", at("2026-11-27T14:30"), at("2026-11-27T18:00"))
    books = Books(at("2026-11-27T17:59"), sessions=(half,))
    order = books.rest()
    assert order["expires_at"] == "2026-11-27T18:00:00Z"
    books.wait(60 * SECOND_NS)
    assert books.status(order["id"]) == "expired"


def test_a_gtc_order_lives_ninety_days() -> None:
    """It does not trade at night, works again in the morning, and is cancelled when it is too old."""
    books = Books()
    order, old = books.rest("50", time_in_force="gtc"), books.rest("40", time_in_force="gtc")
    books.wait_until(CLOSE + SECOND_NS)
    books.quote(44.98, 45)
    assert books.status(order["id"]) == "new"
    books.wait_until(MONDAY_OPEN)
    books.quote(44.98, 45)
    assert books.status(order["id"]) == "filled"
    books.wait_until(NOON + 90 * DAY_NS)
    assert books.status(old["id"]) == "canceled"


def test_always_is_never_closed() -> None:
    """With hours `always` orders trade on a Sunday night, and those of the day expire at midnight in New York."""
    books = Books(at("2026-11-22T04:30"), hours="always")
    books.send()
    order = books.rest()
    assert books.position() == "10"
    assert books.broker.clock(books.now_ns)["is_open"] is True
    books.wait_until(at("2026-11-22T05:00"))
    assert books.status(order["id"]) == "expired"


def test_a_session_can_be_ended_by_hand() -> None:
    """Orders of the day expire, those for the close trade, those that are good till cancelled or wait for their session stay."""
    books = Books(hours="always")
    day, gtc = books.rest("50"), books.rest("51", time_in_force="gtc")
    close = books.send(time_in_force="cls")
    books.broker.close_session(books.now_ns)
    assert [books.status(each["id"]) for each in (day, gtc, close)] == ["expired", "new", "filled"]
    assert books.broker.account()["last_equity"] == "100000"


# --- Times in force -----------------------------------------------------------------------------------------------------


def test_an_ioc_takes_what_there_is() -> None:
    """What the quote's size fills is filled, and the rest canceled at once."""
    books = Books()
    books.quote(99.99, 100.01, 4)
    order = books.send(time_in_force="ioc")
    assert books.broker.order(order["id"])["filled_qty"] == "4"
    assert books.events() == ["pending_new", "new", "partial_fill", "canceled"]


@pytest.mark.parametrize(("size", "status", "filled"), [(9, "canceled", "0"), (10, "filled", "10")])
def test_a_fok_is_filled_whole_or_not(size: int, status: str, filled: str) -> None:
    """It is filled when the size is enough for all of it, and canceled without a fill if not."""
    books = Books(partial_probability=1.0)
    books.quote(99.99, 100.01, size)
    order = books.broker.order(books.send(time_in_force="fok")["id"])
    assert (order["status"], order["filled_qty"]) == (status, filled)


def test_an_opening_order_meets_the_first_quote_of_the_session_alone() -> None:
    """It ignores quotes from before the open; what the first one does not fill is canceled."""
    books = Books(PRE_MARKET)
    market, limit = books.send(time_in_force="opg"), books.rest("90", time_in_force="opg")
    books.wait_until(at("2026-11-20T14:30"))
    assert [books.status(each["id"]) for each in (market, limit)] == ["new", "new"]
    books.quote(98, 98.02)
    assert [books.status(each["id"]) for each in (market, limit)] == ["filled", "canceled"]
    assert books.broker.order(market["id"])["filled_avg_price"] == "98.02"


def test_a_closing_order_meets_the_last_quote_of_the_session_alone() -> None:
    """It waits through all others, and what the last one does not fill is canceled."""
    books = Books()
    market, limit = books.send(time_in_force="cls"), books.rest("90", time_in_force="cls")
    books.quote(89, 89.02)
    books.quote(97, 97.02)
    assert books.position() == "0"
    books.wait_until(CLOSE)
    assert [books.status(each["id"]) for each in (market, limit)] == ["filled", "canceled"]
    assert books.broker.order(market["id"])["filled_avg_price"] == "97.02"


# --- Cancels ------------------------------------------------------------------------------------------------------------


def test_a_cancel_is_done_at_once_without_a_delay() -> None:
    """The order is canceled, with its time, and no pending state is told."""
    books = Books()
    order = books.rest()
    books.cancel(order["id"])
    row = books.broker.order(order["id"])
    assert (row["status"], row["canceled_at"]) == ("canceled", "2026-11-20T17:00:00Z")
    assert books.events() == ["pending_new", "new", "canceled"]


def test_a_cancel_may_come_too_late() -> None:
    """While the cancel is under way the order still fills; when it is full the cancel is refused, by an event."""
    books = Books(cancel_delay_ns=SECOND_NS)
    order = books.rest()
    books.cancel(order["id"])
    books.fill(order["id"], 4)
    assert books.status(order["id"]) == "pending_cancel"
    books.fill(order["id"], 6)
    books.wait(2 * SECOND_NS)
    assert books.status(order["id"]) == "filled"
    assert books.events()[2:] == ["pending_cancel", "partial_fill", "fill", "order_cancel_rejected"]
    assert books.updates()[-1]["reason"] == "TOO_LATE_TO_CANCEL"


def test_a_cancel_in_time_keeps_the_fills() -> None:
    """What filled while the cancel was under way stays, and the rest is canceled when the delay is over."""
    books = Books(cancel_delay_ns=SECOND_NS)
    order = books.rest()
    books.cancel(order["id"])
    books.fill(order["id"], 4)
    books.wait(SECOND_NS)
    row = books.broker.order(order["id"])
    assert (row["status"], row["filled_qty"]) == ("canceled", "4")


def test_an_order_is_cancelled_before_it_is_new() -> None:
    """A cancel that overtakes the acknowledgement ends the order, which then is never new."""
    books = Books(new_delay_ns=3 * SECOND_NS, cancel_delay_ns=SECOND_NS)
    order = books.send()
    books.cancel(order["id"])
    books.wait(5 * SECOND_NS)
    assert books.events(order["id"]) == ["pending_new", "pending_cancel", "canceled"]


def test_a_slow_cancel_is_acknowledged_first() -> None:
    """An order whose cancel is slower than its acknowledgement works meanwhile, though its status hides that."""
    books = Books(new_delay_ns=SECOND_NS, cancel_delay_ns=3 * SECOND_NS)
    order = books.send()
    books.cancel(order["id"])
    books.wait(2 * SECOND_NS)
    assert books.events(order["id"]) == ["pending_new", "pending_cancel", "fill", "order_cancel_rejected"]


def test_what_is_over_is_not_cancelled() -> None:
    """A cancel of a filled, a canceled, or an order that is being cancelled is 422 and says what it is; of none, 404."""
    books = Books(cancel_delay_ns=SECOND_NS)
    filled, order = books.send()["id"], books.rest()["id"]
    books.cancel(order)
    assert refusal(books.cancel, order).message == 'order is already in "pending_cancel" state'
    books.wait(SECOND_NS)
    assert refusal(books.cancel, filled).message == 'order is already in "filled" state'
    assert refusal(books.cancel, order).message == 'order is already in "canceled" state'
    assert code(books.cancel, order) == INVALID
    assert code(books.cancel, "00000000-0000-4000-8000-000000000000") == (404, 40410000)
    assert code(books.cancel, "some_order_id") == (422, 40010001)


def test_cancelling_all_answers_for_each() -> None:
    """Every open order is a row: 200 where the cancel is taken, the refusal where it is not."""
    books = Books(replace_delay_ns=SECOND_NS)
    first, second = books.rest("50")["id"], books.rest("49")["id"]
    books.send()
    third = books.replace(second, limit_price="48")["id"]
    rows = {row["id"]: row for row in books.broker.cancel_all(books.now_ns)}
    assert {each: row["status"] for each, row in rows.items()} == {first: 200, second: 422, third: 422}
    assert rows[second]["body"]["code"] == 42210000
    assert books.status(first) == "canceled"


# --- Closing positions --------------------------------------------------------------------------------------------------


def test_a_position_is_closed_by_an_order() -> None:
    """A part or all of it is sold, or bought back, at the market; of nothing there is nothing to close."""
    books = Books()
    assert code(books.broker.close_position, books.now_ns, "AAPL") == (404, 40410000)
    books.send()
    part = books.broker.close_position(books.now_ns, "AAPL", percentage="25")
    assert (part["side"], part["qty"], part["type"]) == ("sell", "2.5", "market")
    books.broker.close_position(books.now_ns, "AAPL", qty="0.5")
    assert books.position() == "7"
    asset_id = books.broker.position("AAPL")["asset_id"]
    books.broker.close_position(books.now_ns, asset_id)
    books.send(side="sell")
    assert books.broker.close_position(books.now_ns, "AAPL")["side"] == "buy"
    assert books.broker.positions() == []
    books.send()
    both = {"qty": "1", "percentage": "1"}
    assert code(books.broker.close_position, books.now_ns, "AAPL", **both) == (422, 40010001)


def test_closing_all_answers_for_each() -> None:
    """A position that open orders hold is refused, unless they are cancelled with it."""
    books = Books()
    books.send()
    books.quote(50, 50.02, symbol="MSFT")
    books.send(symbol="MSFT", side="sell")
    held = books.rest("150", side="sell", qty="4")
    rows = books.broker.close_all(books.now_ns)
    assert [(row["symbol"], row["status"]) for row in rows] == [("AAPL", 403), ("MSFT", 200)]
    assert rows[0]["body"]["available"] == "6"
    assert [row["status"] for row in books.broker.close_all(books.now_ns, cancel_orders=True)] == [200]
    assert (books.broker.positions(), books.status(held["id"])) == ([], "canceled")
