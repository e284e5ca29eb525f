"""How Alpaca's streams begin, what they say, and how they refuse: trade updates and market data, raw and through the SDK."""

from __future__ import annotations

from contextlib import suppress
from threading import Event
from typing import Any

import pytest
from alpaca_wire import Wire, running_sdk
from websockets.exceptions import ConnectionClosed, InvalidStatus

UPDATES = "docs.alpaca.markets/docs/websocket-streaming"
DATA = "docs.alpaca.markets/docs/streaming-market-data"
LIMIT_REACHED = [{"T": "error", "code": 406, "msg": "connection limit exceeded"}]


# --- Trade updates -----------------------------------------------------------------------------------------------------


@pytest.mark.source(f"{UPDATES}: authentication; binary frames")
def test_the_stream_authorizes_and_acknowledges_in_binary_frames(alpaca: Wire) -> None:
    """Right keys are authorized, listening is acknowledged with the streams, and frames are binary."""
    with alpaca.connected() as stream:
        assert stream.authenticate(alpaca.key, alpaca.secret) == {
            "stream": "authorization",
            "data": {"status": "authorized", "action": "authenticate"},
        }
        assert stream.listen("trade_updates") == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        assert all(isinstance(frame, bytes) for frame in stream.frames)


@pytest.mark.source(f"{UPDATES}: unauthorized")
def test_the_stream_refuses_wrong_keys(alpaca: Wire) -> None:
    """Wrong keys are answered as unauthorized."""
    with alpaca.connected() as stream:
        assert stream.authenticate(alpaca.key, "wrong")["data"] == {
            "status": "unauthorized",
            "action": "authenticate",
        }


@pytest.mark.source(f"{UPDATES}: the listen request of a connection that is not authorized")
def test_listening_needs_authorization(alpaca: Wire) -> None:
    """Who listens before being authorized is told that the listening is unauthorized, and hears nothing."""
    with alpaca.connected() as stream:
        assert stream.listen("trade_updates") == {
            "stream": "authorization",
            "data": {"status": "unauthorized", "action": "listen"},
        }


@pytest.mark.source(f"{UPDATES}: streams that are not available do not appear in the acknowledgement")
def test_only_streams_that_exist_are_acknowledged(alpaca: Wire) -> None:
    """The acknowledgement lists what is listened to, and an empty request ends the listening."""
    with alpaca.connected() as stream:
        stream.authenticate(alpaca.key, alpaca.secret)
        assert stream.listen("trade_updates", "no_such")["data"]["streams"] == ["trade_updates"]
        assert stream.listen()["data"]["streams"] == []
        alpaca.wait(alpaca.place()["id"], "filled")
        assert stream.rest() == []


ONE_STREAM = "facts A.4.7, faults B10: one trade_updates connection per account (429 or 1008)"


@pytest.mark.source(ONE_STREAM, sandbox={"second_connection": "1008"})
def test_a_second_stream_of_updates_is_closed(alpaca: Wire) -> None:
    """A second connection is closed with 1008 while the first lasts, and the first goes on."""
    with alpaca.updates() as first, alpaca.connected() as second:
        with suppress(ConnectionClosed):  # perhaps before we could speak
            second.say(action="authenticate", data={"key_id": alpaca.key, "secret_key": alpaca.secret})
        assert second.closed_with() == 1008
        first.update("fill", alpaca.place()["id"])


@pytest.mark.source(ONE_STREAM, sandbox={"second_connection": "429"})
def test_a_second_stream_of_updates_gets_no_handshake(alpaca: Wire) -> None:
    """A second connection may also be refused before it stands, by a 429; when the first is gone there is place again."""
    with alpaca.updates() as first:
        with pytest.raises(InvalidStatus) as refused, alpaca.connected():
            pass
        assert refused.value.response.status_code == 429
        first.update("fill", alpaca.place()["id"])
    with alpaca.updates() as next_one:
        next_one.update("fill", alpaca.place()["id"])


@pytest.mark.source("facts A.4.2: events during a gap are lost")
def test_nothing_is_told_again_after_a_gap(alpaca: Wire) -> None:
    """What happened while nobody was connected is not told to who connects afterwards."""
    with alpaca.updates() as stream:
        stream.update("fill", alpaca.place()["id"])
    missed = alpaca.place()["id"]
    alpaca.wait(missed, "filled")
    with alpaca.updates() as stream:
        assert stream.rest() == []


@pytest.mark.source("faults B12; facts A.3: trade_bust, trade_correct")
def test_a_bust_and_a_correction_name_the_execution(alpaca: Wire) -> None:
    """A bust takes an execution back and a correction changes its price; the account follows."""
    cash = float(alpaca.read("/v2/account")["cash"])
    order = alpaca.rest("50")
    with alpaca.updates() as stream:
        alpaca.market.fill(order["id"], "4", "50")
        fill = stream.update("partial_fill", order["id"])
        alpaca.market.correct(fill["execution_id"], qty="4", price="49")
        corrected = stream.update("trade_correct", order["id"])
        assert float(alpaca.read("/v2/account")["cash"]) == pytest.approx(cash - 4 * 49)
        alpaca.market.bust(corrected["execution_id"])
        busted = stream.update("trade_bust", order["id"])
    assert busted["order"]["id"] == order["id"]
    assert float(alpaca.read("/v2/account")["cash"]) == pytest.approx(cash)
    assert alpaca.read("/v2/positions") == []


@pytest.mark.source("facts A.4: TradingStream, raw_data")
def test_the_sdks_stream_of_updates_understands_it(alpaca: Wire) -> None:
    """alpaca-py's stream gets the updates of an order, raw and in order."""
    from alpaca.trading.stream import TradingStream

    heard: list[dict[str, Any]] = []
    filled = Event()

    async def hear(message: dict[str, Any]) -> None:
        heard.append(message["data"])
        if message["data"]["event"] == "fill":
            filled.set()

    stream = TradingStream(alpaca.key, alpaca.secret, raw_data=True, url_override=alpaca.addresses.stream_url)
    stream.subscribe_trade_updates(hear)
    with running_sdk(stream):
        alpaca.market.listened_to()
        order = alpaca.place(qty="5")
        assert filled.wait(5)
    assert [update["event"] for update in heard][-2:] == ["new", "fill"]
    assert {update["order"]["id"] for update in heard} == {order["id"]}


# --- The SDK's REST clients --------------------------------------------------------------------------------------------


@pytest.mark.source("facts A.1, A.2: TradingClient's models")
def test_the_sdks_client_understands_the_answers(alpaca: Wire) -> None:
    """alpaca-py's client reads the account, an order, positions, assets, the clock and the calendar into its models."""
    from alpaca.trading.client import TradingClient
    from alpaca.trading.requests import GetCalendarRequest, LimitOrderRequest

    client = TradingClient(alpaca.key, alpaca.secret, paper=True, url_override=alpaca.addresses.base_url)
    client._session.trust_env = False
    alpaca.wait(alpaca.place()["id"], "filled")
    request = LimitOrderRequest(
        symbol="AAPL", qty=1, side="buy", time_in_force="day", limit_price=50, client_order_id="sdk.0"
    )
    order = client.submit_order(request)
    assert client.get_order_by_client_id("sdk.0").id == order.id
    assert client.get_account().status == "ACTIVE"
    assert [position.qty for position in client.get_all_positions()] == ["10"]
    assert client.get_asset("AAPL").tradable
    assert client.get_clock().next_open
    assert client.get_calendar(GetCalendarRequest(start="2026-11-25", end="2026-11-25"))
    assert len(client.get_orders()) == 1
    client.cancel_order_by_id(order.id)


# --- Market data -------------------------------------------------------------------------------------------------------


@pytest.mark.source(f"{DATA}; facts A.5")
def test_the_data_stream_greets_and_authenticates(alpaca: Wire) -> None:
    """The data stream greets, takes right keys, and refuses a second authentication."""
    with alpaca.authenticated_data() as stream:
        stream.say(action="auth", key=alpaca.key, secret=alpaca.secret)
        assert stream.next() == [{"T": "error", "code": 403, "msg": "already authenticated"}]


@pytest.mark.source(f"{DATA}: 402 auth failed; 401 not authenticated; 400 invalid syntax")
def test_the_data_stream_says_what_was_wrong(alpaca: Wire) -> None:
    """Wrong keys are 402, a subscription before the keys 401, and an unknown action 400."""
    with alpaca.data() as stream:
        stream.next()
        stream.say(action="subscribe", trades=["AAPL"])
        assert [message["code"] for message in stream.next()] == [401]
    with alpaca.data() as stream:
        stream.next()
        stream.say(action="auth", key=alpaca.key, secret="wrong")
        assert stream.next() == [{"T": "error", "code": 402, "msg": "auth failed"}]
    with alpaca.authenticated_data() as stream:
        stream.say(action="dance")
        assert [message["code"] for message in stream.next()] == [400]


@pytest.mark.source(f"{DATA}: you will always receive your entire list of subscriptions")
def test_a_subscription_is_answered_with_all_subscriptions(alpaca: Wire) -> None:
    """Each change of the subscriptions is answered by the whole list of them."""
    with alpaca.authenticated_data() as stream:
        stream.say(action="subscribe", trades=["AAPL"], quotes=["AAPL", "SPY"])
        assert _subscriptions(stream) == {"trades": ["AAPL"], "quotes": ["AAPL", "SPY"], "bars": []}
        stream.say(action="subscribe", bars=["SPY"])
        assert _subscriptions(stream) == {"trades": ["AAPL"], "quotes": ["AAPL", "SPY"], "bars": ["SPY"]}
        stream.say(action="unsubscribe", quotes=["AAPL"])
        assert _subscriptions(stream) == {"trades": ["AAPL"], "quotes": ["SPY"], "bars": ["SPY"]}


def _subscriptions(stream: Any) -> dict[str, list[str]]:
    subscription = stream.of_kind("subscription")
    return {kind: sorted(subscription[kind]) for kind in ("trades", "quotes", "bars")}


@pytest.mark.source(f"{DATA}: connection limit")
def test_a_second_data_connection_is_over_the_limit(alpaca: Wire) -> None:
    """While one connection is authenticated another one is told that the limit is exceeded."""
    with alpaca.authenticated_data(), alpaca.data() as second:
        message = second.next()
        if message != LIMIT_REACHED:
            second.say(action="auth", key=alpaca.key, secret=alpaca.secret)
            message = second.next()
        assert message == LIMIT_REACHED


@pytest.mark.source("alpaca-docs stock-pricing-data/realtime: IEX: 30 channels of trades and quotes; 405")
def test_the_free_feed_has_thirty_channels(alpaca: Wire) -> None:
    """A subscription beyond thirty trades and quotes is 405, and the subscriptions stay as they were."""
    symbols = [f"S{number}" for number in range(31)]
    with alpaca.authenticated_data() as stream:
        stream.say(action="subscribe", quotes=symbols[:30], bars=symbols)
        assert len(stream.of_kind("subscription")["quotes"]) == 30
        stream.say(action="subscribe", trades=["AAPL"])
        assert stream.of_kind("error")["code"] == 405
        stream.say(action="unsubscribe", quotes=symbols[:1])
        assert stream.of_kind("subscription")["trades"] == []


@pytest.mark.source(f"{DATA}: quote; facts A.5")
def test_a_quote_has_both_sides(alpaca: Wire) -> None:
    """A quote has price, size and exchange of both sides, its conditions, tape and time."""
    with alpaca.authenticated_data() as stream:
        stream.say(action="subscribe", quotes=["AAPL"])
        stream.of_kind("subscription")
        alpaca.market.quote("AAPL", 101.5, 101.6)
        quote = stream.of_kind("q")
        while quote["bp"] != 101.5:
            quote = stream.of_kind("q")
    assert (quote["S"], quote["bp"], quote["ap"]) == ("AAPL", 101.5, 101.6)
    assert set(quote) >= {"T", "S", "ax", "ap", "as", "bx", "bp", "bs", "c", "t", "z"}
    assert quote["t"].endswith("Z")


@pytest.mark.source("facts A.5: StockDataStream: msgpack with timestamps, fragmented subscribe")
def test_the_sdks_data_stream_understands_it(alpaca: Wire) -> None:
    """alpaca-py's data stream subscribes and gets quotes as its models, their time as a time."""
    from alpaca.data.live import StockDataStream

    heard: list[Any] = []
    quoted = Event()

    async def hear(quote: Any) -> None:
        heard.append(quote)
        quoted.set()

    stream = StockDataStream(alpaca.key, alpaca.secret, url_override=alpaca.addresses.data_stream_url)
    stream.subscribe_quotes(hear, "AAPL")
    price = 100.0
    with running_sdk(stream):
        while not quoted.wait(0.05):
            price += 1
            alpaca.market.quote("AAPL", price, price + 0.02)
            assert price < 200, "no quote within five seconds"
    assert heard[0].symbol == "AAPL"
    assert heard[0].ask_price == pytest.approx(heard[0].bid_price + 0.02)
    assert heard[0].timestamp.tzinfo is not None


# --- Market data by REST -----------------------------------------------------------------------------------------------


@pytest.mark.source("facts A.5: /v2/stocks/quotes/latest?symbols=")
def test_latest_quotes_and_trades_are_by_symbol(alpaca: Wire) -> None:
    """The latest quotes and trades come in an object by symbol, with the stream's short names."""
    quotes = alpaca.read("/v2/stocks/quotes/latest", symbols="AAPL,SPY", feed="iex")["quotes"]
    assert set(quotes) == {"AAPL", "SPY"}
    assert (quotes["AAPL"]["bp"], quotes["AAPL"]["ap"]) == (100, 100.02)
    assert {"t", "as", "bs", "ax", "bx", "c", "z"} <= set(quotes["AAPL"])
    alpaca.market.trade("AAPL", 101)
    trades = alpaca.read("/v2/stocks/trades/latest", symbols="AAPL")["trades"]
    assert trades["AAPL"]["p"] == 101
    assert {"t", "p", "s", "x", "c", "i", "z"} <= set(trades["AAPL"])


@pytest.mark.source("facts A.5: bars in pages with next_page_token", sandbox={"data": "minutes"})
def test_historical_bars_come_in_pages(alpaca: Wire) -> None:
    """Bars come at most `limit` a page over all symbols, with a token until the last page, each bar once."""
    asked = {"symbols": "AAPL,SPY", "timeframe": "1Min", "start": "2024-01-02T00:00:00Z", "limit": "7"}
    bars: dict[str, list[str]] = {}
    token: dict[str, str] = {}
    while True:
        page = alpaca.read("/v2/stocks/bars", **asked, **token)
        assert sum(len(some) for some in page["bars"].values()) <= 7
        for symbol, some in page["bars"].items():
            bars.setdefault(symbol, []).extend(bar["t"] for bar in some)
            assert all({"t", "o", "h", "l", "c", "v", "n", "vw"} <= set(bar) for bar in some)
        if page["next_page_token"] is None:
            break
        token = {"page_token": page["next_page_token"]}
    assert {symbol: len(some) for symbol, some in bars.items()} == {"AAPL": 10, "SPY": 10}
    assert all(some == sorted(set(some)) for some in bars.values())


@pytest.mark.source("facts A.5: the SDK pages to the end by itself", sandbox={"data": "minutes"})
def test_the_sdks_historical_client_understands_it(alpaca: Wire) -> None:
    """alpaca-py's historical client reads all pages of bars."""
    from datetime import UTC, datetime

    from alpaca.data.historical import StockHistoricalDataClient
    from alpaca.data.requests import StockBarsRequest
    from alpaca.data.timeframe import TimeFrame

    client = StockHistoricalDataClient(alpaca.key, alpaca.secret, url_override=alpaca.addresses.data_url)
    client._session.trust_env = False
    request = StockBarsRequest(
        symbol_or_symbols=["AAPL", "SPY"], timeframe=TimeFrame.Minute, start=datetime(2024, 1, 2, tzinfo=UTC)
    )
    bars = client.get_stock_bars(request)
    assert {symbol: len(bars[symbol]) for symbol in ("AAPL", "SPY")} == {"AAPL": 10, "SPY": 10}


@pytest.mark.source("docs.alpaca.markets/reference/stockbars: 400 for a bad request")
def test_a_timeframe_that_does_not_exist_is_refused(alpaca: Wire) -> None:
    """Bars of an unknown timeframe are a 400 with a message."""
    answer = alpaca.get("/v2/stocks/bars", symbols="AAPL", timeframe="7Parsecs", start="2024-01-02T00:00:00Z")
    assert (answer.status, bool(answer.message)) == (400, True)
