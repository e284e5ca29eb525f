"""What is told of a crash: to a person, and which order it was about."""

from __future__ import annotations

import traceback
from typing import Any

from .cell import Cell
from .dispatcher import Dispatcher


def crash_report(dispatcher: Dispatcher, cell: Cell, message: Any, error: BaseException) -> str:
    """Return the message that an actor crashed on, the traceback, and the last dispatches."""
    trace = "".join(traceback.format_exception(error)).rstrip()
    return f"{cell.name} crashed on {type(message).__name__}: {message!r}\n{trace}\nlast dispatches:\n{dispatcher.last_dispatches()}"


def order_of(cell: Cell, message: Any) -> str:
    """Return the id of the order that a message is about: its actor's, or the one that the message names."""
    if cell.entity:
        return cell.name.partition("/")[2]
    for part in (message, getattr(message, "order", None), getattr(getattr(message, "approved", None), "order", None)):
        order_id: str = getattr(part, "client_order_id", "")
        if order_id:
            return order_id
    return str(getattr(message, "wire_id", "")).rpartition(".")[0]
