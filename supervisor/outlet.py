"""Between the dispatcher and a `run()` actor: the endpoint that takes released commands, and the line that hands them over.

Every `run()` actor has an endpoint, which stays; each incarnation has a line of its own. What a line still held when its task
ended is told to whom the actor speaks: commands in hand have an unknown outcome, those in the channel were certainly not sent.
That a session is lost with it is said of a broker's port alone.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import anyio

from ..actors.ports import Disconnected
from ..adapters.crash_points import crash_point
from ..adapters.io_actor import what_became_of
from .inputs import Posted

if TYPE_CHECKING:
    from .live import LiveRuntime

NOBODY_THERE = "the port is being restarted"

Entry = tuple[Any, int]


class Outlet:
    """The dispatcher's side of one `run()` actor. `speaks_to` is the actor that hears what became of commands.

    One that `holds_session` is a broker's port: without it nobody is connected.
    """

    def __init__(self, runtime: LiveRuntime, speaks_to: str, *, holds_session: bool) -> None:
        self.speaks_to = speaks_to
        self._holds_session = holds_session
        self.line: PortLine | None = None
        self._runtime = runtime

    def accept(self, command: Any, cause: int) -> None:
        """Hand a released command to the present incarnation; send it back if there is none.

        What waits there is bounded by the open orders, and none of it is written after its deadline.
        """
        crash_point(f"released:{type(command).__name__}")
        line = self.line
        if line is None:
            self.bounce(command, cause, in_hand=False, reason=NOBODY_THERE)
        else:
            line.waiting.append((command, cause))
            line.wake()

    def bounce(self, command: Any, cause: int, *, in_hand: bool, reason: str) -> None:
        """Say what became of a command that no port will answer."""
        report = what_became_of(command, in_hand=in_hand, reason=reason)
        if report is not None:
            self._runtime.put(Posted(self.speaks_to, report, cause))

    def open(self) -> PortLine:
        """Return the line of a new incarnation."""
        self.line = PortLine(self._runtime, self.speaks_to)
        return self.line

    def close(self, line: PortLine, reason: str) -> None:
        """Take note that an incarnation ended, and say what became of what it held."""
        if self.line is line:
            self.line = None
        for command, cause in line.in_hand:
            self.bounce(command, cause, in_hand=True, reason=reason)
        for command, cause in line.waiting:
            self.bounce(command, cause, in_hand=False, reason=reason)
        if self._holds_session:
            self._runtime.put(Posted(self.speaks_to, Disconnected(reason)))

    @property
    def is_idle(self) -> bool:
        """Whether no command waits or is in hand."""
        return self.line is None or not (self.line.waiting or self.line.in_hand)


class PortLine:
    """Implements `adapters.io_actor.Line`."""

    def __init__(self, runtime: LiveRuntime, speaks_to: str) -> None:
        self.waiting: deque[Entry] = deque()
        self._runtime = runtime
        self._speaks_to = speaks_to
        self._taken: Entry | None = None
        self._held: list[Entry] = []
        self._news = anyio.Event()

    # --- Commands ------------------------------------------------------------------------------------------------------

    async def receive(self) -> Entry:
        self._taken = None
        while not self.waiting:
            await self._arrival()
        return self._take()

    async def receive_or_idle(self) -> Entry | None:
        self._taken = None
        while not self.waiting:
            if self._runtime.is_idle:
                return None
            with self._runtime.telling_idle(self.wake):
                await self._arrival()
        return self._take()

    async def receive_until(self, deadline_ns: int) -> Entry | None:
        self._taken = None
        clock = self._runtime.clock
        while not self.waiting:
            left_s = clock.seconds_until(deadline_ns)
            if left_s is not None and left_s <= 0:
                return None
            with anyio.move_on_after(left_s):
                await self._arrival()
        return self._take()

    def hold(self, command: Any) -> None:
        if self._taken is not None and self._taken[0] is command:
            self._held.append(self._taken)
            self._taken = None

    def done(self, command: Any) -> None:
        self._held = [entry for entry in self._held if entry[0] is not command]
        self._runtime.look_again()

    @property
    def in_hand(self) -> list[Entry]:
        """The commands whose outcome is open, oldest first."""
        return self._held if self._taken is None else [*self._held, self._taken]

    def wake(self) -> None:
        """Let whoever waits look again."""
        self._news.set()

    def _take(self) -> Entry:
        self._taken = self.waiting.popleft()
        crash_point(f"taken:{type(self._taken[0]).__name__}")
        return self._taken

    async def _arrival(self) -> None:
        self._news = anyio.Event()
        await self._news.wait()

    # --- Reports -------------------------------------------------------------------------------------------------------

    def post(self, report: Any, cause: int = 0) -> None:
        self._runtime.post(self._speaks_to, report, cause)
        crash_point(f"reported:{type(report).__name__}")

    def post_to(self, actor: str, message: Any, cause: int = 0) -> None:
        self._runtime.post(actor, message, cause)

    def epoch(self) -> int | None:
        return self._runtime.epoch()

    def standstill(self) -> str:
        return self._runtime.standstill()

    @property
    def now_ns(self) -> int:
        return self._runtime.clock.now_ns()
