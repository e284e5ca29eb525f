"""What is charged for executions: the broker's commission and the regulators' fees."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from ...actors.model import ZERO
from .commissions import Schedule
from .fees import RegulatoryFees
from .rules import ExchangeRules

if TYPE_CHECKING:
    from collections.abc import Callable

    from .orders import WorkingOrder


class Charges:
    """The charges of one account. `fees` is None where the regulators' are not asked for."""

    __slots__ = ("fees", "schedule")

    def __init__(self, rules: ExchangeRules, warn: Callable[[str], None]) -> None:
        self.schedule = Schedule.of(rules)
        self.fees = RegulatoryFees(warn) if rules.regulatory_fees else None

    def begin(self, session: int) -> None:
        """Begin a session, before its first execution."""
        if self.fees is not None:
            self.fees.begin(session)

    def due(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Return the commission of a new order of `quantity` if it fills at `price`."""
        return self.schedule.total(quantity, quantity * price)

    def still_due(self, order: WorkingOrder, remaining: Decimal, price: Decimal) -> Decimal:
        """Return the commission that an order still costs if `remaining` of it fills at `price`; never negative."""
        total = self.schedule.total(order.filled + remaining, order.notional + remaining * price)
        return max(total - order.charged, ZERO)

    def charge(self, order: WorkingOrder, quantity: Decimal, notional: Decimal) -> tuple[Decimal, Decimal]:
        """Charge an execution that the order's sums contain already: return all that it costs, and the fees in that."""
        commission = self.schedule.total(order.filled, order.notional) - order.charged
        order.charged += commission
        fees = ZERO if order.is_buy else self.regulatory(quantity, notional)
        return commission + fees, fees

    def single(self, is_buy: bool, quantity: Decimal, notional: Decimal) -> Decimal:
        """Return all that an execution costs which fills its order at once."""
        charge = self.schedule.total(quantity, notional)
        return charge if is_buy else charge + self.regulatory(quantity, notional)

    def regulatory(self, quantity: Decimal, notional: Decimal) -> Decimal:
        """Return what the regulators take of a sale."""
        return ZERO if self.fees is None else self.fees.charge(quantity, notional)
