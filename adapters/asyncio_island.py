"""Where asyncio-only libraries live: an event loop of their own, in a thread of its own, whatever loop the host runs.

The same on an asyncio host as on a trio host, so that there is one path to test. Calls go over one by one and come back
with a result or an exception. Nothing here blocks the host's loop: not a start, not a call into an island that is
frozen, not the stop of one. A thread that does not end by its deadline is left behind; it is a daemon, so the process
can end, and whoever waited for it is told.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from threading import Thread
from typing import NoReturn, TypeVar, TypeVarTuple

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from ..actors.errors import OrdersmithError

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

STOP_S = 5.0
"""How long calls may go on when the island stops."""

GRACE_S = 1.0
"""How long the cancelled rest may take to end."""


class IslandDown(OrdersmithError):
    """The asyncio thread does not run, or no longer: what a call did there is unknown."""


class Island:
    """An asyncio event loop in a daemon thread, started and stopped once, by its owner or by `open_island`."""

    def __init__(self, name: str = "asyncio-island") -> None:
        self.name = name
        self.open = False
        self._portal: anyio.from_thread.BlockingPortal | None = None
        self._waiting: dict[anyio.CancelScope, None] = {}
        self._quiet = anyio.Event()
        self._ended = anyio.Event()

    async def start(self) -> None:
        """Return when the island's loop runs."""
        if self._portal is not None:
            raise RuntimeError(f"{self.name} was started before; make a new island")
        started: concurrent.futures.Future[anyio.from_thread.BlockingPortal] = concurrent.futures.Future()
        arguments = (started, anyio.lowlevel.current_token())
        Thread(target=self._live, args=arguments, name=self.name, daemon=True).start()
        with anyio.CancelScope(shield=True):  # a loop starts within milliseconds, and a thread cannot be called off
            self._portal = await anyio.to_thread.run_sync(started.result)
        self.open = True

    async def call(self, function: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
        """Run the coroutine function in the island; return what it returns, raise what it raises.

        Cancelling the caller cancels the call in the island and does not wait for that: what it did is unknown. Who has
        to know shields the caller; a stop past its deadline still gets through, as IslandDown.
        """
        if not self.open or self._portal is None:
            raise IslandDown(f"{self.name} is not running")
        with anyio.CancelScope() as waiting:
            self._waiting[waiting] = None
            try:
                outcome = await self._portal.call_async(_outcome, function, *arguments, abandon_on_cancel=True)
            except (RuntimeError, concurrent.futures.CancelledError) as error:  # the portal's: ours is in the outcome
                raise IslandDown(f"{self.name} ended during a call") from error
            finally:
                del self._waiting[waiting]
                if not self._waiting:
                    self._quiet.set()
            return outcome()
        raise IslandDown(f"{self.name} ended, or was left behind, with a call under way")

    async def stop(self, deadline_s: float = STOP_S) -> bool:
        """Take no more calls, let those under way end, cancel the rest at the deadline; return whether the thread ended.

        With a deadline of zero they are cancelled at once. False means that the thread hangs in something that cannot be
        cancelled: it was left behind, and whoever waited for it gets IslandDown. Takes no longer than the deadline and
        two grace times, and a cancelled caller does not cut it short.
        """
        self.open = False
        if self._portal is None:
            return True
        with anyio.CancelScope(shield=True):
            if deadline_s > 0:
                await self._wait_until_quiet(deadline_s)
            with anyio.move_on_after(GRACE_S), suppress(RuntimeError, concurrent.futures.CancelledError):
                await self._portal.call_async(self._portal.stop, True, abandon_on_cancel=True)
            with anyio.move_on_after(GRACE_S):
                await self._ended.wait()
            self._abandon()
        return self._ended.is_set()

    async def _wait_until_quiet(self, deadline_s: float) -> None:
        self._quiet = anyio.Event()
        if self._waiting:
            with anyio.move_on_after(deadline_s):
                await self._quiet.wait()

    def _abandon(self) -> None:
        for waiting in self._waiting:
            waiting.cancel()

    def _after_end(self) -> None:
        """Take note, in the host's loop, that the thread is through: by a stop, or because a call broke its loop."""
        self.open = False
        self._ended.set()
        self._abandon()

    def _live(
        self,
        started: concurrent.futures.Future[anyio.from_thread.BlockingPortal],
        host: anyio.lowlevel.EventLoopToken,
    ) -> None:
        """Be the island's thread."""

        async def serve() -> None:
            async with anyio.from_thread.BlockingPortal() as portal:
                started.set_result(portal)
                await portal.sleep_until_stopped()

        try:
            anyio.run(serve, backend="asyncio")
        except BaseException as error:  # noqa: BLE001 - a thread's end; a call that broke the loop has told its caller
            if not started.done():
                started.set_exception(IslandDown(f"{self.name} could not start: {error}"))
        with suppress(RuntimeError):  # the host's loop may be gone
            anyio.from_thread.run_sync(self._after_end, token=host)


async def _outcome(function: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> Callable[[], T]:
    """Run a call, and return what returns its result or raises its exception.

    An exit stays in its call: in an asyncio task it would take the loop down under all the others.
    """
    try:
        result = await function(*arguments)
    except Exception as error:  # noqa: BLE001 - it is raised where the call was made
        return _raiser(error)
    except (SystemExit, KeyboardInterrupt) as error:
        return _raiser(IslandDown(f"a call tried to end the program: {error!r}"))
    return lambda: result


def _raiser(error: Exception) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail


@asynccontextmanager
async def open_island(name: str = "asyncio-island", stop_s: float = STOP_S) -> AsyncIterator[Island]:
    """Run an island for the length of a block."""
    island = Island(name)
    await island.start()
    try:
        yield island
    finally:
        await island.stop(stop_s)
