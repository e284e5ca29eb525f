"""Nothing is approved by a price that is none (I12): not a number, zero, negative, or never shown."""

from __future__ import annotations

import math
from collections import deque
from decimal import Decimal

from ...actors.events import OrderApproved
from ...actors.model import ZERO
from .violations import Violations

REMEMBERED = 3
CERTAIN_AFTER = 2
"""After how many turns of the pump that recorded something the core surely holds a price: the first may be the one that takes it."""


class Prices:
    """The last prices put to the core, and what it approves by them."""

    def __init__(self, violations: Violations) -> None:
        self._violations = violations
        self._shown: dict[str, deque[Decimal]] = {}
        self._bad: dict[str, tuple[float, int]] = {}
        self._turns = 0

    def booted(self) -> None:
        """Forget them: a process begins without prices."""
        self._shown.clear()
        self._bad.clear()

    def priced(self, symbol: str, price: float) -> None:
        """Take in a price; absurd ones that are positive are no reason to refuse."""
        shown = self._shown.get(symbol)
        if shown is None:
            shown = self._shown[symbol] = deque([ZERO] * REMEMBERED, REMEMBERED)
        if math.isfinite(price) and price > 0:
            shown.append(Decimal(repr(price)))
            self._bad.pop(symbol, None)
        else:
            shown.append(ZERO)
            self._bad.setdefault(symbol, (price, self._turns))

    def lowest(self, symbol: str) -> Decimal:
        """Return the lowest of the last prices, 0 if one of them was bad: what nobody can have reckoned with less than."""
        return min(self._shown.get(symbol, (ZERO,)))

    def turned(self) -> None:
        """Take in that the core has turned and stated something."""
        self._turns += 1

    def approved(self, event: OrderApproved) -> None:
        """Judge an approval, of an order or of a replacement, as it is stated."""
        order_id, symbol = event.client_order_id, event.symbol
        price = event.price
        if not price.is_finite() or price <= ZERO:
            self._violations.add("I12", f"order {order_id} was approved at the price {price} of {symbol}")
            return
        bad = self._bad.get(symbol)
        if bad is not None and self._turns >= bad[1] + CERTAIN_AFTER:
            self._violations.add("I12", f"order {order_id} was approved while the last price of {symbol} was {bad[0]}")
        elif symbol not in self._shown:
            self._violations.add(
                "I12", f"order {order_id} was approved, and this process has never seen a price of {symbol}"
            )
