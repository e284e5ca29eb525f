"""The paper port on live quotes: commands, quotes and sessions as they come, on a line that the test holds."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from paper_kit import ARITHMETIC
from quote_kit import CLOSE, DAY, FOREVER, OPEN, SECOND, DaySessions, fills, kinds, quote

from ordersmith.actors.model import Instrument, Order, as_datetime
from ordersmith.actors.ports import Connect, NewOrder
from ordersmith.adapters.paper.quoted_account import AnySymbol, QuotedAccount
from ordersmith.adapters.paper.quoted_port import QuoteBox, QuotedPort
from ordersmith.adapters.simulated.rules import ExchangeRules

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: Any) -> Any:
    return request.param


class Line:
    """A runtime of a few lines, whose time stands still until the test sets it."""

    def __init__(self) -> None:
        self.now_ns = OPEN
        self.queue: deque[tuple[Any, int]] = deque()
        self.said: list[Any] = []
        self.held: list[Any] = []
        self.trading_epoch: int | None = 0
        self._news = anyio.Event()
        self._posted = anyio.Event()
        self._waits = anyio.Event()
        self._is_waited_for = False

    def send(self, command: Any) -> None:
        self.queue.append((command, 1))
        self._news.set()

    def set(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self._news.set()

    async def until(self, count: int) -> list[str]:
        """Wait until so much was said, and return what."""
        with anyio.fail_after(10):
            while len(self.said) < count:
                self._posted = anyio.Event()
                await self._posted.wait()
        await self.quiet()
        return kinds(self.said)

    async def quiet(self) -> None:
        """Wait until the port waits: a thread that it has at work is nothing that blocked tasks tell of."""
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(10):
            while not self._is_waited_for:
                self._waits = anyio.Event()
                await self._waits.wait()
                await anyio.wait_all_tasks_blocked()

    async def _arrival(self) -> None:
        self._news = anyio.Event()
        self._is_waited_for = True
        self._waits.set()
        try:
            await self._news.wait()
        finally:
            self._is_waited_for = False

    async def receive(self) -> tuple[Any, int]:
        while not self.queue:
            await self._arrival()
        return self.queue.popleft()

    async def receive_until(self, deadline_ns: int) -> tuple[Any, int] | None:
        while not self.queue:
            if self.now_ns >= deadline_ns:
                return None
            await self._arrival()
        return self.queue.popleft()

    def hold(self, command: Any) -> None:
        self.held.append(command)

    def done(self, command: Any) -> None:
        self.held.remove(command)

    def epoch(self) -> int | None:
        return self.trading_epoch

    def standstill(self) -> str:
        return "" if self.trading_epoch is not None else "trading was halted"

    def post(self, report: Any, cause: int = 0) -> None:
        self.said.append(report)
        self._posted.set()


@asynccontextmanager
async def running(folder: Path, **rules: Any) -> AsyncIterator[tuple[Line, QuoteBox]]:
    made = ExchangeRules(cash=Decimal(100_000), **rules)
    account = QuotedAccount(
        folder / "paper.db",
        made,
        AnySymbol(Instrument(), {}),
        DaySessions(),
        arithmetic=ARITHMETIC,
        fresh_ns=60 * SECOND,
    )
    await account.open()
    line, box = Line(), QuoteBox()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(QuotedPort(account, box).run, line)
            await line.quiet()
            yield line, box
            group.cancel_scope.cancel()
    finally:
        await account.close()


def buy(name: str, quantity: int = 10, limit: str | None = None) -> NewOrder:
    return NewOrder(f"{name}.1", Order.buy("A", quantity, limit), FOREVER, 0)


async def test_quotes_that_come_fill_what_waits(tmp_path: Path) -> None:
    """Commands and quotes are taken as they come, and what they bring is told."""
    async with running(tmp_path) as (line, box):
        line.send(Connect())
        assert await line.until(1) == ["Connected"]
        box.put([quote()])
        line.send(buy("b", 10, "10.05"))
        assert await line.until(2) == ["Connected", "Accepted"]
        box.put([quote(bid=9.9, ask=10.0)])
        await line.until(3)
        assert fills(line.said) == [("b.1", "10", "10.0")]
        assert not line.held


async def test_only_the_newest_quote_of_a_symbol_waits(tmp_path: Path) -> None:
    """Between two looks a price may have come and gone: nobody could have traded on it."""
    async with running(tmp_path) as (line, box):
        box.put([quote(ask=10.5, bid=10.4)])
        await line.quiet()
        line.send(buy("b", 10, "10.20"))
        await line.until(1)
        box.put([quote(bid=9.9, ask=10.0), quote("B")])
        box.put([quote(bid=10.3, ask=10.4)])
        line.send(Connect())
        assert await line.until(2) == ["Accepted", "Connected"]


async def test_a_session_ends_when_its_time_comes(tmp_path: Path) -> None:
    """Nobody has to send anything for a DAY order to expire."""
    async with running(tmp_path) as (line, box):
        box.put([quote()])
        await line.quiet()
        line.send(buy("b", 10, "9.00"))
        await line.until(1)
        line.set(CLOSE)
        assert await line.until(2) == ["Accepted", "Expired"]


async def test_what_is_under_way_arrives_in_time(tmp_path: Path) -> None:
    """With a latency the order meets the quote that stands when it arrives."""
    async with running(tmp_path, latency_submit_ns=2 * SECOND) as (line, box):
        box.put([quote()])
        await line.quiet()
        line.send(buy("b"))
        await line.quiet()
        assert not line.said
        box.put([quote(ask=10.2)])
        await line.quiet()
        line.set(OPEN + 2 * SECOND)
        await line.until(2)
        assert fills(line.said) == [("b.1", "10", "10.2")]


async def test_an_order_that_waits_for_the_opening_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says when the market opens and what trades before; orders after it until then wait without a word, and later ones not at all."""
    async with running(tmp_path) as (line, box):
        box.put([quote()])
        await line.quiet()
        line.send(buy("early"))
        await line.until(2)  # taken and filled: the session is open
        assert not caplog.records
        line.set(CLOSE)
        await line.quiet()
        terms = {"extended_hours": True, "time_in_force": "GTC"}
        line.send(NewOrder("x.1", Order.buy("A", 1, "9.00", **terms), FOREVER, 0))
        line.send(NewOrder("o.1", Order.buy("A", 1, time_in_force="OPG"), FOREVER, 0))
        line.send(NewOrder("r.1", Order.buy("A", 1), 0, 0))  # which is too late
        assert (await line.until(5))[2:] == ["Accepted", "Accepted", "NotSent"]
        assert not caplog.records
        for number, name in enumerate(("b", "c")):
            line.send(buy(name))
            await line.until(6 + number)
        (told,) = caplog.records
        assert told.levelname == "WARNING"
        opens = as_datetime(DAY + OPEN).strftime("%Y-%m-%d %H:%M UTC")
        assert (
            f"MARKET BUY 10 A () waits for the opening, and so does every order until then: EVERY is closed and opens at {opens};"
            in (told.getMessage())
        )
        assert 'data.calendar: "24/7" trades always' in told.getMessage()
        line.set(DAY + CLOSE)
        await line.quiet()
        line.send(buy("d", 10))
        await line.quiet()
        assert len(caplog.records) == 2


async def test_under_no_epoch_nothing_is_sent(tmp_path: Path) -> None:
    """What the gate approved before a halt is not written after it."""
    async with running(tmp_path) as (line, box):
        box.put([quote()])
        await line.quiet()
        line.trading_epoch = None
        line.send(buy("b"))
        assert await line.until(1) == ["NotSent"]
