"""The stream of trade updates: Alpaca's protocol byte by byte, through the SDK, and everything that may befall it."""

from __future__ import annotations

import asyncio
import json
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from socket import create_connection
from typing import Any, Self

import msgpack
import pytest
from alpaca.trading.stream import TradingStream
from alpaca_sandbox_kit import SandboxClient, running_sandbox, sandbox_process
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

WAIT_S = 10.0
QUIET_S = 0.2
LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}


@pytest.fixture
def sandbox() -> Iterator[SandboxClient]:
    with running_sandbox(prices="none") as running:
        running.quote("AAPL", 99.99, 100.01)
        yield running


@contextmanager
def connected(sandbox: SandboxClient, **options: Any) -> Iterator[ClientConnection]:
    with connect(sandbox.addresses.stream_url, proxy=None, close_timeout=0.2, ping_interval=None, **options) as socket:
        yield socket


@contextmanager
def listening(sandbox: SandboxClient) -> Iterator[ClientConnection]:
    with connected(sandbox) as socket:
        assert ask(socket, login(sandbox))["data"]["status"] == "authorized"
        assert ask(socket, LISTEN) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        yield socket


def login(sandbox: SandboxClient, secret: str | None = None) -> Any:
    return {"action": "authenticate", "data": {"key_id": sandbox.key, "secret_key": secret or sandbox.secret}}


def ask(socket: ClientConnection, message: Any) -> Any:
    socket.send(json.dumps(message))
    return heard(socket)


def heard(socket: ClientConnection, timeout: float = WAIT_S) -> Any:
    frame = socket.recv(timeout=timeout)
    assert isinstance(frame, bytes), "Alpaca's frames are binary"
    return json.loads(frame)


def all_heard(socket: ClientConnection) -> list[Any]:
    """Return the updates that come until it is quiet."""
    found = []
    while True:
        try:
            found.append(heard(socket, QUIET_S)["data"])
        except TimeoutError:
            return found


def buy(sandbox: SandboxClient, **terms: Any) -> Any:
    return sandbox.submit(symbol="AAPL", side="buy", **{"qty": "1", **terms})


# --- The protocol ------------------------------------------------------------------------------------------------------------


def test_updates_come_in_binary_frames(sandbox: SandboxClient) -> None:
    """A market order is told as pending_new, new and fill, with the order and the execution in each message."""
    with listening(sandbox) as socket:
        order = buy(sandbox, client_order_id="mine")
        messages = [heard(socket) for _ in range(3)]
    assert [message["stream"] for message in messages] == ["trade_updates"] * 3
    assert [message["data"]["event"] for message in messages] == ["pending_new", "new", "fill"]
    fill = messages[-1]["data"]
    assert (fill["order"]["id"], fill["order"]["client_order_id"], fill["order"]["filled_qty"]) == (
        order["id"],
        "mine",
        "1",
    )
    assert (fill["price"], fill["qty"], fill["position_qty"]) == ("100.01", "1", "1")


def frame(message: Any) -> bytes:
    """Return a text frame as a client sends it: masked, here with zeros."""
    data = json.dumps(message).encode()
    return b"\x81\xfe" + len(data).to_bytes(2, "big") + bytes(4) + data


def test_events_are_there_before_the_answer() -> None:
    """When the first byte of a submit's answer is there, its updates are in the client's socket already."""
    body = json.dumps({"symbol": "AAPL", "side": "buy", "qty": "1", "type": "market", "time_in_force": "day"})
    with sandbox_process("--rate-limit", "0") as sandbox:
        order = (
            f"POST /v2/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAPCA-API-KEY-ID: {sandbox.key}\r\n"
            f"APCA-API-SECRET-KEY: {sandbox.secret}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        upgrade = (
            b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        here = ("127.0.0.1", sandbox.port)
        with create_connection(here, WAIT_S) as stream, create_connection(here, WAIT_S) as rest:
            stream.sendall(upgrade + frame(login(sandbox)) + frame(LISTEN))
            while b"listening" not in stream.recv(65536):
                pass
            for _ in range(100):
                rest.sendall(order)
                rest.recv(65536)
                assert select.select([stream], [], [], 0)[0], "the answer came before the updates"
                while select.select([stream], [], [], 0.005)[0]:
                    stream.recv(65536)


def test_events_can_come_after_the_answer() -> None:
    """With `events_first` off the answer comes first, and the updates come."""
    with running_sandbox(prices="none", events_first=False) as sandbox:
        sandbox.quote("AAPL", 99.99, 100.01)
        with listening(sandbox) as socket:
            assert buy(sandbox)["status"] == "pending_new"
            assert [heard(socket)["data"]["event"] for _ in range(3)] == ["pending_new", "new", "fill"]


def test_a_wrong_key_is_unauthorized(sandbox: SandboxClient) -> None:
    """A wrong secret is answered `unauthorized`, and listening is refused as well."""
    refused = {"stream": "authorization", "data": {"action": "authenticate", "status": "unauthorized"}}
    with connected(sandbox) as socket:
        assert ask(socket, login(sandbox, "wrong")) == refused
        assert ask(socket, LISTEN)["data"] == {"action": "listen", "status": "unauthorized"}
        assert (
            ask(socket, {"action": "auth", "key": sandbox.key, "secret": sandbox.secret})["data"]["status"]
            == "authorized"
        )


def test_nonsense_is_answered(sandbox: SandboxClient) -> None:
    """What is no message is an error, not the end of the connection."""
    with connected(sandbox) as socket:
        for text in ("{", "[]", '"listen"', '{"action": "dance"}', '{"action": "authenticate", "data": 7}'):
            socket.send(text)
            assert heard(socket)["stream"] in ("error", "authorization")
        assert ask(socket, login(sandbox))["data"]["status"] == "authorized"
        assert ask(socket, {"action": "listen", "data": {"streams": ["news"]}})["data"]["streams"] == []


def test_msgpack_for_who_asks_for_it(sandbox: SandboxClient) -> None:
    """A client with the content type of MessagePack speaks and hears MessagePack."""
    with connected(sandbox, additional_headers={"Content-Type": "application/msgpack"}) as socket:
        socket.send(msgpack.packb(login(sandbox)))
        assert msgpack.unpackb(socket.recv(WAIT_S))["data"]["status"] == "authorized"
        socket.send(msgpack.packb(LISTEN))
        socket.recv(WAIT_S)
        buy(sandbox)
        assert msgpack.unpackb(socket.recv(WAIT_S))["data"]["event"] == "pending_new"


def test_who_does_not_authenticate_is_sent_away() -> None:
    """A connection that says nothing is closed after a while, and its slot is free again."""
    with running_sandbox(prices="none", auth_within_s=0.1) as sandbox:
        with connected(sandbox) as socket, pytest.raises(ConnectionClosed):
            socket.recv(WAIT_S)
        sandbox.wait_for(lambda client: not client.state()["trade_links"])
        with listening(sandbox):
            pass


def test_nothing_is_sent_again(sandbox: SandboxClient) -> None:
    """What happens while nobody listens is lost to the stream."""
    with listening(sandbox) as socket:
        buy(sandbox)
        assert len(all_heard(socket)) == 3
    buy(sandbox)
    with listening(sandbox) as socket:
        assert all_heard(socket) == []
    assert len(sandbox.updates()) == 6


@pytest.mark.parametrize("mode", ["429", "1008", "406"])
def test_a_second_connection_is_refused(mode: str) -> None:
    """One connection an account: the second is refused in the way that is set, and the first goes on."""
    with running_sandbox(prices="none", second_connection=mode) as sandbox:
        sandbox.quote("AAPL", 99.99, 100.01)
        with listening(sandbox) as first:
            if mode == "429":
                with pytest.raises(InvalidStatus) as refused, connected(sandbox):
                    pass
                assert refused.value.response.status_code == 429
            else:
                with connected(sandbox) as second:
                    second.send(json.dumps(login(sandbox)))
                    if mode == "406":
                        assert heard(second)["data"]["code"] == 406
                    with pytest.raises(ConnectionClosed) as closed:
                        second.recv(WAIT_S)
                assert closed.value.rcvd.code == 1008
            buy(sandbox)
            assert heard(first)["data"]["event"] == "pending_new"
        assert sandbox.state()["refused_links"]["trade"] == 1
        sandbox.wait_for(lambda client: not client.state()["trade_links"])
        with listening(sandbox):
            pass


def test_a_slot_may_stay_taken() -> None:
    """A slot that is held after the end of its connection is free when its time is over."""
    with running_sandbox(prices="none", slot_held_s=0.3) as sandbox:
        with listening(sandbox):
            pass
        sandbox.wait_for(lambda client: not client.state()["trade_links"])
        with pytest.raises(InvalidStatus), connected(sandbox):
            pass

        def comes_in(client: SandboxClient) -> bool:
            try:
                with listening(client):
                    return True
            except InvalidStatus:
                return False

        sandbox.wait_for(comes_in)


# --- Faults of frames --------------------------------------------------------------------------------------------------------


def events(updates: list[Any]) -> list[str]:
    return [update["event"] for update in updates]


def test_a_frame_is_dropped(sandbox: SandboxClient) -> None:
    """The dropped frame does not come, those around it do, and the broker has done it all."""
    with listening(sandbox) as socket:
        sandbox.fault("drop_frame", event="fill")
        buy(sandbox)
        assert events(all_heard(socket)) == ["pending_new", "new"]
        buy(sandbox)
        assert events(all_heard(socket)) == ["pending_new", "new", "fill"]
    assert {order["status"] for order in sandbox.orders()} == {"filled"}


def test_a_frame_comes_twice(sandbox: SandboxClient) -> None:
    """A duplicate has the same execution id; it comes at once, or after the seconds of its rule."""
    with listening(sandbox) as socket:
        sandbox.fault("duplicate_frame", event="fill")
        sandbox.fault("duplicate_frame", event="new", seconds=0.1)
        buy(sandbox)
        found = all_heard(socket)
    assert events(found) == ["pending_new", "new", "fill", "fill", "new"]
    assert found[2] == found[3]


def test_frames_change_places(sandbox: SandboxClient) -> None:
    """A frame that is out of order comes after the next one, or alone when there is no next one."""
    with listening(sandbox) as socket:
        sandbox.fault("reorder", event="new")
        buy(sandbox)
        assert events(all_heard(socket)) == ["pending_new", "fill", "new"]


def test_a_held_frame_comes_when_its_time_is_over(sandbox: SandboxClient) -> None:
    """The last frame of an order that is held back is not lost."""
    with listening(sandbox) as socket:
        sandbox.fault("reorder", event="fill", seconds=0.1)
        buy(sandbox)
        assert events([heard(socket)["data"] for _ in range(3)]) == ["pending_new", "new", "fill"]


def test_frames_come_late_in_order(sandbox: SandboxClient) -> None:
    """A delayed frame delays those behind it, and the answer of the request does not wait for it."""
    with listening(sandbox) as socket:
        sandbox.fault("delay", event="pending_new", seconds=1)
        began = time.monotonic()
        buy(sandbox)
        assert time.monotonic() - began < 0.9
        assert events([heard(socket)["data"] for _ in range(3)]) == ["pending_new", "new", "fill"]
        assert time.monotonic() - began >= 1


def test_frames_say_what_nobody_knows(sandbox: SandboxClient) -> None:
    """An event, or a status, is replaced by one that no documentation has; a bare fill leaves out its own numbers."""
    with listening(sandbox) as socket:
        sandbox.fault("unknown_event", event="pending_new")
        sandbox.fault("unknown_status", event="new")
        sandbox.fault("bare_fill", event="fill")
        buy(sandbox)
        first, second, third = all_heard(socket)
    assert (first["event"], first["order"]["status"]) == ("mystery_of_tomorrow", "pending_new")
    assert (second["event"], second["order"]["status"]) == ("new", "mystery_of_tomorrow")
    assert third["order"]["filled_qty"] == "1"
    assert not {"qty", "price", "execution_id"} & set(third)


# --- Faults of connections ---------------------------------------------------------------------------------------------------


def test_a_mute_stream_answers_pings_and_says_nothing(sandbox: SandboxClient) -> None:
    """Pings are answered while events are lost; after its seconds the stream speaks again, of what happens then."""
    with listening(sandbox) as socket:
        sandbox.fault("mute", seconds=0.5)
        began = time.monotonic()
        buy(sandbox)
        assert all_heard(socket) == []
        assert socket.ping().wait(WAIT_S)
        sandbox.wait_for(lambda client: not client.state()["trade_links"][0]["mute"])
        assert time.monotonic() - began >= 0.4
        buy(sandbox)
        assert events(all_heard(socket)) == ["pending_new", "new", "fill"]


def test_a_half_open_stream_answers_nothing(sandbox: SandboxClient) -> None:
    """Neither events nor pongs nor the answer to a close come; a new connection is a healthy one."""
    with listening(sandbox) as socket:
        sandbox.fault("half_open")
        buy(sandbox)
        assert all_heard(socket) == []
        assert not socket.ping().wait(QUIET_S)
        socket.send(json.dumps(LISTEN))
        assert all_heard(socket) == []
    assert socket.protocol.close_rcvd is None
    sandbox.wait_for(lambda client: not client.state()["trade_links"])
    with listening(sandbox) as socket:
        buy(sandbox)
        assert len(all_heard(socket)) == 3


def test_faults_are_ended_by_hand(sandbox: SandboxClient) -> None:
    """When the faults are cleared a mute connection speaks again."""
    with listening(sandbox) as socket:
        sandbox.fault("mute")
        sandbox.end_faults()
        buy(sandbox)
        assert len(all_heard(socket)) == 3


def test_a_fault_befalls_as_many_as_its_count_says() -> None:
    """Where several listen, a fault befalls one of them, and all hear what it does not befall."""
    with running_sandbox(prices="none", second_connection="allow") as sandbox:
        sandbox.quote("AAPL", 99.99, 100.01)
        with listening(sandbox) as first, listening(sandbox) as second:
            sandbox.fault("mute", count=1)
            buy(sandbox)
            assert sorted(len(all_heard(socket)) for socket in (first, second)) == [0, 3]


def test_a_fault_waits_for_a_connection(sandbox: SandboxClient) -> None:
    """A fault of a standing connection befalls the next one that listens, and after its count no other."""
    sandbox.fault("mute", count=2)
    for heard_of in (0, 0, 3):
        with listening(sandbox) as socket:
            buy(sandbox)
            assert len(all_heard(socket)) == heard_of
        sandbox.wait_for(lambda client: not client.state()["trade_links"])


def test_a_stream_is_closed_with_1011_or_cut(sandbox: SandboxClient) -> None:
    """Closed means a close frame with its code; cut means none at all."""
    for kind, code in (("close_1011", 1011), ("cut", None)):
        with listening(sandbox) as socket:
            sandbox.fault(kind)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(WAIT_S)
            received = closed.value.rcvd
            assert (received.code if received else None) == code
        sandbox.wait_for(lambda client: not client.state()["trade_links"])


def test_faults_befall_connections_now_and_then(sandbox: SandboxClient) -> None:
    """A rule with `per_hour` strikes at random times, again and again, until it is cleared."""
    sandbox.fault("close_1011", per_hour=72_000)
    for _ in range(3):
        with listening(sandbox) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(WAIT_S)
            assert closed.value.rcvd.code == 1011
        sandbox.wait_for(lambda client: not client.state()["trade_links"])
    assert sandbox.state()["faults"]["close_1011"] >= 3
    sandbox.end_faults()
    with listening(sandbox) as socket, pytest.raises(TimeoutError):
        socket.recv(0.5)


def test_connections_are_refused_by_fault(sandbox: SandboxClient) -> None:
    """A connection is refused as if another were there, or its right keys are not accepted; once each."""
    sandbox.fault("refuse_second")
    with pytest.raises(InvalidStatus), connected(sandbox):
        pass
    sandbox.fault("unauthorized")
    with connected(sandbox) as socket:
        assert ask(socket, login(sandbox))["data"]["status"] == "unauthorized"
    sandbox.wait_for(lambda client: not client.state()["trade_links"])
    with listening(sandbox):
        pass


def test_a_slow_reader_holds_up_nobody(sandbox: SandboxClient) -> None:
    """A client that does not read delays no other's answer for long."""
    with listening(sandbox):
        began = time.monotonic()
        for _ in range(20):
            buy(sandbox)
        assert time.monotonic() - began < 5


# --- The SDK -----------------------------------------------------------------------------------------------------------------


class Listener:
    """The SDK's stream in a thread, and what its handler got."""

    def __init__(self, sandbox: SandboxClient, **options: Any) -> None:
        self.got: list[Any] = []
        self.stream = TradingStream(sandbox.key, sandbox.secret, url_override=sandbox.addresses.stream_url, **options)
        self.stream._reconnect_min_backoff = self.stream._reconnect_max_backoff = 0.05
        self.stream.subscribe_trade_updates(self._take)
        self._thread = threading.Thread(target=self._run, daemon=True)

    async def _take(self, update: Any) -> None:
        self.got.append(update)

    def _run(self) -> None:
        async def live() -> None:
            self.task = asyncio.current_task()
            self.loop = asyncio.get_running_loop()
            try:
                await self.stream._run_forever()
            except asyncio.CancelledError:
                await self.stream.close()

        asyncio.run(live())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.loop.call_soon_threadsafe(self.task.cancel)
        self._thread.join(WAIT_S)


@pytest.mark.parametrize("raw", [True, False])
def test_the_sdk_hears_its_orders(sandbox: SandboxClient, raw: bool) -> None:
    """The SDK's stream delivers every update, raw and as a model."""
    with Listener(sandbox, raw_data=raw) as listener:
        sandbox.wait_for_listener()
        buy(sandbox)
        sandbox.wait_for(lambda client: len(listener.got) == 3)
    last = listener.got[-1]
    assert (last["data"]["event"] if raw else last.event) == "fill"


def test_the_sdk_comes_back_after_a_cut(sandbox: SandboxClient) -> None:
    """After a cut the SDK connects again by itself, and what happened meanwhile it never hears."""
    with Listener(sandbox, raw_data=True) as listener:
        sandbox.wait_for_listener()
        first = sandbox.state()["trade_links"][0]["number"]
        sandbox.fault("cut")
        sandbox.wait_for(
            lambda client: any(link["listening"] and link["number"] > first for link in client.state()["trade_links"])
        )
        buy(sandbox)
        sandbox.wait_for(lambda client: len(listener.got) == 3)


def test_the_sdk_loses_an_update_with_an_unknown_status(sandbox: SandboxClient) -> None:
    """With models the SDK drops the frame and says nothing; raw it delivers it."""
    for raw, count in ((False, 2), (True, 3)):
        with Listener(sandbox, raw_data=raw) as listener:
            sandbox.wait_for_listener()
            sandbox.fault("unknown_status", event="new")
            buy(sandbox)
            sandbox.wait_for(lambda client, listener=listener: listener.got and _last(listener.got) == "fill")
            assert len(listener.got) == count
        sandbox.wait_for(lambda client: not client.state()["trade_links"])


def _last(got: list[Any]) -> str:
    return str(got[-1]["data"]["event"] if isinstance(got[-1], dict) else got[-1].event)
