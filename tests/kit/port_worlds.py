"""Brokers to try a port against, each with a market that a test moves: the local paper account, and Alpaca's sandbox.

A world has one account, the same for every port that is started on it. Its symbol is "AAPL", at 100 in the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread
from alpaca_sandbox_kit import SandboxClient, running_sandbox
from alpaca_wire import Wire
from paper_kit import ARITHMETIC, MINUTE_NS
from port_host import PortHost

from ordersmith.actors.bars import Bars
from ordersmith.actors.model import Instrument, Order
from ordersmith.actors.ports import Accepted, NewOrder
from ordersmith.adapters.clocks import WallClock
from ordersmith.adapters.io_actor import IoActor
from ordersmith.adapters.paper.account import PaperAccount
from ordersmith.adapters.paper.pace import DataClock, Turns
from ordersmith.adapters.paper.port import PaperPort, Surroundings
from ordersmith.adapters.simulated.exchange import ExchangeRules

SYMBOL = "AAPL"
CASH = Decimal(100_000)
PLENTY = 1e9
FOREVER_NS = 1 << 62

T = TypeVar("T")


class World(Protocol):
    """A broker with one account, and the market that it trades in."""

    host: PortHost

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def trade(self, price: float, volume: float = PLENTY) -> None:
        """Let the market trade so much at the price; what that fills is filled when this returns or soon after."""

    async def end_session(self) -> None:
        """Let the session close."""

    async def orders_named(self, base_id: str) -> list[tuple[str, Decimal, Decimal]]:
        """Return the broker's orders that are legs of this one: (client id, quantity, filled)."""


class _Ahead:
    """A feed with one bar more than was asked for, whose row is filled in when it is to happen."""

    symbols = (SYMBOL,)
    start_ns = 0

    def __init__(self) -> None:
        self.bars: list[Bars] = []

    def __iter__(self) -> Iterator[Bars]:
        index = 0
        while True:
            if index == len(self.bars):
                self.bars.append(Bars(index * MINUTE_NS, (index + 1) * MINUTE_NS, 0, False, {}))
            yield self.bars[index]
            index += 1

    def happen(self, price: float, volume: float, *, closes: bool) -> None:
        """Say what the bars are that come next; they were handed out already, and nobody has looked into them."""
        bars = self.bars[-1]
        bars.rows[SYMBOL] = (price, price, price, price, volume)  # type: ignore[index]
        bars.closes_session = closes


class PaperWorld:
    """The local paper account: bars come when a test lets them, and time stands still between them."""

    def __init__(self, folder: Path) -> None:
        rules = ExchangeRules(cash=CASH, participation=Decimal(1), limit_fill="touch")
        self.feed = _Ahead()
        self.account = PaperAccount(
            folder / "paper.account", rules, {SYMBOL: Instrument()}, self.feed, arithmetic=ARITHMETIC
        )
        self.clock = DataClock(0)
        self.turns = Turns()
        self.turns.attach()
        self.host = PortHost(self._port, self.clock)
        self._shown = 0

    def _port(self) -> PaperPort:
        around = Surroundings(
            known=lambda bars: None,
            matched=lambda bars: None,
            shown=self._note,
            ended=lambda: None,
            next_deadline_ns=lambda: None,
        )
        return PaperPort(self.account, self.clock, around, speed=None, turns=self.turns)

    def _note(self, bars: Bars) -> None:
        self._shown += 1
        self.host.look_again()

    async def open(self) -> None:
        await self.account.open()
        self._shown = 0

    async def close(self) -> None:
        await self.account.close()

    async def trade(self, price: float, volume: float = PLENTY) -> None:
        await self._step(price, volume, closes=False)

    async def end_session(self) -> None:
        await self._step(100.0, 0.0, closes=True)

    async def _step(self, price: float, volume: float, *, closes: bool) -> None:
        before = self._shown
        self.feed.happen(price, volume, closes=closes)
        self.turns.ask()
        while self._shown == before:
            await self.host.news()

    async def orders_named(self, base_id: str) -> list[tuple[str, Decimal, Decimal]]:
        found = self.account.venue.exchange._orders.open.get(base_id)
        return [] if found is None else [(found.wire_id, found.quantity, found.filled)]


class AlpacaWorld:
    """Alpaca's sandbox in a thread, and Alpaca's port with the real SDK. Its methods block no loop."""

    def __init__(self, folder: Path | None = None, **options: Any) -> None:
        self._options = {"prices": "none", **options}
        self.key: str | None = None
        self.secret: str | None = None
        self.instruments: dict[str, Instrument] = {}
        self.sandbox: SandboxClient
        self.host = PortHost(self._port, WallClock())
        self._running: AbstractContextManager[SandboxClient] | None = None
        self.forget()

    def _port(self) -> IoActor:
        from ordersmith.adapters.alpaca.port import AlpacaPort, Surroundings

        around = Surroundings(instruments=self.instruments.update)
        return AlpacaPort(self.sandbox.access(key=self.key, secret=self.secret), self._memory, around)

    def forget(self) -> None:
        """Let the next port know nothing of what the ones before it have seen, as in another process."""
        from ordersmith.adapters.alpaca.port import PortMemory

        self._memory = PortMemory()

    async def open(self) -> None:
        self._running = running_sandbox(**self._options)
        self.sandbox = await anyio.to_thread.run_sync(self._running.__enter__)
        await self.trade(100)

    async def close(self) -> None:
        await self.stop_server()

    async def stop_server(self) -> None:
        """Let nobody be there."""
        running, self._running = self._running, None
        if running is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(running.__exit__, None, None, None)

    async def _do(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        return await anyio.to_thread.run_sync(partial(work, *arguments, **named))

    async def _admin(self, path: str, **body: Any) -> Any:
        return await self._do(self.sandbox.admin, "POST", path, body)

    # --- The market ----------------------------------------------------------------------------------------------------

    async def trade(self, price: float, volume: float = PLENTY) -> None:
        await self._do(self.sandbox.quote, SYMBOL, price - 0.01, price, 1_000_000, int(min(volume, 1_000_000)))

    async def end_session(self) -> None:
        await self._admin("/close_session")

    # --- The broker ----------------------------------------------------------------------------------------------------

    async def orders_named(self, base_id: str) -> list[tuple[str, Decimal, Decimal]]:
        return [
            (order["client_order_id"], Decimal(order["qty"]), Decimal(order["filled_qty"]))
            for order in await self._do(self.sandbox.orders)
            if order["client_order_id"].rpartition(".")[0] == base_id
        ]

    async def fill(self, wire_id: str, quantity: int) -> None:
        """Fill so much of an order at 50, wherever the market is."""
        await self._admin("/fill", client_order_id=wire_id, qty=str(quantity), price="50")

    async def fill_id(self, order_id: str, quantity: int, price: str) -> None:
        await self._admin("/fill", order_id=order_id, qty=str(quantity), price=price)

    async def correct(self, wire_id: str, quantity: str, price: str) -> None:
        """Correct the last execution of an order."""
        await self._admin("/correct", execution_id=await self._id_of(wire_id), qty=quantity, price=price)

    async def bust(self, wire_id: str) -> None:
        """Take back the last execution of an order."""
        await self._admin("/bust", execution_id=await self._id_of(wire_id))

    async def book(self, activity_type: str, **fields: str) -> None:
        await self._admin("/activity", activity_type=activity_type, **fields)

    async def by_hand(self, what: str, order_id: str = "", **terms: str) -> Any:
        """Do what a person does in the dashboard: place, cancel or replace an order."""
        if what == "place":
            order = {"symbol": SYMBOL, "side": "buy", "type": "limit", "time_in_force": "day", **terms}
            return await self._admin("/order", **order)
        return await self._admin(f"/{what}", order_id=order_id, **terms)

    async def strangers_trade(self, executions: int) -> None:
        """Let somebody else's order fill, share by share."""
        order = await self.by_hand("place", symbol="MSFT", qty=str(executions), limit_price="40")
        for _ in range(executions):
            await self.fill_id(order["id"], 1, "40")

    async def _id_of(self, wire_id: str) -> str:
        (order,) = await self._do(self.sandbox.orders, client_order_id=wire_id)
        return str(order["id"])

    # --- Faults and what was seen --------------------------------------------------------------------------------------

    async def fault(self, kind: str, **rule: Any) -> None:
        await self._do(self.sandbox.fault, kind, **rule)

    async def log(self, **query: Any) -> list[Any]:
        return await self._do(self.sandbox.log, **query)

    async def state(self) -> Any:
        return await self._do(self.sandbox.state)

    async def posts(self, wire_id: str) -> int:
        """Return how many times an order of this name was posted, whatever came of it."""
        return len(await self.log(method="POST", client_order_id=wire_id))

    async def until_posted(self, wire_id: str) -> None:
        await self._do(self.sandbox.wait_for, lambda sandbox: sandbox.log(method="POST", client_order_id=wire_id))

    async def until_logged(self, method: str) -> None:
        await self._do(self.sandbox.wait_for, lambda sandbox: sandbox.log(method=method))

    def other_listener(self) -> AbstractContextManager[Any]:
        """Have somebody else listen to the trade updates."""
        return Wire(self.sandbox.addresses, self.sandbox.key, self.sandbox.secret).updates()


# --- What tests of ports do most ---------------------------------------------------------------------------------------


def new(name: str, quantity: Any = 10, *, epoch: int = 0, not_after_ns: int = FOREVER_NS, **terms: Any) -> NewOrder:
    """Return the command to send a first leg: a buy limit order far below the market where nothing else is said."""
    order = Order.buy(SYMBOL, quantity, **{"limit_price": "50", **terms})
    return NewOrder(f"{name}.0", order, not_after_ns, epoch)


async def resting(host: PortHost, name: str, quantity: Any = 10, **terms: Any) -> Accepted:
    """Send an order, and wait until it works at the broker."""
    host.send(new(name, quantity, **terms))
    return await host.told(Accepted, f"{name}.0")


async def ready(host: PortHost) -> str:
    """Open a session, read the account for the first time, and return the cursor: from now on everything is told."""
    await host.connect()
    return (await host.read()).cursor


WORLDS: dict[str, Any] = {"paper": PaperWorld, "alpaca": AlpacaWorld}
