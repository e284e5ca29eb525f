"""What the SDK's stream does wrong, each with its cure: refused keys, held slots, mute and half-open connections, leaks, secrets."""

from __future__ import annotations

import asyncio
import logging
import time
from itertools import pairwise

import anyio
import pytest
from feed_kit import QUICK, Told, WallLine, running_feed, seen
from msgspec.structs import replace
from scripted_alpaca_data import SECRET, ScriptedData, scripted_data, stamp

from ordersmith.actors.errors import BrokerAuthError
from ordersmith.adapters.alpaca.access import Access
from ordersmith.adapters.alpaca.feed import LiveFeed, Tuning
from ordersmith.adapters.alpaca.market_stream import MarketStream
from ordersmith.adapters.asyncio_island import open_island

pytestmark = pytest.mark.anyio

PATIENT = replace(QUICK, confirm_s=60.0)


@pytest.fixture
def server():
    with scripted_data() as running:
        running.quotes["AAPL"] = rest_quote(4.0, time.time_ns() - 10**12)
        yield running


async def failure_of(access: Access, tuning: Tuning = QUICK) -> tuple[Exception, Told]:
    """Return what ends a feed."""
    told = Told()
    with anyio.fail_after(60), pytest.raises(BrokerAuthError) as caught:
        await LiveFeed(access, ["AAPL"], told.surroundings(), tuning=tuning).run(WallLine())
    return caught.value, told


def quote(bid: float, at_ns: int) -> dict:
    return {"T": "q", "S": "AAPL", "ap": bid + 1, "as": 1, "bp": bid, "bs": 1, "c": ["R"], "t": stamp(at_ns)}


def rest_quote(bid: float, at_ns: int) -> dict:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ns // 10**9))
    return {"t": f"{at}.{at_ns % 10**9:09d}Z", "bp": bid, "ap": bid + 1, "bs": 1, "as": 1}


async def subscribed(server: ScriptedData, count: int = 1) -> None:
    await seen(server, lambda s: sum(c.is_subscribed for c in s.connections) >= count)


@pytest.mark.parametrize(("code", "said"), [(402, "auth failed"), (409, "insufficient subscription")])
async def test_a_refusal_of_the_stream_ends_the_feed(server, code, said) -> None:
    """A refused key or feed is an authentication error after one try, not an endless loop, and says what to check."""
    server.auth_errors.extend([code] * 10)
    error, _ = await failure_of(server.access(), PATIENT)
    assert said in str(error)
    assert "execution.alpaca.feed" in str(error)
    assert sum(each.auths for each in server.connections) == 1
    assert SECRET not in str(error)


async def test_a_refusal_of_the_subscription_ends_the_feed(server) -> None:
    """A subscription that the plan does not include is refused after the authentication, and ends the feed the same way."""
    server.subscribe_error = 409
    error, _ = await failure_of(server.access(), PATIENT)
    assert "insufficient subscription" in str(error)


async def test_a_wrong_key_is_refused_by_rest_as_well(server) -> None:
    """A wrong key ends the feed even if only REST says so."""
    server.acknowledges = False
    server.answers.extend([(401, {"message": "unauthorized"}, {})] * 9)
    error, _ = await failure_of(server.access())
    assert "api_key" in str(error)


async def test_a_held_slot_is_tried_again_ever_more_slowly(server) -> None:
    """While another connection holds the account's slot, tries become rarer; the first that gets through works."""
    server.auth_errors.extend([406] * 4)
    tuning = replace(PATIENT, backoff_s=(0.1, 30.0))
    async with running_feed(server, "AAPL", tuning=tuning) as (_, told):
        await subscribed(server)
        server.send(quote(5.0, time.time_ns()))
        await told.until(lambda t: t.bid("AAPL") == 5.0)
    times = [each.at_s for each in server.connections]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) == 4
    assert all(gap >= 0.05 * 2**number for number, gap in enumerate(gaps)), gaps
    assert all(each.is_closed for each in server.connections[:-1])
    assert "connection limit exceeded" in told.troubles[0]
    assert len(told.troubles) == 1


async def test_a_mute_stream_is_noticed_and_replaced(server) -> None:
    """A stream that brings nothing while REST shows that prices move is closed, and prices come over the next one."""
    server.quotes["AAPL"] = rest_quote(5.0, time.time_ns() - 10**12)
    async with running_feed(server, "AAPL") as (_, told):
        await subscribed(server)
        server.send(quote(5.5, time.time_ns()))
        await told.until(lambda t: t.bid("AAPL") == 5.5)
        asked = len(server.asked)
        await seen(server, lambda s: len(s.asked) >= asked + 4)  # the stream is up and compared with REST
        server.quotes["AAPL"] = rest_quote(6.0, time.time_ns() + 10**9)
        await subscribed(server, 2)
        await told.until(lambda t: t.bid("AAPL") == 6.0)
        server.send(quote(7.0, time.time_ns() + 2 * 10**9))
        await told.until(lambda t: t.bid("AAPL") == 7.0)
    assert "no market data came" in told.troubles[0]
    assert server.connections[0].is_closed


async def test_a_closed_market_is_no_mute_stream(server) -> None:
    """A stream that is quiet because nothing happens stays, however long."""
    last_ns = time.time_ns() - 10**12
    server.quotes["AAPL"] = rest_quote(5.0, last_ns)
    async with running_feed(server, "AAPL", tuning=replace(QUICK, open_s=1.0)) as (_, told):
        await subscribed(server)
        await told.until(lambda t: len(t.quotes) >= 3)
        server.send(quote(5.5, last_ns))
        await told.until(lambda t: t.bid("AAPL") == 5.5)
        rounds = len(told.quotes)
        await told.until(lambda t: len(t.quotes) >= rounds + 5)
    assert len(server.connections) == 1
    assert told.troubles == []


async def test_a_half_open_connection_is_noticed(server) -> None:
    """A peer that answers no ping any more is left within two ping times, and the next connection works."""
    server.answers_pings = False
    async with running_feed(server, "AAPL", tuning=replace(PATIENT, ping_s=0.3)) as (_, told):
        await subscribed(server)
        began_s = anyio.current_time()
        await subscribed(server, 2)
        assert anyio.current_time() - began_s < 5
        server.answers_pings = True
        await seen(server, lambda s: s.live())
        server.send(quote(5.0, time.time_ns()))
        await told.until(lambda t: t.bid("AAPL") == 5.0)


async def test_a_subscription_without_acknowledgement_is_not_up(server) -> None:
    """A connection on which the subscription is never acknowledged is given up and tried anew."""
    server.acknowledges = False
    async with running_feed(server, "AAPL", tuning=replace(PATIENT, open_s=0.3)) as (_, told):
        await seen(server, lambda s: len(s.connections) >= 2)
        await told.until(lambda t: t.troubles)
        assert "did not answer within" in told.troubles[0]
        await seen(server, lambda s: s.connections[0].is_closed)
        server.acknowledges = True
        await subscribed(server)


async def test_a_silent_server_is_given_up(server) -> None:
    """A server that accepts connections and says nothing is not waited for for ever."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no database is near
    told = Told()
    mute = replace(server.access(), data_stream_url=f"ws://127.0.0.1:{port}/v2/iex")
    feed = LiveFeed(mute, ["AAPL"], told.surroundings(), tuning=replace(PATIENT, open_s=0.3))
    async with listener, anyio.create_task_group() as group:
        group.start_soon(feed.run, WallLine())
        await told.until(lambda t: any("stream of market data is down" in text for text in t.troubles))
        group.cancel_scope.cancel()


async def test_the_plans_limit_of_symbols_leaves_the_prices_of_rest(server) -> None:
    """If the plan streams fewer symbols, that is told, and prices are still confirmed by REST."""
    server.subscribe_error = 405
    server.quotes["AAPL"] = rest_quote(5.0, time.time_ns())
    async with running_feed(server, "AAPL") as (_, told):
        await told.until(lambda t: t.troubles and len({each.at_ns for each in t.quotes}) >= 2)
    assert "symbol limit exceeded" in told.troubles[0]


@pytest.mark.parametrize("answers_pings", [True, False])
async def test_a_cancelled_stream_is_closed(server, answers_pings) -> None:
    """Cancelling the feed closes its connection, quickly and even if the peer does not answer: the account has one slot."""
    server.answers_pings = answers_pings
    async with running_feed(server, "AAPL", tuning=PATIENT):
        await subscribed(server)
        began_s = anyio.current_time()
    assert anyio.current_time() - began_s < 2
    await seen(server, lambda s: all(each.is_closed for each in s.connections))


async def test_a_cancelled_connection_does_not_outlive_its_call(server) -> None:
    """The socket is closed by the end of the call and not only by the end of the thread: the SDK leaves it open."""
    async with open_island() as island:
        stream = MarketStream(server.access(), ["AAPL"], lambda kind, said: None)
        async with anyio.create_task_group() as group:
            group.start_soon(island.call, stream.serve)
            await subscribed(server)
            group.cancel_scope.cancel()
        await seen(server, lambda s: s.connections[0].is_closed)
        assert island.open


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_comes_with_a_message_is_heeded(server) -> None:
    """`asyncio.wait_for` of Python 3.11, in the SDK's loop, loses it: the stream would go on, in the only slot that the account has."""

    def hand_over(kind, said) -> None:
        if kind == "up":
            receive = stream._ws.recv

            async def receive_as_it_is_cancelled():
                message = await receive()
                asyncio.get_running_loop().call_soon(serving.cancel)
                return message

            stream._ws.recv = receive_as_it_is_cancelled

    stream = MarketStream(server.access(), ["AAPL"], hand_over)
    serving = asyncio.create_task(stream.serve())
    await subscribed(server)
    server.send(quote(5.0, time.time_ns()))
    with pytest.raises(asyncio.CancelledError), anyio.fail_after(5):
        await serving
    await seen(server, lambda s: s.connections[0].is_closed)


async def test_a_stream_without_symbols_is_refused() -> None:
    """A connection for nothing is a mistake of the caller, said before anything is opened: the SDK spins instead."""
    with scripted_data() as server:
        async with open_island() as island:
            with pytest.raises(ValueError, match="without a symbol"):
                await island.call(MarketStream(server.access(), [], lambda kind, said: None).serve)
        assert server.connections == []


async def test_the_secret_is_in_no_log(server, caplog) -> None:
    """At DEBUG, every library included, neither the stream nor REST writes the secret."""
    caplog.set_level(logging.DEBUG)
    server.quotes["AAPL"] = rest_quote(5.0, time.time_ns())
    async with running_feed(server, "AAPL") as (_, told):
        await subscribed(server)
        await told.until(lambda t: t.newest("AAPL"))
    assert caplog.records
    shown = "\n".join(f"{record.name} {record.getMessage()} {record.args!r}" for record in caplog.records)
    assert SECRET not in shown
    assert SECRET.encode().hex(" ") not in shown
    assert not [record for record in caplog.records if record.name.startswith("websockets")]


async def test_a_stream_that_is_faster_than_this_process_is_cut(server, monkeypatch) -> None:
    """More messages than may wait end the connection, so that nothing grows without bound; the next one begins afresh."""
    monkeypatch.setattr("ordersmith.adapters.alpaca.feed_run.INBOX", 2)
    async with running_feed(server, "AAPL", tuning=PATIENT) as (_, told):
        await subscribed(server)
        server.send(*(quote(float(number), time.time_ns()) for number in range(1000)))
        await told.until(lambda t: t.troubles)
        await subscribed(server, 2)
    assert "slower than the market" in told.troubles[0]
