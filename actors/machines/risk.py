"""The checks of the risk gate: small pure functions, and the table that says which purpose needs which.

Those of an order by itself are in `order_checks.py`, those of what is at stake are here. A check returns None or a
`Denial` with a stable code, a sentence and the numbers that it saw. Numbers that are missing, zero or not finite never
pass. The worst case of a symbol is its position plus everything open on one side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from ..events import Denial
from ..model import ZERO, Instrument, Order, Purpose, Side, TradingState
from ..ports import MarketData
from .account_checks import broker_session, journal_behind, symbol_frozen
from .broker_rules import Resting, broker_rules
from .exposure import AccountRisk, SymbolRisk, usable
from .market_checks import market_data, price_collar, stale_market
from .order_checks import MARKET, capability, intent_key, known_symbol, price, quantity, worst_price

# Looked up once: a member of an enum costs more than what is done with it.
BUY = Side.BUY
SELL = Side.SELL
ACTIVE = TradingState.ACTIVE
HALTED = TradingState.HALTED
REDUCING = TradingState.REDUCING

NOTHING_AT_STAKE = SymbolRisk()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate allows.

    None switches a check off. Notional and exposure are currency, `price_collar` is a fraction. Margins are fractions of
    a position's worth; without `short_initial_margin` a short position needs what a long one does. With `settles_later`
    a cash account may spend what its sales bring once the broker says that it is settled. Live prices that were not seen for
    `stale_after_ns` let no new risk pass; None are prices that do not grow old, which nobody's list of symbols comes with.
    `tradable` says which symbols are, to who has named another one.
    """

    max_order_quantity: Decimal | None = None
    max_order_notional: Decimal | None = None
    max_position_quantity: Decimal | None = None
    max_gross_exposure: Decimal | None = None
    price_collar: Decimal | None = None
    duplicate_window_ns: int = 0
    account_type: Literal["cash", "margin"] = "cash"
    initial_margin: Decimal = Decimal(1)
    short_initial_margin: Decimal | None = None
    settles_later: bool = False
    stale_after_ns: int | None = None
    tradable: str = "only symbols that have bars are (data.symbols)"

    @property
    def sides_differ(self) -> bool:
        """Whether a short position needs another margin than a long one."""
        return self.short_initial_margin is not None and self.short_initial_margin != self.initial_margin

    def margin(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Return the currency that a signed quantity must be covered with."""
        if quantity < ZERO and self.short_initial_margin is not None:
            return -quantity * price * self.short_initial_margin
        return abs(quantity) * price * self.initial_margin


class Case(msgspec.Struct, gc=False):
    """One order and all that the checks may look at. `delta` is how much it adds to what is open (a replacement adds less).

    `remaining` and `held` are of a replacement: what would be open of the order, and the currency that it has reserved already. The last
    three are answers, kept because several checks ask for them. `resting` are the open orders of the other side, known where the
    broker has rules. `halted` says why trading is not active, where it is not.
    """

    order: Order
    delta: Decimal
    instrument: Instrument | None
    last: Decimal | None
    last_price: Callable[[str], Decimal | None]
    account: AccountRisk
    state: TradingState
    limits: Limits
    now_ns: int
    remaining: Decimal | None = None
    held: Decimal = ZERO
    backlog: Callable[[int], tuple[int, int]] | None = None
    market: MarketData | None = None
    resting: tuple[Resting, ...] | None = None
    halted: str = ""
    _worst: Decimal | None = None
    _reduces: bool = False
    _gross: Decimal | None = None

    @property
    def price(self) -> Decimal:
        """What a share is reserved at: its limit, else see `worst_price`."""
        order = self.order
        if order.order_type is MARKET:
            return order.limit_price or self.last or ZERO
        return order.limit_price or worst_price(order, self.last or ZERO)

    @property
    def symbol(self) -> SymbolRisk:
        """What is at stake in the order's symbol without it."""
        return self.account.symbols.get(self.order.symbol, NOTHING_AT_STAKE)

    def worst_after(self) -> Decimal:
        """The symbol's position at the worst case on the order's side, the order included; signed."""
        worst = self._worst
        if worst is None:
            order = self.order
            symbol = self.account.symbols.get(order.symbol, NOTHING_AT_STAKE)
            held = symbol.position
            if order.side is BUY:
                self._worst = worst = held + symbol.open_buy + self.delta
                self._reduces = held < ZERO and worst <= ZERO
            else:
                self._worst = worst = held - symbol.open_sell - self.delta
                self._reduces = held > ZERO and worst >= ZERO
        return worst

    def reduces(self) -> bool:
        """Whether it cannot make the worst case of its symbol larger: all of it closes what is held and not yet being closed."""
        if self._worst is None:
            self.worst_after()
        return self._reduces

    def gross_after(self) -> Decimal:
        """The sum of all symbols' worst cases at last prices, the order included."""
        gross = self._gross
        if gross is None:
            order, mine = self.order, self.symbol
            _, others = self.account.stakes(self.last_price, order.symbol)
            worst = abs(self.worst_after())
            other = abs(mine.position - mine.open_sell if order.side is BUY else mine.position + mine.open_buy)
            self._gross = gross = others + max(worst, other) * (self.last or ZERO)
        return gross

    def margin_after(self) -> Decimal:
        """What all symbols' worst cases must be covered with, the order included.

        Of a symbol whose orders could leave it long or short, the side that needs more.
        """
        limits = self.limits
        if not limits.sides_differ:
            return self.gross_after() * limits.initial_margin
        order, account, total = self.order, self.account, ZERO
        for symbol, risk in account.symbols.items():
            if symbol != order.symbol:
                total += worst_margin(risk, usable(self.last_price(symbol)), limits)
        mine = account.symbols.get(order.symbol, NOTHING_AT_STAKE)
        other = mine.position - mine.open_sell if order.side is BUY else mine.position + mine.open_buy
        last = self.last or ZERO
        return total + max(limits.margin(self.worst_after(), last), limits.margin(other, last))


def worst_margin(risk: SymbolRisk, price: Decimal, limits: Limits) -> Decimal:
    """Return what the worst case of one symbol must be covered with."""
    return max(
        limits.margin(risk.position + risk.open_buy, price), limits.margin(risk.position - risk.open_sell, price)
    )


def trading_state(case: Case) -> Denial | None:
    if case.state is ACTIVE or (case.state is REDUCING and case.reduces()):
        return None
    allowed = "cancels, protection and liquidation" if case.state is HALTED else "orders that reduce a position"
    because = f". {case.halted}" if case.halted else ""
    return Denial(
        f"TRADING_{case.state.value}",
        f"trading is {case.state}: only {allowed} pass{because}",
        {"trading_state": case.state.value},
    )


def order_quantity(case: Case) -> Denial | None:
    most, amount = case.limits.max_order_quantity, case.order.quantity
    if most is None or amount <= most:
        return None
    numbers = {"quantity": str(amount), "limit": str(most)}
    return Denial("MAX_ORDER_QUANTITY", f"quantity {amount} is above the limit of {most} an order", numbers)


def order_notional(case: Case) -> Denial | None:
    most = case.limits.max_order_notional
    if most is None or (notional := case.order.quantity * case.price) <= most:
        return None
    numbers = {
        "quantity": str(case.order.quantity),
        "price": str(case.price),
        "notional": str(notional),
        "limit": str(most),
    }
    return Denial("MAX_ORDER_NOTIONAL", f"notional {notional} is above the limit of {most} an order", numbers)


def position(case: Case) -> Denial | None:
    most = case.limits.max_position_quantity
    if most is None or abs(worst := case.worst_after()) <= most or case.reduces():
        return None
    numbers = {"position": str(case.symbol.position), "worst_case": str(worst), "limit": str(most)}
    return Denial("MAX_POSITION", f"{case.order.symbol} could reach {worst}, the limit is {most}", numbers)


def gross_exposure(case: Case) -> Denial | None:
    most = case.limits.max_gross_exposure
    if most is None or case.reduces() or (gross := case.gross_after()) <= most:
        return None
    return Denial(
        "MAX_GROSS_EXPOSURE",
        f"gross exposure could reach {gross}, the limit is {most}",
        {"worst_case": str(gross), "limit": str(most)},
    )


def short_sale(case: Case) -> Denial | None:
    if case.order.side is BUY or (worst := case.worst_after()) >= ZERO:
        return None
    numbers = {"position": str(case.symbol.position), "open_sell": str(case.symbol.open_sell), "worst_case": str(worst)}
    symbol, instrument = case.order.symbol, case.instrument
    if case.limits.account_type == "cash":
        return Denial("SHORT_SALE", f"a cash account cannot sell short: {symbol} could reach {worst}", numbers)
    if instrument is not None and not instrument.shortable:
        return Denial("NOT_SHORTABLE", f"the broker lends no {symbol} to sell short: it could reach {worst}", numbers)
    return None


def buying_power(case: Case) -> Denial | None:
    if case.reduces():
        return None
    if case.limits.account_type == "cash":
        if case.order.side is SELL:
            return None
        # A replacement may cost more by its price alone.
        remaining = case.delta if case.remaining is None else case.remaining
        available, cost = case.account.spendable, remaining * case.price - case.held
    else:
        available, cost = case.account.equity(case.last_price), case.margin_after()
    if cost <= available:
        return None
    numbers = {"cost": f"{cost:f}", "available": f"{available:f}"}  # never an exponent
    what = f"{cost:f}" if case.limits.account_type == "cash" else f"an equity of {cost:f} with all that is open"
    return Denial("BUYING_POWER", f"it needs {what}, {available:f} is available", numbers)


def duplicate_intent(case: Case) -> Denial | None:
    window, order = case.limits.duplicate_window_ns, case.order
    if not window:
        return None
    seen = case.account.intents.get(intent_key(order))
    if seen is None or case.now_ns - seen > window:
        return None
    numbers = {"age_ns": str(case.now_ns - seen), "window_ns": str(window)}
    return Denial("DUPLICATE_INTENT", "the same order was approved a moment ago", numbers)


def exit_flips(case: Case) -> Denial | None:
    if case.reduces():
        return None
    numbers = {"position": str(case.symbol.position), "worst_case": str(case.worst_after())}
    return Denial(
        "EXIT_FLIPS", f"an exit may not go beyond flat: {case.order.symbol} could reach {case.worst_after()}", numbers
    )


Check = Callable[[Case], Denial | None]

_E, _C, _X, _P, _L = Purpose.ENTRY, Purpose.CHILD, Purpose.EXIT, Purpose.PROTECTIVE, Purpose.LIQUIDATION
ORDER_PURPOSES = (_E, _C, _X, _P, _L)
_ALL = frozenset(ORDER_PURPOSES)
_NEW_RISK = frozenset({_E, _C})

CHECKS: tuple[tuple[Check, frozenset[Purpose]], ...] = (
    (known_symbol, _ALL),
    (quantity, _ALL),
    (price, _ALL),
    (trading_state, frozenset({_E, _C, _X})),
    (broker_session, _ALL),
    (journal_behind, _NEW_RISK),
    (symbol_frozen, _ALL),
    (broker_rules, _ALL),
    (capability, _ALL),
    (market_data, _ALL),
    (stale_market, _NEW_RISK),
    (price_collar, _ALL),
    (order_quantity, frozenset({_E, _C, _X, _P})),
    (order_notional, frozenset({_E, _C, _X, _P})),
    (position, _NEW_RISK),
    (gross_exposure, _NEW_RISK),
    (short_sale, _ALL),
    (buying_power, _NEW_RISK),
    (duplicate_intent, _NEW_RISK),
    (exit_flips, frozenset({_X, _P, _L})),
)
"""Which purposes each check applies to, in the order in which they run. A cancel needs none: it always passes."""

CHECKS_FOR: dict[Purpose, tuple[Check, ...]] = {
    purpose: tuple(check for check, purposes in CHECKS if purpose in purposes) for purpose in Purpose
}

OFF: dict[Check, Callable[[Limits], bool]] = {
    price_collar: lambda limits: limits.price_collar is None,
    order_quantity: lambda limits: limits.max_order_quantity is None,
    order_notional: lambda limits: limits.max_order_notional is None,
    position: lambda limits: limits.max_position_quantity is None,
    gross_exposure: lambda limits: limits.max_gross_exposure is None,
    stale_market: lambda limits: limits.stale_after_ns is None,
    short_sale: lambda limits: limits.account_type != "cash" and limits.stale_after_ns is None,
    duplicate_intent: lambda limits: not limits.duplicate_window_ns,
}
"""The limits under which a check passes whatever the order is."""


def checks_under(
    limits: Limits, *, journal_falls_behind: bool = True, broker_has_rules: bool = True
) -> dict[Purpose, tuple[Check, ...]]:
    """Return the table of `CHECKS_FOR` without what these limits, a journal that cannot lag, or a broker without rules switch off."""
    off = {check for check, is_off in OFF.items() if is_off(limits)}
    if not journal_falls_behind:
        off.add(journal_behind)
    if not broker_has_rules:
        off.add(broker_rules)
    return {purpose: tuple(check for check in checks if check not in off) for purpose, checks in CHECKS_FOR.items()}


def review(case: Case, checks_for: Mapping[Purpose, tuple[Check, ...]] = CHECKS_FOR) -> Denial | None:
    """Return the first denial of the checks that the order's purpose needs, None if it passes."""
    checks = checks_for.get(case.order.purpose)
    if not checks:
        possible = ", ".join(ORDER_PURPOSES)
        return Denial(
            "BAD_PURPOSE",
            f"an order's purpose is one of {possible}, not {case.order.purpose}",
            {"purpose": case.order.purpose},
        )
    for check in checks:
        denial = check(case)
        if denial is not None:
            return denial
    return None


def render() -> str:
    """Return the table check × purpose as Markdown."""
    lines = [f"| check | {' | '.join(Purpose)} |", "|---" * (1 + len(Purpose)) + "|"]
    for check, purposes in CHECKS:
        cells = ["yes" if purpose in purposes else "–" for purpose in Purpose]
        lines.append(f"| {check.__name__} | {' | '.join(cells)} |")
    return "\n".join(lines)
