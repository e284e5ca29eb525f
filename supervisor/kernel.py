"""The lifecycle's own timers: backoffs and the deadlines of a stop, as messages to an actor that nobody supervises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..actors.actor import Actor, handler

if TYPE_CHECKING:
    from .lifecycle import Lifecycle


class RestartDue(msgspec.Struct, frozen=True):
    """Timer: the backoff of an actor is over."""

    actor: str


class ShutdownDeadline(msgspec.Struct, frozen=True):
    """Timer: an actor has not stopped in time."""

    actor: str


class Kernel(Actor[RestartDue | ShutdownDeadline]):
    """Receives the lifecycle's own timers."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle

    @handler
    def restart_due(self, message: RestartDue) -> None:
        self.lifecycle.restart_due(message.actor)

    @handler
    def shutdown_deadline(self, message: ShutdownDeadline) -> None:
        self.lifecycle.deadline_passed(message.actor)
