"""What happens to an account between two sessions, and at their ends, without any order.

At a session's begin, before its first bars are matched: the fee for what was sold short, by nights; sales that settle;
corporate actions; dividends that are paid; and positions that a margin call closes. At its end: the margin call.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from ...actors.bars import Bars
from ...actors.model import ZERO
from ...actors.ports import CashKind, CashMovement, MarginDeficit, Report, SaleSettled
from .adjustments import CENT
from .corporate import CorporateActions
from .margin import Liquidation

if TYPE_CHECKING:
    from .account import Account
    from .charges import Charges
    from .costs import Costs
    from .impact import Impact
    from .open_orders import OpenOrders
    from .rules import ExchangeRules

DAYS_OF_A_YEAR = Decimal(360)
"""Brokers' year: Interactive Brokers charges (value x rate) / 360 a night.

https://ibkrguides.com/reportingreference/reportguide/borrowfeedetails.htm; its mark-up of the value (102 %, rounded up to
the dollar) is left to the rate.
"""


class Overnight:
    """The account's keeper: `begin` and `end` each session; every report has an id of its own."""

    def __init__(
        self,
        rules: ExchangeRules,
        account: Account,
        account_id: str,
        orders: OpenOrders,
        costs: Costs,
        charges: Charges,
        impact: Impact | None,
    ) -> None:
        self._account = account
        self._charges = charges
        self._impact = impact
        self._id_prefix = account_id + "-a"
        self._told = 0
        self._borrow_rate = rules.borrow_rate
        self._maintenance_margin = rules.maintenance_margin
        self._liquidates = rules.margin_call == "liquidate"
        self.has_called = False
        """Whether a margin call waits for prices to close positions at."""
        self._actions = CorporateActions(account, orders, self._next_id, impact, rules.adjust_orders_for_dividends)
        self._liquidation = Liquidation(account, orders, costs, charges, self._next_id)

    def _next_id(self) -> str:
        self._told += 1
        return self._id_prefix + str(self._told)

    def begin(self, before: Bars | None, bars: Bars, reports: list[Report]) -> None:
        """Begin the session of `bars`, whose prices nobody has met yet; `before` are the bars before them.

        It comes again with the next bars while a margin call waits.
        """
        if before is None or before.session != bars.session:
            self._charges.begin(bars.session)
            if before is not None:
                self._pass_nights(bars.session - before.session, reports)
                if self._impact is not None:
                    self._impact.end_session()
            if bars.actions:
                self._actions.apply(bars.actions, reports)
            self._actions.pay(bars.session, reports)
        if self.has_called and bars.regular:
            self.has_called = not self._liquidation.execute(bars, self._maintenance_margin, reports)

    def _pass_nights(self, nights: int, reports: list[Report]) -> None:
        account = self._account
        if self._borrow_rate:
            for symbol, holding in sorted(account.holdings.items()):
                if holding.quantity < ZERO:
                    value = -holding.quantity * (account.last_price(holding) or holding.mark)
                    fee = (value * self._borrow_rate * nights / DAYS_OF_A_YEAR).quantize(CENT, rounding=ROUND_HALF_UP)
                    if fee:
                        account.cash -= fee
                        text = f"{nights} {'night' if nights == 1 else 'nights'} short of {value.normalize():f}"
                        reports.append(CashMovement(self._next_id(), CashKind.BORROW_FEE, -fee, symbol, text))
        settled = account.settle()
        if settled is not None:
            reports.append(SaleSettled(self._next_id(), settled))

    def end(self, reports: list[Report]) -> None:
        """End a session: call for margin where equity no longer covers the positions."""
        deficit = self._account.deficit()
        if deficit is None:
            return
        equity, required = deficit
        self.has_called = self._liquidates
        then = "positions are closed at the next open" if self._liquidates else "nothing is closed (margin_call: flag)"
        text = f"equity {equity:.2f} is below the maintenance margin {required:.2f}; {then}"
        reports.append(MarginDeficit(self._next_id(), equity, required, self._liquidates, text))
