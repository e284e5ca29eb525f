"""The orders of an exchange that remembers all of them, and holds few: the finished ones go to an archive, a generation at a time.

What the archive tells must not depend on how far it is ahead. When an exchange is rebuilt, the archive holds orders that
in the exchange's time are still to come; so a generation is asked for only once the exchange itself has let go of it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ...actors.ports import BrokerOrderState
from ..simulated.orders import REMEMBERED, OrderIndex, OrderSummary, WorkingOrder, base_id_of


class Archive(Protocol):
    """Where finished orders are, by base id."""

    def find(self, base_id: str, upto: int) -> OrderSummary | None:
        """Return the order if it belongs to a generation up to the number `upto`."""


class Generation(NamedTuple):
    """Finished orders that the exchange no longer holds."""

    number: int
    orders: dict[str, OrderSummary]


class ArchivedOrders(OrderIndex):
    """An order index that looks into an archive for what it no longer holds.

    `leaving` are the generations that the archive has not taken yet; whoever writes them calls `left`.
    """

    __slots__ = ("_archive", "generation", "leaving")

    def __init__(self, archive: Archive, size: int = REMEMBERED) -> None:
        super().__init__(size)
        self._archive = archive
        self.generation = 0
        self.leaving: list[Generation] = []

    def left(self) -> None:
        """Let go of the generations that are in the archive by now."""
        self.leaving.clear()

    def knows(self, base_id: str) -> bool:
        return super().knows(base_id) or self._recall(base_id) is not None

    def summary(self, asked: str) -> OrderSummary | WorkingOrder | None:
        base_id = base_id_of(asked)
        found = super().summary(asked)
        if found is not None or super().knows(base_id):
            return found
        recalled = self._recall(base_id)
        if recalled is None or asked not in (base_id, recalled.wire_id, *recalled.earlier_wire_ids):
            return None
        return recalled

    def finish(self, order: WorkingOrder, state: BrokerOrderState) -> None:
        self._make_room()
        super().finish(order, state)

    def reject(self, base_id: str, wire_id: str) -> None:
        self._make_room()
        super().reject(base_id, wire_id)

    def _make_room(self) -> None:
        if len(self._younger) >= self._size and self._elder:
            self.generation += 1
            self.leaving.append(Generation(self.generation, self._elder))

    def _recall(self, base_id: str) -> OrderSummary | None:
        if not self.generation:
            return None
        for generation in self.leaving:
            if base_id in generation.orders:
                return generation.orders[base_id]
        return self._archive.find(base_id, self.generation)
