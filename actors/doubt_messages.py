"""The messages about orders in doubt: what recovery, a person and the order's own timer ask for. They are part of `messages`' unions."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from .actor import ReplyTo
from .machines.resolution import Word


class RecoverOrders(msgspec.Struct, frozen=True, gc=False):
    """To the desk, once, when a boot has folded the journal and brought the orders back: what had no answer is in doubt.

    `client_order_ids` are the orders that were brought back; those that hold exposure are taken without being named.
    """

    client_order_ids: tuple[str, ...] = ()


class RecoverOrder(msgspec.Struct, frozen=True, gc=False):
    """The process that looked after this order has ended since."""


class AnswerMissing(msgspec.Struct, frozen=True, gc=False):
    """Timer: an answer about this order is due, or it may be looked for again."""


class ResolveOrder(msgspec.Struct, frozen=True, gc=False):
    """A person says what became of an order in doubt or in quarantine. Answered by its OrderStatus, or by CommandRefused.

    `absent`: the broker does not have it. `filled`: it filled all that was missing, or `quantity`, at `price` or else its
    limit, and nothing is open. `release`: a quarantined order is looked after again. If the broker knows it after all, it is
    taken back, cancelled, and an alarm is raised.
    """

    client_order_id: str
    verdict: str
    reason: str
    quantity: Decimal | None = None
    price: Decimal | None = None
    reply_to: ReplyTo | None = None

    @property
    def word(self) -> Word:
        """What is said, without who asked."""
        return Word(self.verdict, self.reason, self.quantity, self.price)


class BringBack(msgspec.Struct, frozen=True, gc=False):
    """Look after a resolved order again, if anything of it may be open; asked with its history."""

    client_order_id: str
    reply_to: ReplyTo | None
