"""A local Alpaca for tests: in a thread with an event loop of its own, or as a process; and a client for what it can be told.

with running_sandbox(prices="none") as sandbox:
sandbox.quote("AAPL", 99.99, 100.01)
sandbox.fault("504_after_accept")
... a client of sandbox.addresses, with sandbox.key and sandbox.secret ...
assert len(sandbox.log(method="POST")) == 1
"""

from __future__ import annotations

import asyncio
import http.client
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from ordersmith.adapters.alpaca.access import Access
from ordersmith.adapters.sandbox.alpaca_settings import BrokerSettings
from ordersmith.adapters.sandbox.sandbox_config import Addresses, SandboxConfig
from ordersmith.config.secrets import Secret

PATIENCE_S = 30.0
"""How long a test waits for anything: much longer than it takes, so that a busy machine is no failure."""

T = TypeVar("T")


class Refused(Exception):
    """The sandbox, or its Alpaca, did not do what was asked."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class SandboxClient:
    """What a test does to a running sandbox, wherever that runs. Calls block; use threads from a loop."""

    def __init__(self, addresses: Addresses, key: str, secret: str) -> None:
        self.addresses = addresses
        self.key = key
        self.secret = secret
        self.port = urlsplit(addresses.base_url).port or 0

    def access(self, *, paper: bool = True, key: str | None = None, secret: str | None = None) -> Access:
        """Return the access that an adapter takes."""
        return Access(
            key=Secret(key or self.key),
            secret=Secret(secret or self.secret),
            paper=paper,
            **msgspec.structs.asdict(self.addresses),
        )

    # --- HTTP ------------------------------------------------------------------------------------------------------------

    def http(self, method: str, path: str, body: Any = None, /, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Send a request as it is; return the status, the headers and the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            raw = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, raw, headers)
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def alpaca(self, method: str, path: str, body: Any = None) -> Any:
        """Ask Alpaca's API with the right keys; raise Refused for anything but success."""
        keys = {"APCA-API-KEY-ID": self.key, "APCA-API-SECRET-KEY": self.secret}
        return self._done(method, path, body, **keys)

    def admin(self, method: str, path: str, body: Any = None, /, **query: Any) -> Any:
        """Ask the sandbox: `path` without `/sandbox`."""
        text = urlencode({name: value for name, value in query.items() if value is not None})
        return self._done(method, f"/sandbox{path}{'?' if text else ''}{text}", body)

    def _done(self, method: str, path: str, body: Any, **headers: str) -> Any:
        status, _, raw = self.http(method, path, body, **headers)
        found = json.loads(raw) if raw else None
        if status >= 300:
            raise Refused(status, found)
        return found

    # --- What is asked most ----------------------------------------------------------------------------------------------

    def state(self) -> Any:
        return self.admin("GET", "/state")

    def orders(self, **query: Any) -> list[Any]:
        found: list[Any] = self.admin("GET", "/orders", **query)
        return found

    def updates(self) -> list[Any]:
        found: list[Any] = self.admin("GET", "/updates")
        return found

    def log(self, **query: Any) -> list[Any]:
        found: list[Any] = self.admin("GET", "/log", **query)
        return found

    def quote(self, symbol: str, bid: Any, ask: Any, bid_size: int = 1000, ask_size: int = 1000) -> Any:
        body = {"symbol": symbol, "bid": bid, "ask": ask, "bid_size": bid_size, "ask_size": ask_size}
        return self.admin("POST", "/quote", body)

    def fault(self, kind: str, **rule: Any) -> Any:
        """Put a fault in force: once, unless the rule says more."""
        return self.admin("POST", "/faults", {"kind": kind, **rule})[0]

    def end_faults(self) -> None:
        self.admin("DELETE", "/faults")

    def submit(self, **order: Any) -> Any:
        """Place an order as any other program would."""
        return self.alpaca("POST", "/v2/orders", {"type": "market", "time_in_force": "day", **order})

    def wait_for(self, look: Callable[[SandboxClient], T | None], what: str = "") -> T:
        """Return what `look` finds as soon as it finds something."""
        end = time.monotonic() + PATIENCE_S
        while not (found := look(self)):
            assert time.monotonic() < end, f"it never came: {what or look}"
            time.sleep(0.01)
        return found

    def wait_for_listener(self, count: int = 1) -> None:
        """Return when so many listen to trade updates."""

        def listens(client: SandboxClient) -> bool:
            links = client.state()["trade_links"]
            return sum(link["listening"] for link in links) == count

        self.wait_for(listens, f"{count} listeners to trade updates")

    def wait_for_subscriber(self, count: int = 1) -> None:
        """Return when so many have subscribed to market data."""

        def subscribed(client: SandboxClient) -> bool:
            return sum(link["listening"] for link in client.state()["data_links"]) == count

        self.wait_for(subscribed, f"{count} subscribers to market data")


def sandbox_config(**options: Any) -> SandboxConfig:
    """Return a configuration; options that are the broker's own (`cash`, `new_delay_ns`, …) go to the broker."""
    fields = set(SandboxConfig.__struct_fields__)
    its_own = {name: options.pop(name) for name in list(options) if name not in fields}
    broker = msgspec.structs.replace(options.pop("broker", BrokerSettings(hours="always")), **its_own)
    return SandboxConfig(broker=broker, **options)


@contextmanager
def running_sandbox(**options: Any) -> Iterator[SandboxClient]:
    """Run a sandbox in a thread of its own; the options are those of SandboxConfig and of BrokerSettings."""
    from ordersmith.adapters.sandbox.alpaca_server import AlpacaSandbox  # aiohttp, where a test wants it

    config = sandbox_config(**options)
    begun: queue.Queue[tuple[Addresses, asyncio.AbstractEventLoop, asyncio.Event] | BaseException] = queue.Queue()

    async def live() -> None:
        sandbox, leave = AlpacaSandbox(config), asyncio.Event()
        addresses = await sandbox.start()
        begun.put((addresses, asyncio.get_running_loop(), leave))
        await leave.wait()
        await sandbox.stop()

    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:  # noqa: BLE001 (it is raised again where the test sees it)
            failed.append(error)
            begun.put(error)

    thread = threading.Thread(target=run, name="sandbox", daemon=True)
    thread.start()
    first = begun.get(timeout=PATIENCE_S)
    if isinstance(first, BaseException):
        thread.join(PATIENCE_S)
        raise first
    addresses, loop, leave = first
    try:
        yield SandboxClient(addresses, config.key, config.secret)
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "the sandbox did not stop"
    if failed:
        raise failed[0]


class SandboxProcess(SandboxClient):
    """`ordersmith sandbox` as a process."""

    def __init__(self, process: subprocess.Popen[str], told: dict[str, Any]) -> None:
        super().__init__(msgspec.convert(told["addresses"], Addresses), told["key"], told["secret"])
        self.process = process

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


RUN = (
    "import argparse,sys; from ordersmith.adapters.sandbox.command import add_parser; p=argparse.ArgumentParser();"
    "add_parser(p.add_subparsers(required=True)); c=p.parse_args(); sys.exit(c.run(c))"
)


@contextmanager
def sandbox_process(*words: str, port: int = 0, cwd: Path | None = None) -> Iterator[SandboxProcess]:
    """Run `ordersmith sandbox --alpaca PORT --json …` as a process, until the end or until it is stopped or killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "sandbox", "--alpaca", str(port), "--json", *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"the sandbox ended with {process.wait(PATIENCE_S)} before it was up"
        yield SandboxProcess(process, json.loads(line))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE_S)
        process.stdout.close()
