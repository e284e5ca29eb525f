"""An order with a timer: a live one. In a backtest there is none, and no cost."""

from __future__ import annotations

from .order import Order


class WatchedOrder(Order):
    """Looks for what is in doubt again and again. What has no answer after `answer_ns` is; None: answers have no deadline.

    All times follow from records.
    """

    _watched = True

    def __init__(self, answer_ns: int | None) -> None:
        self._answer_ns = answer_ns

    def on_start(self) -> None:
        """Arm the timer from the folded facts. What is overdue already is looked at an instant later: recovery comes first."""
        self._watch()
