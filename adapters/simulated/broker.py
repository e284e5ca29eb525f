"""The simulated exchange as a broker port, inline on the dispatcher: commands in, reports posted back at the same instant.

Immediately before an order would be written it checks once more that trading is not halted and that the trading epoch is
the one under which the order was approved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...actors.actor import ActorRef
from ...actors.ports import Report
from .exchange import SimulatedExchange
from .sending import ADDS_RISK, of_another_epoch


class SimulatedBroker:
    """Endpoint of one account. `epoch` returns the present trading epoch, None once trading is halted by escalation."""

    def __init__(
        self,
        exchange: SimulatedExchange,
        post: Callable[[ActorRef[Any], Any, int], None],
        connection: ActorRef[Any],
        now_ns: Callable[[], int],
        epoch: Callable[[], int | None],
    ) -> None:
        self.exchange = exchange
        self._handlers = exchange.handlers
        self._post = post
        self._connection = connection
        self._now_ns = now_ns
        self._epoch = epoch

    def accept(self, command: Any, cause: int) -> None:
        """Hand a command to the exchange and post what it says; what adds risk under another epoch is not sent."""
        kind, epoch, now_ns, post = type(command), self._epoch, self._now_ns, self._post
        if kind in ADDS_RISK and epoch() != command.trading_epoch:
            reports: list[Report] = [of_another_epoch(command, epoch())]
        else:
            reports = self._handlers[kind](command, now_ns())
        for report in reports:
            post(self._connection, report, cause)
