"""Where asyncio-only libraries live: an event loop of their own, in a thread of its own, whatever loop the host runs.

The same on an asyncio host as on a trio host, so that there is one path to test. Calls go over one by one and come back
with a result or an exception. Nothing here blocks the host's loop: not a start, not a call into an island that is
frozen, not the stop of one. A thread that does not end by its deadline is left behind; it is a daemon, so the process
can end, and whoever waited for it is told.

anyio's portals can do as much; a call through them takes twice as long, and every commit of the journal is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from threading import Thread
from typing import Any, Generic, NoReturn, TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel

from ..actors.errors import OrdersmithError

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
Work = Callable[[], Coroutine[Any, Any, Callable[[], T]]]
Post = Callable[[Callable[[], object]], object]
"""Has a function called in a loop's own thread, soon; raises RuntimeError if that loop is gone."""

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
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave = asyncio.Event()
        self._waiting: dict[anyio.CancelScope, None] = {}
        self._begun, self._quiet, self._ended = anyio.Event(), anyio.Event(), anyio.Event()
        self._post_to_host: Post = _no_host

    async def start(self) -> None:
        """Return when the island's loop runs."""
        if self._thread is not None:
            raise RuntimeError(f"{self.name} was started before; make a new island")
        self._post_to_host = _post_here()
        self._thread = Thread(target=self._live, name=self.name, daemon=True)
        self._thread.start()
        with anyio.CancelScope(shield=True):  # a loop starts within milliseconds, and a thread cannot be called off
            await self._begun.wait()
        self.open = True

    async def call(self, function: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
        """Run the coroutine function in the island; return what it returns, raise what it raises.

        Cancelling the caller cancels the call in the island and does not wait for that: what it did is unknown. Who has
        to know shields the caller; a stop past its deadline still gets through, as IslandDown.
        """
        return await self.finish(self.begin(function, *arguments))

    def begin(self, function: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> Call[T]:
        """Begin a call at once, without waiting for it; `finish` does. Raises IslandDown."""
        if not self.open or self._loop is None:
            raise IslandDown(f"{self.name} is not running")
        call: Call[T] = Call(self._loop, self._post_to_host, partial(_outcome, function, *arguments))
        call.begin()
        return call

    async def finish(self, call: Call[T]) -> T:
        """Wait for a call that was begun; return what it returns, raise what it raises."""
        with anyio.CancelScope() as waiting:
            self._waiting[waiting] = None
            try:
                if not self._ended.is_set():
                    await call.wait()
            finally:
                del self._waiting[waiting]
                if not self._waiting:
                    self._quiet.set()
        if call.outcome is None:
            raise IslandDown(f"{self.name} ended, or was left behind, with a call under way")
        return call.outcome()

    def tell(self, function: Callable[[], object]) -> None:
        """Have a function called in the host's loop, from a thread of a call: news that need not wait for the call's end."""
        with suppress(RuntimeError):  # the host's loop may be gone
            self._post_to_host(function)

    async def stop(self, deadline_s: float = STOP_S) -> bool:
        """Take no more calls, let those under way end, cancel the rest at the deadline; return whether the thread ended.

        With a deadline of zero they are cancelled at once. False means that the thread hangs in something that cannot be
        cancelled: it was left behind, and whoever waited for it gets IslandDown. Takes no longer than the deadline and a
        grace time, and a cancelled caller does not cut it short.
        """
        self.open = False
        if self._loop is None:
            return True
        with anyio.CancelScope(shield=True):
            if deadline_s > 0 and self._waiting:
                self._quiet = anyio.Event()
                with anyio.move_on_after(deadline_s):
                    await self._quiet.wait()
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._leave.set)
            with anyio.move_on_after(GRACE_S):
                await self._ended.wait()
            self._abandon()
        return self._ended.is_set()

    def _abandon(self) -> None:
        for waiting in self._waiting:
            waiting.cancel()

    def _after_end(self) -> None:
        """Take note, in the host's loop, that the thread is through: by a stop, or because a call broke its loop."""
        self.open = False
        self._ended.set()
        self._abandon()

    def _live(self) -> None:
        """Be the island's thread. Leaving `serve` cancels whatever still runs and waits for it."""

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._post_to_host(self._begun.set)
            await self._leave.wait()

        with suppress(BaseException):  # a thread's end; what broke the loop has been told to asyncio's own handler
            asyncio.run(serve())
        with suppress(RuntimeError):  # the host's loop may be gone
            self._post_to_host(self._after_end)


class Call(Generic[T]):
    """A coroutine on its way through the island's loop. `outcome` is set when it ended by itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop, post_to_host: Post, work: Work[T]) -> None:
        self.outcome: Callable[[], T] | None = None
        self._loop = loop
        self._post_to_host = post_to_host
        self._work = work
        self._task: asyncio.Task[Callable[[], T]] | None = None
        self._done = anyio.Event()

    def begin(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._begin)
        except RuntimeError:  # the loop is closed
            self._done.set()

    async def wait(self) -> None:
        """Return when the coroutine ended, or, if the caller is cancelled, has been told to."""
        try:
            await self._done.wait()
        finally:
            if not self._done.is_set():
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._cancel)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._work())
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end(self, task: asyncio.Task[Callable[[], T]]) -> None:
        if not task.cancelled() and task.exception() is None:
            self.outcome = task.result()
        with suppress(RuntimeError):  # the host's loop may be gone
            self._post_to_host(self._done.set)


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


def heed_cancellation() -> None:
    """Raise the cancellation that the running task was asked for, if something on the way has lost it.

    `asyncio.wait_for` of Python 3.11 loses one that comes together with a result. Code that is called from a library's loop
    around it asks here; our own uses `asyncio.timeout`, which loses none.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _raiser(error: Exception) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail


def _post_here() -> Post:
    """Return how another thread has something called in the loop that is running here: trio's way, or asyncio's."""
    loop: Any = anyio.lowlevel.current_token().native_token
    post: Post = getattr(loop, "run_sync_soon", None) or loop.call_soon_threadsafe
    return post


def _no_host(_: Callable[[], object]) -> NoReturn:
    raise RuntimeError("the island was not started")


@asynccontextmanager
async def open_island(name: str = "asyncio-island", stop_s: float = STOP_S) -> AsyncIterator[Island]:
    """Run an island for the length of a block."""
    island = Island(name)
    await island.start()
    try:
        yield island
    finally:
        await island.stop(stop_s)
