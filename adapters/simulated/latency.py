"""Latency: a broker endpoint whose commands take effect some time after they were sent.

A command is written, and checked, when it is sent; the exchange has it a latency later. An order's own commands arrive in
the order in which they were sent, whatever their latencies. The driver asks for the commands that are due, in order of time
with everything else that happens:

- `next_due_ns()` and `deliver(until_ns)` between bars. An order that arrives inside a bar waits for the next one.
- `deliver_late(until_ns)` once a bar is matched: cancels and replacements that arrived inside of it do not protect from it,
  as nobody knows what of the bar came before them. What is answered then comes after the bar's executions.

`Connect` and `Disconnect` are not delayed.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from msgspec.structs import replace

from ...actors.actor import ActorRef
from ...actors.ports import CancelRequest, NewOrder, ReplaceRequest, StatusRequest
from .broker import ADDS_RISK, SimulatedBroker
from .exchange import SimulatedExchange
from .orders import base_id_of

FOREVER_NS = 1 << 62
CHANGES = (CancelRequest, ReplaceRequest)


class DelayedBroker(SimulatedBroker):
    """Endpoint of one account whose commands are under way for the latencies of the exchange's rules."""

    def __init__(
        self,
        exchange: SimulatedExchange,
        post: Callable[[ActorRef[Any], Any, int], None],
        connection: ActorRef[Any],
        now_ns: Callable[[], int],
        epoch: Callable[[], int | None],
    ) -> None:
        super().__init__(exchange, post, connection, now_ns, epoch)
        submit_ns, cancel_ns = exchange.rules.latency_submit_ns, exchange.rules.latency_cancel_ns
        self._latency_ns: dict[type, int] = {
            NewOrder: submit_ns,
            ReplaceRequest: submit_ns,
            StatusRequest: submit_ns,
            CancelRequest: cancel_ns,
        }
        self._under_way: list[tuple[int, int, Any, int]] = []  # due, number, command, cause
        self._late: list[tuple[int, int, Any, int]] = []  # what arrived inside a bar and must wait for its end
        self._sent = 0
        self._last_due_ns: dict[str, int] = {}  # by order, while it has commands under way

    def accept(self, command: Any, cause: int) -> None:
        """Send a command on its way."""
        latency_ns = self._latency_ns.get(type(command))
        now_ns = self._now_ns()
        if latency_ns is None or (type(command) in ADDS_RISK and self._is_not_to_be_sent(command, now_ns)):
            super().accept(command, cause)
            return
        order = base_id_of(command.wire_id)
        due_ns = max(now_ns + latency_ns, self._last_due_ns.get(order, now_ns))
        self._last_due_ns[order] = due_ns
        self._sent += 1
        if type(command) in ADDS_RISK:
            command = replace(command, not_after_ns=FOREVER_NS)  # it was written in time
        heappush(self._under_way, (due_ns, self._sent, command, cause))

    def _is_not_to_be_sent(self, command: Any, now_ns: int) -> bool:
        return bool(self._epoch() != command.trading_epoch or now_ns > command.not_after_ns)

    def next_due_ns(self) -> int | None:
        """Return when the next command takes effect, None when none is under way."""
        return self._under_way[0][0] if self._under_way else None

    def deliver(self, until_ns: int, bar_start_ns: int | None = None) -> None:
        """Let the commands take effect that are due at `until_ns` or before, and post what is said to them.

        With the start of the bar that `until_ns` is in, those that could protect from it wait for `deliver_late`.
        """
        under_way, late = self._under_way, self._late
        waiting = {base_id_of(each[2].wire_id) for each in late}
        while under_way and under_way[0][0] <= until_ns:
            entry = heappop(under_way)
            order = base_id_of(entry[2].wire_id)
            is_inside = bar_start_ns is not None and entry[0] > bar_start_ns
            if is_inside and (type(entry[2]) in CHANGES or order in waiting):
                late.append(entry)
                waiting.add(order)
            else:
                self._deliver(entry)

    def deliver_late(self) -> None:
        """Let take effect what arrived inside the bar that has been matched by now."""
        late, self._late = self._late, []
        for entry in late:
            self._deliver(entry)

    def _deliver(self, entry: tuple[int, int, Any, int]) -> None:
        due_ns, _, command, cause = entry
        order = base_id_of(command.wire_id)
        if self._last_due_ns.get(order) == due_ns:
            del self._last_due_ns[order]
        for report in self._handlers[type(command)](command, due_ns):
            self._post(self._connection, report, cause)


def broker_of(
    exchange: SimulatedExchange,
    post: Callable[[ActorRef[Any], Any, int], None],
    connection: ActorRef[Any],
    now_ns: Callable[[], int],
    epoch: Callable[[], int | None],
) -> SimulatedBroker:
    """Return the endpoint that the exchange's rules ask for: one without latency pays nothing for it."""
    rules = exchange.rules
    kind = DelayedBroker if rules.latency_submit_ns or rules.latency_cancel_ns else SimulatedBroker
    return kind(exchange, post, connection, now_ns, epoch)
