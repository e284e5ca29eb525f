"""One connection of the SDK's stream: a beginning that is proved, an end that is told, and no socket left behind."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import anyio
import pytest
from scripted_alpaca import SECRET, ScriptedAlpaca, order_row

from ordersmith.actors.errors import BrokerAuthError, BrokerUnavailable
from ordersmith.adapters.alpaca.stream_keeper import Lost, StreamKeeper
from ordersmith.adapters.alpaca.trade_updates import Heartbeat, TradeUpdates
from ordersmith.adapters.asyncio_island import open_island

FAST = Heartbeat(0.3, 0.3, 1.0)
PAUSE_S = (0.05, 0.2)


class Keeper:
    """A stream kept up, and what it said."""

    def __init__(self, alpaca: ScriptedAlpaca, island: Any, heartbeat: Heartbeat = FAST) -> None:
        self.ups = 0
        self.losses: list[Lost] = []
        self.news = anyio.Event()
        self.stream = StreamKeeper(alpaca.access(), island, heartbeat, PAUSE_S, self._up, self._lost)

    def _up(self) -> None:
        self.ups += 1
        self.news.set()

    def _lost(self, lost: Lost) -> None:
        self.losses.append(lost)
        self.news.set()

    async def until(self, holds: Any) -> None:
        with anyio.fail_after(10):
            while not holds():
                self.news = anyio.Event()
                await self.news.wait()


async def live(alpaca: ScriptedAlpaca, heartbeat: Heartbeat = FAST) -> None:
    async with open_island() as island:
        await island.call(TradeUpdates(alpaca.access(), heartbeat, lambda: None, lambda update: None).live)


@pytest.mark.anyio
async def test_updates_come_in_order_and_as_they_are(alpaca: ScriptedAlpaca) -> None:
    """What the stream says arrives whole and in order, words that nobody knows included (M3)."""
    async with open_island() as island, anyio.create_task_group() as group:
        keeper = Keeper(alpaca, island)
        group.start_soon(keeper.stream.run)
        assert await keeper.stream.wait_up(5)
        events = [{"event": f"event {number}", "order": order_row(status="a_new_status")} for number in range(50)]
        await anyio.to_thread.run_sync(alpaca.say, *events)
        with anyio.fail_after(5):
            assert [await keeper.stream.next_update() for _ in events] == events
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_cancelled_stream_leaves_no_socket(alpaca: ScriptedAlpaca) -> None:
    """The SDK's stream leaves its socket open when it is cancelled; ours has closed it when the cancellation is over (A.4.5)."""
    async with open_island() as island:
        for _ in range(3):
            async with anyio.create_task_group() as group:
                keeper = Keeper(alpaca, island)
                group.start_soon(keeper.stream.run)
                assert await keeper.stream.wait_up(5)
                assert alpaca.sockets == 1
                group.cancel_scope.cancel()
            await anyio.to_thread.run_sync(alpaca.wait, lambda: alpaca.sockets == 0)


@pytest.mark.anyio
async def test_a_stream_that_is_cancelled_while_it_connects_leaves_no_socket(alpaca: ScriptedAlpaca) -> None:
    """Also before the acknowledgement a cancelled stream closes what it has opened."""
    alpaca.acknowledges = False
    async with open_island() as island:
        async with anyio.create_task_group() as group:
            keeper = Keeper(alpaca, island)
            group.start_soon(keeper.stream.run)
            await anyio.to_thread.run_sync(alpaca.wait, lambda: alpaca.sockets == 1)
            group.cancel_scope.cancel()
        await anyio.to_thread.run_sync(alpaca.wait, lambda: alpaca.sockets == 0)
    assert keeper.ups == 0


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_comes_with_an_update_is_heeded(alpaca: ScriptedAlpaca) -> None:
    """`asyncio.wait_for` of Python 3.11, in the SDK's loop, loses it: the stream would go on until somebody cancels again."""
    up = asyncio.Event()
    updates = TradeUpdates(alpaca.access(), Heartbeat(60.0, 60.0, 1.0), up.set, lambda update: None)
    living = asyncio.create_task(updates.live())
    await up.wait()
    socket: Any = updates._stream.socket
    receive = socket.recv

    async def receive_as_it_is_cancelled() -> Any:
        message = await receive()
        asyncio.get_running_loop().call_soon(living.cancel)
        return message

    socket.recv = receive_as_it_is_cancelled
    update = {"event": "new", "order": order_row()}
    await anyio.to_thread.run_sync(alpaca.say, update, update)
    with pytest.raises(asyncio.CancelledError), anyio.fail_after(5):
        await living
    await anyio.to_thread.run_sync(alpaca.wait, lambda: alpaca.sockets == 0)


@pytest.mark.anyio
async def test_a_stream_whose_island_stops_leaves_no_socket(alpaca: ScriptedAlpaca) -> None:
    """An island that is stopped at once takes its connection with it."""
    async with open_island(stop_s=0) as island:
        call = island.begin(TradeUpdates(alpaca.access(), FAST, lambda: None, lambda update: None).live)
        await anyio.to_thread.run_sync(alpaca.wait, lambda: alpaca.sockets == 1)
        del call
    await anyio.to_thread.run_sync(alpaca.wait, lambda: alpaca.sockets == 0)


@pytest.mark.anyio
async def test_a_refused_key_is_an_error_at_once(alpaca: ScriptedAlpaca) -> None:
    """A key that the stream refuses is an authentication error after one connection, by its answer or by the handshake's."""
    alpaca.auth_status = "unauthorized"
    with pytest.raises(BrokerAuthError, match="refused the key"), anyio.fail_after(3):
        await live(alpaca)
    alpaca.handshake_status = 403
    with pytest.raises(BrokerAuthError, match="403"), anyio.fail_after(3):
        await live(alpaca)
    assert alpaca.handshakes == 2


def test_the_sdk_alone_would_try_a_refused_key_for_ever(alpaca: ScriptedAlpaca) -> None:
    """The danger is real: the SDK's own loop neither returns nor raises when the key is refused (A.4.1)."""
    from alpaca.trading.stream import TradingStream

    alpaca.auth_status = "unauthorized"

    async def handler(update: Any) -> None: ...

    async def try_it() -> None:
        stream: Any = TradingStream("PK", "s", url_override=alpaca.access().stream_url, raw_data=True)
        stream._reconnect_min_backoff = stream._reconnect_max_backoff = 0.01
        stream.subscribe_trade_updates(handler)
        task = asyncio.create_task(stream._run_forever())
        while alpaca.handshakes < 3:
            await asyncio.wait([task], timeout=0.01)
            assert not task.done()
        task.cancel()
        await asyncio.wait([task])
        await stream.close()

    logging.getLogger("alpaca").setLevel(logging.CRITICAL)
    try:
        asyncio.run(try_it())
    finally:
        logging.getLogger("alpaca").setLevel(logging.NOTSET)


@pytest.mark.anyio
@pytest.mark.parametrize("trouble", ["no acknowledgement", "429", "nonsense"])
async def test_a_stream_that_does_not_listen_is_not_up(alpaca: ScriptedAlpaca, trouble: str) -> None:
    """Without Alpaca's acknowledgement there is no stream, whatever the reason, and its socket is closed."""
    if trouble == "429":
        alpaca.handshake_status = 429
    alpaca.garbles = trouble == "nonsense"
    alpaca.acknowledges = trouble != "no acknowledgement"
    begin = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        await live(alpaca)
    assert time.monotonic() - begin < 4
    await anyio.to_thread.run_sync(alpaca.wait, lambda: alpaca.sockets == 0)


@pytest.mark.anyio
async def test_a_half_open_connection_is_noticed(alpaca: ScriptedAlpaca) -> None:
    """Without pongs the stream is lost after one ping and its patience (M5)."""
    alpaca.pongs = False
    async with open_island() as island, anyio.create_task_group() as group:
        keeper = Keeper(alpaca, island)
        group.start_soon(keeper.stream.run)
        await keeper.until(lambda: keeper.losses)
        assert keeper.losses[0].was_up
        group.cancel_scope.cancel()


def test_half_open_is_noticed_within_fifteen_seconds_by_the_settings() -> None:
    """Ping, pong and the closing of the socket take less than 15 s with the settings as they are."""
    from ordersmith.adapters.alpaca.trade_updates import CLOSE_S

    heartbeat = Heartbeat()
    assert heartbeat.ping_s + heartbeat.pong_s + 2 * CLOSE_S < 15


@pytest.mark.anyio
async def test_a_lost_stream_comes_back_and_says_both(alpaca: ScriptedAlpaca) -> None:
    """A stream that Alpaca closes is lost with the reason, and up again soon, with one socket at any time."""
    async with open_island() as island, anyio.create_task_group() as group:
        keeper = Keeper(alpaca, island)
        group.start_soon(keeper.stream.run)
        for count in (1, 2, 3):
            await keeper.until(lambda count=count: keeper.ups == count)
            await anyio.to_thread.run_sync(alpaca.close_links)
            await keeper.until(lambda count=count: len(keeper.losses) == count)
        assert all("1011" in lost.reason for lost in keeper.losses)
        assert alpaca.sockets <= 1
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_frame_that_cannot_be_read_ends_the_connection(alpaca: ScriptedAlpaca) -> None:
    """What cannot be read may have been a fill: the stream begins anew, so that the account is read."""
    async with open_island() as island, anyio.create_task_group() as group:
        keeper = Keeper(alpaca, island)
        group.start_soon(keeper.stream.run)
        await keeper.until(lambda: keeper.ups == 1)
        await anyio.to_thread.run_sync(alpaca.say, "{broken")
        await keeper.until(lambda: keeper.ups == 2)
        assert keeper.losses[0].was_up
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_dropped_stream_is_opened_anew(alpaca: ScriptedAlpaca) -> None:
    """Who distrusts the stream drops it: the old socket is closed before the new one is opened."""
    async with open_island() as island, anyio.create_task_group() as group:
        keeper = Keeper(alpaca, island)
        group.start_soon(keeper.stream.run)
        await keeper.until(lambda: keeper.ups == 1)
        keeper.stream.drop("mute")
        await keeper.until(lambda: keeper.ups == 2)
        assert keeper.losses == [Lost("mute", True)]
        assert alpaca.sockets == 1
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_the_secret_is_in_no_log_of_the_stream(alpaca: ScriptedAlpaca, caplog: pytest.LogCaptureFixture) -> None:
    """The SDK's stream writes the secret at DEBUG; ours does not, also if somebody turns up every logger (M4)."""
    caplog.set_level(logging.DEBUG)
    names = ["websockets", "websockets.client", "alpaca", "alpaca.trading.stream", "asyncio", "alpaca trade updates"]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        async with open_island() as island, anyio.create_task_group() as group:
            keeper = Keeper(alpaca, island)
            group.start_soon(keeper.stream.run)
            await keeper.until(lambda: keeper.ups == 1)
            group.cancel_scope.cancel()
        assert SECRET[-12:] not in caplog.text  # the library shows the end of a frame
        assert SECRET not in repr(vars(keeper.stream))
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
