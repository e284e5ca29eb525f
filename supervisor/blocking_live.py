"""Paper and live trading for programs without an event loop: the executor lives in a thread of its own, with a loop of its own.

Calls come from any thread and wait for their answer. Ctrl-C abandons the wait, never the order: what became of that is
asked by id. A program that ends without closing the executor stops it in order on its way out.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Generic, Literal, Self, TypeVar

import anyio
import anyio.abc

from ..actors.actor import Record
from ..actors.bars import Bars
from ..actors.errors import ExecutorClosed, ExecutorFailed, UsageError
from ..actors.model import OrderStatus
from .blocking import BlockingCalls
from .events_stream import Events
from .live_executor import CLOSED, LiveExecutor
from .live_market import LiveMarket

T = TypeVar("T")

LOOK_S = 0.2
"""How long a waiting thread may not hear of Ctrl-C."""

GRACE_S = 10.0
"""What closing the journal may take after the stop's own deadline, with a disk that hangs."""


class BlockingLiveExecutor(BlockingCalls):
    """A live executor whose methods are plain functions, for any thread without an event loop.

    If trading fails for good, the next call raises ExecutorFailed, and so does `close`.
    """

    _executor: LiveExecutor

    def __init__(self, executor: LiveExecutor) -> None:
        self._executor = executor
        self._post: Callable[..., object]
        self._group: anyio.abc.TaskGroup
        self._leave: anyio.Event
        self._lock = threading.Lock()
        self._waiting: dict[_Call[Any], None] = {}
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, name="ordersmith executor", daemon=True)
        self._failure: BaseException | None = None
        self._is_left = self._is_over = False

    # --- Life ----------------------------------------------------------------------------------------------------------

    def open(self) -> Self:
        """Start the thread and return when the executor is ready. Raises what kept it from opening."""
        _refuse_event_loop()
        self._thread.start()
        try:
            _result(self._opened)
        except BaseException:
            self._ask_to_leave()
            raise
        atexit.register(self.close)
        return self

    def close(self, error: BaseException | None = None) -> None:
        """Stop in order and return when that is done; a second call does nothing.

        Raises ExecutorFailed if trading had failed and the caller has no `error` of its own. Ctrl-C abandons this wait,
        too; the stop goes on, and is waited for when the program ends.
        """
        is_first, self._is_left = not self._is_left, True
        self._ask_to_leave()
        atexit.unregister(self.close)
        if self._failure is None or not is_first:
            return
        if error is None:
            raise self._failure
        error.add_note(f"The executor had failed: {self._failure!r}")

    @property
    def left(self) -> tuple[OrderStatus, ...]:
        """The orders that stayed open at the broker when the executor was closed."""
        return self._executor.left

    # --- Time and prices -----------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time of the clock that orders are traded by, aware, UTC."""
        return self._here(lambda: self._executor.now)

    @property
    def now_ns(self) -> int:
        """The same, nanoseconds UTC."""
        return self._here(lambda: self._executor.now_ns)

    def market(self) -> BlockingReader[Bars]:
        """Return an iterator over the bars as they are shown; see `LiveExecutor.market`."""
        return BlockingReader(self, self._here(self._executor.market))

    def events(self, after: int = 0) -> BlockingReader[Record]:
        """Return an iterator over the durable records above `after`; see `LiveExecutor.events`."""
        return BlockingReader(self, self._here(lambda: self._executor.events(after)))

    # --- In doubt ------------------------------------------------------------------------------------------------------

    def resolve_order(
        self,
        order_id: str,
        verdict: Literal["absent", "filled", "release"],
        reason: str,
        *,
        quantity: Decimal | int | str | None = None,
        price: Decimal | int | str | None = None,
    ) -> OrderStatus:
        """See `LiveExecutor.resolve_order`."""
        return self._outcome(self._executor.resolve_order(order_id, verdict, reason, quantity=quantity, price=price))

    def resolve_symbol(self, symbol: str, verdict: Literal["adopt", "release"], reason: str) -> None:
        """See `LiveExecutor.resolve_symbol`."""
        self._outcome(self._executor.resolve_symbol(symbol, verdict, reason))

    # --- Calls ---------------------------------------------------------------------------------------------------------

    def _outcome(self, call: Coroutine[Any, Any, T]) -> T:
        return _result(self._start(call).future)

    def read(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for something that may be called off: who abandons the wait has read nothing."""
        started = self._start(call)
        try:
            return _result(started.future)
        except BaseException:
            with suppress(RuntimeError):  # the loop has ended
                self._post(started.call_off)
            raise

    def _start(self, call: Coroutine[Any, Any, T]) -> _Call[T]:
        """Have a coroutine run in the executor's thread. Its future is answered, whatever becomes of the thread."""
        started = _Call(call)
        try:
            _refuse_event_loop()
            with self._lock:
                self._check()
                self._waiting[started] = None
            self._post(self._begin, started)
        except BaseException:
            call.close()
            raise
        return started

    def _check(self) -> None:
        if self._is_left:
            raise ExecutorClosed(CLOSED)
        if self._failure is not None:
            raise self._failure
        if self._is_over:
            raise ExecutorClosed(CLOSED)
        if not self._opened.done():
            raise UsageError("the executor is not open; call open(), or use it in a `with` block")

    def _here(self, function: Callable[[], T]) -> T:
        """Call a plain function in the executor's thread."""

        async def call() -> T:
            return function()

        return self._outcome(call())

    # --- Thread --------------------------------------------------------------------------------------------------------

    def _live(self) -> None:
        """Be the executor's thread. In its end everybody is answered who still waits."""
        try:
            anyio.run(self._main)
            failure: BaseException = ExecutorClosed(CLOSED)
        except BaseException as error:  # noqa: BLE001 - raised to who opens, calls or closes
            self._failure = failure = error
        with self._lock:
            self._is_over = True
            waiting, self._waiting = self._waiting, {}
        for started in waiting:
            started.abandon(failure)
        if not self._opened.done():
            self._opened.set_exception(failure)

    async def _main(self) -> None:
        self._leave = anyio.Event()
        # What is posted runs in this loop's context, by which anyio knows the loop, and not in that of whoever posts it.
        self._post = partial(asyncio.get_running_loop().call_soon_threadsafe, context=contextvars.copy_context())
        async with self._executor, anyio.create_task_group() as self._group:
            self._opened.set_result(None)
            await self._leave.wait()
            self._group.cancel_scope.cancel()

    def _begin(self, started: _Call[Any]) -> None:
        with suppress(RuntimeError):  # the group has ended: it is answered at the thread's end
            self._group.start_soon(self._carry, started)

    async def _carry(self, started: _Call[Any]) -> None:
        await started.run()
        with self._lock:
            self._waiting.pop(started, None)

    def _ask_to_leave(self) -> None:
        """Have the thread leave its block, and wait until it has ended."""
        if hasattr(self, "_post"):
            with suppress(RuntimeError):  # it has left by itself
                self._post(self._leave.set)
        ends_at = time.monotonic() + float(self._executor.settings.service.stop_within) + GRACE_S
        while self._thread.is_alive() and time.monotonic() < ends_at:
            self._thread.join(LOOK_S)


class _Call(Generic[T]):
    """A coroutine that somebody in another thread waits for."""

    def __init__(self, call: Coroutine[Any, Any, T]) -> None:
        self.future: Future[T] = Future()
        self._call = call
        self._scope: anyio.CancelScope | None = None

    async def run(self) -> None:
        """Run it and answer. One that is cancelled is answered too: the executor stops, or nobody waits."""
        try:
            with anyio.CancelScope() as self._scope:
                self.future.set_result(await self._call)
        except Exception as error:  # noqa: BLE001 - it is raised where the call was made
            self.future.set_exception(error)
        finally:
            if not self.future.done():
                self.abandon(None)

    def call_off(self) -> None:
        """Cancel it; in its own thread. It has begun by then, as calls begin in order."""
        if self._scope is not None:
            self._scope.cancel()

    def abandon(self, cause: BaseException | None) -> None:
        """Answer that the executor stopped first."""
        self._call.close()
        failed = ExecutorFailed("the executor stopped before it answered; look the orders up by id")
        failed.__cause__ = cause
        with suppress(InvalidStateError):
            self.future.set_exception(failed)


class BlockingReader(Iterator[T], Generic[T]):
    """What `market()` and `events()` return: `for … in`, until the end or `close`."""

    def __init__(self, executor: BlockingLiveExecutor, reader: LiveMarket | Events) -> None:
        self._executor = executor
        self._reader: Any = reader

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        item: T | None = self._executor.read(self._reader.next())
        if item is None:
            raise StopIteration
        return item

    @property
    def missed(self) -> int:
        """How many bars were dropped because nobody read them in time."""
        return int(self._reader.missed)

    def close(self) -> None:
        """Stop reading."""
        self._executor.read(self._reader.aclose())


def _result(future: Future[T]) -> T:
    """Wait for a result. Where another thread takes the signal, Ctrl-C does not end a wait: so this looks up now and then."""
    while not future.done():
        with suppress(TimeoutError):
            future.exception(LOOK_S)
    return future.result()


def _refuse_event_loop() -> None:
    """Raise UsageError in a thread whose event loop a waiting call would bring to a halt."""
    try:
        anyio.get_current_task()
    except anyio.NoEventLoopError:
        return
    raise UsageError(
        "a blocking call inside a running event loop would bring it to a halt, the calling program's or the executor's; "
        "use `async with open_executor(...)` there, or call from a thread without a loop"
    )
