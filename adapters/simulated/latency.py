"""Latency: a broker endpoint whose commands take effect some time after they were sent.

A command is written, and checked, when it is sent; the exchange has it a latency later. An order's own commands arrive in
the order in which they were sent, whatever their latencies. The driver asks for the commands that are due, in order of time
with everything else that happens:

- `next_due_ns()` and `deliver(until_ns)` between bars. An order that arrives inside a bar waits for the next one.
- `deliver_late()` once a bar is matched: cancels and replacements that arrived inside of it do not protect from it, as
  nobody knows what of the bar came before them. What is answered then comes after the bar's executions.

`Connect` and `Disconnect` are not delayed.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, NamedTuple

from msgspec.structs import replace

from ...actors.actor import ActorRef
from ...actors.ports import CancelRequest, NewOrder, ReplaceRequest, StatusRequest
from .broker import SimulatedBroker
from .exchange import SimulatedExchange
from .orders import base_id_of
from .rules import ExchangeRules
from .sending import ADDS_RISK, not_to_be_sent

FOREVER_NS = 1 << 62
CHANGES = (CancelRequest, ReplaceRequest)


class UnderWay(NamedTuple):
    """A command that the exchange will have at `due_ns`; the `number` keeps those of one instant in order."""

    due_ns: int
    number: int
    command: Any
    cause: int


class Transit:
    """The commands between who sends them and the exchange."""

    def __init__(self, rules: ExchangeRules) -> None:
        submit_ns, cancel_ns = rules.latency_submit_ns, rules.latency_cancel_ns
        self.latency_ns: dict[type, int] = {
            NewOrder: submit_ns,
            ReplaceRequest: submit_ns,
            StatusRequest: submit_ns,
            CancelRequest: cancel_ns,
        }
        self.under_way: list[UnderWay] = []
        self.late: list[UnderWay] = []  # what arrived inside a bar and must wait for its end
        self.last_due_ns: dict[str, int] = {}  # by order, while it has commands under way
        self._sent = 0

    def send(self, command: Any, cause: int, now_ns: int) -> None:
        """Send a command of a kind that has a latency on its way."""
        kind, order = type(command), base_id_of(command.wire_id)
        due_ns = max(now_ns + self.latency_ns[kind], self.last_due_ns.get(order, now_ns))
        self.last_due_ns[order] = due_ns
        self._sent += 1
        if kind in ADDS_RISK:
            command = replace(command, not_after_ns=FOREVER_NS)  # it was written in time
        heappush(self.under_way, UnderWay(due_ns, self._sent, command, cause))

    def next_due_ns(self) -> int | None:
        """Return when the next command takes effect, None when none is under way."""
        return self.under_way[0].due_ns if self.under_way else None

    def arrived(self, until_ns: int, bar_start_ns: int | None = None) -> list[UnderWay]:
        """Take out what is due at `until_ns` or before, in order.

        With the start of the bar that `until_ns` is in, what could protect from it waits for `arrived_late`.
        """
        under_way, late = self.under_way, self.late
        waiting = {base_id_of(each.command.wire_id) for each in late}
        found = []
        while under_way and under_way[0].due_ns <= until_ns:
            entry = heappop(under_way)
            order = base_id_of(entry.command.wire_id)
            is_inside = bar_start_ns is not None and entry.due_ns > bar_start_ns
            if is_inside and (type(entry.command) in CHANGES or order in waiting):
                late.append(entry)
                waiting.add(order)
            else:
                self._forget(entry, order)
                found.append(entry)
        return found

    def arrived_late(self) -> list[UnderWay]:
        """Take out what arrived inside the bar that has been matched by now."""
        late, self.late = self.late, []
        for entry in late:
            self._forget(entry, base_id_of(entry.command.wire_id))
        return late

    def _forget(self, entry: UnderWay, order: str) -> None:
        if self.last_due_ns.get(order) == entry.due_ns:
            del self.last_due_ns[order]


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
        self.transit = Transit(exchange.rules)

    def accept(self, command: Any, cause: int) -> None:
        """Send a command on its way."""
        now_ns = self._now_ns()
        if type(command) in self.transit.latency_ns and not_to_be_sent(command, self._epoch(), now_ns) is None:
            self.transit.send(command, cause, now_ns)
        else:
            super().accept(command, cause)

    def next_due_ns(self) -> int | None:
        """Return when the next command takes effect, None when none is under way."""
        return self.transit.next_due_ns()

    def deliver(self, until_ns: int, bar_start_ns: int | None = None) -> None:
        """Let the commands take effect that are due at `until_ns` or before, and post what is said to them.

        With the start of the bar that `until_ns` is in, those that could protect from it wait for `deliver_late`.
        """
        self._deliver(self.transit.arrived(until_ns, bar_start_ns))

    def deliver_late(self) -> None:
        """Let take effect what arrived inside the bar that has been matched by now."""
        self._deliver(self.transit.arrived_late())

    def _deliver(self, arrived: list[UnderWay]) -> None:
        for due_ns, _, command, cause in arrived:
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
    return (DelayedBroker if has_latency(exchange.rules) else SimulatedBroker)(
        exchange, post, connection, now_ns, epoch
    )


def has_latency(rules: ExchangeRules) -> bool:
    """Tell whether any command is under way for a while."""
    return bool(rules.latency_submit_ns or rules.latency_cancel_ns)
