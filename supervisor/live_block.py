"""The life of one live system inside an `async with` of the host's: begin, body, orderly stop.

It owns one task group. The system's tasks run in a shielded scope: whatever ends the body (its end, an exception, the
host's cancellation, Ctrl-C) only asks for the stop and waits for it, and the ladder of the stop is bounded. What the host
asked for a second time meanwhile, by Ctrl-C, breaks the ladder off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
import anyio.abc

from ..actors.errors import ExecutorFailed, OrdersmithError
from .inputs import Stopping
from .interrupts import sheltered
from .live_plan import LiveSystem
from .waiting import tell_of_waiting
from .wind_down import LEAVE, wind_down

RESERVE = 0.25
"""The share of a stop's time that is kept for stopping the tree itself."""

log = logging.getLogger("ordersmith")


class LiveBlock:
    """Runs a system between `begin` and `end`. The body is cancelled when the system fails.

    A stop that has to wait for the broker says `go_on` first: whoever held the data up does so no more. `before_stop` is
    called when only the tree itself is left to stop.
    """

    def __init__(self, system: LiveSystem, *, go_on: Callable[[], None], before_stop: Callable[[], None]) -> None:
        self._system = system
        self._go_on, self._before_stop = go_on, before_stop
        self._group: anyio.abc.TaskGroup
        self._body = anyio.CancelScope()
        self._failure: BaseException | None = None
        self._began, self._over = anyio.Event(), anyio.Event()
        system.runtime.on_failure = self._fail

    async def begin(self, soon: Callable[[], None]) -> None:
        """Return when the system is ready, inside the body's scope; `soon` is called when the body first waits.

        Raises what kept the system from opening, in one piece.
        """
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(sheltered(self._run))
        self._group.start_soon(sheltered(self._watch_ready))
        telling = anyio.CancelScope()
        self._group.start_soon(sheltered(self._tell_of_waiting), telling)
        try:
            await self._began.wait()
        except BaseException:
            telling.cancel()
            await self._stop()
            raise
        telling.cancel()
        if self._over.is_set():
            await self._group.__aexit__(None, None, None)
            raise self._could_not_open()

        async def wait_and_go() -> None:
            soon()

        self._group.start_soon(wait_and_go)
        self._body.__enter__()
        if self._failure is not None:
            self._body.cancel()

    async def end(self, error: BaseException | None) -> bool:
        """Stop in order and say whether `error`, with which the body ended, was our own cancelling.

        Raises ExecutorFailed if the system failed and the body did not end with an exception of its own.
        """
        is_ours, error, is_other = self._leave_body(error)
        await self._stop()
        if self._failure is not None and (error is None or is_ours):
            raise self._failed() from self._failure
        if self._failure is not None and error is not None:
            error.add_note(f"The executor had failed: {self._failure!r}")
        if is_other and error is not None:
            raise error
        return is_ours

    # --- Parts ---------------------------------------------------------------------------------------------------------

    def _leave_body(self, error: BaseException | None) -> tuple[bool, BaseException | None, bool]:
        """Leave the body's scope: was the error our cancelling, what is left of it, and is that another error than it was."""
        kind, trace = (None, None) if error is None else (type(error), error.__traceback__)
        try:
            return bool(self._body.__exit__(kind, error, trace)), error, False
        except BaseException as rest:  # noqa: BLE001 - of a group, what was not our cancelling
            return False, rest, True

    def _fail(self) -> None:
        """Cancel the body: the tree gave up."""
        if self._failure is None:
            self._failure = self._system.runtime.failure
        self._body.cancel()

    def _failed(self) -> ExecutorFailed:
        return ExecutorFailed(f"the supervision tree gave up and trading was halted: {self._failure!r}")

    def _could_not_open(self) -> BaseException:
        if isinstance(self._failure, OrdersmithError) or not isinstance(self._failure, Exception | None):
            return self._failure
        failed = ExecutorFailed(f"the executor did not open: {self._failure!r}")
        failed.__cause__ = self._failure
        return failed

    async def _run(self) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await self._system.run()
            except BaseException as error:  # noqa: BLE001 - it leaves with the `async with`, as one exception
                self._failure = _alone(error)
                self._body.cancel()
            finally:
                self._over.set()

    async def _tell_of_waiting(self, scope: anyio.CancelScope) -> None:
        with scope:
            await tell_of_waiting(self._system)

    async def _watch_ready(self) -> None:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:

                async def first(event: anyio.Event) -> None:
                    await event.wait()
                    group.cancel_scope.cancel()

                group.start_soon(first, self._system.runtime.ready)
                group.start_soon(first, self._over)
            self._began.set()

    async def _stop(self) -> None:
        """Have the ladder climbed down by a task of ours and wait for it, also if the host cancels again and again."""
        self._group.start_soon(sheltered(self._ladder))
        again: BaseException | None = None
        while not self._over.is_set():
            try:
                with anyio.CancelScope(shield=True):
                    await self._over.wait()
            except BaseException as error:  # noqa: BLE001 - raised again below: asyncio cancels in spite of shields
                again = error
                if isinstance(error, KeyboardInterrupt):
                    self._system.runtime.give_up()
        await self._group.__aexit__(None, None, None)
        if again is not None:
            raise again

    async def _ladder(self) -> None:
        service, runtime = self._system.settings.service, self._system.runtime
        within_s = float(service.stop_within)
        with anyio.CancelScope(shield=True):
            ends_at = anyio.current_time() + within_s
            if runtime.ready.is_set() and not self._over.is_set() and runtime.failure is None:
                await self._wind_down(service.on_stop, ends_at - within_s * RESERVE)
            runtime.put(Stopping())
            with move_on_at(ends_at):
                await self._over.wait()
                return
            log.warning("the executor did not stop within %s s and is broken off", service.stop_within)
            runtime.give_up()

    async def _wind_down(self, policy: str, ends_at: float) -> None:
        if policy != LEAVE:
            self._go_on()
        with move_on_at(ends_at):
            await wind_down(self._system, policy)
        self._before_stop()


def move_on_at(deadline: float) -> anyio.CancelScope:
    """Return a scope that ends by itself at this time of the event loop."""
    return anyio.CancelScope(deadline=deadline)


def _alone(error: BaseException) -> BaseException:
    """Return the one error that a group holds, or the group if it holds several."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
