"""What Alpaca tells when it is asked: orders in pages, positions, the account, its activities, assets, clock and calendar."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from alpaca_wire import NO_SUCH_ID, Wire, eventually

LIST_ORDERS = "alpaca-docs endpoints/orders"
ACTIVITIES = "docs.alpaca.markets/docs/account-activities"
ACTIVITY_ID = re.compile(r"\d{17}::[0-9a-f-]{36}")
ABSENT = (404, 40410000)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- Orders ------------------------------------------------------------------------------------------------------------


@pytest.mark.source("facts A.2: GET /v2/orders:by_client_order_id, 404 if none")
def test_an_order_is_found_by_its_client_id(alpaca: Wire) -> None:
    """The client id finds an order, open or closed; one that nobody used is a 404 with a code."""
    order = alpaca.rest("50", client_order_id="mine.0")
    assert alpaca.read("/v2/orders:by_client_order_id", client_order_id="mine.0")["id"] == order["id"]
    alpaca.cancel(order["id"])
    alpaca.wait(order["id"], "canceled")
    assert alpaca.read("/v2/orders:by_client_order_id", client_order_id="mine.0")["status"] == "canceled"
    absent = alpaca.get("/v2/orders:by_client_order_id", client_order_id="yours.0")
    assert (absent.status, absent.code) == ABSENT


@pytest.mark.source(f"{LIST_ORDERS}: status defaults to open; limit to 50, at most 500")
def test_a_list_of_orders_is_the_open_ones_and_at_most_fifty(alpaca: Wire) -> None:
    """Without parameters the list has the newest 50 open orders; with a limit as many as that."""
    orders = [alpaca.place(type="limit", limit_price="1", qty="1")["id"] for _ in range(52)]
    alpaca.wait(orders[-1], "new")
    assert [order["id"] for order in alpaca.read("/v2/orders")] == orders[:1:-1]
    assert len(alpaca.read("/v2/orders", limit="500")) == 52
    assert [order["id"] for order in alpaca.read("/v2/orders", limit="3")] == orders[:48:-1]


@pytest.mark.source(f"{LIST_ORDERS}: status open, closed or all")
def test_a_list_is_of_open_or_closed_orders_or_all(alpaca: Wire) -> None:
    """Every order is in the open list or in the closed one, and all are in the whole."""
    filled, canceled, working = alpaca.place()["id"], alpaca.rest("50")["id"], alpaca.rest("49")["id"]
    alpaca.wait(filled, "filled")
    alpaca.cancel(canceled)
    alpaca.wait(canceled, "canceled")
    listed = {
        status: {order["id"] for order in alpaca.read("/v2/orders", status=status)}
        for status in ("open", "closed", "all")
    }
    assert listed == {"open": {working}, "closed": {filled, canceled}, "all": {filled, canceled, working}}


@pytest.mark.source(f"{LIST_ORDERS}: after and until are exclusive, on submission; direction desc by default")
def test_orders_are_paged_by_the_time_of_submission(alpaca: Wire) -> None:
    """Going on after the last of a page, oldest first, brings every order once."""
    orders = [alpaca.place(type="limit", limit_price="1", qty="1") for _ in range(7)]
    read: list[dict[str, Any]] = []
    page: list[dict[str, Any]] = []
    while not read or page:
        after = {"after": read[-1]["submitted_at"]} if read else {}
        page = alpaca.read("/v2/orders", status="all", direction="asc", limit="3", **after)
        read += page
    assert [order["id"] for order in read] == [order["id"] for order in orders]
    third = read[2]["submitted_at"]
    assert [order["id"] for order in alpaca.read("/v2/orders", until=third)] == [orders[1]["id"], orders[0]["id"]]


@pytest.mark.source(f"{LIST_ORDERS}: symbols, side")
def test_orders_are_listed_of_symbols_and_of_a_side(alpaca: Wire) -> None:
    """A list may be of some symbols, and of one side."""
    apple, spy = alpaca.rest("50")["id"], alpaca.rest("50", symbol="SPY")["id"]
    short = alpaca.rest("150", symbol="MSFT", side="sell")["id"]
    listed = alpaca.read("/v2/orders", symbols="AAPL,MSFT")
    assert {order["id"] for order in listed} == {apple, short}
    assert {order["id"] for order in alpaca.read("/v2/orders", side="buy")} == {apple, spy}


@pytest.mark.source("docs.alpaca.markets/docs/orders-at-alpaca: nested; faults C9")
def test_legs_are_orders_of_their_own_unless_nested(alpaca: Wire) -> None:
    """A bracket is three orders in a flat list of all, and one with its legs when nested."""
    order = alpaca.place(
        type="limit",
        limit_price="90",
        order_class="bracket",
        take_profit={"limit_price": "120"},
        stop_loss={"stop_price": "80"},
    )
    alpaca.wait(order["id"], "new")
    ids = {order["id"], *(leg["id"] for leg in order["legs"])}
    (parent,) = alpaca.read("/v2/orders", status="all", nested="true")
    assert {parent["id"], *(leg["id"] for leg in parent["legs"])} == ids
    flat = alpaca.read("/v2/orders", status="all")
    assert {each["id"] for each in flat} == ids
    assert [each["legs"] for each in flat] == [None] * 3


# --- Positions ---------------------------------------------------------------------------------------------------------


@pytest.mark.source("facts A.2: 404 40410000 if flat")
def test_a_flat_account_has_no_positions(alpaca: Wire) -> None:
    """Without a position the list is empty, and asking for one is a 404 with a code."""
    assert alpaca.read("/v2/positions") == []
    answer = alpaca.get("/v2/positions/AAPL")
    assert (answer.status, answer.code) == ABSENT


@pytest.mark.source("facts A.2 Position; alpaca-docs oas/trading Position: qty_available")
def test_a_position_tells_what_is_held_and_what_is_free(alpaca: Wire) -> None:
    """A position has its numbers as strings, and what an open sale holds is not available."""
    alpaca.wait(alpaca.place()["id"], "filled")
    alpaca.rest("150", side="sell", qty="4")
    position = alpaca.read("/v2/positions/AAPL")
    assert (position["symbol"], position["qty"], position["qty_available"], position["side"]) == (
        "AAPL",
        "10",
        "6",
        "long",
    )
    assert Decimal(position["avg_entry_price"]) == Decimal("100.02")
    assert Decimal(position["cost_basis"]) == Decimal("1000.2")
    assert {"market_value", "unrealized_pl", "current_price", "asset_id", "exchange", "asset_class"} <= set(position)
    assert alpaca.read(f"/v2/positions/{position['asset_id']}")["symbol"] == "AAPL"
    assert [each["symbol"] for each in alpaca.read("/v2/positions")] == ["AAPL"]


@pytest.mark.source("facts A.2: short qty is a negative string")
def test_a_short_position_is_negative(alpaca: Wire) -> None:
    """A short position has a negative quantity, the side short and a negative market value."""
    alpaca.wait(alpaca.place(side="sell")["id"], "filled")
    position = alpaca.read("/v2/positions/AAPL")
    assert (position["qty"], position["side"]) == ("-10", "short")
    assert Decimal(position["market_value"]) < 0


@pytest.mark.source("facts A.2: DELETE /v2/positions/{sym}?qty|percentage is an order")
def test_closing_a_position_is_an_order(alpaca: Wire) -> None:
    """Closing a part or the whole of a position is answered by the market order that does it."""
    alpaca.wait(alpaca.place()["id"], "filled")
    part = alpaca.ask("DELETE", "/v2/positions/AAPL", {"percentage": "40"}).body
    assert (part["side"], part["qty"], part["type"]) == ("sell", "4", "market")
    alpaca.wait(part["id"], "filled")
    whole = alpaca.ask("DELETE", "/v2/positions/AAPL").body
    assert whole["qty"] == "6"
    eventually(lambda: alpaca.read("/v2/positions"), lambda positions: positions == [])
    answer = alpaca.ask("DELETE", "/v2/positions/AAPL")
    assert (answer.status, answer.code) == ABSENT


@pytest.mark.source("facts A.2: DELETE /v2/positions?cancel_orders= is 207 with symbol, status, body")
def test_closing_everything_answers_for_each_symbol(alpaca: Wire) -> None:
    """Closing all positions, open orders first, is a 207 with the order of each symbol."""
    alpaca.wait(alpaca.place()["id"], "filled")
    held = alpaca.rest("150", side="sell", qty="4")
    answer = alpaca.ask("DELETE", "/v2/positions", {"cancel_orders": "true"})
    assert answer.status == 207
    assert [(row["symbol"], row["status"], row["body"]["side"]) for row in answer.body] == [("AAPL", 200, "sell")]
    eventually(lambda: alpaca.read("/v2/positions"), lambda positions: positions == [])
    assert alpaca.order(held["id"])["status"] == "canceled"


# --- The account -------------------------------------------------------------------------------------------------------


@pytest.mark.source("facts A.2 Account; alpaca-docs oas/trading Account")
def test_an_account_tells_its_money_as_strings(alpaca: Wire) -> None:
    """The account has its number, its state and its money, as strings; a paper account's number begins with PA."""
    account = alpaca.read("/v2/account")
    assert account["account_number"].startswith("PA")
    assert (account["status"], account["currency"]) == ("ACTIVE", "USD")
    money = ("cash", "equity", "last_equity", "buying_power", "multiplier", "long_market_value", "initial_margin")
    assert all(isinstance(account[name], str) and Decimal(account[name]) >= 0 for name in money)
    flags = ("trading_blocked", "account_blocked", "trade_suspended_by_user")
    assert [account[name] for name in flags] == [False] * 3
    assert account["shorting_enabled"] is True


@pytest.mark.source("facts A.2: removed from replies on 2026-07-06")
def test_an_account_says_nothing_of_day_trading(alpaca: Wire) -> None:
    """The fields of the pattern day trader rule are gone."""
    gone = {"pattern_day_trader", "daytrade_count", "daytrading_buying_power"}
    assert not gone & set(alpaca.read("/v2/account"))


@pytest.mark.source("alpaca-docs oas/trading Account: equity is cash and market values")
def test_a_purchase_moves_cash_into_shares(alpaca: Wire) -> None:
    """A purchase takes price times quantity from the cash, and equity is what cash and shares are worth together."""
    before = Decimal(alpaca.read("/v2/account")["cash"])
    alpaca.wait(alpaca.place()["id"], "filled")
    account = alpaca.read("/v2/account")
    assert before - Decimal(account["cash"]) == Decimal("1000.2")
    assert Decimal(account["equity"]) == Decimal(account["cash"]) + Decimal(account["long_market_value"])


# --- Activities --------------------------------------------------------------------------------------------------------


@pytest.mark.source(f"facts A.2: FILL activity; {ACTIVITIES}")
def test_each_execution_is_an_activity(alpaca: Wire) -> None:
    """Each execution is one activity with its own quantity, the sum after it, and what is left."""
    order = alpaca.rest("50")
    with alpaca.updates() as stream:
        alpaca.market.fill(order["id"], "4", "50")
        alpaca.market.fill(order["id"], "6", "49")
        execution_ids = {update["execution_id"] for update in stream.until("fill", order["id"])}
    whole, part = alpaca.read("/v2/account/activities/FILL")
    assert (part["type"], part["qty"], part["cum_qty"], part["leaves_qty"], part["price"]) == (
        "partial_fill",
        "4",
        "4",
        "6",
        "50",
    )
    assert (whole["type"], whole["qty"], whole["cum_qty"], whole["leaves_qty"]) == ("fill", "6", "10", "0")
    assert (whole["order_status"], part["order_status"]) == ("filled", "partially_filled")
    assert all(each["activity_type"] == "FILL" and each["order_id"] == order["id"] for each in (whole, part))
    assert all((each["side"], each["symbol"]) == ("buy", "AAPL") for each in (whole, part))
    assert all(ACTIVITY_ID.fullmatch(each["id"]) for each in (whole, part))
    assert all(moment(each["transaction_time"]).tzinfo for each in (whole, part))
    assert not {each["id"].partition("::")[2] for each in (whole, part)} & execution_ids


@pytest.mark.source(f"{ACTIVITIES}: page_token: asc begins immediately after it, desc ends before it")
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_activities_are_paged_by_their_ids(alpaca: Wire, direction: str) -> None:
    """Each page goes on after the activity that the token names, until an empty page: each activity comes once."""
    order = alpaca.rest("50")
    for _ in range(7):
        alpaca.market.fill(order["id"], "1", "50")
    read: list[dict[str, Any]] = []
    page: list[dict[str, Any]] = []
    while not read or page:
        token = {"page_token": read[-1]["id"]} if read else {}
        page = alpaca.read("/v2/account/activities/FILL", direction=direction, page_size="3", **token)
        assert len(page) <= 3
        read += page
    sums = [each["cum_qty"] for each in read]
    assert sums == sorted("1234567", reverse=direction == "desc")
    assert len({each["id"] for each in read}) == 7


@pytest.mark.source(f"{ACTIVITIES}: page_size: default and maximum 100")
def test_a_page_of_activities_has_at_most_a_hundred(alpaca: Wire) -> None:
    """Without a size a page has 100 activities, the newest."""
    order = alpaca.rest("50", qty="101")
    for _ in range(101):
        alpaca.market.fill(order["id"], "1", "50")
    page = alpaca.read("/v2/account/activities/FILL")
    assert (len(page), page[0]["cum_qty"]) == (100, "101")


@pytest.mark.source(f"{ACTIVITIES}: DIV sample")
def test_a_dividend_is_an_activity_that_moves_cash(alpaca: Wire) -> None:
    """A dividend has its date, amount, symbol, shares and rate; the cash moves and no order does."""
    alpaca.wait(alpaca.place()["id"], "filled")
    before = Decimal(alpaca.read("/v2/account")["cash"])
    alpaca.market.book("DIV", symbol="AAPL", qty="10", per_share_amount="0.51", net_amount="5.10")
    (paid,) = alpaca.read("/v2/account/activities/DIV")
    assert ACTIVITY_ID.fullmatch(paid["id"])
    assert (paid["activity_type"], paid["symbol"], paid["qty"]) == ("DIV", "AAPL", "10")
    assert (Decimal(paid["net_amount"]), Decimal(paid["per_share_amount"])) == (Decimal("5.10"), Decimal("0.51"))
    assert date.fromisoformat(paid["date"])
    assert Decimal(alpaca.read("/v2/account")["cash"]) - before == Decimal("5.10")


@pytest.mark.source(f"faults E8; {ACTIVITIES}: SPLIT (formerly SSP)")
def test_a_split_multiplies_shares_and_keeps_their_cost(alpaca: Wire) -> None:
    """After a split 2:1 twice the shares are held at half the price each, and the cash is as before."""
    alpaca.wait(alpaca.place()["id"], "filled")
    before = alpaca.read("/v2/account")["cash"]
    alpaca.market.book("SPLIT", symbol="AAPL", qty="10", ratio="2")
    position = alpaca.read("/v2/positions/AAPL")
    assert position["qty"] == "20"
    assert Decimal(position["cost_basis"]) == Decimal("1000.2")
    assert alpaca.read("/v2/account")["cash"] == before
    (split,) = [each for each in alpaca.read("/v2/account/activities") if each["activity_type"] in ("SPLIT", "SSP")]
    assert (split["symbol"], split["qty"]) == ("AAPL", "10")


@pytest.mark.source(f"{ACTIVITIES}: activity_types; all types if unspecified")
def test_activities_are_listed_by_type(alpaca: Wire) -> None:
    """A list may be of some types; without types it has all."""
    alpaca.wait(alpaca.place()["id"], "filled")
    alpaca.market.book("FEE", net_amount="-0.02")
    alpaca.market.book("CSD", net_amount="100")
    types = ("FILL,FEE", "FEE,CSD", "CSD")
    listed = [
        {each["activity_type"] for each in alpaca.read("/v2/account/activities", activity_types=some)} for some in types
    ]
    assert listed == [{"FILL", "FEE"}, {"FEE", "CSD"}, {"CSD"}]
    assert {each["activity_type"] for each in alpaca.read("/v2/account/activities")} == {"FILL", "FEE", "CSD"}


@pytest.mark.source(f"{ACTIVITIES}: after, until")
def test_activities_are_listed_after_a_time(alpaca: Wire) -> None:
    """Only what happened after the given time is listed."""
    order = alpaca.rest("50")
    alpaca.market.fill(order["id"], "4", "50")
    (first,) = alpaca.read("/v2/account/activities/FILL")
    alpaca.market.fill(order["id"], "6", "50")
    later = alpaca.read("/v2/account/activities/FILL", after=first["transaction_time"])
    assert [each["cum_qty"] for each in later] == ["10"]
    earlier = alpaca.read("/v2/account/activities/FILL", until=later[0]["transaction_time"])
    assert [each["cum_qty"] for each in earlier] == ["4"]


# --- Assets, clock, calendar -------------------------------------------------------------------------------------------


@pytest.mark.source("alpaca-docs oas/trading Assets")
def test_an_asset_tells_how_it_may_be_traded(alpaca: Wire) -> None:
    """An asset has its id, class, symbol and flags, and is found by symbol and by id; an unknown one is a 404."""
    asset = alpaca.read("/v2/assets/AAPL")
    assert (asset["symbol"], asset["class"], asset["status"]) == ("AAPL", "us_equity", "active")
    flags = ("tradable", "marginable", "shortable", "easy_to_borrow", "fractionable")
    assert all(isinstance(asset[name], bool) for name in flags)
    assert {"exchange", "name"} <= set(asset)
    assert alpaca.read(f"/v2/assets/{asset['id']}") == asset
    assert asset in alpaca.read("/v2/assets", status="active", asset_class="us_equity")
    for unknown in ("NOSUCH", NO_SUCH_ID):
        answer = alpaca.get(f"/v2/assets/{unknown}")
        assert (answer.status, answer.code) == ABSENT


@pytest.mark.source("alpaca-docs oas/trading Clock", sandbox={"hours": "exchange"})
def test_the_clock_tells_the_time_and_the_next_session(alpaca: Wire) -> None:
    """The clock has Alpaca's time with its zone, whether the market is open, and when it opens and closes next."""
    clock = alpaca.read("/v2/clock")
    now = moment(clock["timestamp"])
    assert abs((datetime.now(UTC) - now).total_seconds()) < 5
    assert isinstance(clock["is_open"], bool)
    opens, closes = moment(clock["next_open"]), moment(clock["next_close"])
    assert now < min(opens, closes)
    assert (closes < opens) == clock["is_open"]


@pytest.mark.source("alpaca-docs oas/trading Calendar; faults E4", sandbox={"hours": "exchange"})
def test_the_calendar_has_sessions_only_and_knows_half_days(alpaca: Wire) -> None:
    """The calendar lists the sessions of a range, both ends included, in New York's time: no holiday, and a half day's close."""
    days = {day["date"]: day for day in alpaca.read("/v2/calendar", start="2026-11-25", end="2026-11-30")}
    assert list(days) == ["2026-11-25", "2026-11-27", "2026-11-30"]
    assert (days["2026-11-25"]["open"], days["2026-11-25"]["close"]) == ("09:30", "16:00")
    assert days["2026-11-27"]["close"] == "13:00"
    assert days["2026-11-30"]["session_open"] == "0400"
