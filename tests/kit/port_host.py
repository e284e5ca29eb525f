"""The runtime around one broker port, of a few lines: the real outlet and line, and a list of what the port says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar, cast

import anyio

from ordersmith.actors.ports import Connect, Connected, OrderReport
from ordersmith.actors.snapshots import AccountSnapshot, SnapshotFailed, SyncAccount
from ordersmith.adapters.clocks import Clock
from ordersmith.adapters.io_actor import IoActor
from ordersmith.supervisor.inputs import Posted
from ordersmith.supervisor.live import LiveRuntime
from ordersmith.supervisor.outlet import Outlet, PortLine

R = TypeVar("R")
PATIENCE_S = 10.0
CONNECTION = "connection/main"


class PortHost:
    """Starts ports one after the other, hands them commands, and keeps what they report."""

    def __init__(self, make: Callable[[], IoActor], clock: Clock) -> None:
        self.make = make
        self.clock = clock
        self.reports: list[Any] = []
        self.others: list[tuple[str, Any]] = []
        self.trading_epoch: int | None = 0
        self.group: Any = None
        self._outlet = Outlet(cast(LiveRuntime, self), CONNECTION, holds_session=True)
        self._news = anyio.Event()
        self._port: anyio.CancelScope | None = None
        self._ended = anyio.Event()

    # --- As the test ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[PortHost]:
        """Run a first port, and whichever is there at the end of the block no longer."""
        async with anyio.create_task_group() as self.group:
            self.start()
            yield self
            await self.kill()

    def start(self) -> None:
        """Start a port."""
        self._port, self._ended = anyio.CancelScope(), anyio.Event()
        self.group.start_soon(self._run, self._outlet.open(), self._port, self._ended)

    async def kill(self) -> None:
        """Let the port die as an actor does, wherever it is, and wait until it is gone."""
        if self._port is not None:
            self._port.cancel()
            with anyio.fail_after(PATIENCE_S):
                await self._ended.wait()
            self._port = None

    async def _run(self, line: PortLine, scope: anyio.CancelScope, ended: anyio.Event) -> None:
        try:
            with scope:
                await self.make().run(line)
        finally:
            self._outlet.close(line, "the port died")
            ended.set()

    def send(self, command: Any) -> None:
        self._outlet.accept(command, 0)

    async def heard(
        self, kind: type[R], holds: Callable[[R], Any] = lambda report: True, *, within: float = PATIENCE_S
    ) -> R:
        """Wait for the first report of a kind that holds, among all that were heard and will be."""
        with anyio.move_on_after(within):
            while True:
                for report in self.reports:
                    if isinstance(report, kind) and holds(report):
                        return report
                await self.news()
        raise AssertionError(f"no such {kind.__name__} within {within} s; heard: {self.reports}")

    async def news(self) -> None:
        """Wait until the port has said something, or something has moved."""
        self._news = anyio.Event()
        await self._news.wait()

    async def told(self, kind: type[R], wire_id: str, *, within: float = PATIENCE_S) -> R:
        """Wait for the first report of a kind about an order."""
        return await self.heard(kind, lambda report: cast(OrderReport, report).wire_id == wire_id, within=within)

    def about(self, base_id: str, *kinds: type) -> list[Any]:
        """Return the reports on an order, all legs, so far."""
        return [
            report
            for report in self.reports
            if isinstance(report, kinds or OrderReport) and report.wire_id.rpartition(".")[0] == base_id
        ]

    async def connect(self) -> Connected:
        """Open the session and wait until it is open."""
        self.send(Connect())
        return await self.heard(Connected)

    async def read(self, after: str = "", *, within: float = PATIENCE_S) -> AccountSnapshot:
        """Read the account, again while that fails."""
        with anyio.fail_after(within):
            while True:
                answer = await self.read_once(after)
                if isinstance(answer, AccountSnapshot):
                    return answer
                await anyio.sleep(0.05)  # the port says that it cannot yet

    async def read_once(self, after: str = "") -> AccountSnapshot | SnapshotFailed:
        """Read the account, and return what came of it."""
        as_of = 1 + sum(isinstance(report, AccountSnapshot | SnapshotFailed) for report in self.reports)
        self.send(SyncAccount(as_of, after))
        answer = await self.heard(object, lambda report: getattr(report, "as_of", 0) == as_of)
        return cast(AccountSnapshot | SnapshotFailed, answer)

    # --- As the runtime ------------------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        return self._outlet.line is None or not self._outlet.line.waiting

    @contextmanager
    def telling_idle(self, wake: Callable[[], None]) -> Iterator[None]:
        yield

    def look_again(self) -> None:
        self._news.set()

    def epoch(self) -> int | None:
        return self.trading_epoch

    def standstill(self) -> str:
        return "" if self.trading_epoch is not None else "trading was halted"

    def post(self, actor: str, message: Any, cause: int = 0) -> None:
        if actor == CONNECTION:
            self.reports.append(message)
        else:
            self.others.append((actor, message))
        self._news.set()

    def put(self, made: Any) -> None:
        assert isinstance(made, Posted)
        self.post(made.actor, made.message, made.cause)
