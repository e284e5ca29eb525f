"""Corporate actions on an account and its open orders, before the first bars of their session are matched.

Whatever happens, nothing is won or lost by it: a position costs what it cost, its last price is counted in new shares
until the next bar, and a dividend is owed from its ex-date on. Actions of one day are applied in the order in which they
come: a dividend after a split is an amount for each new share. What is reported is all that was done.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

from ...actors.bars import CorporateAction, CorporateActionKind
from ...actors.model import ZERO, Instrument
from ...actors.ports import (
    AdjustmentCause,
    CashKind,
    CashMovement,
    DividendDeclared,
    PositionAdjustment,
    Report,
)
from .account import Account, Holding
from .adjustments import CENT, dividend_terms, is_lowered, split_terms, through, times, whole_lots
from .impact import Impact
from .open_orders import OpenOrders, lasts, terms_of, type_of
from .orders import WorkingOrder

ONE = Decimal(1)


class CorporateActions:
    """Applies them to one account."""

    def __init__(
        self,
        account: Account,
        orders: OpenOrders,
        next_id: Callable[[], str],
        impact: Impact | None,
        adjusts_for_dividends: bool,
    ) -> None:
        self._account = account
        self._orders = orders
        self._next_id = next_id
        self._impact = impact
        self._adjusts_for_dividends = adjusts_for_dividends
        self._payments: list[tuple[int, str, Decimal]] = []  # of dividends: session, symbol, amount
        self._kinds: dict[CorporateActionKind, Callable[[CorporateAction, list[Report]], None]] = {
            CorporateActionKind.SPLIT: self._split,
            CorporateActionKind.DIVIDEND: self._dividend,
            CorporateActionKind.SYMBOL_CHANGE: self._symbol_change,
        }

    def apply(self, actions: tuple[CorporateAction, ...], reports: list[Report]) -> None:
        """Apply the actions of a session and add what is reported of them to `reports`."""
        for action in actions:
            self._kinds[action.kind](action, reports)

    def pay(self, session: int, reports: list[Report]) -> None:
        """Pay the dividends that are due by this session, in the order in which they were declared."""
        due = [payment for payment in self._payments if payment[0] <= session]
        if not due:
            return
        self._payments = [payment for payment in self._payments if payment[0] > session]
        account = self._account
        for _, symbol, amount in due:
            account.accrued -= amount
            account.cash += amount
            text = f"dividend of {symbol}" if amount > ZERO else f"dividend owed on {symbol} sold short"
            reports.append(CashMovement(self._next_id(), CashKind.DIVIDEND, amount, symbol, text))

    # -- kinds of actions

    def _split(self, action: CorporateAction, reports: list[Report]) -> None:
        symbol, ratio = action.symbol, action.ratio
        if ratio == ONE:
            return
        instrument = self._orders.instrument(symbol)
        text = f"split of {symbol}: {_shown(ratio)} new for 1 old"
        holding = self._account.holdings.get(symbol)
        if ratio < ONE:
            self._drop_all(symbol, f"{text}; a reverse split cancels open orders", reports)
        if holding is not None:
            self._account.last_price(holding)  # the last close is taken as it was, before it is counted in new shares
            held = holding.quantity
            change = times(held, ratio) - held
            holding.split(change, ratio)
            if held:
                adjustment = PositionAdjustment(self._next_id(), AdjustmentCause.SPLIT, symbol, change, text=text)
                reports.append(adjustment)
                self._pay_fraction(holding, instrument, reports)
        if self._impact is not None:
            self._impact.split(symbol, ratio)
        if ratio > ONE:
            for order in self._orders.of(symbol):
                self._split_order(order, ratio, instrument, text, reports)

    def _pay_fraction(self, holding: Holding, instrument: Instrument, reports: list[Report]) -> None:
        """Pay out, at the last close, what is no whole lot of a position; a short one owes it."""
        fraction = holding.quantity - whole_lots(holding.quantity, instrument.lot)
        if not fraction:
            return
        price = holding.price or holding.mark
        cash = (fraction * price).quantize(CENT, rounding=ROUND_HALF_UP)
        self._account.move(holding, -fraction, cash)
        text = f"{fraction.normalize():f} {holding.symbol} paid out at {price:.4f}"
        cause = AdjustmentCause.CASH_IN_LIEU
        reports.append(PositionAdjustment(self._next_id(), cause, holding.symbol, -fraction, cash, text=text))

    def _split_order(
        self, order: WorkingOrder, ratio: Decimal, instrument: Instrument, text: str, reports: list[Report]
    ) -> None:
        terms = split_terms(terms_of(order), order.is_buy, order.filled, ratio, instrument)
        if terms is None:
            reports.append(self._orders.drop(order, f"{text}; less than a lot, or than a tick, is left of the order"))
        else:
            reports.append(self._orders.restate(order, terms, order.mark / ratio, text))

    def _dividend(self, action: CorporateAction, reports: list[Report]) -> None:
        symbol, amount = action.symbol, action.amount
        holding = self._account.holdings.get(symbol)
        text = f"dividend of {amount} a share of {symbol}"
        if holding is not None and holding.quantity:
            due = (holding.quantity * amount).quantize(CENT, rounding=ROUND_HALF_UP)
            if due:
                self._account.accrued += due
                self._payments.append((action.pay_session, symbol, due))
                reports.append(DividendDeclared(self._next_id(), symbol, due, text))
        if not self._adjusts_for_dividends:
            return
        tick = self._orders.instrument(symbol).tick
        for order in self._orders.of(symbol):
            if not is_lowered(type_of(order), order.is_buy, lasts(order), amount):
                continue
            terms, mark = dividend_terms(terms_of(order), amount, tick), order.mark - amount
            if terms is None or (order.is_trailing and mark <= ZERO):
                reports.append(self._orders.drop(order, f"{text}; nothing is left of the order's price"))
            else:
                reports.append(self._orders.restate(order, terms, mark, text))

    def _symbol_change(self, action: CorporateAction, reports: list[Report]) -> None:
        symbol, new_symbol = action.symbol, action.new_symbol
        text = f"{symbol} is called {new_symbol} from now on"
        self._drop_all(symbol, f"{text}; a change of symbol cancels open orders", reports)
        account = self._account
        old = account.holdings.get(symbol)
        if old is not None:
            new = account.holding(new_symbol)
            account.last_price(old)
            account.last_price(new)
            held = old.quantity
            new.take_over(old)
            for changed in (old, new):
                account.move(changed, ZERO)  # which says anew whether it needs margin
            if held:
                cause = AdjustmentCause.SYMBOL_CHANGE
                reports.append(PositionAdjustment(self._next_id(), cause, symbol, -held, ZERO, new_symbol, text))
        if self._impact is not None:
            self._impact.rename(symbol, new_symbol)

    def _drop_all(self, symbol: str, text: str, reports: list[Report]) -> None:
        reports.extend(self._orders.drop(order, text) for order in self._orders.of(symbol))


def _shown(ratio: Decimal) -> str:
    """Return a ratio for people: as it is while that is short, else by its inverse (1/3)."""
    short = through(ONE, ratio)
    return f"1/{short:f}" if ratio < ONE and short == short.to_integral_value() else f"{times(ratio, ONE):f}"
