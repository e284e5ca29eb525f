"""What Alpaca will not take, and how it says so: a status and a code, which stay, and a message, which may change.

The contract is the HTTP status and the numeric code (docs.alpaca.markets/us/docs/options-trading-overview: messages can
change without notice). Fields beside them are looked at where a client needs them.
"""

from __future__ import annotations

from typing import Any

import pytest
from alpaca_wire import NO_SUCH_ID, Wire, eventually

ORDERS = "docs.alpaca.markets/docs/orders-at-alpaca"
PROTECTION = "docs.alpaca.markets/docs/user-protection"

Refusal = tuple[int, int]
FORBIDDEN: Refusal = (403, 40310000)
INVALID: Refusal = (422, 42210000)
MALFORMED: Refusal = (422, 40010001)
ABSENT: Refusal = (404, 40410000)

PROFIT = {"limit_price": "120"}
STOP = {"stop_price": "80"}


def refusals(answer: Any) -> Refusal:
    return answer.status, answer.code


# --- Keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.source("facts A.2: 401 unauthorized / 403 forbidden, without code")
@pytest.mark.parametrize("headers", [{}, {"APCA-API-KEY-ID": "PKWRONG", "APCA-API-SECRET-KEY": "wrong"}])
def test_wrong_keys_are_refused_without_a_code(alpaca: Wire, headers: dict[str, str]) -> None:
    """A request without keys, or with wrong ones, is a 401 or 403 with a message and no code, on every path."""
    for method, path in (("GET", "/v2/account"), ("GET", "/v2/orders"), ("POST", "/v2/orders")):
        answer = alpaca.ask(method, path, headers=headers)
        assert answer.status in (401, 403)
        assert answer.code is None
        assert answer.message
    assert alpaca.read("/v2/orders", status="all") == []


@pytest.mark.source("facts A.2: market data wants the same keys")
def test_market_data_wants_keys_too(alpaca: Wire) -> None:
    """Market data by REST is refused to wrong keys."""
    answer = alpaca.ask("GET", "/v2/stocks/quotes/latest", {"symbols": "AAPL"}, headers={})
    assert answer.status in (401, 403)


# --- What an order must say --------------------------------------------------------------------------------------------

WRONG_ORDERS: dict[str, tuple[dict[str, Any], tuple[Refusal, ...], str]] = {
    "sub-penny limit": ({"type": "limit", "limit_price": "50.123"}, (INVALID,), f"{ORDERS}: sub-penny increments"),
    "sub-penny stop": ({"type": "stop", "stop_price": "120.123"}, (INVALID,), f"{ORDERS}: sub-penny increments"),
    "five digits below a dollar": ({"type": "limit", "limit_price": "0.50001"}, (INVALID,), f"{ORDERS}: sub-penny"),
    "limit without price": ({"type": "limit"}, (MALFORMED, INVALID), "alpaca-docs endpoints/orders: required"),
    "stop without price": ({"type": "stop"}, (MALFORMED, INVALID), "alpaca-docs endpoints/orders: required"),
    "market with price": ({"limit_price": "50"}, (MALFORMED, INVALID), "market orders require no stop or limit price"),
    "trailing stop without trail": ({"type": "trailing_stop"}, (MALFORMED, INVALID), f"{ORDERS}: one must be set"),
    "trailing stop with two": (
        {"type": "trailing_stop", "trail_price": "1", "trail_percent": "1"},
        (MALFORMED, INVALID),
        f"{ORDERS}: trailing stop",
    ),
    "trailing stop ioc": (
        {"type": "trailing_stop", "trail_price": "1", "time_in_force": "ioc"},
        (MALFORMED, INVALID),
        f"{ORDERS}: valid values for trailing stop are day and gtc",
    ),
    "quantity and amount": ({"qty": "1", "notional": "100"}, (MALFORMED, INVALID, (400, 40010001)), f"{ORDERS}"),
    "no quantity": ({"qty": "0"}, (MALFORMED, INVALID), "alpaca-docs: qty must be > 0"),
    "negative quantity": ({"qty": "-1"}, (MALFORMED, INVALID), "alpaca-docs: qty must be > 0"),
    "unknown side": ({"side": "hold"}, (MALFORMED, INVALID), "alpaca-docs: input parameters are not recognized"),
    "unknown type": ({"type": "peg"}, (MALFORMED, INVALID), "alpaca-docs: input parameters are not recognized"),
    "unknown time in force": ({"time_in_force": "gtx"}, (MALFORMED, INVALID), "alpaca-docs: not recognized"),
    "unknown symbol": ({"symbol": "NOSUCH"}, (MALFORMED, INVALID), "alpacahq/Alpaca-API#184: could not find asset"),
    "long client id": ({"client_order_id": "x" * 129}, (MALFORMED, INVALID), "facts A.2: 48, later 128 characters"),
    "fraction gtc": ({"qty": "1.5", "time_in_force": "gtc"}, (INVALID,), "facts A.2: fractional orders must be DAY"),
    "amount below a dollar": (
        {"notional": "0.50"},
        (INVALID, FORBIDDEN, MALFORMED),
        "facts A.2: cost basis must be >= minimal amount of order 1",
    ),
    "extended market": ({"extended_hours": True}, (INVALID,), f"{ORDERS}: only limit and day"),
    "extended ioc": (
        {"type": "limit", "limit_price": "50", "time_in_force": "ioc", "extended_hours": True},
        (INVALID,),
        f"{ORDERS}: only limit and day",
    ),
    "opening stop": (
        {"type": "stop", "stop_price": "120", "time_in_force": "opg"},
        (INVALID, MALFORMED),
        f"{ORDERS}: opg with a market or limit order type",
    ),
    "bracket without stop": (
        {"order_class": "bracket", "take_profit": PROFIT},
        (INVALID, MALFORMED),
        f"{ORDERS}: both must be present",
    ),
    "bracket upside down": (
        {"order_class": "bracket", "take_profit": {"limit_price": "80"}, "stop_loss": {"stop_price": "90"}},
        (INVALID,),
        f"{ORDERS}: take_profit must be higher than stop_loss for a buy",
    ),
    "bracket ioc": (
        {"order_class": "bracket", "take_profit": PROFIT, "stop_loss": STOP, "time_in_force": "ioc"},
        (INVALID, MALFORMED),
        f"{ORDERS}: time_in_force must be day or gtc",
    ),
    "bracket extended": (
        {
            "order_class": "bracket",
            "type": "limit",
            "limit_price": "90",
            "take_profit": PROFIT,
            "stop_loss": STOP,
            "extended_hours": True,
        },
        (INVALID, MALFORMED),
        f"{ORDERS}: extended hours are not supported",
    ),
    "bracket of a fraction": (
        {"order_class": "bracket", "take_profit": PROFIT, "stop_loss": STOP, "qty": "1.5"},
        (INVALID,),
        "fractional orders must be simple orders",
    ),
    "stop too near its base": (
        {"order_class": "oto", "type": "limit", "limit_price": "90", "stop_loss": {"stop_price": "90"}},
        (INVALID,),
        f"{ORDERS}: threshold on stop price of stop-loss orders",
    ),
    "oco without a position": (
        {
            "side": "buy",
            "type": "limit",
            "order_class": "oco",
            "take_profit": {"limit_price": "80"},
            "stop_loss": PROFIT,
        },
        (INVALID, MALFORMED, FORBIDDEN),
        f"{ORDERS}: only exit orders are supported",
    ),
}


@pytest.mark.source("each in its row")
@pytest.mark.parametrize("name", WRONG_ORDERS)
def test_an_order_that_is_wrong_in_itself_is_refused(alpaca: Wire, name: str) -> None:
    """What the documents exclude is refused with a documented status and code, and no order exists afterwards."""
    terms, accepted, _ = WRONG_ORDERS[name]
    answer = alpaca.send(**terms)
    assert refusals(answer) in accepted, answer
    assert answer.message
    assert alpaca.read("/v2/orders", status="all") == []


@pytest.mark.source(f"{ORDERS}: limit price < $1: four digits")
def test_four_digits_are_enough_below_a_dollar(alpaca: Wire) -> None:
    """A limit price below a dollar may have four digits."""
    assert alpaca.place(type="limit", limit_price="0.5001")["limit_price"] == "0.5001"


@pytest.mark.source("alpaca-docs endpoints/orders: JSON encoded body")
def test_a_body_that_is_no_json_is_refused(alpaca: Wire) -> None:
    """A body that cannot be read is a 4xx with a code, and no order."""
    headers = {"APCA-API-KEY-ID": alpaca.key, "APCA-API-SECRET-KEY": alpaca.secret}
    answer = alpaca.ask("POST", "/v2/orders", headers=headers, data=b"{not json")
    assert answer.status in (400, 422)
    assert str(answer.code).startswith("400")


# --- What the account does not allow -----------------------------------------------------------------------------------


@pytest.mark.source("facts A.2: 422 40010001 client_order_id must be unique")
def test_a_client_id_is_taken_once(alpaca: Wire) -> None:
    """A second order with the client id of an open one is refused, and the first stays as it is."""
    first = alpaca.rest("50", client_order_id="once.0")
    answer = alpaca.send(type="limit", limit_price="51", client_order_id="once.0")
    assert refusals(answer) == MALFORMED
    assert "unique" in answer.message
    assert [order["id"] for order in alpaca.read("/v2/orders", status="all")] == [first["id"]]
    assert alpaca.order(first["id"])["limit_price"] == "50"


@pytest.mark.source("facts A.2: 403 40310000 insufficient buying power; alpaca-docs orders: buying power")
def test_an_order_beyond_the_buying_power_is_forbidden(alpaca: Wire) -> None:
    """An order that costs more than the buying power is refused, and the answer names both."""
    answer = alpaca.send(type="limit", limit_price="100", qty="1000000")
    assert refusals(answer) == FORBIDDEN
    assert {"buying_power", "cost_basis"} <= set(answer.body)


@pytest.mark.source(f"{ORDERS}: buying power is reduced by open buy orders")
def test_open_orders_use_up_buying_power(alpaca: Wire) -> None:
    """What an open buy order could cost is not there for the next."""
    power = float(alpaca.read("/v2/account")["buying_power"])
    quantity = int(power * 0.6 / 50)
    alpaca.rest("50", qty=str(quantity))
    left = float(alpaca.read("/v2/account")["buying_power"])
    assert left == pytest.approx(power - quantity * 50, rel=1e-6)
    assert refusals(alpaca.send(type="limit", limit_price="50", qty=str(quantity))) == FORBIDDEN


@pytest.mark.source("facts A.2: insufficient qty with available, existing_qty, held_for_orders, symbol")
def test_shares_that_an_order_holds_cannot_be_sold_again(alpaca: Wire) -> None:
    """A sale of shares that another open sale holds is refused, and the answer says how many there are and are held."""
    alpaca.wait(alpaca.place(qty="10")["id"], "filled")
    alpaca.rest("150", side="sell", qty="8")
    answer = alpaca.send(side="sell", type="limit", limit_price="151", qty="5")
    assert refusals(answer) == FORBIDDEN
    named = {name: answer.body.get(name) for name in ("symbol", "available", "existing_qty", "held_for_orders")}
    assert named == {"symbol": "AAPL", "available": "2", "existing_qty": "10", "held_for_orders": "8"}


@pytest.mark.source("alpacahq/Alpaca-API#90: a position cannot change its side in one order")
def test_an_order_cannot_turn_a_position_over(alpaca: Wire) -> None:
    """Selling more than is held, to be short with the rest, is refused."""
    alpaca.wait(alpaca.place(qty="10")["id"], "filled")
    assert refusals(alpaca.send(side="sell", qty="15")) == FORBIDDEN


@pytest.mark.source(f"{PROTECTION}: preventing wash trades; 403 40310000 with existing_order_id and reject_reason")
def test_an_order_that_could_meet_ones_own_is_a_wash_trade(alpaca: Wire) -> None:
    """A market buy against one's own open sale is refused, and the answer names the order that it would meet."""
    alpaca.wait(alpaca.place(qty="10")["id"], "filled")
    sale = alpaca.rest("150", side="sell", qty="5")
    answer = alpaca.send(side="buy", qty="1")
    assert refusals(answer) == FORBIDDEN
    assert "wash trade" in answer.message
    assert answer.body["existing_order_id"] == sale["id"]


BUYS: dict[str, dict[str, str]] = {
    "market": {},
    "limit": {"type": "limit", "limit_price": "98"},
    "stop": {"type": "stop", "stop_price": "104"},
    "stop_limit": {"type": "stop_limit", "stop_price": "104", "limit_price": "104"},
}
SALES: dict[str, dict[str, str]] = {
    "limit": {"type": "limit", "limit_price": "103"},
    "stop": {"type": "stop", "stop_price": "97"},
    "stop_limit": {"type": "stop_limit", "stop_price": "97", "limit_price": "97"},
}
CANNOT_MEET = {("limit", "limit")}
"""Of the pairs above (sale, buy) the only ones that the table lets pass: both with a limit, and the buy's below the sale's."""


@pytest.mark.source(f"{PROTECTION}: the table of existing and new orders")
@pytest.mark.parametrize("buy", BUYS)
@pytest.mark.parametrize("sale", SALES)
def test_the_table_of_wash_trades(alpaca: Wire, sale: str, buy: str) -> None:
    """A new buy against an open sale of shares is refused unless both have limits that cannot meet."""
    alpaca.wait(alpaca.place(qty="20")["id"], "filled")
    resting = alpaca.place(side="sell", qty="5", **SALES[sale])
    alpaca.wait(resting["id"], "new", "held")
    answer = alpaca.send(qty="1", **BUYS[buy])
    if (sale, buy) in CANNOT_MEET:
        assert answer.status == 200
    else:
        assert refusals(answer) == FORBIDDEN
        assert answer.body["existing_order_id"] == resting["id"]


@pytest.mark.source(f"{PROTECTION}: complex orders are exceptions")
def test_the_legs_of_a_bracket_are_no_wash_trade(alpaca: Wire) -> None:
    """Another bracket may be entered while one's exits are open."""
    bracket: dict[str, Any] = {"order_class": "bracket", "take_profit": PROFIT, "stop_loss": STOP}
    first = alpaca.place(**bracket)
    alpaca.wait(first["id"], "filled")
    profit = next(leg["id"] for leg in first["legs"] if leg["type"] == "limit")
    alpaca.wait(profit, "new", "accepted")
    assert alpaca.send(**bracket).status == 200


@pytest.mark.source("faults E11; alpacahq/Alpaca-API#82: cannot open a long buy while a short sell order is open")
def test_a_buy_is_refused_while_a_short_sale_is_open(alpaca: Wire) -> None:
    """Without a position, orders on both sides at once are refused."""
    alpaca.rest("150", side="sell", qty="5")
    assert refusals(alpaca.send(type="limit", limit_price="50", qty="1")) == FORBIDDEN


@pytest.mark.source("docs.alpaca.markets/docs/fractional-trading: no short sales in fractional orders")
def test_a_fraction_cannot_be_sold_short(alpaca: Wire) -> None:
    """A fractional sale without shares is refused."""
    assert alpaca.send(side="sell", qty="1.5").status in (403, 422)


# --- Orders that are not there, or not open ----------------------------------------------------------------------------


@pytest.mark.source("facts A.2: 404 40410000; alpacahq/Alpaca-API#135: 422 40010001 for what is no id")
def test_an_unknown_order_is_absent_and_a_bad_id_malformed(alpaca: Wire) -> None:
    """An id that nobody has is 404 for reading, cancelling and replacing; what is no id at all is 422 for reading."""
    assert refusals(alpaca.get(f"/v2/orders/{NO_SUCH_ID}")) == ABSENT
    assert refusals(alpaca.cancel(NO_SUCH_ID)) == ABSENT
    assert refusals(alpaca.replace(NO_SUCH_ID, qty="5")) == ABSENT
    assert refusals(alpaca.get("/v2/orders/some_order_id")) == MALFORMED


@pytest.mark.source("facts A.2: 422 not cancelable; 42210000 order is already in a final state")
def test_an_order_that_is_done_cannot_be_cancelled(alpaca: Wire) -> None:
    """A cancel of a filled or a canceled order is a 422, and changes nothing."""
    filled = alpaca.place()["id"]
    canceled = alpaca.rest("50")["id"]
    alpaca.wait(filled, "filled")
    alpaca.cancel(canceled)
    alpaca.wait(canceled, "canceled")
    assert refusals(alpaca.cancel(filled)) == INVALID
    assert refusals(alpaca.cancel(canceled)) == INVALID
    assert alpaca.order(filled)["status"] == "filled"


# --- Rate --------------------------------------------------------------------------------------------------------------


@pytest.mark.source("facts A.2: X-RateLimit-Limit, -Remaining, -Reset (epoch s)")
def test_every_answer_says_what_is_left_of_the_rate(alpaca: Wire) -> None:
    """Each answer has the limit, what is left of it, and when it begins anew; each request takes one."""
    first, second = alpaca.get("/v2/account"), alpaca.get("/v2/clock")
    assert first.headers["X-RateLimit-Limit"] == "200"
    assert int(first.headers["X-RateLimit-Remaining"]) - int(second.headers["X-RateLimit-Remaining"]) == 1
    assert int(first.headers["X-RateLimit-Reset"]) > 1_700_000_000


@pytest.mark.source("facts A.2: 429 too many requests, with the headers")
def test_the_request_over_the_limit_is_429(alpaca: Wire) -> None:
    """The 201st request of a minute is a 429 without effect: the order that it asked for does not exist."""
    answer = eventually(lambda: alpaca.get("/v2/clock"), lambda seen: seen.status == 429, patience_s=20)
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert answer.message
    assert alpaca.send().status == 429
