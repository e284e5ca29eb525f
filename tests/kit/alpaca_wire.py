"""Alpaca as a client sees it on the wire: HTTP answers and stream frames, with nothing between them and a test.

No SDK: what Alpaca documents is compared with the bytes. The contract cases in `tests/contracts` speak through this, and
move the market through `Market`, which is all that they know of the sandbox.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 5.0
QUIET_S = 0.25
NO_SUCH_ID = "00000000-0000-4000-8000-000000000000"


class Answer(NamedTuple):
    """A response: its status, its JSON body (None when there is none) and its headers."""

    status: int
    body: Any
    headers: Any

    @property
    def code(self) -> int | None:
        return self.body.get("code") if isinstance(self.body, dict) else None

    @property
    def message(self) -> str:
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else ""


class Market:
    """What a test makes of the market, of the broker and of the way to it: all that the cases know of the sandbox."""

    def __init__(self, sandbox: Any) -> None:
        self._sandbox = sandbox

    def quote(self, symbol: str, bid: float, ask: float) -> None:
        """Let the market stand at bid and ask, for any size."""
        self._sandbox.quote(symbol, bid, ask, 1_000_000, 1_000_000)

    def trade(self, symbol: str, price: float) -> None:
        """Let the market trade at a price, and stand around it."""
        self._sandbox.admin("POST", "/quote", {"symbol": symbol, "price": price})

    def fill(self, order_id: str, qty: str, price: str) -> None:
        """Fill so much of an order at a price, wherever the market is."""
        self._sandbox.admin("POST", "/fill", {"order_id": order_id, "qty": qty, "price": price})

    def correct(self, execution_id: str, qty: str, price: str) -> None:
        self._sandbox.admin("POST", "/correct", {"execution_id": execution_id, "qty": qty, "price": price})

    def bust(self, execution_id: str) -> None:
        self._sandbox.admin("POST", "/bust", {"execution_id": execution_id})

    def book(self, activity_type: str, **fields: str) -> None:
        """Book something that is no trade."""
        self._sandbox.admin("POST", "/activity", {"activity_type": activity_type, **fields})

    def close_session(self) -> None:
        self._sandbox.admin("POST", "/close_session")

    def fault(self, kind: str, **rule: Any) -> None:
        self._sandbox.fault(kind, **rule)

    def listened_to(self) -> None:
        """Wait until somebody listens to trade updates."""
        self._sandbox.wait_for_listener()


class Wire:
    """One account by raw HTTP and websockets."""

    market: Market

    def __init__(self, addresses: Any, key: str, secret: str) -> None:
        self.addresses = addresses
        self.key, self.secret = key, secret
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        self._session.close()

    # --- REST ----------------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, params: Any = None, body: Any = None, **options: Any) -> Answer:
        """Send one request to the trading API, or to the market data API for `/v2/stocks`, and return what came."""
        base = self.addresses.data_url if path.startswith("/v2/stocks") else self.addresses.base_url
        headers = options.pop("headers", {"APCA-API-KEY-ID": self.key, "APCA-API-SECRET-KEY": self.secret})
        response = self._session.request(
            method, base + path, params=params, json=body, headers=headers, timeout=PATIENCE_S, **options
        )
        text = response.content
        is_json = text and "json" in response.headers.get("Content-Type", "")
        return Answer(response.status_code, msgspec.json.decode(text) if is_json else None, response.headers)

    def get(self, path: str, **params: Any) -> Answer:
        return self.ask("GET", path, params)

    def read(self, path: str, **params: Any) -> Any:
        """Return the body of a GET that must succeed."""
        answer = self.get(path, **params)
        assert answer.status == 200, answer
        return answer.body

    def send(self, **terms: Any) -> Answer:
        """Post an order: a market order to buy 10 AAPL for the day where the terms say nothing else."""
        order = {"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", **terms}
        if "qty" not in order and "notional" not in order:
            order["qty"] = "10"
        return self.ask("POST", "/v2/orders", body={name: value for name, value in order.items() if value is not None})

    def place(self, **terms: Any) -> dict[str, Any]:
        """Post an order that must be taken."""
        answer = self.send(**terms)
        assert answer.status == 200, answer
        return dict(answer.body)

    def rest(self, price: str = "50", **terms: Any) -> dict[str, Any]:
        """Place a limit order, and wait until it works at the exchange."""
        order = self.place(**{"type": "limit", "limit_price": price, **terms})
        return self.wait(order["id"], "new")

    def order(self, order_id: str, **params: Any) -> dict[str, Any]:
        return dict(self.read(f"/v2/orders/{order_id}", **params))

    def wait(self, order_id: str, *statuses: str) -> dict[str, Any]:
        """Ask for an order until it is in one of the statuses."""
        return eventually(lambda: self.order(order_id), lambda order: order["status"] in statuses)

    def replace(self, order_id: str, **terms: Any) -> Answer:
        return self.ask("PATCH", f"/v2/orders/{order_id}", body=terms)

    def cancel(self, order_id: str) -> Answer:
        return self.ask("DELETE", f"/v2/orders/{order_id}")

    # --- Streams -------------------------------------------------------------------------------------------------------

    @contextmanager
    def connected(self) -> Iterator[JsonStream]:
        """Open the stream of trade updates, and say nothing yet."""
        with connect(self.addresses.stream_url, proxy=None) as socket:
            yield JsonStream(socket)

    @contextmanager
    def updates(self) -> Iterator[JsonStream]:
        """Open the stream of trade updates, and listen."""
        with self.connected() as stream:
            assert stream.authenticate(self.key, self.secret)["data"]["status"] == "authorized"
            assert stream.listen("trade_updates")["stream"] == "listening"
            yield stream

    @contextmanager
    def data(self) -> Iterator[DataStream]:
        """Open the market data stream in its JSON form, and say nothing yet."""
        with connect(self.addresses.data_stream_url, proxy=None) as socket:
            yield DataStream(socket)

    @contextmanager
    def authenticated_data(self) -> Iterator[DataStream]:
        with self.data() as stream:
            assert stream.next() == [{"T": "success", "msg": "connected"}]
            stream.say(action="auth", key=self.key, secret=self.secret)
            assert stream.next() == [{"T": "success", "msg": "authenticated"}]
            yield stream


class JsonStream:
    """The stream of trade updates: what was said, frame by frame."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.frames: list[Any] = []

    def say(self, **message: Any) -> None:
        self._socket.send(msgspec.json.encode(message).decode())

    def next(self, timeout: float = PATIENCE_S) -> Any:
        frame = self._socket.recv(timeout=timeout)
        self.frames.append(frame)
        return msgspec.json.decode(frame)

    def authenticate(self, key: str, secret: str) -> Any:
        self.say(action="authenticate", data={"key_id": key, "secret_key": secret})
        return self.next()

    def listen(self, *streams: str) -> Any:
        self.say(action="listen", data={"streams": list(streams)})
        return self.next()

    def until(self, event: str, order_id: str = "") -> list[dict[str, Any]]:
        """Return the updates up to an event, of one order if its id is given, and of all others meanwhile."""
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["event"] != event or order_id not in ("", seen[-1]["order"]["id"]):
            message = self.next()
            assert message["stream"] == "trade_updates", message
            seen.append(message["data"])
        return seen

    def update(self, event: str, order_id: str = "") -> dict[str, Any]:
        """Return the next update of that event."""
        return self.until(event, order_id)[-1]

    def rest(self) -> list[dict[str, Any]]:
        """Return the updates that come until it is quiet."""
        seen = []
        while True:
            try:
                seen.append(self.next(QUIET_S)["data"])
            except TimeoutError:
                return seen

    def closed_with(self) -> int | None:
        """Return the code that the server closes with, None if it does not close."""
        try:
            while True:
                self.next()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006
        except TimeoutError:
            return None


class DataStream(JsonStream):
    """The market data stream: each frame is a list of messages."""

    def of_kind(self, kind: str) -> dict[str, Any]:
        """Return the next message of a kind, `q`, `t` or `b`."""
        while True:
            for message in self.next():
                if message["T"] == kind:
                    return dict(message)


@contextmanager
def running_sdk(stream: Any) -> Iterator[None]:
    """Run one of the SDK's streams in a thread of its own, and close it at the end without its five seconds of patience."""
    begun: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = queue.Queue()

    async def live() -> None:
        task = asyncio.create_task(stream._run_forever())
        begun.put((asyncio.get_running_loop(), task))
        await asyncio.wait([task])
        await stream.close()

    thread = threading.Thread(target=asyncio.run, args=(live(),), daemon=True)
    thread.start()
    loop, task = begun.get(timeout=PATIENCE_S)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "the SDK's stream did not end"


def eventually(look: Callable[[], Any], holds: Callable[[Any], Any], patience_s: float = PATIENCE_S) -> Any:
    """Look again until it holds, and return what was seen last."""
    deadline = time.monotonic() + patience_s
    while not holds(seen := look()):
        assert time.monotonic() < deadline, f"still {seen}"
        time.sleep(0.01)
    return seen
