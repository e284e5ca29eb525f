"""What stands behind an actor's address: the present incarnation, and what outlives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..actors.actor import ActorRef, Fold, Handler, Record
from ..actors.errors import ActorError

Route = tuple[list[Callable[[Any, Record], None]], list["Cell"]]
"""The folds that a record goes to, and the cells of who reacts to it."""

NOBODY: Any = ()
NOTHING: Any = {}
"""Shared by all cells that have none: they are replaced, never changed."""


class Cell(ActorRef[Any]):
    """What stands behind an actor's address, with the lifecycle's notes.

    Only a `live` one takes messages and folds records.
    """

    # What most cells never have stays on the class: an order costs a cell.
    actor: Any = None
    live = False
    entity = False
    handlers: dict[type, Handler] = NOTHING
    folds: dict[type, Fold] = NOTHING
    routes: dict[type, Route] = NOTHING
    timers: dict[str, tuple[int, Any, int]] = NOTHING
    history: list[Record] = NOBODY
    snapshot: bytes | None = None
    spec: Any = None
    supervisor: Any = None
    status = "starting"
    ready = False
    attempt = 0
    down_ns = 0
    mailbox: list[Any] = NOBODY
    watchers: list[Cell] = NOBODY
    task: Any = None

    def silence(self) -> None:
        """Take no more messages, fold no more records, forget all timers; end the task of a `run()` actor."""
        if self.task is not None:
            self.task.cancel()
            self.task = None
        self.live = False
        self.handlers = self.folds = self.timers = NOTHING


class Cells(dict[str, Cell]):
    """All cells by name. Every message needs one, so looking it up is no call of ours."""

    def __missing__(self, name: str) -> Cell:
        raise ActorError(f"there is no actor {name!r}")


Item = tuple[Cell, Any, int]
"""A message in the queue: to whom, what, and what caused it."""
