"""What is true of our orders at the broker, kept as it happens."""

from __future__ import annotations

from decimal import Decimal

from ...actors.model import ZERO, Fill, Order


def client_id_of(wire_id: str) -> str:
    """Return the client order id of a leg, which is named `<client order id>.<n>`."""
    return wire_id.rpartition(".")[0]


class TrueOrder:
    """One order at the broker, all its legs.

    `filled` is what its executions add up to now, `upper` the most that any of their revisions said, `lower` the least of
    their first and last ones. `total` are the quantity of its last leg, None where a split has made it another.
    """

    __slots__ = ("accepted_ns", "ended", "filled", "latest", "lower", "most", "revisions", "total", "upper", "working")

    def __init__(self) -> None:
        self.accepted_ns = 0
        self.ended = ""
        self.working: dict[str, None] = {}
        self.total: Decimal | None = None
        self.filled = self.upper = self.lower = self.most = ZERO
        self.latest: dict[str, int] = {}
        self.revisions: dict[tuple[str, int], Fill] = {}

    @property
    def is_dead(self) -> bool:
        """Whether the broker has ended it, and nothing takes its place."""
        return bool(self.ended) and not self.working and self.ended != "replaced"

    @property
    def is_revised(self) -> bool:
        """Whether the broker has ever corrected or busted one of its executions."""
        return any(self.latest.values())

    def accept(self, wire_id: str, order: Order, now_ns: int) -> None:
        """Take in that a leg works; one that did already has other terms now, which the journal may never hear of."""
        self.total = None if wire_id in self.working else order.quantity
        self.working[wire_id] = None
        self.most = max(self.most, order.quantity)
        self.accepted_ns = self.accepted_ns or now_ns

    def end(self, wire_id: str, how: str) -> None:
        """Take in that a leg works no more; one that was refused while another works has never taken its place."""
        had_begun = wire_id in self.working
        self.working.pop(wire_id, None)
        if had_begun or not self.ended:
            self.ended = how

    def execute(self, fill: Fill) -> None:
        """Take in an execution, or another revision of one."""
        key, revisions = fill.fill_key, self.revisions
        before = self.latest.get(key)
        revisions[key, fill.revision] = fill
        if before is None:
            self.latest[key] = fill.revision
            self.filled += fill.quantity
            self.upper += fill.quantity
            self.lower += fill.quantity
        elif before < fill.revision:
            self._revise(key, before, fill)

    def _revise(self, key: str, before: int, fill: Fill) -> None:
        self.latest[key] = fill.revision
        said = [each.quantity for (name, _), each in self.revisions.items() if name == key]
        earlier = said[:-1]
        self.filled += fill.quantity - self.revisions[key, before].quantity
        self.upper += max(said) - max(earlier)
        self.lower += min(earlier[0], fill.quantity) - min(earlier[0], earlier[-1])


class BrokerTruth:
    """All our orders by client order id, and the symbols that a split has changed since the journal last heard of one."""

    def __init__(self) -> None:
        self.orders: dict[str, TrueOrder] = {}
        self.unsettled: dict[str, None] = {}

    def order(self, client_order_id: str) -> TrueOrder:
        """Return what is true of an order, made on first use."""
        found = self.orders.get(client_order_id)
        if found is None:
            found = self.orders[client_order_id] = TrueOrder()
        return found
