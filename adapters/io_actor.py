"""Actors that touch the outside world: an `Actor` with an `async def run()`, its own task and its own channel.

`run` gets a `Line`, which is all that it has of the runtime. It decides nothing: it translates, does I/O, and says what it
saw. What it raises is a crash of the actor, and its supervisor starts another incarnation after a backoff. Nothing in a
channel outlives an incarnation: what became of each command that it held is said by `what_became_of`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Never, Protocol

from ..actors.actor import Actor
from ..actors.ports import CancelRequest, CommandKind, NewOrder, NotSent, OutcomeUnknown, ReplaceRequest

KIND_OF: dict[type, CommandKind] = {
    NewOrder: CommandKind.NEW,
    CancelRequest: CommandKind.CANCEL,
    ReplaceRequest: CommandKind.REPLACE,
}
"""The commands whose outcome matters; all others are simply asked again."""


class Line(Protocol):
    """What a `run()` actor has of the runtime. It belongs to one incarnation and one task."""

    async def receive(self) -> tuple[Any, int]:
        """Return the next command and its cause. The one before counts as dealt with, unless it is on `hold`."""

    async def receive_or_idle(self) -> tuple[Any, int] | None:
        """Return the next command, or None once the dispatcher, the journal and all channels are idle."""

    async def receive_until(self, deadline_ns: int) -> tuple[Any, int] | None:
        """Return the next command, or None at `deadline_ns` of the runtime's clock."""

    def hold(self, command: Any) -> None:
        """Keep a command in hand beyond the next `receive`: it is under way, its outcome is open."""

    def done(self, command: Any) -> None:
        """Let go of a command on `hold`: what became of it has been said."""

    def post(self, report: Any, cause: int = 0) -> None:
        """Say something to the actor that this one speaks to: a broker port to its connection."""

    def post_to(self, actor: str, message: Any, cause: int = 0) -> None:
        """Say something to another actor."""

    def epoch(self) -> int | None:
        """Return the present trading epoch, None while nothing may be sent; ask immediately before a write."""

    def standstill(self) -> str:
        """Say why nothing may be sent, "" while `epoch` has one."""

    @property
    def now_ns(self) -> int:
        """The time of the runtime's clock."""


class IoActor(Actor[Never]):
    """Base of the actors with a `run()`. `speaks_to` names the actor that gets what it posts."""

    speaks_to: ClassVar[str] = ""

    async def run(self, line: Line) -> None:
        """Do I/O until cancelled. Returning is a crash like any other: a `run()` actor has nothing to be finished with."""
        raise NotImplementedError(f"{type(self).__name__} has no run()")


def what_became_of(command: Any, *, in_hand: bool, reason: str) -> OutcomeUnknown | NotSent | None:
    """Return what to say of a command whose port died: certainly not sent, or nobody knows. None for what is asked anew."""
    kind = KIND_OF.get(type(command))
    if kind is None:
        return None
    wire_id = command.new_wire_id if isinstance(command, ReplaceRequest) else command.wire_id
    return (OutcomeUnknown if in_hand else NotSent)(wire_id, kind, reason)
