"""What a driver iterates over: the bars of a run, as they come. In a backtest nothing else moves time.

Iterators are classes and no generators: no cancel scope of the host is ever open across a yield, and one that is left in
the middle needs no cleaning up. An executor has one reader at a time, the youngest: two would take bars from each other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Self, TypeVar

from ..actors.bars import Bars
from ..actors.errors import UsageError

if TYPE_CHECKING:
    from .executor import BacktestExecutor

CHECKPOINT_EVERY = 32
"""Bars between two checkpoints, which cost as much as a bar or two each: often enough for a host's timeout to end a long run."""


class Reader:
    """The place of one reader in an executor's data. `aclose` or `close` gives it up; so does a younger reader."""

    def __init__(self, executor: BacktestExecutor) -> None:
        self._executor = executor
        self._closed = False

    def _next(self) -> Bars | None:
        """Move to the end of the next bars, None at the end of the data."""
        if self._closed:
            return None
        executor = self._executor
        if executor.reader is not self:
            raise UsageError(
                "market() was called again since, and an executor has one reader; iterate over the younger one, "
                "or keep one in a variable: market = executor.market()"
            )
        return executor.next_bars()

    def _close(self) -> None:
        self._closed = True
        if self._executor.reader is self:
            self._executor.reader = None


AnyReader = TypeVar("AnyReader", bound=Reader)


class Market(Reader, AsyncIterator[Bars]):
    """`async for bars in executor.market()`: each step moves to the end of the next bars."""

    def __init__(self, executor: BacktestExecutor) -> None:
        super().__init__(executor)
        self._steps = 0
        self._waiting = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Bars:
        if self._waiting:
            raise UsageError("two tasks iterate over one market(); let one of them do it and hand the bars on")
        self._waiting = True
        try:
            bars = await self._arrival()
        finally:
            self._waiting = False
        if bars is None:
            raise StopAsyncIteration
        return bars

    async def aclose(self) -> None:
        """Stop iterating; a new `market()` goes on from here."""
        self._close()

    async def _arrival(self) -> Bars | None:
        if not self._steps % CHECKPOINT_EVERY:
            from anyio.lowlevel import checkpoint  # an event loop is not loaded by programs that have none

            await checkpoint()
        self._steps += 1
        return self._next()


class BlockingMarket(Reader, Iterator[Bars]):
    """`for bars in executor.market()`: each step moves to the end of the next bars."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Bars:
        bars = self._next()
        if bars is None:
            raise StopIteration
        return bars

    def close(self) -> None:
        """Stop iterating; a new `market()` goes on from here."""
        self._close()
