"""The bars of a live system as its reader sees them: the same `async for bars in executor.market()` as in a backtest.

At full speed the reader paces the data, and has seen everything that the last bars brought before the next ones come.
Otherwise bars come when they come: they wait in a buffer with a bound, and what is older is dropped and counted.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self

import anyio
import anyio.lowlevel

from ..actors.bars import Bars
from ..actors.errors import ExecutorClosed, UsageError
from ..adapters.paper.pace import Turns

BOUND = 1_000
"""Bars that wait for a reader that does not come."""

log = logging.getLogger("ordersmith")


class Showing:
    """Where bars are shown: to the youngest reader, and to nobody without one.

    `turns` is there at full speed; `settled` waits until all that was caused is done with. From the start a place is held
    for the first reader, so that no bars pass before it is there; `let_go` gives that up.
    """

    def __init__(self, turns: Turns | None, settled: Callable[[], Awaitable[None]]) -> None:
        self.turns = turns
        self.settled = settled
        self.reader: LiveMarket | None = None
        self.waiting: deque[Bars] = deque()
        self.missed = 0
        self.is_over = False
        self.is_closed = False
        self.news = anyio.Event()
        self._is_asked = False
        self._is_held = turns is not None
        self._is_late = False
        if turns is not None:
            turns.attach()

    # --- From the feed -------------------------------------------------------------------------------------------------

    def show(self, bars: Bars) -> None:
        """Take bars for the reader, if there is one."""
        self._is_asked = False
        if self.reader is None:
            return
        if len(self.waiting) >= BOUND:
            self.waiting.popleft()
            self.missed += 1
            if not self._is_late:
                self._is_late = True
                log.warning("the reader of market() is %s bars behind: the oldest are dropped", BOUND)
        self.waiting.append(bars)
        self.wake()

    def end(self) -> None:
        """Take note that there are no more bars."""
        self.is_over = True
        self.wake()

    def close(self) -> None:
        """Take note that the executor was left."""
        self.is_closed = True
        self.wake()

    def wake(self) -> None:
        """Have who waits look again."""
        news, self.news = self.news, anyio.Event()
        news.set()

    # --- From readers --------------------------------------------------------------------------------------------------

    def let_go(self) -> None:
        """Let bars come while nobody reads."""
        if self._is_held:
            self._is_held = False
            assert self.turns is not None
            self.turns.detach()

    def run_free(self) -> None:
        """Let bars come from now on, whoever reads."""
        self.let_go()
        if self.reader is not None:
            self.leave(self.reader)

    def read(self) -> LiveMarket:
        """Return a new reader, which takes the place of the one before it."""
        if self.turns is not None and self.reader is None and not self._is_held:
            self.turns.attach()
        self._is_held = False
        self.reader = LiveMarket(self)
        self.wake()
        return self.reader

    def leave(self, reader: LiveMarket) -> None:
        """Take note that a reader does not want any more."""
        if self.reader is reader:
            self.reader = None
            self.waiting.clear()
            if self.turns is not None:
                self.turns.detach()
        self.wake()

    def ask(self) -> None:
        """Have the next bars come, if they wait for that; who was called off and asks again has asked once."""
        if self.turns is not None and not self._is_asked:
            self._is_asked = True
            self.turns.ask()

    def take(self) -> Bars | None:
        """Return the oldest bars that wait."""
        self._is_late = False
        return self.waiting.popleft() if self.waiting else None


class LiveMarket(AsyncIterator[Bars]):
    """`async for bars in executor.market()`. `missed` counts the bars that were dropped because nobody read them in time."""

    def __init__(self, showing: Showing) -> None:
        self._showing = showing
        self._missed = showing.missed
        self._is_waiting = self._is_closed = False

    @property
    def missed(self) -> int:
        return self._showing.missed - self._missed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Bars:
        bars = await self.next()
        if bars is None:
            raise StopAsyncIteration
        return bars

    async def next(self) -> Bars | None:
        """Return the next bars, None at the end of the data and after `aclose`."""
        if self._is_waiting:
            raise UsageError("two tasks iterate over one market(); let one of them do it and hand the bars on")
        self._is_waiting = True
        try:
            return await self._arrival()
        finally:
            self._is_waiting = False

    async def aclose(self) -> None:
        """Stop reading. The data go on without a reader, also at full speed; a new `market()` reads what comes then."""
        self._is_closed = True
        self._showing.leave(self)

    async def _arrival(self) -> Bars | None:
        await anyio.lowlevel.checkpoint()
        showing = self._showing
        while self._wants() and not (showing.waiting or showing.is_over):
            showing.ask()
            await showing.news.wait()
        if self._is_closed:
            return None
        if showing.turns is not None:
            await showing.settled()
            self._wants()
        return showing.take()

    def _wants(self) -> bool:
        """Tell whether this reader still reads. Raises ExecutorClosed or UsageError if it cannot."""
        if self._is_closed:
            return False
        if self._showing.is_closed:
            raise ExecutorClosed("the executor was left with its `with` block; open another")
        if self._showing.reader is not self:
            raise UsageError(
                "market() was called again since, and an executor has one reader; iterate over the younger one, "
                "or keep one in a variable: market = executor.market()"
            )
        return True
