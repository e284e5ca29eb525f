"""What an account may not do now: the rules that need its orders, its positions and its money.

Sources: docs.alpaca.markets, "Placing Orders" and "User Protection"; alpacahq/Alpaca-API#82 and Petersoj/alpaca-java#145 for
the texts of the wash trade and of the two sides; alpaca-py's models for the fields of a refusal for want of shares.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from decimal import Decimal
from typing import NamedTuple

from ...actors.model import ZERO
from ..alpaca.rules import wash_reason
from .alpaca_desk import Desk
from .alpaca_form import Form
from .alpaca_hours import instant_ns, local_date
from .alpaca_json import number
from .alpaca_ledger import SHORT_ROOM, buying_power, far_side, quantity_claimed, shares_for
from .alpaca_refusal import Refusal, forbidden, malformed, unprocessable
from .alpaca_state import Asset

LAST_FOR_OPEN, LAST_FOR_CLOSE, AUCTIONS_AGAIN = time(9, 28), time(15, 50), time(19)
LEAST_VALUE = Decimal(1)


class Asked(NamedTuple):
    """A form with what it means for this account: whether it opens or closes a position, and how many shares it is."""

    form: Form
    asset: Asset
    opens: bool
    shares: Decimal
    value: Decimal

    @property
    def intent(self) -> str:
        return f"{self.form.side}_to_{'open' if self.opens else 'close'}"


def ask(desk: Desk, form: Form) -> Asked:
    """Weigh a form. Raises the Refusal of the first rule that it breaks."""
    asset = desk.asset(form.symbol)
    if asset is None:
        raise unprocessable(f'asset "{form.symbol}" not found')
    symbol = asset.terms.symbol
    held = desk.held(symbol)
    price = form.limit_price or form.stop_price or far_side(desk, symbol, form.is_buy) or ZERO
    if form.notional is not None:
        shares, value = shares_for(form.notional, price) if price else ZERO, form.notional
    else:
        shares = form.qty or ZERO
        value = shares * (
            price if form.is_buy else max(price, (far_side(desk, symbol, is_buy=True) or ZERO) * SHORT_ROOM)
        )
    closes = held < ZERO if form.is_buy else held > ZERO
    asked = Asked(form, asset, not closes, shares, value)
    for rule in RULES:
        refusal = rule(desk, asked)
        if refusal is not None:
            raise refusal
    return asked


def _blocked(desk: Desk, asked: Asked) -> Refusal | None:
    flags = desk.state.flags
    if flags.trade_suspended_by_user:
        return forbidden("new orders are rejected by user request")
    if flags.account_blocked or flags.trading_blocked:
        return forbidden("account is not allowed to trade: trading is blocked")
    return None


def _client_id(desk: Desk, asked: Asked) -> Refusal | None:
    return client_id_taken(desk, asked.form.client_order_id)


def client_id_taken(desk: Desk, client_order_id: str) -> Refusal | None:
    """Return the refusal of a client order id that any order, open or not, has."""
    return malformed("client_order_id must be unique") if client_order_id in desk.state.by_client_id else None


def _asset(desk: Desk, asked: Asked) -> Refusal | None:
    terms = asked.asset.terms
    if asked.asset.status != "active":
        return unprocessable(f'asset "{terms.symbol}" is not active')
    if not terms.tradable:
        return unprocessable(f'asset "{terms.symbol}" is not tradable')
    if asked.form.is_fractional and not terms.fractionable:
        return forbidden(f'asset "{terms.symbol}" is not fractionable')
    return None


def _auctions(desk: Desk, asked: Asked) -> Refusal | None:
    return too_late_for_auction(desk, asked.form.time_in_force)


def too_late_for_auction(desk: Desk, time_in_force: str) -> Refusal | None:
    """Return the refusal of an OPG order after 09:28, or a CLS one after 15:50, and before 19:00, in New York."""
    cut_off = {"opg": LAST_FOR_OPEN, "cls": LAST_FOR_CLOSE}.get(time_in_force)
    if cut_off is None or desk.settings.hours == "always":
        return None
    day = local_date(desk.now_ns)
    if desk.session.day != day.isoformat():
        return None
    if not instant_ns(day, cut_off) < desk.now_ns < instant_ns(day, AUCTIONS_AGAIN):
        return None
    return unprocessable(f"{time_in_force} orders are not accepted from {cut_off:%H:%M} to 19:00 in New York")


def _intent(desk: Desk, asked: Asked) -> Refusal | None:
    named = asked.form.position_intent
    if named and named != asked.intent:
        return unprocessable(f"position intent mismatch, inferred: {asked.intent}, specified: {named}")
    if asked.form.order_class == "oco" and asked.opens:
        return unprocessable("oco orders must be exit orders")
    if asked.form.order_class in {"bracket", "oto"} and not asked.opens:
        return unprocessable(f"{asked.form.order_class} orders must be entry orders")
    return None


def _opposite_side(desk: Desk, asked: Asked) -> Refusal | None:
    if not asked.opens or desk.held(asked.asset.terms.symbol):
        return None
    other = "sell_to_open" if asked.form.is_buy else "buy_to_open"
    if any(each.position_intent == other for each in desk.open_orders(asked.asset.terms.symbol)):
        new, old = ("long buy", "short sell") if asked.form.is_buy else ("short sell", "long buy")
        return forbidden(f"cannot open a {new} while a {old} order is open")
    return None


def _wash_trade(desk: Desk, asked: Asked) -> Refusal | None:
    """Refuse what could trade with an open order of the account's own. Orders with legs are outside of this protection."""
    form = asked.form
    if form.is_complex:
        return None
    for order in desk.open_orders(asked.asset.terms.symbol):
        if order.is_buy is form.is_buy or order.order_class not in {"", "simple"}:
            continue
        reason = wash_reason(form.side, form.type, form.limit_price, order.type, order.limit_price)
        if reason:
            extra = {"existing_order_id": order.id, "reject_reason": reason}
            return forbidden("potential wash trade detected. use complex orders", **extra)
    return None


def _held_quantity(desk: Desk, asked: Asked) -> Refusal | None:
    if asked.opens:
        return None
    return insufficient_quantity(desk, asked.asset.terms.symbol, asked.shares)


def insufficient_quantity(desk: Desk, symbol: str, shares: Decimal, *, apart_from: str = "") -> Refusal | None:
    """Return the refusal to close more of a position than other orders leave of it."""
    size, claimed = abs(desk.held(symbol)), quantity_claimed(desk, symbol, apart_from=apart_from)
    available = max(size - claimed, ZERO)
    if shares <= available:
        return None
    return forbidden(
        f"insufficient qty available for order (requested: {number(shares)}, available: {number(available)})",
        available=number(available),
        existing_qty=number(size),
        held_for_orders=number(claimed),
        symbol=symbol,
    )


def _short_sale(desk: Desk, asked: Asked) -> Refusal | None:
    if asked.form.is_buy or not asked.opens:
        return None
    terms = asked.asset.terms
    if asked.form.is_fractional:
        return unprocessable("fractional orders cannot be sold short")
    if desk.settings.multiplier == 1 or not desk.state.flags.shorting_enabled:
        return forbidden("account is not allowed to short")
    if not (terms.shortable and terms.easy_to_borrow):
        return forbidden(f'asset "{terms.symbol}" cannot be sold short')
    return None


def _least_value(desk: Desk, asked: Asked) -> Refusal | None:
    if asked.form.is_fractional and asked.opens and ZERO < asked.value < LEAST_VALUE:
        return forbidden("cost basis must be >= minimal amount of order 1", cost_basis=number(asked.value))
    return None


def _buying_power(desk: Desk, asked: Asked) -> Refusal | None:
    return insufficient_buying_power(desk, asked.value) if asked.opens else None


def insufficient_buying_power(desk: Desk, value: Decimal, *, apart_from: str = "") -> Refusal | None:
    """Return the refusal of an opening order that is worth more than the account may take."""
    power = buying_power(desk, apart_from=apart_from)
    if value <= power:
        return None
    return forbidden("insufficient buying power", buying_power=number(power), cost_basis=number(value))


RULES: tuple[Callable[[Desk, Asked], Refusal | None], ...] = (
    _blocked,
    _client_id,
    _asset,
    _auctions,
    _intent,
    _opposite_side,
    _wash_trade,
    _held_quantity,
    _short_sale,
    _least_value,
    _buying_power,
)
