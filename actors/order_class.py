"""Orders that a broker keeps together: an entry with its exits, or two exits of which one is to fill.

Such a group is placed as one command and worked by the broker, also while nobody is connected. To us each of its orders is
an order of its own, with an id of its own and reports of its own. Brokers do not take an id for an exit (Alpaca makes one up),
so an exit's id follows from the id of the order that it hangs on: whoever knows the one knows the other, after a restart, too.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec


class OrderClass(StrEnum):
    """How orders belong together. An order without exits is a simple one, of no class.

    BRACKET: an entry with both exits. OTO: an entry with one. OCO: the two exits of a position that is held; its order is
    the take profit. Exits work once the entry has filled, and one that fills takes its quantity from the other.
    """

    BRACKET = "BRACKET"
    OTO = "OTO"
    OCO = "OCO"


class ExitRole(StrEnum):
    """What an exit is for. The value is the end of its id."""

    TAKE_PROFIT = "tp"
    STOP_LOSS = "sl"


class ExitLeg(msgspec.Struct, frozen=True, gc=False):
    """One exit: a take profit has a limit price, a stop loss a stop price and, to be a stop limit, a limit price as well.

    Side, quantity and time in force are those that close what the group's order opens, or of an OCO those of its order.
    """

    wire_id: str
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


class Exits(msgspec.Struct, frozen=True, gc=False):
    """The exits that are placed with an order. Of an OCO the order itself is the take profit, and only the stop loss is here."""

    order_class: OrderClass
    take_profit: ExitLeg | None = None
    stop_loss: ExitLeg | None = None

    @classmethod
    def of(
        cls,
        order_class: OrderClass,
        wire_id: str,
        *,
        take_profit: Decimal | None = None,
        stop_loss: Decimal | None = None,
        stop_loss_limit: Decimal | None = None,
    ) -> Exits:
        """Return exits at these prices, named after the leg `wire_id` that they are placed with."""
        profit = stop = None
        if take_profit is not None:
            profit = ExitLeg(exit_wire_id(wire_id, ExitRole.TAKE_PROFIT), take_profit)
        if stop_loss is not None:
            stop = ExitLeg(exit_wire_id(wire_id, ExitRole.STOP_LOSS), stop_loss_limit, stop_loss)
        return cls(order_class, profit, stop)

    @property
    def legs(self) -> tuple[ExitLeg, ...]:
        """Those that there are."""
        return tuple(leg for leg in (self.take_profit, self.stop_loss) if leg is not None)


def exit_wire_id(wire_id: str, role: ExitRole) -> str:
    """Return the wire id of an exit of the leg `wire_id`: `<id>-tp.<n>` or `<id>-sl.<n>`, an order of its own to everybody."""
    order_id, _, number = wire_id.rpartition(".")
    return f"{order_id}-{role.value}.{number}"


def group_of(wire_id: str) -> tuple[str, ExitRole] | None:
    """Return which leg this one is an exit of, and which exit it is, if it is one by its name; None for any other.

    An order that a person has named so is no exit: whether it is one only the broker can say.
    """
    order_id, _, number = wire_id.rpartition(".")
    group_id, dash, end = order_id.rpartition("-")
    if not (dash and group_id and end in _ENDS):
        return None
    return f"{group_id}.{number}", ExitRole(end)


_ENDS = frozenset(role.value for role in ExitRole)
