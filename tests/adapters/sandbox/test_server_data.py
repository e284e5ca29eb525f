"""Market data: the stream's protocol and faults, the past by HTTP, and files that are played in wall time."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgpack
import pytest
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.live.stock import StockDataStream
from alpaca.data.requests import StockBarsRequest, StockLatestQuoteRequest, StockSnapshotRequest
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca_sandbox_kit import Refused, SandboxClient, running_sandbox
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

WAIT_S = 10.0
QUIET_S = 0.2
PACKED = {"Content-Type": "application/msgpack"}


@pytest.fixture
def sandbox() -> Iterator[SandboxClient]:
    with running_sandbox(prices="none") as running:
        running.quote("AAPL", 99.99, 100.01)
        yield running


@contextmanager
def connected(sandbox: SandboxClient, feed: str = "iex", **options: Any) -> Iterator[ClientConnection]:
    address = sandbox.addresses.data_stream_url.replace("iex", feed)
    with connect(address, proxy=None, close_timeout=0.2, ping_interval=None, **options) as socket:
        yield socket


@contextmanager
def subscribed(sandbox: SandboxClient, **channels: list[str]) -> Iterator[ClientConnection]:
    with connected(sandbox) as socket:
        assert heard(socket) == [{"T": "success", "msg": "connected"}]
        assert ask(socket, login(sandbox)) == [{"T": "success", "msg": "authenticated"}]
        assert ask(socket, {"action": "subscribe", **channels})[0]["T"] == "subscription"
        yield socket


def login(sandbox: SandboxClient, secret: str | None = None) -> Any:
    return {"action": "auth", "key": sandbox.key, "secret": secret or sandbox.secret}


def ask(socket: ClientConnection, message: Any) -> Any:
    socket.send(json.dumps(message))
    return heard(socket)


def heard(socket: ClientConnection, timeout: float = WAIT_S) -> Any:
    frame = socket.recv(timeout=timeout)
    assert isinstance(frame, str)
    return json.loads(frame)


def all_heard(socket: ClientConnection) -> list[Any]:
    found: list[Any] = []
    with suppress(TimeoutError):
        while len(found) < 1000:
            found += heard(socket, QUIET_S)
    return found


def history(sandbox: SandboxClient) -> StockHistoricalDataClient:
    client = StockHistoricalDataClient(sandbox.key, sandbox.secret, url_override=sandbox.addresses.data_url)
    client._session.trust_env = False
    return client


# --- The protocol of the stream ----------------------------------------------------------------------------------------------


def test_quotes_trades_and_bars_come_to_who_subscribed(sandbox: SandboxClient) -> None:
    """Each channel has its own message, and a symbol that nobody subscribed to is not sent."""
    with subscribed(sandbox, quotes=["AAPL"], trades=["AAPL"], bars=["*"], dailyBars=["AAPL"]) as socket:
        sandbox.admin("POST", "/quote", {"symbol": "SPY", "price": 600})
        sandbox.admin("POST", "/quote", {"symbol": "AAPL", "price": 100})
        quote, trade = heard(socket)
        assert (quote["T"], quote["S"], quote["bp"], quote["ap"]) == ("q", "AAPL", 99.99, 100.01)
        assert (trade["T"], trade["p"]) == ("t", 100.0)
        bar = {"symbol": "SPY", "open": 1, "high": 3, "low": 1, "close": 2, "time": "2026-01-05T15:30:00Z"}
        sandbox.admin("POST", "/bar", bar)
        (message,) = heard(socket)
        assert (message["T"], message["S"], message["t"], message["h"]) == ("b", "SPY", "2026-01-05T15:30:00Z", 3.0)
        sandbox.admin("POST", "/bar", {**bar, "symbol": "AAPL"})
        assert [message["T"] for message in all_heard(socket)] == ["b", "d"]


def test_messagepack_has_timestamps_of_its_own(sandbox: SandboxClient) -> None:
    """Who asks for MessagePack gets binary frames whose times are timestamps, to the nanosecond."""
    with connected(sandbox, additional_headers=PACKED) as socket:
        assert msgpack.unpackb(socket.recv(WAIT_S)) == [{"T": "success", "msg": "connected"}]
        socket.send(msgpack.packb(login(sandbox)))
        socket.recv(WAIT_S)
        socket.send(msgpack.packb({"action": "subscribe", "quotes": ["AAPL"]}))
        assert msgpack.unpackb(socket.recv(WAIT_S))[0]["quotes"] == ["AAPL"]
        before = time.time_ns()
        sandbox.quote("AAPL", 1, 2)
        (quote,) = msgpack.unpackb(socket.recv(WAIT_S))
        assert before <= quote["t"].to_unix_nano() <= time.time_ns()


def test_a_subscription_may_come_in_pieces(sandbox: SandboxClient) -> None:
    """A subscription of many symbols is sent as a fragmented message, as the SDK does; all of it counts."""
    symbols = [f"S{number}" for number in range(12_000)]
    whole = msgpack.packb({"action": "subscribe", "quotes": symbols})
    assert len(whole) > 2 * 32768
    with connected(sandbox, "sip", additional_headers=PACKED, max_size=None) as socket:
        socket.recv(WAIT_S)
        socket.send(msgpack.packb(login(sandbox)))
        socket.recv(WAIT_S)
        socket.send(whole[start : start + 32768] for start in range(0, len(whole), 32768))
        assert sorted(msgpack.unpackb(socket.recv(WAIT_S))[0]["quotes"]) == sorted(symbols)


def test_the_free_feed_has_thirty_channels(sandbox: SandboxClient) -> None:
    """Trades and quotes beyond thirty are 405 and change nothing; bars do not count, and the paid feed has no limit."""
    symbols = [f"S{number}" for number in range(31)]
    with subscribed(sandbox, bars=symbols, quotes=symbols[:29]) as socket:
        assert ask(socket, {"action": "subscribe", "trades": ["S1", "S2"]})[0]["code"] == 405
        (answer,) = ask(socket, {"action": "subscribe", "trades": ["S1"], "quotes": ["S1"]})
        assert (len(answer["quotes"]), answer["trades"]) == (29, ["S1"])


def test_subscriptions_add_up_and_end(sandbox: SandboxClient) -> None:
    """A subscription adds to those before, `unsubscribe` takes away, and each answer has all that hold."""
    with subscribed(sandbox, quotes=["AAPL"]) as socket:
        (answer,) = ask(socket, {"action": "subscribe", "quotes": ["SPY"], "trades": ["SPY"]})
        assert (answer["quotes"], answer["trades"], answer["corrections"]) == (["AAPL", "SPY"], ["SPY"], ["SPY"])
        (answer,) = ask(socket, {"action": "unsubscribe", "quotes": ["AAPL"]})
        assert answer["quotes"] == ["SPY"]
        sandbox.quote("AAPL", 1, 2)
        assert all_heard(socket) == []


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (['{"action": "subscribe", "quotes": ["AAPL"]}'], 401),
        (['{"action": "auth", "key": "PKX", "secret": "wrong"}'], 402),
        (["LOGIN", "LOGIN"], 403),
        (["{"], 400),
        (["[]"], 400),
        (["LOGIN", '{"action": "subscribe", "quotes": "AAPL"}'], 400),
        (["LOGIN", '{"action": "dance"}'], 400),
    ],
)
def test_errors_have_alpacas_codes(sandbox: SandboxClient, messages: list[str], code: int) -> None:
    """What is wrong is answered with the code of Alpaca's table."""
    with connected(sandbox) as socket:
        heard(socket)
        for text in messages:
            socket.send(json.dumps(login(sandbox)) if text == "LOGIN" else text)
            (answer,) = heard(socket)
        assert (answer["T"], answer["code"]) == ("error", code)


def test_who_does_not_authenticate_is_told_so() -> None:
    """A connection that says nothing gets error 404 and is closed."""
    with running_sandbox(prices="none", auth_within_s=0.1) as sandbox, connected(sandbox) as socket:
        heard(socket)
        assert heard(socket)[0]["code"] == 404
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT_S)


def test_a_second_connection_gets_406(sandbox: SandboxClient) -> None:
    """A second connection is told of the limit when it authenticates, and the first goes on."""
    with subscribed(sandbox, quotes=["AAPL"]) as first:
        with connected(sandbox) as second:
            heard(second)
            assert ask(second, login(sandbox))[0]["code"] == 406
            with pytest.raises(ConnectionClosed):
                second.recv(WAIT_S)
        sandbox.quote("AAPL", 1, 2)
        assert heard(first)[0]["T"] == "q"


# --- Faults ------------------------------------------------------------------------------------------------------------------


def test_silence_answers_pings(sandbox: SandboxClient) -> None:
    """A silent stream answers pings and sends no data; trade updates are another stream."""
    with subscribed(sandbox, quotes=["AAPL"]) as socket:
        sandbox.fault("silence")
        sandbox.quote("AAPL", 1, 2)
        assert all_heard(socket) == []
        assert socket.ping().wait(WAIT_S)
        sandbox.end_faults()
        sandbox.quote("AAPL", 1, 2)
        assert len(all_heard(socket)) == 1


def test_data_can_be_half_open_closed_cut_and_refused(sandbox: SandboxClient) -> None:
    """Each fault of connections exists for market data under its own name."""
    with subscribed(sandbox, quotes=["AAPL"]) as socket:
        sandbox.fault("data_half_open")
        assert not socket.ping().wait(QUIET_S)
    for kind, code in (("data_close_1011", 1011), ("data_cut", None)):
        sandbox.wait_for(lambda client: not client.state()["data_links"])
        with subscribed(sandbox, quotes=["AAPL"]) as socket:
            sandbox.fault(kind)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(WAIT_S)
        assert (closed.value.rcvd.code if closed.value.rcvd else None) == code
    for kind, code in (("data_unauthorized", 402), ("data_refuse_second", 406)):
        sandbox.wait_for(lambda client: not client.state()["data_links"])
        sandbox.fault(kind)
        with connected(sandbox) as socket:
            heard(socket)
            assert ask(socket, login(sandbox))[0]["code"] == code


def test_bad_quotes_are_of_every_sort(sandbox: SandboxClient) -> None:
    """Spoilt quotes are crossed, zero, not a number, absurd or negative, in turn; the broker still trades at the true one."""
    with connected(sandbox, additional_headers=PACKED) as socket:
        for message in (login(sandbox), {"action": "subscribe", "quotes": ["AAPL"]}):
            socket.recv(WAIT_S)
            socket.send(msgpack.packb(message))
        socket.recv(WAIT_S)
        sandbox.fault("bad_quote", count=5)
        found = []
        for _ in range(6):
            sandbox.quote("AAPL", 99, 101)
            found += msgpack.unpackb(socket.recv(WAIT_S))
    crossed, zero, absent, absurd, negative, true = [(quote["bp"], quote["ap"]) for quote in found]
    assert crossed[0] > crossed[1]
    assert zero == (99, 0)
    assert math.isnan(absent[0])
    assert absurd == (9900, 10100)
    assert negative == (-99, 101)
    assert true == (99, 101)
    order = sandbox.submit(symbol="AAPL", qty="1", side="buy")
    assert sandbox.orders(client_order_id=order["client_order_id"])[0]["filled_avg_price"] == "101"


def test_any_message_can_be_sent(sandbox: SandboxClient) -> None:
    """A test may have any message sent to who listens."""
    with subscribed(sandbox, quotes=["AAPL"]) as socket:
        sandbox.admin("POST", "/raw", {"stream": "data", "message": {"T": "zz", "S": "AAPL", "x": 1.5}})
        assert heard(socket) == [{"T": "zz", "S": "AAPL", "x": 1.5}]


# --- The SDK -----------------------------------------------------------------------------------------------------------------


def test_the_sdk_streams_and_goes_on_after_silence() -> None:
    """The SDK's data stream gets quotes, trades and bars of the walk, and connects again when it hears nothing."""
    with running_sandbox(speed=600) as sandbox:
        got: list[Any] = []

        async def take(message: Any) -> None:
            got.append(message)

        stream = StockDataStream(
            sandbox.key, sandbox.secret, url_override=sandbox.addresses.data_stream_url, data_timeout=0.3
        )
        stream._reconnect_min_backoff = stream._reconnect_max_backoff = 0.05
        for subscribe in (stream.subscribe_quotes, stream.subscribe_trades, stream.subscribe_bars):
            subscribe(take, "AAPL", "SPY")
        thread = threading.Thread(target=lambda: asyncio.run(stream._run_forever()), daemon=True)
        thread.start()
        sandbox.wait_for(lambda client: {type(each).__name__ for each in got} == {"Quote", "Trade", "Bar"})
        assert {each.symbol for each in got} == {"AAPL", "SPY"}
        first = sandbox.state()["data_links"][0]["number"]
        sandbox.fault("silence")
        sandbox.wait_for(
            lambda client: any(link["number"] > first and link["sent"] > 3 for link in client.state()["data_links"])
        )
        stream._loop.call_soon_threadsafe(lambda: stream._loop.create_task(stream.stop_ws()))
        thread.join(WAIT_S)
        assert not thread.is_alive()


def test_the_sdk_reads_the_past_of_the_walk() -> None:
    """The walk has a past in every time frame; pages are joined, and it is the same each time it is asked for."""
    with running_sandbox() as sandbox:
        client = history(sandbox)
        start = datetime(2026, 3, 2, tzinfo=UTC)

        def ask_bars(frame: TimeFrame, days: int, **more: Any) -> Any:
            request = StockBarsRequest(
                symbol_or_symbols=["SPY", "AAPL"],
                timeframe=frame,
                start=start,
                end=start + timedelta(days=days),
                **more,
            )
            return client.get_stock_bars(request).data

        minutes = ask_bars(TimeFrame.Minute, 4)
        assert {symbol: len(bars) for symbol, bars in minutes.items()} == {"AAPL": 5761, "SPY": 5761}
        assert all(
            bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in minutes["SPY"]
        )
        assert [bar.timestamp for bar in minutes["SPY"]] == [start + timedelta(minutes=n) for n in range(5761)]
        assert len(sandbox.log(path="/v2/stocks/bars")) == 2
        assert [len(bars) for bars in ask_bars(TimeFrame(15, TimeFrameUnit.Minute), 1).values()] == [97, 97]
        days = ask_bars(TimeFrame.Day, 14)["AAPL"]
        assert [bar.timestamp.weekday() for bar in days] == [0, 1, 2, 3, 4] * 2
        assert sum(map(len, ask_bars(TimeFrame.Minute, 4, limit=30).values())) == 30
        assert ask_bars(TimeFrame.Minute, 4)["SPY"] == minutes["SPY"]


def test_the_newest_of_everything_is_there_at_once() -> None:
    """Right after the start there are latest quotes, trades, bars and snapshots, which agree with each other."""
    with running_sandbox(speed=0.001) as sandbox:
        client = history(sandbox)
        quote = client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="AAPL"))["AAPL"]
        snapshot = client.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=["AAPL", "NOPE"]))
        assert set(snapshot) == {"AAPL"}
        assert snapshot["AAPL"].latest_quote == quote
        assert quote.bid_price < snapshot["AAPL"].latest_trade.price < quote.ask_price
        assert snapshot["AAPL"].minute_bar.close == pytest.approx(quote.bid_price, rel=0.02)
        assert snapshot["AAPL"].previous_daily_bar is not None
        assert sandbox.alpaca("GET", "/v2/stocks/bars/latest?symbols=AAPL,NOPE")["bars"].keys() == {"AAPL"}
        assert len(sandbox.alpaca("GET", "/v2/stocks/trades?symbols=AAPL")["trades"]["AAPL"]) == 1
        assert len(sandbox.alpaca("GET", "/v2/stocks/quotes?symbols=AAPL&sort=desc")["quotes"]["AAPL"]) == 1


@pytest.mark.parametrize(
    "query",
    ["", "symbols=AAPL&timeframe=90Min", "symbols=AAPL&start=yesterday", "symbols=AAPL&page_token=none"],
)
def test_a_wrong_question_is_refused(sandbox: SandboxClient, query: str) -> None:
    """A question about the past that cannot be answered is a 400 with a message."""
    with pytest.raises(Refused) as refused:
        sandbox.alpaca("GET", f"/v2/stocks/bars?{query}")
    assert refused.value.status == 400
    assert refused.value.body["message"]


# --- Files -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def minutes(tmp_path: Path) -> Path:
    """Write three minutes of two symbols, of 2020."""
    for symbol, level in (("AAA", 10), ("BBB", 20)):
        lines = ["date,open,high,low,close,volume"]
        for minute in range(3):
            price = level + minute
            lines.append(f"2020-01-06 09:3{minute},{price},{price + 0.5},{price - 0.5},{price + 0.25},1000")
        (tmp_path / f"{symbol}.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_bars_of_files_are_played(minutes: Path) -> None:
    """Each bar is played along its path and then sent, all symbols of one instant with the same stamp, of wall time."""
    with running_sandbox(data=minutes, speed=300, again=False, symbols=()) as sandbox:
        with subscribed(sandbox, bars=["*"], trades=["AAA"]) as socket:
            before = time.time()
            found: list[Any] = []
            while not {12.25, 22.25} <= {message["c"] for message in found if message["T"] == "b"}:
                found += heard(socket)
            assert [message["T"] for message in all_heard(socket)] == []
        bars = [message for message in found if message["T"] == "b"]
        assert [(bar["S"], bar["c"] - (10 if bar["S"] == "AAA" else 20)) for bar in bars[-2:]] == [
            ("AAA", 2.25),
            ("BBB", 2.25),
        ]
        assert bars[-1]["t"] == bars[-2]["t"] != bars[0]["t"]
        assert abs(datetime.fromisoformat(bars[-1]["t"]).timestamp() - before) < WAIT_S
        last_trades = [message["p"] for message in found if message["T"] == "t"][-4:]
        assert last_trades == [12.0, 11.5, 12.5, 12.25]


def test_files_are_played_again(minutes: Path) -> None:
    """When the data are over they begin anew, unless they are to be played once."""
    with running_sandbox(data=minutes, speed=6000, symbols=()) as sandbox:
        ask = "/v2/stocks/bars?symbols=AAA&timeframe=1Min&start=2026-01-01"
        sandbox.wait_for(lambda client: len(client.alpaca("GET", ask)["bars"].get("AAA", ())) > 6)


def test_files_have_a_past_with_their_own_dates(minutes: Path) -> None:
    """The past of a file has its own dates, in its own frame and longer ones; what was live follows with those of the wall."""
    with running_sandbox(data=minutes, speed=6000, again=False, symbols=()) as sandbox:
        sandbox.wait_for(
            lambda client: client.alpaca("GET", "/v2/stocks/snapshots?symbols=BBB")["BBB"]["latestTrade"]["p"] == 22.25
        )

        def ask_bars(frame: str, query: str = "start=2020-01-06&end=2020-01-06") -> Any:
            return sandbox.alpaca("GET", f"/v2/stocks/bars?symbols=AAA&timeframe={frame}&{query}")["bars"]

        assert [(bar["t"], bar["c"]) for bar in ask_bars("1Min")["AAA"]] == [
            ("2020-01-06T14:30:00Z", 10.25),
            ("2020-01-06T14:31:00Z", 11.25),
            ("2020-01-06T14:32:00Z", 12.25),
        ]
        (day,) = ask_bars("1Day")["AAA"]
        assert (day["t"], day["o"], day["h"], day["l"], day["c"], day["v"]) == (
            "2020-01-06T05:00:00Z",
            10.0,
            12.5,
            9.5,
            12.25,
            3000,
        )
        sandbox.wait_for(lambda client: len(ask_bars("1Min", "start=2026-01-01").get("AAA", ())) == 3)


def test_a_frame_shorter_than_the_files_bars_is_empty(tmp_path: Path) -> None:
    """Nobody can tell the minutes of a day from its bar."""
    rows = "date,open,high,low,close,volume\n2020-01-06,1,2,1,2,100\n2020-01-07,2,3,2,3,100\n"
    (tmp_path / "DDD.csv").write_text(rows)
    with running_sandbox(data=tmp_path, speed=1, symbols=()) as sandbox:
        ask = "/v2/stocks/bars?symbols=DDD&start=2020-01-01&end=2020-02-01&timeframe="
        assert sandbox.alpaca("GET", f"{ask}1Min")["bars"] == {}
        assert [bar["t"] for bar in sandbox.alpaca("GET", f"{ask}1Day")["bars"]["DDD"]] == [
            "2020-01-06T05:00:00Z",
            "2020-01-07T05:00:00Z",
        ]


def test_orders_fill_at_the_prices_of_the_file(minutes: Path) -> None:
    """A resting limit order fills when the file's prices come to it."""
    with running_sandbox(data=minutes, speed=600, symbols=()) as sandbox:
        order = sandbox.submit(symbol="AAA", qty="5", side="buy", type="limit", limit_price="9.60")
        sandbox.wait_for(lambda client: client.orders()[0]["status"] == "filled")
        assert float(sandbox.orders()[0]["filled_avg_price"]) <= 9.6
        assert order["status"] == "pending_new"


def test_the_market_stands_still_when_told() -> None:
    """A market that is told to stop quotes nothing until it is told to go on."""
    with running_sandbox(speed=600) as sandbox:
        sandbox.admin("POST", "/play", {"playing": False})
        with subscribed(sandbox, quotes=["*"]) as socket:
            all_heard(socket)
            assert all_heard(socket) == []
            sandbox.admin("POST", "/play", {"playing": True})
            assert heard(socket)


def test_splits_and_dividends_of_a_folder_are_booked(minutes: Path) -> None:
    """Corporate actions beside the files change the account when their session begins."""
    for symbol in ("AAA", "BBB"):
        with (minutes / f"{symbol}.csv").open("a") as file:
            file.write("2020-01-07 09:30,5,5,5,5,1000\n")
    (minutes / "corporate_actions.csv").write_text(
        "date,symbol,kind,ratio,amount\n2020-01-07,AAA,split,2,\n2020-01-07,BBB,dividend,,0.5\n"
    )
    with running_sandbox(data=minutes, speed=120, again=False, symbols=()) as sandbox:
        sandbox.submit(symbol="AAA", qty="10", side="buy")
        sandbox.submit(symbol="BBB", qty="10", side="buy")
        sandbox.wait_for(
            lambda client: (
                {row["activity_type"] for row in client.alpaca("GET", "/v2/account/activities")} >= {"SPLIT", "DIV"}
            )
        )
        assert sandbox.alpaca("GET", "/v2/positions/AAA")["qty"] == "20"
