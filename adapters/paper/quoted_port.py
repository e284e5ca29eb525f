"""The paper broker's port on live quotes, on the wall's clock: commands from the runtime, quotes from a feed.

Between two commands and quotes it lets happen what is due: sessions that open and close, commands that were under way.
Nothing is told before the venue's file has it.
"""

from __future__ import annotations

from collections.abc import Iterable

import anyio
import anyio.lowlevel

from ...actors.quotes import Quote
from ..io_actor import IoActor, Line
from .commands import Got, take, tell
from .quoted_account import QuotedAccount


class QuoteBox:
    """Quotes on their way from a feed to whoever trades on them; of each symbol only the newest waits."""

    def __init__(self) -> None:
        self._newest: dict[str, Quote] = {}
        self._news = anyio.Event()

    def put(self, quotes: Iterable[Quote]) -> None:
        """Take quotes, in the loop that `wait` is in."""
        for quote in quotes:
            self._newest[quote.symbol] = quote
        self._news.set()

    def take(self) -> tuple[Quote, ...]:
        """Take out what waits."""
        newest, self._newest = self._newest, {}
        return tuple(newest.values())

    async def wait(self) -> None:
        """Wait until there are quotes."""
        while not self._newest:
            self._news = anyio.Event()
            await self._news.wait()


class QuotedPort(IoActor):
    """Runs one account. Account and box outlive it: another one continues where it was."""

    def __init__(self, account: QuotedAccount, box: QuoteBox) -> None:
        self._account = account
        self._box = box

    async def run(self, line: Line) -> None:
        """Trade until cancelled."""
        account = self._account
        await account.start()
        while True:
            tell(line, await account.pass_time(line.now_ns))
            quotes = self._box.take()
            if quotes:
                tell(line, await account.quotes(quotes, line.now_ns))
            got = await self._next(line)
            if got is not None:
                await take(account, line, got)
            await anyio.lowlevel.checkpoint()

    async def _next(self, line: Line) -> Got | None:
        """Wait for a command, and return None when quotes come before one, or something is due."""
        got: Got | None = None

        async def wait() -> None:
            await self._box.wait()
            group.cancel_scope.cancel()

        due_ns = self._account.next_change_ns()
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            got = await (line.receive() if due_ns is None else line.receive_until(due_ns))
            group.cancel_scope.cancel()
        return got
