"""What a person needs to understand a crash."""

from __future__ import annotations

import traceback
from typing import Any

from .cell import Cell
from .dispatcher import Dispatcher


def crash_report(dispatcher: Dispatcher, cell: Cell, message: Any, error: BaseException) -> str:
    """Return the message that an actor crashed on, the traceback, and the last dispatches."""
    trace = "".join(traceback.format_exception(error)).rstrip()
    return f"{cell.name} crashed on {type(message).__name__}: {message!r}\n{trace}\nlast dispatches:\n{dispatcher.last_dispatches()}"
