"""The live feed against a scripted stream, through the real SDK, on asyncio and trio: what it tells, and whom it asks."""

from __future__ import annotations

import math
import time

import anyio
import pytest
from feed_kit import QUICK, Told, WallLine, running_feed, seen
from msgspec.structs import replace
from scripted_alpaca_data import ScriptedData, scripted_data, stamp

from ordersmith.adapters.alpaca.feed import FeedMemory, LiveFeed
from ordersmith.adapters.alpaca.feed_run import FeedRun
from ordersmith.adapters.alpaca.stamps import MINUTE_NS, minute_before

pytestmark = pytest.mark.anyio


@pytest.fixture
def server():
    with scripted_data() as running:
        yield running


def quote(symbol: str, bid: float, ask: float, at_ns: int | None = None) -> dict:
    at = stamp(time.time_ns() if at_ns is None else at_ns)
    return {"T": "q", "S": symbol, "ax": "V", "ap": ask, "as": 3, "bx": "V", "bp": bid, "bs": 2, "c": ["R"], "t": at}


def trade(symbol: str, price: float, *conditions: str) -> dict:
    return {
        "T": "t",
        "S": symbol,
        "i": 1,
        "x": "V",
        "p": price,
        "s": 10,
        "c": ["@", *conditions],
        "t": stamp(time.time_ns()),
    }


def bar(symbol: str, start_ns: int, close: float, kind: str = "b") -> dict:
    return {
        "T": kind,
        "S": symbol,
        "t": stamp(start_ns),
        **dict(zip("ohlcv", (1.0, 9.0, 0.5, close, 100), strict=True)),
    }


def wire_time(at_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ns / 1e9))


def rest_quote(bid: float, ask: float, at_ns: int) -> dict:
    return {"t": wire_time(at_ns), "bp": bid, "ap": ask, "bs": 4, "as": 5, "c": ["R"]}


async def subscribed(server: ScriptedData, count: int = 1) -> None:
    await seen(server, lambda s: sum(c.is_subscribed for c in s.connections) >= count)


async def test_quotes_and_trades_of_the_stream_are_told(server) -> None:
    """A quote and a trade of the stream are told as one symbol's prices, stamped with our own time."""
    async with running_feed(server, "AAPL") as (_, told):
        await subscribed(server)
        before_ns = time.time_ns()
        server.send(quote("AAPL", 99.99, 100.01), trade("AAPL", 100.0))
        await told.until(lambda t: (newest := t.newest("AAPL")) and newest.last == 100.0)
    newest = told.newest("AAPL")
    assert (newest.bid, newest.ask, newest.bid_size, newest.ask_size) == (99.99, 100.01, 2.0, 3.0)
    assert before_ns <= newest.at_ns <= time.time_ns()


async def test_bad_values_pass_and_strange_messages_do_no_harm(server) -> None:
    """Crossed, zero and missing numbers are told as they are; messages that nobody knows are left out."""
    async with running_feed(server, "AAPL") as (_, told):
        await subscribed(server)
        server.send(
            {"T": "zz"}, {"T": "q"}, {"T": "q", "S": 5}, {}, quote("AAPL", 101.0, 0.0) | {"bs": None, "t": "soon"}
        )
        await told.until(lambda t: t.newest("AAPL"))
    newest = told.newest("AAPL")
    assert (newest.bid, newest.ask) == (101.0, 0.0)
    assert math.isnan(newest.bid_size)
    assert math.isnan(newest.last)


async def test_a_trade_that_is_no_market_price_does_not_move_the_last_price(server) -> None:
    """Average-price and out-of-sequence trades are not the last price."""
    async with running_feed(server, "AAPL") as (_, told):
        await subscribed(server)
        server.send(trade("AAPL", 55.0, "W"), trade("AAPL", 56.0, "Z"), trade("AAPL", 100.0, "I"))
        await told.until(lambda t: t.newest("AAPL"))
    assert {each.last for each in told.quotes} == {100.0}


async def test_prices_are_asked_for_at_the_start(server) -> None:
    """A quiet symbol has its price at once, by REST, with the account's feed."""
    server.quotes["AAPL"] = rest_quote(10.0, 10.5, time.time_ns() - 10**12)
    server.trades["AAPL"] = {"t": wire_time(time.time_ns()), "p": 10.2, "s": 1}
    async with running_feed(server, "AAPL") as (_, told):
        await told.until(lambda t: t.newest("AAPL"))
    newest = told.newest("AAPL")
    assert (newest.bid, newest.ask, newest.bid_size, newest.ask_size, newest.last) == (10.0, 10.5, 4.0, 5.0, 10.2)
    assert {query["feed"] for query in server.asked_of("latest")} == {"iex"}


async def test_a_quiet_price_is_confirmed_again_and_again(server) -> None:
    """A price that does not change is told again with a later time, as long as REST confirms it."""
    server.quotes["AAPL"] = rest_quote(10.0, 10.5, time.time_ns() - 10**12)
    async with running_feed(server, "AAPL") as (_, told):
        await told.until(lambda t: len({each.at_ns for each in t.quotes}) >= 4)
        assert len(server.connections) == 1
    assert {(each.bid, each.ask) for each in told.quotes} == {(10.0, 10.5)}
    assert [each.at_ns for each in told.quotes] == sorted(each.at_ns for each in told.quotes)


async def test_without_rest_a_price_is_not_confirmed(server) -> None:
    """While REST fails, nothing is confirmed, and the trouble is told once."""
    server.quotes["AAPL"] = rest_quote(10.0, 10.5, time.time_ns() - 10**12)
    server.answers.extend([(500, "<html>bad gateway</html>", {})] * 3)
    async with running_feed(server, "AAPL") as (_, told):
        await seen(server, lambda s: len(s.answers) == 0)
        await told.until(lambda t: t.newest("AAPL"))
    assert len(told.troubles) == 1
    assert "500" in told.troubles[0]


async def test_an_unknown_symbol_is_told(server) -> None:
    """Symbols that Alpaca does not know are named, and the others have their prices all the same."""
    server.quotes["AAPL"] = rest_quote(10.0, 10.5, time.time_ns())
    server.answers.append((400, {"message": "invalid symbol: A/B"}, {}))
    async with running_feed(server, "AAPL", "A/B", "AAPLE") as (_, told):
        await told.until(lambda t: t.newest("AAPL") and t.troubles)
    assert "A/B" in told.troubles[0]
    assert "AAPLE" in told.troubles[0]
    assert "data.symbols" in told.troubles[0]


async def test_without_symbols_nothing_starts_and_nothing_spins(server) -> None:
    """With no symbol no connection is made and no processor time goes by; the first wanted one starts the stream."""
    assert FeedRun  # imported now, so that what it costs is not measured
    async with running_feed(server) as (feed, told):
        await anyio.wait_all_tasks_blocked()
        used_s = time.process_time()
        with anyio.move_on_after(0.5):
            await told.until(lambda t: t.quotes or t.troubles)
        assert time.process_time() - used_s < 0.2
        assert (server.connections, server.asked, told.troubles) == ([], [], [])
        server.quotes["AAPL"] = rest_quote(10.0, 10.5, time.time_ns())
        feed.want(["AAPL"])
        await told.until(lambda t: t.newest("AAPL"))
        await subscribed(server)


async def test_a_wanted_symbol_joins_the_running_stream(server) -> None:
    """A symbol that is wanted later is subscribed on the connection there is, and priced by REST at once."""
    server.quotes["MSFT"] = rest_quote(20.0, 20.5, time.time_ns())
    async with running_feed(server, "AAPL", tuning=replace(QUICK, confirm_s=60.0)) as (feed, told):
        await subscribed(server)
        feed.want(["AAPL", "MSFT"])
        await seen(server, lambda s: "MSFT" in s.connections[0].symbols)
        await told.until(lambda t: t.newest("MSFT"))
        server.send(quote("MSFT", 21.0, 21.5))
        await told.until(lambda t: t.bid("MSFT") == 21.0)
    assert len(server.connections) == 1


async def test_many_symbols_are_subscribed_in_portions(server) -> None:
    """More symbols than the free plan streams are asked for in several messages, so that not all are refused."""
    symbols = [f"S{number}" for number in range(70)]
    async with running_feed(server, *symbols):
        await seen(server, lambda s: s.connections and len(s.connections[0].symbols) == 70)
    sizes = [len(frame["quotes"]) for frame in server.connections[0].frames if frame["action"] == "subscribe"]
    assert sizes == [15, 15, 15, 15, 10]


async def test_a_minute_is_one_message_for_all(server) -> None:
    """The bars of one minute come together as soon as all symbols have theirs; updated bars are no bars."""
    start_ns = minute_before(time.time_ns())
    async with running_feed(server, "AAPL", "MSFT") as (_, told):
        await subscribed(server)
        server.send(bar("AAPL", start_ns, 2.0), bar("AAPL", start_ns, 7.0, "u"), bar("MSFT", start_ns, 3.0))
        await told.until(lambda t: t.bars)
    (bars,) = told.bars
    assert (bars.start_ns, bars.end_ns) == (start_ns, start_ns + MINUTE_NS)
    assert bars.rows == {"AAPL": (1.0, 9.0, 0.5, 2.0, 100.0), "MSFT": (1.0, 9.0, 0.5, 3.0, 100.0)}


async def test_missing_minutes_are_read_after_a_gap(server) -> None:
    """After a reconnect the minutes in between are read by REST, told in order and once, before newer ones of the stream."""
    now_ns = minute_before(time.time_ns())
    starts = [now_ns - minutes * MINUTE_NS for minutes in (4, 3, 2, 1)]
    memory = FeedMemory(told_ns=starts[0])
    server.bars["AAPL"] = [
        {"t": wire_time(start_ns), "o": 1, "h": 2, "l": 1, "c": float(at), "v": 5} for at, start_ns in enumerate(starts)
    ]
    async with running_feed(server, "AAPL", memory=memory) as (_, told):
        await subscribed(server)
        await told.until(lambda t: len(t.bars) >= 3)
        server.send(bar("AAPL", now_ns, 50.0))
        await told.until(lambda t: len(t.bars) >= 4)
        server.drop()
        await subscribed(server, 2)
        server.send(bar("AAPL", now_ns + MINUTE_NS, 60.0))
        await told.until(lambda t: t.bars[-1].close("AAPL") == 60.0)
    ends = [bars.end_ns for bars in told.bars]
    assert ends == sorted(set(ends))
    assert [bars.close("AAPL") for bars in told.bars][:3] == [0.0, 1.0, 2.0] or ends[0] == starts[1]
    assert memory.told_ns == now_ns + 2 * MINUTE_NS


async def test_a_bar_stamped_in_the_future_is_left_out(server) -> None:
    """It is told as a trouble, and the minutes up to it are not late."""
    start_ns = minute_before(time.time_ns())
    async with running_feed(server, "AAPL") as (_, told):
        await subscribed(server)
        server.send(bar("AAPL", start_ns + 60 * MINUTE_NS, 7.0), bar("AAPL", start_ns, 2.0))
        await told.until(lambda t: t.bars)
    assert [bars.start_ns for bars in told.bars] == [start_ns]
    assert any("in the future" in text for text in told.troubles)


async def test_a_silent_stream_is_noticed_although_it_brought_a_stamp_of_the_future(server) -> None:
    """A quote stamped an hour ahead does not make what REST knows old: the stream that says nothing more is replaced."""
    server.quotes["AAPL"] = rest_quote(10.0, 10.5, time.time_ns() - 10**12)
    async with running_feed(server, "AAPL") as (_, told):
        await subscribed(server)
        server.send(quote("AAPL", 11.0, 11.5, time.time_ns() + 3600 * 10**9))
        await told.until(lambda t: t.bid("AAPL") == 11.0)
        asked = len(server.asked_of("latest"))
        await seen(
            server, lambda s: len(s.asked_of("latest")) >= asked + 5
        )  # what is compared from now on was not before it
        server.quotes["AAPL"] = rest_quote(12.0, 12.5, time.time_ns() + 2 * 10**9)
        await told.until(lambda t: t.bid("AAPL") == 12.0)
        await subscribed(server, 2)


async def test_a_gap_that_cannot_be_read_is_told(server) -> None:
    """If REST does not give the missing minutes, that is a trouble, and the stream's bars go on."""
    now_ns = minute_before(time.time_ns())
    tuning = replace(QUICK, confirm_s=60.0)
    async with running_feed(server, "AAPL", memory=FeedMemory(told_ns=now_ns - 5 * MINUTE_NS), tuning=tuning) as (
        _,
        told,
    ):
        await seen(server, lambda s: len(s.asked_of("latest")) >= 2)
        server.answers.extend([(422, {"message": "no"}, {})] * 6)
        server.drop() if server.live() else None
        await told.until(lambda t: any("minute bars" in text for text in t.troubles))
        await seen(server, lambda s: s.live())
        server.answers.clear()
        server.send(bar("AAPL", now_ns, 50.0))
        await told.until(lambda t: t.bars and t.bars[-1].close("AAPL") == 50.0)


async def test_a_feed_that_was_cancelled_left_nothing_behind(server) -> None:
    """A cancelled feed has closed its connection, and a second one can begin where it was."""
    told = Told()
    feed = LiveFeed(server.access(), ["AAPL"], told.surroundings(), tuning=QUICK)
    for count in (1, 2):
        async with anyio.create_task_group() as group:
            group.start_soon(feed.run, WallLine())
            await subscribed(server, count)
            group.cancel_scope.cancel()
        await seen(server, lambda s: not s.live())
