"""The paper broker's port: commands from the runtime, bars from the feed, and the venue that both go to.

A step, the bars of one instant, happens in the order in which a backtest has it (`supervisor/backtest.py`), each part once
all that the part before has caused is done with: what is due before the bars, at its own time; the bars are matched, and
what they bring is told while nobody sees their prices; what arrived inside of them; then everybody is shown the bars.
So at any speed, and above all at full speed, the same orders have the same fate.

Nothing is told before the venue's file has it. What was told to nobody because the process or this actor died is found by
the next session's reading of the account.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import anyio
import anyio.lowlevel

from ...actors.bars import Bars
from ..io_actor import IoActor, Line
from .account import PaperAccount
from .commands import Got, take, tell
from .pace import DataClock, Turns
from .venue import Said

WALL = Fraction(1)


class Surroundings(NamedTuple):
    """What the port tells the runtime, and what it asks of it.

    `known`: last prices as of a restart. `matched`: bars that the venue has matched, whose reports follow. `shown`: bars for
    everybody. `ended`: the data are over. `next_deadline_ns`: when the runtime's next timer is due. `has_begun`: whether the
    account was read and judged, and trading is possible.
    """

    known: Callable[[Bars], None]
    matched: Callable[[Bars], None]
    shown: Callable[[Bars], None]
    ended: Callable[[], None]
    next_deadline_ns: Callable[[], int | None]
    has_begun: Callable[[], bool] = lambda: True


class PaperPort(IoActor):
    """Runs one account at `speed`, times as fast as the wall; None is as fast as the runtime can follow.

    All but the port itself outlives it: another one continues where it was.
    """

    def __init__(
        self,
        account: PaperAccount,
        clock: DataClock,
        surroundings: Surroundings,
        *,
        speed: Fraction | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._account = account
        self._clock = clock
        self._around = surroundings
        self._speed = speed
        self._turns = Turns() if turns is None else turns

    async def run(self, line: Line) -> None:
        """Trade until cancelled. Without a port time runs as fast as the wall, so that what waits for it can happen."""
        self._clock.stop()
        try:
            await self._account.start()
            self._clock.set(self._account.now_ns)
            prices = self._account.prices()
            if prices is not None:
                self._around.known(prices)
            await self._trade(line)
        finally:
            self._clock.run(WALL)

    async def _trade(self, line: Line) -> None:
        account = self._account
        await self._begin(line)
        while (bars := account.next_bars()) is not None:
            await self._settle(line)
            if self._speed is None:
                await self._wait_for_turn(line)
                await self._jump(line, bars)
            else:
                await self._drift(line, bars, self._speed)
                await self._settle(line)
            await self._step(line, bars)
        await self._settle(line)
        await account.commit()
        self._around.ended()
        await self._answer_on(line)

    async def _answer_on(self, line: Line) -> None:
        """Keep answering after the data's end; at full speed time stands still there."""
        if self._speed is not None:
            self._clock.run(self._speed)
        while True:
            due_ns = None if self._speed is None else self._account.venue.next_due_ns()
            got = await line.receive() if due_ns is None else await line.receive_until(due_ns)
            if got is not None:
                await self._take(line, got)
            elif due_ns is not None:
                self._tell(line, await self._account.deliver(due_ns))

    async def _begin(self, line: Line) -> None:
        """Have time go on where the beginning waits for it: for a second read of the account, say, which brings no bars."""
        while not self._around.has_begun():
            got = await line.receive_or_idle()
            if got is not None:
                await self._take(line, got)
            elif not self._around.has_begun() and (deadline_ns := self._next_deadline_ns()) is not None:
                self._clock.set(deadline_ns)
                self._tell(line, await self._account.deliver(deadline_ns))
                await anyio.lowlevel.checkpoint()

    # --- Between bars --------------------------------------------------------------------------------------------------

    async def _wait_for_turn(self, line: Line) -> None:
        """Wait until the next bars may come, and until what was asked for before is done with."""
        while not self._turns.is_free:
            got = await self._receive_or_turn(line)
            if got is not None:
                await self._take(line, got)
        self._turns.take()
        await self._settle(line)

    async def _receive_or_turn(self, line: Line) -> Got | None:
        got: Got | None = None

        async def wait() -> None:
            await self._turns.wait()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            got = await line.receive()
            group.cancel_scope.cancel()
        return got

    async def _jump(self, line: Line, bars: Bars) -> None:
        """Let happen, each at its own time, what is due before the bars end."""
        while (deadline_ns := self._next_deadline_ns()) is not None and deadline_ns < bars.end_ns:
            self._clock.set(deadline_ns)
            self._tell(line, await self._account.deliver(deadline_ns, bars.start_ns))
            await self._settle(line)
            await anyio.lowlevel.checkpoint()

    def _next_deadline_ns(self) -> int | None:
        found = (self._around.next_deadline_ns(), self._account.venue.next_due_ns())
        return min((each for each in found if each is not None), default=None)

    async def _drift(self, line: Line, bars: Bars, speed: Fraction) -> None:
        """Let time run up to the end of the bars."""
        self._clock.run(speed, bars.end_ns)
        while True:
            due_ns = self._account.venue.next_due_ns()
            is_due = due_ns is not None and due_ns < bars.end_ns
            until_ns = due_ns if is_due and due_ns is not None else bars.end_ns
            got = await line.receive_until(until_ns)
            if got is not None:
                await self._take(line, got)
            elif is_due:
                self._tell(line, await self._account.deliver(until_ns, bars.start_ns))
            else:
                return

    # --- Bars ----------------------------------------------------------------------------------------------------------

    async def _step(self, line: Line, bars: Bars) -> None:
        """Let the bars end. Between the clock's move and the last word about the bars nothing else can happen."""
        account = self._account
        said = account.match(bars)
        if said or self._speed is not None or account.lags:
            await account.commit()
        self._clock.set(bars.end_ns)
        self._around.matched(bars)
        self._tell(line, said)
        if said:
            await self._settle(line)
            account.venue.shown(bars)
        if account.venue.has_latency:
            self._tell(line, await account.deliver_late(bars.end_ns))
            await self._settle(line)
        self._around.shown(bars)
        account.given(bars.end_ns)

    # --- Commands ------------------------------------------------------------------------------------------------------

    async def _settle(self, line: Line) -> None:
        """Take commands until nothing is left to do at this instant."""
        while (got := await line.receive_or_idle()) is not None:
            await self._take(line, got)

    async def _take(self, line: Line, got: Got) -> None:
        await take(self._account, line, got)

    def _tell(self, line: Line, said: list[Said]) -> None:
        tell(line, said)
