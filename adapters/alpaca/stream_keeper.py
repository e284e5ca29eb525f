"""Keeps one stream of trade updates up, from the host's side: connection after connection, never two, with a pause that grows.

It says when the stream came up, when it is lost and why, and hands over each update in order. What it missed in between is not its
business: whoever hears that it came up reads the account.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import anyio

from ...actors.errors import BrokerAuthError, BrokerUnavailable
from ..asyncio_island import Island, IslandDown
from .access import Access
from .trade_updates import Heartbeat, TradeUpdates

UPDATES_HELD = 10_000
GOODBYE_S = 6.0


class Lost(NamedTuple):
    """Why there is no stream; `was_up` says that there was one, `refused` that the key is not taken."""

    reason: str
    was_up: bool
    refused: bool = False


class StreamKeeper:
    """`came_up` and `lost` are called in the host's loop. `pause_s` are the first pause and the longest, at most.

    `life` counts the connections that came up.
    """

    def __init__(
        self,
        access: Access,
        island: Island,
        heartbeat: Heartbeat,
        pause_s: tuple[float, float],
        came_up: Callable[[], None],
        lost: Callable[[Lost], None],
    ) -> None:
        self.is_up = False
        self.life = 0
        self.why_not = "it is being opened"
        self._access = access
        self._island = island
        self._heartbeat = heartbeat
        self._pause_s = pause_s
        self._came_up = came_up
        self._lost = lost
        self._updates: deque[dict[str, Any]] = deque()
        self._news = anyio.Event()
        self._up = anyio.Event()
        self._life = anyio.CancelScope()
        self._drop_reason = ""

    async def run(self) -> None:
        """Keep the stream up until cancelled."""
        failures = 0
        while True:
            try:
                lost = await self._live()
            finally:
                self.is_up, self._up = False, anyio.Event()
            failures = 1 if lost.was_up else failures + 1
            self.why_not = lost.reason
            self._lost(lost)
            first_s, longest_s = self._pause_s
            pause_s = longest_s if lost.refused else min(first_s * 2 ** min(failures - 1, 10), longest_s)
            await anyio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - so that two who fight do not do it in step

    async def next_update(self) -> dict[str, Any]:
        """Return the next update, in the order in which they came."""
        while not self._updates:
            self._news = anyio.Event()
            await self._news.wait()
        return self._updates.popleft()

    async def wait_up(self, seconds: float) -> bool:
        """Return whether the stream is up, at the latest after so many seconds."""
        if not self.is_up:
            with anyio.move_on_after(seconds):
                await self._up.wait()
        return self.is_up

    def drop(self, reason: str) -> None:
        """Close the connection; another one is opened."""
        self._drop_reason = reason
        self._life.cancel()

    async def _live(self) -> Lost:
        """Have one connection, and return why it ended once it is closed."""
        tell = self._island.tell
        stream = TradeUpdates(
            self._access, self._heartbeat, lambda: tell(self._rise), lambda update: tell(partial(self._hear, update))
        )
        self._life, self._drop_reason = anyio.CancelScope(), ""
        refused, reason = False, ""
        try:
            with self._life:
                await self._island.call(stream.live)
        except BrokerAuthError as error:
            refused, reason = True, str(error)
        except BrokerUnavailable as error:
            reason = str(error)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(GOODBYE_S), suppress(IslandDown):
                await self._island.call(stream.end)
        return Lost(reason or self._drop_reason, self.is_up, refused)

    def _rise(self) -> None:
        self.is_up, self.why_not = True, ""
        self.life += 1
        self._up.set()
        self._came_up()

    def _hear(self, update: dict[str, Any]) -> None:
        self._updates.append(update)
        self._news.set()
        if len(self._updates) > UPDATES_HELD:
            self._updates.clear()
            self.drop("more updates than can be told: the account is read instead")
